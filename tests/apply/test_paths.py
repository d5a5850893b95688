"""Rows given back, paths between rows, latents turned: against the module's own methods, closed forms and scipy."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.spatial import geometric_slerp

from dgmppl.apply.fitted import FittedRun
from dgmppl.apply.paths import slerp
from dgmppl.cli import main
from dgmppl.diagnostics import SpecError
from tests.apply.runs import PEOPLE, fit, people

ICA = """\
model ica
observed x : real[2] from standardize("people.csv"[height, weight])
latent s : real[2]
param W : real[2, 2] = normal(0.5)
param b : real[2]
p(s) = Normal(0, 1)
x = W @ s + b
train { epochs = 3 }
"""
LEVELS = """\
model levels
observed x : real[2] from standardize("people.csv"[height, weight])
observed y : categorical(3) from "people.csv".size
latent z[l in 1..3] : real[2]
latent c : categorical(4)
p(c) = Categorical(param)
p(z[3]) = Normal(0, 1)
p(z[l] | z[l+1]) = Normal(mlp[8](z[l+1]))
p(x | z[1], c, y) = Normal(mlp[8](z[1], c, y))
q(z[3] | x, y) = Normal(mlp[8](x, y))
q(z[l] | z[l+1], x) = Normal(mlp[8](z[l+1], x))
q(c | x) = Categorical(mlp[8](x))
train { epochs = 2 }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("people")
    people().to_csv(found / "people.csv", index=False)
    return found


@pytest.fixture(scope="module")
def run(folder: Path) -> FittedRun:
    return fit(folder, PEOPLE, "vae")


@pytest.fixture(scope="module")
def flow(folder: Path) -> FittedRun:
    return fit(folder, ICA, "flow")


@pytest.fixture(scope="module")
def levels(folder: Path) -> FittedRun:
    return fit(folder, LEVELS, "levels")


@pytest.mark.parametrize("name", ["run", "flow", "levels"])
def test_rows_are_given_back_as_the_module_gives_them_back(name: str, request: pytest.FixtureRequest) -> None:
    run: FittedRun = request.getfixturevalue(name)
    rows = people(700, seed=4)
    found = run.reconstruct(rows)
    chunk = next(run.rows(rows).chunks(700))
    own = run.model.reconstruct(*chunk.values())
    for key in run.fields:
        expected = run.fields[key].invert(own.get(key, chunk[key]).detach().numpy())
        if expected.dtype == object:
            assert (found[key] == expected).all()
        else:
            np.testing.assert_allclose(found[key], expected, rtol=1e-4)
    # Through the latents that `encode` gives.
    means = {n: torch.tensor(run.encode(rows)[n]) for n in run.inferred}
    known = {n: v for n, v in chunk.items() if n not in own}
    again = run.completion(700, {**means, **known}, mean=True)
    for key, value in own.items():
        np.testing.assert_allclose(again[key], value.detach(), rtol=1e-4, atol=1e-5)


BESIDE = """\
model beside
observed x : real from standardize("people.csv".height)
observed a : real from standardize("people.csv".weight)
observed y : categorical(3) from "people.csv".size
latent z : real
p(z) = Normal(0, 1)
p(x | z) = Normal(linear(z), param)
p(a | y) = Normal(linear(y))
train { epochs = 1 }
"""


def test_what_depends_on_no_latent_is_said_to_be_as_it_was(folder: Path, levels: FittedRun) -> None:
    rows = people(5, seed=4)
    found = fit(folder, BESIDE, "beside").reconstruct(rows)
    np.testing.assert_allclose(found["a"], rows["weight"], rtol=1e-6)
    assert found.notes == ("a: as in the rows, without a latent to depend on",)
    assert not levels.reconstruct(rows).notes


@pytest.mark.painted
def test_draws_of_rows_can_be_read_again_and_differ(run: FittedRun, tmp_path: Path) -> None:
    rows = people(50, seed=4)
    first, second = (run.reconstruct(rows, draw=True, seed=s) for s in (0, 1))
    assert not np.allclose(first["x"], second["x"])
    first.write(tmp_path / "back.csv")
    assert run.score(str(tmp_path / "back.csv")).rows == 50
    assert main(["reconstruct", str(run.path), "--split", "test", "-o", str(tmp_path / "back.png")]) == 0
    assert Image.open(tmp_path / "back.png").size[0] > 400


def test_paths_through_a_linear_flow_are_straight_and_end_at_the_rows(flow: FittedRun, tmp_path: Path) -> None:
    rows = people(4, seed=9)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    out = tmp_path / "paths.csv"
    assert (
        main(["interpolate", str(flow.path), "--data", str(tmp_path / "rows.csv"), "--steps", "5", "-o", str(out)]) == 0
    )
    found = pd.read_csv(out)
    assert list(found.columns) == ["pair", "share", "height", "weight"]
    np.testing.assert_array_equal(found["share"], np.tile(np.linspace(0, 1, 5), 2))
    ends = rows[["height", "weight"]].to_numpy()
    for pair in (0, 1):
        expected = np.linspace(ends[2 * pair], ends[2 * pair + 1], 5)
        np.testing.assert_allclose(found[found.pair == pair][["height", "weight"]], expected, rtol=1e-4)


