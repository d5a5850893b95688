"""Who takes which trial: shared budgets, processes that are killed, storages, and that nothing is unpickled."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dgmppl.diagnostics import SpecError
from dgmppl.sweep.run import Wanted, check_sweep, open_sweep, ranked
from dgmppl.sweep.study import Study

from .support import SPEC

ROOT = Path(__file__).parents[2]
OVER = ["H=2..64", "train.batch=32 | 64", "train.clip=log(1e-3..10)"]


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    spec = tmp_path / "small.dgm"
    spec.write_text(SPEC, encoding="utf-8")
    return check_sweep(spec, OVER)


def run_all(study: Study, budget: int) -> list[dict[str, str]]:
    """Trials whose figure is made up: the smaller H, the better."""
    values = []
    while (trial := study.take(budget)) is not None:
        values.append(trial.values)
        study.finish(trial, -float(trial.values["H"]))
    return values


def test_a_sweep_repeats_however_often_it_is_interrupted(wanted: Wanted, tmp_path: Path) -> None:
    whole = run_all(open_sweep(wanted, tmp_path / "a"), 14)
    assert len(whole) == 14
    parts: list[dict[str, str]] = []
    for budget in (3, 4, 12, 14):
        parts += run_all(open_sweep(wanted, tmp_path / "b"), budget)
    assert parts == whole
    other = check_sweep(wanted.spec, OVER, seed=1)
    assert run_all(open_sweep(other, tmp_path / "c"), 3) != whole[:3]


def test_the_search_follows_the_figure(wanted: Wanted, tmp_path: Path) -> None:
    values = [int(v["H"]) for v in run_all(open_sweep(wanted, tmp_path / "a"), 40)]
    assert sum(values[20:]) < sum(values[:20]) / 2


def test_the_budget_is_shared(wanted: Wanted, tmp_path: Path) -> None:
    one, two = open_sweep(wanted, tmp_path / "a"), open_sweep(wanted, tmp_path / "a")
    first, second = one.take(3), two.take(3)
    assert first is not None and second is not None
    assert (first.number, second.number) == (0, 1)
    assert first.values != second.values
    one.finish(first, 1.0)
    third = one.take(3)
    assert third is not None and third.number == 2
    assert one.take(3) is None and two.take(3) is None
    assert [row.state for row in two.rows()] == ["done", "running", "running"]


WORKER = """
import sys, time
from pathlib import Path
from dgmppl.sweep.run import check_sweep, open_sweep
wanted = check_sweep(Path(sys.argv[1]), sys.argv[3:])
trial = open_sweep(wanted, Path(sys.argv[2])).take(5)
print(trial.number, trial.values, flush=True)
time.sleep(600)
"""


@pytest.fixture
def killed(wanted: Wanted, tmp_path: Path) -> str:
    """What a process says that took a trial, and was killed."""
    command = [sys.executable, "-c", WORKER, str(wanted.spec), str(tmp_path / "a"), *OVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        other = open_sweep(wanted, tmp_path / "a").take(5)
        assert other is not None and other.number == 1  # the first is alive
        other.lock.release()
        process.send_signal(signal.SIGKILL)
    return said


def test_the_trial_of_a_killed_process_is_taken_up(wanted: Wanted, tmp_path: Path, killed: str) -> None:
    study = open_sweep(wanted, tmp_path / "a")
    trials = [study.take(5), study.take(5), study.take(5)]
    assert [t and t.number for t in trials] == [0, 1, 2]
    assert killed == f"0 {trials[0] and trials[0].values}\n"
    assert study.folder.trial(0).with_suffix(".lock").exists()


def test_a_trial_that_takes_its_process_along_is_given_up(wanted: Wanted, tmp_path: Path) -> None:
    for _ in range(3):
        trial = open_sweep(wanted, tmp_path / "a").take(2)
        assert trial is not None and trial.number == 0
        trial.lock.release()
    study = open_sweep(wanted, tmp_path / "a")
    trial = study.take(2)
    assert trial is not None and trial.number == 1
    assert [(row.state, row.why) for row in study.rows()] == [
        ("failed", "its process ended 3 times before it did"),
        ("running", ""),
    ]


HOLDER = """
import sys, time
from filelock import FileLock
locks = [FileLock(path) for path in sys.argv[1:]]
for lock in locks:
    lock.acquire()
