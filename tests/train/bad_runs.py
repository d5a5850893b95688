"""Runs and command lines that cannot work: what is on the disk, and the command that is given there.

Every case is run in a folder with `vae.dgm`, `stopped`, an interrupted run of it, and `ended`, a finished one; `rows`
and `upward` are finished runs of sequences.
"""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest

from dgmppl import pipeline
from dgmppl.lifecycle import ComputeOptions, train_spec
from dgmppl.train.checkpoint import CHECKPOINT, PREVIOUS
from dgmppl.train.folder import hold
from tests.goldens import Cases, Prepare

from .runs import begin
from .specs import FROM_FILE, ROWS, UPWARD, VAE

CASES: Cases = {}


def make_runs(folder: Path) -> None:
    """The files that every case finds."""
    begin(folder, VAE, ("train.epochs=4",), stop=6, name="stopped")
    begin(folder, ROWS, (), name="rows")
    begin(folder, UPWARD, (), name="upward")
    begin(folder, VAE, (), name="ended")
    (folder / "model.dgm").rename(folder / "vae.dgm")


def case(command: str) -> Callable[[Prepare], Prepare]:
    """Registers a case by the name of its function: the command, after what the function does to the folder."""

    def register(prepare: Prepare) -> Prepare:
        CASES[prepare.__name__] = (command, prepare)
        return prepare

    return register


def plain(name: str, command: str) -> None:
    """A case for which nothing has to be prepared."""
    CASES[name] = (command, lambda folder, patch: nullcontext())


def edit(folder: Path, run: str = "stopped", **entries: object) -> None:
    path = folder / run / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}, indent=2) + "\n")


# --- flags ---------------------------------------------------------------------------------------

plain("nothing_to_train", "train --out run")
plain("nowhere_to_write", "train vae.dgm")
plain("out_and_resume", "train vae.dgm --out run --resume stopped")
plain("resume_and_overwrite", "train --resume stopped --overwrite")
plain("no_such_spec", "train vea.dgm --out run")
plain("no_such_device", "train vae.dgm --out run --device gpu")
plain("no_cuda", "train vae.dgm --out run --device cuda")
plain("half_precision_on_the_cpu", "train vae.dgm --out run --device cpu --precision 16")
plain("no_processes", "train vae.dgm --out run --devices 0")
plain("processes_in_words", "train vae.dgm --out run --devices two")
plain("a_negative_time", "train vae.dgm --out run --checkpoint-every -1")
plain("a_time_in_words", "train vae.dgm --out run --checkpoint-every soon")
plain("a_negative_seed", "train vae.dgm --out run --seed -1")
plain("a_setting_that_is_none", "train vae.dgm --out run --set train.epoch=3")
plain("a_constant_that_is_none", "train vae.dgm --out run --set H=3")
plain("an_override_without_a_value", "train vae.dgm --out run --set train.epochs")


