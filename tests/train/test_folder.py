"""Run folders as files: whole or not at all, never over something else, and read as nothing but data."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dgmppl.diagnostics import SpecError
from dgmppl.train.folder import (
    FORMAT,
    KIND,
    finite_only,
    foreign_files,
    new_folder,
    read_record,
    read_weights,
    remove_run,
    verify_free,
    verify_writable,
    write_json,
    write_weights,
)

from .models import TinyVae


def write_run(path, overwrite=False, **extra):
    with new_folder(path, overwrite) as folder:
        write_json(folder / "run.json", {"kind": KIND, "format": FORMAT, "state": "finished", "overrides": [], **extra})


def code_of(function, *arguments):
    with pytest.raises(SpecError) as caught:
        function(*arguments)
    return caught.value.diagnostics[0].code


def test_a_failure_leaves_nothing_behind(tmp_path):
    def fail():
        with new_folder(tmp_path / "run") as folder:
            (folder / "half").write_text("written")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_old_run_alone(tmp_path):
    write_run(tmp_path / "run", note="old")
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "run", True):
        raise ZeroDivisionError
    assert read_record(tmp_path / "run")["note"] == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_nothing_shows_before_the_end(tmp_path):
    with new_folder(tmp_path / "a" / "run") as folder:
        (folder / "file").write_text("x")
        assert not (tmp_path / "a" / "run").exists()
    assert (tmp_path / "a" / "run" / "file").read_text() == "x"


def test_only_runs_are_overwritten_and_only_when_asked(tmp_path):
    run = tmp_path / "run"
    write_run(run, note="first")
    assert code_of(write_run, run) == "E606"
    write_run(run, True, note="second")
    assert read_record(run)["note"] == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]

    other = tmp_path / "thesis"
    other.mkdir()
    verify_free(other, False)
    (other / "chapter.txt").write_text("years of work")
    assert code_of(write_run, other, True) == "E606"
    assert code_of(verify_free, other / "chapter.txt", True) == "E606"
    assert (other / "chapter.txt").read_text() == "years of work"


@pytest.mark.parametrize("name", ["notes.md", "weights.txt", "sub/notes.md", "tensorboard/notes.md", "run.json.bak"])
def test_what_is_not_of_the_run_is_never_replaced(name, tmp_path):
    run = tmp_path / "run"
    write_run(run, note="first")
    own = ("lock", ".report.html.new", "weights.safetensors.new", "tensorboard/events.out.tfevents.1.host.0.ab")
    for other in (*own, name):
        (run / other).parent.mkdir(exist_ok=True)
        (run / other).write_text("three weeks of work")
    assert foreign_files(run) == [name.partition("/")[0] if name.startswith("sub") else name]
    assert code_of(write_run, run, True) == "E606"
    remove_run(run)
    assert [p.relative_to(run) for p in run.rglob("*") if p.is_file()] == [Path(name)]
    (run / name).unlink()


def test_a_link_out_of_a_run_is_not_followed(tmp_path):
    write_run(tmp_path / "run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "events.out.tfevents.1").write_text("mine")
    (tmp_path / "run" / "tensorboard").symlink_to(tmp_path / "mine")
    assert foreign_files(tmp_path / "run") == ["tensorboard"]
    remove_run(tmp_path / "run")
    assert (tmp_path / "mine" / "events.out.tfevents.1").exists()


def test_a_place_is_probed_and_left_as_it_was(tmp_path):
    (tmp_path / "file").write_text("mine")
    verify_writable(tmp_path / "a" / "b" / "run")
    assert code_of(verify_writable, tmp_path / "file" / "run") == "E607"
    assert code_of(verify_writable, tmp_path / "file" / "a" / "run") == "E607"
    assert code_of(verify_free, tmp_path / ("n" * 300), False) == "E607"
    assert code_of(verify_writable, tmp_path / ("n" * 250)) == "E607"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_no_mistake_of_ours(tmp_path):
    def fill():
        with new_folder(tmp_path / "run"):
            raise OSError(28, "No space left on device")

    assert code_of(fill) == "E607"
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_a_run_is_followed_not_replaced(tmp_path):
    write_run(tmp_path / "real", note="old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_run(tmp_path / "link", True, note="new")
    assert (tmp_path / "link").is_symlink()
    assert read_record(tmp_path / "real")["note"] == "new"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "E602"),
        ("{", "E603"),
        ("", "E603"),
        ("[" * 100_000, "E603"),
        ("[]", "E602"),
        ('{"kind": "another tool"}', "E602"),
        (json.dumps({"kind": KIND, "format": 99}), "E603"),
        (json.dumps({"kind": KIND, "format": FORMAT}), "E603"),
        (json.dumps({"kind": KIND, "format": FORMAT, "overrides": [1]}), "E603"),
        (json.dumps({"kind": KIND, "format": FORMAT, "overrides": [], "state": "done"}), "E603"),
        (json.dumps({"kind": KIND, "format": FORMAT, "overrides": [], "state": "finished", "data_folder": 1}), "E603"),
    ],
)
def test_records_that_are_none(tmp_path, text, code):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    assert code_of(read_record, tmp_path) == code


def test_json_has_no_nan(tmp_path):
    write_json(tmp_path / "a.json", {"x": [float("nan"), (1.0, float("-inf"))]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [None, [1.0, None]]}
    assert finite_only({"a": 1, "b": "NaN"}) == {"a": 1, "b": "NaN"}


def test_weights_come_back_bit_for_bit(tmp_path):
    saved, opened = TinyVae(), TinyVae()
    saved.decoder.bias = saved.encoder.bias = torch.nn.Parameter(torch.arange(4.0))  # one weight, two names
    write_weights(saved.state_dict(), tmp_path / "w")
    read_weights(opened, tmp_path / "w")
    for name, value in saved.state_dict().items():
        assert torch.equal(value, opened.state_dict()[name])


class Explosive:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


def test_pickled_weights_are_refused(tmp_path):
    (tmp_path / "a").write_bytes(pickle.dumps(Explosive()))
    torch.save({"decoder.weight": Explosive()}, tmp_path / "b")
    (tmp_path / "c").write_bytes(b"\xff" * 64)
    (tmp_path / "d").write_bytes(b"")
    for name in "abcde":
        assert code_of(read_weights, TinyVae(), tmp_path / name) == "E604"


def test_weights_of_another_model_are_refused(tmp_path):
    state = TinyVae().state_dict()
    before = {name: value.clone() for name, value in state.items()}
    wrong = {
        "missing": {n: v for n, v in state.items() if n != "decoder.bias"},
        "extra": {**state, "more": torch.zeros(1)},
        "shape": {**state, "decoder.bias": torch.zeros(5)},
        "type": {**state, "decoder.bias": torch.zeros(4, dtype=torch.int64)},
    }
    for name, tensors in wrong.items():
        save_file(tensors, tmp_path / name)
        model = TinyVae()
        model.load_state_dict(before)
        with pytest.raises(SpecError) as caught:
            read_weights(model, tmp_path / name)
        assert caught.value.diagnostics[0].code == "E605"
        assert ("more" if name == "extra" else "decoder.bias") in caught.value.diagnostics[0].headline
        assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
