"""Rows that are cut somewhere and go on from there are rows of the model."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dgmppl.diagnostics import SpecError
from dgmppl.forecasts import Forecaster, forecaster
from dgmppl.pipeline import Checked
from dgmppl.plan.forecast import indices
from dgmppl.train.forecasts import Continuation
from dgmppl.train.pasts import Past
from tests.contracts.laws.values import SMALL, SPREAD, existing, filled, given_values, in_double
from tests.contracts.oracles import Law, Space, verify_law
from tests.contracts.support import build, data_of, ended, graph_of, samples_of, seed, verify_support


def verify_forecasts(found: Checked) -> str:
    """Rows that are cut somewhere and go on from there are rows of the model, as its exact log-likelihood has them."""
    graph = graph_of(found)
    if found.plan is None or len(indices(graph)) != 1:
        return "no index"
    try:
        how = forecaster(found, indices(graph)[0])
    except SpecError as error:
        return f"refused: {error}"
    _verify_beginning(found, how)
    modelled = [v for v in graph.data if v.name not in graph.conditions]
    if not how.exact:
        return "through q"
    if found.plan.criterion != "log_prob" or graph.partial or graph.adversaries:
        return "no density"
    if any(v.length and v.length not in graph.conditions for v in graph.data):
        return "as many elements as are drawn"
    model, rows = in_double(build(found, scale=SPREAD).eval()), given_values(found, 1, 5)
    sizes = {v.name: existing(found, v.name, rows) for v in modelled}
    if sum(t.elements for t in sizes.values()) > SMALL:
        return "too many elements"
    continuation = Continuation(how, model)
    families = [graph[name] for name in how.forecast.families]
    start = max(v.members[0] for v in graph.variables if v.along is not None and v.role != "let")
    end = min(v.members.start + sizes[v.name].shape[0] - 1 for v in families)

    def sample(n: int) -> dict[str, Tensor]:
        drawn = samples_of(found, model, n, [rows[v.name].expand(n, *v.type.shape) for v in graph.data])
        last = torch.randint(start, end + 1, (n,))
        values = {v.name: drawn.get(v.name, rows[v.name].expand(n, *v.type.shape)) for v in graph.data}
        for v in families:  # what is behind the past is nothing of it
            there = torch.tensor(v.members) <= last[:, None]
            there = there.reshape(*there.shape, *[1] * (len(v.type.shape) - 1))
            values[v.name] = torch.where(there, values[v.name], v.element.feasible)
        whole = values | continuation.draw(Past({k: v.numpy() for k, v in values.items()}, last.numpy()))
        return {v.name: whole[v.name][:, : sizes[v.name].shape[0]] if v.length else whole[v.name] for v in modelled}

    def log_prob(values: dict[str, Tensor]) -> Tensor:
        n = len(next(iter(values.values())))
        whole = {v.name: filled(v, values[v.name]) for v in modelled}
        return model.log_prob(*(whole.get(v.name, rows[v.name].expand(n, *v.type.shape)) for v in graph.data))

    with seed(7):
        return verify_law(Law({name: Space.of(t) for name, t in sizes.items()}, log_prob, sample))


def _verify_beginning(found: Checked, how: Forecaster) -> None:
    """Rows begin with what is known of them, and go on with values that data may have."""
    graph = graph_of(found)
    rows = {  # what a forecast reads has to be there, which `sample --given` checks
        v.name: torch.where(values.isnan(), torch.tensor(v.type.feasible), values) if v.along is None else values
        for v, values in zip(graph.data, data_of(found, 3), strict=True)
    }
    families = [graph[name] for name in how.forecast.families]
    first = max(v.members[0] for v in graph.variables if v.along is not None and v.role != "let")
    with seed(8):
        past = Past({name: v.numpy() for name, v in rows.items()}, np.full(3, first))
        drawn = Continuation(how, build(found, scale=0.1).eval()).draw(past, 2)
    for v in families:
        count = first - v.members.start + 1
        assert torch.equal(drawn[v.name][:, :count], rows[v.name].repeat_interleave(2, 0)[:, :count]), v.name
    for name, values in drawn.items():
        ends = ended(found, {name: values, **{n: rows[n].repeat_interleave(2, 0) for n in how.forecast.whole}})
        verify_support(graph[name].type, ends[name], 6)
