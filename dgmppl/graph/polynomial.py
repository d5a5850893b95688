"""Energies as sums of products of tensors, where they are: the form in which conditionals are derived.

An energy of binary units is multi-affine: x_i^2 = x_i, so each unit enters linearly when the others are fixed. A
categorical variable that picks elements, v[y], enters as its one-hot vector, sum_k v[k] 1[y = k], and is linear too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from dgmppl.graph.values import Constant, Declared, Element, Index, IndexSum, OneHot, Operation, Reduced, Use, Value

VALUES = ("variable", "category")  # the kinds of factors that read a variable
Factors = tuple[tuple[str, str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Window:
    """An axis that is read along an index with `count` values, from `start` on: the letter `axis` is `start` plus that
    of the index, or `start` alone where there is none. The axis has `size` elements.

    As a factor of a product it is a tensor of ones where that holds, and zeros elsewhere.
    """

    axis: str
    size: int
    start: int
    index: str = ""
    count: int = 1


@dataclass(frozen=True)
class Monomial:
    """`coefficient` times the product of `factors`, summed over every letter that is not free.

    A factor is (kind, name, index letters); its kind is "variable", "category" for a variable's one-hot vectors, with a
    letter for their values behind those of its axes, "param", or "ones" for a tensor of ones shaped like the variable
    or its one-hot vectors. `windows` say which letters follow others.
    """

    coefficient: float
    factors: Factors
    windows: tuple[Window, ...] = ()

    def degree(self, variable: str) -> int:
        """How often a variable stands in the product; a diagonal x[i, i] counts as two, its elements being singled
        out."""
        found = [indices for kind, name, indices in self.factors if kind in VALUES and name == variable]
        return sum(1 + (len(set(indices)) < len(indices)) for indices in found)

    def reads(self) -> set[str]:
        return {name for kind, name, _ in self.factors if kind in VALUES}

    def times(self, other: Monomial) -> Monomial:
        windows = tuple(dict.fromkeys((*self.windows, *other.windows)))
        return Monomial(self.coefficient * other.coefficient, self.factors + other.factors, windows)

    def scaled(self, by: float) -> Monomial:
        return replace(self, coefficient=self.coefficient * by)

    def letters(self) -> set[str]:
        """All that stand in it."""
        return _letters_of(self.factors, self.windows)

    def renamed(self, names: Mapping[str, str]) -> Monomial:
        """The same with other letters."""
        factors = tuple((k, n, tuple(names.get(i, i) for i in idx)) for k, n, idx in self.factors)
        windows = (replace(w, axis=names.get(w.axis, w.axis), index=names.get(w.index, w.index)) for w in self.windows)
        return Monomial(self.coefficient, factors, tuple(dict.fromkeys(windows)))


def _letters_of(factors: Factors, windows: tuple[Window, ...]) -> set[str]:
    found = {i for _, _, indices in factors for i in indices}
    return found | {w.axis for w in windows} | {w.index for w in windows if w.index}


@dataclass(frozen=True)
class Polynomial:
    """A sum of monomials with these free index letters, one for each axis of the result."""

    terms: tuple[Monomial, ...]
    free: tuple[str, ...] = ()

    def degree(self, variable: str) -> int:
        return max((m.degree(variable) for m in self.terms), default=0)

    def reads(self) -> set[str]:
        return {name for m in self.terms for name in m.reads()}

    def without(self, variables: Iterable[str]) -> Polynomial:
        """The polynomial where these variables are zero."""
        gone = set(variables)
        return Polynomial(tuple(m for m in self.terms if not m.reads() & gone), self.free)

    def derivative(self, variable: str) -> Polynomial:
        """The derivative by a variable of degree one, or by its one-hot vectors: its coefficient, an axis for each of
        the variable's."""
        found: list[Monomial] = []
        free: tuple[str, ...] = ()
        for m in self.terms:
            for k, (kind, name, indices) in enumerate(m.factors):
                if kind not in VALUES or name != variable:
                    continue
                rest = m.factors[:k] + m.factors[k + 1 :]
                if not set(indices) <= _letters_of(rest, m.windows) or not (rest or m.windows):
                    rest = (*rest, ("ones", variable, indices))  # the same for each of the axis's elements
                free = free or indices
                found.append(_freed(replace(m, factors=rest), indices, free))
        return Polynomial(tuple(found), free)

    def negated(self) -> Polynomial:
        return Polynomial(tuple(m.scaled(-1) for m in self.terms), self.free)


