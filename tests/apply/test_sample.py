"""Samples in the units of the data: they look like its rows, are read as its rows are, and keep their latents."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from dgmppl.apply.fitted import FittedRun
from dgmppl.cli import main
from dgmppl.diagnostics import SpecError
from tests.apply.runs import PEOPLE, fit, people

CONDITIONAL = """\
model by_size
observed x : real[2] from standardize("people.csv"[height, weight])
observed y : categorical(3) from "people.csv".size
observed a : real from standardize("people.csv".age)
p(x | y, a) = Normal(linear(y, a), param)
train { epochs = 200, lr = 3e-2 }
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FittedRun:
    folder = tmp_path_factory.mktemp("people")
    people().to_csv(folder / "people.csv", index=False)
    return fit(folder, PEOPLE)


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> FittedRun:
    folder = tmp_path_factory.mktemp("people")
    table = people(600)
    table["age"] = 20 + 60 * np.random.default_rng(1).random(len(table))
    table["height"] += table["age"]
    table.to_csv(folder / "people.csv", index=False)
    return fit(folder, CONDITIONAL)


def test_conditions_come_back_as_they_were_given(tmp_path: Path) -> None:
    """To the last digit, behind any transforms: dates, shares of counts, truth values, what a text writes."""
    rng = np.random.default_rng(0)
    table = people(60).assign(
        age=rng.gamma(9, 5, 60), a=rng.integers(0, 9, 60), b=rng.integers(1, 9, 60), k=rng.integers(0, 4, 60),
        flag=rng.random(60) < 0.5, day=pd.date_range("2020-01-01", periods=60).strftime("%Y-%m-%d"),
    )  # fmt: skip
    text = """\
model given
observed h : real from standardize("people.csv".height)
observed y : categorical(3) from "people.csv".size
observed a : real from standardize(log("people.csv".age))
observed c : simplex[2] from closure("people.csv"[a, b])
observed k : natural from "people.csv".k
observed f : binary from "people.csv".flag
observed d : real from standardize(dates("people.csv".day))
p(h | y, a, c, k, f, d) = Normal(linear(y, a, c, k, f, d), param)
train { epochs = 1 }
"""
    table.to_csv(tmp_path / "people.csv", index=False)
    run = fit(tmp_path, text)
    given = ["size", "age", "a", "b", "k", "flag", "day"]
    out = tmp_path / "out.csv"
    for end in ("csv", "parquet"):
        getattr(table, f"to_{end}")(tmp_path / f"rows.{end}", index=False)
        assert main(["sample", str(run.path), "--data", str(tmp_path / f"rows.{end}"), "-n", "2", "-o", str(out)]) == 0
        twice = table[given].loc[table.index.repeat(2)]
        pd.testing.assert_frame_equal(pd.read_csv(out)[given], twice.reset_index(drop=True))
    found = run.sample(2, table.set_index(table.index + 7)).frame()
    pd.testing.assert_frame_equal(found[given], twice.set_index(twice.index + 7), check_dtype=False)
    model = run.sample(1, table, units="model")
    np.testing.assert_allclose(model["c"].sum(1), 1, rtol=1e-6)
    said = run.sample(3, y="short", a=41.7, c=[3, 1], k=2, f=True, d="2020-02-03").frame()
    assert said[given].to_numpy().tolist() == [["short", 41.7, 3, 1, 2, True, "2020-02-03"]] * 3


def test_samples_of_standardised_data_have_the_moments_of_the_data(tmp_path: Path) -> None:
    table = people(300)[["height", "weight"]]
    table.to_csv(tmp_path / "people.csv", index=False)
    text = 'model s\nobserved x : real[2] from standardize("people.csv"[height, weight])\np(x) = Normal(param)\n'
    run = fit(tmp_path, text + "train { epochs = 300, lr = 1e-1 }\n")
    out = tmp_path / "out.csv"
    assert main(["sample", str(run.path), "-n", "4000", "-o", str(out)]) == 0
    found = pd.read_csv(out)
    assert list(found.columns) == ["height", "weight"]
    np.testing.assert_allclose(found.mean(), table.mean(), atol=3)
    np.testing.assert_allclose(found.std(), table.std(), rtol=0.5)  # a fit of seconds is no more than near
    model = run.sample(4000, units="model")["x"]
    np.testing.assert_allclose(run.fields["x"].invert(model), found, rtol=1e-6)


