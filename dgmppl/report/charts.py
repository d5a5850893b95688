"""Charts and numbers as parts of a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dgmppl.report import html
from dgmppl.report.html import Html, image
from dgmppl.train.plots import PALETTE, Points, draw_lines, draw_points, is_shown, plane_of, render

_WIDTH, _HEIGHT = 3.4, 2.0
_SQUARE = 3.4

_LARGEST = 1e9
"""From here on a mean has an exponent: nobody reads its digits."""


def number(value: float | None, digits: int = 4) -> str:
    """A number for people: a few significant digits, no exponent where it can be helped."""
    if value is None or not math.isfinite(value):
        return "not finite"
    if value != 0 and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e").replace("-", "−")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:,.{min(decimals, 6)}f}"
    return (text.rstrip("0").rstrip(".") if "." in text and abs(value) < 0.1 else text).replace("-", "−")


def mean_and_error(mean: float, error: float) -> tuple[str, str]:
    """A mean and its standard error, to the second digit of the error."""
    if not math.isfinite(mean) or not math.isfinite(error) or error <= 0:
        return number(mean), "–" if math.isnan(error) else f"± {number(error, 2)}"
    decimals = 1 - math.floor(math.log10(error))
    if decimals > 8 or max(abs(mean), error) >= _LARGEST:
        return number(mean), f"± {number(error, 2)}"
    decimals = max(0, decimals)
    return f"{mean:,.{decimals}f}".replace("-", "−"), f"± {error:,.{decimals}f}"


def line_chart(series: Mapping[str, Points], label: str, mark: float | None = None) -> Html:
    """Lines over epochs.

    Args:
        series: points by name, in order; those that are not finite break the line.
        label: what stands in its place for a reader who sees no picture.
        mark: the epoch with a dashed line.
    """
    if not any(is_shown(y) for points in series.values() for _, y in points):
        return nothing_finite()
    svg = render(lambda figure: draw_lines(figure.subplots(), series, mark), _WIDTH, _HEIGHT, "svg")
    return image(svg, "svg+xml", label, "chart")


def scatter(
    groups: Mapping[str, NDArray[np.floating]],
    label: str,
    beside: NDArray[np.floating] | None = None,
    axes: Sequence[str] = (),
) -> Html:
    """Points of the plane (n, 2) by group, on axes of the same scale, or of their own where these have names.

    Args:
        axes: the names of the axes.
        beside: further points that the axes hold, those of another scatter that is to be compared.
    """
    if not any(len(plane_of(points)) for points in groups.values()):
        return nothing_finite()
    svg = render(lambda figure: draw_points(figure.subplots(), groups, beside, axes), _SQUARE, _SQUARE, "svg")
    return image(svg, "svg+xml", label, "chart")


def nothing_finite() -> Html:
    """What stands in a chart's place where there is nothing to draw."""
    return html.note("no finite values")


def legend(names: Sequence[str]) -> Html:
    """The colours of a chart's series by name."""
    return html.legend(names, len(PALETTE))
