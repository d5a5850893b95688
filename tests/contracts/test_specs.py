"""Every spec of the library: compiled, fitted for a moment, saved, loaded, sampled from."""

from __future__ import annotations

import shutil

import pytest
import torch

import dgmppl
from dgmppl import pipeline
from dgmppl.diagnostics import SpecError
from dgmppl.lifecycle import ComputeOptions, train_spec
from dgmppl.train.batches import open_examples
from dgmppl.train.runs import load_data
from tests.contracts.support import (
    LIBRARY,
    build,
    checked,
    data_of,
    graph_of,
    name_of,
    samples_of,
    seed,
    verify_support,
)

# spec -> overrides that make it small, its objective's figure, whether Pyro can express it.
CONTRACTS: dict[str, tuple[tuple[str, ...], str | None, bool]] = {
    "adversarial/conditional_gan": ((), None, False),
    "adversarial/dcgan": (("train.adversary_steps=1",), None, False),
    "adversarial/gan": ((), None, False),
    "autoregressive/causal_cnn": ((), "log_prob", True),
    "autoregressive/gated_pixelcnn": ((), "log_prob", True),
    "autoregressive/finite_memory": ((), "log_prob", True),
    "autoregressive/made": ((), "log_prob", True),
    "autoregressive/nade": ((), "log_prob", True),
    "autoregressive/pixelcnn": ((), "log_prob", True),
    "autoregressive/pixelcnnpp": ((), "log_prob", True),
    "autoregressive/rnn": ((), "log_prob", True),
    "autoregressive/transformer": ((), "log_prob", True),
    "autoregressive/zigzag": ((), "log_prob", True),
    "compression/bits_back": ((), "elbo", True),
    "compression/lossless_causal": ((), "log_prob", True),
    "compression/lossless_integer_flow": ((), "log_prob", False),
    "diffusion/flow_matching": ((), "flow_matching", False),
    "diffusion/score": ((), "flow_matching", False),
    "energy/jem": ((), "log p(y | x)", False),
    "energy/rbm": (("H=12",), "log_prob", False),
    "flow/gin": ((), "elbo", True),
    "flow/glow": ((), "elbo", True),
    "flow/conditional_flow": ((), "log_prob", True),
    "flow/iaf": ((), "log_prob", True),
    "flow/ica": ((), "log_prob", True),
    "flow/inverse_problem": ((), "log_prob", False),
    "flow/learned_base": ((), "log_prob", True),
    "flow/dense_flow": ((), "log_prob", True),
    "flow/ffjord": ((), "log_prob", True),
    "flow/integer_flow": ((), "log_prob", False),
    "flow/integer_flow_quad": ((), "log_prob", False),
    "flow/maf": ((), "elbo", True),
    "flow/neural_autoregressive": ((), "elbo", True),
    "flow/nice": ((), "elbo", True),
    "flow/planar": ((), "log_prob", True),
    "flow/point_cloud": ((), "elbo", True),
    "flow/radial": ((), "log_prob", True),
    "flow/realnvp": ((), "elbo", True),
    "flow/realnvp_multiscale": ((), "elbo", True),
    "flow/reversible_flow": ((), "elbo", True),
    "flow/rescaling": ((), "elbo", False),
    "flow/residual_flow": ((), "log_prob", True),
    "flow/simulation_posterior": ((), "log_prob", True),
    "flow/spline_coupling": ((), "elbo", True),
    "flow/sylvester": ((), "log_prob", True),
    "flow/variational_dequantization": ((), "elbo", True),
    "latent/auxiliary_vae": ((), "elbo", True),
    "latent/bayesian_head": ((), "elbo", True),
    "latent/bayesian_network": ((), "elbo", True),
    "latent/bayesian_regression": ((), "elbo", True),
    "latent/eight_schools": (("train.split=whole", "train.batch=8"), "elbo", True),
    "latent/mixed_effects": (("train.split=shuffled(100, 16, 16)",), "elbo", True),
    "latent/conditional_vae": ((), "elbo", True),
    "latent/conv_vae": ((), "elbo", True),
    "latent/deep_vae": (("L=2",), "elbo", True),
    "latent/factor_analysis": ((), "log_prob", True),
    "latent/downscaled_vae": ((), "elbo", True),
    "latent/factor_analysis_incomplete": ((), "log_prob", True),
    "latent/gaussian_mixture": ((), "log_prob", True),
    "latent/gmvae": ((), "elbo", False),
    "diffusion/conditional_ddpm": ((), "elbo", True),
    "diffusion/cosine": ((), "elbo", True),
    "diffusion/ddim": ((), "elbo", False),
    "diffusion/ddpm": ((), "elbo", True),
    "diffusion/discrete_diffusion": ((), "elbo", True),
    "diffusion/diffusion": ((), "elbo", True),
    "diffusion/diffusion_prior": ((), "elbo", True),
    "latent/hyperspherical_vae": ((), "elbo", True),
    "latent/ivae": ((), "elbo", True),
    "latent/ladder_vae": (("L=2",), "elbo", True),
    "latent/mixture_of_experts": ((), "log_prob", True),
    "latent/ppca": ((), "log_prob", True),
    "latent/pixel_vae": ((), "elbo", True),
    "latent/skip_vae": ((), "elbo", True),
    "latent/sparse_table": ((), "elbo", True),
    "latent/topic_model": ((), "elbo", True),
    "latent/top_down_vae": ((), "elbo", True),
    "latent/two_level_vae": ((), "elbo", True),
    "latent/vae": ((), "elbo", True),
    "latent/vae_ar_prior": ((), "elbo", True),
    "sequence/deep_markov": ((), "elbo", True),
    "sequence/vrnn": ((), "elbo", True),
    "latent/vae_flow_prior": ((), "elbo", True),
    "latent/vae_gtm": ((), "elbo", True),
    "latent/vae_gtm_vampprior": ((), "elbo", True),
    "latent/two_stage_vae": ((), "elbo", True),
    "latent/vae_householder": ((), "elbo", True),
    "latent/vae_iaf": ((), "elbo", True),
    "latent/vae_mog": ((), "elbo", True),
    "latent/vae_planar": ((), "elbo", True),
    "latent/vae_sylvester_householder": ((), "elbo", True),
    "latent/vae_sylvester_orthogonal": ((), "elbo", True),
    "latent/vae_sylvester_triangular": ((), "elbo", True),
    "hybrid/convex_hybrid": ((), "objective", True),
    "hybrid/diglm": ((), "log p(y | x)", True),
    "hybrid/diglm_regression": ((), "log p(y | x)", True),
    "hybrid/hybrid_vae": ((), "error", True),
    "hybrid/naive": ((), "error", True),
    "hybrid/shared": ((), "error", True),
    "hybrid/shared_integer_flow": ((), "objective", False),
    "semi_supervised/flow_semi": ((), "elbo", False),
    "semi_supervised/jem_semi": ((), "error", False),
    "semi_supervised/m1": ((), "elbo", True),
    "semi_supervised/m1_m2": ((), "error", False),
    "semi_supervised/m2": ((), "error", False),
    "sequence/hmm": ((), "log_prob", True),
    "sequence/kalman": ((), "log_prob", True),
    "sequence/switching": ((), "elbo", True),
    "latent/vae_vampprior": ((), "elbo", True),
}

