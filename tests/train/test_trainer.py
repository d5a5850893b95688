"""The training loop on models small enough to know what it should do."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from dgmppl.catalogue.training import OPTIMIZERS as CATALOGUE
from dgmppl.diagnostics import SpecError
from dgmppl.plan.settings import OptimizerSetting, TrainSettings
from dgmppl.source import Span
from dgmppl.train.batches import MemoryExamples
from dgmppl.train.device import open_device, seeded
from dgmppl.train.figures import evaluate_figures
from dgmppl.train.history import Callbacks
from dgmppl.train.optimizers import OPTIMIZERS, build_optimizer
from dgmppl.train.progress import describe
from dgmppl.train.trainer import Trainer, fit

from .models import Gaussian, TinyGan, TinyVae

CPU = torch.device("cpu")
FAST = TrainSettings(epochs=30, patience=30, batch=50, optimizer=OptimizerSetting("adam", 0.05, {}))


def normal_data(n=200, loc=1.5, scale=0.5):
    return [loc + scale * torch.randn(n, generator=torch.Generator().manual_seed(1))]


def vae_data():
    return [torch.randn(130, 4, generator=torch.Generator().manual_seed(1))]


def bits(model):
    return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}


def run(kind, data, settings, seed=0):
    with seeded(seed, CPU):
        model = kind()
        result = fit(model, data, data, settings)
    return model, result


def trainer(model, data, settings):
    rows = MemoryExamples(data)
    return Trainer(model, rows, rows, settings, open_device("cpu"))


def test_finds_the_best_normal():
    model, result = run(Gaussian, normal_data(), FAST)
    (x,) = normal_data()
    assert model.loc.item() == pytest.approx(x.mean().item(), abs=0.05)
    assert model.log_scale.exp().item() == pytest.approx(x.std().item(), abs=0.05)
    assert result.stopped == "epochs"
    assert not model.training


@pytest.mark.parametrize("kind", [TinyVae, TinyGan])
def test_the_same_seed_gives_the_same_bits(kind):
    data = vae_data() if kind is TinyVae else normal_data()
    settings = dataclasses.replace(FAST, epochs=3)
    first, a = run(kind, data, settings)
    torch.rand(7)
    second, b = run(kind, data, settings)
    assert bits(first) == bits(second)
    assert [e.losses for e in a.epochs] == [e.losses for e in b.epochs]
    assert bits(run(kind, data, dataclasses.replace(settings, seed=1))[0]) != bits(first)
    assert bits(run(kind, data, settings, seed=1)[0]) != bits(first)


def test_a_seeded_fit_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    run(TinyVae, vae_data(), dataclasses.replace(FAST, epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_validation_does_not_disturb_training():
    """With and without epochs of validation in between, the noise of the losses is the same."""
    settings = dataclasses.replace(FAST, epochs=3)

    class Unvalidated(TinyVae):
        criterion = None

    model, _ = run(Unvalidated, vae_data(), settings)
    same, result = run(TinyVae, vae_data(), settings)
    assert result.best_epoch == 3
    assert bits(model) == bits(same)


class Worsening(Gaussian):
    """Its criterion falls from the third epoch on, whatever the weights are."""

    def __init__(self):
        super().__init__()
        self.calls = 0
        self.kept = []

    def figures(self, x):
        self.calls += 1
        self.kept.append(bits(self))
        return {"log_prob": torch.full_like(x, -abs(self.calls - 3.0))}


def test_early_stopping_keeps_the_best_weights():
    model, result = run(Worsening, normal_data(), dataclasses.replace(FAST, patience=4))
    assert result.best_epoch == 3
    assert len(result.epochs) == 7
    assert result.stopped == "patience"
    assert [e.best for e in result.epochs] == [True] * 3 + [False] * 4
    assert bits(model) == model.kept[2]
    assert model.kept[2] != model.kept[6]


def test_without_a_criterion_all_epochs_run_and_the_last_weights_stay():
    model, result = run(TinyGan, normal_data(), dataclasses.replace(FAST, patience=2))
    assert len(result.epochs) == 30
    assert result.best_epoch == 30
    assert set(result.epochs[0].losses) == {"adversary", "model"}
    assert "adversary loss" in describe(result.epochs[0])
    assert model.loc.item() > 0.5


def test_each_player_moves_its_own_weights_only():
    """With a rate of 0 for one side, only the other side moves."""
    still = OptimizerSetting("sgd", 0.0, {})
    settings = dataclasses.replace(FAST, epochs=1)
    model, _ = run(TinyGan, normal_data(), dataclasses.replace(settings, adversary_optimizer=still))
    with seeded(0, CPU):
        fresh = TinyGan()
    assert torch.equal(model.d.weight, fresh.d.weight)
    assert model.loc.item() != 0
    model, _ = run(
        TinyGan,
        normal_data(),
        dataclasses.replace(settings, optimizer=still, adversary_optimizer=FAST.optimizer),
    )
    assert not torch.equal(model.d.weight, fresh.d.weight)
    assert model.loc.item() == 0


def test_clipping_bounds_a_step():
    sgd = OptimizerSetting("sgd", 1.0, {})
    settings = dataclasses.replace(FAST, epochs=1, batch=200, optimizer=sgd, clip=1e-3)
    model, _ = run(Gaussian, normal_data(loc=50.0), settings)
    moved = math.hypot(model.loc.item(), model.log_scale.item())
    assert moved == pytest.approx(1e-3, rel=1e-2)


def test_an_interrupt_keeps_what_there_is():
    told, kept = [], []
    model = Gaussian()
    watch = Callbacks(told.append, on_checkpoint=kept.append, should_stop=lambda: len(told) == 4)
    result = trainer(model, normal_data(), FAST).run(watch)
    assert result.stopped == "interrupted"
    assert len(result.epochs) == 4
    assert result.steps == 17, "the step in which it was interrupted is completed"
    assert model.loc.item() > 0
    assert kept[-1]["position"] == 1


def test_no_epochs_leave_the_initial_weights():
    model, result = run(Gaussian, normal_data(), dataclasses.replace(FAST, epochs=0))
    assert model.loc.item() == 0
    assert result.best_epoch == 0


class Broken(Gaussian):
    def terms(self, x):
        return {**super().terms(x), "log p(y)": torch.where(x > 2.0, -math.inf, 0.0)}


def test_a_term_that_is_not_finite_is_named_with_its_place():
    span = Span(5, 9)
    with pytest.raises(SpecError) as caught:
        fit(Broken(), normal_data(), normal_data(), FAST, spans={"log p(y)": span})
    (found,) = caught.value.diagnostics
    assert found.code == "E610"
    assert "log p(y) is -inf" in found.headline
    assert found.span == span


class BadGradient(Gaussian):
    def terms(self, x):
        return {"log p(x)": -(self.loc * x).abs().sqrt()}


def test_a_gradient_that_is_not_finite_is_named():
    with pytest.raises(SpecError) as caught:
        fit(BadGradient(), normal_data(), normal_data(), FAST)
    (found,) = caught.value.diagnostics
    assert found.code == "E611"
    assert "loc" in found.headline


class NeverFinite(Gaussian):
    def figures(self, x):
        return {"log_prob": torch.full_like(x, -math.inf)}


def test_a_criterion_that_is_never_finite_is_an_error():
    with pytest.raises(SpecError) as caught:
        fit(NeverFinite(), normal_data(), normal_data(), dataclasses.replace(FAST, epochs=2))
    assert caught.value.diagnostics[0].code == "E613"


def test_figures_average_over_examples_and_draws():
    (x,) = normal_data(n=700)
    model = Gaussian().train()
    estimate = evaluate_figures(model, [x])["log_prob"]
    exact = torch.distributions.Normal(0.0, 1.0).log_prob(x).double()
    assert estimate.mean == pytest.approx(exact.mean().item(), rel=1e-6)
    assert estimate.standard_error == pytest.approx(exact.std().item() / math.sqrt(700), rel=1e-6)
    assert estimate.rows == 700
    assert model.training


def test_more_draws_make_a_figure_less_noisy():
    vae, data = TinyVae(), vae_data()
    one = [evaluate_figures(vae, data, 1, seed)["elbo"].mean for seed in range(8)]
    many = [evaluate_figures(vae, data, 30, seed)["elbo"].mean for seed in range(8)]
    assert torch.tensor(many).std() < 0.6 * torch.tensor(one).std()
    assert evaluate_figures(vae, data, 3, 5) == evaluate_figures(vae, data, 3, 5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_takes_its_options_and_descends(name):
    options = dict.fromkeys(CATALOGUE[name].names, 0.1)
    options.pop("lr")
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer = build_optimizer(OptimizerSetting(name, 0.01, options), [weight])
    for _ in range(20):
        optimizer.zero_grad()
        weight.square().sum().backward()
        optimizer.step()
    assert weight.item() < 3.0
    if "beta2" in options:
        assert optimizer.defaults["betas"] == (0.1, 0.1)


def test_every_optimizer_a_spec_can_name_is_there():
    assert OPTIMIZERS.keys() == CATALOGUE.keys()


def test_the_adversary_may_take_several_steps():
    class Counting(TinyGan):
        def __init__(self):
            super().__init__()
            self.steps = []
            self.batches = []

        def adversary_loss(self, x):
            self.steps.append("adversary")
            self.batches.append(x)
            return super().adversary_loss(x)

        def model_loss(self, x):
            self.steps.append("model")
            return super().model_loss(x)

    model, _ = run(Counting, normal_data(), dataclasses.replace(FAST, epochs=1, batch=100, adversary_steps=2))
    assert model.steps == ["adversary", "adversary", "model"] * 2
    for first, second in (model.batches[:2], model.batches[2:]):
        assert sorted(torch.cat([first, second]).tolist()) == sorted(normal_data()[0].tolist())


@pytest.mark.parametrize("name", ["meta", "cuda:0", "gpu", ""])
def test_a_device_of_another_name(name: str) -> None:
    with pytest.raises(SpecError, match=f"E612: there is no device `{name}`"):
        open_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there():
    with pytest.raises(SpecError) as caught:
        open_device("cuda")
    assert caught.value.diagnostics[0].code == "E612"
    assert open_device("auto").device.type == "cpu"
