"""What `predict` answers: figures against scikit-learn and SciPy, units, dates, files, and what it refuses."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import entropy, gamma
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error

from dgmppl.apply import conditionals, draws
from dgmppl.cli import main
from dgmppl.diagnostics import SpecError
from tests.apply.predicting.cases import rows_of
from tests.apply.runs import fit, people


def test_coverage_is_that_of_the_law_where_that_has_a_distribution_function(run) -> None:
    """Whether a value lies in the central 90 % is what SciPy says; else it is said that draws tell it."""
    fitted = run("waits")
    found, rows = fitted.predict(split="test", of="i"), rows_of(fitted)
    with torch.no_grad():
        shape = fitted.model.p_i(rows["x"]).concentration.double().numpy()
    inside = np.abs(gamma(shape, scale=100).cdf(rows["i"].double().numpy()) - 0.5) <= 0.45
    figure, estimate = found.figures["coverage"]
    assert estimate.mean == pytest.approx(inside.mean()) and figure.how == "exactly"
    assert not any("coverage" in note for note in found.notes)
    tails = run("tails").predict(split="test", of="i")
    assert np.isinf(tails["i_deviation"]).all()  # as of 1.5 degrees of freedom
    assert tails.figures["coverage"][0].how == "by draws" and "coverage: by 200 draws of that law" in tails.notes


def test_partial_variables_are_left_out_together_and_one_alone_where_it_is_named(run) -> None:
    fitted = run("two_partial")
    together, named = (fitted.predict(split="test", of=of) for of in ((), ("y", "a")))
    assert any("left out together" in n and "`--of y` leaves out one alone" in n for n in together.notes)
    for name in ("y_probability", "a"):
        np.testing.assert_array_equal(together[name], named[name])
    m, r = fitted.model, rows_of(fitted)
    rows, classes = len(r["x"]), [torch.full((len(r["x"]),), float(k)) for k in range(3)]
    with torch.no_grad():
        without = torch.stack([m.p_y().log_prob(c).expand(rows) + m.p_x(c).log_prob(r["x"]) for c in classes], -1)
        given = without + torch.stack([m.p_a(c).log_prob(r["a"]) for c in classes], -1)
    np.testing.assert_allclose(together["y_probability"], without.softmax(-1), atol=0.1)  # 1,000 draws, weighed
    np.testing.assert_allclose(fitted.predict(split="test", of="y")["y_probability"], given.softmax(-1), atol=1e-5)


def test_columns_of_a_vector_are_judged_one_by_one(run) -> None:
    """Of each the rows that have it: metres and kilograms make no number together."""
    fitted = run("gaps")
    table = people(40, seed=3).assign(age=40.0)
    table.loc[:9, "height"] = np.nan
    found = fitted.predict(table)  # what may be missing, where nothing is named
    assert "`x` may be missing" in found.notes[1]
    assert {n for n in found.figures if n != "NLL"} == {
        f"{kind}({column})" for kind in ("RMSE", "coverage") for column in ("height", "weight")
    }
    for k, column in enumerate(("height", "weight")):
        seen = table[column].notna()
        figure, estimate = found.figures[f"RMSE({column})"]
        assert estimate.rows == seen.sum() and figure.variables == ("x",)
        expected = root_mean_squared_error(table[column][seen], found["x"][seen, k])
        assert estimate.mean == pytest.approx(expected)


def test_dates_are_told_as_dates_and_their_deviations_in_days(run) -> None:
    fitted = run("born")
    found, rows = fitted.predict(split="test", of="d"), rows_of(fitted)
    with torch.no_grad():
        law = fitted.model.p_d(rows["x"])
    scale = fitted.fields["d"].transforms[-1]
    days = law.mean.double().numpy() * scale.deviation + scale.mean
    told = np.array(found["d"], dtype="datetime64[s]").astype(np.int64) / 86400
    np.testing.assert_allclose(told, days, atol=0.51)
    np.testing.assert_allclose(found["d_deviation"], law.stddev.numpy() * scale.deviation, rtol=1e-5)
    assert found.figures["RMSE"][1].mean > 100


def test_figures_of_classes_are_those_of_scikit_learn(run) -> None:
    fitted = run("naive_bayes")
    table = people(700, seed=5).assign(age=45.0)
    found = fitted.predict(table, of="y")
    p, names = found["y_probability"], fitted.fields["y"].classes
    values = {name: estimate.mean for name, (_, estimate) in found.figures.items()}
    assert values["error"] == pytest.approx(1 - accuracy_score(table["size"], found["y"].astype(str)))
    assert values["NLL"] == pytest.approx(log_loss(table["size"], p, labels=list(names)), rel=1e-6)
    assert values["entropy"] == pytest.approx(entropy(p, axis=1).mean(), rel=1e-6)
    confidence, right = p.max(1), (found["y"] == table["size"]).to_numpy()
    share, mean = calibration_curve(right, confidence, n_bins=15)
    counts = np.histogram(confidence, np.linspace(0, 1, 16))[0]
    assert values["ECE"] == pytest.approx((np.abs(share - mean) * counts[counts > 0]).sum() / 700, rel=1e-6)
    numbers = fitted.predict(table, of="a")
    assert numbers.figures["RMSE"][1].mean == pytest.approx(root_mean_squared_error(table.age, numbers["a"]))


def test_rows_of_a_file_lack_it(run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fitted = run("naive_bayes")
    table = people(6, seed=2).assign(age=[40.0, 41, 42, 43, 44, 45])
    file, out = tmp_path / "others.csv", tmp_path / "predicted.csv"
    table.drop(columns="size").to_csv(file, index=False)
    assert main(["predict", str(fitted.path), "--data", str(file), "-o", str(out)]) == 0
    written = pd.read_csv(out)
    assert list(written) == ["size", "p(size = middling)", "p(size = short)", "p(size = tall)"]
    np.testing.assert_allclose(written.iloc[:, 1:].sum(axis=1), 1, rtol=1e-6)
    frame = fitted.predict(table, of="y").frame()
    np.testing.assert_allclose(frame.iloc[:, 1:], written.iloc[:, 1:], rtol=1e-6)
    table.to_csv(file, index=False)
    capsys.readouterr()
    assert main(["predict", str(fitted.path), "--data", str(file), "--of", "y", "--of", "a", "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert "ECE(y)" in said.out and "RMSE(a)" in said.out and "importance sampling" in said.err


def test_memory_grows_neither_with_draws_nor_with_rows(run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a model computes at once has an upper end, whatever is asked for; answers are those of small pieces."""
    fitted = run("table")
    sizes = []
    build = draws.with_prediction

    def watched(*given):
        model = build(*given)
        whole = model.predict
        model.predict = lambda *data: sizes.append(len(data[0])) or whole(*data)
        return model

    monkeypatch.setattr(draws, "with_prediction", watched)
    table = people(1200, seed=4).drop(columns="size").assign(age=40.0)
    fitted.predict(table, of="a", draws=100)["a"]
    assert len(sizes) > 10 and max(sizes) <= conditionals.AT_ONCE