spec = pytest.mark.parametrize("path", LIBRARY, ids=name_of)


def test_every_spec_has_a_contract() -> None:
    assert set(CONTRACTS) == {name_of(path) for path in LIBRARY}


@spec
def test_it_begins_with_what_it_is_and_where_it_comes_from(path) -> None:
    head = [line for line in path.read_text().split("\nmodel ")[0].splitlines() if line.strip()]
    assert head
    assert all(line.startswith("# ") for line in head)
    assert any(c.isdigit() for c in " ".join(head)), "cite a source with its year"
    assert f"model {path.stem}" in path.read_text()


@spec
def test_it_has_no_errors_and_no_warnings(path) -> None:
    assert dgmppl.check(path) == ()


@spec
def test_pyro_expresses_it_or_says_why_not(path) -> None:
    if CONTRACTS[name_of(path)][2]:
        model = dgmppl.compile(path, target="pyro")
        assert callable(model.model)
        assert callable(model.guide)
        return
    with pytest.raises(SpecError) as caught:
        dgmppl.compile(path, target="pyro")
    (found,) = caught.value.diagnostics
    assert found.code == "E310"
    assert found.headline.startswith("Pyro cannot express this model: ")


@spec
def test_weights_say_what_the_plan_counts(path) -> None:
    found = checked(path)
    assert found.plan is not None
    assert sum(p.numel() for p in build(found).parameters()) == found.plan.structure.weights


@spec
def test_gradients_reach_every_parameter(path) -> None:
    found = checked(path, CONTRACTS[name_of(path)][0])
    model, data = build(found, scale=0.01), data_of(found, 8)
    # What an energy network's last bias adds cancels against log Z, but the backward pass still visits it.
    reached = set()
    for player in model.players():
        model.zero_grad(set_to_none=True)
        loss = player.loss(*data)
        assert loss.isfinite()
        loss.backward()
        mine = {id(p) for p in player.parameters}
        reached |= {name for name, p in model.named_parameters() if id(p) in mine and p.grad is not None}
    assert reached == {name for name, _ in model.named_parameters()}


@spec
def test_fit_save_load_sample(path, tmp_path) -> None:
    overrides, criterion, _ = CONTRACTS[name_of(path)]
    narrow = path.read_text().replace("256", "32")
    few = ("train.split=ordered(100, 16, 16)", "train.batch=50", "train.epochs=2")
    for file in path.parent.glob("*.csv"):  # data beside specs
        shutil.copy(file, tmp_path)
    (tmp_path / path.name).write_text(narrow)
    found = pipeline.read(tmp_path / path.name, (*few, *overrides))
    model, run = train_spec(found, tmp_path / "run", ComputeOptions("cpu"))
    assert model.criterion == criterion
    assert {"spec.dgm", "model.py", "weights.safetensors", "metrics.jsonl"} <= {f.name for f in run.path.iterdir()}

    assert "could not be made" not in (run.path / "report.html").read_text()

    loaded = dgmppl.load(run.path).model
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, weights in model.state_dict().items():
        assert torch.equal(weights.cpu(), loaded.state_dict()[name]), name

    graph = graph_of(found)
    data = next(open_examples(load_data(found, path.parent).test, loaded.data, torch.device("cpu")).chunks(16))
    rows = data
    model.eval()
    with seed(1), torch.no_grad():
        before, drawn = model.figures(*rows), samples_of(found, model, len(rows[0]), rows)
    with seed(1), torch.no_grad():
        after, again = loaded.figures(*rows), samples_of(found, loaded, len(rows[0]), rows)
    for name, values in before.items():
        assert torch.equal(values, after[name]), name
        assert values.isfinite().all(), name
    for name, values in drawn.items():
        assert torch.equal(values, again[name]), name
        verify_support(graph[name].type, values, len(rows[0]))
