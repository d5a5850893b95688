"""Charts, drawn by matplotlib to PNG or to SVG: lines over epochs, points of the plane, histograms, grids of images.

Nothing of the caller's reaches them: neither MPLBACKEND nor a matplotlibrc, and the locale does not change their
numbers. An SVG takes the colours of a light or a dark page by itself and fetches nothing.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = Sequence[tuple[float, float]]

PALETTE = (
    *("#2a78c2", "#d9611d", "#1f9d6b", "#b3479b", "#a8890c"),
    *("#35a8bd", "#d2415b", "#7d62cf", "#7a8a1f", "#7f7f86"),
)
"""Colours of series, in order; they are seen on white and on black."""

LARGEST = 1e100
"""Numbers beyond have no place on an axis: differences between them overflow."""

_INK, _LINE = "#5d6671", "#dfe3e9"
_THEME = (
    "<style>:root{--ink:#5d6670;--line:#dfe3e8}"
    "@media (prefers-color-scheme:dark){:root{--ink:#9aa4af;--line:#333a42}}"
    "text{font-family:system-ui,sans-serif!important}</style>"
)
_OTHER_SCRIPTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "PingFang SC", "Hiragino Sans", "Microsoft YaHei"),
    *("Malgun Gothic", "Noto Sans Devanagari", "Noto Sans Thai", "Arial Unicode MS", "Nirmala UI"),
)
_MOST_POINTS = 500
_MOST_BARS = 100
_BARS = 30


def render(draw: Callable[[Figure], None], width: float, height: float, form: str = "png") -> bytes:
    """What `draw` puts on a figure of this size, in inches, as "png" or "svg"."""
    with _defaults() as matplotlib:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        matplotlib.rcParams.update(
            {
                "svg.fonttype": "none",
                "svg.hashsalt": "dgmppl",
                "axes.formatter.use_locale": False,
                "text.color": _INK,
                "axes.labelcolor": _INK,
                "xtick.color": _INK,
                "ytick.color": _INK,
                "axes.edgecolor": _LINE,
                "grid.color": _LINE,
                "axes.grid": True,
                "axes.axisbelow": True,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "font.size": 8,
                "axes.titlesize": 9,
                "xtick.major.size": 0,
                "ytick.major.size": 0,
                "legend.frameon": False,
            }
        )
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        file = io.BytesIO()
        if form == "png":
            figure.savefig(file, format="png", dpi=120)
            return file.getvalue()
        figure.savefig(file, format="svg", dpi=200, transparent=True, metadata={"Date": None, "Creator": None})
    return _themed(file.getvalue().decode()).encode()


@contextmanager
def _defaults() -> Iterator[ModuleType]:
    """matplotlib with its own settings. MPLBACKEND is read when it is imported, and may name what is not there."""
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams["font.family"] = _families()
        # A name of the data may be in any script. Pages set the text of an SVG in fonts of their reader; in a PNG a box
        # stands for a sign that no font here has.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        yield matplotlib


@cache
def _families() -> list[str]:
    """The font of matplotlib, and behind it those that are installed for the scripts which it does not have."""
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return ["DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in installed)]


def _themed(svg: str) -> str:
    """An SVG whose text and lines have the colours of a light or a dark page."""
    svg = svg.replace(_INK, "var(--ink)").replace(_LINE, "var(--line)")
    # Without the head, which names a document type elsewhere.
    _, tag, rest = svg.partition("<svg ")
    attributes, end, inside = rest.partition(">")
    return tag + attributes + end + _THEME + inside


def draw_lines(axes: Axes, series: Mapping[str, Points], mark: float | None = None) -> None:
    """Lines over epochs; numbers that are not finite break them, and many are thinned.

    The scale follows from what comes after the first twentieth, for a start far off would leave a flat line; what is
    above or below it is cut off.

    Args:
        series: points by name, in order.
        mark: the epoch with a dashed line.
    """
    from matplotlib.ticker import MaxNLocator

    every = [(x, y) for points in series.values() for x, y in points if is_shown(y)]
    for k, (name, points) in enumerate(series.items()):
        xs, ys = thinned(points)
        # A number between two that are not finite has no line to be seen by.
        single = sum(map(math.isfinite, ys)) == 1
        colour = PALETTE[k % len(PALETTE)]
        axes.plot(xs, ys, color=colour, linewidth=1.4, marker="o" if single else "", markersize=4, label=literal(name))
    if every:
        first, last = min(x for x, _ in every), max(x for x, _ in every)
        late = [y for x, y in every if x > first + (last - first) / 20 or len(every) < 20]
        low, high = min(late), max(late)
        room = (high - low) * 0.06 or abs(high) * 0.05 or 1.0
        axes.set_ylim(low - room, high + room)
        if mark is not None and first <= mark <= last:
            axes.axvline(mark, color=_INK, linewidth=0.9, linestyle=(0, (3, 3)))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(visible=False, axis="x")


def thinned(points: Points) -> tuple[list[float], list[float]]:
    """A line's numbers, NaN where they have no place, no more of them than can be told apart; both ends are kept."""
    step = max(1, -(-len(points) // _MOST_POINTS))
    kept = [p for k, p in enumerate(points) if k % step == 0 or k == len(points) - 1]
    return [x for x, _ in kept], [y if is_shown(y) else math.nan for _, y in kept]


def draw_points(
    axes: Axes,
    groups: Mapping[str, NDArray[np.floating]],
    beside: NDArray[np.floating] | None = None,
    labels: Sequence[str] = (),
) -> None:
    """Points (n, 2) of the plane by group, on axes of the same scale; on axes of their own where these have names, as
    they may have units of their own too.

    A few points far off must not shrink all the others: the axes hold the middle 99% with a margin.

    Args:
        beside: further points that the axes hold, those of another chart that this is compared with.
        labels: the names of the two axes.
    """
    held = [*groups.values(), *([] if beside is None else [beside])]
    every = np.concatenate([plane_of(points) for points in held])
    if len(every):
        low, high = np.percentile(every, 0.5, axis=0), np.percentile(every, 99.5, axis=0)
        middle = (low + high) / 2
        # Points that are all the same need room that differs from them in double precision.
        half = np.maximum(np.maximum((high - low) * 0.55, np.abs(middle) * 1e-6), 1e-6)
        half = half if labels else np.full(2, half.max())
        axes.set_xlim(middle[0] - half[0], middle[0] + half[0])
        axes.set_ylim(middle[1] - half[1], middle[1] + half[1])
    for k, points in enumerate(groups.values()):
        found = plane_of(points)
        colour = PALETTE[k % len(PALETTE)]
        axes.scatter(found[:, 0], found[:, 1], s=7, alpha=0.7, linewidths=0, color=colour, rasterized=True)
    if labels:
        axes.set_xlabel(literal(labels[0]))
        axes.set_ylabel(literal(labels[1]))
    else:
        axes.set_aspect("equal", "box")
    axes.locator_params(nbins=5)


def plane_of(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Points that have a place on axes, in double precision."""
    found = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    with np.errstate(invalid="ignore"):
        return found[(np.abs(found) < LARGEST).all(axis=1)]


def draw_histograms(axes: Axes, columns: NDArray[np.floating], discrete: bool, names: Sequence[str] = ()) -> None:
    """Outlines of one histogram a column of (n, d), on common bins.

    Args:
        discrete: whether the values are whole numbers.
        names: of the columns, where there is to be a legend.
    """
    values = np.asarray(columns, dtype=np.float64)
    edges = bin_edges(values, discrete)
    for k in range(values.shape[1]):
        label = names[k] if names else None
        axes.hist(_placed(values[:, k]), bins=edges, histtype="step", label=label, color=PALETTE[k % len(PALETTE)])


def bin_edges(values: NDArray[np.floating], discrete: bool) -> list[float]:
    """Edges of bins: one bin a value where values are whole numbers and not too many, else 30 of them, or as many as
    single precision can tell apart where these are fewer; a single one around values that are all the same."""
    found = _placed(np.asarray(values, dtype=np.float64))
    if not found.size:
        return [0.0, 1.0]
    low, high = float(found.min()), float(found.max())
    # The distance of two neighbours in single precision, which is what samples have.
    step = float(np.spacing(np.float32(min(max(abs(low), abs(high)), 1e38))))
    if discrete and high - low < _MOST_BARS and step < 0.5:
        return [float(edge) for edge in np.arange(low, high + 2) - 0.5]
    if high == low:
        room = max(abs(low) * 0.05, 0.5)
        return [low - room, high + room]
    if high - low < _BARS * step:
        return [low + (k - 0.5) * step for k in range(round((high - low) / step) + 2)]
    return [float(edge) for edge in np.linspace(low, high, _BARS + 1)]


def _placed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return values[np.abs(values) < LARGEST]


def is_shown(value: float) -> bool:
    """Whether a number has a place on an axis."""
    return abs(value) < LARGEST


def literal(text: str) -> str:
    """Text that matplotlib neither reads as maths nor hides."""
    return text.replace("$", r"\$").lstrip("_") or "-"
