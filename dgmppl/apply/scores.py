"""Log-densities of rows up to what does not depend on some of their variables: exact ones, or weights of draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dgmppl import pipeline
from dgmppl.diagnostics import SpecError
from dgmppl.graph.nodes import Graph
from dgmppl.graph.values import variables
from dgmppl.plan.figures import likelihood_of
from dgmppl.plan.nodes import Plan, Step
from dgmppl.plan.predict import Prediction, choose_weights, determined, own_factors, refused
from dgmppl.plan.rules.density import LogProb
from dgmppl.plan.rules.energy import MinusEnergy
from dgmppl.runtime import GenerativeModel
from dgmppl.runtime.emitted import emitted
from dgmppl.train.contents import parts
from dgmppl.train.device import seeded
from dgmppl.train.importance import open_importance
from dgmppl.train.runs import Run

Rows = Mapping[str, Tensor]


@dataclass(frozen=True)
class Score:
    """A function of rows, (n,), up to what does not depend on the variables that it is about.

    Args:
        give: of the tensors of all variables.
        how: it is computed, in words.
        exact: whether it is the log-density; else the logarithm of the weight of one draw, whose mean it is.
        reads: the variables of the data that have to be there in a row, without gaps.
        apart: whether draws of one call have some of their latents in common, so that each needs a call of its own.
    """

    give: Callable[[Rows], Tensor]
    how: str
    exact: bool
    reads: frozenset[str]
    apart: bool = False


def choose_score(model: GenerativeModel, run: Run, names: tuple[str, ...]) -> Score:
    """The score of rows by which values of these variables are compared, the others being the same.

    Raises:
        SpecError: (E660) where the structure gives none.
    """
    graph, plan = parts(run.checked)
    figures = {f.name: f for f in plan.figures}
    own = next((f for f in plan.figures if f.kind == "conditional" and f.variables == names), None)
    if own is not None and set(names) <= set(graph.energy.arguments if graph.energy else ()) and _alone(graph, names):
        every = frozenset(v.name for v in graph.data)
        return Score(lambda rows: model.figures(*_of(graph, rows))[own.name], f"exactly, by {own.name}", True, every)
    labels, reads = _own_terms(graph, plan, names)
    if labels:

        def of_terms(rows: Rows) -> Tensor:
            terms = model.terms(*_of(graph, rows))
            return torch.stack([terms[label].double() for label in labels]).sum(0)

        return Score(of_terms, f"exactly, by {' + '.join(labels)}", True, reads)
    whole = likelihood_of(plan)
    if whole is not None and whole.kind == "log_prob" and whole.name in figures:
        name = whole.name
        return Score(
            lambda rows: model.figures(*_of(graph, rows))[name], f"exactly, by {whole.quantity}", True, whole_of(graph)
        )
    if graph.energy is not None and set(names) <= set(graph.energy.arguments):
        return _of_energy(model, graph, plan, names)
    return _weights(model, run, names)


def _of(graph: Graph, rows: Rows) -> tuple[Tensor, ...]:
    return tuple(rows[v.name] for v in graph.data)


def _alone(graph: Graph, names: tuple[str, ...]) -> bool:
    """Whether nothing but the energy is about these variables."""
    return not any(f.side == "p" and {f.head, *graph.roots(graph.reads(f))} & set(names) for f in graph.factors)


def _own_terms(graph: Graph, plan: Plan, names: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Labels of the terms that are all that depends on these variables, each of what the data determines; and the data
    that they read."""
    if graph.energy is not None and set(names) & set(graph.energy.arguments):
        return (), frozenset()
    keys = own_factors(graph, plan, names)
    terms = {t.factor: t.label for t in plan.terms if isinstance(t, LogProb) and not t.shared}
    if not keys or not set(keys) <= terms.keys():
        return (), frozenset()
    return tuple(terms[key] for key in keys), _reads_of(graph, keys, determined(graph, plan, names)[1])


def _reads_of(graph: Graph, keys: Iterable[str], steps: Iterable[Step] = ()) -> frozenset[str]:
    """The data that factors with these keys are about, some of it through what these steps give."""
    found = {name for key in keys for name in (graph.keyed(key).head, *graph.roots(graph.reads(graph.keyed(key))))}
    found |= {name for step in steps for name in graph.roots(step.reads)}
    return frozenset(found & {v.name for v in graph.data})


