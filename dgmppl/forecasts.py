"""Sequences that go on: the two models of a spec that a forecast is made by, and how it is made in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dgmppl.diagnostics import SpecError
from dgmppl.graph.nodes import Along, Graph
from dgmppl.graph.past import spec_of_length, spec_of_the_past
from dgmppl.pipeline import Checked, check_beside
from dgmppl.plan.forecast import (
    Forecast,
    approximate,
    counts,
    forecast_along,
    indices,
    is_weighed,
    posterior_of,
    refused,
    verify_alike,
)
from dgmppl.plan.nodes import Plan
from dgmppl.plan.rules.exact import ExactAlong
from dgmppl.plan.rules.marginalise import Marginalise
from dgmppl.syntax.override import apply_overrides

CANDIDATES = 100
"""Draws of a q of which a forecast takes one, by their weights."""


@dataclass(frozen=True)
class Forecaster:
    """How the sequences of a spec go on.

    Args:
        checked: the spec, whose model has `forecast`.
        past: that of what came first, whose model has `propose`, with the same weights. None where the past tells
            nothing of latents.
        number: the variable of `past` that says which member is the last.
        last: the last member of the data.
    """

    checked: Checked
    forecast: Forecast
    last: int
    past: Checked | None = None
    number: str = ""

    @property
    def weighed(self) -> bool:
        """Whether several draws of what is behind a past are weighed, of which one is taken."""
        return self.past is not None and is_weighed(*_parts(self.past))

    @property
    def exact(self) -> bool:
        """Whether what follows a past has its law under the model: nothing behind it is drawn from a q."""
        return self.past is None or not approximate(*_parts(self.past))

    def words(self) -> tuple[str, ...]:
        """How it is done, a line for each part."""
        letter, (graph, _) = self.forecast.along.letter, _parts(self.checked)
        found = [s.words() for s in self.forecast.steps if graph[s.variable].shared]
        posterior = posterior_of(*_parts(self.past), _parts(self.past)[1].proposes) if self.past is not None else ()
        for step in (s for s in posterior if not graph[s.variable].shared):
            way = "exactly"
            if step in approximate(*_parts(self.past)):
                many = f"of {CANDIDATES} draws one by its weight p / q"
                way = many if self.weighed else "as q has it, which need not be the posterior"
            found.append(f"{step.words()}, {way}")
        told = ", ".join(self.forecast.families)
        given = [f"{told} up to {letter} = {self.number or 'past'}", *self.forecast.whole]
        drawn = [name for step in self.forecast.steps for name in step.gives if not self._is_known(name)]
        rest = ", ".join(dict.fromkeys(drawn)) or told
        return (f"take {', '.join(given)}", *found, f"go on with {rest} by p, member by member")

    def _is_known(self, name: str) -> bool:
        """Whether a variable has its value before sequences go on: data, and latents not along the index."""
        variable = _parts(self.checked)[0][name]
        latent = variable.shared or (name in self.forecast.latents and variable.along is None)
        return latent or name in self.forecast.whole


def forecaster(checked: Checked, along: Along, last: int | None = None) -> Forecaster:
    """How the sequences along an index go on, up to the `last` member, by default that of the data.

    Raises:
        SpecError (E714): for what does not go forward along it, or whose past has no model.
    """
    graph, plan = _parts(checked)
    forecast = forecast_along(graph, plan, along)
    whole = checked if last is None else _longer(checked, forecast, last)
    steps = forecast_along(*_parts(whole), along).steps
    whole = replace(whole, plan=replace(_parts(whole)[1], forecast=replace(forecast, steps=steps)))
    end = graph[forecast.families[0]].members[-1]
    if not forecast.latents:
        return Forecaster(whole, forecast, end)
    _verify_ends(graph, forecast, end)
    assert checked.completed is not None
    told = spec_of_the_past(checked.completed, graph, along, forecast.without)
    past = check_beside(checked, told.spec)
    if past.plan is None or past.graph is None:
        d = past.errors[0]
        raise refused(graph, d.span, f"of first members alone, {d.headline}", along)
    _verify_fitted(graph, _parts(past)[0], forecast)
    past = _proposing(past, forecast.latents)
    if approximate(*_parts(past)):
        spec = apply_overrides(told.spec, ("train.objective=iwae(2)",))
        weighed = check_beside(checked, spec)
        past = _proposing(weighed, forecast.latents) if weighed.plan is not None else past
    return Forecaster(whole, forecast, end, past, told.number)


def _verify_fitted(graph: Graph, past: Graph, forecast: Forecast) -> None:
    """What first members say of latents is drawn from a q that the spec has: no fit has weights of another."""
    for name in forecast.latents:
        if past.factor("q", name) is not None and graph.factor("q", name) is None:
            variable = graph[name]
            why = f"given first members alone `{variable.shown}` has no exact posterior, and the spec has no q of it"
            why += ", by which sequences would go on"
            raise refused(graph, variable.span, why, forecast.along)


def _verify_ends(graph: Graph, forecast: Forecast, last: int) -> None:
    """A network that reads the index has it scaled by how many members a family has: in a past as many as data have."""
    for name in forecast.latents:
        variable, factor = graph[name], graph.factor("p", name)
        apart = variable.along is not None and not variable.shared and variable.members[-1] != last
        if apart and factor is not None and counts(factor, forecast.along):
            letter = forecast.along.letter
            why = f"{factor.key} reads {letter} by a network, and goes up to {letter} = {variable.members[-1]}"
            raise refused(graph, factor.head_span, why, forecast.along)


def _longer(checked: Checked, forecast: Forecast, last: int) -> Checked:
    """The spec with sequences up to this member, whose laws are those of the others."""
    graph, along = _parts(checked)[0], forecast.along
    assert checked.spec is not None
    if along.length:
        raise refused(graph, None, f"how far each row goes is said by `{along.length}`", along)
    spec = spec_of_length(checked.spec, along, last)
    found = check_beside(checked, spec)
    if found.graph is None or found.plan is None:
        d = found.errors[0]
        raise refused(graph, d.span, f"up to {along.letter} = {last}, {d.headline}", along)
    verify_alike(graph, forecast)
    return found


def told(checked: Checked) -> tuple[str, ...]:
    """How the sequences of a spec go on, or why they do not, a text for each index."""
    found = []
    for along in indices(checked.graph) if checked.graph is not None else ():
        try:
            found.append("; ".join(forecaster(checked, along).words()))
        except SpecError as error:
            found.append(f"none: {error.diagnostics[0].headline.partition(': ')[2]}")
    return (*found, *_of_gaps(checked))


def _of_gaps(checked: Checked) -> Iterator[str]:
    """How families go on of which any members may be missing, along indices of which no data are seen whole: those that
    come last are drawn as others are that are missing."""
    if checked.graph is None or checked.plan is None:
        return
    graph, told = checked.graph, {along.letter for along in indices(checked.graph)}
    for v in graph.partial:
        if v.along is None or v.along.letter in told or v.name in graph.conditions:
            continue
        step = next((s for s in checked.plan.steps if v.name in s.gives), None)
        if not v.elementwise:
            yield f"none: {v.name} is missing in a row as a whole or not at all; `elementwise` says otherwise"
        elif step is not None:
            exact = isinstance(step, (ExactAlong, Marginalise))
            how = "exactly" if exact else f"from {step.factor}" if step.factor else "by p"
            yield f"take what is seen of {v.name}; draw the rest given that, the last members too, {how}"


def _proposing(past: Checked, names: tuple[str, ...]) -> Checked:
    assert past.plan is not None
    return replace(past, plan=replace(past.plan, proposes=names))


def _parts(checked: Checked | None) -> tuple[Graph, Plan]:
    if checked is None or checked.graph is None or checked.plan is None:
        raise SpecError(checked.errors if checked is not None else [], checked.source if checked is not None else None)
    return checked.graph, checked.plan


__all__ = ["CANDIDATES", "Forecaster", "forecaster", "told"]
