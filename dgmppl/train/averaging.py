"""The exponential moving average of the weights, `train { ema = 0.999 }`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from dgmppl.runtime import GenerativeModel


class Average:
    """``a <- decay a + (1 - decay) w`` after each step (Polyak and Juditsky, 1992; as used by Karras et al., 2018).

    The first steps use the smaller decay ``(1 + t) / (10 + t)``, so that the initial weights are soon forgotten.

    Args:
        model: whose parameters are averaged; buffers are not.
        decay: below 1.
    """

    def __init__(self, model: GenerativeModel, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.weights = list(model.parameters())
        self.values = [w.detach().clone() for w in self.weights]

    @torch.no_grad()
    def update(self) -> None:
        """To be called after each step of the model's optimiser."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.values, list(self.weights), 1 - decay)
        self.steps += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the averaged weights while the body runs."""
        own = [w.detach().clone() for w in self.weights]
        self._fill(self.values)
        try:
            yield
        finally:
            self._fill(own)

    @torch.no_grad()
    def _fill(self, values: list[Tensor]) -> None:
        for weight, value in zip(self.weights, values, strict=True):
            weight.copy_(value)

    def state(self) -> dict[str, Any]:
        return {"steps": self.steps, "values": self.values}

    def restore(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]
        for value, saved in zip(self.values, state["values"], strict=True):
            value.copy_(saved)
