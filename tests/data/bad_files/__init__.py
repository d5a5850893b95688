"""Data that cannot be loaded: what lies on the disk, what the spec says of it, and how it is asked for.

A case is a function that writes files into a folder and returns the spec's variables, and options of `load`;
the option `without` names a library that is not there.
"""

from tests.data.bad_files import arrays, images, splits, tables
from tests.data.bad_files.cases import CASES

__all__ = ["CASES", "arrays", "images", "splits", "tables"]
