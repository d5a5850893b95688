"""Figures on other data: those of the rows, and how well the first set is told from the others."""

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
    scores = [run.score(table, unusual=0)["elbo"] for table in (near, far)]
    for measured, of in zip(found.values(), scores, strict=True):
        np.testing.assert_allclose(measured["elbo"].estimate.mean, of.mean(), rtol=1e-6)
    area = found[str(tmp_path / "far.csv")]["auroc"].estimate
    pairs = mannwhitneyu(*scores).statistic / (300 * 200)
    assert area.mean == pytest.approx(pairs, abs=1e-9)
    assert area.mean > 0.6
    resampled = np.random.default_rng(0)
    again = [mannwhitneyu(*(resampled.choice(s, len(s)) for s in scores)).statistic / (300 * 200) for _ in range(300)]
    assert area.standard_error == pytest.approx(np.std(again), rel=0.3)
    capsys.readouterr()
    assert main(["evaluate", str(run.path), "--split", "test", "--data", str(tmp_path / "far.csv")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["test", str(tmp_path / "far.csv"), str(tmp_path / "far.csv")]
    assert main(["evaluate", str(run.path), "--data", str(tmp_path / "nothing.csv")]) == 1
    assert "there is no file" in capsys.readouterr().err