def whole_of(graph: Graph) -> frozenset[str]:
    """The data that a log-density of rows needs: all but what the spec lets be missing."""
    return frozenset(v.name for v in graph.data if v.role != "partial")


def _of_energy(model: GenerativeModel, graph: Graph, plan: Plan, names: tuple[str, ...]) -> Score:
    """-F of what is left of an energy, and what is normalised in it."""
    form = plan.samplers[0].form if plan.samplers else None
    data = {v.name for v in graph.data}
    known = form is not None and set(form.state) <= data and any(isinstance(t, MinusEnergy) for t in plan.terms)
    if form is None or not known or not _alone(graph, names):
        raise refused(names, "latents of the energy are neither summed out of it nor drawn from a q")

    def give(rows: Rows) -> Tensor:
        state = [rows[name] for name in form.state]
        found: Tensor = -emitted(model).free_energy(*state)
        if form.enumerated is not None and graph[form.enumerated].name in data:
            law = getattr(model, f"p_{graph[form.enumerated].ident}")
            found = found + law(*state).log_prob(rows[form.enumerated])
        return found

    return Score(give, "exactly, by the energy", True, frozenset(data))


def with_prediction(model: GenerativeModel, run: Run, made: Prediction) -> GenerativeModel:
    """A run's weights in a model that has `predict`."""
    plan = replace(parts(run.checked)[1], prediction=made)
    with seeded(0, model.device):
        found = pipeline.build(replace(run.checked, plan=plan))
    found.load_state_dict(model.state_dict())
    return found.to(model.like).eval()


def _weights(model: GenerativeModel, run: Run, names: tuple[str, ...]) -> Score:
    """Weights p / q of draws of latents (Burda et al., 2016), without what rows have in common, whose q stands."""
    try:
        tighter = open_importance(model, run, 2)
    except SpecError:
        return _weights_of_draws(model, run, names)
    graph = parts(run.checked)[0]
    out = {t.label for t in tighter.plan.terms if t.beside or t.shared}

    def give(rows: Rows) -> Tensor:
        terms = tighter.model.terms(*_of(graph, rows))
        return torch.stack([t.double() for name, t in terms.items() if name not in out]).sum(0)

    drawn = ", ".join(tighter.figure.variables)
    return Score(give, f"by importance sampling, {drawn} from q", False, whole_of(graph), bool(graph.shared))


def _weights_of_draws(model: GenerativeModel, run: Run, names: tuple[str, ...]) -> Score:
    """Weights of draws of what is not known, by all that p says."""
    graph, plan = parts(run.checked)
    made = choose_weights(graph, plan, names)
    weighing = with_prediction(model, run, made)

    def give(rows: Rows) -> Tensor:
        found: Tensor = emitted(weighing).predict(*_of(graph, rows))[2]
        return found

    drawn = ", ".join(m.drawn for m in made.moves if m.drawn)
    how = f"by importance sampling, {drawn}" if drawn else f"exactly, by {' '.join(made.evidence)}"
    return Score(give, how, not drawn, prediction_reads(graph, made), bool(graph.shared))


def prediction_reads(graph: Graph, made: Prediction) -> frozenset[str]:
    """The data that the draws of a prediction, or their weights, read."""
    keys = [*made.evidence, *(key for m in made.moves for key in (m.drawn, m.weighed) if key)]
    as_a_whole = {v.name for v in graph.partial if not v.elementwise}  # drawn in the rows that miss them
    computed = (d for m in made.moves if not m.drawn and (d := graph.definition(m.variable)) is not None)
    read = frozenset(n for d in computed for n in graph.roots(variables(d.value))) & {v.name for v in graph.data}
    found = (_reads_of(graph, keys, made.steps) | read) - as_a_whole
    return found | frozenset(graph.energy.arguments) if made.energy and graph.energy is not None else found


__all__ = ["Rows", "Score", "choose_score", "prediction_reads", "whole_of", "with_prediction"]
