"""Densities as the bodies of methods that return a distribution."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from dgmppl.catalogue.distributions import DISTRIBUTIONS, Distribution, DistributionParameter
from dgmppl.emit.expr import Attribute, Binary, Call, Expr, Name, Number, Text, Tuple, call, sizes
from dgmppl.emit.values import Place, bijection_expr, linked, value_expr
from dgmppl.graph.elements import lag_of
from dgmppl.graph.nodes import Factor, Graph, Variable, feature_reads, features_of
from dgmppl.graph.units import Units, counted
from dgmppl.graph.values import (
    Apply,
    At,
    Autoregressive,
    Constant,
    Delta,
    Density,
    Feature,
    Mixture,
    Parametric,
    Plate,
    Pushforward,
    Quoted,
    Residual,
    Rounded,
    Segment,
    Sequence,
    Value,
    children,
    variables,
    walk,
)
from dgmppl.plan.rules.draw import not_reparameterised
from dgmppl.supports import Support


def factor_reads(graph: Graph, factor: Factor) -> tuple[str, ...]:
    """The variables (features too) that a factor's method takes."""
    return graph.reads(factor)


def by_key(graph: Graph, key: str) -> Factor:
    return graph.keyed(key)


def write_density(density: Density, place: Place) -> Expr:
    """Writes the statements that a density needs, and returns the expression of the distribution."""
    return _WRITE[type(density)](density, place)


def _family(density: Density, place: Place) -> Expr:
    assert isinstance(density, Parametric)
    writer, entry = place.writer, DISTRIBUTIONS[density.kind]
    values = dict(density.arguments)
    if density.joint is not None:
        sources: dict[str, Expr] = {name: place.local(name) for name in values}
        split = _split(value_expr(density.joint, place), density, entry)
        writer.line(f"{', '.join(map(str, sources.values()))} = {split}")
        for p in entry.parameters:
            if p.size == "vector":
                writer.line(f"{sources[p.name]} = {sources[p.name].call('squeeze', -1)}")
    else:
        sources = {name: value_expr(v, place) for name, v in values.items()}
        if len(entry.parameters) == 1 and not isinstance(next(iter(values.values())), Constant):
            (name,) = sources
            writer.line(f"{place.local(name)} = {sources[name]}")
            sources[name] = place.local(name)
    for name in density.linked:
        parameter = entry.parameter(name)
        assert parameter is not None
        sources[name] = linked(sources[name], parameter.constraint, writer)
        sources[name] = _in_range(sources[name], parameter, density.type.support, place.units)
    for name in counted(density) if place.of_data is not None else ():
        sources[name] = _of_data(sources[name], DISTRIBUTIONS[density.kind], name, place.of_data)
    _fill(density, entry, sources, values, place)
    return _construct(density, entry, sources, place)


def _of_data(source: Expr, entry: Distribution, name: str, units: Units | None) -> Expr:
    """A parameter that a network or `param` gives in units of the data, in those of the values."""
    parameter = entry.parameter(name)
    assert parameter is not None and units is not None
    return call(f"self.{units.attribute}.{parameter.counts}", source)


def _split(joint: Expr, density: Parametric, entry: Distribution) -> Expr:
    """The parameters that a network gives one after another."""
    if _interleaved(density):
        return joint.call("unbind", -1)
    counts = [math.prod(p.shape(density.type)) for p in entry.parameters]
    even = len(set(counts)) == 1
    return joint.call("chunk", len(counts), -1) if even else joint.call("split", sizes(tuple(counts)), -1)


def _in_range(
    source: Expr, parameter: DistributionParameter, support: Support, units: tuple[float, float] | None = None
) -> Expr:
    """A parameter that a network gives in units of half the variable's range, from its middle, where there is one."""
    range_ = parameter.range or (_UNITS.get(parameter.name, "") if units else "")
    units = units or _units(support)
    if not range_ or units is None:
        return source
    middle, half = units
    scaled = Binary("*", Number(half), source)
    return Binary("+", Number(middle), scaled) if range_ == "place" and middle else scaled


