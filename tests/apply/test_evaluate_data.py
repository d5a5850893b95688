"""Figures on other data: those of the rows, and how well the first set is told from the others."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from dgmppl.cli import main
from dgmppl.report.evaluate import evaluate
from tests.apply.runs import PEOPLE, fit, people


def test_other_rows_have_figures_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people(600).to_csv(tmp_path / "people.csv", index=False)
    run = fit(tmp_path, PEOPLE)
    near, far = people(300, seed=1), people(200, seed=2)
    far["weight"] += 15
    for name, table in (("near", near), ("far", far)):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    found = evaluate(run.path, data=[tmp_path / "near.csv", tmp_path / "far.csv"])
    assert list(found) == [str(tmp_path / "near.csv"), str(tmp_path / "far.csv")]
    scores = [run.score(table, unusual=0, samples=1)["elbo"] for table in (near, far)]
    for measured, of in zip(found.values(), scores, strict=True):
        np.testing.assert_allclose(measured["elbo"].estimate.mean, of.mean(), rtol=1e-6)
    table = run.evaluate(near, far)
    assert table.loc[("data 1", "elbo"), "mean"] == pytest.approx(scores[0].mean(), rel=1e-6)
    area = found[str(tmp_path / "far.csv")]["auroc"].estimate
    told = table.loc[("data 2", "auroc")]
    assert (told["mean"], told["rows"]) == (area.mean, area.rows) and {"train", "test"} == set(
        run.evaluate(splits=("train", "test")).index.unique("set")
    )
    pairs = mannwhitneyu(*scores).statistic / (300 * 200)
    assert area.mean == pytest.approx(pairs, abs=1e-9)
    assert area.mean > 0.6
    resampled = np.random.default_rng(0)
    again = [mannwhitneyu(*(resampled.choice(s, len(s)) for s in scores)).statistic / (300 * 200) for _ in range(300)]
    assert area.standard_error == pytest.approx(np.std(again), rel=0.3)
    capsys.readouterr()
    assert main(["evaluate", str(run.path), "--split", "test", "--data", str(tmp_path / "far.csv")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["test", str(tmp_path / "far.csv"), str(tmp_path / "far.csv")]
    assert lines[4] == "elbo of each row, the share of a set in each bin:"
    shares = np.array([[float(part) for part in re.findall(r"([0-9.]+)%", line)] for line in lines[6:]])
    np.testing.assert_allclose(shares.sum(0), 100, atol=0.7)
    for end, start in (("svg", b"<svg"), ("png", b"\x89PNG")):
        out = tmp_path / f"scores.{end}"
        assert main(["evaluate", str(run.path), "--split", "train", "--split", "test", "--plot", str(out)]) == 0
        assert out.read_bytes().startswith(start)
    drawn = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "scores.svg").read_text())
    assert {"train", "test", "elbo of a row, nats", "share of rows"} <= set(drawn)
    assert "in each bin" not in capsys.readouterr().out
    assert main(["evaluate", str(run.path), "--plot", str(tmp_path / "scores.pdf")]) == 1
    assert "a histogram is written to .svg or .png, not to scores.pdf" in capsys.readouterr().err
    assert main(["evaluate", str(run.path), "--data", str(tmp_path / "nothing.csv")]) == 1
    assert "there is no file" in capsys.readouterr().err


def test_classes_are_predicted_in_each_set(tmp_path: Path) -> None:
    """Those of `predict`, inside and outside; what is less sure there has a larger entropy."""
    people(600).to_csv(tmp_path / "people.csv", index=False)
    classifier = PEOPLE[: PEOPLE.index("latent")] + "p(y | x) = Categorical(mlp[16](x))\ntrain { epochs = 5 }\n"
    run = fit(tmp_path, classifier)
    near, far = people(300, seed=1), people(200, seed=2)
    far["weight"] += 40
    found = evaluate(run.path, data=[near, far])
    for table, of in zip((near, far), found.values(), strict=True):
        told = run.predict(table, of="y").figures
        assert {"error", "NLL", "entropy", "ECE"} <= of.keys()
        for name, (figure, estimate) in told.items():
            assert of[name].figure == figure
            assert of[name].estimate.mean == pytest.approx(estimate.mean, rel=1e-6)
    assert "auroc" not in found["data 1"]
