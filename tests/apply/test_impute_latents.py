"""What is missing of models with latents that a q draws, or that rows have in common, is that of quadrature."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from dgmppl.apply import imputing, in_common
from tests.apply.imputed import DRAWS, bits, run_of

VAE = """\
model vae
observed x : real[3] from "d.npz".x
observed y : categorical(2) from "d.npz".y
latent z : real
p(z) = Normal(0, 1)
p(x | z) = Normal(mlp[8](z), 0.5)
p(y | z) = Categorical(mlp[8](z))
q(z | x, y) = Normal(mlp[8](x, y), 1.0)
"""


CLUSTERED = (
    VAE.replace("p(z) = Normal(0, 1)", "p(k) = Categorical(param)\np(z | k) = Normal(2 * k - 1, 0.7)")
    .replace("model vae", "model clustered")
    .replace("latent z : real\n", "latent z : real\nlatent k : integer(0..1)\n")
)
SEMI_SUPERVISED = """\
model semi_supervised
observed x : real[3] from "d.npz".x
partial y : categorical(2) from "d.npz".y
latent z : real
p(z) = Normal(0, 1)
p(y) = Categorical(param)
p(x | y, z) = Normal(mlp[8](y, z), 0.5)
q(y | x) = Categorical(mlp[8](x))
q(z | x, y) = Normal(mlp[8](x, y), 1.0)
"""
Joint = tuple[torch.Tensor, torch.Tensor]
"""log p(y, z) for each z and y, (grid, 2), and the means of x, (grid, 2, 3)."""


def of_vae(model: torch.nn.Module, z: torch.Tensor) -> Joint:
    y = torch.tensor([[0.0], [1.0]])
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(z)
    return (prior + model.p_y(z).log_prob(y)).T, model.p_x(z).mean.unsqueeze(1).expand(-1, 2, -1)


def of_clustered(model: torch.nn.Module, z: torch.Tensor) -> Joint:
    log_joint, means = of_vae(model, z)
    weights = model.p_k().probs.reshape(2)
    normal = torch.distributions.Normal
    prior = torch.log(sum(weights[k] * normal(2.0 * k - 1, 0.7).log_prob(z).exp() for k in (0, 1)))
    return log_joint + (prior - normal(0.0, 1.0).log_prob(z)).unsqueeze(1), means


def of_semi_supervised(model: torch.nn.Module, z: torch.Tensor) -> Joint:
    classes = torch.log(model.p_y().probs.reshape(1, 2))
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).unsqueeze(1)
    means = [model.p_x(torch.full_like(z, k), z).mean for k in (0.0, 1.0)]
    return prior + classes, torch.stack(means, 1)


@pytest.mark.parametrize(
    ("text", "joint"),
    [(VAE, of_vae), (CLUSTERED, of_clustered), (SEMI_SUPERVISED, of_semi_supervised)],
    ids=["vae", "with clusters", "semi-supervised"],
)
def test_a_latent_model_is_as_quadrature_has_it(
    tmp_path: Path,
    text: str,
    joint: Callable[[torch.nn.Module, torch.Tensor], Joint],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imputing, "PARTICLES", 1000)
    monkeypatch.setattr(imputing, "OF_PRIOR", 250)
    rng = np.random.default_rng(0)
    run = run_of(tmp_path, text, {"x": rng.normal(size=(60, 3)), "y": bits(60, 1)[:, 0]}, spread=0.7)
    with torch.no_grad():
        log_joint, means = joint(run.model, torch.linspace(-8, 8, 4001))
        seen = float(means[2000, 0, 0])
        weights = (log_joint - 2 * (means[..., 0] - seen) ** 2).double().flatten().softmax(0).numpy()
    row = np.array([[seen, np.nan, np.nan]])
    found = run.impute({"x": row, "y": np.array([np.nan])}, draws=DRAWS)
    assert any("by weights" in note for note in found.notes)
    flat = means.double().numpy().reshape(-1, 3)
    expected = weights @ flat
    deviation = np.sqrt(weights @ (flat**2 + 0.25) - expected**2)
    assert (np.abs(found["x"][0].mean(0) - expected)[1:] < 0.15 * deviation[1:]).all(), found.notes
    np.testing.assert_allclose(found["x"][0].std(0)[1:], deviation[1:], rtol=0.12)
    assert abs(found["y"][0].mean() - weights.reshape(-1, 2).sum(0)[1]) < 0.05


SHOPS = """\
model shops
observed shop : categorical(3) from "d.npz".shop
observed x : real[2] from "d.npz".x
latent level : real per shop
latent z : real
p(level) = Normal(0, 1)
p(z | level) = LAW(level, 1)
p(x | z) = Normal(z, 2)
"""


@pytest.mark.parametrize(("law", "way"), [("Normal", "exact"), ("Laplace", "by weights")])
def test_what_rows_have_in_common_is_as_its_q_has_it(
    law: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean and the variance of x[1] given x[0] by quadrature over z, and over the level as its q has it."""
    for name, many in {"COMMON": 200, "COMMON_EXACT": DRAWS}.items():
        monkeypatch.setattr(in_common, name, many)
    for name, many in {"ROUNDS": 4, "PARTICLES": 40, "OF_PRIOR": 10}.items():
        monkeypatch.setattr(imputing, name, many)
    rng = np.random.default_rng(0)
    data = {"shop": rng.integers(0, 3, 60).astype(float), "x": rng.normal(size=(60, 2))}
    run = run_of(tmp_path, SHOPS.replace("LAW", law), data, spread=0.3)
    rows = {"shop": np.array([0.0, 1.0, 2.0]), "x": np.array([[1.0, np.nan], [4.0, np.nan], [-2.0, np.nan]])}
    found = run.impute(rows, draws=DRAWS)
    assert any(note.startswith(way) and "level, which rows have in common" in note for note in found.notes)
    with torch.no_grad():
        q = run.model.q_level(torch.arange(3.0))
    z = np.linspace(-25, 25, 2001)
    for k, (mean, deviation) in enumerate(zip(q.mean.double(), q.stddev.double(), strict=True)):
        level = mean.item() + deviation.item() * np.linspace(-5, 5, 101)[:, None]
        prior = stats.norm(level, 1) if law == "Normal" else stats.laplace(level, 1)
        weight = prior.pdf(z) * stats.norm(z, 2).pdf(rows["x"][k, 0])
        weight *= stats.norm(mean, deviation).pdf(level) / weight.sum(1, keepdims=True)
        weight /= weight.sum()
        each, expected = (weight * z).sum(1) / weight.sum(1), (weight * z).sum()
        spread = np.sqrt((weight * z**2).sum() - expected**2 + 4)
        of_levels = np.sqrt((weight.sum(1) * (each - expected) ** 2).sum())
        drawn = found["x"][k, :, 1]
        assert abs(drawn.mean() - expected) < 5 * (spread / np.sqrt(DRAWS / 2) + of_levels / np.sqrt(200))
        assert abs(drawn.std() - spread) < 0.1 * spread


