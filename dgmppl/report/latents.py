"""What a fitted model makes of rows of data: their latents, and the rows that these give back.

Both follow the plan: its steps say how latents come from data, its sampling program how data comes from latents.
Where a step is of another kind, an energy's chain say, there is nothing to show.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.graph.nodes import Graph, Variable
from dgmppl.plan.nodes import Plan, Step
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.draw import Draw
from dgmppl.plan.rules.invert import Invert
from dgmppl.plan.rules.observe import Given
from dgmppl.runtime import Distribution, GenerativeModel

Values = dict[str, Tensor]


def latents_of(model: GenerativeModel, graph: Graph, plan: Plan, rows: Mapping[str, Tensor]) -> Values:
    """The value of every latent, by name in order, (n, *shape): the mean of its q, or what inverting the data gives.

    Args:
        rows: the observed variables by name, (n, *shape).
    """
    give: Any = getattr(model, "infer", None)
    if give is not None:
        found: Values = give(*(rows[name] for name in model.data), mean=True)
        return {name: value for name, value in found.items() if graph[name].role == "latent"}
    return {**infer(model, graph, plan, rows), **invert(model, graph, plan, rows)}


def rows_back(model: GenerativeModel, graph: Graph, plan: Plan, rows: Mapping[str, Tensor]) -> Values:
    """Rows as the model gives them back through the means of their latents; empty where it gives none."""
    if getattr(model, "infer", None) is not None:
        # A class has the method where there is something to give back.
        give: Any = getattr(model, "reconstruct", None)
        return {} if give is None else dict(give(*(rows[name] for name in model.data)))
    return reconstruct(model, graph, plan, rows)


def infer(model: GenerativeModel, graph: Graph, plan: Plan, rows: Mapping[str, Tensor]) -> Values:
    """The latents that are drawn from a q, by name, (n, *shape): the mean of each q where it has one, else a draw.

    Each is given the values of those before it. Empty where no latent is drawn from a q.

    Args:
        rows: the observed variables by name, (n, *shape).
    """
    known = dict(rows)
    drawn: list[str] = []
    for step in plan.steps:
        if isinstance(step, (Given, Compute, Draw)) and _take(model, graph, "q", step, known, len_of(rows)):
            drawn += [step.variable] if isinstance(step, Draw) else []
    return {name: known[name] for name in drawn}


def reconstruct(model: GenerativeModel, graph: Graph, plan: Plan, rows: Mapping[str, Tensor]) -> Values:
    """Rows of data as the model gives them back through their latents: the mean of each p where it has one.

    Each variable is given the latents and the row's other variables.

    Variables that do not follow from latents that are drawn from a q are left out.
    """
    latents = infer(model, graph, plan, rows)
    if not latents:
        return {}
    depends = _depends(graph, tuple(latents))
    found: Values = {}
    for v in graph.observed:
        if v.name not in depends or v.name in graph.conditions:
            continue
        known = {**latents, **{name: value for name, value in rows.items() if name != v.name}}
        for step in plan.generate:
            if step.variable not in known:
                _take(model, graph, "p", step, known, len_of(rows))
        if v.name in known:
            found[v.name] = known[v.name]
    return found


def invert(model: GenerativeModel, graph: Graph, plan: Plan, rows: Mapping[str, Tensor]) -> Values:
    """The latents that a bijection of the data gives, by name, (n, *shape)."""
    found: Values = {}
    for step in plan.steps:
        factor = graph.factor("p", step.variable) if isinstance(step, Invert) else None
        if factor is not None:
            values = _scored(model, factor.method, [rows[name] for name in model.data])
            found |= {} if values is None else {step.variable: values}
    return found


def len_of(rows: Mapping[str, Tensor]) -> int:
    return len(next(iter(rows.values())))


def _take(model: GenerativeModel, graph: Graph, side: str, step: Step, known: Values, n: int) -> bool:
    """Adds the value of a step's variable to what is known; says whether that could be done."""
    variable = graph[step.variable]
    idents = {graph[name].ident: value for name, value in known.items()}
    if isinstance(step, Given):
        return step.variable in known
    if isinstance(step, Compute):
        value = _call(model, f"define_{variable.ident}", idents)
    elif isinstance(step, Draw):
        factor = graph.factor(side, step.variable)
        density = None if factor is None else _call(model, factor.method, idents)
        value = None if density is None else centre(density, variable)
    else:
        return False
    if value is None:
        return False
    value = value.detach()
    if value.shape == variable.type.shape:
        value = value.expand(n, *variable.type.shape)
    support = variable.type.support
    known[step.variable] = value.clamp(support.low, support.high) if support.bounded else value
    return True


def _call(model: GenerativeModel, method: str, known: Mapping[str, Any]) -> Any:
    """A method of the model, given the variables that it reads by name; None where one of them is not known."""
    function = getattr(model, method)
    reads = inspect.signature(function).parameters
    return function(**{name: known[name] for name in reads}) if all(name in known for name in reads) else None


def centre(density: Distribution, variable: Variable) -> Tensor:
    """The mean of a distribution; its mode for categories; a draw where neither is known.

    The mean of binary values is their probability, and that of integers need not be whole: as a picture they say
    more than a draw does.
    """
    base = density.base_dist if isinstance(density, td.Independent) else density
    if isinstance(base, td.Categorical):
        if not variable.type.support.numeric:
            return base.probs.argmax(-1).float()
        return base.probs @ torch.arange(base.probs.shape[-1], device=base.probs.device).float()
    with suppress(NotImplementedError):
        mean: Tensor = density.mean
        if torch.isfinite(mean).all():
            return mean
    draw: Tensor = density.sample()
    return draw


def _depends(graph: Graph, names: Sequence[str]) -> set[str]:
    """The variables that p makes of these, directly or through others."""
    import networkx as nx

    generative = nx.DiGraph()
    generative.add_nodes_from(v.name for v in graph.variables)
    generative.add_edges_from(
        (a, b) for a, b, role in graph.network.edges(data="role") if role in ("p", "let", "define")
    )
    return {b for name in names for b in nx.descendants(generative, name)}


class _Listener:
    """A distribution that keeps the last value it is asked about."""

    def __init__(self, density: Distribution) -> None:
        self.density = density
        self.value: Tensor | None = None

    def log_prob(self, value: Tensor) -> Tensor:
        self.value = value
        found: Tensor = self.density.log_prob(value)
        return found


def _scored(model: GenerativeModel, method: str, data: Sequence[Tensor]) -> Tensor | None:
    """The value that the objective asks a factor about. A flow's inverse has no method of its own in emitted source."""
    original = getattr(model, method)
    listeners: list[_Listener] = []

    def listening(*arguments: Tensor) -> _Listener:
        listeners.append(_Listener(original(*arguments)))
        return listeners[-1]

    setattr(model, method, listening)
    try:
        model.terms(*data)
    finally:
        delattr(model, method)
    return next((found.value for found in listeners if found.value is not None), None)
