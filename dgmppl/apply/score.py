"""`score`: how probable rows are, term by term, and which are unlike those of the fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dgmppl.apply.answers import Answers, Chunk, verify_counts
from dgmppl.catalogue.figures import Figure, bits_per_dimension
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.plan.figures import dimensions, likelihood_of
from dgmppl.runtime import GenerativeModel
from dgmppl.train.densities import DensityUnits
from dgmppl.train.device import random_states, restore_random
from dgmppl.train.figures import row_scores
from dgmppl.train.importance import open_importance
from dgmppl.train.units import in_units_of_data
from dgmppl.words import counted

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun

SAMPLES = 16
"""Draws over which a bound of a row is averaged: a row has no others that its noise would average out with."""

UNUSUAL = 0.01
"""The share of validation rows below whose score a row is told to be unusual."""


def score(
    fitted: FittedRun,
    data: Any = None,
    *,
    split: str | None = None,
    importance: int | None = None,
    unusual: float = UNUSUAL,
    samples: int | None = None,
    seed: int = 0,
    units: str = "data",
) -> Answers:
    """The figures of each row, in nats of the units of the data, and each term of the objective.

    A figure is that of `dgmppl evaluate`, which gives the mean over the rows: an exact `log_prob`, or a bound on it; of
    discrete data in bits per dimension as well. Terms are of the same draws, and are those of the model; with `units of
    x`, what the transforms of each variable add to its log-density, they sum up to the bound.

    Args:
        importance: also give the importance-weighted bound with so many draws (Burda et al., 2016).
        unusual: `unusual` is whether a row scores below this share of the validation rows; 0 leaves it out.
        samples: draws over which a figure of each row is averaged that takes some, 16 where nothing is said; a note
            tells how far they leave it from its mean.
        units: "model": figures are of the values behind the transforms of the spec.

    Raises:
        SpecError: when the model gives no figure of a row (E660), or the structure has no such bound (E650).
    """
    verify_counts(samples=samples, importance=importance)
    given = fitted.rows(data, split)
    graph, plan = fitted.graph, fitted.plan
    likelihood = likelihood_of(plan)
    drawn = any("draw" in figure.how for figure in plan.figures)
    many = (samples or SAMPLES) if drawn else 1
    tighter = open_importance(fitted.model, fitted.run, importance) if importance is not None else None
    if not plan.figures:
        headline = f"{fitted.path} has no figure of a row: {plan.objective.name}"
        raise SpecError(
            [Diagnostic("E660", headline, help="`dgmppl evaluate --measures` compares its samples with rows")]
        )
    count = dimensions(graph)
    bits = bits_per_dimension(likelihood) if likelihood is not None and count is not None else None
    more = [tighter.figure] if tighter is not None else []
    densities = DensityUnits(graph, plan, fitted.fields, *more, densities=in_units_of_data(units))

    def of(chunk: dict[str, Tensor]) -> Chunk:
        rows = tuple(chunk.values())
        found, errors = figures_and_terms(fitted.model, rows, many)
        noise.extend(errors[shown.name].cpu() for shown in plan.figures[:1] if shown.name in errors)
        if likelihood is not None and bits is not None and count is not None and likelihood.name in found:
            found = {**found, bits.name: -found[likelihood.name] / (count * math.log(2))}
        if tighter is not None:
            before = random_states(fitted.model.device)
            found |= {name: value.double() for name, value in tighter.give(*rows).items()}
            restore_random(before, fitted.model.device)
        found = densities.told(found, chunk)
        found |= {name: found[name].sqrt() for name in fitted.model.squared if name in found}
        found |= {f"units of {name}": change for name, change in densities.log_derivatives(chunk).items()}
        answers = {name: value.cpu().numpy() for name, value in found.items()}
        if threshold is not None and likelihood is not None and likelihood.name in answers:
            answers["unusual"] = answers[likelihood.name] < threshold
        return answers

    name = likelihood.name if likelihood is not None else ""
    threshold, note = _threshold(fitted, name, densities, unusual, many, seed)
    notes = [_how(plan.figures[0], many), *([note] if note else [])]
    noise: list[Tensor] = []
    answers = fitted.answers(given, of, {}, seed)

    def give() -> Iterator[Chunk]:
        noise.clear()
        yield from answers.give()
        if many > 1 and noise and "draw" in plan.figures[0].how:
            left = float(torch.cat(noise).nanmedian())  # a row without density has no noise
            notes[0] = f"{_how(plan.figures[0], many)}: ± {left:.2g} in the median row, less with more --samples"

    return replace(answers, give=give, notes=notes)


def _how(figure: Figure, many: int) -> str:
    """How a figure of a row is computed, in words."""
    how = figure.how
    if many > 1 and "draw" in how:
        one = how.startswith("one draw")
        how = (
            f"the mean over {counted(many, 'draw')}{how.removeprefix('one draw')}"
            if one
            else f"{how}, the mean of {counted(many, 'time')}"
        )
    return f"{figure.name}: {how}" if how else figure.name


def figures_and_terms(
    model: GenerativeModel, rows: tuple[Tensor, ...], samples: int = 1
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The figures of each row, (n,) in double precision, and the terms of the same draws; and how far, by their
    standard errors, draws leave each from its mean, NaN of one draw.

    A figure that some rows do not have, such as the error of a partial variable, is left out.
    """
    n = len(rows[0])
    found: dict[str, Tensor] = {}
    squares: dict[str, Tensor] = {}
    first: dict[str, Tensor] = {}
    for _ in range(samples):
        before = random_states(model.device)
        figures = {name: value for name, value in model.figures(*rows).items() if len(value) == n}
        after = random_states(model.device)
        restore_random(before, model.device)
        with suppress(NotImplementedError):  # the losses of a game are no terms of a row
            figures |= {name: value for name, value in model.terms(*rows).items() if name not in figures}
        restore_random(after, model.device)
        for name, value in figures.items():
            found[name] = found[name] + value.double() / samples if name in found else value.double() / samples
            # Squares are of differences from the first draw, so that they lose no digits.
            away = value.double() - first.setdefault(name, value.double())
            squares[name] = squares[name] + away**2 / samples if name in squares else away**2 / samples
    variances = {name: squares[name] - (found[name] - first[name]) ** 2 for name in found}
    errors = {n: (v.clamp(min=0) / (samples - 1)).sqrt() if samples > 1 else v * math.nan for n, v in variances.items()}
    return found, errors


def _threshold(
    fitted: FittedRun, name: str, densities: DensityUnits, share: float, samples: int, seed: int
) -> tuple[float | None, str]:
    """Below which score a row is unusual, and that in words; None without a likelihood, or without rows to compare."""
    if not share or not name:
        return None, ""
    try:
        known = fitted.rows(split="validation")
    except SpecError as error:
        return None, f"no row is told to be unusual: {error.diagnostics[0].headline}"
    give = densities.give(fitted.model.figures)
    found = float(np.quantile(row_scores(fitted.model, known.examples(), name, samples, seed, give), share))
    return (
        found,
        f"unusual: {name} below {found:.6g}, as {share:.3g} of the {counted(known.rows, 'validation row')} have",
    )
