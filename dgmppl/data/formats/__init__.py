"""Data sources by format: a function each, which finds a field and its rows.

To add a format, list it in `dgmppl.catalogue.formats`, where a spec is checked against it, and its reader in `READERS`
here. A reader takes the source as the spec writes it, its path, and the type that the variable declares; it returns
the field's rows, whole or split as the source gives them, and reads no more values than it must. What it raises as
OSError or ValueError is told as a file that cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dgmppl.data.formats.arrays import open_npz
from dgmppl.data.split import Opened

if TYPE_CHECKING:
    from dgmppl.graph.nodes import DataSource
    from dgmppl.graph.supports import Type

Reader = Callable[["DataSource", Path, "Type"], Opened]

READERS: Mapping[str, Reader] = {"npz": open_npz}
