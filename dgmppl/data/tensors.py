"""Tensors of fixed values: `const A : real[8, 8] from "a.npy"`, read as numbers only and checked against their type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.checks import find_problem
from dgmppl.data.formats.arrays import map_npy
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.words import are, counted

if TYPE_CHECKING:
    from dgmppl.graph.nodes import Fixed

Array = NDArray[Any]


def verify_headers(tensors: Sequence[Fixed], base: Path) -> Iterator[Diagnostic]:
    """What the headers of files say that are there: a shape that is not the declared one (E505), something else than
    numbers (E503). A file that is not there is missed when its values are needed: a run has them with its weights.
    """
    for tensor in tensors:
        if (base / tensor.data.dataset).exists():
            try:
                _opened(tensor, base)
            except SpecError as error:
                yield from error.diagnostics


def read_tensors(tensors: Sequence[Fixed], base: Path) -> dict[str, NDArray[np.float32]]:
    """The values of fixed tensors in single precision, by what the model calls them.

    Args:
        base: folder that relative file paths start from: the one the spec lies in.

    Raises:
        SpecError: with a diagnostic for every file that cannot be read (E503), has another shape (E505), or holds
            values outside the declared type (E506).
    """
    problems: list[Diagnostic] = []
    found: dict[str, NDArray[np.float32]] = {}
    for tensor in tensors:
        try:
            found[tensor.ident] = _read(tensor, base)
        except SpecError as error:
            problems.extend(error.diagnostics)
    if problems:
        raise SpecError(problems)
    return found


def _read(tensor: Fixed, base: Path) -> NDArray[np.float32]:
    values = np.array(_opened(tensor, base), dtype=np.float64)
    problem = find_problem(values[None], tensor.type.support)
    if problem is None:
        return values.astype(np.float32)
    _, place, value, expected = problem
    where = tensor.data.dataset + (f" at [{', '.join(map(str, place))}]" if place else "")
    headline = f"`{tensor.name}` is declared {tensor.type.describe()}, but {where} is {value}"
    raise _wrong(tensor, "E506", headline, expected, "positions are counted from 0" if place else "")


def _opened(tensor: Fixed, base: Path) -> Array:
    """The array of a file, of which the header alone is read so far; no pickle is."""
    name = tensor.data.dataset
    try:
        array: Array = map_npy(base / name)
    except FileNotFoundError:
        help_ = f"a relative path starts from the folder of the spec: {(base / name).resolve()}"
        raise _wrong(tensor, "E503", f"there is no file {name}", "", help_) from None
    except OSError as error:
        raise _unreadable(tensor, error.strerror or type(error).__name__) from None
    except (ValueError, EOFError, OverflowError, MemoryError) as error:
        raise _unreadable(tensor, str(error).split("\n")[0] or type(error).__name__) from None
    if array.dtype.kind not in "biuf":
        raise _unreadable(tensor, f"it holds values of type {array.dtype}, not real numbers")
    _verify_shape(tensor, array.shape)
    return array


def _verify_shape(tensor: Fixed, shape: tuple[int, ...]) -> None:
    declared = tensor.type.shape
    if shape == declared:
        return
    whole = f"declared as {tensor.type.describe()}"
    if len(shape) != len(declared):
        headline = f"{tensor.data.dataset} has shape {list(shape)}, `{tensor.name}` is {whole}"
        raise _wrong(
            tensor,
            "E505",
            headline,
            f"{counted(len(declared), 'axis')} {are(len(declared))} expected, not {len(shape)}",
        )
    axis = next(k for k, (found, wanted) in enumerate(zip(shape, declared)) if found != wanted)
    headline = f"axis {axis} of {tensor.data.dataset} has {counted(shape[axis], 'element')}, `{tensor.name}` is {whole}"
    raise _wrong(tensor, "E505", headline, f"{declared[axis]} are expected")


def _unreadable(tensor: Fixed, why: str) -> SpecError:
    return _wrong(tensor, "E503", f"cannot read {tensor.data.dataset}: {why}", "", "numpy.save writes an array")


def _wrong(tensor: Fixed, code: str, headline: str, label: str, help: str = "") -> SpecError:
    return SpecError([Diagnostic(code, headline, tensor.data.span, label, help=help)])
