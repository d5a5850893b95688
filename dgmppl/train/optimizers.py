"""The optimisers that `train { optimizer = ... }` can name, with their keyword options.

The table is plain data, so that a spec is checked without torch. To add one: an entry in `OPTIMIZERS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from dgmppl.plan.settings import OptimizerSetting


@dataclass(frozen=True)
class Option:
    """A keyword of an optimiser: a number from `low` up to but not including `high`, or a switch."""

    low: float = 0.0
    high: float = float("inf")
    switch: bool = False


@dataclass(frozen=True)
class Optimizer:
    """The class's name in `torch.optim`, and what may be set besides the learning rate."""

    torch_name: str
    options: Mapping[str, Option]


_DECAY = Option()
_SHARE = Option(high=1.0)
_ADAM: Mapping[str, Option] = {"beta1": _SHARE, "beta2": _SHARE, "eps": Option(), "weight_decay": _DECAY}

OPTIMIZERS: Mapping[str, Optimizer] = {
    "adam": Optimizer("Adam", {**_ADAM, "amsgrad": Option(switch=True)}),
    "adamw": Optimizer("AdamW", {**_ADAM, "amsgrad": Option(switch=True)}),
    "adamax": Optimizer("Adamax", _ADAM),
    "sgd": Optimizer("SGD", {"momentum": _SHARE, "nesterov": Option(switch=True), "weight_decay": _DECAY}),
    "rmsprop": Optimizer(
        "RMSprop",
        {
            "alpha": _SHARE,
            "eps": Option(),
            "momentum": _SHARE,
            "centered": Option(switch=True),
            "weight_decay": _DECAY,
        },
    ),
}


def build_optimizer(
    setting: OptimizerSetting, parameters: Iterable[torch.nn.Parameter]
) -> torch.optim.Optimizer:
    """The torch optimiser of a checked setting. `beta1` and `beta2` are torch's `betas`."""
    import torch

    options: dict[str, Any] = dict(setting.options)
    if "beta1" in options or "beta2" in options:
        options["betas"] = (options.pop("beta1", 0.9), options.pop("beta2", 0.999))
    kind = getattr(torch.optim, OPTIMIZERS[setting.name].torch_name)
    optimizer: torch.optim.Optimizer = kind(parameters, lr=setting.rate, **options)
    return optimizer
