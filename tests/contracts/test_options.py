"""Every option of `train { objective = ... }` changes what runs: no option is read and forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dgmppl import pipeline
from dgmppl.catalogue.training import GAMES, OBJECTIVES
from dgmppl.train.device import seeded
from dgmppl.train.trainer import fit

CPU = torch.device("cpu")

VAE = """\
model tiny_vae
observed x : real[2] from moons.point
latent   z : real[2]
p(z)     = Normal(0, 1)
p(x | z) = Normal(mlp[8](z))
q(z | x) = Normal(mlp[8](x))
"""
ODE = """\
model tiny_equation
observed x : real[2] from moons.point
p(x)     = Normal(0, 1) >> ode[mlp[8], steps = 2]
"""
SEMI = """\
model tiny_classifier
observed x : real[2] from moons.point
partial  y : categorical(2) from labelled(moons.label, 100)
p(y)     = Categorical(param)
p(x | y) = Normal(mlp[8](y))
q(y | x) = Categorical(mlp[8](x))
"""
FLOW = """\
model tiny_pair
observed x : real[2] from moons.point
observed y : categorical(2) from moons.label
p(x) = Normal(param, param)
p(y | x) = Categorical(mlp[8](x))
"""
RBM = """\
model tiny_rbm
observed x : binary[64] from threshold(digits.image, 8)
latent   h : binary[4]
param    W : real[64, 4]
E(x, h) = -x @ W @ h
"""
SMOOTH = """\
model tiny_energy
observed x : real[2] from moons.point
E(x) = mlp[8](x)
"""
GAN = """\
model tiny_gan
observed x : real[2] from moons.point
latent   z : real[2]
p(z) = Normal(0, 1)
x    = mlp[8](z)
adversary D(x) = mlp[8]
"""

# (objective, option) -> spec, and two values of the objective that differ in this option
CASES: dict[tuple[str, str], tuple[str, str, str]] = {
    ("likelihood", "weight"): (FLOW, "likelihood", "likelihood(weight = { x = 0.1 })"),
    ("elbo", "beta"): (VAE, "elbo", "elbo(beta = 4)"),
    ("elbo", "classify"): (SEMI, "elbo", "elbo(classify = 4)"),
    ("elbo", "weight"): (VAE, "elbo", "elbo(weight = { x = 0.1 })"),
    ("iwae", "samples"): (VAE, "iwae(2)", "iwae(5)"),
    ("contrastive_divergence", "steps"): (RBM, "contrastive_divergence(1)", "contrastive_divergence(2)"),
    ("contrastive_divergence", "persistent"): (
        RBM,
        "contrastive_divergence(1)",
        "contrastive_divergence(1, persistent = true)",
    ),
    ("contrastive_divergence", "chains"): (
        RBM,
        "contrastive_divergence(persistent = true)",
        "contrastive_divergence(persistent = true, chains = 7)",
    ),
    ("contrastive_divergence", "restart"): (
        RBM,
        "contrastive_divergence(persistent = true)",
        "contrastive_divergence(persistent = true, restart = 0.5)",
    ),
    ("contrastive_divergence", "step_size"): (
        SMOOTH,
        "contrastive_divergence(noise = 0.1)",
        "contrastive_divergence(noise = 0.1, step_size = 0.05)",
    ),
    ("contrastive_divergence", "noise"): (
        SMOOTH,
        "contrastive_divergence(noise = 0.1)",
        "contrastive_divergence(noise = 0.2)",
    ),
    ("contrastive_divergence", "weight"): (
        RBM,
        "contrastive_divergence(1)",
        "contrastive_divergence(1, weight = { x = 0.1 })",
    ),
    ("flow_matching", "path"): (ODE, "flow_matching", "flow_matching(cosine)"),
    ("flow_matching", "target"): (ODE, "flow_matching", "flow_matching(linear, target = noise)"),
    ("flow_matching", "weight"): (ODE, "flow_matching", "flow_matching(weight = { x = 0.1 })"),
    ("adversarial", "game"): (GAN, "adversarial(nonsaturating)", "adversarial(hinge)"),
    ("adversarial", "weight"): (GAN, "adversarial", "adversarial(weight = { D = 0.1 })"),
}


def fitted(spec: str, objective: str) -> list[torch.Tensor]:
    """The weights after a few plain gradient steps on made-up data: Adam would undo a factor of the loss."""
    settings = "epochs = 3, batch = 10, optimizer = sgd(1e-2)"
    checked = pipeline.read(f"{spec}train {{ {settings}, objective = {objective} }}\n")
    assert checked.plan is not None and checked.graph is not None, [d.headline for d in checked.errors]
    data = []
    for variable in checked.graph.data:
        values = torch.randn(20, *variable.type.shape, generator=torch.Generator().manual_seed(0))
        data.append(values if not variable.type.support.discrete else (values > 0).float())
        if variable.role == "partial":
            data[-1][::2] = torch.nan
    with seeded(0, CPU):
        model = pipeline.build(checked)
        fit(model, data, data, checked.plan.settings)
    return [p.detach() for p in model.parameters()]


def differ(spec: str, one: str, other: str) -> bool:
    return any(not torch.allclose(a, b, atol=1e-6) for a, b in zip(fitted(spec, one), fitted(spec, other), strict=True))


@pytest.mark.parametrize(("objective", "option"), CASES)
def test_an_option_changes_the_fit(objective: str, option: str) -> None:
    assert differ(*CASES[objective, option])


@pytest.mark.parametrize(
    ("ramp", "other"),
    [
        ("beta = linear(0, 1, epochs = 2)", "beta = 1"),
        ("beta = linear(0, 1, epochs = 2)", "beta = cosine(0, 1, epochs = 2)"),
        ("beta = linear(0, 1, epochs = 2)", "beta = linear(0, 1)"),
        ("weight = { x = linear(0, 1, epochs = 2) }", "weight = { x = linear(2, 1, epochs = 2) }"),
    ],
)
def test_a_ramp_changes_the_fit(ramp: str, other: str) -> None:
    assert differ(VAE, f"elbo({ramp})", f"elbo({other})")


def test_a_ramp_between_equal_ends_is_a_number() -> None:
    assert not differ(VAE, "elbo(beta = linear(4, 4))", "elbo(beta = 4)")
    assert not differ(VAE, "elbo(beta = linear(0, 1, epochs = 3), weight = { z = cosine(4, 4) })", _TWICE)


_TWICE = "elbo(beta = linear(0, 1, epochs = 3), weight = { z = 4 })"


def test_a_weight_follows_its_ramp_in_the_loss_alone() -> None:
    """Half way it is half, as written behind its epochs, and a figure knows of no weight."""
    text = f"{VAE}train {{ objective = elbo(beta = linear(0, 2, epochs = 4), weight = {{ z = 3 }}) }}\n"
    checked = pipeline.read(text)
    with seeded(0, CPU):
        model = pipeline.build(checked)
    (label,) = model.ramps
    found, losses = [], []
    x = torch.randn(8, 2)
    for epoch in (0.0, 1.0, 2.5, 4.0, 7.0):
        model.epoch = epoch
        found.append(model.weight_of(label))
        with seeded(1, CPU):
            losses.append(model.loss(x).item())
    assert found == [0.0, 1.5, 3.75, 6.0, 6.0]
    assert losses[3] == losses[4]
    with seeded(1, CPU):
        terms = model.terms(x)
    others = sum(term.mean().item() for name, term in terms.items() if name != label)
    assert losses == pytest.approx([-others - w * terms[label].mean().item() for w in found], rel=1e-5)
    with seeded(1, CPU):
        assert model.elbo(x).mean().item() == pytest.approx(others + terms[label].mean().item(), rel=1e-5)


def test_a_fit_tells_its_model_how_far_it_is() -> None:
    """Also one that goes on with other epochs behind it; outside of a fit the end of a ramp holds."""
    checked = pipeline.read(f"{VAE}train {{ epochs = 2, batch = 5, objective = elbo(beta = linear(0, 1)) }}\n")
    assert checked.plan is not None
    told: list[float] = []
    model = pipeline.build(checked)
    loss = model.loss
    model.loss = lambda *data: (told.append(model.epoch), loss(*data))[1]  # type: ignore[method-assign]
    x = torch.randn(10, 2)
    fit(model, [x], [x], checked.plan.settings)
    assert told == [0.0, 0.5, 1.0, 1.5]
    assert model.epoch == float("inf")


@pytest.mark.parametrize("game", GAMES)
def test_a_penalty_changes_the_fit(game: str) -> None:
    assert differ(GAN, f"adversarial({game}(penalty = 0))", f"adversarial({game}(penalty = 5))")


def test_every_option_is_tried() -> None:
    assert set(CASES) == {(name, option) for name, objective in OBJECTIVES.items() for option in objective.names}
    assert {option for game in GAMES.values() for option in game.names} == {"penalty"}


@pytest.mark.parametrize(
    ("spec", "objective", "name"),
    [
        (RBM, "contrastive_divergence(chains = 7)", "chains"),
        (RBM, "contrastive_divergence(restart = 0.1)", "restart"),
        (RBM, "contrastive_divergence(noise = 0.1)", "noise"),
        (RBM, "contrastive_divergence(persistent = true, step_size = 0.1)", "step_size"),
        (SMOOTH, "contrastive_divergence(persistent = false, restart = 0.1)", "restart"),
    ],
)
def test_an_option_that_would_change_nothing_is_an_error(spec: str, objective: str, name: str) -> None:
    (found,) = pipeline.read(f"{spec}train {{ objective = {objective} }}\n").errors
    assert found.code == "E305" and f"`{name}`" in found.headline


_FAMILY = """
model family
const T = 3
observed x : real[2] from moons.point
latent   z[t in 1..T] : real[2]
p(z[T])          = Normal(0, 1)
p(z[t-1] | z[t]) = Normal(mlp[8](z[t], t))
p(x | z[1])      = Normal(mlp[8](z[1]))
q(z[1] | x)      = Normal(mlp[8](x))
q(z[t] | z[t-1]) = Normal(mlp[8](z[t-1], t))
"""


@pytest.mark.parametrize(
    ("entries", "weights"),
    [
        ("z[t] = 0.5", [0.5, 0.5, 0.5]),
        ("z = 0.5", [0.5, 0.5, 0.5]),
        ("z[2] = 0.5, x = 3", [1, 0.5, 1]),
    ],
)
def test_an_entry_is_about_a_family_or_one_of_its_members(entries: str, weights: list[float]) -> None:
    checked = pipeline.read(f"{_FAMILY}train {{ objective = elbo(weight = {{ {entries} }}) }}")
    assert checked.plan is not None, checked.errors
    found = {t.owner: t.weight for t in checked.plan.terms}
    assert [found[f"z[{k}]"] for k in (1, 2, 3)] == weights


def test_draws_in_turn_are_weighed_too() -> None:
    """Families whose q read each other's earlier members are drawn in one step of the plan, not one each."""
    path = Path(__file__).parent / "specs" / "in_turn.dgm"
    one, many = (pipeline.read(path, o) for o in ((), ("train.objective=iwae(20)",)))
    with seeded(0, CPU):
        first = pipeline.build(one)
    second = pipeline.build(many)
    second.load_state_dict(first.state_dict())
    x = torch.randn(200, 4, 2, generator=torch.Generator().manual_seed(1))
    with seeded(0, CPU), torch.no_grad():
        bound, tighter = first.figures(x)["elbo"], second.figures(x)["iwae(20)"]
    assert tighter.mean() > bound.mean() + 0.1
