"""The optimisers of `train { optimizer = ... }`; their options are in `dgmppl.catalogue.training`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from dgmppl.plan.settings import OptimizerSetting

_FUSED: Mapping[str, Any] = {"fused": True}
_PLAIN: Mapping[str, Any] = {}

OPTIMIZERS: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
    "adam": (torch.optim.Adam, _FUSED),
    "adamw": (torch.optim.AdamW, _FUSED),
    "adamax": (torch.optim.Adamax, _PLAIN),
    "sgd": (torch.optim.SGD, _FUSED),
    "rmsprop": (torch.optim.RMSprop, _PLAIN),
}


def build_optimizer(
    setting: OptimizerSetting, parameters: Iterable[torch.nn.Parameter] | Sequence[dict[str, Any]]
) -> torch.optim.Optimizer:
    """The torch optimiser of a checked setting, over parameters or groups of them.

    `beta1` and `beta2` are torch's `betas`.
    """
    kind, speed = OPTIMIZERS[setting.name]
    options: dict[str, Any] = {**setting.options, **speed}
    if "beta1" in options or "beta2" in options:
        options["betas"] = (options.pop("beta1", 0.9), options.pop("beta2", 0.999))
    optimizer: torch.optim.Optimizer = kind(parameters, lr=setting.lr, **options)
    return optimizer
