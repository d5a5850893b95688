"""The figure that trials are compared by: that runs of a spec have it, and what it is for one of them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch

from dgmppl import pipeline
from dgmppl.diagnostics import Diagnostic, SpecError, did_you_mean
from dgmppl.pipeline import Checked
from dgmppl.report.evaluate import evaluate, with_units
from dgmppl.sweep.study import lower_is_better
from dgmppl.train.contents import parts
from dgmppl.train.device import seeded
from dgmppl.train.figures import evaluate_figures
from dgmppl.train.folder import METRICS
from dgmppl.train.measures import MEASURES
from dgmppl.train.runs import Run, load_data, located

_FEW = 8
"""Rows on which an unfitted model shows what figures it has."""


def verify_figure(checked: Checked, figure: str) -> None:
    """Raises a SpecError when the data of a spec is not there, and E726 when its runs do not have a figure."""
    graph, plan = parts(checked)
    splits = load_data(checked, checked.path.parent if checked.path else Path())
    if figure in (plan.criterion, *MEASURES):
        return
    with located(checked), seeded(plan.settings.seed, torch.device("cpu")):
        model = pipeline.build(checked)
        rows = splits.validation.read(0, min(_FEW, len(splits.validation)))
        found = evaluate_figures(model, [torch.from_numpy(rows[name]) for name in model.data])
    known = (*with_units(found, graph, plan), *MEASURES)
    if figure not in known:
        help_ = did_you_mean(figure, known, f"one of {', '.join(known)}")
        raise SpecError([Diagnostic("E726", f"runs of this spec have no figure {figure}", help=help_)])


def figure_of(run: Run, figure: str) -> float:
    """The best value of a figure on the validation rows over a run's epochs; where they have none, at its end.

    Raises:
        SpecError: (E613) when it is not finite.
    """
    lines = (run.path / METRICS).read_text(encoding="utf-8").splitlines()
    values = [json.loads(line)["validation"].get(figure) for line in lines]
    finite = [float(value) for value in values if value is not None]
    if finite:
        return min(finite) if lower_is_better(figure) else max(finite)
    measured = evaluate(run.path, splits=("validation",), measures=figure in MEASURES or None)["validation"]
    value = measured[figure].estimate.mean if figure in measured else math.nan
    if not math.isfinite(value):
        raise SpecError([Diagnostic("E613", f"{figure} is not finite on the validation rows")])
    return value
