"""Curves and scatters as inline SVG: they take the page's colours, light or dark, and need no script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dgmppl.report.html import Html, join, tag
from dgmppl.report.style import COLOURS

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 340, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 8, 8, 24
_MOST_POINTS = 500
_DOT = 2.4
_LARGEST = 1e100
"""Numbers beyond have no place on an axis: differences between them overflow."""


def number(value: float | None, digits: int = 4) -> str:
    """A number for people: a few significant digits, no exponent where it can be helped."""
    if value is None or not math.isfinite(value):
        return "not finite"
    if value != 0 and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}g}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:,.{min(decimals, 6)}f}"
    return (text.rstrip("0").rstrip(".") if "." in text and abs(value) < 0.1 else text).replace("-", "−")


def mean_and_error(mean: float, error: float) -> tuple[str, str]:
    """A mean and its standard error, to the second digit of the error."""
    if not math.isfinite(mean) or not math.isfinite(error) or error <= 0:
        return number(mean), "–" if math.isnan(error) else f"± {number(error, 2)}"
    decimals = 1 - math.floor(math.log10(error))
    if decimals > 8:
        return number(mean), f"± {number(error, 2)}"
    decimals = max(0, decimals)
    return f"{mean:,.{decimals}f}".replace("-", "−"), f"± {error:,.{decimals}f}"


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers between two ends, about `count` of them."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    return [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def line_chart(series: Mapping[str, Points], label: str, mark: float | None = None) -> Html:
    """Lines over epochs.

    The scale follows from what comes after the first twentieth, for a start far off would leave a flat line; what is
    above or below it is cut off.

    Args:
        series: points by name, in order; those that are not finite break the line.
        label: what a reader who sees no picture is told.
        mark: the epoch with a dashed line.
    """
    finite = [(x, y) for points in series.values() for x, y in points if _shown(y)]
    if not finite:
        return tag("p", "no finite values", class_="note")
    first, last = min(x for x, _ in finite), max(x for x, _ in finite)
    late = [y for x, y in finite if x > first + (last - first) / 20 or len(finite) < 20]
    frame = _Frame(first, last, min(late), max(late))
    lines = [
        join(tag("polyline", points=" ".join(piece), class_=f"line s{k % COLOURS}") for piece in frame.pieces(points))
        for k, points in enumerate(series.values())
    ]
    dots = [
        tag("circle", cx=f"{frame.x(points[0][0]):.1f}", cy=f"{frame.y(points[0][1]):.1f}", r=3, class_=f"dot s{k}")
        for k, points in enumerate(series.values())
        if len(points) == 1 and _shown(points[0][1])
    ]
    at = None
    if mark is not None and first <= mark <= last:
        x = f"{frame.x(mark):.1f}"
        at = tag("line", x1=x, x2=x, y1=_TOP, y2=_HEIGHT - _BOTTOM, class_="mark")
    inside = tag(
        "svg",
        *(lines + dots),
        x=_LEFT - 2,
        y=_TOP - 3,
        width=_WIDTH - _LEFT - _RIGHT + 4,
        height=_HEIGHT - _TOP - _BOTTOM + 6,
        viewBox=f"{_LEFT - 2} {_TOP - 3} {_WIDTH - _LEFT - _RIGHT + 4} {_HEIGHT - _TOP - _BOTTOM + 6}",
        overflow="hidden",
    )
    return _svg(frame.axes(whole_x=True), at, inside, label=label, width=_WIDTH, height=_HEIGHT)


def legend(names: Sequence[str]) -> Html:
    """The colours of a chart's series by name."""
    return tag(
        "ul", *(tag("li", tag("span", n), class_=f"s{k % COLOURS}") for k, n in enumerate(names)), class_="legend"
    )


def _shown(value: float) -> bool:
    return abs(value) < _LARGEST


