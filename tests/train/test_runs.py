"""From a spec to a run folder and back: what is in it, that it repeats, and that opening one runs nothing."""

import json
import shutil

import numpy as np
import pytest
import torch

from dgmppl import pipeline
from dgmppl.apply.sample import sample_run
from dgmppl.diagnostics import SpecError
from dgmppl.lifecycle import ComputeOptions, RunCallbacks, train_spec
from dgmppl.report.evaluate import evaluate
from dgmppl.train.runs import load_run

from .specs import CONDITIONAL_GAN, FROM_FILE, VAE

pytestmark = pytest.mark.painted


def train(folder, text, name="run", overrides=(), report=lambda epoch: None, **options):
    spec = folder / "model.dgm"
    spec.write_text(text)
    checked = pipeline.read(spec, tuple(overrides))
    return train_spec(checked, folder / name, ComputeOptions("cpu"), RunCallbacks(report), **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vae")
    train(folder, VAE)
    return folder / "run"


@pytest.fixture
def copy(run, tmp_path):
    """A copy of the run, to be tampered with."""
    target = tmp_path / "copy"
    target.mkdir()
    shutil.copytree(run, target, dirs_exist_ok=True)
    return target


def edit_record(path, **entries):
    record = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**record, **entries}))


def codes(function, *arguments, **options):
    with pytest.raises(SpecError) as caught:
        function(*arguments, **options)
    return [d.code for d in caught.value.diagnostics]


def test_what_a_run_holds(run):
    names = {"spec.dgm", "model.py", "plan.json", "weights.safetensors", "metrics.jsonl", "samples.png"}
    names |= {"graph.svg", "run.json", "checkpoint.safetensors", "tensorboard", "lock", "report.html"}
    assert {p.name for p in run.iterdir()} == names
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["number"] for line in lines] == [1, 2]
    assert set(lines[0]["validation"]) == {"elbo"}
    assert set(lines[0]["terms"]) == {"log p(x | z)", "-KL(q(z | x) || p(z))"}
    assert sum(lines[0]["terms"].values()) == pytest.approx(-lines[0]["losses"]["model"], rel=1e-5)
    record = json.loads((run / "run.json").read_text())
    assert record["settings"]["epochs"] == 2
    assert set(record["figures"]) == {"train", "validation", "test"}
    assert json.loads((run / "plan.json").read_text())
    checked = pipeline.read(run / "spec.dgm")
    assert (run / "model.py").read_text() == pipeline.emit(checked, "torch").text


def test_a_run_opens_with_the_weights_it_was_left_with(run):
    model, opened = load_run(run)
    figures = evaluate(run)
    for split, found in opened.record["figures"].items():
        assert figures[split]["elbo"].estimate.mean == pytest.approx(found["elbo"]["mean"], rel=1e-6)
    assert figures["test"]["elbo"].estimate.rows == 450
    assert not model.training


def test_the_same_spec_and_seed_give_the_same_bytes(tmp_path):
    for name in "ab":
        train(tmp_path, VAE, name)
        torch.rand(3)
    a, b = ((tmp_path / name / "weights.safetensors").read_bytes() for name in "ab")
    assert a == b
    train(tmp_path, VAE, "c", ["train.seed=1"])
    assert (tmp_path / "c" / "weights.safetensors").read_bytes() != a


