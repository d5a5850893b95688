"""The optimisers of `train { optimizer = ... }`; their options are in `dgmppl.catalogue.training`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from dgmppl.plan.settings import OptimizerSetting

OPTIMIZERS: Mapping[str, Any] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}


def build_optimizer(setting: OptimizerSetting, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """The torch optimiser of a checked setting; `beta1` and `beta2` are torch's `betas`."""
    kind = OPTIMIZERS[setting.name]
    options: dict[str, Any] = dict(setting.options)
    if "beta1" in options or "beta2" in options:
        options["betas"] = (options.pop("beta1", 0.9), options.pop("beta2", 0.999))
    optimizer: torch.optim.Optimizer = kind(parameters, lr=setting.lr, **options)
    return optimizer
