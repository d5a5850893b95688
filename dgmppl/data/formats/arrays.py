"""numpy's files: arrays by name (.npz), and one array (.npy) that can be streamed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.formats.binary import BinaryRows
from dgmppl.data.formats.columns import array_days
from dgmppl.data.forms import form_of_dtype
from dgmppl.data.rows import ArrayRows, Origin, Rows, Values
from dgmppl.data.split import Opened
from dgmppl.data.table import SPLITS
from dgmppl.diagnostics import Diagnostic, SpecError, did_you_mean

if TYPE_CHECKING:
    from dgmppl.graph.nodes import DataSource
    from dgmppl.supports import Type


def open_npy(source: DataSource, base: Path, declared: Type) -> Opened:
    """The one array of a file, as numpy.save writes it."""
    path = base / source.dataset
    array = map_npy(path)
    if source.dates and array.dtype.kind in "MU":
        return Opened({"all": _dates(np.asarray(array), source.dataset, "the array")})
    verify_numbers(array, "the array")
    origin = Origin(source.dataset, form=form_of_dtype(array.dtype))
    if not array.flags.c_contiguous:
        # A row of an array that is stored column by column lies all over the file.
        return Opened({"all": ArrayRows(np.load(path, allow_pickle=False), origin, "it is stored column by column")})
    return Opened({"all": BinaryRows(path, array.dtype, array.offset, len(array), array.shape[1:], origin)})


def map_npy(path: Path) -> np.memmap[Any, Any]:
    """The array of a .npy file, whose values are read when they are used. Raises ValueError for what is none."""
    with path.open("rb") as file:
        start = file.read(6)
    if start[:2] == b"PK":
        raise ValueError("it holds arrays by name, as numpy.savez writes them: call it .npz")
    if start != b"\x93NUMPY":
        raise ValueError("it holds Python objects, not numbers" if start[:1] == b"\x80" else "it is no .npy file")
    try:
        found: np.memmap[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return found
    except TokenError:
        raise ValueError("its header is damaged") from None
    except ValueError as error:
        # numpy's own advice is to allow pickles, which would run what the file says.
        if "object" in str(error).lower():
            raise ValueError("it holds Python objects, not numbers") from None
        if "mmap" in str(error):
            raise ValueError("it is cut off: it holds fewer values than its header announces") from None
        raise


def open_npz(source: DataSource, base: Path, declared: Type) -> Opened:
    """The array of the field's name, or its arrays NAME_train, NAME_validation and NAME_test, two of them at least."""
    path = base / source.dataset
    _verify_npz(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            return _named(archive, source)
    except (zlib.error, struct.error, NotImplementedError, RuntimeError, OverflowError) as error:
        raise ValueError(f"it is cut off or damaged ({error})") from None


def _named(archive: Any, source: DataSource) -> Opened:
    given = {split: f"{source.field}_{split}" for split in SPLITS}
    given = {split: name for split, name in given.items() if name in archive.files}
    if source.field not in archive.files and "train" in given and len(given) > 1:
        return Opened({split: _rows(archive, name, source) for split, name in given.items()})
    if source.field not in archive.files:
        help_ = did_you_mean(source.field, archive.files, f"it holds {', '.join(archive.files) or 'nothing'}")
        headline = f"{source.dataset} has no array `{source.field}`"
        raise SpecError([Diagnostic("E504", headline, source.span, help=help_)])
    return Opened({"all": _rows(archive, source.field, source)})


def _verify_npz(path: Path) -> None:
    """Tells by its first bytes what a file is, whatever its name says. Raises ValueError for what is no .npz file."""
    with path.open("rb") as file:
        start = file.read(6)
    if start == b"\x93NUMPY":
        raise ValueError("it holds a single array without a name, as numpy.save writes it")
    if start[:1] == b"\x80":
        raise ValueError("it holds Python objects, not numbers")
    if start[:2] != b"PK":
        raise ValueError("it is no .npz file")


def _rows(archive: Mapping[str, NDArray[np.generic]], name: str, source: DataSource) -> Rows:
    try:
        array = archive[name]
    except ValueError as error:
        # numpy's own advice is to allow pickles, which would run what the file says.
        if "pickle" in str(error).lower():
            raise ValueError(f"array `{name}` holds Python objects, not numbers") from None
        raise
    if source.dates and array.dtype.kind in "MU":
        return _dates(array, f"{source.dataset}, array {name}", name)
    verify_numbers(array, f"array `{name}`")
    return ArrayRows(array, Origin(f"{source.dataset}, array {name}", form=form_of_dtype(array.dtype)))


def _dates(array: NDArray[Any], where: str, name: str) -> Rows:
    """Dates, times, or texts of them, of which an empty one is missing."""
    if array.dtype.kind == "U":
        array = array.astype(object)
        array[array == ""] = None
    days, form = array_days(array, name)
    return ArrayRows(days, Origin(where, form=form))


def verify_numbers(array: Values, what: str) -> Values:
    """The array, if its rows are numbers. Raises ValueError otherwise."""
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise ValueError(f"{what} is of type {array.dtype} with shape {array.shape}, rows of numbers are needed")
    return array
