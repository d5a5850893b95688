"""Values that a factor gives density 0 whatever its parameters are named before the first step."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from dgmppl import pipeline
from dgmppl.data.table import Splits
from dgmppl.diagnostics import SpecError
from dgmppl.diagnostics.render import render
from dgmppl.train.runs import load_data


def loaded(folder: Path, type_: str, density: str, values: np.ndarray, more: str = "") -> Splits:
    np.save(folder / "x.npy", values)
    text = f'model m\nobserved x : {type_} from "x.npy"\n{more}p(x) = {density}\n'
    checked = pipeline.read(text)
    assert checked.plan is not None, render(checked.diagnostics, checked.source)
    return load_data(checked, folder)


def said(folder: Path, type_: str, density: str, values: np.ndarray, more: str = "") -> str:
    with pytest.raises(SpecError) as caught:
        loaded(folder, type_, density, values, more)
    (found,) = caught.value.diagnostics
    assert found.code == "E506"
    assert found.help
    return found.headline


def counts() -> str:
    """The support that laws of counts have: whole numbers, or those from 0 on."""
    spec = 'model m\nobserved x : {} from "x.npy"\np(x) = Poisson(param)\n'
    words = [word for word in ("natural", "integer") if pipeline.read(spec.format(word)).plan is not None]
    return words[0]


@pytest.mark.parametrize("density", ["Geometric(param)", "Poisson(param)", "NegativeBinomial(3, param)"])
def test_laws_of_counts_have_nothing_below_0(tmp_path: Path, density: str) -> None:
    x = np.random.default_rng(0).geometric(0.3, 300) - 1.0
    x[40] = -1
    assert stats.geom(0.3).logpmf(-1 + 1) == stats.poisson(2).logpmf(-1) == stats.nbinom(3, 0.5).logpmf(-1) == -math.inf
    assert "row 40" in said(tmp_path, counts(), density, x)
    x[40] = 0
    loaded(tmp_path, counts(), density, x)


def test_counts_of_draws_add_up_to_their_number(tmp_path: Path) -> None:
    x = np.random.default_rng(0).multinomial(10, [0.2, 0.3, 0.5], 300).astype(np.float64)
    loaded(tmp_path, "natural[3]", "Multinomial(10, param)", x)
    x[40, 1] += 1
    assert stats.multinomial(10, [0.2, 0.3, 0.5]).logpmf(x[40]) == -math.inf
    found = said(tmp_path, "natural[3]", "Multinomial(10, param)", x)
    assert "row 40 of x.npy" in found
    assert found.endswith("rows of Multinomial(10, ...) add up to 10")
    mixed = "mixture[2](Multinomial(10, param))"
    assert "row 40 of x.npy" in said(tmp_path, "natural[3]", mixed, x)


U = np.linspace(0.01, 0.99, 50)


def with_value(value: float, at: int = 12) -> np.ndarray:
    x = U.copy()
    x[at] = value
    return x


@pytest.mark.parametrize(
    ("type_", "density", "end", "of_scipy"),
    [
        ("unit", "Beta(2, param)", 0.0, stats.beta(2, 3)),
        ("unit", "Beta(param, 2)", 1.0, stats.beta(3, 2)),
        ("unit", "Beta(0.5, param)", 0.0, stats.beta(0.5, 3)),
        ("unit", "Beta(1, param)", 0.0, stats.beta(1, 3)),
        ("unit", "Beta(param, 1)", 1.0, stats.beta(3, 1)),
        ("unit", "mixture[3](Beta(2, exp(param)))", 0.0, stats.beta(2, 3)),
    ],
)
def test_ends_of_a_beta_against_scipy(tmp_path: Path, type_: str, density: str, end: float, of_scipy: object) -> None:
    finite = math.isfinite(of_scipy.logpdf(end))  # type: ignore[attr-defined]
    if finite:
        loaded(tmp_path, type_, density, with_value(end))
        return
    found = said(tmp_path, type_, density, with_value(end))
    assert f"row 12 of x.npy is {end:g}, which has no place under p(x)" in found
    assert ("an infinite density" in found) == (of_scipy.logpdf(end) > 0)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("type_", "bijection", "end"),
    [
        ("unit", "sigmoid", 0.0),
        ("unit", "sigmoid", 1.0),
        ("interval(-1, 1)", "tanh", 1.0),
        ("interval(-1, 1)", "tanh", -1.0),
    ],
)
def test_ends_of_what_a_bijection_maps_to(tmp_path: Path, type_: str, bijection: str, end: float) -> None:
    x = np.stack([U, with_value(end)], 1)
    assert "row 12, column 1" in said(tmp_path, f"{type_}[2]", f"Normal(param, 1) >> {bijection}", x)
    assert bijection in said(tmp_path, f"{type_}[2]", f"Normal(0, 1) >> affine >> {bijection}", x)
    named = f"flow f = affine >> {bijection}\n"
    assert "column 1" in said(tmp_path, f"{type_}[2]", "Normal(0, 1) >> f", x, named)
    loaded(tmp_path, f"{type_}[2]", f"Normal(0, 1) >> {bijection}", np.stack([U, U], 1))


def test_a_value_that_is_rounded_to_an_end_is_at_the_end(tmp_path: Path) -> None:
    x = np.stack([U, with_value(1 - 1e-9)], 1)
    assert "row 12, column 1" in said(tmp_path, "unit[2]", "Normal(0, 1) >> sigmoid", x)


def test_elements_of_a_dirichlet(tmp_path: Path) -> None:
    x = np.stack([U, 1 - U], 1)
    loaded(tmp_path, "simplex[2]", "Dirichlet(2)", x)
    x[7] = 0, 1
    assert stats.dirichlet([2, 2]).logpdf(np.array([1e-300, 1])) < -600
    assert "row 7" in said(tmp_path, "simplex[2]", "Dirichlet(2)", x)
    loaded(tmp_path, "simplex[2]", "Dirichlet(1)", x)


def test_rows_of_another_split_and_of_a_stream_have_their_numbers(tmp_path: Path) -> None:
    x = np.random.default_rng(0).beta(2, 3, 3000)
    x[2500] = 0
    for settings in ("", ", stream = true", ", split = shuffled(0.6, 0.2, 0.2, seed = 4)"):
        more = f"train {{ epochs = 1{settings} }}\n"
        assert "row 2500 of x.npy is 0" in said(tmp_path, "unit", "Beta(2, param)", x, more)


def test_missing_values_are_let_alone(tmp_path: Path) -> None:
    x = with_value(math.nan)
    np.savez(tmp_path / "a.npz", x=x, y=U)
    text = (
        'model m\nobserved y : real from "a.npz".y\npartial x : unit from "a.npz".x\n'
        "p(x) = Beta(2, 2)\np(y | x) = Normal(mlp[4](x))\n"
    )
    load_data(pipeline.read(text), tmp_path)
    x[30] = 0
    np.savez(tmp_path / "a.npz", x=x, y=U)
    with pytest.raises(SpecError, match=r"row 30 of a.npz, array x is 0"):
        load_data(pipeline.read(text), tmp_path)


def test_laws_of_real_values_leave_nothing_out(tmp_path: Path) -> None:
    for density in ("Normal(0, 1)", "Laplace(param)", "Cauchy(param)", "StudentT(3, 0, 1)", "Logistic(param)"):
        loaded(tmp_path, "real", density, np.array([-1e30, 0, 1, -1, 1e30, 5, 6, 7]))


def test_what_an_adversary_judges_has_no_density_to_vanish(tmp_path: Path) -> None:
    x = np.stack([U, with_value(0)], 1)
    spec = (
        'model m\nobserved x : unit[2] from "x.npy"\nlatent z : real[2]\n'
        "p(z) = Normal(0, 1)\nx = sigmoid(mlp[4](z))\nadversary D(x) = mlp[4]\n"
    )
    np.save(tmp_path / "x.npy", x)
    load_data(pipeline.read(spec), tmp_path)
