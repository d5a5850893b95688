"""The closing of a fit: nothing that is only looked at costs a run its results, and an interrupted one is resumed."""

import io
import json
import signal
import sys
import time

import pytest

from dgmppl import pipeline
from dgmppl.cli import main
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.lifecycle import ComputeOptions, RunCallbacks, resume_run, train_spec
from dgmppl.report.history import read_history
from dgmppl.train.progress import show_progress
from dgmppl.train.runs import load_run

from .specs import CONDITIONAL_GAN, VAE
from .test_progress import epoch

pytestmark = pytest.mark.painted

STEPS = [f"figures on the {name} rows" for name in ("train", "validation", "test")] + ["samples.png", "report.html"]
FILES = ("weights.safetensors", "samples.png", "metrics.jsonl")


class Killed(BaseException):
    """As far as a run can tell, a process that is gone."""


def train(folder, text=VAE, name="run", **hooks):
    (folder / "model.dgm").write_text(text, encoding="utf-8")
    return train_spec(pipeline.read(folder / "model.dgm"), folder / name, ComputeOptions("cpu"), RunCallbacks(**hooks))[
        1
    ]


def record(run):
    return json.loads((run / "run.json").read_text(encoding="utf-8"))


def content(run):
    """What a run comes to, without the times."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    files = [(run / name).read_bytes() for name in FILES[:2]]
    return files, [{**line, "seconds": 0} for line in lines], {**record(run), "seconds": 0}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    train(folder)
    return content(folder / "run")


def test_steps_are_told_with_their_progress(tmp_path):
    told = []
    train(tmp_path, on_closing=lambda *step: told.append(step))
    assert list(dict.fromkeys(what for what, _, _ in told)) == STEPS
    for what in STEPS[:3]:
        done = [(done, total) for name, done, total in told if name == what]
        assert done[0] == (0, done[0][1])
        assert done[-1] == (done[0][1], done[0][1])


@pytest.mark.parametrize(("step", "number"), [*((step, signal.SIGTERM) for step in STEPS), (STEPS[0], signal.SIGINT)])
def test_an_interrupted_closing_is_resumed(step, number, whole, tmp_path):
    def closing(what, done, total):
        if what == step:
            signal.raise_signal(number)

    run = train(tmp_path, on_closing=closing)
    assert (run.signal, run.record["state"], run.record["stopped"]) == (number, "interrupted", "epochs")
    assert record(run.path) == run.record
    assert load_run(run.path)[1].record["state"] == "interrupted"
    resumed = []
    resume_run(
        run.path, callbacks=RunCallbacks(on_resume=lambda *where: resumed.append(where), on_epoch=resumed.append)
    )
    assert resumed == [(0, record(run.path)["steps"])], "no epoch is done again"
    assert content(run.path) == whole


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_closing_is_resumed(step, whole, tmp_path):
    def closing(what, done, total):
        if what == step:
            raise Killed

    with pytest.raises(Killed):
        train(tmp_path, on_closing=closing)
    run = tmp_path / "run"
    assert read_history(run).state == "killed"
    # Once they are there, figures are safe.
    assert bool(record(run).get("figures")) == (step in STEPS[3:])
    resume_run(run)
    assert content(run) == whole


def test_the_exit_status_and_the_words_of_an_interrupted_closing(tmp_path, monkeypatch, capsys):
    (tmp_path / "model.dgm").write_text(VAE, encoding="utf-8")
    monkeypatch.setattr("dgmppl.closing.write_picture", lambda *_: signal.raise_signal(signal.SIGTERM))
    line = ["train", str(tmp_path / "model.dgm"), "--device", "cpu", "--resume", str(tmp_path / "run")]
    assert main(line) == 128 + signal.SIGTERM
    assert "interrupted after the last epoch" in capsys.readouterr().out
    monkeypatch.undo()
    assert main(line) == 0
    printed = capsys.readouterr()
    assert "resumed after the last epoch" in printed.err
    assert "closing: samples.png" in printed.err
    assert "results in" in printed.out


@pytest.mark.painted(False)
@pytest.mark.parametrize("error", [ValueError("Key backend"), OSError(28, "No space left on device"), MemoryError()])
@pytest.mark.parametrize(
    ("part", "name", "command"),
    [
        ("write_picture", "samples.png", "dgmppl sample"),
        ("draw", "samples.png", "dgmppl sample"),
        ("write_report", "report.html", "dgmppl report"),
    ],
)
def test_what_cannot_be_drawn_is_a_warning(part, name, command, error, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise error

    monkeypatch.setattr(f"dgmppl.closing.{part}", fail)
    (tmp_path / "model.dgm").write_text(VAE, encoding="utf-8")
    run = tmp_path / "run"
    assert main(["train", str(tmp_path / "model.dgm"), "--out", str(run), "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("warning[W627]") == 1
    assert f"{name} is not there" in printed.err
    assert command in printed.err
    assert printed.out.count(" ± ") == 3, "a figure of each split"
    assert ("samples in" in printed.out) == (name != "samples.png")
    assert (record(run)["state"], len(record(run)["figures"])) == ("finished", 3)
    assert (run / "weights.safetensors").exists()


def test_the_command_for_what_is_missing_works(tmp_path, monkeypatch):
    """With a value for each condition."""
    warned = []
    with monkeypatch.context() as patch:
        patch.setattr("dgmppl.closing.write_picture", lambda *_: 1 / 0)
        run = train(tmp_path, CONDITIONAL_GAN, on_warning=warned.append)
    command = warned[0].help.split("`")[1].replace("VALUE", "1").split()
    assert command[0] == "dgmppl"
    assert "--set" in command
    assert main(command[1:]) == 0
    assert (run.path / "samples.png").exists()


def test_events_and_graph_cost_no_fit(tmp_path, monkeypatch):
    def fail(*_):
        raise SpecError([Diagnostic("E704", "Graphviz does not work here")])

    def no_events(*_):
        raise TypeError("Descriptors cannot be created directly")

    monkeypatch.setattr("dgmppl.train.contents.picture.render", fail)
    monkeypatch.setattr("tensorboardX.event_file_writer.EventsWriter", no_events)
    warned = []
    run = train(tmp_path, on_warning=warned.append)
    assert run.record["state"] == "finished"
    assert [w.code for w in warned] == ["W627", "W627"]
    assert "graph.svg" in warned[0].headline
    assert "tensorboard" in warned[1].headline


def test_a_figure_that_cannot_be_computed_is_an_error(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("out of memory")

    monkeypatch.setattr("dgmppl.closing.evaluate_figures", fail)
    with pytest.raises(RuntimeError):
        train(tmp_path)
    assert record(tmp_path / "run")["state"] == "failed"
    monkeypatch.undo()
    assert resume_run(tmp_path / "run")[1].record["state"] == "finished"


def test_the_time_told_is_the_time_of_all_sessions(tmp_path):
    steps = []

    def step(*_):
        steps.append(1)
        if len(steps) == 7:
            signal.raise_signal(signal.SIGTERM)

    began = time.perf_counter()
    first = train(tmp_path, on_step=step)
    between = time.perf_counter()
    _, last = resume_run(first.path)
    ended = time.perf_counter()
    assert 0 < first.record["seconds"] <= between - began
    assert first.record["seconds"] < last.record["seconds"] <= ended - began
    epochs = [json.loads(line)["seconds"] for line in (first.path / "metrics.jsonl").read_text().splitlines()]
    assert last.record["seconds"] > sum(epochs)


class Gone(io.StringIO):
    """A terminal that was closed."""

    def write(self, text):
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_that_is_gone_ends_no_fit(terminal, monkeypatch):
    stream = Gone()
    stream.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with show_progress(3) as progress:
        for k in range(1, 4):
            progress.on_epoch(epoch(k))
        progress.on_closing("samples.png", 0, 0)


def test_a_sweep_says_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("dgmppl.closing.write_picture", lambda *_: 1 / 0)
    (tmp_path / "model.dgm").write_text(VAE, encoding="utf-8")
    arguments = ["--over", "train.batch=200|400", "--trials", "1", "--out", str(tmp_path / "sweep"), "--device", "cpu"]
    assert main(["sweep", str(tmp_path / "model.dgm"), *arguments]) == 0
    printed = capsys.readouterr()
    assert "warning[W627]" in printed.err
    assert "1 done" in printed.out
