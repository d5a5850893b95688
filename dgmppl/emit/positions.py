"""What is read at the positions of elements as expressions."""

from __future__ import annotations

from dataclasses import replace

from dgmppl.emit.expr import Binary, Expr, Name, Number, Tuple, call, sizes
from dgmppl.emit.place import Place, emitted, value_expr
from dgmppl.graph.nodes import feature_reads, features_of
from dgmppl.graph.values import At, Everywhere, Feature, Position, State


@emitted.register(At)
def _at(value: At, place: Place) -> Expr:
    whole = value_expr(value.value, replace(place, axes=0, spread=False))
    found = there(whole, value, place, len(value.shape))
    return found.call("unsqueeze", -1 - len(value.shape)) if place.spread else found


def there(whole: Expr, value: At, place: Place, behind: int) -> Expr:
    """What a value with so many axes behind those of positions has there, or so far from there."""
    if value.here and not place.ordered:
        return whole
    offsets = Number(value.offsets[0]) if len(value.offsets) == 1 else Tuple(tuple(map(Number, value.offsets)))
    named: dict[str, Expr] = {"behind": Number(behind)} if behind else {}
    if value.lengths is not None:
        named["lengths"] = value_expr(value.lengths, replace(place, axes=0, spread=False))
    return call(place.writer.use("at"), whole, offsets, **named)


@emitted.register(Feature)
@emitted.register(State)
def _feature(value: Feature | State, place: Place) -> Expr:
    found: Expr = Name(value.ident)
    if value.ident in place.whole:
        behind = {"behind": Number(len(value.shape))} if value.shape else {}
        found = call(place.writer.use("at"), found, 0, **behind)
    return found.call("unsqueeze", -1 - len(value.shape)) if place.spread else found


@emitted.register(Everywhere)
def _everywhere(value: Everywhere, place: Place) -> Expr:
    """Features that it is computed from are computed before it, in the same expression."""
    found: dict[str, Expr] = {}
    for feature in features_of(value.feature):
        reads = feature_reads(place.graph, feature)
        found[feature.ident] = call(f"self.define_{feature.ident}", *(found.get(r, Name(r)) for r in reads))
    return found[value.feature.ident]


@emitted.register(Position)
def _position(value: Position, place: Place) -> Expr:
    found: Expr = call(place.writer.use("position"), sizes(value.extent), value.axis, Name("self.like"))
    if value.start:
        found = Binary("+", found, Number(value.start))
    return found.call("unsqueeze", -1) if place.spread else found
