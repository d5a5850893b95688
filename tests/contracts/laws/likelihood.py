"""An exact likelihood and `sample` are one model, whole or with elements missing; `infer` names what is not seen."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.apply.q_laws import LawsOfQ
from dgmppl.graph.nodes import Variable
from dgmppl.pipeline import Checked
from dgmppl.supports import Type
from tests.contracts.laws.values import SMALL, SPREAD, existing, given_values, in_double
from tests.contracts.oracles import Law, Space, verify_law
from tests.contracts.support import build, data_of, graph_of, samples_of, seed


def verify_whole(found: Checked) -> str:
    """An exact log-likelihood and `sample` are one model."""
    return verify_seen(found, ())


def verify_missing(found: Checked) -> str:
    """Where some elements are missing, the log-likelihood is that of the others, and what is drawn of these follows
    it."""
    if not any(v.elementwise for v in graph_of(found).data):
        return "nothing is missing"
    return "; ".join(verify_seen(found, every) for every in ((1, 2), (0, 3)))


def verify_seen(found: Checked, missing: tuple[int, ...]) -> str:
    """An exact log-likelihood and `sample` are one model of what is seen; element k is `missing` by the (remainder,
    divisor) of its number."""
    graph = graph_of(found)
    rowwise = [v for v in graph.partial if not v.elementwise]
    if found.plan is None or found.plan.criterion != "log_prob" or rowwise or graph.energy or graph.adversaries:
        return "no density"
    if any(v.length and v.length not in graph.conditions for v in graph.data):
        return "as many elements as are drawn"
    model = in_double(build(found, scale=SPREAD).eval())
    rows = given_values(found, 1, 5)
    kept = {}
    for v in graph.data:
        gone = v.elementwise and missing
        elements = range(existing(found, v.name, rows).elements)  # those of the first members
        kept[v.name] = [k for k in elements if not gone or k % missing[1] != missing[0]]
    modelled = [v for v in graph.data if v.name not in graph.conditions and kept[v.name]]
    if sum(len(kept[v.name]) for v in modelled) > SMALL:
        return "too many elements"

    def whole(v: Variable, values: Tensor) -> Tensor:
        if len(kept[v.name]) == v.type.elements:
            return values
        made = values.new_full((len(values), v.type.elements), v.element.feasible if v.length else torch.nan)
        made[:, kept[v.name]] = values.reshape(len(values), -1)
        return made.reshape(-1, *v.type.shape)

    def log_prob(values: dict[str, Tensor]) -> Tensor:
        n = len(next(iter(values.values())))
        data = [
            whole(v, values[v.name])
            if v.name in values
            else rows[v.name].expand(n, *v.type.shape) + (0.0 if kept[v.name] else torch.nan)
            for v in graph.data
        ]
        return model.log_prob(*data)

    def sample(n: int) -> dict[str, Tensor]:
        drawn = samples_of(found, model, n, [rows[v.name].expand(n, *v.type.shape) for v in graph.data])
        parts = {v.name: drawn[v.name].reshape(n, -1)[:, kept[v.name]] for v in modelled}
        return {v.name: parts[v.name].reshape(n, *space(v).shape) for v in modelled}

    def space(v: Variable) -> Space:
        elements = len(kept[v.name])
        return Space.of(v.type if elements == v.type.elements else Type(v.type.support, (elements,)))

    with seed(6):
        return verify_law(Law({v.name: space(v) for v in modelled}, log_prob, sample))


def verify_inferred(found: Checked) -> None:
    """`infer` gives a finite value of each variable that it names, and what was seen of one as it was."""
    if found.plan is None:
        return
    graph, model, data = graph_of(found), build(found, scale=0.1), data_of(found, 5)
    if "infer" not in type(model).__dict__:
        return
    for mean in (True, False):
        with seed(0):
            values = model.infer(*data, mean=mean)
        for name, value in values.items():
            assert value.isfinite().all(), name
            if not graph[name].shared:
                assert value.shape == (5, *graph[name].type.shape), name
        for v, rows in zip(graph.data, data, strict=True):
            if v.name in values:
                seen = ~rows.isnan()
                assert torch.equal(values[v.name][seen], rows[seen]), v.name


def verify_marginals(found: Checked) -> None:
    """`marginals`, and each q that `encode` takes moments of, are what draws of `infer` follow, each latent and each
    element by itself."""
    if found.plan is None or "infer" not in type(build(found)).__dict__:
        return
    # Weights of 0.3 tell posteriors apart from their priors; behind a q of heavy tails they reach scales of 1e-44.
    scale = 0.3 if "marginals" in type(build(found)).__dict__ else 0.1
    graph, model, data, many = graph_of(found), build(found, scale=scale).eval(), data_of(found, 2), 3000
    own = [v.name for v in graph.latents if not v.shared]
    with seed(0), torch.no_grad():
        of_q = LawsOfQ(graph, model, own, {v.name: rows[:1] for v, rows in zip(graph.data, data, strict=True)})
        with of_q.kept(2) as kept:
            model.infer(*data)
        laws = {**{n: kept[n].expand((2,)) for n in of_q.alone}, **model.marginals(*data)}
        drawn = model.infer(*(d.repeat_interleave(many, 0) for d in data))
    lengths = {v.name: rows for v, rows in zip(graph.data, data, strict=True)}
    for name, law in laws.items():
        variable, batch = graph[name], law.batch_shape
        draws = drawn[name].unflatten(0, (2, many)).movedim(1, 0).reshape(many, *batch, -1)
        there = torch.ones(batch, dtype=torch.bool)
        if variable.length:
            there = torch.tensor(list(variable.members)) <= lengths[variable.length].unsqueeze(-1)
        if isinstance(law, td.Categorical):
            support = variable.type.support
            places = support.size ** torch.arange(draws.shape[-1] - 1, -1, -1)
            index = ((draws - (support.low or 0)).long() * places).sum(-1)
            shares = torch.stack([(index == k).float().mean(0) for k in range(law.probs.shape[-1])], -1)
            error = (law.probs * (1 - law.probs) / many).sqrt() + 1 / many
            away = (shares - law.probs).abs() / error
        else:
            mean, spread = (m.reshape(draws.shape[1:]) for m in (law.mean, law.stddev))
            away = (draws.mean(0) - mean).abs() / (spread / many**0.5 + 1e-5)
            # Of a range R a variance is known to R * spread / sqrt(n): rare values far away need not be drawn.
            support = variable.type.support
            reach = 1.0 if support.event_rank else (support.high or 0.0) - (support.low or 0.0)
            bounded = support.event_rank or None not in (support.low, support.high)
            far = (draws.var(0) - spread**2).abs()
            allowed = 0.2 * spread**2 + 1e-10 + (5.5 * reach * spread / many**0.5 if bounded else 0.0)
            assert (far <= allowed)[there].all(), (name, draws.std(0), spread)
        assert (away[there] < 5.5).all(), (name, away)
