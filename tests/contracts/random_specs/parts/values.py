"""Arithmetic of variables in random specs, in the place of a location: a function for each kind, in `VALUES`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.contracts.random_specs.draft import Draft, Unit
from tests.contracts.random_specs.parts.networks import network


def affine_map(d: Draft, head: Unit, of: Sequence[Unit]) -> str | None:
    """`W @ z + b` over all parents that are real vectors, for a vector."""
    if not head.vector or not all(u.real and u.vector for u in of):
        return None
    parts = [f"{d.param(*head.shape, *u.shape)} @ {u.name}" for u in of]
    return " + ".join([*parts, d.param(*head.shape)])


def _elementwise(d: Draft, head: Unit, of: Sequence[Unit]) -> str | None:
    if not all(u.real and u.shape in (head.shape, ()) for u in of):
        return None
    return " + ".join(f"{d.choose(('0.5', '2', '')) or d.param()} * tanh({u.name})" for u in of)


def _elements(d: Draft, head: Unit, of: Sequence[Unit]) -> str | None:
    """Elements by number and by category, for a single number."""
    if head.shape:
        return None
    parts = []
    for u in of:
        if u.vector and (u.real or u.support == "binary"):
            parts.append(f"{d.param()} * {u.name}[{u.shape[0] - 1}]")
        elif u.support.startswith("categorical") and not u.shape:
            parts.append(f"{d.param(3)}[{u.name}]")
        elif u.support.startswith("categorical") and u.vector:
            parts.append(f"sum(i: {d.param(u.shape[0], 3)}[i, {u.name}[i]])")
        else:
            return None
    return " + ".join(parts)


def _rows(d: Draft, head: Unit, of: Sequence[Unit]) -> str | None:
    """Rows of matrices by class, and by number, for a vector."""
    if not head.vector or not all(u.support.startswith("categorical") and not u.shape for u in of):
        return None
    return " + ".join([*(f"{d.param(3, *head.shape)}[{u.name}]" for u in of), f"{d.param(2, *head.shape)}[1]"])


def _index_sum(d: Draft, head: Unit, of: Sequence[Unit]) -> str | None:
    """A sum over indices, for a single number."""
    if head.shape or not all(u.real and u.vector for u in of):
        return None
    parts = [f"sum(i, j: {d.param(u.shape[0], u.shape[0])}[i, j] * {u.name}[i] * {u.name}[j])" for u in of]
    near = [f"sum(i: {d.param(u.shape[0] - 1)}[i] * {u.name}[i] * {u.name}[i + 1])" for u in of if u.shape[0] > 1]
    return " + ".join([*parts, *near])


VALUES: tuple[Callable[[Draft, Unit, Sequence[Unit]], str | None], ...] = (
    affine_map,
    _elementwise,
    _elements,
    _rows,
    _index_sum,
)


POSITIVE = (
    "exp({})",
    "softplus({}) + 0.05",
    "0.1 + ({}) ^ 2",
    "1.5 - sigmoid({})",
    "sqrt(0.2 + abs({}))",
    "0.5 / (1 + exp({}))",
    "0.3 + relu({})",
    "1.2 + sin({})",
    "log(1.5 + exp({}))",
)
"""Functions of a real value that are positive."""


def positive(d: Draft, head: Unit, of: Sequence[Unit]) -> str:
    """A positive value, by arithmetic of a real one; now and then one that is of any sign, which is refused."""
    if d.often(0.1):
        return f"0.1 + {value(d, head, of)}"
    if of and d.often(0.2):
        name = d.name("s")
        shape = f"[{', '.join(map(str, head.shape))}]" if head.shape else ""
        d.say(f"let {name} : positive{shape} = {network(d, of)}")
        return name
    return d.choose(POSITIVE).format(value(d, head, of))


def value(d: Draft, head: Unit, of: Sequence[Unit]) -> str:
    """A real value in the shape of `head` that reads all of these: arithmetic where it can be, else a network."""
    found = d.choose(VALUES)(d, head, of) if of and d.often(0.5) else None
    return found or (network(d, of) if of else "param")