_UNITS = {"loc": "place", "scale": "width"}  # of a distribution that is rounded to a range


def _units(support: Support) -> tuple[float, float] | None:
    """The middle of a range, and half of it."""
    if support.low is None or support.high is None:
        return None
    return (support.high + support.low) / 2, (support.high - support.low) / 2


def _interleaved(density: Parametric) -> bool:
    """Whether a joint network gives the parameters along an axis of their own (scalars, causal networks)."""
    assert density.joint is not None
    return len(density.joint.shape) > len(density.type.shape)


def _fill(
    density: Parametric, entry: Distribution, sources: dict[str, Expr], values: dict[str, Value], place: Place
) -> None:
    """Numbers stand for every element: those of an example get axes for them, and where no parameter has the full
    shape, one is given it."""
    shape = density.type.shape
    if density.joint is not None:
        return
    for name, value in values.items():
        parameter = entry.parameter(name)
        assert parameter is not None
        if parameter.size == "R":
            continue  # it has all of its axes
        full = parameter.shape(density.type)
        if parameter.axis(density.type.support):
            if isinstance(value, Constant):
                sources[name] = _filled(value.number, full)
        elif value.rows or value.positional:
            sources[name] = sources[name].lifted(len(full) - len(value.shape))
    if shape and any(v.shape == shape for v in values.values()):
        return
    if any(parameter.axis(density.type.support) for parameter in entry.parameters):
        return
    name, value = next(((n, v) for n, v in values.items() if isinstance(v, Constant)), next(iter(values.items())))
    if isinstance(value, Constant):
        sources[name] = _filled(value.number, shape)
    elif shape:
        sources[name] = Binary("+", sources[name], call("self.like.new_zeros", sizes(shape)))


def _filled(number: float, shape: tuple[int, ...]) -> Expr:
    """A tensor of one number."""
    made = {0.0: "zeros", 1.0: "ones"}.get(float(number))
    if made:
        return call(f"self.like.new_{made}", sizes(shape))
    return call("self.like.new_full", sizes(shape), Number(float(number), real=True))


def _construct(density: Parametric, entry: Distribution, sources: dict[str, Expr], place: Place) -> Expr:
    writer, support = place.writer, density.type.support
    rank = len(density.type.shape) - entry.event_rank(support)
    if density.kind == "Categorical" and support.low:
        made = call(writer.use("IntegerCategorical"), Number(support.low), sources["logits"])
        return _event(made, rank)
    ends = support.low is not None and support.high is not None and density.kind == "DiscretizedLogistic"
    if ends:
        sources |= {"low": Number(support.low or 0.0), "high": Number(support.high or 0.0)}
    named = entry.parameters[0].name in ("logits", "rate") or len(entry.parameters) > 2 or "total_count" in sources
    name = writer.use(density.kind)
    return _event(call(name, **sources) if named else call(name, *sources.values()), rank)


def _event(distribution: Expr, rank: int) -> Expr:
    """With the last axes as one event."""
    if rank <= 0:
        return distribution
    match distribution:
        case Call(Attribute(inner, "to_event"), (Number(before),)):  # events merge
            return inner.call("to_event", int(before) + rank)
    return distribution.call("to_event", rank)


def _mixture(density: Density, place: Place) -> Expr:
    assert isinstance(density, Mixture)
    logits = value_expr(density.weights, place)
    component = write_density(density.component, replace(place, spread=True))
    return call(place.writer.use("Mixture"), logits, component)


def _pushforward(density: Density, place: Place) -> Expr:
    assert isinstance(density, Pushforward)
    base = write_density(density.base, replace(place, of_data=None))
    return call(place.writer.use("Pushforward"), base, bijection_expr(density.bijection, place))


