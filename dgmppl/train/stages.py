"""The stages of a fit: which weights move, and what is held still."""

from __future__ import annotations

from dataclasses import replace

from dgmppl.plan.settings import TrainSettings
from dgmppl.runtime import GenerativeModel


class StagesOf:
    """The stages of a model's fit; one that moves all weights where the settings name none.

    Attributes:
        number: of the present stage, from 0.
        began: how many epochs there were before it.
    """

    def __init__(self, model: GenerativeModel, settings: TrainSettings) -> None:
        self.model, self.stages, self._settings = model, settings.stages, settings
        self.moving = {name for name, p in model.named_parameters() if p.requires_grad}
        self.number = self.began = 0
        self.begin(0, 0)

    @property
    def more(self) -> bool:
        """Whether another stage follows."""
        return self.number + 1 < len(self.stages)

    @property
    def settings(self) -> TrainSettings:
        """Those of the fit, with the learning rate of the stage where it has one."""
        lr = self.stages[self.number].lr if self.stages else None
        if lr is None:
            return self._settings
        return replace(self._settings, optimizer=replace(self._settings.optimizer, lr=lr))

    def begin(self, number: int, after: int) -> None:
        """Begins a stage after so many epochs: its weights are moved, and no others."""
        self.number, self.began = number, after
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name in self.moving and self._moves(name))

    def still(self) -> None:
        """Networks whose weights the stage does not move compute as they do outside of a fit: without dropout, and
        with the averages of batches that they have. The others compute as in a fit."""
        if not self.stages:
            return
        for name, module in self.model.named_children():
            if any(True for _ in module.parameters()):
                module.train(self._moves(name))

    def _moves(self, name: str) -> bool:
        return not self.stages or name.partition(".")[0] in self.stages[self.number].weights
