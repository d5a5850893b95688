"""A fit that is stopped anywhere and gone on with ends with the bits of one that was not stopped."""

import dataclasses
import json
import shutil
from typing import ClassVar

import numpy as np
import pytest
import torch

from dgmppl import pipeline
from dgmppl.cli import main
from dgmppl.diagnostics import SpecError
from dgmppl.lifecycle import ComputeOptions, RunCallbacks, resume_run, train_spec
from dgmppl.plan.setting_types import Stage
from dgmppl.plan.settings import DecaySetting, OptimizerSetting, TrainSettings
from dgmppl.report.evaluate import evaluate
from dgmppl.report.history import read_history
from dgmppl.report.page import report_run
from dgmppl.runtime.by_loss import PlacesByLoss
from dgmppl.runtime.ramps import LinearRamp
from dgmppl.train.batches import MemoryExamples
from dgmppl.train.checkpoint import CHECKPOINT, PREVIOUS, read_checkpoint, write_checkpoint
from dgmppl.train.device import open_device, seeded
from dgmppl.train.folder import hold
from dgmppl.train.history import Callbacks
from dgmppl.train.runs import load_run
from dgmppl.train.trainer import Trainer

from .models import TinyGan, TinyVae
from .runs import CHANGED, begin
from .specs import FROM_FILE, RBM, VAE

CPU = torch.device("cpu")
SETTINGS = TrainSettings(epochs=3, batch=50, optimizer=OptimizerSetting("adam", 0.01))
ALL = Stage((("", "x"), ("", "z")), weights=("decoder", "encoder"))
EVERYTHING = dataclasses.replace(
    SETTINGS,
    accumulate=3,
    clip=1.0,
    ema=0.9,
    warmup=4,
    decay=DecaySetting("cosine", {"to": 0.1}),
    adversary_optimizer=OptimizerSetting("rmsprop", 0.02),
    adversary_steps=2,
)


class RampedVae(TinyVae):
    """With a weight that changes over the epochs."""

    ramps: ClassVar[dict[str, tuple[LinearRamp, ...]]] = {"-KL(z)": (LinearRamp(0, 1, 3),)}


STAGED = dataclasses.replace(
    EVERYTHING,
    epochs=1,
    stages=(Stage((("p", "x"),), 0.02, weights=("decoder",)), Stage((("q", "z"),), weights=("encoder",)), ALL),
)


class ByLossVae(TinyVae):
    """With a term at one of three places, chosen by how large it was."""

    def __init__(self):
        super().__init__()
        self.places = PlacesByLoss(3)

    def terms(self, x):
        found = super().terms(x)
        if self.training:
            place, times = self.places.choose(0, 2, torch.rand(len(x)))
            extra = self.decoder.weight.square().sum() * (1 + place)
            self.places.note(place, extra)
            found["extra"] = -times * extra
        return found


def data(kind):
    shape = (130, 4) if issubclass(kind, TinyVae) else (130,)
    return [torch.randn(shape, generator=torch.Generator().manual_seed(1))]


def trainer(kind, settings):
    rows = MemoryExamples(data(kind))
    return Trainer(kind(), rows, rows, settings, open_device("cpu"))


def outcome(fit, result):
    weights = {name: value.numpy().tobytes() for name, value in fit.model.state_dict().items()}
    epochs = [{**dataclasses.asdict(epoch), "seconds": 0} for epoch in result.epochs]
    return weights, epochs, result.best_epoch, result.stopped, result.steps


def interrupted_after(stop, folder):
    steps = iter(range(1, 100))
    return Callbacks(on_checkpoint=lambda s: write_checkpoint(folder, s), should_stop=lambda: next(steps) == stop)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        *((kind, s) for kind in (TinyVae, RampedVae, ByLossVae, TinyGan) for s in (SETTINGS, EVERYTHING)),
        (TinyVae, STAGED),
    ],
)
def test_a_fit_can_be_stopped_after_every_step(kind, settings, tmp_path):
    with seeded(0, CPU):
        whole = trainer(kind, settings)
        expected = outcome(whole, whole.run(Callbacks()))
    assert expected[4] == 9
    for stop in range(1, 9):
        with seeded(0, CPU):
            first = trainer(kind, settings)
            stopped = first.run(interrupted_after(stop, tmp_path))
            assert (stopped.stopped, stopped.steps) == ("interrupted", stop)
        state, problems = read_checkpoint(tmp_path)
        assert problems == []
        with seeded(7, CPU):  # other numbers than those that the checkpoint brings
            second = trainer(kind, settings)
            second.restore(state)
            assert outcome(second, second.run(Callbacks())) == expected, f"stopped after step {stop}"


