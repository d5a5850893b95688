"""What every typed expression is: a value, a bijection, a density or a network; how one is walked and rewritten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from typing import Any

from dgmppl.source import Span
from dgmppl.supports import Type


class Term:
    """A typed expression."""

    @cached_property
    def parts(self) -> tuple[Term, ...]:
        """The expressions right below it: a network holds none."""
        if not isinstance(self, (Value, Bijection, Density)):
            return ()
        kind: Any = type(self)
        return tuple(term for name in _fields(kind) for term in _terms(getattr(self, name)))

    @cached_property
    def inside(self) -> tuple[Term, ...]:
        """It and every expression inside it, outermost first."""
        return (self, *(term for part in self.parts for term in part.inside))


@dataclass(frozen=True)
class Value(Term):
    """A tensor of a known type. Its shape is that of one row; the batch is implied."""

    type: Type
    span: Span = field(compare=False, repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    @property
    def own_rows(self) -> bool:
        """Whether it is itself read from the rows, whatever it is computed from."""
        return False

    @property
    def rows(self) -> bool:
        """Whether each row has a value of its own: whether it is computed from anything that has. Only then does it
        have a batch axis."""
        return any(isinstance(t, Value) and t.own_rows for t in walk(self))

    @property
    def own_positions(self) -> bool:
        """Whether it is itself read at a position, whatever it is computed from."""
        return False

    @property
    def positional(self) -> bool:
        """Whether it has a value for each position of an element by element factor. Only then has it axes for them,
        which stand behind the batch and are no part of its shape."""
        return self.own_positions or any(isinstance(t, Value) and t.positional for t in children(self))

    @property
    def own_tensor(self) -> bool:
        """Whether it is itself a tensor, whatever it is computed from."""
        return False

    @property
    def constant(self) -> bool:
        """Whether it is computed from constants alone, and so is no tensor but a number."""
        return not self.shape and not any(isinstance(t, Value) and t.own_tensor for t in walk(self))


@dataclass(frozen=True)
class Bijection(Term):
    """A bijection between tensors of one size."""

    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Density(Term):
    """A distribution over values of `type`."""

    type: Type
    span: Span = field(compare=False, repr=False)


def children(term: object) -> tuple[Term, ...]:
    """The typed expressions right below one."""
    return term.parts if isinstance(term, Term) else ()


@cache  # `fields` is slow
def _fields(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


def _terms(item: object) -> Iterator[Term]:
    if isinstance(item, Term):
        yield item
    elif isinstance(item, tuple):
        for part in item:
            yield from _terms(part)


def walk(term: object) -> tuple[object, ...]:
    """A typed expression and everything inside it, outermost first."""
    return term.inside if isinstance(term, Term) else (term,)


def rewritten(term: Any, old: object, new: object) -> Any:
    """A typed expression with one part of it replaced wherever it stands."""
    if term is old or (type(term) is type(old) and term == old):
        return new
    if isinstance(term, tuple):
        return tuple(rewritten(part, old, new) for part in term)
    if not isinstance(term, (Value, Bijection, Density)):
        return term
    changed = {f.name: rewritten(getattr(term, f.name), old, new) for f in fields(term) if f.init}
    return replace(term, **{name: part for name, part in changed.items() if part is not getattr(term, name)})
