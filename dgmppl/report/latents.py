"""What a fitted model makes of rows of data: their latents, and the rows that these give back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dgmppl.graph.nodes import Graph
from dgmppl.plan.nodes import Plan
from dgmppl.runtime import GenerativeModel

Values = dict[str, Tensor]


@torch.no_grad()
def latents_of(model: GenerativeModel, graph: Graph, rows: Mapping[str, Tensor]) -> Values:
    """The value of every latent of a row, by name in order, (n, *shape): the mean of its q, or what inverting the data
    gives.

    Args:
        rows: the variables of the data by name, (n, *shape).
    """
    found = model.infer(*(rows[name] for name in model.data), mean=True)
    own = (name for name in found if graph[name].role == "latent" and not graph[name].shared)
    return {name: found[name].detach() for name in own}


@torch.no_grad()
def in_common(model: GenerativeModel, graph: Graph, rows: Mapping[str, Tensor], draws: int) -> Values:
    """Draws of the posterior of what rows have in common, by name in the order of the spec, (draws, *shape); of one for
    each group (draws, groups, *shape). They are the same whatever the rows are."""
    if not graph.shared:
        return {}
    one = [rows[name][:1] for name in model.data]
    found = [model.infer(*one) for _ in range(draws)]
    return {v.name: torch.stack([f[v.name] for f in found]) for v in graph.shared}


@torch.no_grad()
def rows_back(model: GenerativeModel, plan: Plan, rows: Mapping[str, Tensor]) -> Values:
    """Rows as the model gives them back through the means of their latents; empty where it gives none, or where
    bijections give back every row as it was."""
    # A class has the method where there is something to give back.
    give: Any = getattr(model, "reconstruct", None)
    inferred = plan.samplers or any(step.factor[:1] == "q" for step in plan.steps)
    if give is None or not inferred:
        return {}
    return {name: value.detach() for name, value in give(*(rows[name] for name in model.data)).items()}