def test_keeping_the_state_changes_nothing():
    outcomes = []
    for every in (0.0, float("inf")):
        with seeded(0, CPU):
            fit = trainer(TinyVae, EVERYTHING)
            outcomes.append(outcome(fit, fit.run(Callbacks(checkpoint_every=every))))
    assert outcomes[0] == outcomes[1]


def test_patience_goes_on_where_it_was(tmp_path):
    settings = dataclasses.replace(SETTINGS, epochs=40, patience=3, optimizer=OptimizerSetting("sgd", 1e-30))
    with seeded(0, CPU):
        whole = trainer(TinyVae, settings)
        expected = outcome(whole, whole.run(Callbacks()))
    assert expected[3] == "patience"
    with seeded(0, CPU):
        trainer(TinyVae, settings).run(interrupted_after(8, tmp_path))
    with seeded(3, CPU):
        second = trainer(TinyVae, settings)
        second.restore(read_checkpoint(tmp_path)[0])
        assert outcome(second, second.run(Callbacks())) == expected


# --- run folders ---------------------------------------------------------------------------------


def weights(run):
    return (run / "weights.safetensors").read_bytes()


def course(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{**line, "seconds": 0} for line in lines]


def code(function, *arguments, **options):
    with pytest.raises(SpecError) as caught:
        function(*arguments, **options)
    return caught.value.diagnostics[0].code


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    begin(folder)
    return folder / "run"


@pytest.fixture
def stopped(tmp_path):
    begin(tmp_path, stop=12)
    return tmp_path / "run"


def test_a_signal_ends_a_run_that_goes_on_to_the_same_bits(whole, stopped):
    record = json.loads((stopped / "run.json").read_text())
    assert (record["state"], record["stopped"], record["steps"]) == ("interrupted", "interrupted", 13)
    assert len(course(stopped)) == 2
    assert not (stopped / "report.html").exists()
    _, run = resume_run(stopped)
    assert run.record["state"] == "finished"
    assert weights(stopped) == weights(whole)
    assert course(stopped) == course(whole)
    for entry in ("figures", "best_epoch", "epochs", "steps", "settings", "data", "spec_digest"):
        assert run.record[entry] == json.loads((whole / "run.json").read_text())[entry]
    assert (stopped / "report.html").exists()


def test_the_precision_is_kept(stopped):
    assert code(resume_run, stopped, {"precision": "bf16"}) == "E625"
    assert json.loads((stopped / "run.json").read_text())["state"] == "interrupted"


def test_a_run_that_was_killed_is_told_from_one_that_runs(stopped):
    record = json.loads((stopped / "run.json").read_text())
    (stopped / "run.json").write_text(json.dumps({**record, "state": "running"}))
    assert read_history(stopped).state == "killed"
    with hold(stopped):
        assert read_history(stopped).state == "running"


def test_a_killed_run_opens_with_its_latest_weights(stopped):
    """What an interruption left behind is older than the checkpoint of the process that went on and was killed."""
    record = json.loads((stopped / "run.json").read_text())
    (stopped / "run.json").write_text(json.dumps({**record, "state": "running"}))
    state, _ = read_checkpoint(stopped)
    best = {name: value + 1 for name, value in state["fit"]["best_weights"].items()}
    write_checkpoint(stopped, {**state, "fit": {**state["fit"], "best_weights": best}})
    found = load_run(stopped)[0].state_dict()
    assert all(torch.equal(found[name], value) for name, value in best.items())


def test_persistent_chains_go_on_too(tmp_path):
    for name, stop in (("whole", None), ("stopped", 5)):
        begin(tmp_path, RBM, (), stop, name)
    resume_run(tmp_path / "stopped")
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")


