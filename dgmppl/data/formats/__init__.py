"""Data sources by format: a function each, which finds a field and its rows.

To add a format, list it in `dgmppl.catalogue.formats`, where a spec is checked against it, and its reader in `READERS`
here. A reader takes the source as the spec writes it, the folder that relative paths start from, and the type that
the variable declares; it returns the field's rows, whole or split as the source gives them. What it raises as OSError
or ValueError is told as a file that cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dgmppl.data.formats.arrays import open_npy, open_npz
from dgmppl.data.formats.csv import open_csv
from dgmppl.data.formats.excel import open_excel
from dgmppl.data.formats.feather import open_feather
from dgmppl.data.formats.hub import open_huggingface, open_torchvision
from dgmppl.data.formats.idx import open_idx
from dgmppl.data.formats.images import open_folder
from dgmppl.data.formats.parquet import open_parquet
from dgmppl.data.split import Opened

if TYPE_CHECKING:
    from dgmppl.graph.nodes import DataSource
    from dgmppl.supports import Type

Reader = Callable[["DataSource", Path, "Type"], Opened]

READERS: Mapping[str, Reader] = {
    "huggingface": open_huggingface,
    "torchvision": open_torchvision,
    "npz": open_npz,
    "npy": open_npy,
    "csv": open_csv,
    "parquet": open_parquet,
    "feather": open_feather,
    "excel": open_excel,
    "idx": open_idx,
    "folder": open_folder,
}
