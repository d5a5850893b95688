"""Sections that run the model: samples, rows given back through their latents, and where the latents lie."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from dgmppl.graph.supports import Type
from dgmppl.report.charts import legend, scatter
from dgmppl.report.html import Html, figure, join, tag
from dgmppl.report.latents import infer, invert, reconstruct
from dgmppl.report.pictures import show, show_groups
from dgmppl.report.source import Report
from dgmppl.train.pictures import image_shape
from dgmppl.train.runs import draw

Array = NDArray[np.float32]

_SAMPLES, _POINTS = 64, 1000
_EACH = 8
_PAIRS = 32
_MOST_MAPS = 6
_MOST_VALUES = 16


def samples(report: Report) -> Html | None:
    """Draws from the model; where a category is its condition, some of each."""
    if report.model is None:
        return tag("p", "There are no weights yet.", class_="note")
    given, columns, note = _conditions(report)
    if given is None:
        return tag("p", "The model is conditional, and the data that holds its conditions is not there.", class_="note")
    count = len(next(iter(given.values()))) if given else _count(report)
    drawn = draw(report.model, report.graph, count, given)
    panels = []
    for name, values in drawn.items():
        declared = report.graph[name].type
        # Side by side with what they are to be like; samples by class are told by their class.
        rows = {} if given else report.rows(count)
        like = rows[name] if name in rows and np.isfinite(rows[name]).all() else None
        shown = show(name, values, declared, "samples", columns, like)
        panels.append(figure(shown, f"{name} : {declared.describe()}, samples"))
        if like is not None:
            panels.append(figure(show(name, like, declared, "test rows", beside=values), f"{name}, test rows"))
    inside = tag("div", *panels, class_="beside") if len(panels) > 1 else _narrow(panels[0])
    return join([inside, tag("p", note, class_="note") if note else None])


def _count(report: Report) -> int:
    """Images take room; points and histograms need many to be seen as a cloud."""
    energy = bool(report.plan.samplers)
    shapes = [image_shape(v.type.shape) for v in report.graph.observed]
    return _SAMPLES if energy or any(shapes) else _POINTS


def _conditions(report: Report) -> tuple[dict[str, Array] | None, int | None, str]:
    """Values of the conditions, images to a row of the picture, and what to say about them."""
    names = report.graph.conditions
    if not names:
        return {}, None, ""
    support = report.graph[names[0]].type.support
    one = len(names) == 1 and report.graph[names[0]].type.shape == ()
    if (one and support.finite and support.low is not None) or (one and support.name == "categorical"):
        low, size = int(support.low or 0), support.size or 0
        if 0 < size <= _MOST_VALUES:
            values = np.arange(low, low + size, dtype=np.float32)
            images = any(image_shape(v.type.shape) for v in report.graph.observed)
            what = "Each row of images has" if images else f"Each {_EACH} samples have"
            note = f"{what} one value of {names[0]}, from {low} to {low + size - 1}."
            return {names[0]: values.repeat(_EACH)}, _EACH, note
    rows = report.rows(_count(report))
    if not rows:
        return None, None, ""
    return {name: rows[name] for name in names}, None, f"Given {', '.join(names)} of rows of the test split."


def reconstructions(report: Report) -> Html | None:
    """Test rows beside what the model makes of their latents."""
    if report.model is None or report.splits is None:
        return None
    model = report.model
    images = any(image_shape(v.type.shape) for v in report.graph.observed)
    rows = {name: values[: _PAIRS if images else _POINTS] for name, values in report.tensors(_POINTS).items()}
    if not report.whole(_POINTS).any():
        return None
    with torch.no_grad():
        found = reconstruct(model, report.graph, report.plan, rows)
    panels: list[Html] = []
    for name, values in found.items():
        declared = report.graph[name].type
        known, back = rows[name].cpu().numpy(), values.cpu().numpy().astype(np.float32)
        if image_shape(declared.shape):
            for what, shown in (("test rows", known), ("given back", back)):
                panels.append(figure(show(name, shown, declared, what, _EACH), f"{name}, {what}"))
        elif declared.support.name != "categorical":
            panels.append(_against(name, known, back, declared))
    if not panels:
        return None
    note = "Each row goes through the means of its latents to the mean of p; where there is no mean, through a draw."
    note += " Other variables of the row are as they are." if len(rows) > 1 else ""
    return join([tag("div", *panels, class_="beside"), tag("p", note, class_="note")])


def _against(name: str, known: Array, back: Array, declared: Type) -> Html:
    if declared.shape == (2,):
        groups: Mapping[str, Array] = {"test rows": known, "given back": back}
        chart = scatter(groups, f"{len(known)} test rows of {name}, and what is given back")
        return _narrow(figure(join([chart, legend(list(groups))]), f"{name} : {declared.describe()}"))
    every = np.stack([known.reshape(-1), back.reshape(-1)], axis=1)
    chosen = every[np.linspace(0, len(every) - 1, min(len(every), _POINTS)).astype(int)]
    chart = scatter({name: chosen}, f"values of {name} against what is given back")
    return _narrow(figure(chart, f"{name} : {declared.describe()}. Across: the value; up: what is given back."))


def latent_map(report: Report) -> Html | None:
    """Where the test rows lie among the latents, by colour of their class."""
    if report.model is None or report.splits is None:
        return None
    rows = report.tensors(_POINTS)
    if not report.whole(_POINTS).any():
        return None
    with torch.no_grad():
        drawn = infer(report.model, report.graph, report.plan, rows)
        inverted = invert(report.model, report.graph, report.plan, rows)
    found = {**drawn, **inverted}
    if not found:
        return None
    labels = report.labels(_POINTS)
    panels = []
    for name, values in list(found.items())[:_MOST_MAPS]:
        points, how = plane(values.cpu().numpy().reshape(len(values), -1))
        of, classes = labels or ("", None)
        alt = f"{len(points)} test rows in the space of {name}{f', coloured by {of}' if of else ''}"
        what = "the mean under q" if name in drawn else "the data, inverted"
        shown = show_groups(points, classes, of, alt)
        panels.append(figure(shown, f"{name} : {report.graph[name].type.describe()}, {what}{how}"))
    inside = tag("div", *panels, class_="beside") if len(panels) > 1 else _narrow(panels[0])
    more = f"{len(found) - _MOST_MAPS} further latents are not shown." if len(found) > _MOST_MAPS else None
    return join([inside, tag("p", more, class_="note") if more else None])


def plane(values: NDArray[np.floating]) -> tuple[NDArray[np.floating], str]:
    """Points (n, 2) for rows (n, d), and how they were made: two as they are, more by their principal components."""
    if values.shape[1] == 2:
        return values, ""
    if values.shape[1] == 1:
        spread = np.random.default_rng(0).uniform(-0.5, 0.5, len(values)) * (values.std() or 1.0)
        return np.stack([values[:, 0], spread], axis=1), "; up and down means nothing"
    finite = np.isfinite(values).all(axis=1)
    if finite.sum() < 2:
        return np.full((len(values), 2), np.nan), ""
    from sklearn.decomposition import PCA

    analysis = PCA(2, random_state=0).fit(values[finite])
    points = analysis.transform(np.where(finite[:, None], values, np.nan_to_num(values)))
    share = float(np.nan_to_num(analysis.explained_variance_ratio_.sum()))
    return points, f"; the first two principal components, with {share:.0%} of the variance"


def _narrow(inside: Html) -> Html:
    return tag("div", inside, style="max-width: 34rem")
