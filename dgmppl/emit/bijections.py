"""Bijections applied, as expressions."""

from __future__ import annotations

from dgmppl.emit.expr import Call, Expr, Name
from dgmppl.emit.networks import embedded
from dgmppl.emit.place import Place, emitted, value_expr
from dgmppl.graph.values import Bijection, Block, Composition, Mapped, walk


def bijection_source(bijection: Bijection, place: Place) -> str:
    """The source of a bijection."""
    return str(bijection_expr(bijection, place))


def bijection_expr(bijection: Bijection, place: Place) -> Expr:
    """A bijection that the model holds, with everything by name that it is conditioned on."""
    assert isinstance(bijection, Composition)
    given: dict[str, Expr] = {}
    for t in (t for t in walk(bijection) if isinstance(t, Block)):
        for name, value in t.context:
            rank = 2 if name in t.grids else 0
            given[name] = value_expr(value, place) if t.direct else embedded(value, place, rank)
    held = Name(f"self.{bijection.attribute}")
    return held.call("given", **given) if given else held


@emitted.register(Mapped)
def _image(value: Mapped, place: Place) -> Expr:
    return Call(bijection_expr(value.bijection, place), (value_expr(value.value, place),))