REFUSED = {
    "nothing is left to predict": ("naive_bayes", {"split": "test"}),
    "is no variable of the data": ("naive_bayes", {"split": "test", "of": "z"}),
    "nothing models it": ("discriminative", {"split": "test", "of": "x"}),
    "all variables are left out": ("naive_bayes", {"split": "test", "of": ("x", "y", "a")}),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_predicted_is_said(run, why: str) -> None:
    kind, given = REFUSED[why]
    with pytest.raises(SpecError) as error:
        run(kind).predict(**given)
    assert error.value.diagnostics[0].code == "E660" and why in error.value.diagnostics[0].headline


ANSWERS = """\
model answers
observed a : ordinal(3)[2] from shift("answers.csv"[q1, q2], -1)
observed y : binary from "answers.csv".y
p(y) = Bernoulli(param)
p(a | y) = Categorical(linear(y))
train { epochs = 1 }
"""


@pytest.mark.parametrize("of", ["a", "q2"])
def test_probabilities_are_of_values_in_the_units_of_the_data(tmp_path: Path, of: str) -> None:
    """Also of vectors: answers from 1 to 3, of which the model has 0 to 2."""
    table = pd.DataFrame(np.random.default_rng(0).integers(1, 4, (40, 2)), columns=["q1", "q2"]).assign(y=1)
    table.to_csv(tmp_path / "answers.csv", index=False)
    frame = fit(tmp_path, ANSWERS).predict(table, of=of).frame()
    likeliest = frame[[f"p(q2 = {value})" for value in (1, 2, 3)]].to_numpy().argmax(1) + 1
    np.testing.assert_array_equal(frame["q2"], likeliest)
