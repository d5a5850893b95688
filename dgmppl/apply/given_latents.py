"""The law of what rows lack, averaged over exact draws of the latents that it reads given the rest of a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dgmppl import pipeline
from dgmppl.apply.beliefs import Beliefs
from dgmppl.apply.conditionals import DRAWS, at_once
from dgmppl.apply.drawing import Misfit, repeated, rows_of, with_weights
from dgmppl.apply.draws import Weights, sums_of
from dgmppl.apply.imputing import ExactCompletion, completion
from dgmppl.apply.scores import parts
from dgmppl.diagnostics import SpecError
from dgmppl.graph.seen_spec import spec_of_whole_rows
from dgmppl.pipeline import Checked
from dgmppl.plan.predict import Prediction, choose_prediction
from dgmppl.runtime.emitted import emitted
from dgmppl.syntax import tree

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun


class GivenLatents:
    """p(y | x) as the mean of p(y | x, z) over exact draws of p(z | x): no draw has a weight, and the law of y stands
    in place of draws of it (Rao and Blackwell).

    Args:
        way: gives the latents of rows that lack these variables.
        given: the spec in which the latents are data.
        made: how what is left out follows in it.
    """

    exact = covers = False
    weighed = 0

    def __init__(
        self,
        fitted: FittedRun,
        names: tuple[str, ...],
        draws: int,
        way: ExactCompletion,
        given: Checked,
        made: Prediction,
    ) -> None:
        graph, plan = parts(given)
        self.graph, self.names, self.draws, self.latents = fitted.graph, names, draws, latents_of(fitted)
        self.fields = {name: field.in_numbers for name, field in fitted.fields.items()}
        self.below = way.model
        self.model = with_weights(replace(given, plan=replace(plan, prediction=made)), fitted.model)
        self.reads = frozenset(v.name for v in fitted.graph.data) - {*names}
        self.each = max(1, at_once(graph))
        told, laws = ", ".join(self.latents), ", ".join(m.drawn for m in made.moves)
        self.notes: tuple[str, ...] = (
            f"{', '.join(names)}: {laws}, over {draws} exact draws of {told} given the rest of a row",
        )

    def beliefs(self, rows: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> Beliefs:
        n = len(next(iter(rows.values())))
        like = self.model.like
        sums = {name: sums_of(self.graph[name], self.fields[name], truth.get(name)) for name in self.names}
        total = Weights(n)
        each = max(1, self.each // max(n, 1))
        for count in [min(each, self.draws - done) for done in range(0, self.draws, each)]:
            many = repeated(rows, count)
            lacking = {m: like.new_full((n * count, *self.graph[m].type.shape), torch.nan) for m in self.names}
            found = self.below.infer(*rows_of(self.below, {**many, **lacking}))
            some = {m: torch.full_like(v, self.graph[m].type.feasible) for m, v in lacking.items()}
            whole = {**many, **some, **{m: found[m].to(like) for m in self.latents}}
            drawn, laws, _ = emitted(self.model).predict(*rows_of(self.model, whole))
            scale, weights = total.add(torch.zeros(n, count, dtype=torch.double))
            for name, one in sums.items():
                one.add(drawn[name], laws.get(name), scale, weights)
        return {name: one.belief(total, None, False) for name, one in sums.items()}


def latents_of(fitted: FittedRun) -> tuple[str, ...]:
    return tuple(v.name for v in fitted.graph.variables if v.role == "latent")


def given_latents(fitted: FittedRun, names: tuple[str, ...], draws: int | None) -> GivenLatents | None:
    """This way, where latents have exact draws and all that is left out has a law given them; None elsewhere."""
    checked, latents = fitted.run.checked, latents_of(fitted)
    if checked.spec is None or not latents or fitted.graph.shared or fitted.graph.energy is not None:
        return None
    own = tuple(s for s in checked.spec.statements if not isinstance(s, tree.Train))
    given = pipeline.check_beside(checked, spec_of_whole_rows(replace(checked.spec, statements=own), latents))
    if given.graph is None or given.plan is None or not {*latents} <= {v.name for v in given.graph.data}:
        return None
    try:
        made = choose_prediction(given.graph, given.plan, names)
        way = completion(checked, names, fitted.model) if made.exact == names else None
        if not isinstance(way, ExactCompletion):
            return None
        return GivenLatents(fitted, names, draws or DRAWS, way, given, made)
    except (SpecError, Misfit):
        return None


__all__ = ["GivenLatents", "given_latents"]
