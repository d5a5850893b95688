"""What commands say of sequences of different lengths: nothing beyond their ends, and figures of what is there."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss

from dgmppl.apply.fitted import FittedRun
from tests.apply.runs import fit

ROWS, LONGEST = 60, 5
SPEC = """\
model walks
observed n : integer(2..5) from "walks.npz".n
observed x[t in 1..n] : real from "walks.npz".x
observed c[t in 1..n] : categorical(3) from "walks.npz".c
latent s[t in 1..n] : categorical(2)
p(s[1]) = Categorical(param)
p(s[t] | s[t-1]) = Categorical(linear(s[t-1]))
p(x[t] | s[t]) = Normal(linear(s[t]))
p(c[t] | s[t]) = Categorical(linear(s[t]))
train { epochs = 20, lr = 3e-2, split = whole }
"""


@pytest.fixture(scope="module")
def rows() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    n, s = rng.integers(2, LONGEST + 1, ROWS), rng.integers(0, 2, (ROWS, LONGEST))
    c = np.where(rng.random((ROWS, LONGEST)) < 0.8, 2 * s, 1)
    return {"n": n, "x": rng.normal(4 * s - 2, 0.5), "c": c}  # something stands beyond the ends


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, rows: dict[str, np.ndarray]) -> FittedRun:
    folder = tmp_path_factory.mktemp("walks")
    np.savez(folder / "walks.npz", **rows)
    return fit(folder, SPEC)


def gone(rows: dict[str, np.ndarray]) -> np.ndarray:
    return np.arange(LONGEST) >= rows["n"][:, None]


def test_nothing_stands_beyond_an_end(run: FittedRun, rows: dict[str, np.ndarray]) -> None:
    beyond = gone(rows)
    lossy = run.decompress(bytes(run.compress(rows, lossy=True)))
    for found in (run.reconstruct(rows), run.predict(rows, of=("x", "c"), draws=9), lossy):
        for name in ("x", "c"):
            np.testing.assert_array_equal(np.isnan(found[name].astype(float)), beyond)
    predicted = run.predict(rows, of=("x", "c"), draws=9)
    for name in ("x_deviation", "c_probability"):
        np.testing.assert_array_equal(np.isnan(predicted[name]).reshape(ROWS, LONGEST, -1).all(-1), beyond)
    turned = run.traverse("s[1]", rows, rows=ROWS)
    np.testing.assert_array_equal(np.isnan(turned["x"]), beyond.repeat(2, 0))
    between = run.interpolate(rows, steps=2)
    np.testing.assert_array_equal(np.isnan(between["x"]), beyond)


@pytest.mark.parametrize("draws", [0, 2])
def test_nothing_is_missing_beyond_an_end(run: FittedRun, rows: dict[str, np.ndarray], draws: int) -> None:
    beyond = gone(rows)
    x = np.where(beyond, np.nan, rows["x"])
    x[0, 0] = np.nan
    found = run.impute({**rows, "x": x}, draws=draws)
    assert found.notes[0] == "x: 1 of 300 cells is missing"
    np.testing.assert_array_equal(np.isnan(found["x"]), np.stack([beyond] * draws, 1) if draws else beyond)
    spread = run.impute({**rows, "x": x}, deviations=True)["x_deviation"]
    assert np.isfinite(spread).sum() == 1 and np.isfinite(spread[0, 0])


def test_the_data_of_a_run_are_those_of_its_file(run: FittedRun, rows: dict[str, np.ndarray]) -> None:
    table, beyond = run.data["train"], gone(rows)
    for name in ("x", "c"):
        found = table[[f"{name}[{t}]" for t in range(LONGEST)]].to_numpy(float)
        np.testing.assert_allclose(found, np.where(beyond, np.nan, rows[name]), rtol=1e-6)
    assert table["n"].dtype.kind == "i" and (table["n"] == rows["n"]).all()


def test_figures_of_predictions_count_what_is_there(run: FittedRun, rows: dict[str, np.ndarray]) -> None:
    there = ~gone(rows)
    found = run.predict(rows, of="c")
    values = {name: estimate.mean for name, (_, estimate) in found.figures.items()}
    p, index = found["c_probability"][there], rows["c"][there]
    assert values["NLL"] * ROWS == pytest.approx(log_loss(index, p, labels=range(3), normalize=False), rel=1e-6)
    wrong = there & (found["c"] != rows["c"])
    assert values["error"] == pytest.approx(wrong.any(1).mean())
    confidence, right = p.max(1), p.argmax(1) == index
    place = np.ceil(confidence * 15)
    parts = [abs((right - confidence.astype(float))[place == k].sum()) for k in np.unique(place)]
    assert values["ECE"] == pytest.approx(sum(parts) / there.sum(), rel=1e-6)
    numbers = run.predict(rows, of="x")
    squares = np.where(there, (numbers["x"] - rows["x"]) ** 2, 0).sum(1) / there.sum(1)
    assert numbers.figures["RMSE"][1].mean == pytest.approx(np.sqrt(squares.mean()), rel=1e-5)


def test_what_a_lossy_code_is_off_by_counts_what_is_there(run: FittedRun, rows: dict[str, np.ndarray]) -> None:
    there, found = ~gone(rows), run.compress(rows, lossy=True)
    again = run.decompress(bytes(found))
    share = np.where(there, again["c"] != rows["c"], 0).sum(1) / there.sum(1)
    squares = np.where(there, (again["x"] - rows["x"]) ** 2, 0).sum(1) / there.sum(1)
    assert found.losses["c"] == pytest.approx(share.mean())
    assert found.losses["x"] == pytest.approx(squares.mean(), rel=1e-5)


DRAWN = """\
model drawn
observed n : integer(2..5) from "walks.npz".n
observed x : real[5] from "walks.npz".x
latent z : real
p(z) = Normal(0, 1)
p(x | z) = Laplace(linear(z))
p(n | z) = Categorical(linear(z))
train { epochs = 20, lr = 3e-2, split = whole }
"""


def test_weighed_draws_say_what_they_are_worth(rows: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.savez(tmp_path / "walks.npz", **rows)
    found = fit(tmp_path, DRAWN).predict(rows, of="x", draws=12)
    sizes = found["effective_sample_size"]
    assert sizes.min() < 10
    few = (sizes < 10).sum()
    told = f"{np.median(sizes):.0f} in the median row, {sizes.min():.1f} at least; below 10 in {few} row"
    assert found.notes[1].startswith(f"effective sample size of 12 draws: {told}")
