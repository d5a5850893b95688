"""Which elements a flow transforms, against autograd: those whose image depends on a weight or on another element."""

from __future__ import annotations

import pytest
import torch

from dgmppl import pipeline
from tests.contracts.support import build

# A flow of five elements, and how many of them it never transforms.
FLOWS = {
    "coupling[mlp[8]]": 2,
    "8 * coupling[mlp[8]]": 2,
    "4 * (coupling[mlp[8]] >> reverse)": 0,
    "coupling[mlp[8]] >> reverse": 2,
    "reverse >> coupling[mlp[8]] >> reverse": 2,
    "2 * (coupling[mlp[8]] >> reverse >> reverse)": 2,
    "coupling[mlp[8]] >> affine": 0,
    "householder >> coupling[mlp[8]]": 0,
    "coupling[mlp[8]] >> exp": 2,
    "2 * (coupling[mlp[8]] >> permute[seed = 3])": None,
    "2 * (coupling[mlp[8]] >> permute) >> coupling[mlp[8]]": None,
    "f": 2,
    "2 * (f >> reverse)": 0,
    "2 * f": 2,
    "3 * (g >> coupling[mlp[8]])": None,
}


@pytest.mark.parametrize("flow", FLOWS)
def test_elements_that_are_never_transformed_are_said(flow: str) -> None:
    support = "positive" if "exp" in flow else "real"
    names = "".join(
        f"flow {name} = {body}\n"
        for name, body in (("f", "coupling[mlp[8]]"), ("g", "coupling[mlp[8]] >> permute[seed = 1]"))
        if f"{name} " in f"{flow} ".replace("(", " ").replace("affine", "") and name in flow.split("[")[0]
    )
    text = f'model stack\nobserved x : {support}[5] from "rows.npz".x\n{names}p(x) = Normal(0, 1) >> {flow}\n'
    found = pipeline.read(text)
    assert found.ok
    model = build(found, scale=0.3)
    x = model.p_x().bijection(torch.randn(1, 5))
    kept = 0
    for k in range(5):
        gradients = torch.autograd.grad(x[0, k], list(model.parameters()), retain_graph=True, allow_unused=True)
        kept += not any(g is not None and g.any() for g in gradients)
    assert FLOWS[flow] in (None, kept)
    said = [d.headline for d in found.diagnostics if d.code == "W407"]
    assert said == ([f"this flow never transforms {kept} of its 5 elements"] if kept else [])


@pytest.mark.parametrize("value", ["f(u)", "floor(f(u))", "f(f(u))", "2 * f(u)"])
def test_flows_of_definitions_are_followed(value: str) -> None:
    support = "integer" if "floor" in value else "real"
    text = f'model stack\nobserved x : {support}[4] from "rows.npz".x\nlatent u : real[4]\n'
    for flow, codes in (("coupling[mlp[8]] >> reverse", [] if "f(f" in value else ["W407"]), ("affine", [])):
        found = pipeline.read(f"{text}flow f = {flow}\np(u) = Normal(0, 1)\nx = {value}\n")
        assert [d.code for d in found.diagnostics] == codes


@pytest.mark.parametrize(
    ("component", "codes"),
    [
        ("Normal(0, 1)", ["W408"]),
        ("Normal(param, 1)", []),
        ("Normal(0, 1) >> affine", []),
        ("Normal(mlp[8](y))", []),
        ("Normal(linear(y), 1) >> exp", []),
        ("Normal(0, 1) >> exp", ["W408"]),
    ],
)
def test_components_that_are_the_same_are_said(component: str, codes: list[str]) -> None:
    support = "positive" if "exp" in component else "real"
    text = f'model mixed\nobserved x : {support}[4] from "rows.npz".x\nobserved y : real[2] from "rows.npz".y\n'
    found = pipeline.read(f"{text}p(x | y) = mixture[3]({component})\n")
    assert [d.code for d in found.diagnostics if d.code != "W402"] == codes
