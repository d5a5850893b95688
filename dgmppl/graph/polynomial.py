"""Energies as sums of products of tensors, where they are: the form in which conditionals are derived.

An energy of binary units is multi-affine: x_i^2 = x_i, so each unit enters linearly when the others are fixed. A
categorical variable that picks elements, v[y], enters as its one-hot vector, sum_k v[k] 1[y = k], and is linear too.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dgmppl.graph.values import Constant, Declared, Element, IndexSum, OneHot, Operation, Reduced, Use, Value

VALUES = ("variable", "category")  # the kinds of factors that read a variable
Factors = tuple[tuple[str, str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Monomial:
    """`coefficient` times the product of `factors`, summed over every letter that is not free.

    A factor is (kind, name, index letters); its kind is "variable", "category" for a variable's one-hot vector,
    "param", or "ones" for a tensor of ones shaped like the variable.
    """

    coefficient: float
    factors: Factors

    def degree(self, variable: str) -> int:
        """How often a variable stands in the product; a diagonal x[i, i] counts as two, its elements being singled
        out."""
        found = [indices for kind, name, indices in self.factors if kind in VALUES and name == variable]
        return sum(1 + (len(set(indices)) < len(indices)) for indices in found)

    def reads(self) -> set[str]:
        return {name for kind, name, _ in self.factors if kind in VALUES}


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
        """The derivative by a variable of degree one: its coefficient, an axis for each of the variable's."""
        found: list[Monomial] = []
        free: tuple[str, ...] = ()
        for m in self.terms:
            for k, (kind, name, indices) in enumerate(m.factors):
                if kind not in VALUES or name != variable:
                    continue
                rest = m.factors[:k] + m.factors[k + 1 :]
                if not rest or not set(indices) <= {i for _, _, idx in rest for i in idx}:
                    rest = (*rest, ("ones", variable, indices))  # the same for each of the axis's elements
                renamed, free = _rename(rest, indices, free)
                found.append(Monomial(m.coefficient, renamed))
        return Polynomial(tuple(found), free)

    def negated(self) -> Polynomial:
        return Polynomial(tuple(Monomial(-m.coefficient, m.factors) for m in self.terms), self.free)


def _rename(factors: Factors, indices: tuple[str, ...], free: tuple[str, ...]) -> tuple[Factors, tuple[str, ...]]:
    """Gives the derivative's axes the same letters in every term."""
    wanted = free or indices
    if wanted == indices:
        return factors, wanted
    used = {i for _, _, idx in factors for i in idx} | set(indices)
    spare = iter(c for c in string.ascii_letters if c not in used and c not in wanted)
    mapping = {c: next(spare) for c in used if c in wanted}
    mapping.update(dict(zip(indices, wanted)))
    return tuple((k, n, tuple(mapping.get(i, i) for i in idx)) for k, n, idx in factors), wanted


class _NotPolynomial(Exception):
    pass


def polynomial(value: Value, binary: Iterable[str]) -> Polynomial | None:
    """A scalar value as a polynomial of variables and parameters, or None where it is none.

    `binary` variables are reduced by x^2 = x, one-hot vectors by e_k e_l = [k = l] e_k.
    """
    letters = iter(string.ascii_letters)
    try:
        terms = list(_expand(value, (), {}, letters))
    except (_NotPolynomial, StopIteration, RuntimeError):
        return None
    squares = set(binary)
    return Polynomial(tuple(_reduce(m, squares) for m in terms))


def _reduce(monomial: Monomial, binary: set[str]) -> Monomial:
    picked: dict[str, str] = {}
    same: dict[str, str] = {}
    for kind, name, indices in monomial.factors:
        if kind == "category":
            same[indices[0]] = picked.setdefault(name, indices[0])
    kept: list[tuple[str, str, tuple[str, ...]]] = []
    for kind, name, indices in monomial.factors:
        factor = (kind, name, tuple(same.get(i, i) for i in indices))
        if not ((kind == "category" or (kind == "variable" and name in binary)) and factor in kept):
            kept.append(factor)
    return Monomial(monomial.coefficient, tuple(kept))


def _fresh(letters: Iterator[str]) -> str:
    letter = next(letters, None)
    if letter is None:
        raise _NotPolynomial
    return letter


