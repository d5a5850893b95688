"""A compiled model from Python: rows by position or by name, held against their types; its dtype; its latents; what
torch, pickle and copy make of it."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

import dgmppl
from dgmppl import runtime
from dgmppl.plan.rules.marginalise import Marginalise
from dgmppl.runtime import GenerativeModel, RowsError
from dgmppl.runtime.rows import read_types
from tests.contracts.support import (
    COMPOSITIONS,
    LIBRARY,
    ROOT,
    build,
    checked,
    data_of,
    graph_of,
    name_of,
    samples_of,
    seed,
)

REGRESSION = """\
model regression
observed x : real[5] from "x.npy"
observed y : real from "y.npy"
p(y | x) = Normal(mlp[8](x), 1)
"""
BY_CLASS = """\
model by_class
observed x : real[2] from moons.point
observed y : categorical(3) from "y.npy"
p(x | y) = Normal(mlp[8](y))
"""
TYPES = {
    "real": (torch.tensor([[0.0], [torch.nan]]), "is nan; expected a finite number"),
    "positive": (torch.tensor([[1.0], [0.0]]), "above 0"),
    "unit": (torch.tensor([[0.5], [1.5]]), "from 0 to 1"),
    "interval(-1, 1)": (torch.tensor([[0.5], [-1.5]]), "interval"),
    "binary": (torch.tensor([[1.0], [255.0]]), "is 255; expected 0 or 1"),
    "integer(0..16)": (torch.tensor([[16.0], [17.0]]), "is 17"),
    "categorical(3)": (torch.tensor([[2.0], [-1.0]]), "from 0 to 2"),
}
SPECS = {name_of(path): path for path in (*LIBRARY, *COMPOSITIONS)}


def compiled(text: str) -> GenerativeModel:
    return build(checked(text))


# --- rows ----------------------------------------------------------------------------------------


def test_rows_are_taken_by_position_and_by_name() -> None:
    model = compiled(REGRESSION)
    x, y = data_of(checked(REGRESSION), 7)
    right = model.log_prob(x, y)
    for rows in (model.log_prob(x, y=y), model.log_prob(y=y, x=x), model.figures(x=x, y=y)["log_prob"]):
        assert torch.equal(rows, right)
    assert torch.equal(model.loss(y=y, x=x), -right.mean())
    assert torch.equal(model(x=x, y=y)["log p(y | x)"], right)
    for wrong, message in (((x,), "y is missing"), ((x, y, y), "3 were passed")):
        with pytest.raises(TypeError, match=message):
            model.loss(*wrong)
    with pytest.raises(TypeError, match="there is no 'z'"):
        model.loss(x, z=y)
    with pytest.raises(TypeError, match="'x' was passed twice"):
        model.loss(x, y, x=x)


def test_a_shape_is_never_stretched() -> None:
    model = compiled(REGRESSION)
    x, y = data_of(checked(REGRESSION), 7)
    wrong = [
        ((x, y[:, None]), r"`y` is declared real: rows of shape \(n,\) are expected, not \(7, 1\); `reshape\(-1\)`"),
        ((y, x), r"`x` is declared real\[5\]: rows of shape \(n, 5\) are expected, not \(7,\)"),
        ((x[0], y), r"a single row has an axis for it too"),
        ((x[:, :1], y), r"not \(7, 1\)"),
        ((x, y[:5]), "as many rows of each variable: found 7 of `x`, 5 of `y`"),
        ((x, y[:1]), "found 7 of `x`, 1 of `y`"),
    ]
    for data, message in wrong:
        for method in (model.loss, model.log_prob, model.figures, model.terms, model):
            with pytest.raises(RowsError, match=message):
                method(*data)
    for method in (model.loss, model.log_prob, model.figures):  # nor where rows are not looked at
        with model.unchecked(), pytest.raises(ValueError, match=r"has the shape \(7, 7\), and of 7 rows it is \(7,\)"):
            method(x, y[:, None])


@pytest.mark.parametrize("word", TYPES)
def test_values_outside_the_type_are_refused(word: str) -> None:
    values, message = TYPES[word]
    head = f'model m\nobserved x : {word}[1] from "x.npy"\nobserved y : real from "y.npy"\n'
    model = compiled(head + "p(y | x) = Normal(mlp[4](x), 1)\n")
    assert model.loss(values[:1], torch.zeros(1)).isfinite()
    with pytest.raises(RowsError, match=message) as error:
        model.loss(values, torch.zeros(2))
    assert f"`x` is declared {word}[1]: row 1" in str(error.value)
    with pytest.raises(RowsError, match=message):
        model.sample(3, x=values[1])
    assert model.sample(3, x=values[0]).shape == (3,)


def test_conditions_are_held_against_their_types() -> None:
    model = compiled(BY_CLASS)
    for y in (7.0, -1, 0.5, torch.tensor([0.0, 1.0, 3.0])):
        with pytest.raises(RowsError, match="categorical"):
            model.sample(3, y=y)
    with pytest.raises(RowsError, match=r"one value or 3 rows are expected, not shape \(2,\)"):
        model.sample(3, y=torch.zeros(2))
    assert model.sample(3, y=2).shape == (3, 2)


def test_the_number_of_draws_is_one() -> None:
    model = compiled(BY_CLASS)
    for n in (-1, 2.5, "2", None):
        with pytest.raises(ValueError, match="a whole number of draws from 0"):
            model.sample(n, y=2)
    assert model.sample(0, y=2).shape == (0, 2)
    assert model.sample(np.int64(2), y=2).shape == (2, 2)


def test_arrays_of_any_numbers_are_taken() -> None:
    model = compiled(BY_CLASS)
    x, y = torch.randn(4, 2), torch.tensor([0, 1, 2, 1])
    right = model.log_prob(x, y.float())
    for given in ((x.numpy(), y.numpy()), (x.double(), y), (x.tolist(), y.tolist()), (x, y.to(torch.uint8))):
        torch.testing.assert_close(model.log_prob(*given), right)
    torch.testing.assert_close(model.log_prob(x, y == 1), model.log_prob(x, (y == 1).float()))
    for wrong in (np.array(["a", "b", "c", "d"]), None, x[:, 0] + 1j):
        with pytest.raises(RowsError, match="`y` is declared categorical"):
            model.log_prob(x, wrong)


def test_a_partial_variable_is_missing_as_a_whole_or_not_at_all() -> None:
    text = 'model m\nobserved x : real from "x.npy"\npartial y : real[2] from "y.npy"\np(y) = Normal(0, 1)\n'
    model = compiled(text + "p(x | y) = Normal(mlp[4](y), 1)\nq(y | x) = Normal(mlp[4](x))\n")
    x, y = torch.zeros(2), torch.tensor([[torch.nan, torch.nan], [0.0, 1.0]])
    assert model.loss(x, y).isfinite()
    y[1, 0] = torch.nan
    with pytest.raises(RowsError, match="row 1, element"):
        model.loss(x, y)
    with pytest.raises(RowsError, match="`x` is declared real: row 0 is nan"):
        model.loss(x * torch.nan, y)


@pytest.mark.parametrize("path", SPECS.values(), ids=SPECS)
def test_the_declared_types_are_those_of_the_spec(path: Path) -> None:
    graph = graph_of(checked(path))
    model = build(checked(path))
    read = read_types(type(model).types)
    assert [d.name for d in read] == list(model.data)
    assert [d.type for d in read] == [v.type for v in graph.data]
    assert [d.partial for d in read] == [v.role == "partial" for v in graph.data]


# --- the dtype of the weights --------------------------------------------------------------------


@pytest.mark.parametrize("path", SPECS.values(), ids=SPECS)
def test_a_model_follows_the_dtype_of_its_weights(path: Path) -> None:
    found = checked(path)
    data = data_of(found, 8)
    single = build(found, scale=0.05)
    double = copy.deepcopy(single).double()
    with seed(3):
        loss = double.loss(*data)
        terms = double.terms(*data) if found.plan.terms else {}
        inferred = double.infer(*data)
    loss.backward()
    assert loss.dtype == torch.float64
    assert {t.dtype for t in (*terms.values(), *inferred.values())} <= {torch.float64}
    if not found.plan.samplers:  # a thousand sweeps each
        assert {s.dtype for s in samples_of(found, double, 3, [d[:3] for d in data]).values()} == {torch.float64}
    exact = found.plan.objective.kind == "log_prob" and not found.plan.samplers
    if exact:
        single.load_state_dict(double.state_dict())  # statistics of batches, which the loss moved
        double.eval(), single.eval()
        torch.testing.assert_close(double.log_prob(*data).float(), single.log_prob(*data), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("target", ["torch", "pyro"])
def test_factors_read_whole_numbers_in_the_dtype_of_the_weights(target: str) -> None:
    found = checked(SPECS["latent/conditional_vae"])
    model = build(found, target).double()
    x, y = data_of(found, 4)
    given, same = model.q_z(x.long(), y=y.long()), model.q_z(x.double(), y.double())
    assert torch.equal(given.mean, same.mean) and given.mean.dtype == torch.float64


@pytest.mark.parametrize("name", ["latent/vae", "flow/realnvp", "autoregressive/causal_cnn", "energy/rbm"])
def test_a_model_computes_in_half_precision(name: str) -> None:
    found = checked(SPECS[name])
    model = build(found).bfloat16()
    loss = model.loss(*data_of(found, 4))
    loss.backward()
    assert loss.dtype == torch.bfloat16 and loss.isfinite()


# --- latents -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SPECS.values(), ids=SPECS)
def test_latents_are_inferred_and_rows_given_back(path: Path) -> None:
    found = checked(path)
    graph, model, data = graph_of(found), build(found), data_of(found, 5)
    for mean in (True, False):
        with seed(0):
            values = model.infer(*data, mean=mean)
        assert set(values) <= {v.name for v in (*graph.latents, *graph.partial)}
        if graph.latents and not graph.adversaries:
            summed = {s.variable for s in found.plan.steps if isinstance(s, Marginalise)}  # under their priors: no q
            assert {v.name for v in graph.latents} - summed <= set(values)
        for name, value in values.items():
            group = graph[name].group
            rows = (5,) if graph[name].rows else ()
            rows = (graph[group].type.support.size,) if group else rows
            assert value.shape == (*rows, *graph[name].type.shape), name
            assert value.isfinite().all(), name
        if "reconstruct" in type(model).__dict__:
            with seed(0):
                back = model.reconstruct(*data, mean=mean)
            assert set(back) <= set(model.data)
            for name, value in back.items():
                assert value.shape == (5, *graph[name].type.shape), name
    for v in graph.partial:
        if v.name in values:
            own = data[[d.name for d in graph.data].index(v.name)]
            seen = ~own.isnan()
            assert torch.equal(values[v.name][seen], own[seen])


def test_what_is_inferred_is_read_from_q() -> None:
    found = checked(SPECS["latent/gmvae"])
    model, (x,) = build(found, scale=0.1), data_of(found, 5)
    means = model.infer(x, mean=True)
    k = next(n for n in means if graph_of(found)[n].type.support.discrete)
    z = next(n for n in means if n != k)
    assert set(means) == {k, z}
    with seed(5):
        draws = torch.stack([model.infer(x)[z] for _ in range(400)])
    spread = draws.std(0) / 20
    assert ((draws.mean(0) - means[z]).abs() < 6 * spread + 1e-3).all()


def test_an_inverted_latent_is_what_the_flow_maps_to_the_data() -> None:
    text = 'model m\nobserved x : real[2] from "x.npy"\nlatent u : real[2]\np(u) = Normal(0, 1)\n'
    model = build(checked(text + "x = f(u)\nflow f = 2 * (coupling[mlp[4]] >> reverse)\n"), scale=0.2)
    x = torch.randn(6, 2)
    torch.testing.assert_close(model.reconstruct(x)["x"], x, rtol=1e-4, atol=1e-5)
    assert model.infer(x)["u"].sub(x).abs().max() > 1e-3


def test_means_of_distributions() -> None:
    """Of a mixture, and of what a bijection maps, by definition."""
    component = runtime.Normal(torch.tensor([[0.0, 1.0], [2.0, 5.0]]), torch.ones(2, 2)).to_event(1)
    mixture = runtime.Mixture(torch.log(torch.tensor([0.25, 0.75])), component)
    right = torch.tensor([1.5, 4.0])
    torch.testing.assert_close(runtime.reading(mixture, True, 3), right.expand(3, 2))
    base = runtime.Normal(torch.tensor([1.0, 2.0]), torch.ones(2)).to_event(1)
    pushed = runtime.Pushforward(base, runtime.Exp())
    torch.testing.assert_close(runtime.reading(pushed, True, 1)[0], torch.tensor([1.0, 2.0]).exp())
    classes = runtime.Categorical(logits=torch.tensor([[0.0, 2.0, 1.0]]))
    assert runtime.reading(classes, True, 1).tolist() == [1.0]


# --- torch, pickle and copy ----------------------------------------------------------------------


def test_a_model_that_was_pickled_or_saved_whole_loads_in_another_process(tmp_path: Path) -> None:
    model = dgmppl.compile(REGRESSION).double().eval()
    x, y = data_of(checked(REGRESSION), 7)
    (tmp_path / "pickled").write_bytes(pickle.dumps(model))
    torch.save(model, tmp_path / "saved")
    torch.save((x, y), tmp_path / "data")
    script = (
        "import pickle, torch\n"
        "a, b = pickle.load(open('pickled', 'rb')), torch.load('saved', weights_only=False)\n"
        "x, y = torch.load('data')\n"
        "assert not a.training and type(a).__name__ == 'Regression'\n"
        "assert torch.equal(a.log_prob(x, y), b.log_prob(x, y))\n"
        "print(a.log_prob(x, y).sum().item())"
    )
    root = str(Path(dgmppl.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONPATH": root}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) == pytest.approx(model.log_prob(x, y).sum().item())


def test_a_copy_is_another_model() -> None:
    model = compiled(REGRESSION)
    other = copy.deepcopy(model)
    data = data_of(checked(REGRESSION), 7)
    assert type(other) is type(model) and torch.equal(other.loss(*data), model.loss(*data))
    with torch.no_grad():
        next(other.parameters()).add_(1)
    assert not torch.equal(other.loss(*data), model.loss(*data))


def test_gradients_of_each_row() -> None:
    model = compiled(REGRESSION)
    x, y = data_of(checked(REGRESSION), 7)
    weights = {name: p.detach() for name, p in model.named_parameters()}

    def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return -functional_call(model, weights, (x[None], y[None]))["log p(y | x)"].sum()

    each = vmap(grad(loss), in_dims=(None, 0, 0))(weights, x, y)
    for k in (0, 6):
        model.zero_grad()
        model.loss(x[k : k + 1], y[k : k + 1]).backward()
        for name, p in model.named_parameters():
            torch.testing.assert_close(each[name][k], p.grad)


class Encoder(torch.nn.Module):
    def __init__(self, model: GenerativeModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.infer(x, mean=True)["z"]


def test_an_encoder_is_exported_and_traced() -> None:
    found = checked(SPECS["latent/vae"])
    model, (x,) = build(found), data_of(found, 4)
    right = model.q_z(x).mean
    torch.testing.assert_close(torch.export.export(Encoder(model), (x,)).module()(x), right)
    torch.testing.assert_close(torch.jit.trace(Encoder(model), (x,))(x), right)
    weights = io.BytesIO()
    torch.save(model.state_dict(), weights)
    other = build(found, number=1)
    other.load_state_dict(torch.load(io.BytesIO(weights.getvalue()), weights_only=True))
    torch.testing.assert_close(other.q_z(x).mean, right)


def test_a_wrong_format_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="format is one of text, json, latex, not 'xml'"):
        dgmppl.explain((ROOT / "specs/latent/vae.dgm"), format="xml")


def test_a_game_says_that_it_has_no_terms() -> None:
    with pytest.raises(NotImplementedError, match="Gan does not give terms; the losses of a game"):
        dgmppl.compile(ROOT / "specs/adversarial/gan.dgm").terms(torch.rand(2, 64) * 2 - 1)
