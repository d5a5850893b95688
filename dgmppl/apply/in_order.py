"""Rows in which what is missing comes last in the order of an autoregressive density: it is drawn on in that order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor

from dgmppl.apply.drawing import Completion, Values, by_row, finite, repeated
from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.values import variables
from dgmppl.imputations import Exactly, Way, both, in_order
from dgmppl.pipeline import Checked
from dgmppl.runtime import Autoregressive
from dgmppl.words import counted

AT_ONCE = 2**18
"""So many elements are drawn at once: of each, networks keep what they computed at the positions before."""


class InOrder(Completion):
    """Exactly, position by position, in the rows that allow it, and by another way in all others.

    Args:
        factors: the densities of what may be missing that give it in their order.
        others: the way of rows with gaps before something that is seen, or that lack what is read.
        way: what `others` goes by.
    """

    def __init__(self, factors: Sequence[Factor], graph: Graph, others: Completion, way: Way) -> None:
        super().__init__(way, others.missing, others.fitted, others.asked)
        self.factors, self.graph, self.others = {f.head: f for f in factors}, graph, others
        self.told = " and ".join(f.key for f in factors)
        self.words = (
            f"exact, in the order of {self.told}, in rows that miss only what comes after all that is seen; "
            f"in others {others.words}"
        )
        self.exactly = self.by_others = 0

    def copies(self, count: int) -> int:
        return count

    def quality(self) -> str:
        found = [f"{counted(self.exactly, 'row')} exactly, in the order of {self.told}"] if self.exactly else []
        if self.by_others:
            how = self.others.quality()
            found.append(counted(self.by_others, "other row") + (f": {how}" if how else ""))
        return "; ".join(found)

    def drawn(self, rows: Values, count: int) -> dict[str, Tensor]:
        n = len(next(iter(rows.values())))
        ordered = self._ordered(rows)
        width = sum(math.prod(rows[name].shape[1:]) for name in self.factors)
        left, parts = torch.ones(n, dtype=torch.bool, device=ordered.device), []
        for some in ordered.split(max(AT_ONCE // (width * count), 1)):
            if len(some):
                of_some = {name: v[some] for name, v in rows.items()}
                found = self.draw(of_some, count)
                possible = self._possible(of_some, found)
                left[some[possible]] = False
                parts.append((some[possible], {name: v[possible] for name, v in found.items()}))
        which = left.nonzero().flatten()
        self.exactly, self.by_others = self.exactly + n - len(which), self.by_others + len(which)
        if len(which):
            parts.append((which, self.others.drawn({name: v[which] for name, v in rows.items()}, count)))
        back = torch.cat([part for part, _ in parts]).argsort()
        return {name: torch.cat([found[name] for _, found in parts])[back] for name in self.missing}

    def draw(self, rows: Values, count: int) -> dict[str, Tensor]:
        """Draws of rows all of which are in order."""
        many = repeated(rows, count)
        found = {}
        for name in self.missing:
            value = many[name]
            found[name] = by_row(self._law(name, many).completed(value) if name in self.factors else value, count)
        return found

    def _ordered(self, rows: Values) -> Tensor:
        """The rows in which nothing is missing but what comes last in its order."""
        n = len(next(iter(rows.values())))
        whole = [~v.reshape(n, -1).isnan().any(1) for name, v in rows.items() if name not in self.factors]
        found = reduce(torch.logical_and, whole, self.fitted.like.new_ones(n).bool()).nonzero().flatten()
        for name in self.factors:
            some = {other: v[found] for other, v in rows.items()}
            found = found[self._law(name, some).seen_first(some[name])] if len(found) else found
        return found

    def _possible(self, rows: Values, drawn: Mapping[str, Tensor]) -> Tensor:
        """In which rows what is seen has a probability above 0: other ways say what becomes of the rest."""
        first = {**rows, **{name: v[:, 0] for name, v in drawn.items()}}
        densities = [self._law(name, first).log_prob(first[name]) for name in self.factors]
        return torch.stack([finite(d) > -torch.inf for d in densities]).all(0)

    def _law(self, name: str, rows: Values) -> Autoregressive:
        """The density of a variable given what it reads of rows."""
        factor = self.factors[name]
        read = (self._value(other, rows) for other in self.graph.reads(factor))
        law = getattr(self.fitted, factor.method)(*read)
        assert isinstance(law, Autoregressive)
        return law

    def _value(self, name: str, rows: Values) -> Tensor:
        """A variable of rows, or a feature that is computed from them."""
        definition = self.graph.definition(name)
        if name in rows or definition is None:
            return rows[name]
        read = (self._value(other, rows) for other in variables(definition.value))
        found: Tensor = getattr(self.fitted, f"define_{self.graph[name].ident}")(*read)
        return found


def with_order(checked: Checked, way: Way, found: Completion) -> Completion:
    """A completion that draws on in the order of autoregressive densities where that is exact; the same one where it is
    exact itself, or there are none."""
    factors = () if isinstance(way, Exactly) else in_order(checked, found.missing)
    return InOrder(factors, both(checked)[0], found, way) if factors else found


__all__ = ["with_order"]