def _expand(value: Value, axes: tuple[str, ...], env: dict[str, str], letters: Iterator[str]) -> Iterator[Monomial]:
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
        sizes = {_fresh(letters): size for _, size in value.indices}
        inner = {**env, **dict(zip((name for name, _ in value.indices), sizes))}
        for m in _expand(value.body, (), inner, letters):
            # A term without an index is the same for each of its values.
            present = {i for _, _, indices in m.factors for i in indices}
            times = math.prod(size for letter, size in sizes.items() if letter not in present)
            yield Monomial(m.coefficient * times, m.factors)
    elif isinstance(value, Operation):
        yield from _operation(value, axes, env, letters)
    elif isinstance(value, OneHot) and isinstance(value.value, Use) and not value.value.shape:
        yield Monomial(1.0, (("category", value.value.variable, axes),))
    elif isinstance(value, Reduced) and value.op in ("sum", "mean"):
        yield from _reduced(value, axes, env, letters)
    else:
        raise _NotPolynomial


def _reduced(value: Reduced, axes: tuple[str, ...], env: dict[str, str], letters: Iterator[str]) -> Iterator[Monomial]:
    rank, kept = len(value.value.shape), iter(axes)
    inner = tuple(_fresh(letters) if k - rank in value.axes else next(kept) for k in range(rank))
    times = math.prod(value.value.shape[k] for k in value.axes) if value.op == "mean" else 1
    for m in _expand(value.value, inner, env, letters):
        yield Monomial(m.coefficient / times, m.factors)


def _element(value: Element, axes: tuple[str, ...], env: dict[str, str], letters: Iterator[str]) -> Iterator[Monomial]:
    indices: list[str] = []
    picked: list[tuple[str, str, tuple[str, ...]]] = []
    for i in value.index:
        if isinstance(i, str):
            indices.append(env[i])
        elif isinstance(i, Use) and not i.type.support.numeric:
            letter = _fresh(letters)
            indices.append(letter)
            picked.append(("category", i.variable, (letter,)))
        else:
            raise _NotPolynomial
    for m in _expand(value.value, (*indices, *axes), env, letters):
        yield Monomial(m.coefficient, (*picked, *m.factors))


def _operation(
    value: Operation, axes: tuple[str, ...], env: dict[str, str], letters: Iterator[str]
) -> Iterator[Monomial]:
    operands = value.operands
    if value.op == "negate":
        for m in _expand(operands[0], axes, env, letters):
            yield Monomial(-m.coefficient, m.factors)
    elif value.op in "+-":
        # A number added to a tensor would be summed once, not once an element.
        if any(o.shape != value.shape for o in operands):
            raise _NotPolynomial
        yield from _expand(operands[0], axes, env, letters)
        for m in _expand(operands[1], axes, env, letters):
            yield Monomial(m.coefficient if value.op == "+" else -m.coefficient, m.factors)
    elif value.op == "*":
        left = list(_expand(operands[0], axes if operands[0].shape else (), env, letters))
        right = list(_expand(operands[1], axes if operands[1].shape else (), env, letters))
        yield from (Monomial(a.coefficient * b.coefficient, a.factors + b.factors) for a in left for b in right)
    elif value.op == "/" and isinstance(operands[1], Constant) and operands[1].number:
        for m in _expand(operands[0], axes, env, letters):
            yield Monomial(m.coefficient / operands[1].number, m.factors)
    elif value.op == "^" and isinstance(operands[1], Constant) and operands[1].number == 2:
        square = list(_expand(operands[0], axes, env, letters))
        again = list(_expand(operands[0], axes, env, letters))
        yield from (Monomial(a.coefficient * b.coefficient, a.factors + b.factors) for a in square for b in again)
    elif value.op == "@":
        inner = _fresh(letters)
        cut = len(operands[0].shape) - 1
        left = list(_expand(operands[0], (*axes[:cut], inner), env, letters))
        right = list(_expand(operands[1], (inner, *axes[cut:]), env, letters))
        yield from (Monomial(a.coefficient * b.coefficient, a.factors + b.factors) for a in left for b in right)
    elif value.op == "sum":
        yield from _expand(operands[0], tuple(_fresh(letters) for _ in operands[0].shape), env, letters)
    else:
        raise _NotPolynomial
