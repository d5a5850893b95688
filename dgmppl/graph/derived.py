"""A q that nobody wrote: as text that can be pasted into a spec, and as the statement that this would be."""

from __future__ import annotations

from dataclasses import dataclass

from dgmppl.graph.nodes import Variable, factor_key
from dgmppl.source import Source, Span
from dgmppl.supports import POSITIVE
from dgmppl.syntax import tree
from dgmppl.syntax.override import moved
from dgmppl.syntax.parse import parse_spec

NARROW = 0.1
"""The deviation at which the q of what is positive and a group has in common starts, of its logarithm."""


@dataclass(frozen=True)
class Posterior:
    """`q(head | parents) = family(mlp[hidden](parents))`, or `family(inside)` where that is given."""

    head: Variable
    parents: tuple[Variable, ...]
    hidden: tuple[int, ...] = ()
    inside: str = ""

    @property
    def family(self) -> str:
        return self.head.type.support.posterior

    def text(self) -> str:
        """As a user would write it."""
        given = ", ".join(v.name for v in self.parents)
        sizes = f"[{', '.join(map(str, self.hidden))}]" if self.hidden else ""
        inside = self.inside or (f"mlp{sizes}({given})" if self.parents else "param")
        return f"{factor_key('q', self.head.name, (v.name for v in self.parents))} = {self.family}({inside})"

    def statement(self, span: Span) -> tree.Factor:
        """What the parser makes of the text, all of it at `span`: many of them take long to parse."""
        if self.inside or not self.parents:
            return _parsed(self.text(), span)
        network: tree.Expr = tree.Name(span, "mlp")
        if self.hidden:
            network = tree.Bracket(span, network, tuple(_number(size, span) for size in self.hidden))
        given = tree.Call(span, network, tuple(_read(v, span) for v in self.parents))
        value = tree.Call(span, tree.Name(span, self.family), (given,))
        return tree.Factor(
            span, "q", (_reference(self.head, span),), tuple(_reference(v, span) for v in self.parents), value
        )


def starts_narrow(variable: Variable) -> bool:
    """Whether the q of what rows have in common starts narrow: of what is positive; see `dgmppl.graph.starts`."""
    return variable.type.support == POSITIVE


def as_classes(group: Variable) -> str:
    """A group as networks are to read it: each of its values by itself, and not as the number that it is."""
    by_itself = group.type.support.width == group.type.support.size or group.type.support.size == 2
    return group.name if by_itself else f"one_hot({group.name})"


def _parsed(text: str, span: Span) -> tree.Factor:
    spec, _ = parse_spec(Source("derived", f"model m\n{text}"))
    assert spec is not None and isinstance(spec.statements[0], tree.Factor)
    return moved(spec.statements[0], span)


def _index(variable: Variable, span: Span) -> tuple[tree.Expr, ...]:
    """The number of a family's member."""
    if variable.family is None or variable.index is None:
        return ()
    number = _number(abs(variable.index), span)
    return (tree.Negate(span, number) if variable.index < 0 else number,)


def _reference(variable: Variable, span: Span) -> tree.Reference:
    return tree.Reference(span, variable.family or variable.name, _index(variable, span))


def _read(variable: Variable, span: Span) -> tree.Expr:
    name, index = tree.Name(span, variable.family or variable.name), _index(variable, span)
    return tree.Bracket(span, name, index) if index else name


def _number(value: int, span: Span) -> tree.Number:
    return tree.Number(span, float(value), str(value))
