"""Values in a mixture's component are what they are without: where all components are alike, so is the density."""

from __future__ import annotations

import re

import pytest
import torch
from torch.distributions import Normal

from dgmppl import pipeline
from tests.contracts.support import build, data_of, seed

DECLARED = """\
observed v : real[3] from "rows.npz".v
observed M : real[3, 2] from "rows.npz".M
observed T : real[3, 2, 2] from "rows.npz".T
observed c : categorical(3) from "rows.npz".c
observed e : categorical(2) from "rows.npz".e
observed s : categorical(3)[3] from "rows.npz".s
param w : real[3] = normal(1)
param B : real[3, 3] = normal(1)
param C : real[3, 2] = normal(1)
param D : real[3, 3, 2] = normal(1)
"""

NUMBERS = (
    *("sum(i: w[i] * v[i])", "sum(i: v[i] * v[i + 1])", "sum(i, j: B[i, j] * v[i] * v[j])", "sum(i: B[i, s[i]])"),
    *("sum(i, j: C[i, j] * M[i, j])", "sum(i: w[i] * v[i] * v[i])", "v[c] * sum(i: w[i] * v[i])"),
    *(
        "v[c]",
        "w[c]",
        "v[s[0]]",
        "C[c, e]",
        "M[c, e]",
        "M[c, 1]",
        "M[0, e]",
        "T[c, e, 0]",
        "T[c, 0, e]",
        "D[c, s[1], e]",
    ),
    *("v @ w", "v @ B @ v", "mean(v)", "sum(T[c] @ M[0])", "sum(concat(v, w) ^ 2)", "sum(softmax(v) * w)"),
    "exp(v[0])",
)
VECTORS = (
    *("M[c]", "C[c]", "M[s[0]]", "T[c, e]", "T[c, 0]", "T[0, e]", "D[c, s[0]]", "D[0, c]", "v[c] * M[c]", "v @ C"),
    *("M[0] @ T[c]", "one_hot(e)", "sum(i: w[i] * v[i]) * M[0]", "stack(v[c], sum(i: w[i] * v[i]))", "M[1] + v[c]"),
)

PLACES = {
    "whole": (("", NUMBERS), ("[2]", VECTORS)),
    "of elements": (("[4]", NUMBERS), ("[4, 2]", (*NUMBERS[:10], *VECTORS))),
}


@pytest.mark.parametrize("place", PLACES)
def test_alike_components_are_one(place: str) -> None:
    text, values = f"model alike\n{DECLARED}", []
    for shape, some in PLACES[place]:
        for value in some:
            for law in ("Normal({}, 1.5)", "mixture[3](Normal({}, 1.5))"):
                x = f"x{len(values)}"
                of = [n for n in ("v", "M", "T", "c", "e", "s") if re.search(rf"\b{n}\b", value)]
                head, loc = (f"{x}[d]", f"{value} + 0.5 * {x}[d - 1]") if place != "whole" else (x, value)
                of += [f"{x}[d - 1]"] if place != "whole" else []
                text += f'observed {x} : real{shape} from "rows.npz".{x}\n'
                text += f"p({head} | {', '.join(of)}) = {law.format(loc)}\n"
                values.append(value)
    found = pipeline.read(text)
    assert found.ok, [d.headline for d in found.errors]
    model = build(found)
    for rows in (1, 3, 5):  # as many as there are components, too
        data = dict(zip((v.name for v in found.graph.data), data_of(found, rows), strict=True))
        for k in range(0, len(values), 2):
            data[f"x{k + 1}"] = data[f"x{k}"]
        with torch.no_grad(), seed(0):
            terms = list(model.terms(*data.values()).values())
        for k, value in enumerate(values[::2]):
            torch.testing.assert_close(
                terms[2 * k + 1], terms[2 * k], rtol=1e-4, atol=1e-4, msg=f"{value}, {rows} rows"
            )
    if place == "whole":
        expected = Normal((model.w * data["v"]).sum(-1), 1.5).log_prob(data["x0"])
        torch.testing.assert_close(terms[0], expected)


def test_what_ends_where_a_row_does_is_so_in_components() -> None:
    text = """\
model ended
const T = 4
observed n : integer(1..T) from "rows.npz".n
observed x[t in 1..n] : real from "rows.npz".x
let e[t in 1..n] : real[2] = linear(x[t])
p(x[t]) = Normal(0, 1)
"""
    values = ("mean(x)", "sum(x)", "logsumexp(x)", "sum(mean(e, axis = 0))", "sum(x) * mean(x)")
    for k, value in enumerate(values):
        for j, law in enumerate(("Normal({}, 1.5)", "mixture[3](Normal({}, 1.5))")):
            text += f'observed y{k}_{j} : real from "rows.npz".y{k}\np(y{k}_{j} | x) = {law.format(value)}\n'
    found = pipeline.read(text)
    assert found.ok, [d.headline for d in found.errors]
    model = build(found)
    for rows in (3, 5):
        data = data_of(found, rows)
        for k in range(2, len(data), 2):
            data[k + 1] = data[k]
        terms = list(model.terms(*data).values())[-2 * len(values) :]
        for k, value in enumerate(values):
            torch.testing.assert_close(terms[2 * k + 1], terms[2 * k], rtol=1e-4, atol=1e-4, msg=value)