def test_a_finished_run_is_opened_as_it_is(whole):
    before = {p.name: p.stat().st_mtime_ns for p in whole.iterdir()}
    _, run = resume_run(whole)
    assert run.record["state"] == "finished"
    assert {p.name: p.stat().st_mtime_ns for p in whole.iterdir()} == before


def test_a_finished_run_can_be_lengthened(whole, tmp_path):
    run = tmp_path / "run"
    begin(tmp_path, overrides=("train.epochs=2", "train.batch=200"))
    _, resumed = resume_run(run, overrides=["train.epochs=4"])
    assert weights(run) == weights(whole)
    assert resumed.record["settings"]["epochs"] == 4
    assert sorted(resumed.record["overrides"]) == ["train.batch=200", "train.epochs=4"]
    assert code(resume_run, run, overrides=["train.batch=100"]) == "E625"


def test_the_line_of_a_scheduler_still_holds_for_a_run_that_was_lengthened(tmp_path, capsys):
    """`train SPEC --resume RUN` begins, goes on, and leaves alone."""
    spec, run = tmp_path / "model.dgm", tmp_path / "run"
    spec.write_text(VAE)
    line = ["train", str(spec), "--device", "cpu", "--resume", str(run)]
    assert main(line) == 0
    assert main([*line, "--set", "train.epochs=4"]) == 0
    assert len(course(run)) == 4
    capsys.readouterr()
    for again in (line, [*line, "--set", "train.epochs=4"]):
        assert main(again) == 0
        assert "had ended already" in capsys.readouterr().out
    assert main([*line, "--set", "train.epochs=3"]) == 1
    assert "nothing is left to do" in capsys.readouterr().err


def test_a_lengthened_run_can_be_killed_before_its_next_checkpoint(whole, tmp_path):
    run = tmp_path / "run"
    begin(tmp_path, overrides=("train.epochs=2", "train.batch=200"))
    checkpoint = (run / CHECKPOINT).read_bytes()
    resume_run(run, callbacks=RunCallbacks(should_stop=lambda: True), overrides=["train.epochs=4"])
    (run / CHECKPOINT).write_bytes(checkpoint)
    resume_run(run)
    assert len(course(run)) == 4
    assert weights(run) == weights(whole)


def test_a_run_that_decays_cannot_be_lengthened(tmp_path):
    begin(tmp_path, overrides=(*CHANGED, "train.decay=cosine"))
    assert code(resume_run, tmp_path / "run", overrides=["train.epochs=8"]) == "E625"


def test_a_damaged_checkpoint_falls_back_to_the_one_before(whole, tmp_path):
    begin(tmp_path, stop=12, checkpoint_every=0.0)
    run = tmp_path / "run"
    assert (run / PREVIOUS).exists()
    content = (run / CHECKPOINT).read_bytes()
    for damage in (content[:-100], content[:40], b"", content[:-50] + bytes(50)):
        copy = tmp_path / "copy"
        shutil.copytree(run, copy)
        (copy / CHECKPOINT).write_bytes(damage)
        warned = []
        resume_run(copy, callbacks=RunCallbacks(on_warning=warned.append))
        assert [(w.code, w.severity) for w in warned] == [("W620", "warning")]
        assert weights(copy) == weights(whole)
        shutil.rmtree(copy)
    (run / CHECKPOINT).write_bytes(b"")
    (run / PREVIOUS).write_bytes(b"")
    assert code(resume_run, run) == "E621"


def test_a_run_without_a_checkpoint_begins_again(whole, stopped):
    for name in (CHECKPOINT, PREVIOUS):
        (stopped / name).unlink(missing_ok=True)
    resume_run(stopped)
    assert weights(stopped) == weights(whole)
    assert course(stopped) == course(whole)


def test_a_changed_spec_is_noticed(stopped):
    spec = stopped / "spec.dgm"
    text = spec.read_text()
    spec.write_text(text + "\n# a remark\n")
    assert code(resume_run, stopped) == "E624"
    spec.write_text(text)
    record = json.loads((stopped / "run.json").read_text())
    (stopped / "run.json").write_text(json.dumps({**record, "overrides": ["train.epochs=4", "train.batch=100"]}))
    assert code(resume_run, stopped) == "E624"
    (stopped / "run.json").write_text(json.dumps(record))
    resume_run(stopped)


