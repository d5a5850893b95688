"""A run folder from a stranger is data: opening it runs nothing, and what does not fit is refused with a code."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

import dgmppl
from dgmppl import pipeline
from dgmppl.apply.sample import sample_run
from dgmppl.cli import main
from dgmppl.diagnostics import SpecError
from dgmppl.lifecycle import ComputeOptions, train_spec
from dgmppl.report.compare import compare
from dgmppl.report.evaluate import evaluate
from dgmppl.report.page import report_run
from dgmppl.train.runs import load_run

SPEC = """\
model vae
observed x : real[2] from "mine.npz".x
latent z : real[2]
p(z) = Normal(0, 1)
p(x | z) = Normal(mlp[4](z))
q(z | x) = Normal(mlp[4](x))
train { epochs = 1 }
"""


class Payload:
    """Pickled, it makes a file when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.marker,)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    np.savez(folder / "mine.npz", x=np.random.default_rng(0).normal(size=(40, 2)).astype("float32"))
    (folder / "vae.dgm").write_text(SPEC)
    train_spec(pipeline.read(folder / "vae.dgm"), folder / "run", ComputeOptions("cpu"))
    return folder


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original / "run", tmp_path / "run"))


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "OWNED"


def use(run: Path) -> set[str]:
    """Does everything that is done with a run; the codes of what is refused."""
    codes: set[str] = set()
    for action in (
        lambda: load_run(run),
        lambda: sample_run(run, 2, run / "samples.npz"),
        lambda: sample_run(run, 2, run / "samples.png"),
        lambda: evaluate(run),
        lambda: dgmppl.load(run),
        lambda: report_run(run),
        lambda: compare([run]).as_data(),
    ):
        try:
            action()
        except SpecError as error:
            codes |= {d.code for d in error.diagnostics}
    return codes


def edit(run: Path, **entries: object) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, **entries}))


def test_an_untouched_run_is_fine(run: Path) -> None:
    assert use(run) == set()


def test_the_source_in_a_run_is_never_run(run: Path, marker: Path) -> None:
    payload = f"from pathlib import Path\nPath({str(marker)!r}).touch()\n"
    for name in ("model.py", "__init__.py", "torch.py", "conftest.py", "dgmppl.py"):
        (run / name).write_text(payload)
    assert use(run) == set()
    assert not marker.exists()


@pytest.mark.parametrize("name", ["weights.safetensors", "run.json", "plan.json", "metrics.jsonl", "spec.dgm"])
def test_a_pickle_under_any_name_is_not_unpickled(run: Path, marker: Path, name: str) -> None:
    (run / name).write_bytes(pickle.dumps(Payload(marker)))
    refused = use(run)
    assert not marker.exists()
    assert bool(refused) == (name != "plan.json")


def test_torch_files_are_not_weights(run: Path, marker: Path) -> None:
    torch.save(Payload(marker), run / "weights.safetensors")
    assert use(run) == {"E604"}
    assert not marker.exists()


def test_pickled_arrays_are_not_data(run: Path, marker: Path) -> None:
    np.savez(run / "hostile.npz", x=np.array([Payload(marker)], dtype=object))
    edit(run, data_folder=str(run))
    (run / "spec.dgm").write_text((run / "spec.dgm").read_text().replace("mine.npz", "hostile.npz"))
    assert use(run)
    assert not marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 8,
        struct.pack("<Q", 2**63 - 1) + b"{}",
        struct.pack("<Q", 10**12) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 5000) + b"[" * 5000,
        struct.pack("<Q", 71) + b'{"p_x_net":{"dtype":"F32","shape":[999999999999],"data_offsets":[0,4]}}',
    ],
)
def test_weights_of_any_bytes_are_refused(run: Path, content: bytes) -> None:
    (run / "weights.safetensors").write_bytes(content)
    assert use(run) in ({"E604"}, {"E605"})


@pytest.mark.parametrize(
    "value", [None, 1, "x", [1], {"a": 1}, ["train.epochs"], ["=1"], ["train.seed=1); import os #"]]
)
@pytest.mark.parametrize(
    "entry", ["overrides", "format", "kind", "model", "spec", "data_folder", "criterion", "settings"]
)
def test_a_record_of_any_content_is_data(run: Path, entry: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent)
    edit(run, **{entry: value})
    use(run)  # refused or not, there is no other exception
    assert [p.name for p in run.parent.iterdir()] == ["run"]


@pytest.mark.parametrize("name", ["plan.json", "metrics.jsonl"])
def test_plan_and_metrics_are_only_data(run: Path, name: str) -> None:
    (run / name).write_text("__import__('os').system('touch OWNED')")
    assert use(run) == set()


CONDITIONAL = """\
model labelled
observed n : categorical(2) from moons.label
observed self : real[2] from moons.point
p(self | n) = Normal(mlp[4](n))
train { epochs = 1 }
"""


def test_variables_may_be_called_like_arguments(tmp_path: Path) -> None:
    train_spec(pipeline.read(CONDITIONAL), tmp_path / "run", ComputeOptions("cpu"))
    sample_run(tmp_path / "run", 3, tmp_path / "s.npz", conditions=["n=1"])
    assert np.load(tmp_path / "s.npz")["self"].shape == (3, 2)


# --- data that breaks its declared type ----------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "value", "said"),
    [("binary[2]", 0.5, "column 1"), ("interval(-1, 1)[2]", 7.0, "7"), ("integer(0..3)[2]", 4.0, "4")],
)
def test_training_on_data_that_breaks_its_type_says_where(
    declared: str, value: float, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.ones((40, 2), dtype="float32")
    rows[17, 1] = value
    np.savez(tmp_path / "mine.npz", x=rows)
    spec = tmp_path / "broken.dgm"
    family = "Normal" if "interval" in declared else "Categorical"
    text = SPEC.replace("real[2] from", f"{declared} from").replace("p(x | z) = Normal", f"p(x | z) = {family}")
    spec.write_text(text)
    assert main(["train", str(spec), "--out", str(tmp_path / "run")]) == 1
    printed = capsys.readouterr().err
    assert "error[E506]" in printed
    assert "row 17" in printed
    assert said in printed
    assert "broken.dgm:2:" in printed
    assert not (tmp_path / "run").exists()
