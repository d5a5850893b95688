"""A run finds its data when the folder that holds spec, data and run was renamed, copied, or taken apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dgmppl import pipeline
from dgmppl.cli import main
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.lifecycle import resume_run, train_spec
from dgmppl.report.evaluate import Evaluation, evaluate
from dgmppl.report.page import report_run

X = np.random.default_rng(0).normal(size=(50, 2))
SPEC = 'model m\nobserved x : real[2] from "data/x.npy"\np(x) = Normal(param)\ntrain { epochs = 2 }\n'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a spec and a run."""
    here = tmp_path_factory.mktemp("project") / "here"
    (here / "data").mkdir(parents=True)
    np.save(here / "data" / "x.npy", X)
    (here / "spec.dgm").write_text(SPEC)
    train_spec(pipeline.read(here / "spec.dgm"), here / "runs" / "a")
    return here


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """A copy of it, at another place than where it was made, which is not there any more as far as the copy knows."""
    shutil.copytree(made, tmp_path / "there")
    record = tmp_path / "there" / "runs" / "a" / "run.json"
    content = json.loads(record.read_text())
    assert content["data_folder"] == str(made)
    assert content["data_folder_relative"] == "../.."
    record.write_text(json.dumps({**content, "data_folder": str(tmp_path / "gone")}))
    return tmp_path / "there"


def told(run: Path, **options: object) -> tuple[Evaluation, list[str]]:
    warned: list[Diagnostic] = []
    found = evaluate(run, splits=("test",), warn=warned.append, **options)  # type: ignore[arg-type]
    return found, [d.code for d in warned]


def test_a_project_that_was_renamed(project: Path, made: Path) -> None:
    assert told(project / "runs" / "a") == told(made / "runs" / "a")
    assert report_run(project / "runs" / "a")[1] == ()


def test_a_run_of_a_renamed_project_goes_on_and_knows_its_new_place(project: Path) -> None:
    _, run = resume_run(project / "runs" / "a", overrides=["train.epochs=3"])
    assert run.record["state"] == "finished"
    assert run.record["epochs"] == 3
    assert json.loads((run.path / "run.json").read_text())["data_folder"] == str(project)


def test_what_a_run_was_fitted_to_comes_before_what_lies_beside_a_copy(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "copy")
    np.save(tmp_path / "copy" / "data" / "x.npy", X + 1)
    assert told(made / "runs" / "a")[1] == []
    # The data that the run was fitted to is still where it was: it comes before what lies beside the copy.
    assert told(tmp_path / "copy" / "runs" / "a")[1] == []
    (tmp_path / "copy" / "data" / "x.npy").unlink()
    assert told(tmp_path / "copy" / "runs" / "a")[1] == []


def test_a_run_that_was_moved_away_from_its_data(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "runs" / "a", tmp_path / "else" / "where" / "a")
    assert told(tmp_path / "else" / "where" / "a") == told(made / "runs" / "a")


def test_data_that_has_changed_beside_a_moved_run_is_told(project: Path) -> None:
    np.save(project / "data" / "x.npy", X + 1)
    assert told(project / "runs" / "a")[1] == ["W621"]
    with pytest.raises(SpecError, match="E626"):
        resume_run(project / "runs" / "a", overrides=["train.epochs=3"])


def test_a_folder_that_is_named(project: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = project / "runs" / "a"
    (project / "data").rename(tmp_path / "data")
    with pytest.raises(SpecError) as caught:
        told(run)
    (found,) = caught.value.diagnostics
    assert found.code == "E503"
    assert "--data-folder" in found.help
    (left_out,) = report_run(run)[1]
    assert left_out.startswith("there is no file data/x.npy; ")
    assert "--data-folder" in left_out
    assert told(run, data_folder=tmp_path) == told(made / "runs" / "a")
    assert main(["evaluate", str(run), "--split", "test", "--data-folder", str(tmp_path)]) == 0
    assert main(["report", str(run), "--data-folder", str(tmp_path)]) == 0
    assert "left out" not in capsys.readouterr().err
    more = ["--set", "train.epochs=3", "--data-folder", str(tmp_path)]
    assert main(["train", "--resume", str(run), *more]) == 0
    # From then on it is known.
    assert told(run)[1] == []


def test_a_spec_has_its_own_folder(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in ("--out", "--resume"):
        asked = ["train", str(made / "spec.dgm"), place, str(tmp_path / "new"), "--data-folder", str(tmp_path)]
        assert main(asked) == 2
        assert "--data-folder" in capsys.readouterr().err
