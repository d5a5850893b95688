"""A fit with the settings of a spec ends as they say, and with the same bits where it was stopped on the way."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch

from dgmppl.diagnostics import SpecError
from dgmppl.pipeline import Checked
from dgmppl.train.batches import MemoryExamples
from dgmppl.train.device import open_device, seeded
from dgmppl.train.history import Callbacks, FitResult, State
from dgmppl.train.trainer import Trainer
from tests.contracts.support import build, data_of

EPOCHS = 2
"""As many as the random specs that are fitted ask for."""


def verify_fits(found: Checked) -> str:
    assert found.plan is not None
    settings = found.plan.settings
    if settings.epochs != EPOCHS:
        return "none"
    kept: list[State] = []
    try:
        with seeded(settings.seed, torch.device("cpu")):
            whole = _trainer(found)
            result = whole.run(Callbacks())
        with seeded(settings.seed, torch.device("cpu")):
            steps, stop = iter(range(1, result.steps + 1)), result.steps // 2 + 1
            first = Callbacks(
                on_checkpoint=lambda s: kept.append(copy.deepcopy(s)), should_stop=lambda: next(steps) == stop
            )
            _trainer(found).run(first)
        with seeded(7, torch.device("cpu")):  # other numbers than those that are kept
            second = _trainer(found)
            second.restore(kept[0])
            resumed = second.run(Callbacks())
    except SpecError as error:
        (one,) = error.diagnostics
        return f"refused: {one.code} {one.headline}"
    stages = max(1, len(settings.stages))
    assert len(result.epochs) <= EPOCHS * stages
    assert _told(result) == _told(resumed)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value.nan_to_num(), second.model.state_dict()[name].nan_to_num()), name
    return "compared"


def _trainer(found: Checked) -> Trainer:
    assert found.plan is not None
    rows = MemoryExamples(data_of(found, 30))
    settings = replace(found.plan.settings, batch=min(found.plan.settings.batch, 10))
    return Trainer(build(found), rows, MemoryExamples(data_of(found, 10, number=2)), settings, open_device("cpu"))


def _told(result: FitResult) -> object:
    epochs = [replace(epoch, seconds=0.0) for epoch in result.epochs]
    return epochs, result.best_epoch, result.stopped, result.steps