def test_samples_repeat_and_follow_the_seed(run, tmp_path):
    sample_run(run, 7, tmp_path / "a.npz")
    sample_run(run, 7, tmp_path / "b.npz")
    sample_run(run, 7, tmp_path / "c.npz", seed=1)
    a, b, c = (np.load(tmp_path / f"{name}.npz", allow_pickle=False)["x"] for name in "abc")
    assert a.shape == (7, 2)
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    sample_run(run, 7, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert codes(sample_run, run, 7, tmp_path / "a.gif") == ["E703"]
    assert codes(sample_run, run, 7, tmp_path / "none" / "a.npz") == ["E607"]
    assert codes(sample_run, run, 7, tmp_path / "d.npz", ways={"steps": 5}) == ["E707"]
    assert codes(sample_run, run, 7, tmp_path / "d.npz", ways={"guidance": 2.0}) == ["E707"]


def test_a_condition_is_needed_and_checked(tmp_path):
    train(tmp_path, CONDITIONAL_GAN)
    run = tmp_path / "run"
    sample_run(run, 5, tmp_path / "a.npz", conditions=["y=1"])
    assert np.load(tmp_path / "a.npz")["x"].shape == (5, 2)
    for conditions in ([], ["y=2"], ["y=one"], ["y=0,1"], ["z=1"], ["x=1,2"]):
        assert codes(sample_run, run, 5, tmp_path / "b.npz", conditions=conditions) == ["E706"]
    assert not (tmp_path / "b.npz").exists()
    assert evaluate(run, measures=False)["test"] == {}


def test_a_condition_may_be_given_as_the_text_of_its_class(tmp_path):
    rows = "".join(f"{k % 3 - 1},{('cat', 'ant', 'dog')[k % 3]}\n" for k in range(60))
    (tmp_path / "t.csv").write_text("x,s\n" + rows)
    text = """\
model by_class
observed x : real from "t.csv".x
observed s : categorical(3) from "t.csv".s
p(x | s) = Normal(mlp[8](s), 0.1)
train { epochs = 60, batch = 12, lr = 0.03 }
"""
    _, written = train(tmp_path, text)
    assert written.record["data"]["fields"]["s"]["classes"] == ["ant", "cat", "dog"]
    for name, expected in (("cat", -1.0), ("ant", 0.0), ("dog", 1.0)):
        sample_run(tmp_path / "run", 50, tmp_path / "s.npz", conditions=[f"s={name}"])
        assert np.load(tmp_path / "s.npz")["x"].mean() == pytest.approx(expected, abs=0.2)
    with pytest.raises(SpecError) as caught:
        sample_run(tmp_path / "run", 5, tmp_path / "s.npz", conditions=["s=cow"])
    assert caught.value.diagnostics[0].code == "E706"
    edit_record(tmp_path / "run", data={"classes": {"s": [1, 2]}})
    assert codes(sample_run, tmp_path / "run", 5, tmp_path / "s.npz", conditions=["s=cat"]) == ["E603"]


def test_overrides_are_kept_with_the_run(tmp_path):
    _, written = train(tmp_path, VAE, overrides=["train.epochs=1", "train.batch=500"])
    assert written.record["overrides"] == ["train.epochs=1", "train.batch=500"]
    _, opened = load_run(tmp_path / "run")
    assert opened.checked.plan.settings.epochs == 1
    assert opened.checked.plan.settings.batch == 500


def test_a_taken_folder_is_noticed_before_the_fit(run, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").write_text("")

    def never(epoch):
        pytest.fail("the fit was started")

    with pytest.raises(SpecError) as caught:
        train(tmp_path, VAE, report=never)
    assert caught.value.diagnostics[0].code == "E606"


def test_a_place_that_cannot_be_written_is_noticed_before_the_fit(tmp_path):
    (tmp_path / "file").write_text("")

    def never(epoch):
        pytest.fail("the fit was started")

    assert codes(train, tmp_path, VAE, name="file/run", report=never) == ["E607"]


def test_data_of_ones_own(tmp_path):
    (tmp_path / "data").mkdir()
    rows = np.random.default_rng(0).integers(0, 2, (100, 3))
    np.savez(tmp_path / "data" / "mine.npz", rows=rows)
    train(tmp_path, FROM_FILE)
    assert evaluate(tmp_path / "run")["test"]["elbo"].estimate.rows == 20
    rows[61, 2] = 5
    np.savez(tmp_path / "data" / "mine.npz", rows=rows)
    with pytest.raises(SpecError) as caught:
        train(tmp_path, FROM_FILE, "again")
    (found,) = caught.value.diagnostics
    assert found.code == "E506"
    assert "row 61, column 2" in found.headline
    source = caught.value.source
    assert source.position(found.span.start)[0] == 2
    assert not (tmp_path / "again").exists()


# --- a run folder from a stranger ----------------------------------------------------------------


def test_emitted_source_in_a_run_is_never_run(copy):
    (copy / "model.py").write_text("raise SystemExit('model.py was run')")
    load_run(copy)
    sample_run(copy, 3, copy / "s.npz")


@pytest.mark.parametrize(
    "override",
    [
        "train.epochs=__import__('os').system('touch OWNED')",
        "__import__('os').system('touch OWNED')=1",
        "train.seed=1); import os; os.system('touch OWNED') #",
        'train.optimizer="adam(1e-3)"\nimport os',
        "=",
        "",
        "train",
    ],
)
def test_a_record_made_to_inject_code_runs_nothing(copy, override, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    edit_record(copy, overrides=[override], model="$(touch OWNED)", spec="`touch OWNED`")
    assert codes(load_run, copy)
    assert not (tmp_path / "OWNED").exists()


@pytest.mark.parametrize(
    "line",
    [
        "latent z : real[2] = __import__('os').system('touch OWNED')",
        "net self = mlp[__import__('os')]",
        "observed w : real from \"'; import os; os.system('touch OWNED') #.npz\".x",
        'observed w : real from "{__import__(chr(111)+chr(115))}.npz".__class__',
    ],
)
def test_a_spec_made_to_inject_code_runs_nothing(copy, line, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with (copy / "spec.dgm").open("a") as file:
        file.write(line + "\n")
    assert codes(evaluate, copy)
    assert not (tmp_path / "OWNED").exists()


def test_weights_that_no_longer_fit(copy):
    text = (copy / "spec.dgm").read_text()
    assert "mlp[8](z)" in text
    (copy / "spec.dgm").write_text(text.replace("mlp[8](z)", "mlp[9](z)"))
    assert codes(load_run, copy) == ["E624"]
    edit_record(copy, spec_digest=None)
    assert codes(load_run, copy) == ["E605"]


def test_a_flipped_bit_in_the_weights_is_noticed(copy):
    content = bytearray((copy / "weights.safetensors").read_bytes())
    content[-1] ^= 64
    (copy / "weights.safetensors").write_bytes(bytes(content))
    assert codes(load_run, copy) == ["E604"]


def test_an_override_of_the_record_is_no_advice_for_the_command_line(copy):
    edit_record(copy, overrides=["train.epochs"])
    with pytest.raises(SpecError) as caught:
        load_run(copy)
    assert [(d.code, "edited" in d.help) for d in caught.value.diagnostics] == [("E603", True)]


def test_a_run_without_its_parts(copy):
    whole = load_run(copy)[0].state_dict()
    (copy / "weights.safetensors").unlink()
    from_checkpoint = load_run(copy)[0].state_dict()
    assert all(torch.equal(whole[name], value) for name, value in from_checkpoint.items())
    (copy / "checkpoint.safetensors").unlink()
    with pytest.raises(SpecError, match=r"E604: .* is finished, and its weights are gone"):
        load_run(copy)
    (copy / "spec.dgm").unlink()
    assert codes(load_run, copy) == ["E602"]
