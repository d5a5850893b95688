"""Runs of all kinds of models that predictions are of, each fitted for an epoch once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dgmppl.apply.fitted import FittedRun
from tests.apply.predicting.cases import SPECS
from tests.apply.runs import fit, people


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("people")
    rng = np.random.default_rng(3)
    table = people(240)
    table["age"] = rng.normal(40, 10, 240) + 0.3 * (table.height - 170)
    table["income"] = np.exp(rng.normal(7, 0.5, 240))
    table["born"] = (np.datetime64("1980-01-01") + rng.integers(0, 9000, 240).astype("timedelta64[D]")).astype(str)
    table.to_csv(path / "people.csv", index=False)
    members = {"b": rng.integers(0, 2, (60, 3)), "w": rng.normal(size=(60, 3))}
    np.savez(path / "walks.npz", x=rng.normal(size=(60, 3)), y=rng.integers(0, 2, 60), **members)
    return path


@pytest.fixture(scope="session")
def run(folder: Path):
    """The run of a kind of model, fitted for an epoch once."""
    made: dict[str, FittedRun] = {}

    def of(kind: str) -> FittedRun:
        if kind not in made:
            torch.manual_seed(0)
            made[kind] = fit(folder, f"model {kind}\n{SPECS[kind]}\ntrain {{ epochs = 1, lr = 0.01 }}\n", kind)
        return made[kind]

    return of