@pytest.mark.parametrize("end", ["csv", "parquet", "npz"])
def test_samples_are_read_as_rows_of_the_data_are(run: FittedRun, tmp_path: Path, end: str) -> None:
    out = tmp_path / f"s.{end}"
    assert main(["sample", str(run.path), "-n", "700", "-o", str(out), "--seed", "3"]) == 0
    found = run.sample(700, seed=3)
    assert set(found["y"]) <= {"short", "middling", "tall"}
    read = {name: np.concatenate(v) for name, v in _gathered(run, str(out)).items()}
    drawn = run.sample(700, seed=3, units="model")
    np.testing.assert_allclose(read["x"], drawn["x"], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(read["y"], drawn["y"])


def _gathered(run: FittedRun, data: object) -> dict[str, list[np.ndarray]]:
    found: dict[str, list[np.ndarray]] = {}
    for chunk in run.rows(data).chunks():
        for name, values in chunk.items():
            found.setdefault(name, []).append(values.numpy())
    return found


def test_kept_latents_are_those_that_the_samples_came_from(run: FittedRun) -> None:
    found = run.sample(6000, latents=True, units="model", seed=1)
    z = torch.from_numpy(found["z"])
    np.testing.assert_allclose(z.mean(0), 0, atol=0.06)
    np.testing.assert_allclose(z.std(0), 1, atol=0.06)
    p = run.model.p_x(z)
    scaled = (torch.from_numpy(found["x"]) - p.mean) / p.stddev
    np.testing.assert_allclose(scaled.std(0).detach(), 1, atol=0.06)
    np.testing.assert_allclose(scaled.mean(0).detach(), 0, atol=0.06)
    assert list(run.sample(3, latents=True).frame().columns) == ["height", "weight", "size", "z[0]", "z[1]"]


def test_each_row_of_conditions_has_its_samples(conditional: FittedRun, tmp_path: Path) -> None:
    rows = pd.DataFrame({"size": ["tall", "short"], "age": [70.0, 25.0]}, index=[7, 3])
    found = conditional.sample(2000, rows)
    frame = found.frame()
    assert list(frame.columns) == ["height", "weight", "size", "age"]
    assert list(frame.index[[0, -1]]) == [7, 3]
    assert (frame["size"][:2000] == "tall").all()
    np.testing.assert_allclose(frame["age"][2000:], 25, rtol=1e-5)
    p = conditional.model.p_x(*(next(conditional.rows(_whole(rows)).chunks())[n] for n in ("y", "a")))
    expected = conditional.fields["x"].invert(p.mean.detach().numpy())
    np.testing.assert_allclose(frame[["height", "weight"]].groupby(frame.index, sort=False).mean(), expected, atol=1)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    out = tmp_path / "out.csv"
    assert main(["sample", str(conditional.path), "--data", str(tmp_path / "rows.csv"), "-o", str(out)]) == 0
    assert list(pd.read_csv(out)["size"]) == ["tall", "short"]
    named = conditional.sample(2000, y="short", a=25.0)
    np.testing.assert_allclose(named["x"].mean(0), expected[1], atol=1)
    assert set(named["y"]) == {"short"}
    np.testing.assert_allclose(named["a"], 25, rtol=1e-5)
    again = conditional.sample(2, rows[["size"]], conditions={"a": 25})
    assert again.rows == 4 and len(again["x"]) == 4


def _whole(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(height=170.0, weight=70.0)


def test_a_folder_of_images_is_read_as_it_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(60):
        (tmp_path / "in" / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 60, (8, 8)) + 120 * (k % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "in" / "ab"[k % 2] / f"{k}.png")
    text = (
        'model images\nobserved x : integer(0..255)[8, 8] from "in".image\n'
        'observed y : categorical(2) from "in".label\np(y) = Categorical(param)\n'
        "p(x | y) = DiscretizedLogistic(linear(y), 10)\ntrain { epochs = 1 }\n"
    )
    run = fit(tmp_path, text)
    assert main(["sample", str(run.path), "-n", "12", "-o", str(tmp_path / "out")]) == 0
    drawn = run.sample(12)
    read = _gathered(run, str(tmp_path / "out"))
    order = np.argsort(drawn["y"], kind="stable")
    np.testing.assert_array_equal(np.concatenate(read["x"]), drawn["x"][order])
    assert main(["sample", str(run.path), "-n", "12", "-o", str(tmp_path / "out")]) == 1


def test_what_does_not_go_together_is_said_and_nothing_is_written(run: FittedRun, conditional: FittedRun) -> None:
    with pytest.raises(SpecError, match="it has no conditions"):
        run.sample(3, people(3))
    with pytest.raises(SpecError, match="'huge'"):
        conditional.sample(3, y="huge", a=3)
    with pytest.raises(SpecError, match="come from no latents"):
        conditional.sample(3, y="tall", a=3, latents=True)
    with pytest.raises(SpecError, match="units"):
        run.sample(3, units="feet")
    with pytest.raises(SpecError, match=r"\.csv.*not to s\.doc"):
        run.sample(3).write(conditional.path / "s.doc")
    with pytest.raises(SpecError, match="a folder is for rows that are images"):
        run.sample(3).write(conditional.path / "folder")
    assert not (conditional.path / "folder").exists()


BOLTZMANN = """\
model boltzmann
observed x : binary[5] from "x.npz".x
latent h : binary[3]
param W : real[5, 3] = normal(1)
param b : real[5]
param c : real[3]
E(x, h) = -x @ W @ h - b @ x - c @ h
train { epochs = 5, lr = 1e-1 }
"""


def test_what_is_given_of_an_energy_stays_and_the_rest_has_its_law(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", x=np.repeat(rng.integers(0, 2, (60, 1)), 5, 1) ^ (rng.random((60, 5)) < 0.2))
    run = fit(tmp_path, BOLTZMANN)
    np.save(tmp_path / "part.npy", [[1, np.nan, 0, np.nan, np.nan], [np.nan, 1, 1, 1, 0]])
    out = tmp_path / "out.npz"
    options = ["--given", f"x={tmp_path / 'part.npy'}", "-n", "4000", "-o", str(out)]
    assert main(["sample", str(run.path), *options]) == 0
    found = np.load(out)["x"].reshape(2, 4000, 5)
    assert (found[0, :, 0] == 1).all() and (found[0, :, 2] == 0).all() and (found[1, :, 1:] == [1, 1, 1, 0]).all()
    # The law of the free elements by enumeration: the hidden units summed out are softplus of their inputs.
    W, b, c = (run.model.state_dict()[name].double().numpy() for name in ("W", "b", "c"))
    every = np.array([[1, u, 0, v, w] for u in (0, 1) for v in (0, 1) for w in (0, 1)], dtype=float)
    weight = np.exp(every @ b + np.logaddexp(0, every @ W + c).sum(1))
    np.testing.assert_allclose(found[0].mean(0), (weight / weight.sum()) @ every, atol=0.05)


def test_what_is_given_of_a_table_stays_in_its_units(run: FittedRun) -> None:
    found = run.sample(300, given={"x": [[190.0, np.nan]], "y": ["tall"]}).frame()
    assert (found["height"] == 190).all() and (found["size"] == "tall").all()
    assert 30 < found["weight"].mean() < 130 and found["weight"].std() > 1
    with pytest.raises(SpecError, match="no variable of the data"):
        run.sample(3, given={"w": [1.0]})
    with pytest.raises(SpecError, match="holds no numbers"):
        run.sample(3, given={"y": ["huge"]})
    with pytest.raises(SpecError, match="--latents and --given"):
        run.sample(3, given={"y": ["tall"]}, latents=True)


def test_sequences_go_on_in_the_units_of_the_data(tmp_path: Path) -> None:
    walks = 1000 + 50 * np.random.default_rng(0).normal(size=(80, 4)).cumsum(1)
    np.savez(tmp_path / "walks.npz", x=walks)
    text = (
        'model walks\nobserved x[t in 1..4] : real from standardize("walks.npz".x)\n'
        "p(x[1]) = Normal(param)\np(x[t] | x[t-1]) = Normal(linear(x[t-1]), 0.1)\ntrain { epochs = 1 }\n"
    )
    run = fit(tmp_path, text)
    found = run.sample(3, given={"x": walks[:5, :2]})
    assert found["x"].shape == (15, 4)
    np.testing.assert_allclose(found["x"][:, :2], walks[:5, :2].repeat(3, 0), rtol=1e-5)
    assert (np.abs(found["x"][:, 2:] - 1000) < 1000).all()
    assert found.frame().columns[0] == "x[0]"
    model = run.sample(3, given={"x": (walks[:5, :2] - walks.mean()) / 100}, units="model")
    np.testing.assert_allclose(model["x"][::3, :2], (walks[:5, :2] - walks.mean()) / 100, rtol=1e-4, atol=1e-6)


def test_gaps_of_a_past_and_what_is_behind_it_are_as_enumeration_has_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "walks.npz", x=np.random.default_rng(0).integers(0, 2, (40, 4)))
    text = (
        'model hidden\nobserved x[t in 1..4] : binary from "walks.npz".x\nlatent s[t in 1..4] : categorical(3)\n'
        "p(s[1]) = Categorical(param)\np(s[t] | s[t-1]) = Categorical(linear(s[t-1]))\n"
        "p(x[t] | s[t]) = Bernoulli(linear(s[t]))\ntrain { epochs = 1 }\n"
    )
    run = fit(tmp_path, text)
    torch.manual_seed(0)
    with torch.no_grad():
        for weights in run.model.parameters():
            weights += 2 * torch.randn_like(weights)
        cases = torch.tensor([[1.0, a, 0.0, b] for a in (0, 1) for b in (0, 1)])
        expected = run.model.log_prob(cases).double().softmax(0).numpy()
    found = run.sample(6000, given={"x": [[1.0, np.nan, 0.0]]})
    assert any("exact" in note for note in found.notes)
    shares = (found["x"][:, None] == cases.numpy()).all(-1).mean(0)
    np.testing.assert_allclose(shares, expected, atol=5 * 0.5 / np.sqrt(6000))
    with pytest.raises(SpecError, match="has nan at 2, and numbers behind"):
        run.sample(2, given={"x": [[1.0, np.nan, 0.0]]}, until=4)


def test_numbers_of_draws_are_held_against_what_they_are(run: FittedRun) -> None:
    """Before anything is computed, and by name."""
    asked = {
        "`n` is -1": lambda: run.sample(-1),
        "`n` is 2.5": lambda: run.sample(2.5),
        "`draws` is -1": lambda: run.impute(split="test", draws=-1),
        "`draws` is 0": lambda: run.predict(split="test", of="y", draws=0),
        "`samples` is 0": lambda: run.score(split="test", samples=0),
        "`samples` is True": lambda: run.encode(split="test", samples=True),
    }
    for told, ask in asked.items():
        with pytest.raises(SpecError) as error:
            ask()
        assert error.value.diagnostics[0].code == "E713" and told in error.value.diagnostics[0].headline
