"""The exponential moving average of the weights, `train { ema = 0.999 }`, kept by torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from dgmppl.runtime import GenerativeModel


def averaged_model(model: GenerativeModel, decay: float) -> AveragedModel:
    """A copy of the model with ``a <- d a + (1 - d) w`` of its weights, by `update_parameters` after each step
    (Polyak and Juditsky, 1992; as used by Karras et al., 2018).

    ``d = min(decay, t / (9 + t))`` in step t, so that the initial weights are soon forgotten. Buffers are not averaged:
    they are the model's.

    Args:
        decay: below 1.
    """

    def update(averages: Sequence[Any], weights: Sequence[Any], _: Tensor | int) -> None:
        # torch's own count, before it is moved to the device, from which reading it would wait for the device.
        step = int(average.n_averaged)
        torch._foreach_lerp_(list(averages), list(weights), 1 - min(decay, step / (9 + step)))

    average = AveragedModel(model, multi_avg_fn=torch.no_grad()(update))
    # The initial weights count: torch would let the first step replace them.
    average.n_averaged.fill_(1)
    return average
