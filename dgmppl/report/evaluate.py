"""What `dgmppl evaluate` says of a run: its figures on each split, tighter bounds, measures of its samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmppl.apply.beliefs import Classes, Judgement
from dgmppl.apply.conditionals import Enumerated
from dgmppl.apply.data_files import file_given
from dgmppl.apply.given import Given, given_data
from dgmppl.apply.scores import choose_score
from dgmppl.catalogue.figures import SAMPLE_FIGURES, Figure, area_under_roc, bits_per_dimension, unknown
from dgmppl.data.table import Table
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.graph.nodes import Graph
from dgmppl.plan.figures import classes_of, dimensions, likelihood_of, told_by
from dgmppl.plan.nodes import Plan
from dgmppl.runtime import GenerativeModel
from dgmppl.train.batches import open_examples
from dgmppl.train.contents import Arrays, parts
from dgmppl.train.densities import DensityUnits
from dgmppl.train.device import seeded
from dgmppl.train.figures import CHUNK, ChunkedRows, Estimate, Moments, chunks_of, evaluate_figures, row_scores
from dgmppl.train.importance import open_importance
from dgmppl.train.measures import MEASURES, NEIGHBOURS, features
from dgmppl.train.runs import Run, changed_data, draw, fields_of, load_run, located, run_data, unfinished
from dgmppl.train.units import in_units_of_data
from dgmppl.words import counted

Data = Sequence[Tensor] | ChunkedRows
Scores = NDArray[np.float64]

SETS = 10
"""Over how many sets of samples a measure is averaged."""

_MOST_ROWS = 1000
"""Measures compare every sample with every row, so they take so many rows of a larger split."""


@dataclass(frozen=True)
class Measured:
    """The value of a figure with its standard error. `over` is what that is about: "rows", or sets of samples."""

    figure: Figure
    estimate: Estimate
    over: str = "rows"

    @property
    def unit(self) -> str:
        return self.figure.unit

    def as_data(self) -> dict[str, Any]:
        about = {key: getattr(self.figure, key) for key in ("unit", "better", "estimates", "how")}
        return {**asdict(self.estimate), **about, "over": self.over}


Evaluation = dict[str, dict[str, Measured]]


def evaluate(
    path: Path,
    *,
    samples: int = 1,
    seed: int = 0,
    device: str = "cpu",
    splits: Sequence[str] = (),
    importance: int | None = None,
    measures: bool | None = None,
    progress: Callable[[str], None] = lambda what: None,
    warn: Callable[[Diagnostic], None] = lambda diagnostic: None,
    data_folder: Path | None = None,
    allow_python: bool = False,
    data: Sequence[Any] = (),
    units: str = "data",
    scored: Callable[[Figure, Mapping[str, Scores]], object] | None = None,
) -> Evaluation:
    """The figures of a run's model by split and name.

    Args:
        samples: draws over which a stochastic figure of each example is averaged.
        seed: of these draws, and of the samples that are measured.
        splits: their names; where empty all of them, or none where other data is given.
        importance: also give the importance-weighted bound with so many samples.
        measures: also measure samples against rows; None: where no likelihood or bound of it can be given.
        progress: called with what comes next, in a few words.
        warn: called when the run has not finished, or its data is no longer what it was fitted to.
        data_folder: where relative paths of data start from; None: see `dgmppl.train.runs.run_data`.
        allow_python: see `dgmppl.train.runs.load_run`.
        data: other rows: files, or what else `dgmppl.apply.given` reads. Where there is a likelihood, each set but the
            first is told from the first by it; where factors have figures of their own, by that of the rest. The
            variables of such factors may be left out, and with them the figures that need them. Classes are predicted
            where they follow exactly from the rest.
        units: of log-densities: those of the data, or "model", behind the transforms of the spec.
        scored: called with the figure that a row is told by, and with that of each row of each set, where there is one.

    Raises:
        SpecError: when the run cannot be opened, its data is not there, or a bound is asked for that its structure
            does not allow (E650).
    """
    model, run = load_run(path, device, allow_python)
    graph, plan = parts(run.checked)
    tighter = open_importance(model, run, importance) if importance is not None else None
    fields = fields_of(run)
    more = [tighter.figure] if tighter is not None else []
    densities = DensityUnits(graph, plan, fields, *more, densities=in_units_of_data(units))
    sets: dict[str, Table | Given] = {}
    if unfinished(run) is not None:
        warn(unfinished(run))  # type: ignore[arg-type]
    if splits or not data:
        own = run_data(run, data_folder)
        odd = changed_data(run, own)
        if odd is not None:
            warn(odd)
        sets = {split: table for split, table in own if not splits or split in splits}
    for number, other in enumerate(data, 1):
        file = file_given(other)
        name = f"data {number}" if file is None else str(file.path)
        if name in sets:
            raise SpecError([Diagnostic("E713", f"{name} is named twice", help="name each file once")])
        apart = [f.variables[0] for f in plan.figures if f.kind == "factor"]
        sets[name] = given_data(run, fields, other, model.device, optional=apart)
    found: Evaluation = {}
    score = told_by(plan)
    scores: dict[str, Scores] = {}
    inside = ""
    classes = predicted_classes(model, run, graph) if data else []
    with located(run.checked):
        for split, table in sets.items():
            progress(f"{split}: figures")
            absent = table.absent if isinstance(table, Given) else ()
            rows: Data
            if isinstance(table, Given):
                rows = Filled(table, graph) if absent else table.examples()
            else:
                rows = open_examples(table, model.data, model.device)
            figures = evaluate_figures(model, rows, samples, seed, densities.give(model.figures))
            known = [f.name for f in plan.figures if not absent or _says(f, absent, graph)]
            found[split] = described({n: e for n, e in figures.items() if n in known}, graph, plan, samples=samples)
            if tighter is not None and not absent:
                progress(f"{split}: {tighter.figure.name}")
                bound = evaluate_figures(tighter.model, rows, samples, seed, densities.give(tighter.give))
                found[split] |= described(bound, graph, plan, tighter.figure)
            if not absent and (measures or (measures is None and likelihood_of(plan) is None)):
                found[split] |= measure(model, graph, rows, seed, progress=_sets_progress(progress, split))
            for way in classes:
                if set(absent) <= {*way.names}:
                    told = judged(way, rows, model.data, len(classes_of(graph)) > 1, bool(absent))
                    found[split] |= {n: m for n, m in told.items() if n not in found[split]}
            if score is not None and (data or scored is not None):
                scores[split] = row_scores(model, rows, score.name, samples, seed, densities.give(model.figures))
                inside = inside or split
                if data and split != inside:
                    area = Measured(area_under_roc(score, inside), auroc(scores[inside], scores[split]))
                    found[split][area.figure.name] = area
    if scores and score is not None and scored is not None:
        scored(score, scores)
    return found


def predicted_classes(model: GenerativeModel, run: Run, graph: Graph) -> list[Enumerated]:
    """The variables of few values that rows have, whose law given all others is exact."""
    found = []
    for name in (v.name for v in classes_of(graph) if len(graph.data) > 1):
        try:
            score = choose_score(model, run, (name,))
        except SpecError:
            continue  # a game, or latents of an energy: nothing says how probable a value is
        if score.exact:
            found.append(Enumerated(graph, (name,), score, 1))
    return found


def judged(way: Enumerated, data: Data, names: Sequence[str], named: bool, absent: bool) -> dict[str, Measured]:
    """Error, NLL, entropy and calibration error of the predictions of a variable; where it is absent the entropy."""
    (name,) = way.names
    judgement = Judgement(name, named, way.exact)
    low = int(way.graph[name].type.support.low or 0)
    with torch.no_grad():
        for chunk in chunks_of(data, CHUNK):
            rows = dict(zip(names, chunk, strict=True))
            truth = rows.pop(name)
            seen = truth.isfinite() | absent
            if not seen.any():
                continue
            (belief,) = way.beliefs({key: value[seen] for key, value in rows.items()}, {}).values()
            assert isinstance(belief, Classes)
            judgement.classes(belief, None if absent else truth[seen].long().cpu().numpy()[:, None] - low)
    return {figure.name: Measured(figure, estimate) for figure, estimate in judgement.figures()}


class Filled:
    """Given rows, with some value for each variable that is not there: what does not read it is as it would be."""

    def __init__(self, given: Given, graph: Graph) -> None:
        self.given, self.graph = given, graph

    def chunks(self, size: int) -> Iterator[Sequence[Tensor]]:
        """The rows as the model takes them, up to `size` at a time."""
        for chunk in self.given.chunks(size):
            like = next(iter(chunk.values()))
            yield tuple(chunk[name] if name in chunk else self._some(name, like) for name in self.given.names)

    def _some(self, name: str, like: Tensor) -> Tensor:
        variable = self.graph[name]
        shape = variable.type.shape
        value = math.nan if variable.role == "partial" else variable.type.support.feasible(shape[-1] if shape else 1)
        return like.new_full((len(like), *shape), value)


def _says(figure: Figure, absent: Sequence[str], graph: Graph) -> bool:
    """Whether a figure needs none of these variables, which no other factor reads but such as are apart too."""
    if figure.kind == "rest":
        return True
    factor = graph.factor("p", figure.variables[0]) if figure.kind in ("factor", "error", "rmse") else None
    return factor is not None and not {factor.head, *graph.roots(factor.parents)} & set(absent)


def auroc(inside: Scores, outside: Scores) -> Estimate:
    """The area under the ROC curve of two samples of scores, with its standard error (Hanley and McNeil, 1982).

    That is the share of pairs of one of each in which the first is larger, ties counted half.
    """
    from sklearn.metrics import roc_auc_score

    m, n = len(inside), len(outside)
    labels = np.concatenate([np.ones(m), np.zeros(n)])
    area = float(roc_auc_score(labels, np.nan_to_num(np.concatenate([inside, outside]), neginf=-1e300)))
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (m - 1) * (one - area**2) + (n - 1) * (two - area**2)) / (m * n)
    return Estimate(area, math.sqrt(max(variance, 0.0)), n)


def _sets_progress(progress: Callable[[str], None], split: str) -> Callable[[int, int], None]:
    return lambda done, sets: progress(f"{split}: samples, set {done + 1} of {sets}")


def described(
    figures: Mapping[str, Estimate], graph: Graph, plan: Plan, *more: Figure, samples: int = 1
) -> dict[str, Measured]:
    """Estimates by name with the figures that they are of; likelihoods of discrete data in bits per dimension too.

    Args:
        more: figures that are none of the plan's.
        samples: draws of each row over which they were averaged.
    """
    own = {f.name: f for f in plan.figures}
    known = {f.name: f for f in more} | own
    count = dimensions(graph)
    found: dict[str, Measured] = {}
    for name, estimate in figures.items():
        figure = (known.get(name) or unknown(name)).averaged(samples)
        found[name] = Measured(figure, estimate)
        if count is not None and figure.is_likelihood:
            bits = bits_per_dimension(figure, named=name not in own)
            found[bits.name] = Measured(bits, in_bits(estimate, count))
    return found


def in_bits(nats: Estimate, count: int) -> Estimate:
    """A log-likelihood in nats an example as bits per dimension, `-nats / (D ln 2)`: fewer are better."""
    scale = count * math.log(2)
    return Estimate(-nats.mean / scale, nats.standard_error / scale, nats.rows)


def measure(
    model: GenerativeModel,
    graph: Graph,
    rows: Data,
    seed: int = 0,
    sets: int = SETS,
    progress: Callable[[int, int], None] = lambda done, sets: None,
) -> dict[str, Measured]:
    """MMD, precision and recall of a model's samples against rows of a split.

    Each is the mean over `sets` sets of samples, as many in each as there are rows, with the standard error of that
    mean: it says how much the samples vary, the rows are the same throughout. Where the model has conditions, they
    are those of the rows, and what is compared is the variables it gives.
    """
    known = pick_rows(model, rows, _MOST_ROWS, seed)
    count = len(next(iter(known.values())))
    if count <= NEIGHBOURS:
        return {}
    values: dict[str, list[float]] = {name: [] for name in MEASURES}
    # Samples of some models take long and much room: one set at a time.
    with seeded(seed, model.device):
        for k in range(sets):
            progress(k, sets)
            drawn = draw(model, graph, count, known)
            for name, value in _compare(drawn, known, graph).items():
                values[name].append(value)
    over = f"{counted(sets, 'set')} of samples"
    return {name: Measured(SAMPLE_FIGURES[name], _over_sets(of, count), over) for name, of in values.items()}


def _compare(drawn: Arrays, known: Arrays, graph: Graph) -> dict[str, float]:
    """The measures of one set of samples; NaN where a sample is not finite."""
    # A variable that is not seen in some of the rows is left out.
    modelled = {name: known[name] for name in drawn if np.isfinite(known[name]).all()}
    one: Arrays = {name: drawn[name] for name in modelled}
    if not all(np.isfinite(values).all() for values in one.values()):
        return dict.fromkeys(MEASURES, math.nan)
    compared = features(one, modelled, {name: graph[name].type for name in modelled})
    return {name: measure(*compared) for name, measure in MEASURES.items()}


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
