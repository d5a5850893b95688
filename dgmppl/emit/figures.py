"""What a model reports of each row: one function a kind of figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dgmppl.catalogue.figures import Figure
from dgmppl.emit.cases import batch_size, mean_source, some_source, values_source
from dgmppl.emit.densities import factor_reads
from dgmppl.emit.methods import factor_source, write_seen
from dgmppl.emit.steps import needed_steps, write_steps
from dgmppl.emit.term_kinds import term_source
from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.graph.rows import factor_has_rows
from dgmppl.plan.nodes import Plan
from dgmppl.plan.parts import rest_of, terms_apart
from dgmppl.plan.rules.marginalise import Marginalise
from dgmppl.plan.sampler import FreeEnergy
from dgmppl.supports import number_text


@dataclass
class _Place:
    """Where figures are written: what they read of the data's side, and the statements before they are returned.

    Args:
        first: statements about the rows as the data have them, before the steps of the plan.
        of_rows: names of figures that are numbers of each row whatever sums are taken for the others.
    """

    writer: Writer
    graph: Graph
    plan: Plan
    reads: list[str] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    first: list[str] = field(default_factory=list)
    of_rows: set[str] = field(default_factory=set)
    of_terms: bool = False

    @property
    def terms(self) -> str:
        """The name of the terms of each row, which are computed once."""
        self.of_terms = True
        return self.graph.local("terms")

    @property
    def given(self) -> str:
        return ", ".join(v.ident for v in self.graph.data)


def write_figures(writer: Writer, graph: Graph, plan: Plan) -> None:
    """`figures`, where the base class's sum of the terms is not all there is to report."""
    if not plan.figures or (plan.figures[0].kind in _SUMS and not plan.samplers and len(plan.figures) == 1):
        return  # which then chooses the epoch: the base class gives it
    place = _Place(writer, graph, plan)
    entries = [(f, _WRITE[f.kind](place, f)) for f in plan.figures]
    errors = any(f.kind == "error" and graph[f.variables[0]].role == "partial" for f, _ in entries)
    arguments = "".join(f", {v.ident}: Tensor" for v in graph.data)
    with writer.method(
        f"figures(self{arguments}) -> dict[str, Tensor]",
        "What is reported of each example, shape (n,); log-probabilities in nats."
        + (" An error is of the rows that have the value." if errors else ""),
    ):
        needed = needed_steps(plan.steps, place.reads)
        sums = [s for s in needed if s.repeats]
        if place.of_terms:  # before the names of data are given to other values
            writer.line(f"{place.terms} = self.terms({place.given})")
        for statement in place.first:
            writer.line(statement)
        write_seen(writer, graph)
        write_steps(writer, graph, plan, needed, place.reads)
        for statement in place.statements:
            writer.line(statement)
        with writer.block("return {"):
            for figure, source in entries:
                of_rows = (figure.kind in _OF_TERMS and place.of_terms) or figure.name in place.of_rows
                rows = source if of_rows else mean_source(source, graph, sums)
                writer.line(f'"{figure.name}": {rows},')
        writer.line("}")
    if plan.evaluated:
        _write_epoch_figures(place, entries)


def _write_epoch_figures(place: _Place, entries: list[tuple[Figure, str]]) -> None:
    """`epoch_figures`: without the likelihood, for which an equation is solved."""
    arguments = "".join(f", {v.ident}: Tensor" for v in place.graph.data)
    doc = "The figures of an epoch: without the likelihood, for which an equation is solved."
    inside = ", ".join(f'"{f.name}": {source}' for f, source in entries if not f.is_likelihood)
    with place.writer.method(f"epoch_figures(self{arguments}) -> dict[str, Tensor]", doc):
        place.writer.line(f"return {{{inside}}}")


def _energy(place: _Place) -> FreeEnergy | None:
    return place.plan.samplers[0].form if place.plan.samplers else None


def _sum_of_terms(place: _Place, figure: Figure) -> str:
    """The terms added up. An energy's likelihood needs its normaliser."""
    energy, graph = _energy(place), place.graph
    if place.plan.evaluated:
        return _sum_evaluated(place)
    if energy is None:
        return f"self.total({place.terms})"
    state = ", ".join(graph[n].ident for n in energy.state)
    summed = graph[energy.enumerated] if energy.enumerated is not None else None
    if summed is not None and summed.role == "observed":
        members = graph.energy.arguments if graph.energy is not None else ()
        return f"-self.energy({', '.join(graph[n].ident for n in members)}) - self.log_partition()"
    known = f" + {_log_prob_seen(place, summed)}" if summed is not None and summed.role == "partial" else ""
    own = f"-self.free_energy({state}){known} - self.log_partition()"
    beside = [t for t in place.plan.fitted.terms if t.scored]
    place.reads += [name for t in beside for name in t.reads]
    return " + ".join([own, *(term_source(place.writer, graph, place.plan, t, batch_size(graph)) for t in beside)])


def _sum_evaluated(place: _Place) -> str:
    """The terms of the likelihood, where those of the loss are others."""
    terms = place.plan.evaluated
    place.reads += [name for t in terms for name in t.reads]
    return " + ".join(term_source(place.writer, place.graph, place.plan, t, batch_size(place.graph)) for t in terms)


