"""A bijection as a spec writes it, before anything is built."""

from __future__ import annotations

from dataclasses import dataclass

from dgmppl.catalogue.bijections import BijectionKind
from dgmppl.graph.scope import NamedFlow
from dgmppl.source import Span
from dgmppl.syntax import tree

Shape = tuple[int, ...]


@dataclass
class Outline:
    """A bijection of a spec: a "chain" of `parts`, a "repeat" of one part, the "inverse" of one, one made "reversible",
    a named "flow", the "levels" of a multi-scale one, a "block" of the catalogue with what stands in its brackets
    and parentheses, a "step" of a formula, which the value `by` or some `operands` make, an "integral" of what moves
    `base`, or a "triangular" `formula` of one element, which has one part."""

    expr: tree.Expr
    kind: str
    parts: tuple[Outline, ...] = ()
    count: int = 1
    entry: BijectionKind | None = None
    items: tuple[object, ...] = ()
    call: tree.Call | None = None
    flow: NamedFlow | None = None
    by: tree.Expr | None = None
    formula: tree.Flow | None = None
    operands: tuple[tree.Expr, ...] = ()
    integral: tree.Integral | None = None
    base: tree.Expr | None = None
    takes: Shape = ()
    gives: Shape = ()

    @property
    def span(self) -> Span:
        return self.expr.span

    @property
    def length(self) -> int:
        """How many bijections are applied one after another, repeats within repeats included."""
        if self.flow is not None and self.flow.outline is not None:
            return self.flow.outline.length
        return self.count * sum(p.length for p in self.parts) if self.parts else 1
