"""Fixed tensors, `const A : real[2, 2] from "a.npy"`: read as numbers, checked, kept with the weights."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal

import dgmppl
from dgmppl import pipeline
from dgmppl.cli import main
from dgmppl.diagnostics import SpecError
from dgmppl.lifecycle import RunCallbacks, resume_run, train_spec
from dgmppl.train.runs import load_run
from tests.contracts.laws import unreached
from tests.contracts.support import checked

SPEC = """model mixing
observed x : real[2] from moons.point
observed y : categorical(2) from moons.label
const A : real[2, 2] from "a.npy"
const s : positive[2, 2] from "tables/s.npy"
latent z : real[2]
p(z) = Normal(0, 1)
p(x | z, y) = Normal(A @ z + param, s[y])
q(z | x, y) = Normal(mlp[4](x, y))
train { epochs = 2, batch = 100 }
"""
MATRIX = np.array([[1.0, 2.0], [-0.5, 3.0]])
SCALES = np.array([[1, 2], [3, 4]])


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "tables").mkdir()
    np.save(tmp_path / "a.npy", np.asfortranarray(MATRIX))
    np.save(tmp_path / "tables" / "s.npy", SCALES)
    (tmp_path / "mixing.dgm").write_text(SPEC)
    return tmp_path / "mixing.dgm"


@pytest.mark.parametrize("target", ["torch", "pyro"])
def test_values_are_those_of_the_file_as_buffers(spec: Path, target: str) -> None:
    model = dgmppl.compile(spec, target)
    assert {name for name, _ in model.named_buffers() if "_units" not in name} == {"A", "s"}
    assert torch.equal(model.A, torch.tensor(MATRIX, dtype=torch.float32))
    assert torch.equal(model.s, torch.tensor(SCALES, dtype=torch.float32))
    assert not {"A", "s"} & dict(model.named_parameters()).keys()


def test_densities_are_computed_with_them(spec: Path) -> None:
    model = dgmppl.compile(spec)
    z, y, x = torch.randn(5, 2), torch.tensor([0.0, 1, 1, 0, 1]), torch.randn(5, 2)
    matrix, scales = torch.tensor(MATRIX).float(), torch.tensor(SCALES).float()
    oracle = Independent(Normal(z @ matrix.T + model.p_x_loc, scales[y.long()]), 1)
    assert torch.allclose(model.p_x(z, y).log_prob(x), oracle.log_prob(x))
    found = pipeline.read(spec)
    assert unreached(found) == []
    assert found.plan is not None
    assert found.plan.structure.weights == sum(p.numel() for p in model.parameters())


def test_a_square_matrix_is_a_bijection(spec: Path) -> None:
    text = 'model ica\nobserved x : real[2] from moons.point\nlatent z : real[2]\nconst A : real[2, 2] from "a.npy"\n'
    spec.write_text(text + "p(z) = Laplace(param, 1)\nx = A @ z\n")
    model, x = dgmppl.compile(spec).double(), torch.randn(4, 2, dtype=torch.float64)
    model.A.copy_(torch.tensor(MATRIX))
    z = torch.tensor(np.linalg.solve(MATRIX, x.numpy().T).T)
    prior = Independent(torch.distributions.Laplace(model.p_z_loc, torch.ones(2).double()), 1)
    assert torch.allclose(model.log_prob(x), prior.log_prob(z) - np.log(np.abs(np.linalg.det(MATRIX))))


def test_they_stand_in_energies() -> None:
    text = 'model e\nobserved x : binary[3] from "r.npz".x\nlatent h : binary[2]\nconst W : real[3, 2] from "w.npy"\n'
    energy = "E(x, h) = -sum(i, j: W[i, j] * x[i] * h[j]) - sum(b * h)\nparam b : real[2]\n"
    assert unreached(checked(text + energy)) == []


def test_a_run_opens_anywhere_without_the_files(spec: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    model, _ = train_spec(pipeline.read(spec), spec.parent / "run")
    away = tmp_path_factory.mktemp("away") / "run"
    (spec.parent / "run").rename(away)
    for file in spec.parent.rglob("*.npy"):
        file.unlink()
    opened, run = load_run(away)
    assert torch.equal(opened.A, torch.tensor(MATRIX).float())
    assert run.record["tensors"].keys() == {"A", "s"}
    assert all(torch.equal(opened.state_dict()[name], value) for name, value in model.state_dict().items())
    # The copy of its spec there says what it is of, whatever lies beside it.
    np.save(away / "a.npy", np.zeros(3))
    assert torch.equal(load_run(away)[0].A, opened.A)
    copied = pickle.loads(pickle.dumps(opened))
    assert torch.equal(copied.A, opened.A)


def test_a_run_is_resumed_with_the_values_it_was_begun_with(spec: Path) -> None:
    steps: list[int] = []
    stop = RunCallbacks(on_step=lambda step, *_: steps.append(step), should_stop=lambda: len(steps) > 12)
    whole, _ = train_spec(pipeline.read(spec), spec.parent / "whole")
    train_spec(pipeline.read(spec), spec.parent / "run", callbacks=stop)
    np.save(spec.parent / "a.npy", MATRIX + 1)
    resumed, run = resume_run(spec.parent / "run")
    assert run.record["state"] == "finished"
    assert all(torch.equal(resumed.state_dict()[name], value) for name, value in whole.state_dict().items())


def test_a_run_that_begins_again_has_the_same_values(spec: Path) -> None:
    steps: list[int] = []
    stop = RunCallbacks(on_step=lambda step, *_: steps.append(step), should_stop=lambda: len(steps) > 3)
    train_spec(pipeline.read(spec), spec.parent / "run", callbacks=stop)
    for file in (spec.parent / "run").glob("checkpoint*"):
        file.unlink()
    np.save(spec.parent / "a.npy", MATRIX + 1)
    with pytest.raises(SpecError) as caught:
        resume_run(spec.parent / "run")
    assert caught.value.diagnostics[0].code == "E626"
    np.save(spec.parent / "a.npy", MATRIX)
    assert resume_run(spec.parent / "run")[1].record["state"] == "finished"


# --- files that are not what a spec declares -----------------------------------------------------

WRONG = {
    "missing": (None, "E503", "there is no file a.npy"),
    "pickled": (np.array([[1, None], [2, 3]]), "E503", "cannot read a.npy: it holds Python objects, not numbers"),
    "text": (np.array([["a", "b"], ["c", "d"]]), "E503", "a.npy: it holds values of type <U1, not real numbers"),
    "complex": (MATRIX + 1j, "E503", "a.npy: it holds values of type complex128, not real numbers"),
    "axis": (np.zeros((2, 3)), "E505", "axis 1 of a.npy has 3 elements, `A` is declared as real[2, 2]"),
    "rank": (np.zeros(4), "E505", "a.npy has shape [4], `A` is declared as real[2, 2]"),
    "nan": (np.array([[1.0, np.nan], [0, 1]]), "E506", "`A` is declared real[2, 2], but a.npy at [0, 1] is nan"),
    "large": (np.array([[1.0, 2], [1e60, 1]]), "E506", "`A` is declared real[2, 2], but a.npy at [1, 0] is 1e+60"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_has_one_message(spec: Path, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    values, code, headline = WRONG[case]
    (spec.parent / "a.npy").unlink()
    if values is not None:
        np.save(spec.parent / "a.npy", values)
    with pytest.raises(SpecError) as caught:
        dgmppl.compile(spec)
    (found,) = caught.value.diagnostics
    assert found.code == code
    assert headline in found.headline
    assert main(["train", str(spec), "--out", str(spec.parent / "run")]) == 1
    assert capsys.readouterr().err.count("error[") == 1
    assert not (spec.parent / "run").exists()
    # What the header says, `check` says; the values it does not read, and a run has them without the file.
    assert main(["check", str(spec)]) == (0 if case in ("missing", "nan", "large") else 1)


def test_values_are_of_the_declared_support(spec: Path) -> None:
    np.save(spec.parent / "tables" / "s.npy", np.array([[1, 2], [0, 3]]))
    with pytest.raises(SpecError, match=r"`s` is declared positive\[2, 2\], but tables/s.npy at \[1, 0\] is 0"):
        dgmppl.compile(spec)
    np.save(spec.parent / "tables" / "s.npy", np.array([[1, 2], [1e-60, 3]]))
    with pytest.raises(SpecError, match=r"at \[1, 0\] is 1e-60"):
        dgmppl.compile(spec)


@pytest.mark.parametrize(
    "file", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x80\x04K\x01.", b"\x93NUMPY\x01\x00\x05\x00{[}(\n"]
)
def test_a_damaged_file_is_no_traceback(spec: Path, file: bytes) -> None:
    (spec.parent / "a.npy").write_bytes(file)
    (found,) = dgmppl.check(spec)
    assert (found.code, found.span is not None) == ("E503", True)


def test_a_file_that_is_cut_off(spec: Path) -> None:
    whole = (spec.parent / "a.npy").read_bytes()
    (spec.parent / "a.npy").write_bytes(whole[:-8])
    (found,) = dgmppl.check(spec)
    assert "fewer values than its header" in found.headline
