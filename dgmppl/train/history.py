"""The history of a fit: its epochs and how it ended; and the callbacks of a trainer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

State = dict[str, Any]


@dataclass(frozen=True)
class Epoch:
    """The results of an epoch.

    Losses, of each player, and terms of the objective are means over the rows that were stepped on, in nats where
    they are likelihoods; rates are the learning rates of its last step; `validation` has the figures on the
    validation rows. `step` counts the steps of the fit so far, `seconds` are the epoch's own.
    """

    number: int
    step: int
    seconds: float
    losses: Mapping[str, float]
    terms: Mapping[str, float]
    rates: Mapping[str, float]
    validation: Mapping[str, float]
    best: bool


@dataclass(frozen=True)
class FitResult:
    """The history and the end of a fit. `best_epoch` is the epoch whose weights the model now has; 0: the initial ones.

    `stopped` is "epochs" (all were run), "patience" or "interrupted".
    """

    epochs: tuple[Epoch, ...]
    steps: int
    best_epoch: int
    stopped: str


@dataclass(frozen=True)
class Callbacks:
    """Callbacks of a trainer.

    Args:
        on_epoch: called after each epoch.
        on_step: called after each step with its number in the epoch, how many the epoch has, and the epoch's number.
        on_checkpoint: takes the state of the fit, to be given to `Trainer.restore`; called every
            `checkpoint_every` seconds, when the fit is interrupted, and when it ends.
        should_stop: asked after each step whether to end.
    """

    on_epoch: Callable[[Epoch], None] = lambda epoch: None
    on_step: Callable[[int, int, int], None] = lambda step, steps, epoch: None
    on_checkpoint: Callable[[State], None] = lambda state: None
    checkpoint_every: float = math.inf
    should_stop: Callable[[], bool] = lambda: False


@dataclass
class Totals:
    """Sums over the rows that were stepped on in the epoch so far."""

    losses: dict[str, float]
    rows: dict[str, int]
    terms: dict[str, Tensor] = field(default_factory=dict)
    term_rows: int = 0

    def means(self) -> tuple[dict[str, float], dict[str, float]]:
        losses = {name: total / self.rows[name] for name, total in self.losses.items()}
        return losses, {name: total.item() / self.term_rows for name, total in self.terms.items()}