@case("train vae.dgm --out run --device cpu --compile")
def no_compiler(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("PATH", str(folder))


# --- places --------------------------------------------------------------------------------------

plain("a_run_is_there", "train vae.dgm --out ended")


@case("train vae.dgm --out notes.txt")
def a_file_is_there(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "notes.txt").write_text("mine")


@case("train vae.dgm --out thesis --overwrite")
def other_files_are_there(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "thesis").mkdir()
    (folder / "thesis" / "chapter.txt").write_text("mine")


@case("train vae.dgm --out ended --overwrite")
def notes_beside_a_run(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "ended" / "notes.md").write_text("mine")


@case("sample ended -o folder.png")
def samples_over_a_folder(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "folder.png").mkdir()
    (folder / "folder.png" / "notes.md").write_text("mine")


def given(name: str, command: str, array: object, file: str = "past.npy") -> None:
    """A case with an array that is given."""

    def prepare(folder: Path, patch: pytest.MonkeyPatch) -> None:
        np.save(folder / file, np.asarray(array))

    CASES[name] = (f"sample {command} -o samples.npz", prepare)


plain("given_a_file_that_is_gone", "sample rows --given x=past.npy --set y=3 -o samples.npz")
given("given_what_is_no_variable", "rows --given z=past.npy --set y=3", np.zeros((2, 3, 8)))
given("given_a_class_alone", "rows --given y=past.npy", np.zeros(2))
given("given_without_a_class", "rows --given x=past.npy", np.zeros((2, 3, 8)))
given("given_more_than_there_is", "rows --given x=past.npy --set y=3", np.zeros((2, 9, 8)))
given("given_another_shape", "rows --given x=past.npy --set y=3", np.zeros((2, 3, 4)))
given("given_values_of_another_type", "rows --given x=past.npy --set y=3", np.full((2, 3, 8), 0.5))
GAP = np.array([[[1.0] * 8, [np.nan] * 8, [1.0] * 8]])
given("given_with_a_gap", "rows --given x=past.npy --set y=3 --until 8", GAP)
given("given_nothing_of_a_row", "rows --given x=past.npy --set y=3", np.full((2, 3, 8), np.nan))
given("given_texts", "rows --given x=past.npy --set y=3", ["a", "b"])
given("given_what_goes_backward", "upward --given x=past.npy", np.zeros((2, 3, 8)))
given("given_more_than_is_wanted", "rows --given x=past.npy --set y=3 --until 2", np.zeros((2, 3, 8)))
plain("until_without_a_past", "sample rows --until 12 --set y=3 -o samples.npz")


@case("sample rows --given x=past.npy --given y=kinds.npy -o samples.npz")
def given_other_rows(folder: Path, patch: pytest.MonkeyPatch) -> None:
    np.save(folder / "past.npy", np.zeros((2, 3, 8)))
    np.save(folder / "kinds.npy", np.zeros(3))


@case("sample rows --given x=past.npz --set y=3 -o samples.npz")
def given_arrays_of_other_names(folder: Path, patch: pytest.MonkeyPatch) -> None:
    np.savez(folder / "past.npz", a=np.zeros((2, 3, 8)), b=np.zeros(2))


@case("train vae.dgm --out notes.txt/run")
def a_place_below_a_file(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "notes.txt").write_text("mine")


@case("train vae.dgm --out stopped --overwrite")
def overwriting_a_run_at_work(folder: Path, patch: pytest.MonkeyPatch) -> AbstractContextManager[None]:
    return hold(folder / "stopped")


# --- runs that cannot be gone on with ------------------------------------------------------------

plain("no_such_run", "train --resume gone")
plain("resume_with_another_batch", "train --resume stopped --set train.batch=10")
plain("resume_with_another_seed", "train --resume stopped --seed 3")


@case("train --resume thesis")
def resume_what_is_no_run(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "thesis").mkdir()
    (folder / "thesis" / "run.json").write_text('{"distance": "10 km"}')


@case("train --resume stopped")
def resume_a_run_at_work(folder: Path, patch: pytest.MonkeyPatch) -> AbstractContextManager[None]:
    return hold(folder / "stopped")


@case("train --resume stopped")
def a_cut_record(folder: Path, patch: pytest.MonkeyPatch) -> None:
    path = folder / "stopped" / "run.json"
    path.write_text(path.read_text()[:200])


@case("train --resume stopped")
def a_record_of_a_later_version(folder: Path, patch: pytest.MonkeyPatch) -> None:
    edit(folder, format=99)


@case("train --resume stopped")
def a_record_in_no_state(folder: Path, patch: pytest.MonkeyPatch) -> None:
    edit(folder, state="done")


@case("train --resume stopped")
def other_settings_in_the_record(folder: Path, patch: pytest.MonkeyPatch) -> None:
    edit(folder, overrides=["train.epochs=4", "train.batch=100"])


@case("train --resume stopped")
def an_edited_spec(folder: Path, patch: pytest.MonkeyPatch) -> None:
    path = folder / "stopped" / "spec.dgm"
    path.write_text(path.read_text().replace("mlp[8](z)", "mlp[9](z)"))


@case("train --resume stopped")
def a_spec_that_is_gone(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "stopped" / "spec.dgm").unlink()


@case("train vae.dgm --resume stopped --set train.epochs=4")
def a_run_of_another_spec(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "vae.dgm").write_text(VAE.replace("mlp[8](z)", "mlp[9](z)"))


plain("a_run_with_other_settings", "train vae.dgm --resume stopped --set train.batch=100")
plain("a_run_that_is_not_lengthened", "train --resume ended --set train.epochs=1")


@case("train --resume stopped")
def checkpoints_that_are_cut(folder: Path, patch: pytest.MonkeyPatch) -> None:
    for name in (CHECKPOINT, PREVIOUS):
        (folder / "stopped" / name).write_bytes((folder / "ended" / CHECKPOINT).read_bytes()[:-10])


@case("train --resume stopped")
def a_checkpoint_with_other_numbers(folder: Path, patch: pytest.MonkeyPatch) -> None:
    content = bytearray((folder / "stopped" / CHECKPOINT).read_bytes())
    content[-1] ^= 1
    (folder / "stopped" / CHECKPOINT).write_bytes(bytes(content))


@case("train --resume stopped")
def a_pickled_checkpoint(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "stopped" / CHECKPOINT).write_bytes(pickle.dumps({"weights": [1.0]}))


@case("train --resume stopped")
def a_checkpoint_of_another_model(folder: Path, patch: pytest.MonkeyPatch) -> None:
    spec = folder / "other.dgm"
    spec.write_text(VAE.replace("mlp[8](z)", "mlp[9](z)"))
    train_spec(pipeline.read(spec, ("train.epochs=4",)), folder / "other", ComputeOptions("cpu"))
    shutil.copyfile(folder / "other" / CHECKPOINT, folder / "stopped" / CHECKPOINT)
    shutil.rmtree(folder / "other")


@case("train --resume ended --set train.epochs=9")
def a_decay_cannot_be_lengthened(folder: Path, patch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(folder / "ended")
    checked = pipeline.read(folder / "vae.dgm", ("train.decay=cosine",))
    train_spec(checked, folder / "ended", ComputeOptions("cpu"))


def of_a_file(folder: Path) -> None:
    (folder / "data").mkdir()
    np.savez(folder / "data" / "mine.npz", rows=np.eye(3)[np.arange(60) % 3])
    (folder / "mine.dgm").write_text(FROM_FILE)
    train_spec(pipeline.read(folder / "mine.dgm"), folder / "mine", ComputeOptions("cpu"))


@case("train --resume mine --set train.epochs=2")
def data_that_is_gone(folder: Path, patch: pytest.MonkeyPatch) -> None:
    of_a_file(folder)
    (folder / "data" / "mine.npz").unlink()


@case("train --resume mine --set train.epochs=2")
def data_that_has_changed(folder: Path, patch: pytest.MonkeyPatch) -> None:
    of_a_file(folder)
    np.savez(folder / "data" / "mine.npz", rows=np.eye(3)[np.arange(60) % 3][::-1])


# --- runs that cannot be opened ------------------------------------------------------------------


@case("evaluate stopped")
def no_weights_yet(folder: Path, patch: pytest.MonkeyPatch) -> None:
    for name in (CHECKPOINT, PREVIOUS, "weights.safetensors"):
        (folder / "stopped" / name).unlink(missing_ok=True)


@case("sample ended -o samples.png")
def pickled_weights(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "ended" / "weights.safetensors").write_bytes(pickle.dumps([1.0]))


@case("sample ended -o samples.png")
def weights_of_another_model(folder: Path, patch: pytest.MonkeyPatch) -> None:
    path = folder / "ended" / "spec.dgm"
    path.write_text(path.read_text().replace("mlp[8](z)", "mlp[9](z)"))
    edit(folder, "ended", spec_digest=None)


@case("evaluate ended")
def an_edited_spec_is_not_evaluated(folder: Path, patch: pytest.MonkeyPatch) -> None:
    path = folder / "ended" / "spec.dgm"
    path.write_text(path.read_text().replace("Normal(0, 1)", "Normal(0, 2)"))


@case("train --resume ended")
def an_edited_record_of_a_finished_run(folder: Path, patch: pytest.MonkeyPatch) -> None:
    edit(folder, "ended", figures=None)