def _loss(place: _Place, figure: Figure) -> str:
    return f"-self.total(self.terms({place.given}))"  # behind the steps: their draws are those of the likelihood alone


def _factor(place: _Place, figure: Figure) -> str:
    """The term of a factor that stands alone, in the rows that have its variable."""
    variable = place.graph[figure.variables[0]]
    label = terms_apart(place.plan.terms, figure.variables)[variable.name].label
    source = f'{place.terms}["{label}"]'
    return f"{place.writer.use('rows_seen')}({source}, {variable.ident})" if variable.role == "partial" else source


def _rest(place: _Place, figure: Figure) -> str:
    """The terms of the whole without those."""
    factors = [f.variables[0] for f in place.plan.figures if f.kind == "factor"]
    others = rest_of(place.plan.terms, terms_apart(place.plan.terms, factors).values())
    return f"self.total({place.terms}, {', '.join(_quoted(t.label) for t in others)})"


def _quoted(label: str) -> str:
    return f'"{label}"'


def _objective(place: _Place, figure: Figure) -> str:
    return f"self.weighted({place.terms})"


def _importance_weighted(place: _Place, figure: Figure) -> str:
    return f"{place.writer.use('importance_bound')}(self.terms, {place.plan.fitted.samples}, {place.given})"


def _conditional(place: _Place, figure: Figure) -> str:
    """log p of the energy's variable that is summed value by value."""
    variable = place.graph[figure.variables[0]]
    density = _summed_density(place, variable)
    if variable.role == "partial":
        return f"{place.writer.use('rows_seen')}({_log_prob_seen(place, variable)}, {variable.ident})"
    return f"{density}.log_prob({variable.ident})"


def _error(place: _Place, figure: Figure) -> str:
    """By the variable's q, by its exact posterior where it is summed out, by its p where it has none, or by the
    energy."""
    writer, graph = place.writer, place.graph
    v = graph[figure.variables[0]]
    if any(isinstance(s, Marginalise) and s.variable == v.name for s in place.plan.steps):
        rest = ", ".join(f"{writer.use('left_out')}({d.ident})" if d is v else d.ident for d in graph.data)
        name = place.graph.local(f"error_{v.ident}")
        place.first.append(
            f'{name} = {writer.use("differs_seen")}(self.infer({rest}, mean=True)["{v.name}"], {v.ident})'
        )
        place.of_rows.add(figure.name)
        return name
    factor = graph.factor("q", v.name) or graph.factor("p", v.name)
    if factor is None:
        density = _summed_density(place, v)
    else:
        inputs = factor_reads(graph, factor)
        place.reads += inputs
        density = factor_source(graph, factor) + (
            "" if factor_has_rows(graph, factor) else f".expand(({batch_size(graph)},))"
        )
    if v.role == "partial" or factor is not None:
        return f"{writer.use('errors_seen')}({density}, {values_source(v)}, {v.ident})"
    low = number_text(v.type.support.low or 0.0)
    return f"({density}.logits.argmax(-1){f' + {low}' if low != '0' else ''} != {v.ident}).float()"


def _squared_error(place: _Place, figure: Figure) -> str:
    """By the variable's p."""
    v = place.graph[figure.variables[0]]
    factor = place.graph.factor("p", v.name)
    assert factor is not None
    place.reads += factor_reads(place.graph, factor)
    return f"{place.writer.use('squared_error')}({factor_source(place.graph, factor)}, {v.ident})"


def _pseudo_likelihood(place: _Place, figure: Figure) -> str:
    call = place.writer.use("pseudo_log_likelihood")
    return f"{call}(self.free_energy, {place.graph[figure.variables[0]].ident})"


def _summed_density(place: _Place, variable: Variable) -> str:
    """The name of an energy's p of the variable that is summed value by value, which is computed once."""
    energy, graph = _energy(place), place.graph
    assert energy is not None
    state = ", ".join(graph[n].ident for n in energy.state)
    name = graph.local(f"p_{variable.ident}")
    statement = f"{name} = self.p_{variable.ident}({state})"
    if statement not in place.statements:
        place.statements.append(statement)
        if any(graph[n].role != "observed" for n in energy.state):
            place.reads += [*energy.state, variable.name]
    return name


def _log_prob_seen(place: _Place, variable: Variable) -> str:
    density = _summed_density(place, variable)
    return f"{place.writer.use('log_prob_seen')}({density}, {variable.ident}, {some_source(variable)})"


_SUMS = ("elbo", "log_prob")
"""Kinds that are the sum of the terms where there is no energy."""

_OF_TERMS = (*_SUMS, "factor", "rest", "objective")
"""Kinds that the terms give, which are numbers of each row whatever sums are taken for the others."""

_WRITE: dict[str, Callable[[_Place, Figure], str]] = {
    "elbo": _sum_of_terms,
    "log_prob": _sum_of_terms,
    "iwae": _importance_weighted,
    "conditional": _conditional,
    "error": _error,
    "factor": _factor,
    "matching": _loss,
    "objective": _objective,
    "pseudo_likelihood": _pseudo_likelihood,
    "rest": _rest,
    "rmse": _squared_error,
}