def _rounded(density: Density, place: Place) -> Expr:
    assert isinstance(density, Rounded)
    base, support, rank = density.base, density.type.support, len(density.type.shape)
    named: dict[str, Expr] = {}
    named |= {} if support.low is None else {"low": Number(support.low)}
    named |= {} if support.high is None else {"high": Number(support.high)}
    if isinstance(base, Pushforward):
        named["bijection"] = bijection_expr(base.bijection, place)
        inner = write_density(base.base, replace(place, of_data=None))
    else:
        inner = write_density(base, replace(place, units=_units(support)))
    match inner:
        case Call(Attribute(elements, "to_event"), _):  # the mass is of each element
            inner = elements
    return _event(call(place.writer.use("Rounded"), inner, **named), rank)


def _residual(density: Density, place: Place) -> Expr:
    assert isinstance(density, Residual)
    writer = place.writer
    prior = by_key(place.graph, density.prior)
    given = (Name(place.variable(r)) for r in factor_reads(place.graph, prior))
    given_prior, shift, ratio = place.local("prior"), place.local("shift"), place.local("ratio")
    writer.line(f"{given_prior} = {call(f'self.{prior.method}', *given)}")
    writer.line(f"{shift}, {ratio} = {value_expr(density.delta, place).call('chunk', 2, -1)}")
    loc = Binary("+", Attribute(given_prior, "mean"), shift)
    scale = Binary("*", Attribute(given_prior, "stddev"), call(writer.use("positive"), ratio))
    return _event(call(writer.use("Normal"), loc, scale), len(density.type.shape))


def _delta(density: Density, place: Place) -> Expr:
    assert isinstance(density, Delta)
    return _event(call(place.writer.use("Delta"), value_expr(density.value, place)), len(density.type.shape))


def _quoted(density: Density, place: Place) -> Expr:
    assert isinstance(density, Quoted)
    factor = by_key(place.graph, density.factor)
    given = dict(zip(factor.parents, density.given))
    return call(f"self.{factor.method}", *(_given(name, given, place) for name in factor_reads(place.graph, factor)))


def _given(name: str, given: dict[str, Value], place: Place) -> Expr:
    """A quoted factor's argument: what stands for a parent, or a feature computed from what stands for its own."""
    if name in given:
        return value_expr(given[name], place)
    definition = place.graph.definition(name)
    assert definition is not None
    inner = (_given(v, given, place) for v in variables(definition.value))
    return call(f"self.define_{place.graph[name].ident}", *inner)


def _autoregressive(density: Density, place: Place) -> Expr:
    assert isinstance(density, Autoregressive)
    writer, head, step = place.writer, place.graph[density.variable], place.local("step")
    order = None
    if density.order is not None:
        kind, seed = density.order
        options = {"seed": Number(seed)} if seed else {}
        extent = sizes(density.type.shape[: density.axes])
        order = place.local("order")
        writer.line(f"{order} = {call(writer.use('order'), Text(kind), extent, **options)}")
        writer.line()
    with writer.block(f"def {step}({head.ident}: Tensor) -> {writer.use('Distribution')}:"):
        _write_features(density.step, place)
        result = write_density(density.step, replace(place, axes=density.axes, ordered=True, order=order))
        writer.line(f"return {_event(result, density.axes)}", mark=True)
    writer.line()
    others = [n for n in variables(density.step) if n != density.variable and place.graph[n].rows]
    named: dict[str, Expr] = {}
    if others:
        named["batch_shape"] = Tuple((call("len", Name(place.variable(others[0]))),))
    named["like"] = Name("self.like")
    if density.axes > 1:
        named["axes"] = Number(density.axes)
    if order is not None:
        named["order"] = order
    return call(writer.use("Autoregressive"), step, sizes(density.type.shape), **named)


def _write_features(density: Density, place: Place, part: bool = False) -> None:
    """A line for each feature that the law of an element reads at its position, or only at `part` of them."""
    for feature in features_of(density):
        if feature.ident in place.whole:
            continue
        define, arguments = f"self.define_{feature.ident}", tuple(map(Name, feature_reads(place.graph, feature)))
        found = call(define, *arguments)
        if part:
            behind = {"behind": Number(len(feature.shape))} if feature.shape else {}
            found = call(place.writer.use("everywhere"), Name(define), *arguments, **behind)
        place.writer.line(f"{feature.ident} = {found}")


