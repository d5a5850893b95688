"""Densities as the bodies of methods that return a distribution."""

from __future__ import annotations

from dataclasses import replace

from dgmppl.catalogue.distributions import DISTRIBUTIONS, LINKS, Distribution
from dgmppl.emit.values import Place, batched, bijection_source, shape_source, tight_source, value_source
from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.supports import number_text
from dgmppl.graph.values import (
    Autoregressive,
    Constant,
    Density,
    Family,
    Mixture,
    Pushforward,
    Quoted,
    Residual,
    Value,
    variables,
)


def factor_reads(graph: Graph, factor: Factor) -> tuple[str, ...]:
    """The variables (features too) that a factor's method takes."""
    return graph.reads(factor)


def by_key(graph: Graph, key: str) -> Factor:
    return graph.keyed(key)


def write_density(density: Density, place: Place) -> str:
    """Writes the statements that a density needs, and returns the expression of the distribution."""
    return _WRITE[type(density)](density, place)


def _family(density: Density, place: Place) -> str:
    assert isinstance(density, Family)
    writer, entry = place.writer, DISTRIBUTIONS[density.kind]
    values = dict(density.arguments)
    if density.joint is not None:
        names = list(values)
        joint = value_source(density.joint, place)
        split = "unbind(-1)" if _interleaved(density) else f"chunk({len(names)}, -1)"
        writer.line(f"{', '.join(names)} = {joint}.{split}")
        sources = {name: name for name in names}
    else:
        sources = {name: value_source(v, place) for name, v in values.items()}
        if len(entry.parameters) == 1 and not isinstance(next(iter(values.values())), Constant):
            (name,) = sources
            writer.line(f"{name} = {sources[name]}")
            sources[name] = name
    for name in density.linked:
        parameter = entry.parameter(name)
        assert parameter is not None
        link = LINKS[parameter.constraint]
        sources[name] = f"{writer.use(link)}({sources[name]})" if link else sources[name]
    _fill(density, entry, sources, values, place)
    return _construct(density, entry, sources, writer)


def _interleaved(density: Family) -> bool:
    """Whether a joint network gives the parameters along an axis of their own (scalars, causal networks)."""
    assert density.joint is not None
    return len(density.joint.shape) > len(density.type.shape)


def _fill(
    density: Family, entry: Distribution, sources: dict[str, str], values: dict[str, Value], place: Place
) -> None:
    """Numbers stand for every element: those of an example get axes for them, and where no parameter has the full
    shape, one is given it."""
    shape = density.type.shape
    if density.joint is not None:
        return
    for name, value in values.items():
        parameter = entry.parameter(name)
        assert parameter is not None
        if parameter.size == "K":
            if isinstance(value, Constant):
                full = shape_source((*shape, entry.values(density.type.support)))
                sources[name] = f"torch.zeros({full}, device=self.device)"
        elif batched(value) and len(value.shape) < len(shape):
            lifted = ", ".join(["None"] * (len(shape) - len(value.shape)))
            sources[name] = f"{tight_source(sources[name])}[(..., {lifted})]"
    if shape and any(v.shape == shape for v in values.values()):
        return
    if any(parameter.size == "K" for parameter in entry.parameters):
        return
    name, value = next(((n, v) for n, v in values.items() if isinstance(v, Constant)), next(iter(values.items())))
    if isinstance(value, Constant):
        number = float(value.number)
        made = {0.0: "zeros", 1.0: "ones"}.get(number)
        size = shape_source(shape)
        if made:
            sources[name] = f"torch.{made}({size}, device=self.device)"
        else:
            sources[name] = f"torch.full({size}, {number!r}, device=self.device)"  # a float: 2 makes whole numbers
    elif shape:
        sources[name] = f"{sources[name]} + torch.zeros({shape_source(shape)}, device=self.device)"


def _construct(density: Family, entry: Distribution, sources: dict[str, str], writer: Writer) -> str:
    support = density.type.support
    rank = len(density.type.shape) - (1 if entry.vector else 0)
    event = f".to_event({rank})" if rank > 0 else ""
    if density.kind == "Categorical" and support.low:
        return f"{writer.use('IntegerCategorical')}({number_text(support.low)}, {sources['logits']}){event}"
    named = entry.parameters[0].name in ("logits", "rate") or len(entry.parameters) > 2 or "total_count" in sources
    if named:
        arguments = ", ".join(f"{name}={source}" for name, source in sources.items())
    else:
        arguments = ", ".join(sources.values())
    return f"{writer.use(density.kind)}({arguments}){event}"


def _mixture(density: Density, place: Place) -> str:
    assert isinstance(density, Mixture)
    logits = value_source(density.weights, place)
    component = write_density(density.component, replace(place, spread=True))
    return f"{place.writer.use('Mixture')}({logits}, {component})"


def _pushforward(density: Density, place: Place) -> str:
    assert isinstance(density, Pushforward)
    base = write_density(density.base, place)
    return f"{place.writer.use('Pushforward')}({base}, {bijection_source(density.bijection, place)})"


def _residual(density: Density, place: Place) -> str:
    assert isinstance(density, Residual)
    writer = place.writer
    prior = by_key(place.graph, density.prior)
    given = ", ".join(place.variable(r) for r in factor_reads(place.graph, prior))
    writer.line(f"prior = self.{prior.method}({given})")
    writer.line(f"shift, ratio = {value_source(density.delta, place)}.chunk(2, -1)")
    rank = len(density.type.shape)
    scale = f"prior.stddev * {writer.use('positive')}(ratio)"
    return f"{writer.use('Normal')}(prior.mean + shift, {scale}).to_event({rank})"


def _quoted(density: Density, place: Place) -> str:
    assert isinstance(density, Quoted)
    factor = by_key(place.graph, density.factor)
    given = dict(zip(factor.parents, density.given))
    arguments = []
    for name in factor_reads(place.graph, factor):
        arguments.append(_given(name, given, place))
    return f"self.{factor.method}({', '.join(arguments)})"


def _given(name: str, given: dict[str, Value], place: Place) -> str:
    """A quoted factor's argument: what stands for a parent, or a feature computed from what stands for its own."""
    if name in given:
        value = given[name]
        return value_source(value, place)
    definition = place.graph.definition(name)
    assert definition is not None
    inner = ", ".join(_given(v, given, place) for v in variables(definition.value))
    return f"self.define_{place.graph[name].ident}({inner})"


def _autoregressive(density: Density, place: Place) -> str:
    assert isinstance(density, Autoregressive)
    writer, head = place.writer, place.graph[density.variable]
    with writer.block(f"def step({head.ident}: Tensor) -> Distribution:"):
        result = write_density(density.step, place)
        writer.line(f"return {result}", mark=True)
    writer.line()
    others = [n for n in variables(density.step) if n != density.variable]
    batch = f", batch_shape=(len({place.variable(others[0])}),)" if others else ""
    shape = shape_source(density.type.shape)
    return f"{writer.use('Autoregressive')}(step, {shape}{batch}, device=self.device)"


_WRITE = {
    Family: _family,
    Mixture: _mixture,
    Pushforward: _pushforward,
    Residual: _residual,
    Quoted: _quoted,
    Autoregressive: _autoregressive,
}

__all__ = ["by_key", "factor_reads", "write_density"]
