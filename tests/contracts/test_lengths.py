"""Sequences of different lengths: everything said of a row is what is said of it alone, cut to its length."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from dgmppl.pipeline import build, read
from dgmppl.runtime import GenerativeModel

LONGEST = 5
LENGTHS = (5, 2, 3, 4, 2)

HEAD = """model uneven
observed n : integer(1..5) from "walks.npz".n
observed x[t in 1..n] : real[2] from "walks.npz".x
"""

AUTOREGRESSIVE = """p(x[1]) = Normal(param)
p(x[t] | x[t-1]) = Normal(mlp[4](x[t-1]))
"""
PAST = "p(x[t] | x[<t]) = Normal(gru[4](x[<t]))\n"
MARKOV = """latent z[t in 1..n] : real[3]
p(z[1]) = Normal(0, 1)
p(z[t] | z[t-1]) = Normal(mlp[4](z[t-1]))
p(x[t] | z[t]) = Normal(linear(z[t]))
"""
FORWARD = "q(z[1] | x) = Normal(linear(r[1]))\nq(z[t] | z[t-1], x) = Normal(mlp[4](z[t-1], r[t]))\n"
BACKWARD = "q(z[n] | x) = Normal(linear(r[n]))\nq(z[t] | z[t+1], x) = Normal(mlp[4](z[t+1], r[t]))\n"


def along(network: str) -> str:
    return f"let r[t in 1..n] : real[3] = {network}(x)[t]\n"


BODIES = {
    "autoregressive": AUTOREGRESSIVE,
    "past": PAST,
    "attentive past": PAST.replace("gru[4]", "transformer[4, heads = 2]"),
    "recurrent": "let h[t in 1..n] : real[3] = gru_cell(x[t-1], h[t-1])\np(x[t] | x[<t]) = Normal(linear(h[t]))\n",
    "deep Markov, gru": MARKOV + along("gru[4]") + FORWARD,
    "deep Markov, lstm": MARKOV + along("lstm[4, 3]") + FORWARD,
    "deep Markov, rnn": MARKOV + along("rnn[4, norm = layer]") + FORWARD,
    "deep Markov, transformer": MARKOV + along("transformer[4, 4, heads = 2]") + FORWARD,
    "deep Markov, set": MARKOV + along("set[4, 3]") + FORWARD,
    "deep Markov, backward": MARKOV + along("gru[4]") + BACKWARD,
    "deep Markov, apart": MARKOV + "q(z[t] | x) = Normal(gru[4](x)[t], param)\n",
    "a look ahead": MARKOV + "let r[t in 1..n] : real[3] = mlp[4](x[t], x[t+1])\n" + FORWARD,
    "in turn": """latent z[t in 1..n] : real[2]
let h[t in 1..n] : real[3] = gru_cell(x[t-1], z[t-1], h[t-1])
p(z[t] | z[<t], x[<t]) = Normal(mlp[4](h[t]))
p(x[t] | z[t], z[<t], x[<t]) = Normal(linear(z[t], h[t]))
q(z[t] | z[<t], x) = Normal(linear(h[t], x[t]))
""",
    "a cause of the row": """latent w : real[2]
p(w) = Normal(0, 1)
p(x[t] | w) = Normal(linear(w))
q(w | x) = Normal(gru[4](x))
""",
    "means and sums": """latent w : real[2]
p(w) = Normal(0, 1)
p(x[t] | w) = Normal(linear(w))
let s = mean(x, axis = 0)
q(w | x) = Normal(mlp[4](s, sum(x), logsumexp(2 * x), mean(tanh(x))))
""",
    "features together": """latent w : real[2]
let e[t in 1..n] : real[3] = mlp[4](x[t])
let h[t in 1..n] : real[3] = gru_cell(e[t], h[t-1])
p(w) = Normal(0, 1)
p(x[t] | w) = Normal(linear(w))
q(w | x) = Normal(mlp[4](mean(e, axis = 0), h[n], h[1]))
""",
    "a chain of networks": """latent w : real[2]
p(w) = Normal(0, 1)
p(x[t] | w) = Normal(linear(w))
let h : real[5, 4] = gru[4](x)
q(w | x) = Normal((set[4] >> mlp[3])(h))
""",
    "the last state": MARKOV
    + along("gru[4]")
    + FORWARD
    + 'observed y : real from "walks.npz".y\np(y | z[n]) = Normal(linear(z[n]))\n',
    "hidden Markov": """latent z[t in 1..n] : categorical(3)
p(z[1]) = Categorical(param)
p(z[t] | z[t-1], x[t-1]) = Categorical(mlp[4](z[t-1], x[t-1]))
p(x[t] | z[t]) = Normal(linear(z[t]))
""",
    "hidden transitions": """latent z[t in 1..n] : binary
