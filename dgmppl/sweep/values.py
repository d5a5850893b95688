"""The value of a trial: what its run has of the figure that trials are compared by."""

from __future__ import annotations

import math
from pathlib import Path

from dgmppl.catalogue.figures import Figure
from dgmppl.data.load import load_data
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.pipeline import Checked
from dgmppl.report.evaluate import evaluate
from dgmppl.report.history import read_lines
from dgmppl.train.folder import METRICS
from dgmppl.train.runs import Run


def verify_data(checked: Checked) -> None:
    """Raises a SpecError when the data of a spec is not there, before any trial is begun."""
    load_data(checked, checked.path.parent if checked.path else Path())


def value_of(run: Run, figure: Figure) -> float:
    """The best value of a figure on the validation rows over a run's epochs; where they have none, at its end.

    Raises:
        SpecError: (E613) when it is not finite.
    """
    values = [line.groups["validation"].get(figure.name, math.nan) for line in read_lines(run.path / METRICS)]
    finite = [value for value in values if math.isfinite(value)]
    if finite:
        return min(finite) if figure.lower_is_better else max(finite)
    measured = evaluate(
        run.path,
        splits=("validation",),
        measures=figure.scores_samples or None,
        allow_python=run.checked.python.allowed,
    )["validation"]
    value = measured[figure.name].estimate.mean if figure.name in measured else math.nan
    if not math.isfinite(value):
        raise SpecError([Diagnostic("E613", f"{figure.name} is not finite on the validation rows")])
    return value
