"""Runs whose rows miss something, and how close means of draws come to those of a law."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dgmppl.apply.fitted import FittedRun
from tests.apply.runs import fit

DRAWS = 2000


def run_of(folder: Path, text: str, data: dict[str, NDArray[np.float64]], spread: float = 0.0) -> FittedRun:
    """A run of a spec whose data lie in `d.npz`; its weights are moved by noise."""
    np.savez(folder / "d.npz", **data)
    run = fit(folder, text + "train { epochs = 1 }\n")
    torch.manual_seed(1)
    with torch.no_grad():
        for weights in run.model.parameters():
            weights += spread * torch.randn_like(weights)
    return run


def bits(rows: int, size: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).integers(0, 2, (rows, size)).astype(np.float64)


def close(found: NDArray[np.float64], expected: NDArray[np.float64], deviation: NDArray[np.float64]) -> None:
    """Means of so many draws, within five standard errors."""
    assert (np.abs(found - expected) < 5 * deviation / np.sqrt(DRAWS) + 1e-3).all(), (found, expected)
