"""What rows have in common, one value of it that whoever codes rows and whoever decodes them compute alike."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dgmppl.coding.stack import CodingError
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.runtime import GenerativeModel

Values = Mapping[str, Tensor]


def values_in_common(graph: Graph, model: GenerativeModel) -> dict[str, Tensor]:
    """The mean of q of each latent that rows have in common, given the means of those that it depends on; of few values
    the most probable one. What has a mean in no closed form is a draw, the same each time.

    Returns:
        values of shape ``(*shape)``, of what each group has ``(groups, *shape)``.

    Raises:
        CodingError: for a mean that is no number, as one that is infinite.
    """
    if not graph.shared:
        return {}
    # No q of these reads a row: any row that the types allow does.
    row = (torch.full((1, *v.type.shape), float(v.type.feasible)) for v in graph.data)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inferred = model.infer(*row, mean=True)
    found = {v.name: inferred[v.name].as_subclass(Tensor) for v in graph.shared if v.name in inferred}
    for name, values in found.items():
        if not values.isfinite().all():
            raise CodingError(f"the mean of q of `{name}`, which rows have in common, is not finite")
    return found


def of_own_group(values: Tensor, group: Variable, column: Tensor, axis: int = 0) -> Tensor:
    """Of values that have an axis of groups those of the group of each row, which a column says."""
    return values.index_select(axis, (column - (group.type.support.low or 0.0)).long().reshape(-1))


def of_rows(graph: Graph, common: Values, rows: Values) -> dict[str, Tensor]:
    """What rows have in common as factors of rows read it: of what each group has, that of the group of each row."""
    found = {}
    for name, values in common.items():
        group = graph[name].group
        found[name] = values if group is None else of_own_group(values, graph[group], rows[group])
    return found


__all__ = ["of_own_group", "of_rows", "values_in_common"]
