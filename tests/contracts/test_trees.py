"""Linear Gaussian hierarchies and trees: exact evidence, and the bound of a derived q that could be as good."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dgmppl.graph.inverse import derive_posteriors
from dgmppl.graph.nodes import Graph
from dgmppl.pipeline import read
from dgmppl.plan.rules.integrate import Integrate
from dgmppl.runtime import GenerativeModel
from tests.contracts.support import build, graph_of, joint_normal, seed

TREES = {
    "a hierarchy": """model hierarchy
observed x : real[3] from "rows.npz".x
latent z[l in 1..3] : real
p(z[3]) = Normal(0, 1)
p(z[l] | z[l+1]) = Normal(linear(z[l+1]), 0.7)
p(x | z[1]) = Normal(linear(z[1]), 0.5)
""",
    "a tree": "model tree\n"
    + "".join(f'observed x{n} : real from "rows.npz".x{n}\n' for n in range(1, 5))
    + "".join(f"latent z{n} : real\n" for n in range(1, 8))
    + "p(z1) = Normal(0, 1)\n"
    + "".join(f"p(z{2 * n} | z{n}) = Normal(0.9 * z{n}, 0.5)\n" for n in (1, 2, 3))
    + "".join(f"p(z{2 * n + 1} | z{n}) = Normal(0.7 * z{n} + 0.2, 0.6)\n" for n in (1, 2, 3))
    + "".join(f"p(x{n} | z{n + 3}) = Normal(z{n + 3}, 0.4)\n" for n in range(1, 5)),
    "two causes": """model causes
observed x : real[2] from "rows.npz".x
observed y : real from "rows.npz".y
latent a : real
latent b : real
latent c : real
p(a) = Normal(0, 1)
p(b | a) = Normal(linear(a), 0.8)
p(c | a) = Normal(0.5 * a, 1)
p(x | b, c) = Normal(linear(b) + linear(c), 0.5)
p(y | c) = Normal(c, 0.5)
""",
}


def _all_of(model: GenerativeModel, graph: Graph, n: int) -> dict[str, Tensor]:
    """Draws of all variables, each by its factor of p once what that reads is drawn."""
    values: dict[str, Tensor] = {}
    waiting = [f for f in graph.factors if f.side == "p"]
    while waiting:
        f = next(f for f in waiting if values.keys() >= set(graph.reads(f)))
        law = getattr(model, f.method)(*(values[r] for r in graph.reads(f)))
        values[f.head] = law.sample((n,) if not law.batch_shape else ()).double()
        waiting.remove(f)
    return values


@pytest.mark.parametrize("name", TREES)
def test_the_evidence_is_exact_and_the_bound_of_a_derived_q_comes_within_a_hundredth(name: str) -> None:
    """The posterior of a linear Gaussian model is linear in what it depends on: with linear networks in the place of
    its own the derived q has it, if it reads all of that. It is fitted to draws of the model. Latents are single
    numbers here, as the elements of one are independent in q."""
    exact = read(TREES[name], files=False)
    assert exact.ok and exact.plan is not None, exact.errors
    assert any(isinstance(s, Integrate) for s in exact.plan.steps) and exact.plan.criterion == "log_prob"
    graph = graph_of(exact)
    names = tuple(v.name for v in graph.latents)
    assert exact.spec is not None
    _, lines = derive_posteriors(exact.spec, graph, names)
    guided = read(TREES[name] + "\n".join(lines).replace("mlp[256, 256]", "linear") + "\n", files=False)
    assert guided.ok and guided.plan is not None and guided.plan.criterion == "elbo", guided.errors
    truth, model = build(exact, scale=0.5).double(), build(guided).double()
    with torch.no_grad():
        for key, value in truth.named_parameters():
            model.get_parameter(key).copy_(value)
    qs = [f for f in graph_of(guided).factors if f.side == "q"]
    with torch.no_grad(), seed(1):
        rows = _all_of(truth, graph, 6000)
    taught = [p for key, p in model.named_parameters() if key not in dict(truth.named_parameters())]
    fit = torch.optim.LBFGS(
        taught, max_iter=2000, max_eval=4000, history_size=50, line_search_fn="strong_wolfe", tolerance_change=1e-10
    )

    def log_q(values: dict[str, Tensor]) -> Tensor:
        laws = {q.head: getattr(model, q.method)(*(values[n] for n in graph.reads(q))) for q in qs}
        return torch.stack([law.log_prob(values[head]) for head, law in laws.items()]).sum(0)

    def loss() -> Tensor:
        fit.zero_grad()
        total = -log_q(rows).mean()
        total.backward()
        return total

    fit.step(loss)
    data = [rows[v.name] for v in graph.data]
    with torch.no_grad(), seed(2):
        drawn = model.infer(*data) | {v.name: d for v, d in zip(graph.data, data)}
        p = [f for f in graph.factors if f.side == "p"]
        log_p = sum(getattr(model, f.method)(*(drawn[n] for n in graph.reads(f))).log_prob(drawn[f.head]) for f in p)
        evidence = truth.log_prob(*data)
    assert abs(float((log_p - log_q(drawn)).mean() - evidence.mean())) < 0.01
    for k in range(2):
        expected, _, _ = joint_normal(exact, truth, [d[k : k + 1] for d in data])
        assert float(evidence[k]) == pytest.approx(float(expected.detach()), abs=1e-6)
