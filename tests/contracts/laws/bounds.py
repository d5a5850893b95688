"""A bound lies below what it bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from dgmppl.pipeline import Checked
from dgmppl.runtime import GenerativeModel
from tests.contracts.laws.values import Values, arguments_of, given_values
from tests.contracts.support import build, graph_of, samples_of, seed


def verify_bound(found: Checked, draws: int = 20_000) -> str:
    """E[elbo] <= log p(x), the latter by draws of the latents from their prior: log E_{p(z)} p(x | z). Both are equal
    where latents are summed or integrated out."""
    graph, plan = graph_of(found), found.plan
    if plan is None or graph.energy or graph.adversaries or graph.partial:
        return "no bound"
    exact = plan.criterion == "log_prob" and bool(graph.latents)
    if plan.criterion != "elbo" and not exact:
        return "no bound"
    if any(graph.definition(v.name) is not None for v in graph.data):
        return "inverted"
    if graph.shared:
        return verify_bound_of_all(found)
    model = build(found, scale=0.1).eval()
    modelled = [v.name for v in graph.data if v.name not in graph.conditions]
    with seed(8), torch.no_grad():
        # Rows of the model itself, so that prior draws come near them.
        conditions = {name: v.float() for name, v in given_values(found, 3, 5).items() if name in graph.conditions}
        rows = samples_of(found, model, 3, [conditions.get(v.name, torch.zeros(3)) for v in graph.data])
        told = []
        for k in range(3):
            row = {**{name: v[k : k + 1] for name, v in {**conditions, **rows}.items()}}
            wide = {name: v.expand(draws, *v.shape[1:]) for name, v in row.items()}
            log_w = _prior_weights(found, model, wide, modelled, draws)
            if log_w is None:
                return "no factors"
            w = (log_w - log_w.max()).exp()
            relative = float(w.std() / w.mean()) / math.sqrt(draws)
            if not math.isfinite(relative) or relative > 0.1:
                continue
            evidence = float(log_w.double().logsumexp(0)) - math.log(draws)
            figure = model.log_prob if exact else model.elbo
            bounds = figure(*(wide[v.name][:2000] for v in graph.data))
            error = float(bounds.std()) / math.sqrt(2000)
            if not math.isfinite(error):  # a density of a draw is 0 in single precision: the bound is -inf
                continue
            assert float(bounds.mean()) <= evidence + 5 * (error + relative) + 1e-3, (
                f"a bound of {float(bounds.mean()):.3f} +- {error:.3f} on log p(x) = {evidence:.3f} +- {relative:.3f}"
            )
            assert not exact or float(bounds.mean()) >= evidence - 5 * relative - 1e-3, (
                f"an exact log p(x) of {float(bounds.mean()):.3f} where it is {evidence:.3f} +- {relative:.3f}"
            )
            told.append(k)
    return "bounded" if told else "too wide to be told"


def verify_bound_of_all(found: Checked, draws: int = 1500, rows: int = 2) -> str:
    """E[sum of the rows' elbo] <= log p(all rows), where rows have latents in common: what these are is drawn from
    p, and the likelihoods of all rows given one draw are multiplied."""
    graph = graph_of(found)
    model = build(found, scale=0.1).eval()
    modelled = [v.name for v in graph.data if v.name not in graph.conditions]
    with seed(8), torch.no_grad():
        given = {name: v.float() for name, v in given_values(found, rows, 5).items() if name in graph.conditions}
        data = given | samples_of(found, model, rows, [given.get(v.name, torch.zeros(rows)) for v in graph.data])
        weights = []
        for _ in range(draws):
            log_w = _prior_weights(found, model, data, modelled, rows)
            if log_w is None:
                return "no factors"
            weights.append(log_w.sum())
        log_w = torch.stack(weights).double()
        w = (log_w - log_w.max()).exp()
        relative = float(w.std() / w.mean()) / math.sqrt(draws)
        if not math.isfinite(relative) or relative > 0.15:
            return "too wide to be told"
        evidence = float(log_w.logsumexp(0)) - math.log(draws)
        bounds = torch.stack([model.elbo(*(data[v.name] for v in graph.data)).sum() for _ in range(300)])
    error = float(bounds.std()) / math.sqrt(len(bounds))
    assert float(bounds.mean()) <= evidence + 5 * (error + relative) + 1e-3, (
        f"a bound of {float(bounds.mean()):.3f} +- {error:.3f} on log p(x) = {evidence:.3f} +- {relative:.3f}"
    )
    return "bounded"


def _prior_weights(
    found: Checked, model: GenerativeModel, given: dict[str, Tensor], modelled: Sequence[str], n: int
) -> Tensor | None:
    """log p(data | latents) at n draws of the latents: data that stands above a latent takes part as it is."""
    graph = graph_of(found)
    values = Values(found, model, given, n)
    pending = [v.name for v in graph.latents]
    while pending:
        for name in pending:
            factor, definition = graph.factor("p", name), graph.definition(name)
            reads = factor.parents if factor else arguments_of(values, name) if definition else None
            if reads is not None and all(r in values.known for r in graph.roots(reads)):
                break
        else:
            return None
        pending.remove(name)
        if graph.factor("p", name) is not None:
            values.draw("p", name)
        else:
            values[name]
    total = torch.zeros(n)
    for name in modelled:
        law, _ = values.distribution("p", name)
        total = total + law.log_prob(given[name])
    return total
