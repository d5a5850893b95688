"""A run's weights in a model whose bound is importance-weighted, tighter than the one that it was fitted by."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dgmppl import pipeline
from dgmppl.catalogue.figures import Figure, importance_weighted
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.plan.figures import likelihood_of
from dgmppl.plan.nodes import Plan
from dgmppl.runtime import GenerativeModel, importance_bound
from dgmppl.train.device import seeded
from dgmppl.train.runs import Run, located


@dataclass(frozen=True)
class Importance:
    """A run's weights in a model whose terms are the log-weights of its draws, `log p(x, z) - log q(z | x)`."""

    model: GenerativeModel
    figure: Figure
    samples: int
    plan: Plan

    def give(self, *data: Tensor) -> dict[str, Tensor]:
        return {self.figure.name: importance_bound(self.model.terms, self.samples, *data)}


def open_importance(model: GenerativeModel, run: Run, samples: int) -> Importance:
    """The importance-weighted bound of a run (Burda et al., 2016) with so many draws.

    The model that it needs is the same for any number of them but one: a single weight is averaged as it is, so its
    KL may be in closed form.

    Raises:
        SpecError: (E650) where the structure has no such bound.
    """
    kept = [o for o in run.checked.overrides if o.partition("=")[0].strip() != "train.objective"]
    asked = f"train.objective=iwae({min(samples, 2)})"
    checked = pipeline.check(run.checked.source, run.checked.path, (*kept, asked), run.checked.python)
    bound = likelihood_of(checked.plan) if checked.plan is not None else None
    if checked.plan is None or bound is None or bound.kind not in ("elbo", "iwae"):
        # The label names the override, which the user has not written.
        why = next(((d.label or d.headline).partition(", from --set")[0] for d in checked.errors), "")
        why = (
            why or f"its objective is no bound on a likelihood ({checked.plan.objective.name if checked.plan else ''})"
        )
        headline = f"{run.path} has no importance-weighted bound: {why}"
        help_ = "leave --importance out; `dgmppl explain` says what its objective is"
        raise SpecError([Diagnostic("E650", headline, help=help_)])
    with located(checked), seeded(0, model.device):
        tighter = pipeline.build(checked)
    tighter.load_state_dict(model.state_dict())
    figure = importance_weighted(samples, bound.quantity, bound.variables)
    return Importance(tighter.to(model.device).eval(), figure, samples, checked.plan)
