"""Scores of rows of several sets, side by side: as lines of text, and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.train.plots import PALETTE, literal, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Scores = NDArray[np.float64]

SUFFIXES = (".svg", ".png")

_LINES, _BARS = 12, 40


@dataclass(frozen=True)
class Histogram:
    """How the scores of sets lie: the share of each set in bins that all have in common."""

    name: str
    edges: Scores
    shares: Mapping[str, Scores]

    @staticmethod
    def of(scores: Mapping[str, Scores], name: str, bins: int) -> Histogram | None:
        """That of scores by set, called `name`; None where none of them is finite."""
        whole = np.concatenate([values[np.isfinite(values)] for values in scores.values()])
        if not whole.size:
            return None
        # What lies far out would leave all else in one bin: it is counted in the first or the last.
        low, high = np.quantile(whole, [0.005, 0.995])
        edges = np.linspace(low, high if high > low else low + 1, bins + 1)
        shares = {}
        for key, values in scores.items():
            inside = np.clip(np.nan_to_num(values, neginf=-1e300), edges[0], edges[-1])
            shares[key] = np.histogram(inside, edges)[0] / max(len(values), 1)
        return Histogram(name, edges, shares)


def as_text(scores: Mapping[str, Scores], name: str, width: int = 30) -> list[str]:
    """A line for each bin: the share of each set in it, as a bar of up to so many characters."""
    found = Histogram.of(scores, name, _LINES)
    if found is None:
        return []
    edges = found.edges
    most = max(share.max() for share in found.shares.values()) or 1.0
    lines = ["", f"{name} of each row, the share of a set in each bin:"]
    lines.append(" " * 26 + "  ".join(key[-width:].ljust(width) for key in found.shares).rstrip())
    for k in range(len(edges) - 1):
        bars = [f"{s[k]:6.1%} {'#' * round(s[k] / most * (width - 7))}".ljust(width) for s in found.shares.values()]
        lines.append(f"{edges[k]:>10.4g} .. {edges[k + 1]:<10.4g}  " + "  ".join(bars).rstrip())
    return lines


def as_picture(scores: Mapping[str, Scores], name: str, unit: str, form: str) -> bytes:
    """Outlines of a histogram for each set, as "png" or "svg"."""
    found = Histogram.of(scores, name, _BARS)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for k, (key, shares) in enumerate(found.shares.items() if found is not None else ()):
            assert found is not None
            colour = PALETTE[k % len(PALETTE)]
            axes.stairs(shares, found.edges, color=colour, label=literal(key), fill=True, alpha=0.25)
            axes.stairs(shares, found.edges, color=colour, linewidth=1.4)
        axes.set_xlabel(literal(f"{name} of a row, {unit}"))
        axes.set_ylabel("share of rows")
        if found is not None:
            axes.legend()

    return render(draw, 6.0, 3.4, form)


def verify_plot(out: Path) -> None:
    """Raises a SpecError (E652) when the name of a file is not one that a histogram can be written to."""
    if out.suffix.lower() not in SUFFIXES:
        raise SpecError([Diagnostic("E652", f"a histogram is written to .svg or .png, not to {out.name}")])


def write_plot(scores: Mapping[str, Scores], name: str, unit: str, out: Path) -> None:
    """Writes the histogram as a picture.

    Raises:
        SpecError: for another suffix (E652), and where the file cannot be written (E607).
    """
    verify_plot(out)
    found = as_picture(scores, name, unit, out.suffix.lower()[1:])
    try:
        out.write_bytes(found)
    except OSError as error:
        raise SpecError([Diagnostic("E607", f"cannot write {out}: {error.strerror}")]) from None


__all__ = ["SUFFIXES", "Histogram", "as_picture", "as_text", "verify_plot", "write_plot"]
