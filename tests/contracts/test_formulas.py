"""Formulas as bijections: their density is that of the change of variables, by autograd's Jacobian."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.decomposition import FastICA
from torch import Tensor

from dgmppl import pipeline
from dgmppl.diagnostics import SpecError
from dgmppl.runtime import GenerativeModel
from tests.contracts.support import build, checked, data_of, estimator, graph_of, pair, seed

_X = 'observed x : real[4] from "rows.npz".x\nlatent s : real[4]\nparam W : real[4, 4] = normal(1)\nparam b : real[4]\n'
_Y = 'observed y : real[3] from "rows.npz".y\n'
_XZU = (
    'observed x : real[5] from "rows.npz".x\nlatent z : real[3]\nlatent u : real[2]\n'
    "flow f = coupling[mlp[4]] >> reverse >> lu\nflow g = coupling[mlp[4]] >> reverse\n"
)
_PS = "p(s) = Logistic(0, 1)\n"

# Definitions of x by a formula: the statements, by what they show.
FORMULAS = {
    "a matrix on the right": f"{_X}{_PS}x = s @ W - b",
    "a matrix and a shift": f"{_X}{_PS}x = W @ s + b",
    "a matrix of a flow": f"{_X}flow f = coupling[mlp[4]] >> reverse\n{_PS}x = 2 * (W @ f(s) - b)",
    "a matrix of each row": f"{_X}{_Y}{_PS}x = reshape(linear(y), [4, 4]) @ s + W @ b",
    "a matrix and a function": f"{_X.replace('x : real', 'x : positive')}{_PS}x = exp(W @ s + b)",
    "a flow read backwards": f"{_X.replace('param W', '#')}flow f = coupling[mlp[4]] >> reverse >> lu\n{_PS}"
    "x = 2 * inverse(f)(s) + b",
    "a logarithm": f"{_X.replace('s : real', 's : positive').replace('param W', '#')}p(s) = Gamma(2, exp(param))\n"
    "x = log(3 * s) + b",
    "parts": f"{_XZU}p(z) = Normal(0, 1)\np(u | z) = Normal(mlp[4](z))\nx = f(z, g(u))",
    "parts of several shapes": f"{_XZU.replace('z : real[3]', 'z : real[1, 1]').replace('u : real[2]', 'u : real')}"
    "latent w : real[3]\np(z) = Normal(0, 1)\np(u) = Normal(param)\np(w) = Logistic(param)\n"
    "x = f(2 * u - 1, concat(flatten(z), g(w)))",
    "a grid in parts": 'observed x : positive[2, 2, 3] from "rows.npz".x\n'
    "latent z : real[2, 2]\nlatent u : real[2, 2, 2]\n"
    "param b : real[2, 2]\n"
    "p(z) = Normal(0, 1)\np(u) = Logistic(param)\nx = exp(concat(reshape(z - b, [2, 2, 1]), u))",
    "parts under a matrix": 'observed x : real[4] from "rows.npz".x\n'
    "latent z : real\nlatent u : real\nlatent w : real[2]\n"
    "param W : real[4, 4] = normal(1)\np(z) = Normal(param)\np(u) = Logistic(param)\np(w | u) = Normal(u, 1)\n"
    "flow f = coupling[mlp[4]] >> reverse\nx = W @ concat(w, f(u, z))",
}
formula = pytest.mark.parametrize("name", FORMULAS)


def spec_of(name: str) -> str:
    return f"model formula\n{FORMULAS[name]}\n"


@pytest.fixture
def double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.double)
    yield
    torch.set_default_dtype(before)


def _whole(model: GenerativeModel, sizes: dict[str, tuple[int, ...]], given: list[Tensor], flat: Tensor) -> Tensor:
    """x of one row, from its latents one after another."""
    parts = flat.split([int(np.prod(shape)) for shape in sizes.values()])
    latents = [part.reshape(1, *shape) for part, shape in zip(parts, sizes.values(), strict=True)]
    names = type(model).define_x.__code__
    values = dict(zip(sizes, latents, strict=True)) | dict(zip(("y",), given, strict=False))
    found: Tensor = model.define_x(*(values[n] for n in names.co_varnames[1 : names.co_argcount]))
    return found.flatten()


@formula
@pytest.mark.usefixtures("double")
def test_the_density_is_that_of_the_change_of_variables(name: str) -> None:
    found = checked(spec_of(name))
    graph, model = graph_of(found), build(found, scale=0.3)
    assert model.criterion == "log_prob"
    rows = [d.double() for d in data_of(found, 4)]
    with torch.no_grad():
        log_prob, latents = model.log_prob(*rows), model.infer(*rows)
    sizes = {v.ident: v.type.shape for v in graph.latents}
    for k in range(4):
        given = [d[k : k + 1] for d in rows[1:]]
        flat = torch.cat([latents[n][k].flatten() for n in sizes])
        torch.testing.assert_close(_whole(model, sizes, given, flat), rows[0][k].flatten())
        jacobian = torch.autograd.functional.jacobian(lambda v, g=given: _whole(model, sizes, g, v), flat)
        base = torch.zeros(())
        for n, shape in sizes.items():
            read = [latents[m][k : k + 1] for m in inspect.signature(getattr(model, f"p_{n}")).parameters if m in sizes]
            base = base + getattr(model, f"p_{n}")(*read).log_prob(latents[n][k].reshape(1, *shape)).squeeze()
        torch.testing.assert_close(log_prob[k], base - jacobian.slogdet().logabsdet)


@formula
def test_every_weight_is_counted_and_learns(name: str) -> None:
    found = checked(spec_of(name))
    assert found.plan is not None
    model = build(found, scale=0.3)
    assert sum(p.numel() for p in model.parameters()) == found.plan.structure.weights
    model.loss(*data_of(found)).backward()
    for key, p in model.named_parameters():
        assert p.grad is not None and p.grad.any(), key


@formula
def test_pyro_has_the_same_density(name: str) -> None:
    found = checked(spec_of(name))
    if len(graph_of(found).latents) > 1:
        with pytest.raises(SpecError, match="is made of parts"):
            pipeline.emit(found, "pyro")
        return
    model, other = pair(found, scale=0.3)
    data = data_of(found, 4)
    loss = estimator(found).loss(other.model, other.guide, *data) / 4
    assert loss == pytest.approx(model.loss(*data).item(), rel=1e-4)


@pytest.mark.parametrize(
    "definition", ["f(z, z)", "f(z, h(z))", "f(z, exp(u))", "f(z, k(u))", "f(z, stack(u[0], u[1]))"]
)
def test_what_is_no_bijection_of_all_parts_is_none(definition: str) -> None:
    """A latent twice, one that conditions another part, one that does not reach all numbers, one taken apart."""
    shape = 6 if definition.count("z") == 2 and "k" not in definition else 5
    text = (
        f'model parts\nobserved x : real[{shape}] from "rows.npz".x\nlatent z : real[3]\nlatent u : real[2]\n'
        "flow f = coupling[mlp[4]] >> reverse\nflow h = affine\nflow k = coupling[mlp[4]](z) >> reverse\n"
        f"p(z) = Normal(0, 1)\np(u) = Normal(0, 1)\nx = {definition}\n"
    )
    codes = {d.code for d in pipeline.read(text).errors}
    assert codes == {"E301"}


def test_a_matrix_brings_every_element_to_be_transformed() -> None:
    """No warning (W407) that a coupling leaves some as they are."""
    text = FORMULAS["a matrix of a flow"].replace("coupling[mlp[4]] >> reverse", "coupling[mlp[4]]")
    assert pipeline.read(f"model mixed\n{text}\n").diagnostics == ()


def test_a_matrix_that_is_not_square_is_no_bijection() -> None:
    found = pipeline.read(
        'model wide\nobserved x : real[2] from "rows.npz".x\nlatent s : real[3]\nparam W : real[2, 3]\n'
        "p(s) = Normal(0, 1)\nx = W @ s\n"
    )
    assert [d.code for d in found.errors] == ["E301"]


def _amari(product: np.ndarray) -> float:
    """How far a matrix is from a permutation with scales, 0 to 1 (Amari et al., 1996)."""
    p, n = np.abs(product), len(product)
    rows = (p / p.max(1, keepdims=True)).sum() - n
    columns = (p / p.max(0, keepdims=True)).sum() - n
    return float((rows + columns) / (2 * n * (n - 1)))


def test_independent_components_are_found() -> None:
    """Three mixed sources of heavy tails are unmixed, as FastICA unmixes them (Hyvarinen, 1999)."""
    rng = np.random.default_rng(0)
    sources, mixing = rng.laplace(size=(3000, 3)), rng.normal(size=(3, 3))
    rows = torch.tensor(sources @ mixing.T, dtype=torch.float32)
    text = (
        'model ica\nobserved x : real[3] from "rows.npz".x\nlatent s : real[3]\n'
        "param W : real[3, 3] = normal(1)\np(s) = Logistic(0, 1)\nx = W @ s\n"
    )
    model = build(checked(text))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    with seed(3):
        for _ in range(400):
            optimizer.zero_grad()
            model.loss(rows).backward()
            optimizer.step()
    ours = _amari(np.linalg.solve(model.W.detach().numpy(), mixing))
    other = _amari(FastICA(random_state=0, whiten="unit-variance").fit(rows.numpy()).components_ @ mixing)
    assert ours < 0.05
    assert ours < other + 0.02