p(z[1]) = Bernoulli(param)
p(z[t] | z[t-1]) = Bernoulli(linear(z[t-1]))
p(x[1] | z[1]) = Normal(linear(z[1]))
p(x[t] | z[t], z[t-1], x[t-1]) = Normal(mlp[4](z[t], z[t-1], x[t-1]))
""",
    "the last class": """latent z[t in 1..n] : categorical(3)
observed y : real from "walks.npz".y
p(z[1]) = Categorical(param)
p(z[t] | z[t-1]) = Categorical(linear(z[t-1]))
p(x[t] | z[t]) = Normal(linear(z[t]))
p(y | z[n]) = Normal(mlp[4](z[n]))
""",
    "the last state, integrated out": """latent z[t in 1..n] : real[3]
observed y : real from "walks.npz".y
p(z[1]) = Normal(param, 1)
p(z[t] | z[t-1]) = Normal(linear(z[t-1]), param)
p(x[t] | z[t]) = Normal(linear(z[t]), param)
p(y | z[n], x) = Normal(linear(z[n]) + linear(sum(x)), param)
""",
    "mixtures": """latent z[t in 1..n] : categorical(3)
p(z[t]) = Categorical(param)
p(x[t] | z[t]) = Normal(linear(z[t]))
""",
    "classes of what goes backward": """latent z[t in 1..n] : categorical(3)
p(z[1]) = Categorical(param)
p(z[t] | z[t-1]) = Categorical(linear(z[t-1]))
p(x[n] | z[n]) = Normal(linear(z[n]))
p(x[t] | z[t], x[t+1]) = Normal(linear(z[t], x[t+1]))
""",
    "states of what goes backward": """latent z[t in 1..n] : real[3]
p(z[1]) = Normal(param, 1)
p(z[t] | z[t-1]) = Normal(linear(z[t-1]), param)
p(x[n] | z[n]) = Normal(linear(z[n]), param)
p(x[t] | z[t], x[t+1]) = Normal(linear(z[t]) + mlp[4](x[t+1]), param)
""",
    "filtered": """latent z[t in 1..n] : real[3]
p(z[1]) = Normal(param, 1)
p(z[t] | z[t-1], x[t-1]) = Normal(linear(z[t-1]) + mlp[4](x[t-1]), param)
p(x[t] | z[t]) = Normal(linear(z[t]), param)
""",
    "a cause integrated out": """latent w : real[2]
p(w) = Normal(param, 1)
p(x[1] | w) = Normal(linear(w), 0.5)
p(x[t] | w, x[t-1]) = Normal(linear(w) + mlp[4](x[t-1]), param)
""",
    "filtered around a cause": """latent w : real
latent z[t in 1..n] : real[3]
p(w) = Normal(param, 1)
p(z[1] | w) = Normal(w, 1)
p(z[t] | z[t-1], w) = Normal(linear(z[t-1]) + w, param)
p(x[t] | z[t], w) = Normal(linear(z[t]) + linear(w), param)
""",
    "backward in p": MARKOV.replace("p(z[1])", "p(z[n])").replace("t-1", "t+1") + along("gru[4]") + BACKWARD,
}

GAPS = 'partial x[t in 1..n] : real[2] elementwise from "walks.npz".x\n'
BODIES |= {
    "gaps": GAPS + "latent w : real[2]\np(w) = Normal(0, 1)\np(x[t] | w) = Normal(linear(w), param)\n",
    "gaps below states of few values": GAPS + BODIES["hidden Markov"].replace(", x[t-1]", ""),
    "gaps below what is drawn": GAPS + MARKOV + along("gru[4]") + FORWARD,
    "gaps integrated out": GAPS + "p(x[1]) = Normal(param, 1)\np(x[t] | x[t-1]) = Normal(linear(x[t-1]), param)\n",
    "gaps beside a state": GAPS + BODIES["filtered"].replace(" + mlp[4](x[t-1])", " + linear(x[t-1])"),
    "gaps of what is above": BODIES["hidden Markov"].replace(
        "latent z[t in 1..n] : categorical(3)", 'partial z[t in 1..n] : categorical(3) elementwise from "walks.npz".z'
    ),
    "rows without what is above": BODIES["hidden Markov"].replace(
        "latent z[t in 1..n] : categorical(3)", 'partial z[t in 1..n] : categorical(3) from "walks.npz".z'
    ),
}


def spec(body: str) -> str:
    return (re.sub(r"observed x.*\n", "", HEAD) if "partial x" in body else HEAD) + body


def of_length(body: str, size: int) -> str:
    """The spec of rows of one length."""
    text = re.sub(r"observed n .*\n", f"const T = {size}\n", spec(body))
    return text.replace("1..n]", "1..T]").replace("[n]", "[T]").replace("real[5, 4]", f"real[{size}, 4]")


def made(text: str) -> GenerativeModel:
    checked = read(text, files=False)
    assert checked.ok, checked.errors
    return build(checked).double()


def with_weights_of(model: GenerativeModel, other: GenerativeModel) -> GenerativeModel:
    """The model with the weights of another, whose positions are more."""
    pairs = list(zip(model.parameters(), other.parameters(), strict=True))
    with torch.no_grad():
        for mine, its in pairs:
            mine.copy_(its[tuple(slice(size) for size in mine.shape)])
    return model


def rows(body: str, filled: float = float("nan")) -> dict[str, Tensor]:
    torch.manual_seed(3)
    x = torch.randn(len(LENGTHS), LONGEST, 2, dtype=torch.float64)
    if "partial x" in body:
        x[0, 1:3, 0] = x[1] = x[2, 0] = x[3, 2:] = torch.nan
    for row, length in enumerate(LENGTHS):
        x[row, length:] = filled
    found = {"x": x, "n_": torch.tensor(LENGTHS, dtype=torch.float64)}
    if "partial z" in body:
        z = torch.randint(3, (len(LENGTHS), LONGEST)).double()
        z[1] = z[4] = torch.nan
        if "elementwise" in body:
            z[0, 1:3] = z[3, -2:] = torch.nan
        for row, length in enumerate(LENGTHS):
            z[row, length:] = filled
        found["z"] = z
    if "observed y" in body:
        found["y"] = torch.randn(len(LENGTHS), dtype=torch.float64)
    return found


def log_probs(model: GenerativeModel, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """The logarithm of each factor's density."""
    found = {}
    for name in dir(type(model)):
        if re.fullmatch(r"[pq]_[xzwy]", name):
            found[name] = _called(model, name, values).log_prob(values[name[2:]])
    return found


