"""Small runs that commands are tried on, of tables with names, units and classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from dgmppl import pipeline
from dgmppl.apply.fitted import FittedRun
from dgmppl.lifecycle import ComputeOptions, RunCallbacks, train_spec

PEOPLE = """\
model people
observed x : real[2] from standardize("people.csv"[height, weight])
observed y : categorical(3) from "people.csv".size
latent z : real[2]
p(z) = Normal(0, 1)
p(x | z) = Normal(mlp[16](z))
p(y | z) = Categorical(mlp[16](z))
q(z | x, y) = Normal(mlp[16](x, y))
train { epochs = 2 }
"""


def people(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """Heights in centimetres, weights in kilograms that follow them, and a size by the height."""
    rng = np.random.default_rng(seed)
    height = rng.normal(170, 10, rows)
    weight = 0.9 * (height - 100) + rng.normal(0, 5, rows)
    size = np.where(height > 175, "tall", np.where(height > 165, "middling", "short"))
    return pd.DataFrame({"height": height, "weight": weight, "size": size})


def fit(folder: Path, text: str, name: str = "run", overrides: tuple[str, ...] = ()) -> FittedRun:
    """A run of a spec whose files lie in the folder."""
    spec = folder / f"{name}.dgm"
    spec.write_text(text)
    model, run = train_spec(
        pipeline.read(spec, overrides), folder / name, ComputeOptions("cpu"), RunCallbacks(lambda epoch: None)
    )
    return FittedRun(model, run)
