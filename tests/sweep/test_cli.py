"""The command itself: trials are runs, failures are told apart, an interrupt loses nothing, the page stands alone."""

from __future__ import annotations

import json
import re
import shlex
import signal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dgmppl.cli import main
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.sweep import worker
from dgmppl.sweep.study import Study
from dgmppl.sweep.worker import SweepCallbacks
from dgmppl.train.runs import Run, load_run
from tests.processes import Command

from .support import GAN, SPEC


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.dgm"
    path.write_text(SPEC, encoding="utf-8")
    return path


def sweep(arguments: str, capsys: pytest.CaptureFixture[str], status: int = 0) -> tuple[dict[str, Any], str]:
    """The command's JSON, and what it said on the way."""
    capsys.readouterr()
    assert main(["sweep", *shlex.split(arguments), "--format", "json", "--device", "cpu"]) == status
    printed = capsys.readouterr()
    return json.loads(printed.out or "{}"), printed.err


def test_a_sweep(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, said = sweep("small.dgm --over H=2..8 --over 'train.batch=250 | 500' --trials 3 --out 'a b'", capsys)
    assert found["figure"] == "elbo"
    assert [t["state"] for t in found["trials"]] == ["done"] * 3
    assert re.fullmatch(r"(trial +\d  done +-\d+\.\d+  H=\d train\.batch=\d+\n){3}", said)
    best = max(found["trials"], key=lambda t: t["value"])
    assert found["best"] == best["number"]
    model, run = load_run(Path(best["run"]))
    assert model.criterion == "elbo"
    assert list(run.record["overrides"]) == [f"{name}={value}" for name, value in best["values"].items()]
    # The line that it gives trains the same again.
    program, *arguments = shlex.split(found["command"])
    assert program == "dgmppl"
    assert main([*arguments, "--device", "cpu"]) == 0
    again = json.loads(Path("runs/best/run.json").read_text())
    assert again["figures"]["validation"]["elbo"]["mean"] == pytest.approx(best["value"], rel=1e-12)
    assert again["figures"] == run.record["figures"]


def test_the_text_names_the_best(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split("sweep small.dgm --over H=2..8 --trials 2 --out s --device cpu")) == 0
    out = capsys.readouterr().out
    assert re.match(r"trial +elbo +H *\n\d +-\d", out)
    assert "\n2 trials: 2 done\n" in out
    assert "\ndgmppl train small.dgm --set H=" in out


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


def test_the_page_stands_alone(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep("small.dgm --over 'train.optimizer=adam(1e-2) | sgd(1e-3)' --trials 4 --out s", capsys)
    text = Path("s/report.html").read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert all(source.startswith("data:image/") for source in page.fetched)
    assert "script" not in page.tags
    assert page.fetched
    assert page.tags.count("tr") == 5
    assert "train.optimizer=adam(1e-2) | sgd(1e-3)" in text


def test_a_trial_that_fails_is_recorded_and_the_sweep_goes_on(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = "small.dgm --over 'train.optimizer=adam(1e-2) | sgd(1e38)' --set train.epochs=3 --trials 6 --out s"
    found, said = sweep(arguments, capsys)
    states = {t["values"]["train.optimizer"]: t["state"] for t in found["trials"]}
    assert states == {"adam(1e-2)": "done", "sgd(1e38)": "failed"}
    (why,) = {t["why"] for t in found["trials"] if t["state"] == "failed"}
    assert re.match(r"E61\d: ", why)
    assert "failed" in said
    assert "failed: E61" in Path("s/report.html").read_text(encoding="utf-8")


def test_a_sweep_of_which_nothing_came_is_no_success(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = "small.dgm --over 'train.optimizer=sgd(1e37) | sgd(1e38)' --set train.epochs=3 --trials 2 --out s"
    _, said = sweep(arguments, capsys, status=1)
    assert "every trial failed" in said


def test_what_is_wrong_with_all_trials_ends_the_sweep(
    spec: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> Run:
        raise SpecError([Diagnostic("E601", "this failed while it ran", help="look")])

    monkeypatch.setattr(worker, "_train", fail)
    _, said = sweep("small.dgm --over H=2..64 --trials 9 --out s", capsys, status=1)
    assert said.endswith(
        "error[E601]: this failed while it ran\nhelp: no trial came to its end; the last 3 failed alike. look\n"
    )


def test_a_model_without_likelihood_is_searched_by_its_samples(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec.write_text(GAN, encoding="utf-8")
    found, _ = sweep("small.dgm --over train.batch=100..500 --trials 2 --by mmd2 --out s", capsys)
    assert found["lower_is_better"]
    values = {t["number"]: t["value"] for t in found["trials"]}
    assert values[found["best"]] == min(values.values())


def test_values_drawn_again_are_not_trained_again(
    spec: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []
    train = worker._train
    monkeypatch.setattr(worker, "_train", lambda *a: (trained.append(a[1]), train(*a))[1])
    found, _ = sweep("small.dgm --over H=2..3 --trials 5 --out s", capsys)
    assert len(trained) == len({t["values"]["H"] for t in found["trials"]}) == 2
    assert len({t["value"] for t in found["trials"]}) == 2
    assert sum(t["why"].startswith("as trial ") for t in found["trials"]) == 3


def test_an_interrupt_loses_nothing(
    spec: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = sweep("small.dgm --over H=2..64 --trials 3 --out whole", capsys)
    train, calls = worker._train, []

    def interrupted(*arguments: Any) -> Run:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(*arguments)

    monkeypatch.setattr(worker, "_train", interrupted)
    found, said = sweep("small.dgm --over H=2..64 --trials 3 --out s", capsys, status=130)
    assert [t["state"] for t in found["trials"]] == ["done", "running"]
    assert said.endswith("interrupted: the same command resumes the sweep\n")
    found, _ = sweep("small.dgm --over H=2..64 --trials 3 --out s", capsys)
    assert [(t["values"], t["value"]) for t in found["trials"]] == [(t["values"], t["value"]) for t in whole["trials"]]


def test_two_processes_share_a_sweep(spec: Path, tmp_path: Path) -> None:
    arguments = ["sweep", spec, "--over", "H=2..2000", "--trials", "6", "--out", "s", "--device", "cpu"]
    processes = [Command(tmp_path, *arguments, "--format", "json") for _ in "ab"]
    assert [process.wait() for process in processes] == [0, 0], [process.err for process in processes]
    said = [(process.out, process.err) for process in processes]
    numbers = sorted(int(line.split()[1]) for _, err in said for line in err.splitlines())
    assert numbers == list(range(6))
    states = [trial["state"] for trial in json.loads(said[0][0])["trials"]]
    assert len(states) == 6
    assert set(states) <= {"done", "running"}  # the other process may have been at its last


def test_a_killed_sweep_goes_on_to_the_same_end(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A process that is killed within a fit: the trial goes on from its checkpoint, to the bits of one that was not."""
    spec.write_text(SPEC.replace("epochs = 1", "epochs = 20").replace("batch = 500", "batch = 100"), encoding="utf-8")
    arguments = "small.dgm --over H=2..64 --trials 2 --no-prune"
    whole, _ = sweep(f"{arguments} --out whole", capsys)
    command = Command(tmp_path, "sweep", *shlex.split(arguments), "--out", "s", "--device", "cpu")
    metrics = Path("s/trials/0000/metrics.jsonl")
    command.wait_until(lambda: metrics.exists() and metrics.read_text(encoding="utf-8").count("\n") > 3)
    command.kill()
    assert command.wait() == -signal.SIGKILL
    found, _ = sweep(f"{arguments} --out s", capsys)
    assert [(t["state"], t["value"]) for t in found["trials"]] == [("done", t["value"]) for t in whole["trials"]]
    assert metrics.read_text().count("\n") == 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_sweep_after_a_step(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    calls = []

    def told(trial: object, epoch: object) -> None:
        calls.append(epoch)
        if len(calls) == 3:
            signal.raise_signal(number)

    monkeypatch.setattr(worker, "SweepCallbacks", lambda *hooks: SweepCallbacks(on_epoch=told))
    arguments = "small.dgm --over H=2..64 --set train.epochs=5 --trials 1 --out s"
    found, said = sweep(arguments, capsys, status=128 + number)
    assert [t["state"] for t in found["trials"]] == ["running"]
    assert "interrupted" in said
    found, _ = sweep(arguments, capsys)
    assert [t["state"] for t in found["trials"]] == ["done"]
    assert len(calls) == 5  # no epoch was run twice


def test_a_pruned_trial_is_a_run_that_can_go_on(
    spec: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Study, "report", lambda self, trial, epoch, value: trial.number == 1 and epoch == 2)
    found, said = sweep("small.dgm --over H=2..64 --set train.epochs=4 --trials 3 --out s", capsys)
    assert [t["state"] for t in found["trials"]] == ["done", "pruned", "done"]
    assert "pruned" in said
    assert Path("s/trials/0001/metrics.jsonl").read_text().count("\n") == 2
    assert main(["train", "--resume", "s/trials/0001", "--device", "cpu"]) == 0
    assert Path("s/trials/0001/metrics.jsonl").read_text().count("\n") == 4
