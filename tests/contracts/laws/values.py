"""Values of a model's variables, given one after another by the factors' own methods."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor

from dgmppl.graph.nodes import Variable
from dgmppl.pipeline import Checked
from dgmppl.runtime import GenerativeModel
from dgmppl.supports import Type
from tests.contracts.oracles import WIDE
from tests.contracts.support import ended, graph_of, random_rows, seed

SPREAD = 0.6
"""Noise on all weights, so that networks, mixtures and flows are far from where they start."""

SMALL = 6
"""A law over more elements is too wide for any of the oracles."""


class Values:
    """Values of a model's variables by name, computed where they follow from others. What has rows is told apart."""

    def __init__(self, found: Checked, model: GenerativeModel, rows: dict[str, Tensor], n: int) -> None:
        self.graph, self.model, self.known, self.n = graph_of(found), model, dict(rows), n
        self.with_rows = {name for name in rows if self.graph[name].rows}

    def arguments(self, method: Callable[..., Any]) -> list[str]:
        """The variables that a method takes, by name."""
        by_ident = {v.ident: v.name for v in self.graph.variables}
        return [by_ident[name] for name in inspect.signature(method).parameters]

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.known:
            method = getattr(self.model, f"define_{self.graph[name].ident}")
            given = self.arguments(method)
            self.known[name] = method(*(self[g] for g in given))
            if any(g in self.with_rows for g in given):
                self.with_rows.add(name)
        return self.known[name]

    def distribution(self, side: str, head: str) -> tuple[Any, bool]:
        """A factor's distribution given what is known, and whether it has a row for each row."""
        factor = self.graph.factor(side, head)
        assert factor is not None
        method = getattr(self.model, factor.method)
        given = self.arguments(method)
        values = [self[g] for g in given]
        return method(*values), any(g in self.with_rows for g in given)

    def draw(self, side: str, head: str) -> None:
        law, rows = self.distribution(side, head)
        self.known[head] = law.sample() if rows or not self.graph[head].rows else law.sample((self.n,))
        self.with_rows |= {head} if self.graph[head].rows else set()


def in_double(model: GenerativeModel) -> GenerativeModel:
    """In double precision, in which draws may lie beyond the numbers that data have."""
    model.check_rows = False
    return model.double()


def arguments_of(values: Values, name: str) -> Iterable[str]:
    return values.arguments(getattr(values.model, f"define_{values.graph[name].ident}"))


def given_values(found: Checked, n: int, number: int) -> dict[str, Tensor]:
    """One random value of every variable of the spec, in n rows; of what all rows have in common, by itself."""
    with seed(number):
        values = {v: random_rows(v.type, 1).to(WIDE) for v in graph_of(found).variables if v.role != "let"}
    rows = {v.name: value.expand(n, *v.type.shape) if v.rows else value[0] for v, value in values.items()}
    return ended(found, rows)


def existing(found: Checked, name: str, rows: dict[str, Tensor]) -> Type:
    """The type of those members of a variable that exist in a row."""
    v = graph_of(found)[name]
    if not v.length:
        return v.type
    return Type(v.type.support, (int(rows[v.length].flatten()[0]) - v.members.start + 1, *v.type.shape[1:]))


def filled(v: Variable, values: Tensor) -> Tensor:
    """Values of the members that exist with what stands for the others."""
    if not v.length:
        return values
    made = values.new_full((len(values), *v.type.shape), v.element.feasible)
    made[:, : values.shape[1]] = values
    return made
