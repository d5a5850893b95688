"""From `from threshold(digits.image, 8)` to arrays: read, transform, split and check every value once."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.catalogue import DATASETS
from dgmppl.data.checks import verify_column
from dgmppl.data.readers import read_dataset
from dgmppl.data.transforms import TRANSFORMS, Array, Column, Part
from dgmppl.diagnostics import Diagnostic, SpecError, did_you_mean

if TYPE_CHECKING:
    from dgmppl.graph.nodes import DataSource
    from dgmppl.graph.supports import Type

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Splits:
    """The data of a model by split: for each observed variable an array float32 of shape (rows, *shape)."""

    train: dict[str, NDArray[np.float32]]
    validation: dict[str, NDArray[np.float32]]
    test: dict[str, NDArray[np.float32]]

    def __iter__(self) -> Iterator[tuple[str, dict[str, NDArray[np.float32]]]]:
        return iter((("train", self.train), ("validation", self.validation), ("test", self.test)))


def load(sources: Mapping[str, DataSource], types: Mapping[str, Type], base: Path = Path()) -> Splits:
    """Loads what the observed variables are declared `from`, and checks it against their types.

    Args:
        sources: for each observed variable where its values come from; names were checked with the spec.
        types: for each of these variables its support and shape.
        base: folder that relative file paths start from: the one the spec lies in.

    Raises:
        SpecError: with a diagnostic for every variable whose data is missing or breaks its type.
    """
    columns: dict[str, Column] = {}
    problems: list[Diagnostic] = []
    for name, source in sources.items():
        try:
            column = _transform(_read(source, base), source)
            verify_column(name, column, types[name], source)
            columns[name] = column
        except SpecError as error:
            problems.extend(error.diagnostics)
    if not problems:
        problems.extend(_verify_rows(columns, sources))
    if problems:
        raise SpecError(problems)
    return Splits(*({n: c.parts[s].values.astype(np.float32) for n, c in columns.items()} for s in SPLITS))


def _read(source: DataSource, base: Path) -> Column:
    return _read_file(source, base) if source.is_file else _read_named(source)


def _read_named(source: DataSource) -> Column:
    field = DATASETS[source.dataset].fields[source.field]
    values = read_dataset(source.dataset)[source.field]
    where = f"{source.dataset}.{source.field}"
    return Column(_split(values, where, DATASETS[source.dataset].splits), field.low, field.high)


def _split(values: Array, where: str, sizes: tuple[int, int, int]) -> dict[str, Part]:
    ends = np.cumsum((0, *sizes))
    return {
        name: Part(values[start:end], where, int(start))
        for name, start, end in zip(SPLITS, ends[:-1], ends[1:], strict=True)
    }


def _read_file(source: DataSource, base: Path) -> Column:
    path = base / source.dataset
    try:
        _verify_npz(path)
        with np.load(path, allow_pickle=False) as archive:
            split_names = [f"{source.field}_{split}" for split in SPLITS]
            if all(name in archive.files for name in split_names):
                return Column(
                    {
                        split: Part(_numbers(archive, name), f"{source.dataset}, array {name}")
                        for split, name in zip(SPLITS, split_names, strict=True)
                    }
                )
            if source.field not in archive.files:
                help_ = did_you_mean(source.field, archive.files, f"it holds {', '.join(archive.files) or 'nothing'}")
                headline = f"{source.dataset} has no array `{source.field}`"
                raise SpecError([Diagnostic("E504", headline, source.span, help=help_)])
            values = _numbers(archive, source.field)
    except FileNotFoundError:
        headline = f"there is no file {source.dataset}"
        help_ = f"a relative path starts from the folder of the spec: {path.resolve()}"
        raise SpecError([Diagnostic("E503", headline, source.span, help=help_)]) from None
    except (OSError, ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile) as error:
        headline = f"cannot read {source.dataset}: {_plain(error)}"
        help_ = "write it with numpy.savez(path, name=array), the arrays of numbers only"
        raise SpecError([Diagnostic("E503", headline, source.span, help=help_)]) from None
    train, validation = int(0.6 * len(values)), int(0.2 * len(values))
    sizes = (train, validation, len(values) - train - validation)
    return Column(_split(values, f"{source.dataset}, array {source.field}", sizes))


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


def _numbers(archive: Mapping[str, NDArray[np.generic]], name: str) -> Array:
    try:
        array = archive[name]
    except ValueError as error:
        # numpy's own advice is to allow pickles, which would run what the file says.
        if "pickle" in str(error).lower():
            raise ValueError(f"array `{name}` holds Python objects, not numbers") from None
        raise
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        found = f"array `{name}` is of type {array.dtype} with shape {array.shape}"
        raise ValueError(f"{found}, rows of numbers are needed")
    return array.astype(np.float64)


def _plain(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _transform(column: Column, source: DataSource) -> Column:
    for name, numbers in source.transforms:
        try:
            column = TRANSFORMS[name](column, *numbers)
        except ValueError as error:
            raise SpecError([Diagnostic("E508", f"{name}: {error}", source.span)]) from None
    return column


def _verify_rows(columns: Mapping[str, Column], sources: Mapping[str, DataSource]) -> Iterator[Diagnostic]:
    """Variables are observed together, so their data must have the same rows; and each split some."""
    first = next(iter(columns), None)
    if first is None:
        return
    for split in SPLITS:
        rows = {name: len(column.parts[split].values) for name, column in columns.items()}
        if rows[first] == 0:
            help_ = "an array is split 60/20/20, which takes 5 rows at least; or give NAME_train, _validation and _test"
            yield Diagnostic("E505", f"no row of `{first}` is left for {split}", sources[first].span, help=help_)
            return
        for name, count in rows.items():
            if count != rows[first]:
                headline = f"`{name}` has {count} rows for {split}, but `{first}` has {rows[first]}"
                help_ = "variables that are observed together need data of the same rows, in the same order"
                yield Diagnostic("E505", headline, sources[name].span, help=help_)
                return
