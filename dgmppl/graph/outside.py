"""What a formula of a flow reads that is known without its argument: it conditions the flow, by names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any

from dgmppl.graph.nodes import Variable
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Past, Use, Value, walk
from dgmppl.source import Span
from dgmppl.supports import Type


@contextmanager
def bound(scope: Scope, types: dict[str, Type], span: Span) -> Iterator[None]:
    """Names that mean values of these types inside of a formula, and nothing outside of it."""
    names, places = dict(scope.names), dict(scope.places)
    for name, type_ in types.items():
        scope.names[name] = Variable(name, name, "latent", type_, span)
        scope.places[name] = span
    try:
        yield
    finally:
        scope.names, scope.places = names, places


def reads(term: object, *names: str) -> bool:
    """Whether an expression reads any of these."""
    return any(isinstance(t, (Use, Past)) and t.variable in names for t in walk(term))


@dataclass
class Outside:
    """Values that are known without `arguments`, by the names under which a flow takes them."""

    scope: Scope
    arguments: tuple[str, ...]
    context: dict[str, Value] = field(default_factory=dict)

    def given(self, term: Any) -> Any:
        """A value with what is known outside by its name."""
        if isinstance(term, tuple):
            return tuple(map(self.given, term))
        if not isinstance(term, Value) or term.constant:
            return term
        if isinstance(term, Past) and term.variable not in self.arguments:
            return replace(term, variable=self._name(Use(term.type, term.span, term.variable)))
        if not (term.positional or reads(term, *self.arguments)):
            return Use(term.type, term.span, self._name(term), term.rows)
        changed = {f.name: self.given(getattr(term, f.name)) for f in fields(term) if f.init}
        return replace(term, **changed)

    def _name(self, value: Value) -> str:
        name = self.scope.context_name(value, form="value")
        while name in self.arguments:
            name += "_"
        self.context[name] = value
        return name


__all__ = ["Outside", "bound", "reads"]