def scatter(
    groups: Mapping[str, NDArray[np.floating]],
    label: str,
    beside: NDArray[np.floating] | None = None,
    size: int = 340,
) -> Html:
    """Points of the plane (n, 2) by group, on axes of the same scale.

    Args:
        beside: further points that the axes hold, those of another scatter that is to be compared.
    """
    held = [*groups.values(), *([] if beside is None else [beside])]
    every = np.concatenate([np.asarray(points, dtype=float).reshape(-1, 2) for points in held])
    every = every[(np.abs(every) < _LARGEST).all(axis=1)]
    if not len(every):
        return tag("p", "no finite values", class_="note")
    # A few points far off must not shrink all the others: the axes hold the middle 99% with a margin.
    low, high = np.percentile(every, 0.5, axis=0), np.percentile(every, 99.5, axis=0)
    middle, half = (low + high) / 2, max(float((high - low).max()) * 0.55, 1e-6)
    (x0, y0), (x1, y1) = middle - half, middle + half
    frame = _Frame(float(x0), float(x1), float(y0), float(y1), size, size, margin=0.0)
    dots: list[Html] = []
    for k, points in enumerate(groups.values()):
        inside = [(x, y) for x, y in np.asarray(points, dtype=float).reshape(-1, 2) if x0 <= x <= x1 and y0 <= y <= y1]
        circles = (tag("circle", cx=f"{frame.x(x):.1f}", cy=f"{frame.y(y):.1f}", r=_DOT) for x, y in inside)
        dots.append(tag("g", *circles, class_=f"dot s{k % COLOURS}"))
    return _svg(frame.axes(), *dots, label=label, width=size, height=size)


class _Frame:
    """Where numbers lie on the page."""

    def __init__(
        self,
        x0: float,
        x1: float,
        y0: float,
        y1: float,
        width: int = _WIDTH,
        height: int = _HEIGHT,
        margin: float = 0.06,
    ) -> None:
        room = (y1 - y0) * margin or abs(y1) * 0.05 * bool(margin) or (1.0 if y1 == y0 else 0.0)
        self.x0, self.x1, self.y0, self.y1 = x0, x1, y0 - room, y1 + room
        self.width, self.height = width, height

    def x(self, value: float) -> float:
        share = (value - self.x0) / (self.x1 - self.x0) if self.x1 > self.x0 else 0.5
        return _LEFT + share * (self.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y0) / (self.y1 - self.y0)
        # Far outside is as good as just outside, and keeps the numbers of the page short.
        share = min(max(share, -2.0), 3.0)
        return self.height - _BOTTOM - share * (self.height - _TOP - _BOTTOM)

    def pieces(self, points: Points) -> list[list[str]]:
        """The line's runs of finite points, thinned where there are more than can be told apart."""
        step = -(-len(points) // _MOST_POINTS)
        kept = [p for k, p in enumerate(points) if k % step == 0 or k == len(points) - 1]
        runs: list[list[str]] = [[]]
        for x, y in kept:
            if _shown(y):
                runs[-1].append(f"{self.x(x):.1f},{self.y(y):.1f}")
            elif runs[-1]:
                runs.append([])
        return [run for run in runs if len(run) > 1]

    def axes(self, whole_x: bool = False) -> Html:
        parts: list[Html] = []
        for value in ticks(self.y0, self.y1):
            y = f"{self.y(value):.1f}"
            parts.append(tag("line", x1=_LEFT, x2=self.width - _RIGHT, y1=y, y2=y, class_="grid"))
            parts.append(tag("text", short(value), x=_LEFT - 6, y=f"{self.y(value) + 4:.1f}", text_anchor="end"))
        for value in ticks(self.x0, self.x1, 5):
            if whole_x and not float(value).is_integer():
                continue
            x = f"{self.x(value):.1f}"
            if not whole_x:
                parts.append(tag("line", x1=x, x2=x, y1=_TOP, y2=self.height - _BOTTOM, class_="grid"))
            parts.append(tag("text", short(value), x=x, y=self.height - 6, text_anchor="middle"))
        return join(parts)


def short(value: float) -> str:
    """A tick's number."""
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.2g}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−")
    return f"{value:.10g}".replace("-", "−") if abs(value) < 1e4 else f"{value:,.0f}".replace("-", "−")


def _svg(*children: object, label: str, width: int, height: int) -> Html:
    return tag("svg", *children, class_="chart", role="img", aria_label=label, viewBox=f"0 0 {width} {height}")
