"""A player of a fit with what moves its weights: an optimiser and a schedule of its learning rate."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from dgmppl.catalogue.training import ELEMENTWISE
from dgmppl.plan.settings import TrainSettings
from dgmppl.runtime import Player
from dgmppl.train.flat import pack
from dgmppl.train.history import State
from dgmppl.train.optimizers import build_optimizer
from dgmppl.train.schedules import build_schedule


class PlayerState:
    """A player with its optimiser and schedule.

    A weight that the loss of a batch does not depend on has the gradient 0, not None: its optimiser moves it as it
    moves the others. Where the optimiser is elementwise, the small weights of each group are moved as one vector,
    which changes nothing but the time that it takes.

    Args:
        player: its parameters may be groups with options of their own, as torch's optimisers take them. Frozen ones
            (`requires_grad` is False) are left alone, and one that is named twice is moved once.
        batches: steps an epoch.
        shared: ids of parameters that other players move too; they stay apart, since one memory cannot be in two
            vectors.
    """

    def __init__(
        self, player: Player, settings: TrainSettings, batches: int, shared: Collection[int] = frozenset()
    ) -> None:
        self.player = player
        adversary = player.adversary
        setting = (settings.adversary_optimizer if adversary else None) or settings.optimizer
        self.steps = settings.adversary_steps if adversary else 1
        groups = trainable_groups(player)
        self.parameters: list[nn.Parameter] = [p for group in groups for p in group["params"]]
        if setting.name in ELEMENTWISE and not any(id(p) in shared for p in self.parameters):
            groups = [{**group, "params": pack(group["params"])} for group in groups]
        self.moved: list[nn.Parameter] = [p for group in groups for p in group["params"]]
        """What the optimiser moves: weights, and vectors that they are in."""
        own = {id(p) for p in self.parameters}
        self._apart = [p for p in self.moved if id(p) in own]
        self._vectors = [p for p in self.moved if id(p) not in own]
        self.optimizer = build_optimizer(setting, groups)
        self.schedule: LambdaLR | None = build_schedule(self.optimizer, settings, batches * self.steps)

    def zero_gradients(self) -> None:
        """Before a loss is differentiated. The gradient of a vector stays where its weights have theirs; to be given
        a new one is quicker for any other weight than to have it added to zeros.
        """
        for p in self._apart:
            p.grad = None
        for vector in self._vectors:
            assert vector.grad is not None
            vector.grad.zero_()

    def gradients(self) -> list[Tensor]:
        """The gradients of what the optimiser moves, once a loss has been differentiated."""
        found = []
        for p in self.moved:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
            found.append(p.grad)
        return found

    @property
    def rate(self) -> float:
        """The learning rate of the last step; before the first, that of the first."""
        if self.schedule is None:
            return float(self.optimizer.param_groups[0]["lr"])
        # The schedule is at the step that comes next.
        return float(self.schedule.base_lrs[0] * self.schedule.lr_lambdas[0](max(0, self.schedule.last_epoch - 1)))

    def state(self) -> State:
        schedule = None if self.schedule is None else self.schedule.last_epoch
        return {"optimizer": self.optimizer.state_dict(), "schedule": schedule}

    def restore(self, state: State) -> None:
        groups = self.optimizer.state_dict()["param_groups"]
        for group, saved in zip(groups, state["optimizer"]["param_groups"], strict=True):
            group["lr"] = saved["lr"]
        self.optimizer.load_state_dict({"state": state["optimizer"]["state"], "param_groups": groups})
        if self.schedule is not None:
            self.schedule.last_epoch = state["schedule"]
            self.schedule._last_lr = [group["lr"] for group in self.optimizer.param_groups]


def trainable_groups(player: Player) -> list[dict[str, Any]]:
    """The groups of a player's weights that an optimiser is to move: each weight once, and none that is frozen."""
    given: list[Any] = list(player.parameters)
    groups = given if given and isinstance(given[0], dict) else [{"params": given}]
    seen: set[int] = set()
    found = []
    for group in groups:
        own = []
        for p in group["params"]:
            if p.requires_grad and id(p) not in seen:
                seen.add(id(p))
                own.append(p)
        if own:
            found.append({**group, "params": own})
    return found
