"""A spec may call its variables what it likes: emitted source computes the same under every name."""

from __future__ import annotations

import re

import pytest
import torch

from dgmppl import pipeline, runtime
from dgmppl.graph.names import safe_attribute, safe_local
from dgmppl.runtime import GenerativeModel
from tests.contracts.support import build, data_of, seed

# Names that emitted source, the base class, or Python have a use for.
WORDS = """
self torch nn Tensor Distribution n super sum len float id p pyro data loss loss_2 scale logits loc raw prior shift
ratio flow noise game real fake rate rows units own rest weights start steps step index classes opponent state energy
chain
sweep settle energies free_energy draw_from_energy log_partition terms figures sample players forward parameters train
type device elbo log_prob criterion model guide condition part parts component x_noisy v_noisy log_det_u log_det_v u_1
u_2 v_1 z_1 q_z p_x p_v q_v define_x score_D sides_D game_D players Chain Start Player Normal Bernoulli Categorical MLP
Coupling Compose Reverse Mixture Pushforward Autoregressive GenerativeModel GAMES Uniform Delta kl_divergence one_hot
concat rescale positive unit bounded simplex langevin gibbs_sites as_batch None True class def lambda import is not and
or if else for while with print exec eval int dict list tuple range zip max min abs_ object property staticmethod
cases_x cases_w missing_v missing_x terms every_value impute apart
"""
NAMES = WORDS.split()

SPECS = {
    "hierarchy": """\
model m
observed x : integer(0..4)[3] from "r.npz".x
latent   v : real[2]
latent   w : real[2]
let r : real[4] = mlp[4](x)
p(w)     = mixture[3](q(w | param))
p(v | w) = Normal(mlp[4](w))
p(x | v) = Categorical(mlp[4](v))
q(w | x) = Normal(linear(r))
q(v | w, x) = residual(p(v | w), linear(r))
""",
    "energy": """\
model m
observed x : binary[3] from "r.npz".x
latent   v : binary[2]
param    w : real[3, 2]
param    r : real[3]
E(x, v) = -x @ w @ v - r @ x
""",
    "flow": """\
model m
observed x : integer(0..4)[2] from "r.npz".x
observed w : real[2] from "r.npz".w
latent   v : real[2]
flow r = 2 * (coupling[mlp[4]](w) >> reverse)
p(v) = Normal(0, 1)
x    = floor(r(v))
""",
    "game": """\
model m
observed x : real[2] from "r.npz".x
observed r : categorical(3) from "r.npz".r
latent   v : real[2]
p(v)        = Normal(0, 1)
x           = mlp[4](v, r)
q(v | x, r) = Normal(mlp[4](x, r))
adversary w(x, v, r) = mlp[4]
""",
    "sum": """\
model m
observed x : real[2] from "r.npz".x
partial  w : categorical(3) from "r.npz".w
partial  v : real[2] from "r.npz".v
latent   r : binary
p(r)           = Bernoulli(param)
p(w | r)       = Categorical(mlp[4](r))
p(v | w)       = Normal(mlp[4](w))
p(x | v, r)    = Normal(mlp[4](v, r))
q(v | x)       = Normal(mlp[4](x))
q(w | x, v)    = Categorical(mlp[4](x, v))
q(r | x, v, w) = Bernoulli(mlp[4](x, v, w))
train { objective = elbo(classify = 1) }
""",
    "autoregressive": """\
model m
observed x : categorical(3)[3] from "r.npz".x
latent   v : real[2]
param    r : real[2]
net w = mlp[4, 4]
p(v) = Normal(r, 1)
p(x[d] | x[<d], v) = Categorical(causal[4, kernel = 2](x[<d], v))
q(v | x) = Normal(w(x))
""",
}


UNUSED = {
    "gibbs",
    "log_mean_exp",
    "part_of_batch",
    "to_event",
    "ACTIVATIONS",
}  # of the runtime; emitted source has no use for them


def outcome(text: str) -> tuple[list[float], object] | None:
    """Losses and a sample, or None where the language itself does not take the name."""
    found = pipeline.read(text)
    if not found.ok:
        return None
    model, data = build(found, scale=0.1), data_of(found, 4)
    losses = []
    for player in model.players():
        with seed(1):
            losses.append(float(player.loss(*data).detach()))
    graph = found.graph
    given = {v.name: rows for v, rows in zip(graph.data, data, strict=True) if v.name in graph.conditions}
    conditions = {graph[name].ident: rows for name, rows in given.items()}
    with seed(1):
        drawn = model.sample(4, **conditions) if not found.plan.samplers else model.draw_from_energy(4, steps=3)[0]
    if isinstance(drawn, dict):
        drawn = torch.cat([values.reshape(4, -1) for values in drawn.values()], 1)
    assert isinstance(drawn, torch.Tensor)
    if not found.plan.samplers and not found.plan.played and not graph.partial:
        pyro_model = build(found, "pyro")
        pyro_model.load_state_dict(model.state_dict())
        with seed(1):
            pyro_model.guide(*data)
            pyro_model.model(*data)
    return losses, drawn


@pytest.mark.parametrize("kind", SPECS)
def test_a_name_changes_nothing(kind) -> None:
    text = SPECS[kind]
    losses, drawn = outcome(text)
    taken = 0
    for k, name in enumerate(NAMES):
        old = "xvwr"[k % 4]  # every name in one place of each spec
        renamed = re.sub(rf"\b{old}\b(?!\.npz)", name, text)
        result = outcome(renamed)
        if result is not None:
            taken += 1
            assert result[0] == pytest.approx(losses, rel=1e-5), (old, name)
            assert torch.equal(result[1], drawn), (old, name)
    assert taken > 60


def test_nothing_hides_an_attribute_of_the_base_class() -> None:
    public = [name for name in dir(GenerativeModel) if not name.startswith("_")]
    assert [name for name in public if safe_attribute(name) == name] == []


def test_nothing_hides_a_name_that_emitted_source_imports() -> None:
    assert [name for name in runtime.__all__ if safe_local(name) == name and name not in UNUSED] == []


MODELS = ["normal", "tensor", "mlp", "compose", "generative_model", "nn", "class", "mixture", "T"]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_may_have_any_name(name) -> None:
    text = SPECS["flow"]
    assert outcome(text.replace("model m", f"model {name}"))[0] == pytest.approx(outcome(text)[0], rel=1e-5)


def test_an_anonymous_parameter_hides_no_method() -> None:
    """Each would be called like a method of the model: p(x_loc), the energy, the loss."""
    hidden = """model hidden
observed x : real[2] from moons.point
latent x_loc : real[2]
let loss : real[4] = param
let p_x : real[2] = param
p(x_loc) = Normal(0, 1)
p(x | x_loc) = Normal(param, exp(x_loc))
q(x_loc | x) = Normal(mlp[4](x, loss, p_x))
"""
    energy = """model energetic
observed x : real[2] from moons.point
E(x) = sum(param * x * x) + mlp[8](x)
"""
    for text in (hidden, energy):
        model = pipeline.build(pipeline.read(text))
        model.loss(torch.zeros(5, 2)).backward()
        assert all(p.grad is not None for p in model.parameters())
