"""Formats of data as a spec names them: files by the end of their name, libraries by a prefix.

Nothing is read here, so checking a spec stays fast. How each is read is in `dgmppl.data.formats`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """What a source's name looks like, and what may follow it.

    Attributes:
        pattern: of the whole name, letters in any case.
        holds: what it is.
        example: a field of it, as a spec writes it.
        written: how such a file is made, for who has one that cannot be read.
        alone: whether the name stands alone, without a field.
        columns: whether columns can be listed in brackets.
        cells: whether a column has one number or text a row.
        named: whether `.NAME` follows.
        fields: the only names that may follow; empty: any.
        names: where the name after a prefix is one of a few.
        extra: the optional part of the package that it needs.
        streams: whether it can be read from disk as it is used.
    """

    pattern: str
    holds: str
    example: str
    written: str = ""
    alone: bool = False
    columns: bool = False
    cells: bool = False
    named: bool = True
    fields: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    extra: str = ""
    streams: bool = False


# Sets of torchvision whose files hold plain numbers. Others come as pickles, which can run code.
TORCHVISION = ("MNIST", "FashionMNIST", "KMNIST")

# The first whose pattern fits is the format of a name; `dgmppl.data.formats.READERS` has a reader for each.
FORMATS: Mapping[str, Format] = {
    "huggingface": Format(
        r"hf:.+",
        "a data set of Hugging Face, or a folder of one that was saved to disk: `hf:./folder`",
        '"hf:ylecun/mnist".image',
        columns=True,
        extra="huggingface",
    ),
    "torchvision": Format(
        r"torchvision:.*",
        "a data set of torchvision",
        '"torchvision:MNIST".image',
        fields=("image", "label"),
        names=TORCHVISION,
        extra="torchvision",
    ),
    "npz": Format(
        r".*\.npz",
        "numpy arrays by name",
        '"mine.npz".x',
        "write it with numpy.savez(path, name=array), the arrays of numbers only",
    ),
    "npy": Format(
        r".*\.npy",
        "one numpy array",
        '"x.npy"',
        "write it with numpy.save(path, array)",
        alone=True,
        named=False,
        streams=True,
    ),
    "csv": Format(
        r".*\.(csv|tsv)(\.gz)?",
        "a table as text: `.csv`, `.tsv`, `.csv.gz`, `.tsv.gz`",
        '"table.csv".age',
        "a row that names the columns, then a row of cells for each example",
        alone=True,
        columns=True,
        cells=True,
    ),
    "parquet": Format(
        r".*\.parquet",
        "a table",
        '"table.parquet".age',
        "write it with pyarrow.parquet.write_table(table, path)",
        alone=True,
        columns=True,
        streams=True,
    ),
    "feather": Format(
        r".*\.(feather|arrow)",
        "a table, as Arrow keeps it",
        '"table.feather".age',
        "write it with pyarrow.feather.write_feather(table, path)",
        alone=True,
        columns=True,
    ),
    "excel": Format(
        r".*\.xlsx",
        "a sheet of a workbook",
        '"table.xlsx".age',
        "a row that names the columns, then a row of cells for each example, saved as .xlsx",
        alone=True,
        columns=True,
        cells=True,
        extra="excel",
    ),
    "idx": Format(
        r".*[-.]idx\d?(-[a-z]+)?(\.gz)?",
        "one array in IDX, the format of MNIST",
        '"train-images-idx3-ubyte.gz"',
        alone=True,
        named=False,
        streams=True,
    ),
    "folder": Format(
        r"(.*/)?[^/.]+|.*[/.]",
        "a folder of images, or of MNIST's four files, which are streamed as IDX is",
        '"photos".image',
        fields=("image", "label"),
    ),
}


def format_of(dataset: str) -> str:
    """The format of a file or folder by its name; "" where the name says none."""
    return next((name for name, format in FORMATS.items() if re.fullmatch(format.pattern, dataset, re.I | re.S)), "")


def field_text(
    dataset: str, field: str, is_file: bool, columns: tuple[str, ...] = (), options: tuple[str, ...] = ()
) -> str:
    """A field as a spec writes it: `digits.image`, `"table.csv"[age, "blood pressure", decimal = ","]`."""
    name = f'"{dataset}"' if is_file else dataset
    name += f".{_column_text(field)}" if field else ""
    inside = (*map(_column_text, columns), *options)
    return f"{name}[{', '.join(inside)}]" if inside else name


def _column_text(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) else f'"{name}"'