print("held", flush=True)
time.sleep(600)
"""


def test_a_process_killed_within_a_lock_stops_nobody(wanted: Wanted, tmp_path: Path) -> None:
    study = open_sweep(wanted, tmp_path / "a")
    locks = [str(tmp_path / "a" / name) for name in ("lock", "journal.log.lock")]
    with subprocess.Popen([sys.executable, "-c", HOLDER, *locks], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGKILL)
    trial = study.take(1)
    assert trial is not None and trial.number == 0


def test_half_a_line_in_the_journal_is_dropped(wanted: Wanted, tmp_path: Path) -> None:
    study = open_sweep(wanted, tmp_path / "a")
    assert len(run_all(study, 2)) == 2
    journal = tmp_path / "a" / "journal.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":4,"wor')
    again = open_sweep(wanted, tmp_path / "a")
    assert len(run_all(again, 3)) == 1
    assert journal.read_bytes().startswith(whole)
    assert all(json.loads(line) for line in journal.read_text().splitlines())
    assert [row.state for row in study.rows()] == ["done"] * 3


@pytest.mark.parametrize("database", [False, True])
def test_nothing_is_unpickled(wanted: Wanted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: bool) -> None:
    url = f"sqlite:///{tmp_path}/study.db" if database else ""
    wanted = check_sweep(wanted.spec, OVER, storage=url)
    run_all(open_sweep(wanted, tmp_path / "a", url), 12)

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    study = open_sweep(wanted, tmp_path / "a", url)
    assert len(run_all(study, 14)) == 2
    assert study.importances()


def test_a_database_keeps_the_study(wanted: Wanted, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    wanted = check_sweep(wanted.spec, OVER, storage=url)
    here, there = (open_sweep(wanted, tmp_path / place / "vae", url) for place in ("here", "there"))
    first = here.take(3)
    assert first is not None
    first.lock.release()
    # Another folder cannot tell whether the process of a trial is alive, so it leaves it alone; the same one can.
    second = there.take(3)
    assert second is not None and second.number == 1
    again = here.take(3)
    assert again is not None and (again.number, again.values) == (0, first.values)
    other = check_sweep(wanted.spec, ["H=2..3"], storage=url)
    with pytest.raises(SpecError) as error:
        open_sweep(other, tmp_path / "third" / "vae", url)
    assert [d.code for d in error.value.diagnostics] == ["E728"]
    assert not (tmp_path / "vae").exists()


def test_a_trial_worse_than_the_median_is_pruned(wanted: Wanted, tmp_path: Path) -> None:
    study = open_sweep(wanted, tmp_path / "a")
    for _ in range(5):
        trial = study.take(9)
        assert trial is not None
        assert not any(study.report(trial, epoch, float(epoch)) for epoch in (1, 2, 3))
        study.finish(trial, 3.0)
    trial = study.take(9)
    assert trial is not None
    assert not study.report(trial, 1, 5.0)
    trial.lock.release()
    trial = study.take(9)  # taken up again: what was reported stays so
    assert trial is not None and trial.number == 5
    assert not study.report(trial, 1, -5.0)
    worse = study.take(9)
    assert worse is not None
    assert study.report(worse, 1, 0.0)
    study.prune(worse)
    assert [row.state for row in study.rows()] == ["done"] * 5 + ["running", "pruned"]
    assert [row.number for row in ranked(study.rows(), lower=False)] == [0, 1, 2, 3, 4]


def test_figures_that_count_mistakes_are_minimised(wanted: Wanted, tmp_path: Path) -> None:
    study = open_sweep(check_sweep(wanted.spec, OVER, by="mmd2"), tmp_path / "a")
    run_all(study, 3)
    values = [row.value for row in ranked(study.rows(), study.lower)]
    assert values == sorted(row.value for row in study.rows() if row.value is not None)