NETWORK = """\
model network
observed s : real from "d.npz".s
observed x : real[2] from "d.npz".x
latent z : real
net f = NET
p(f) = Normal(0, 1)
q(f) = Normal(param, 0.5)
p(z) = LAW(0, 1)
p(x | s, z, f) = Normal(f(s, z), 0.8)
"""


@pytest.mark.parametrize(
    ("law", "net", "way"), [("Normal", "linear", "exact"), ("Laplace", "mlp[3, activation = tanh]", "by weights")]
)
def test_what_is_missing_is_mixed_over_the_weights_of_a_network(
    law: str, net: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean and the deviation of x[1] given x[0] by quadrature over z, of each of many draws of the weights."""
    for name, many in {"COMMON": 100, "COMMON_EXACT": 400}.items():
        monkeypatch.setattr(in_common, name, many)
    for name, many in {"ROUNDS": 4, "PARTICLES": 40, "OF_PRIOR": 10}.items():
        monkeypatch.setattr(imputing, name, many)
    rng = np.random.default_rng(0)
    data = {"s": rng.normal(size=60), "x": rng.normal(size=(60, 2))}
    run = run_of(tmp_path, NETWORK.replace("LAW", law).replace("NET", net), data, spread=0.5)
    rows = {"s": np.array([1.0, -2.0]), "x": np.array([[1.0, np.nan], [-1.5, np.nan]])}
    found = run.impute(rows, draws=DRAWS)
    networks = 400 if way == "exact" else 100
    assert any(note.startswith(way) and "draws of f, which rows have in common" in note for note in found.notes)
    z = torch.linspace(-15, 15, 1501)
    prior = (stats.norm if law == "Normal" else stats.laplace)(0, 1).pdf(z.numpy())
    for k in (0, 1):
        s = torch.full_like(z, rows["s"][k])
        with torch.no_grad():
            weights = run.model.q_f().sample((500,))
            means = torch.stack([run.model.p_x(s, z, f).mean for f in weights]).double().numpy()
        of_z = prior * stats.norm(means[..., 0], 0.8).pdf(rows["x"][k, 0])
        of_z /= of_z.sum(1, keepdims=True)
        each = (of_z * means[..., 1]).sum(1)
        second = (of_z * means[..., 1] ** 2).sum(1) + 0.8**2
        expected, spread = each.mean(), np.sqrt(second.mean() - each.mean() ** 2)
        drawn = found["x"][k, :, 1]
        assert abs(drawn.mean() - expected) < 5 * (spread / np.sqrt(DRAWS / 2) + each.std() / np.sqrt(networks))
        assert abs(drawn.std() - spread) < 0.1 * spread
    assert found.notes[-1].endswith(f"{networks} draws of f, each for all rows")
