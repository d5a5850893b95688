"""Rows at the door of a model: bound to its variables by position or by name, and held against their declared types.

A spec is never stretched: an array of another shape, or with a value that its variable cannot take, is refused here,
where torch would broadcast it and go on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dgmppl.runtime.lengths import within
from dgmppl.supports import SUPPORTS, Type


class RowsError(ValueError):
    """Rows that are none of the model's: which variable, what it is declared as, and what was found."""


@dataclass(frozen=True)
class DeclaredType:
    """A variable's declared type. `partial`: NaN stands in the rows that miss it; `elementwise`: for each element that
    is missing."""

    name: str
    type: Type
    partial: bool = False
    elementwise: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    def __str__(self) -> str:
        return f"`{self.name}` is declared {self.type.describe()}"


_TYPE = re.compile(r"(partial )?(elementwise )?(\w+)(?:\(([^)]*)\))?(?:\[([^\]]*)\])?")


def read_types(types: Mapping[str, str]) -> tuple[DeclaredType, ...]:
    """The types that an emitted class declares: `{"x": "integer(0..16)[64]", "y": "partial categorical(3)"}`."""
    found = []
    for name, text in types.items():
        match = _TYPE.fullmatch(text)
        assert match is not None, text
        partial, elementwise, word, numbers, axes = match.groups()
        shape = tuple(int(axis) for axis in (axes or "").split(",") if axis.strip())
        support = SUPPORTS[word].of(*(float(number) for number in re.split(r"\.\.|,", numbers or "") if number.strip()))
        found.append(DeclaredType(name, Type(support, shape), partial is not None, elementwise is not None))
    return tuple(found)


def bind(names: Sequence[str], rows: Sequence[Any], named: Mapping[str, Any], method: str) -> list[Any]:
    """What was passed by position and by name, in the order of the variables. A name that is Python's own may carry
    the underscore that emitted source gives it.

    Raises:
        TypeError: too many or too few, or a name that is no variable's.
    """
    takes = f"{method} takes {', '.join(names) or 'no rows'}"
    if len(rows) > len(names):
        raise TypeError(f"{takes}; {len(rows)} were passed")
    found = dict(zip(names, rows))
    for key, value in named.items():
        name = key if key in names else key.rstrip("_")
        if name not in names:
            raise TypeError(f"{takes}; there is no {key!r}")
        if name in found:
            raise TypeError(f"{takes}; {name!r} was passed twice")
        found[name] = value
    missing = [name for name in names if name not in found]
    if missing:
        raise TypeError(f"{takes}; {', '.join(missing)} is missing")
    return [found[name] for name in names]


def check_rows(
    declared: Sequence[DeclaredType], rows: Sequence[Any], like: Tensor, ends: Mapping[str, tuple[str, int]] = {}
) -> list[Tensor]:
    """Rows as tensors of the dtype of `like`, after every one was found to be of its declared type.

    Arrays and lists become tensors on its device; a tensor stays on its own. What lies beyond the `ends` of sequences
    (see `GenerativeModel.ends`) is not looked at, and becomes a value of the type.

    Raises:
        RowsError: an array that holds no numbers, of another shape, or of other values; or not as many rows of each
            variable.
    """
    tensors = [_tensor(d, value, like) for d, value in zip(declared, rows, strict=True)]
    for d, value in zip(declared, tensors):
        _check_shape(d, value)
    counts = {len(value) for value in tensors}
    if len(counts) > 1:
        each = ", ".join(f"{len(value)} of `{d.name}`" for d, value in zip(declared, tensors))
        raise RowsError(f"there are as many rows of each variable: found {each}")
    for d, value in sorted(zip(declared, tensors), key=lambda pair: pair[0].name in ends):
        if d.name in ends:
            value = _ended(declared, tensors, d, *ends[d.name])
        check_values(d, value)
    return [value.to(like.dtype) for value in tensors]


def _ended(
    declared: Sequence[DeclaredType], tensors: list[Tensor], sequence: DeclaredType, length: str, first: int
) -> Tensor:
    """Sequences with a value of their type beyond their ends, and NaN in rows that miss one as a whole; they take the
    place of those among the tensors."""
    names = [d.name for d in declared]
    at = names.index(sequence.name)
    lengths, behind = tensors[names.index(length)] - (first - 1), len(sequence.shape) - 1
    value = within(tensors[at], lengths, behind, sequence.type.feasible)
    if sequence.partial and not sequence.elementwise and value.is_floating_point():
        gone = within(value, lengths, behind, torch.nan).isnan().flatten(1).all(1)
        value = value.masked_fill(gone.reshape(-1, *[1] * (behind + 1)), torch.nan)
    tensors[at] = value
    return tensors[at]


def _tensor(declared: DeclaredType, value: Any, like: Tensor) -> Tensor:
    if isinstance(value, Tensor):
        tensor = value
    else:
        try:
            tensor = torch.as_tensor(value, device=like.device)
        except (TypeError, ValueError, RuntimeError) as error:
            raise RowsError(f"{declared}: an array of numbers is expected, not {type(value).__name__}") from error
    if tensor.is_complex():
        raise RowsError(f"{declared}: real numbers are expected, not {tensor.dtype}")
    return tensor


def _check_shape(declared: DeclaredType, value: Tensor) -> None:
    if value.shape[1:] == declared.shape and value.dim() > 0:
        return
    expected = f"({', '.join(['n', *map(str, declared.shape)])}{'' if declared.shape else ','})"
    hint = ""
    if value.shape == declared.shape:
        hint = "; a single row has an axis for it too: `row[None]`"
    elif value.dim() > 0 and value.shape[1:].numel() == declared.type.elements and len(value):
        hint = f"; `reshape({', '.join(['-1', *map(str, declared.shape)])})` makes it so"
    raise RowsError(f"{declared}: rows of shape {expected} are expected, not {tuple(value.shape)}{hint}")


def check_values(declared: DeclaredType, value: Tensor) -> None:
    """Raises RowsError for the first value that the variable cannot take. Values are not looked at while torch traces
    or maps over them, where there are none yet."""
    from dgmppl.data.checks import find_problem

    if torch.compiler.is_compiling() or torch.jit.is_tracing() or _mapped(value) or value.is_meta or not value.numel():
        return
    plain = value.detach().cpu()
    array = (plain.float() if plain.dtype in (torch.bfloat16, torch.float16, torch.bool) else plain).numpy()
    numbers = list(range(len(array)))
    if declared.elementwise and plain.is_floating_point():
        array = np.where(np.isnan(array), declared.type.feasible, array)
    elif declared.partial and plain.is_floating_point():
        gone = plain.isnan().reshape(len(plain), -1).all(1)
        numbers = (~gone).nonzero().flatten().tolist()
        array = array[numbers]
    problem = find_problem(array, declared.type.support)
    if problem is None:
        return
    row, column, found, expected = problem
    place = f"row {numbers[row]}" + (f", element {list(column)}" if column else "")
    raise RowsError(f"{declared}: {place} is {found}; {expected}")


def _mapped(value: Tensor) -> bool:
    """Whether a transform of `torch.func` is at work on a tensor."""
    return torch._C._functorch.is_functorch_wrapped_tensor(value)


__all__ = ["DeclaredType", "RowsError", "bind", "check_rows", "check_values", "read_types"]
