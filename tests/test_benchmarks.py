"""The benchmarks start: hand-written models have the weights and the loss of the compiled ones."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import pytest
import torch

from dgmppl import pipeline
from dgmppl.train.runs import load_data

HERE = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.insert(0, str(HERE))

import figures  # noqa: E402
import semi_supervised  # noqa: E402
import sequence_time  # noqa: E402
import step_time  # noqa: E402
from chosen import only  # noqa: E402


@pytest.mark.parametrize("name", sequence_time.SPECS)
def test_a_sequence_is_measured(name: str) -> None:
    torch.manual_seed(0)
    found = sequence_time.measure(name, 3, 1, time.perf_counter, ["pyro"])
    assert float(str(found["ratio_to_hand"])) > 0


@pytest.mark.parametrize("spec", step_time.CONTESTS)
def test_a_hand_written_model_is_the_compiled_one(spec: str) -> None:
    checked = pipeline.read(step_time.SPECS / f"{spec}.dgm")
    x = torch.from_numpy(load_data(checked, Path()).train.read(0, 8)["x"])
    step_time.same_start(pipeline.build(checked), step_time.CONTESTS[spec](), x)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no vea among vae, rbm"):
        only(["vae", "rbm"])("vea")


@pytest.mark.parametrize("name", semi_supervised.CLASSIFIERS)
def test_a_classifier_alone_is_the_one_of_the_spec(name: str) -> None:
    specs = (semi_supervised.alone(name), semi_supervised.SPECS / f"{name}.dgm")
    alone, whole = (dict(pipeline.build(pipeline.read(spec)).named_modules()) for spec in specs)
    shapes = [[p.shape for p in net.parameters()] for net in (alone["p_y_net"], whole["q_y_net"])]
    assert shapes[0] == shapes[1]


def test_figures_are_of_the_specs_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measure(row: figures.Row, seed: int, folder: Path) -> dict[str, object]:
        asked.append((row.name, seed))
        return {"spec": row.name, "seed": seed, "value": 1.0}

    monkeypatch.setattr(figures, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["figures.py", "--only", "vae,ddpm", "--seeds", "0,1"])
    figures.main()
    assert asked == [("vae", 0), ("vae", 1), ("ddpm", 0), ("ddpm", 1)]
