"""Flows that a formula of an argument writes: `flow f(u) = 2 * tanh(W @ u + b) + 1`."""

import pytest
import torch
from torch.nn.functional import softplus

from dgmppl import pipeline
from dgmppl.source import Source
from tests.contracts.support import build, checked, graph_of

HEAD = """model formula
observed x : real[3] from "rows.npz".x
latent z : real[3]
param W : real[3, 3] = normal(1)
param a : real[3] = normal(1)
"""

FORMULAS = {
    "2 * u + 1": lambda u, W, a: 2 * u + 1,
    "1 - u": lambda u, W, a: 1 - u,
    "-(u - 3) / 4": lambda u, W, a: -(u - 3) / 4,
    "a - (a + u)": lambda u, W, a: -u,
    "(u - a) * exp(a)": lambda u, W, a: (u - a) * a.exp(),
    "exp(a) * u / softplus(a)": lambda u, W, a: a.exp() * u / softplus(a),
    "W @ u - a": lambda u, W, a: u @ W.T - a,
    "u @ W": lambda u, W, a: u @ W,
    "log(softplus(W @ u))": lambda u, W, a: softplus(u @ W.T).log(),
    "log(3 * exp(u))": lambda u, W, a: u + torch.log(torch.tensor(3.0)),
    "g(g(u) + a)": lambda u, W, a: 4 * u + 2 * a,
    "inverse(g)(u)": lambda u, W, a: u / 2,
    "(g >> reverse)(u) - 1": lambda u, W, a: 2 * u.flip(-1) - 1,
}


@pytest.mark.parametrize("text", FORMULAS)
def test_a_flow_is_what_its_formula_says(text: str) -> None:
    g = "flow g(v) = 2 * v\n" if "g(" in text or "g >>" in text or "(g)" in text else ""
    unused = "".join(f"{line}\n" for line in HEAD.splitlines() if not line.startswith("param") or line[6] in text)
    found = checked(unused + g + f"flow f(u) = {text}\np(z) = Normal(param, 1)\nx = f(z)\n")
    model = build(found, scale=0.1)
    u = torch.randn(5, 3)
    values = [getattr(model, name, torch.zeros(())) for name in ("W", "a")]
    expected = FORMULAS[text](u, *values)
    assert torch.allclose(model.define_x(u), expected, atol=1e-5)


def test_numbers_one_after_another_are_one_map() -> None:
    found = checked(HEAD.replace("param", "# ") + "p(z) = Normal(param, 1)\nflow f(u) = -(2 * u - 3) / 4\nx = f(z)\n")
    assert "FixedAffine(scale=-0.5, shift=0.75)" in pipeline.emit(found).text
    assert dict(graph_of(found).flows).keys() == {"f"}


def test_an_argument_means_nothing_outside_of_its_flow() -> None:
    text = HEAD + "flow f(u) = u + a\nflow g(u) = W @ u\np(z) = Normal(0, 1)\nx = f(g(z))\n"
    assert pipeline.check(Source("a.dgm", text)).ok
    (found,) = pipeline.check(Source("a.dgm", text + "let b = u\n")).errors
    assert found.code == "E201"