def test_the_spec_that_is_expected(stopped, tmp_path):
    spec = tmp_path / "model.dgm"
    other = tmp_path / "other.dgm"
    other.write_text(VAE.replace("mlp[8](z)", "mlp[9](z)"))
    assert code(resume_run, stopped, expected=pipeline.read(other, tuple(CHANGED))) == "E624"
    assert code(resume_run, stopped, expected=pipeline.read(spec)) == "E624"
    resume_run(stopped, expected=pipeline.read(spec, ("train.batch=200",)))


def test_changed_or_missing_data_is_noticed(tmp_path):
    (tmp_path / "data").mkdir()
    mine = tmp_path / "data" / "mine.npz"
    rows = np.random.default_rng(0).integers(0, 2, (100, 3))
    np.savez(mine, rows=rows)
    begin(tmp_path, FROM_FILE, ("train.epochs=4", "train.batch=20"), stop=2)
    run = tmp_path / "run"
    checkpoint = (run / CHECKPOINT).read_bytes()
    changed = rows.copy()
    changed[99, 2] = 1 - changed[99, 2]
    np.savez(mine, rows=changed)
    assert code(resume_run, run) == "E626"
    warned = []
    evaluate(run, warn=warned.append)
    assert [(w.code, w.severity) for w in warned] == [("W622", "warning"), ("W621", "warning")]
    page, _ = report_run(run)
    assert "no longer what the run was fitted to" in page.read_text()
    mine.unlink()
    assert code(resume_run, run) == "E503"
    assert (run / CHECKPOINT).read_bytes() == checkpoint
    np.savez(mine, rows=rows)
    resume_run(run)


def test_two_processes_cannot_work_on_a_run(stopped, tmp_path):
    with hold(stopped):
        assert code(resume_run, stopped) == "E623"
        spec = pipeline.read(tmp_path / "model.dgm")
        assert code(train_spec, spec, stopped, ComputeOptions("cpu"), overwrite=True) == "E623"
    resume_run(stopped)


def test_a_full_disk_is_said_and_the_last_checkpoint_stays(whole, tmp_path, monkeypatch):
    begin(tmp_path, stop=12, checkpoint_every=0.0)
    run = tmp_path / "run"
    before = (run / CHECKPOINT).read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        assert code(resume_run, run, callbacks=RunCallbacks(checkpoint_every=0.0)) == "E607"
    assert (run / CHECKPOINT).read_bytes() == before
    assert not [p for p in run.iterdir() if p.name.endswith(".new")]
    resume_run(run)
    assert weights(run) == weights(whole)


def test_a_loss_that_is_not_finite_leaves_what_is_needed_to_look_into_it(tmp_path):
    spec = VAE.replace("p(x | z) = Normal(mlp[8](z))", "p(x | z) = Normal(mlp[8](z), exp(param))")
    assert spec != VAE
    with pytest.raises(SpecError) as caught:
        begin(tmp_path, spec, ("train.optimizer=sgd(1e6)",))
    run = tmp_path / "run"
    (found,) = caught.value.diagnostics
    assert found.code in ("E610", "E611")
    assert str(run / "not_finite.npz") in found.help
    assert json.loads((run / "run.json").read_text())["state"] == "failed"
    with np.load(run / "not_finite.npz", allow_pickle=False) as batch:
        assert batch["x"].shape == (200, 2)
    from safetensors.torch import load_file

    assert all(value.isfinite().all() for value in load_file(run / "weights.safetensors").values())


def test_a_fit_that_crashes_in_its_first_step_leaves_nothing(tmp_path, monkeypatch):
    def crash(*_):
        raise RuntimeError("of dgmppl, not of the spec")

    monkeypatch.setattr("dgmppl.train.trainer.Trainer._step_player", crash)
    with pytest.raises(RuntimeError):
        begin(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.dgm"]


def test_a_fit_that_cannot_begin_leaves_nothing(tmp_path):
    text = "model fixed\nobserved x : real[2] from moons.point\np(x) = Normal(0, 1)\n"
    assert code(begin, tmp_path, text, ()) == "E614"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.dgm"]