def _plate(density: Density, place: Place) -> Expr:
    assert isinstance(density, Plate)
    _write_features(density.element, place)
    element = write_density(density.element, replace(place, axes=density.axes))
    if density.positional:
        return _event(element, density.axes)
    return call(place.writer.use("plate"), element, sizes(density.type.shape[: density.axes]))


def _computed_at_once(term: object, head: str) -> Iterator[Value]:
    """What is computed at all positions together and does not depend on what is drawn: once, not at each draw. Features
    compute theirs themselves."""
    if isinstance(term, Feature):
        return
    if isinstance(term, At) and isinstance(term.value, Apply) and head not in variables(term.value):
        yield term.value
        return
    for child in children(term):
        yield from _computed_at_once(child, head)


def _sequence(density: Density, place: Place) -> Expr:
    assert isinstance(density, Sequence)
    writer, head = place.writer, place.graph[density.variable]
    whole = len(density.segments) == 1
    segments: list[Expr] = []
    known = tuple(f for f in features_of(density) if density.variable not in variables(f))
    for feature in known:
        arguments = map(Name, feature_reads(place.graph, feature))
        writer.line(f"{feature.ident} = {call(f'self.define_{feature.ident}', *arguments)}")
    computed: dict[Value, Name] = {}
    for value in _computed_at_once(density, density.variable):
        if value not in computed:
            name = place.local("along" if not computed else f"along_{len(computed) + 1}")
            writer.line(f"{name} = {value_expr(value, place)}")
            computed[value] = name
    place = replace(place, axes=1, ordered=True, part=True, whole=frozenset(f.ident for f in known), computed=computed)
    writer.line()
    for segment in density.segments:
        law = place.local("step" if whole else _law_name(segment, head))
        with (
            writer.place(segment.span),
            writer.block(f"def {law}({head.ident}: Tensor) -> {writer.use('Distribution')}:"),
        ):
            _write_features(segment.law, place, part=True)
            result = write_density(segment.law, place)
            writer.line(f"return {result}", mark=True)
        writer.line()
        ends: dict[str, Expr] = {"short": Number(segment.short)} if segment.short else {}
        ends |= {"final": Name("True")} if segment.final else {}
        ends |= {"whole": Name("True")} if any(isinstance(t, Apply) and t.aligned for t in walk(segment.law)) else {}
        segments.append(call(writer.use("Segment"), segment.first, segment.last, law, **ends))
    named: dict[str, Expr] = {}
    others = [n for n in variables(density) if n != density.variable and place.graph[n].rows]
    if others:
        named["batch_shape"] = Tuple((call("len", Name(place.variable(others[0]))),))
    named["like"] = Name("self.like")
    lag = lag_of(density)
    if lag is not None:
        named["lag"] = Number(lag)
    if density.backward:
        named["backward"] = Name("True")
    if not_reparameterised(density):
        named["has_rsample"] = Name("False")
    if density.lengths is not None:
        named["lengths"] = value_expr(density.lengths, Place(writer, place.graph, place.rename))
        if head.element.feasible:
            named["fill"] = Number(head.element.feasible, real=True)
    parts = place.local("segments")
    writer.line(f"{parts} = {Tuple(tuple(segments))}")
    return call(writer.use("Sequence"), sizes(density.type.shape), parts, **named)


def _law_name(segment: Segment, head: Variable) -> str:
    """What the law of a part of an index is called in emitted source."""
    if segment.final:
        return "at_last"
    first, last = (k + head.members.start for k in (segment.first, segment.last))
    return f"from_{first}" if first < last else f"at_{first}"


_WRITE = {
    Parametric: _family,
    Mixture: _mixture,
    Pushforward: _pushforward,
    Rounded: _rounded,
    Residual: _residual,
    Delta: _delta,
    Quoted: _quoted,
    Autoregressive: _autoregressive,
    Plate: _plate,
    Sequence: _sequence,
}

__all__ = ["by_key", "factor_reads", "write_density"]
