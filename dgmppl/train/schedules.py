"""The learning rate over time: warm-up, and the decays of `train { decay = ... }`, as factors of the rate set.

To add a decay: its options in `DECAYS` of `dgmppl.catalogue.training`, and its function here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from dgmppl.plan.settings import TrainSettings


def _cosine(done: float, epoch: float, to: float = 0.0) -> float:
    """``to + (1 - to) (1 + cos(pi t)) / 2`` (Loshchilov and Hutter, 2017, Eq. 5, without restarts)."""
    return to + (1 - to) * (1 + math.cos(math.pi * done)) / 2


def _linear(done: float, epoch: float, to: float = 0.0) -> float:
    return 1 + (to - 1) * done


def _exponential(done: float, epoch: float, rate: float) -> float:
    return float(rate**epoch)


def _steps(done: float, epoch: float, every: float, factor: float) -> float:
    # A hair is added because 29.999999 epochs are 30.
    return float(factor ** math.floor((epoch + 1e-9) / every))


# Each takes the share of all steps that is done, the epochs that are done, and its options.
DECAYS: Mapping[str, Callable[..., float]] = {
    "cosine": _cosine,
    "linear": _linear,
    "exponential": _exponential,
    "steps": _steps,
}


def rate_factor(step: int, settings: TrainSettings, batches: int) -> float:
    """The factor of the learning rate in step `step`, counted from 0, where an epoch has `batches` steps.

    Warm-up grows linearly, to 1 in step `settings.warmup` (Goyal et al., 2017, Sec. 2.2); a decay runs over all
    `settings.epochs`, the warm-up included.
    """
    factor = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
    if settings.decay is not None:
        done = min(1.0, step / (batches * settings.epochs))
        factor *= DECAYS[settings.decay.name](done, step / batches, **settings.decay.options)
    return factor


def build_schedule(optimizer: Optimizer, settings: TrainSettings, batches: int) -> LambdaLR | None:
    """The schedule of an optimiser, to be stepped after each of its steps; None where the rate stays."""
    if not settings.warmup and settings.decay is None:
        return None
    return LambdaLR(optimizer, lambda step: rate_factor(step, settings, batches))
