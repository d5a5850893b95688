"""Numbers, variables and parameters as expressions."""

from __future__ import annotations

from dgmppl.emit.expr import Expr, Name, Number, call
from dgmppl.emit.place import Place, emitted
from dgmppl.emit.writer import Writer
from dgmppl.graph.values import Constant, Declared, Learned, Past, Points, Use
from dgmppl.supports import Function, Support


@emitted.register(Constant)
def _constant(value: Constant, place: Place) -> Expr:
    return Number(value.number)


@emitted.register(Use)
@emitted.register(Past)
def _use(value: Use | Past, place: Place) -> Expr:
    name = Name(place.variable(value.variable))
    return name.call("unsqueeze", 1) if place.spread and value.rows else name


def call_function(function: Function, value: Expr, writer: Writer) -> Expr:
    """The call of a function that a support names; one of no name changes nothing."""
    numbers = (Number(n) for n in function.arguments)
    return call(writer.use(function.name), value, *numbers) if function.name else value


def linked(raw: Expr, support: Support, writer: Writer) -> Expr:
    """A learned value typed like a variable, kept inside the variable's support."""
    return raw if support.link is None else call_function(support.link, raw, writer)


@emitted.register(Declared)
def _declared(value: Declared, place: Place) -> Expr:
    ident = next(p.ident for p in place.graph.parameters if p.name == value.name)
    return Name(f"self.{ident}")


@emitted.register(Learned)
def _learned(value: Learned, place: Place) -> Expr:
    return linked(Name(f"self.{value.attribute}"), value.type.support, place.writer)


@emitted.register(Points)
def _points(value: Points, place: Place) -> Expr:
    return Name(f"self.{value.attribute}")
