"""Runs of small specs, ended or interrupted."""

import signal

from dgmppl import pipeline
from dgmppl.lifecycle import ComputeOptions, RunCallbacks, train_spec

from .specs import VAE

CHANGED = ("train.epochs=4", "train.batch=200")


def begin(folder, text=VAE, overrides=CHANGED, stop=None, name="run", **hooks):
    """Trains a spec, interrupted after `stop` steps."""
    spec = folder / "model.dgm"
    spec.write_text(text)
    steps = []

    def step(number, count, epoch):
        steps.append(number)
        if len(steps) == stop:
            signal.raise_signal(signal.SIGTERM)

    checked = pipeline.read(spec, tuple(overrides))
    return train_spec(checked, folder / name, ComputeOptions("cpu"), RunCallbacks(on_step=step, **hooks))
