"""Rows of which some variables are known, and all others drawn, or set to their means, by p: what `complete` of a model
gives that is made for it, with the weights of a fitted one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from dgmppl import pipeline
from dgmppl.pipeline import Checked
from dgmppl.runtime import GenerativeModel
from dgmppl.runtime.emitted import emitted
from dgmppl.train.contents import parts


class Completion:
    """Completes rows by the model of a spec.

    Args:
        fitted: the model that was fitted to the spec, whose weights are taken.
    """

    def __init__(self, checked: Checked, fitted: GenerativeModel) -> None:
        graph, plan = parts(checked)
        self.graph, self.plan = graph, plan
        model = pipeline.build(replace(checked, plan=replace(plan, completes=True)))
        model.load_state_dict(fitted.state_dict())
        self.model = model.to(fitted.like).eval()

    def __call__(self, n: int, known: Mapping[str, Tensor], mean: bool = False, **ways: Any) -> dict[str, Tensor]:
        """n draws of all variables of a sample, (n, *shape) each; those that are `known` keep their values.

        Args:
            known: values of n rows each; what rows have in common has no rows.
            mean: the mean of each in place of a draw, given the means of those before.
            ways: how a chain or a flow is followed; see `dgmppl.plan.ways`.
        """
        with self.model.unchecked():
            found: dict[str, Tensor] = emitted(self.model).complete(n, dict(known), mean=mean, **ways)
        return found

    @property
    def settable(self) -> tuple[str, ...]:
        """The latents that may be known alone: no chain of an energy, and no recurrence with data, gives them."""
        latents = {v.name for v in self.graph.variables if v.role == "latent"}
        return tuple(n for s in self.plan.generate if {*s.gives} <= latents for n in s.gives)
