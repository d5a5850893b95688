"""What `dgmppl evaluate` says of a run: its figures on each split, tighter bounds, measures of its samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmppl import pipeline
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.graph.nodes import Graph
from dgmppl.plan.nodes import Plan
from dgmppl.report.units import BITS, dimensions, in_bits, likelihood, unit_of
from dgmppl.runtime import GenerativeModel
from dgmppl.train.batches import open_examples
from dgmppl.train.contents import Arrays, parts
from dgmppl.train.device import seeded
from dgmppl.train.figures import CHUNK, Estimate, Moments, Rows, chunks_of, evaluate_figures
from dgmppl.train.measures import MEASURES, NEIGHBOURS, features
from dgmppl.train.runs import Run, changed_data, draw, load_run, located, run_data, unfinished

Data = Sequence[Tensor] | Rows

SETS = 10
"""Over how many sets of samples a measure is averaged."""

_MOST_ROWS = 1000
"""Measures compare every sample with every row, so they take so many rows of a larger split."""


@dataclass(frozen=True)
class Figure:
    """A number with its standard error. `over` is what that is about: "rows", or the sets of samples."""

    estimate: Estimate
    unit: str
    over: str = "rows"

    def as_data(self) -> dict[str, Any]:
        return {**asdict(self.estimate), "unit": self.unit, "over": self.over}


Evaluation = dict[str, dict[str, Figure]]


def evaluate(
    path: Path,
    *,
    samples: int = 1,
    seed: int = 0,
    device: str = "cpu",
    splits: Sequence[str] = (),
    importance: int | None = None,
    measures: bool | None = None,
    told: Callable[[str], None] = lambda what: None,
    warn: Callable[[Diagnostic], None] = lambda diagnostic: None,
    data_folder: Path | None = None,
) -> Evaluation:
    """The figures of a run's model by split and name.

    Args:
        samples: draws over which a stochastic figure of each example is averaged.
        seed: of these draws, and of the samples that are measured.
        splits: their names; all of them when empty.
        importance: also give the importance-weighted bound with so many samples.
        measures: also measure samples against rows; None: where no likelihood or bound of it can be given.
        told: called with what comes next, in a few words.
        warn: told when the run has not finished, or its data is no longer what it was fitted to.
        data_folder: where relative paths of data start from; None: see `dgmppl.train.runs.run_data`.

    Raises:
        SpecError: when the run cannot be opened, its data is not there, or a bound is asked for that its structure
            does not allow (E650).
    """
    model, run = load_run(path, device)
    graph, plan = parts(run.checked)
    tighter = _importance_model(model, run, importance) if importance is not None else None
    data = run_data(run, data_folder)
    for found_odd in (unfinished(run), changed_data(run, data)):
        if found_odd is not None:
            warn(found_odd)
    found: Evaluation = {}
    with located(run.checked):
        for split, table in data:
            if splits and split not in splits:
                continue
            told(f"{split}: figures")
            rows = open_examples(table, model.data, model.device)
            found[split] = with_units(evaluate_figures(model, rows, samples, seed), graph, plan)
            if tighter is not None:
                bound = evaluate_figures(tighter, rows, samples, seed)["elbo"]
                found[split] |= with_units({f"iwae({importance})": bound}, graph, plan)
            if measures or (measures is None and likelihood(plan) is None):
                found[split] |= measure(model, graph, rows, seed, told=_sets_told(told, split))
    return found


def _sets_told(told: Callable[[str], None], split: str) -> Callable[[int, int], None]:
    return lambda done, sets: told(f"{split}: samples, set {done + 1} of {sets}")


def with_units(figures: Mapping[str, Estimate], graph: Graph, plan: Plan) -> dict[str, Figure]:
    """Figures with their units; the likelihood of discrete data in bits per dimension too."""
    count, known = dimensions(graph), likelihood(plan)
    found: dict[str, Figure] = {}
    for name, estimate in figures.items():
        found[name] = Figure(estimate, unit_of(name))
        if count is not None and known is not None and (name == known or name.startswith("iwae")):
            found[BITS if name == known else f"{name} {BITS}"] = Figure(in_bits(estimate, count), BITS)
    return found


def measure(
    model: GenerativeModel,
    graph: Graph,
    rows: Data,
    seed: int = 0,
    sets: int = SETS,
    told: Callable[[int, int], None] = lambda done, sets: None,
) -> dict[str, Figure]:
    """MMD, precision and recall of a model's samples against rows of a split.

    Each is the mean over `sets` sets of samples, as many in each as there are rows, with the standard error of that
    mean: it says how much the samples vary, the rows are the same throughout. Where the model has conditions, they
    are those of the rows, and what is compared is the variables it gives.
    """
    known = pick_rows(model, rows, _MOST_ROWS, seed)
    count = len(next(iter(known.values())))
    if count <= NEIGHBOURS:
        return {}
    # Samples of some models take long: set by set, so that it can be told how far it is.
    with seeded(seed, model.device):
        several: list[Arrays] = []
        for k in range(sets):
            told(k, sets)
            several.append(draw(model, graph, count, known))
    # A variable that is not seen in some of the rows is left out.
    modelled = {name: known[name] for name in several[0] if np.isfinite(known[name]).all()}
    types = {name: graph[name].type for name in modelled}
    values: dict[str, list[float]] = {name: [] for name in MEASURES}
    for drawn in several:
        one: Arrays = {name: drawn[name] for name in modelled}
        finite = all(np.isfinite(values).all() for values in one.values())
        compared = features(one, modelled, types) if finite else None
        for name, one_measure in MEASURES.items():
            values[name].append(math.nan if compared is None else one_measure.of(*compared))
    over = f"{sets} sets of samples"
    return {name: Figure(_over_sets(found, count), unit_of(name), over) for name, found in values.items()}


def pick_rows(model: GenerativeModel, data: Data, most: int, seed: int = 0) -> Arrays:
    """Up to `most` rows of a split, drawn without replacement, in one pass over it; `seed` says which."""
    order = np.random.default_rng(seed)
    kept: list[NDArray[np.float32]] = []
    keys = np.empty(0)
    for chunk in chunks_of(data, CHUNK):
        found = [tensor.detach().cpu().numpy() for tensor in chunk]
        keys = np.concatenate([keys, order.random(len(found[0]))])
        kept = [np.concatenate(pair) for pair in zip(kept, found, strict=True)] if kept else found
        if len(keys) > most:
            best = np.sort(np.argpartition(keys, most - 1)[:most])
            keys, kept = keys[best], [values[best] for values in kept]
    return dict(zip(model.data, kept, strict=True))


def _over_sets(values: Sequence[float], rows: int) -> Estimate:
    found = Moments.of(torch.tensor(values, dtype=torch.float64)).estimate
    return Estimate(found.mean, found.standard_error if len(values) > 1 else math.nan, rows)


def _importance_model(model: GenerativeModel, run: Run, samples: int) -> GenerativeModel:
    """The run's model with the importance-weighted bound as its objective (Burda et al., 2016), same weights.

    Raises:
        SpecError: (E650) where the structure has no such bound.
    """
    kept = [o for o in run.checked.overrides if o.partition("=")[0].strip() != "train.objective"]
    checked = pipeline.check(run.checked.source, run.checked.path, (*kept, f"train.objective=iwae({samples})"))
    plan = checked.plan
    if plan is None or likelihood(plan) != "elbo":
        # The label names the override, which the user has not written.
        why = next(((d.label or d.headline).partition(", from --set")[0] for d in checked.errors), "")
        why = why or f"its objective is no bound on a likelihood ({plan.objective.name if plan else ''})"
        headline = f"{run.path} has no importance-weighted bound: {why}"
        help_ = "leave --importance out; `dgmppl explain` says what its objective is"
        raise SpecError([Diagnostic("E650", headline, help=help_)])
    with located(checked), seeded(0, model.device):
        tighter = pipeline.build(checked)
    tighter.load_state_dict(model.state_dict())
    return tighter.to(model.device).eval()
