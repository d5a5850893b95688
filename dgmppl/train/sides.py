"""A player of a fit with what moves it: the vector of its weights, its optimiser, its schedule."""

from __future__ import annotations

from torch.optim.lr_scheduler import LambdaLR

from dgmppl.plan.settings import TrainSettings
from dgmppl.runtime import Player
from dgmppl.train.course import State
from dgmppl.train.flat import flatten
from dgmppl.train.optimizers import build_optimizer
from dgmppl.train.schedules import build_schedule


class Side:
    """A player with its optimiser and schedule."""

    def __init__(self, player: Player, settings: TrainSettings, batches: int) -> None:
        self.player = player
        adversary = player.adversary
        own = settings.adversary_optimizer if adversary else None
        self.steps = settings.adversary_steps if adversary else 1
        self.flat, self.gradient = flatten(player.parameters)
        self.optimizer = build_optimizer(own or settings.optimizer, [self.flat])
        self.schedule: LambdaLR | None = build_schedule(self.optimizer, settings, batches * self.steps)

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
        groups[0]["lr"] = state["optimizer"]["param_groups"][0]["lr"]
        self.optimizer.load_state_dict({"state": state["optimizer"]["state"], "param_groups": groups})
        if self.schedule is not None:
            self.schedule.last_epoch = state["schedule"]
            self.schedule._last_lr = [self.optimizer.param_groups[0]["lr"]]
