"""Latents of rows: what `infer` of the module gives, in every form of answer."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dgmppl.cli import main
from dgmppl.diagnostics import SpecError
from tests.apply.runs import PEOPLE, fit, people


def test_means_and_deviations_are_those_of_q(tmp_path: Path) -> None:
    people().to_csv(tmp_path / "people.csv", index=False)
    run = fit(tmp_path, PEOPLE)
    others = people(1200, seed=5).set_index(np.arange(1200) + 7)
    found = run.encode(others, draws=3, samples=4000)
    rows = next(run.rows(others).chunks(1200))
    q = run.model.q_z(*rows.values())
    np.testing.assert_allclose(found["z"], q.mean.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["z_deviation"], q.stddev.detach().numpy(), rtol=0.08)
    assert found["z_draws"].shape == (1200, 3, 2)
    frame = run.encode(others).frame()
    assert list(frame.columns) == ["z[0]", "z[1]", "z_deviation[0]", "z_deviation[1]"]
    assert list(frame.index) == list(others.index)


def test_the_command_writes_what_python_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people().to_csv(tmp_path / "people.csv", index=False)
    run = fit(tmp_path, PEOPLE)
    others = people(1100, seed=5)
    others.to_csv(tmp_path / "others.csv", index=False)
    frame = run.encode(others).frame()
    for end in ("csv", "parquet", "npz"):
        out = tmp_path / f"z.{end}"
        assert main(["encode", str(run.path), "--data", str(tmp_path / "others.csv"), "-o", str(out)]) == 0
        assert "1100 rows" in capsys.readouterr().out
    np.testing.assert_allclose(pd.read_csv(tmp_path / "z.csv"), frame, rtol=1e-5)
    np.testing.assert_allclose(pd.read_parquet(tmp_path / "z.parquet"), frame, rtol=1e-6)
    np.testing.assert_allclose(np.load(tmp_path / "z.npz")["z"], frame[["z[0]", "z[1]"]], rtol=1e-6)
    before = sorted(p.name for p in tmp_path.iterdir())
    assert main(["encode", str(run.path), "-o", str(tmp_path / "z.doc")]) == 2
    assert main(["encode", str(run.path), "--data", str(tmp_path / "z.csv"), "-o", str(tmp_path / "w.csv")]) == 1
    assert "has no column" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_model_without_latents_has_none_to_give(tmp_path: Path) -> None:
    people().to_csv(tmp_path / "people.csv", index=False)
    text = (
        'model m\nobserved x : real[2] from "people.csv"[height, weight]\np(x) = Normal(param)\ntrain { epochs = 1 }\n'
    )
    run = fit(tmp_path, text, overrides=("train.epochs=1",))
    with pytest.raises(SpecError, match="no latents"):
        run.encode(people())