def _called(model: GenerativeModel, name: str, values: dict[str, Tensor]) -> Any:
    """What a method gives for these values, and for the features that it takes."""
    method = getattr(model, name)
    names = inspect.signature(method).parameters
    return method(*(values[n] if n in values else _called(model, f"define_{n}", values) for n in names))


@pytest.mark.parametrize("name", BODIES)
def test_rows_alone(name: str) -> None:
    """What a model says of rows of different lengths is what it says of each, cut to its length."""
    body = BODIES[name]
    torch.manual_seed(0)
    model = made(spec(body)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    given = rows(body, 0.0)  # as the door makes it
    values = given | model.infer(*(given[k] for k in _names(model)), mean=True)
    found = log_probs(model, values)
    whole = model.log_prob(*(given[k] for k in _names(model))) if model.criterion == "log_prob" else None
    for row, length in enumerate(LENGTHS):
        alone = with_weights_of(made(of_length(body, length)), model).eval()
        own = {k: v[row : row + 1] for k, v in given.items() if k != "n_"}
        own |= {k: own[k][:, :length] for k in ("x", "z") if k in own}
        if whole is not None:
            value = alone.log_prob(*(own[k] for k in _names(alone)))
            torch.testing.assert_close(whole[row : row + 1], value, atol=1e-9, rtol=1e-9)
        own |= alone.infer(*(own[k] for k in _names(alone)), mean=True)
        for key, value in own.items():
            every = values[key][row : row + 1]
            cut = every[:, :length] if key in ("x", "z") else every
            torch.testing.assert_close(cut, value, atol=1e-9, rtol=1e-9)
        for key, value in log_probs(alone, own).items():
            torch.testing.assert_close(found[key][row : row + 1], value, atol=1e-9, rtol=1e-9, msg=f"{key} {row}")


def _names(model: GenerativeModel) -> list[str]:
    return ["n_" if name == "n" else name for name in model.data]


@pytest.mark.parametrize("name", BODIES)
def test_gradients(name: str) -> None:
    """Whatever lies beyond the ends, terms and gradients are those of the same rows, and none is nan."""
    found = []
    for filled in (float("nan"), 0.0, -1.0):
        torch.manual_seed(0)
        model = made(spec(BODIES[name])).eval()
        given = rows(BODIES[name], filled)
        torch.manual_seed(1)
        loss = model.loss(*(given[k] for k in _names(model)))
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in model.parameters())])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)
            assert a is None or a.isfinite().all()


@pytest.mark.parametrize("name", BODIES)
def test_order_of_statements(name: str) -> None:
    """The order of statements means nothing."""
    lines = spec(BODIES[name]).splitlines()
    turned = "\n".join([lines[0], *reversed(lines[1:])])
    terms = []
    for text in (spec(BODIES[name]), turned):
        plan = read(text, files=False).plan
        assert plan is not None
        terms.append(sorted(t.label for t in plan.terms))
    assert terms[0] == terms[1]


@pytest.mark.parametrize("name", [n for n in BODIES if "last" not in n])
def test_samples(name: str) -> None:
    """Samples follow the density: what lies beyond the ends is the same in all."""
    torch.manual_seed(0)
    model = made(spec(BODIES[name]))
    drawn = model.sample(2, n_=torch.tensor([2.0, 5.0]))
    drawn = drawn["x"] if isinstance(drawn, dict) else drawn
    assert isinstance(drawn, Tensor)
    assert (drawn[0, 2:] == 0).all() and (drawn[1] != 0).all()