def _freed(monomial: Monomial, indices: tuple[str, ...], free: tuple[str, ...]) -> Monomial:
    """Gives the axes of a derivative the same letters in every term."""
    if free == indices:
        return monomial
    used = monomial.letters() | set(indices)
    names = (f"j{k}" for k in itertools.count(1))
    spare = (name for name in names if name not in used and name not in free)
    mapping = {c: next(spare) for c in sorted(used) if c in free}
    mapping.update(dict(zip(indices, free)))
    return monomial.renamed(mapping)


class _NotPolynomial(Exception):
    pass


class _Letters:
    """Letters that are not used yet. Those of windows are the same wherever the same elements are picked, so that
    factors that are the same are found to be."""

    def __init__(self) -> None:
        self.count = 0
        self.windows: dict[tuple[object, ...], Window] = {}

    def fresh(self) -> str:
        self.count += 1
        return f"i{self.count}"

    def window(self, size: int, start: int, index: str = "", count: int = 1) -> Window:
        key = (size, start, index, count)
        if key not in self.windows:
            self.windows[key] = Window(self.fresh(), size, start, index, count)
        return self.windows[key]


Axes = tuple[str, ...]
Env = Mapping[str, tuple[str, range]]


def polynomial(value: Value, binary: Iterable[str]) -> Polynomial | None:
    """A scalar value as a polynomial of variables and parameters, or None where it is none.

    `binary` variables are reduced by x^2 = x, one-hot vectors by e_k e_l = [k = l] e_k.
    """
    try:
        terms = list(_expand(value, (), {}, _Letters()))
    except _NotPolynomial:
        return None
    squares = set(binary)
    return Polynomial(tuple(_reduce(m, squares) for m in terms))


def _reduce(monomial: Monomial, binary: set[str]) -> Monomial:
    picked: dict[tuple[str, Axes], str] = {}
    same: dict[str, str] = {}
    for kind, name, indices in monomial.factors:
        if kind == "category":
            same[indices[-1]] = picked.setdefault((name, indices[:-1]), indices[-1])
    renamed = monomial.renamed(same)
    kept: list[tuple[str, str, Axes]] = []
    for factor in renamed.factors:
        kind, name, _ = factor
        if not ((kind == "category" or (kind == "variable" and name in binary)) and factor in kept):
            kept.append(factor)
    return replace(renamed, factors=tuple(kept))


def _expand(value: Value, axes: Axes, env: Env, letters: _Letters) -> Iterator[Monomial]:
    """The monomials of `value` with its axes given these letters."""
    if isinstance(value, Constant):
        yield Monomial(value.number, ())
    elif isinstance(value, Use):
        yield Monomial(1.0, (("variable", value.variable, axes),))
    elif isinstance(value, Declared):
        yield Monomial(1.0, (("param", value.name, axes),))
    elif isinstance(value, Element) and isinstance(value.value, (Use, Declared)):
        yield from _element(value, axes, env, letters)
    elif isinstance(value, IndexSum):
        sums = {name: (letters.fresh(), values) for name, values in value.indices}
        for m in _expand(value.body, (), {**env, **sums}, letters):
            # A term without an index is the same for each of its values.
            present = m.letters()
            yield m.scaled(math.prod(len(values) for letter, values in sums.values() if letter not in present))
    elif isinstance(value, Operation):
        yield from _operation(value, axes, env, letters)
    elif isinstance(value, OneHot) and isinstance(value.value, Use) and not value.value.type.support.low:
        yield Monomial(1.0, (("category", value.value.variable, axes),))
    elif isinstance(value, Reduced) and value.op in ("sum", "mean"):
        yield from _reduced(value, axes, env, letters)
    else:
        raise _NotPolynomial