def test_paths_end_where_reconstructions_are(levels: FittedRun) -> None:
    rows = people(6, seed=9)
    found, back = levels.interpolate(rows, steps=4), levels.reconstruct(rows)
    np.testing.assert_allclose(found["x"][::4], back["x"][::2], rtol=1e-5)
    np.testing.assert_allclose(found["x"][3::4], back["x"][1::2], rtol=1e-5)
    assert list(found["y"][:4]) == [rows["size"][0]] * 2 + [rows["size"][1]] * 2
    again = levels.interpolate(rows, steps=4, spherical=True)
    np.testing.assert_allclose(again["x"][::4], back["x"][::2], rtol=1e-4)
    assert any("z[3]: along a great circle" in note for note in again.notes)


def test_great_circles_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 3))
    a, b = a / np.linalg.norm(a, axis=1, keepdims=True), b / np.linalg.norm(b, axis=1, keepdims=True)
    shares = torch.linspace(0, 1, 7, dtype=torch.float64)
    found = slerp(torch.tensor(a), torch.tensor(b), shares)
    for k in range(5):
        np.testing.assert_allclose(found[k], geometric_slerp(a[k], b[k], shares.numpy()), atol=1e-6)
    same = slerp(torch.tensor(a), torch.tensor(a), shares)
    np.testing.assert_allclose(same, np.broadcast_to(a[:, None], (5, 7, 3)), atol=1e-6)


def test_a_level_is_turned_and_those_below_follow_it(levels: FittedRun) -> None:
    model, rows = levels.model, people(1, seed=2)
    found = levels.traverse("z[2][1]", rows, low=-2, high=2, steps=5)
    assert list(found.columns) == ["x", "y"]
    latents = levels.encode(rows)
    z2 = torch.tensor(latents["z[2]"]).repeat(5, 1)
    z2[:, 1] = torch.linspace(-2, 2, 5)
    c, y = (
        torch.tensor(latents["c"]).repeat(5),
        torch.full((5,), float(levels.fields["y"].classes.index(rows["size"][0]))),
    )
    x = model.p_x(model.p_z_1(z2).mean, c, y).mean
    np.testing.assert_allclose(found["x"], levels.fields["x"].invert(x.detach().numpy()), rtol=1e-4)
    # The lowest level, and z[2] and z[3] stay: nothing below it but the data.
    low = levels.traverse("z[1][0]", rows, low=0, high=1, steps=3)
    z1 = torch.tensor(latents["z[1]"]).repeat(3, 1)
    z1[:, 0] = torch.linspace(0, 1, 3)
    expected = levels.fields["x"].invert(model.p_x(z1, c[:3], y[:3]).mean.detach().numpy())
    np.testing.assert_allclose(low["x"], expected, rtol=1e-4)


def test_a_class_is_turned_through_its_values_from_the_means_of_p(levels: FittedRun, tmp_path: Path) -> None:
    found = levels.traverse("c", conditions={"y": "short"})
    assert list(found["value"]) == [0, 1, 2, 3] and set(found["y"]) == {"short"}
    model = levels.model
    z = model.p_z_2(torch.zeros(4, 2)).mean
    x = model.p_x(
        model.p_z_1(z).mean, torch.arange(4.0), torch.full((4,), float(levels.fields["y"].classes.index("short")))
    )
    np.testing.assert_allclose(found["x"], levels.fields["x"].invert(x.mean.detach().numpy()), rtol=1e-4)
    out = tmp_path / "z.png"
    options = ["--latent", "z[3]", "--from", "-2", "--to", "2", "--set", "y=tall"]
    assert main(["traverse", str(levels.path), *options, "-o", str(out)]) == 0
    assert Image.open(out).size[1] > 300
    whole = levels.traverse("z[3]", conditions={"y": "short"}, steps=3)
    assert list(whole["latent"]) == ["z[3][0]"] * 3 + ["z[3][1]"] * 3


def test_what_has_no_path_is_said(run: FittedRun, flow: FittedRun, levels: FittedRun, folder: Path) -> None:
    with pytest.raises(SpecError, match=r"no latent `z\[4\]`"):
        run.traverse("z[4]")
    with pytest.raises(SpecError, match="no value of it"):
        levels.traverse("c", people(1), low=0, high=9)
    with pytest.raises(SpecError, match="E706"):
        levels.traverse("c")
    with pytest.raises(SpecError, match="3 rows are given"):
        flow.interpolate(people(3))
    text = 'model m\nobserved x : real from "people.csv".height\np(x) = Normal(param)\ntrain { epochs = 1 }\n'
    none = fit(folder, text, "none")
    for command in (none.reconstruct, none.interpolate, lambda: none.traverse("z")):
        with pytest.raises(SpecError, match="E660"):
            command()


def test_what_rows_of_a_path_miss_is_drawn_where_rows_are_drawn(tmp_path: Path) -> None:
    """Of counts the draws are counts, the means are means."""
    table = people().assign(children=np.random.default_rng(0).poisson(2, len(people())).astype(float))
    table.loc[::2, "children"] = np.nan
    table.to_csv(tmp_path / "people.csv", index=False)
    text = PEOPLE + 'partial n : natural from "people.csv".children\np(n) = Poisson(param)\n'
    run = fit(tmp_path, text)
    rows = table[:8]
    drawn, means = (run.interpolate(rows, steps=2, draw=draw)["n"] for draw in (True, False))
    missing = rows["children"].isna().to_numpy()
    assert (drawn == drawn.round()).all() and len(set(drawn[missing])) > 1
    assert len(set(means[missing])) == 1
    np.testing.assert_allclose(drawn[~missing], rows["children"][~missing])
