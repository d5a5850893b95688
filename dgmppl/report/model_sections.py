"""Sections of a page that run the model: samples, rows given back through their latents, and where the latents lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dgmppl.plan.rules.invert import Invert
from dgmppl.report import latents
from dgmppl.report.charts import legend, scatter
from dgmppl.report.html import Html, box, captioned, join, macro, narrow, note
from dgmppl.report.latents import latents_of, rows_back
from dgmppl.report.pictures import show, show_groups
from dgmppl.report.source import Report
from dgmppl.train.pictures import Shown, image_shape
from dgmppl.train.runs import draw
from dgmppl.words import counted

Array = NDArray[Any]

_SAMPLES, _POINTS = 64, 1000
_EACH = 8
_PAIRS = 32
_MOST_MAPS = 6
_DRAWS = 1000
_MOST_NUMBERS = 40
_MOST_VALUES = 16


def samples(report: Report) -> Html | None:
    """Draws from the model; where a category is its condition, some of each."""
    if report.model is None:
        return note("There are no weights yet.")
    given, columns, said = _conditions(report)
    if given is None:
        return note("The model is conditional, and the data that holds its conditions is not there.")
    count = len(next(iter(given.values()))) if given else _count(report)
    drawn = draw(report.model, report.graph, count, given)
    panels = []
    for name, values in drawn.items():
        how = report.units.shown(name)
        # Side by side with what they are to be like; samples by class are told by their class.
        rows = {} if given else report.rows(count)
        like = rows[name] if name in rows and np.isfinite(rows[name]).all() else None
        values, like = report.units.of(name, values), None if like is None else report.units.of(name, like)
        shown = show(name, values, how, "samples", columns, like)
        panels.append(captioned(shown, f"{name} : {how.type.describe()}, samples"))
        if like is not None:
            panels.append(captioned(show(name, like, how, "test rows", beside=values), f"{name}, test rows"))
    return join([_beside(panels), note(said) if said else None])


def _count(report: Report) -> int:
    """Images take room; points and histograms need many to be seen as a cloud."""
    energy = bool(report.plan.samplers)
    shapes = [image_shape(v.type.shape) for v in report.graph.data]
    return _SAMPLES if energy or any(shapes) else _POINTS


def _conditions(report: Report) -> tuple[dict[str, Array] | None, int | None, str]:
    """Values of the conditions, images to a row of the picture, and what to say about them."""
    names = report.graph.asked
    if not names:
        return {}, None, ""
    support = report.graph[names[0]].type.support
    one = len(names) == 1 and report.graph[names[0]].type.shape == ()
    if one and support.finite and (support.size or 0) <= _MOST_VALUES:
        values = np.array(support.values(), dtype=np.float32)
        images = any(image_shape(v.type.shape) for v in report.graph.data)
        what = "Each row of images has" if images else f"Each {_EACH} samples have"
        first, last = (report.class_text(names[0], float(value)) for value in (values[0], values[-1]))
        said = f"{what} one value of {names[0]}, from {first} to {last}."
        return {names[0]: values.repeat(_EACH)}, _EACH, said
    rows = report.rows(_count(report))
    if not rows:
        return None, None, ""
    return {name: rows[name] for name in names}, None, f"Given {', '.join(names)} of rows of the test split."


def reconstructions(report: Report) -> Html | None:
    """Test rows beside what the model makes of their latents."""
    if report.model is None or report.splits is None:
        return None
    model = report.model
    images = any(image_shape(v.type.shape) for v in report.graph.data)
    rows = {name: values[: _PAIRS if images else _POINTS] for name, values in report.tensors(_POINTS).items()}
    if not report.whole(_POINTS).any():
        return None
    with torch.no_grad():
        found = rows_back(model, report.plan, rows)
    panels: list[Html] = []
    for name, values in found.items():
        how, declared = report.units.shown(name), report.graph[name].type
        known, back = rows[name].cpu().numpy(), values.cpu().numpy().astype(np.float32)
        if image_shape(how.type.shape):
            seen = np.where(np.isnan(known), declared.feasible, known)
            for what, shown in (("test rows", seen), ("given back", back)):
                panels.append(captioned(show(name, report.units.of(name, shown), how, what, _EACH), f"{name}, {what}"))
        elif declared.support.numeric:
            panels.append(_against(name, report.units.of(name, known), report.units.of(name, back), how))
    if not panels:
        return None
    said = "Each row goes through the means of its latents to the mean of p; where there is no mean, through a draw."
    said += " Other variables of the row are as they are." if len(rows) > 1 else ""
    return join([box("beside", panels), note(said)])


def _against(name: str, known: Array, back: Array, how: Shown) -> Html:
    declared, known, back = how.type, how.numbers(known), how.numbers(back)
    if declared.shape == (2,):
        seen = known[np.isfinite(known).all(axis=1)]
        groups: Mapping[str, Array] = {"test rows": seen, "given back": back}
        chart = scatter(groups, f"{counted(len(known), 'test row')} of {name}, and what is given back", axes=how.labels)
        return narrow(captioned(join([chart, legend(list(groups))]), f"{name} : {declared.describe()}"))
    every = np.stack([known.reshape(-1), back.reshape(-1)], axis=1)
    every = every[np.isfinite(every).all(axis=1)]  # what is missing is given back beside nothing
    chosen = every[np.linspace(0, len(every) - 1, min(len(every), _POINTS)).astype(int)]
    chart = scatter({name: chosen}, f"values of {name} against what is given back")
    return narrow(captioned(chart, f"{name} : {declared.describe()}. Across: the value; up: what is given back."))


def latent_map(report: Report) -> Html | None:
    """Where the test rows lie among the latents, by colour of their class."""
    if report.model is None or report.splits is None:
        return None
    rows = report.tensors(_POINTS)
    if not report.whole(_POINTS).any():
        return None
    with torch.no_grad():
        found = latents_of(report.model, report.graph, rows)
    inverted = {name for step in report.plan.steps if isinstance(step, Invert) for name in step.gives}
    if not found:
        return None
    of, classes = report.labels(_POINTS) or ("", None)

    def told(value: float) -> str:
        return f"{of} = {report.class_text(of, value)}"

    panels = []
    for name, values in list(found.items())[:_MOST_MAPS]:
        points, how = plane(values.cpu().numpy().reshape(len(values), -1))
        alt = f"{counted(len(points), 'test row')} in the space of {name}{f', coloured by {of}' if of else ''}"
        what = "the data, inverted" if name in inverted else "the mean under q"
        shown = show_groups(points, classes, told, alt)
        panels.append(captioned(shown, f"{name} : {report.graph[name].type.describe()}, {what}{how}"))
    more = f"{len(found) - _MOST_MAPS} further latents are not shown." if len(found) > _MOST_MAPS else None
    return join([_beside(panels), note(more) if more else None])


def in_common(report: Report) -> Html | None:
    """The posterior of what rows have in common, number by number."""
    if report.model is None or report.splits is None or not report.graph.shared:
        return None
    with torch.no_grad():
        found = latents.in_common(report.model, report.graph, report.tensors(1), _DRAWS)
    rows, left, classes = [], [], []
    for name, values in found.items():
        drawn = values.cpu().numpy().astype(np.float64)
        places = list(np.ndindex(drawn.shape[1:]))
        if len(places) > _MOST_NUMBERS:
            left.append(
                f"{name}, {counted(len(places), 'number', ',')} with a mean deviation of {drawn.std(0).mean():.3g}"
            )
            continue
        for place, numbers in zip(places, drawn.reshape(len(drawn), -1).T, strict=True):
            at = f"[{', '.join(map(str, place))}]" if place else ""
            if not report.graph[name].type.support.numeric:
                each, times = np.unique(numbers, return_counts=True)
                classes.append((f"{name}{at}", f"{each[times.argmax()]:g}", f"{times.max() / len(numbers):.4g}"))
                continue
            told = (numbers.mean(), numbers.std(), *np.quantile(numbers, (0.05, 0.5, 0.95)))
            rows.append((f"{name}{at}", *(f"{number:.4g}" for number in told)))
    said = f"From {_DRAWS} draws of q; one for each group is counted from the group's first value, 0."
    said += f" Not listed: {'; '.join(left)}." if left else ""
    columns = ("", "mean", "deviation", "5 %", "median", "95 %")
    tables = [("", "most probable", "probability"), classes], [columns, rows]
    shown = [t for t in tables if t[1]] or [tables[-1]]
    last = len(shown) - 1
    return join(macro("run.html", "figures", *t, [said] * (k == last)) for k, t in enumerate(shown))


def plane(values: NDArray[np.floating]) -> tuple[NDArray[np.floating], str]:
    """Points (n, 2) for rows (n, d), and how they were made: two as they are, more by their principal components."""
    values = np.asarray(values, dtype=np.float64)  # squares of large numbers in single precision are infinite
    if values.shape[1] == 2:
        return values, ""
    if values.shape[1] == 1:
        found = values[np.isfinite(values)]
        spread = np.random.default_rng(0).uniform(-0.5, 0.5, len(values)) * ((found.std() if found.size else 0) or 1.0)
        return np.stack([values[:, 0], spread], axis=1), "; up and down means nothing"
    finite = np.isfinite(values).all(axis=1)
    if finite.sum() < 2 or not np.ptp(values[finite], axis=0).any():
        # There are no components of a single point.
        return values[:, :2], "; the first two of its numbers"
    from sklearn.decomposition import PCA

    analysis = PCA(2, random_state=0).fit(values[finite])
    points = np.full((len(values), 2), np.nan)
    points[finite] = analysis.transform(values[finite])
    share = float(np.nan_to_num(analysis.explained_variance_ratio_.sum()))
    return points, f"; the first two principal components, with {share:.0%} of the variance"


def _beside(panels: list[Html]) -> Html:
    return box("beside", panels) if len(panels) > 1 else narrow(panels[0])