def _reduced(value: Reduced, axes: Axes, env: Env, letters: _Letters) -> Iterator[Monomial]:
    rank, kept = len(value.value.shape), iter(axes)
    inner = tuple(letters.fresh() if k - rank in value.axes else next(kept) for k in range(rank))
    times = math.prod(value.value.shape[k] for k in value.axes) if value.op == "mean" else 1
    for m in _expand(value.value, inner, env, letters):
        yield replace(m, coefficient=m.coefficient / times)


def _element(value: Element, axes: Axes, env: Env, letters: _Letters) -> Iterator[Monomial]:
    found = Monomial(1.0, ())
    indices: list[str] = []
    for item, size in zip(value.index, value.value.shape):
        letter, picked = _picked(item, size, env, letters)
        indices.append(letter)
        found = found.times(picked)
    for m in _expand(value.value, (*indices, *axes), env, letters):
        yield found.times(m)


def _picked(item: int | Index | Value, size: int, env: Env, letters: _Letters) -> tuple[str, Monomial]:
    """The letter of an axis of this size at which an index stands, and what else comes into the product by it."""
    if isinstance(item, int):
        window = letters.window(size, item)
        return window.axis, Monomial(1.0, (), (window,))
    if isinstance(item, Index):
        index, values = env[item.name]
        return _along(size, values.start + item.offset, index, len(values), letters)
    picks, place = item, Monomial(1.0, ())
    where: list[str] = []
    if isinstance(item, Element) and not item.shape and all(isinstance(i, (int, Index)) for i in item.index):
        picks = item.value
        for inner, along in zip(item.index, picks.shape):
            letter, found = _picked(inner, along, env, letters)
            where.append(letter)
            place = place.times(found)
    count = picks.type.support.positions
    if not isinstance(picks, Use) or len(where) != len(picks.shape) or count is None:
        raise _NotPolynomial
    value = letters.fresh()
    letter, found = _along(size, 0, value, count, letters)
    category = Monomial(1.0, (("category", picks.variable, (*where, value)),))
    return letter, place.times(category).times(found)


def _along(size: int, start: int, index: str, count: int, letters: _Letters) -> tuple[str, Monomial]:
    """An axis of this size along an index: the letter of the index itself where they go over the same."""
    if start == 0 and count == size:
        return index, Monomial(1.0, ())
    window = letters.window(size, start, index, count)
    return window.axis, Monomial(1.0, (), (window,))


def _operation(value: Operation, axes: Axes, env: Env, letters: _Letters) -> Iterator[Monomial]:
    operands = value.operands
    if value.op == "negate":
        for m in _expand(operands[0], axes, env, letters):
            yield m.scaled(-1)
    elif value.op in "+-":
        # A number added to a tensor would be summed once, not once an element.
        if any(o.shape != value.shape for o in operands):
            raise _NotPolynomial
        yield from _expand(operands[0], axes, env, letters)
        for m in _expand(operands[1], axes, env, letters):
            yield m if value.op == "+" else m.scaled(-1)
    elif value.op == "*":
        left = list(_expand(operands[0], axes if operands[0].shape else (), env, letters))
        right = list(_expand(operands[1], axes if operands[1].shape else (), env, letters))
        yield from (a.times(b) for a in left for b in right)
    elif value.op == "/" and isinstance(operands[1], Constant) and operands[1].number:
        for m in _expand(operands[0], axes, env, letters):
            yield replace(m, coefficient=m.coefficient / operands[1].number)
    elif value.op == "^" and isinstance(operands[1], Constant) and operands[1].number == 2:
        square = list(_expand(operands[0], axes, env, letters))
        again = list(_expand(operands[0], axes, env, letters))
        yield from (a.times(b) for a in square for b in again)
    elif value.op == "@":
        inner = letters.fresh()
        cut = len(operands[0].shape) - 1
        left = list(_expand(operands[0], (*axes[:cut], inner), env, letters))
        right = list(_expand(operands[1], (inner, *axes[cut:]), env, letters))
        yield from (a.times(b) for a in left for b in right)
    elif value.op == "sum":
        yield from _expand(operands[0], tuple(letters.fresh() for _ in operands[0].shape), env, letters)
    else:
        raise _NotPolynomial
