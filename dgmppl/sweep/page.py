"""report.html of a sweep: one page without anything from outside, with all trials and how the best figure rose."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from dgmppl.sweep.folder import REPORT, Search, write_whole
from dgmppl.sweep.run import Summary, ranked
from dgmppl.sweep.study import Row

_WIDTH, _HEIGHT, _LEFT, _BELOW = 640, 240, 70, 30

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #ddd; vertical-align: top }
code, pre { font: 13px/1.4 ui-monospace, monospace; background: #f5f5f5 }
pre { padding: .6rem; overflow-x: auto }
.best td { font-weight: 600 }
svg text { font: 12px system-ui, sans-serif; fill: #555 }
"""


def write_page(summary: Summary, search: Search) -> None:
    """Writes the page into the sweep's folder, whole or not at all."""
    write_whole(summary.folder.path / REPORT, page(summary, search))


def page(summary: Summary, search: Search) -> str:
    """The page as HTML."""
    title = escape(f"sweep of {search.spec}")
    better = "lower" if summary.lower else "higher"
    parts = [
        f"<h1>{title}</h1>",
        f"<p><code>{escape(search.figure)}</code> on the validation rows; {better} is better.</p>",
        "<ul>" + "".join(f"<li><code>{escape(one)}</code></li>" for one in search.ranges) + "</ul>",
        _history(summary),
        _importances(summary.importances),
        f"<h2>To train the best again</h2><pre>{escape(summary.command)}</pre>" if summary.command else "",
        _table(summary, search),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body>\n" + "\n".join(part for part in parts if part) + "\n</body></html>\n"
    )


def _table(summary: Summary, search: Search) -> str:
    done = ranked(summary.rows, summary.lower)
    rows = [*done, *(row for row in summary.rows if row not in done)]
    names = [one.partition("=")[0] for one in search.ranges]
    head = "".join(f"<th>{escape(name)}</th>" for name in ("trial", search.figure, *names, "state"))
    body = "".join(_row(row, names, row is summary.best) for row in rows)
    return f"<h2>Trials</h2><table><tr>{head}</tr>{body}</table>"


def _row(row: Row, names: Sequence[str], best: bool) -> str:
    value = "" if row.value is None else f"{row.value:.5g}"
    state = f"{row.state}: {row.why}" if row.why else row.state
    cells = [str(row.number), value, *(row.values.get(name, "") for name in names), state]
    written = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr class="best">{written}</tr>' if best else f"<tr>{written}</tr>"


def _importances(importances: dict[str, float]) -> str:
    if not importances:
        return ""
    shares = sorted(importances.items(), key=lambda item: -item[1])
    cells = "".join(f"<tr><td><code>{escape(name)}</code></td><td>{share:.0%}</td></tr>" for name, share in shares)
    return f"<h2>What matters</h2><table>{cells}</table>"


def _history(summary: Summary) -> str:
    """The figure of each trial, and the best so far, as an inline SVG picture."""
    points = [(row.number, row.value) for row in summary.rows if row.state == "done" and row.value is not None]
    if len(points) < 2:
        return ""
    best = [points[0]]
    for number, value in points[1:]:
        best.append((number, (min if summary.lower else max)(value, best[-1][1])))
    low, high = min(v for _, v in points), max(v for _, v in points)
    last = max(row.number for row in summary.rows) or 1

    def place(number: int, value: float) -> tuple[float, float]:
        x = _LEFT + (_WIDTH - _LEFT - 10) * number / last
        y = 10 + (_HEIGHT - _BELOW - 10) * ((high - value) / (high - low) if high > low else 0.5)
        return x, y

    dots = "".join('<circle cx="{:.1f}" cy="{:.1f}" r="3" fill="#4477aa"/>'.format(*place(*p)) for p in points)
    line = " ".join("{:.1f},{:.1f}".format(*place(*p)) for p in best)
    marks = "".join(
        f'<text x="{_LEFT - 8}" y="{place(0, value)[1] + 4:.1f}" text-anchor="end">{value:.5g}</text>'
        for value in dict.fromkeys((high, low))
    )
    marks += "".join(
        f'<text x="{place(number, low)[0]:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{number}</text>'
        for number in dict.fromkeys((0, last))
    )
    return (
        "<h2>Trial by trial</h2>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" aria-label="the figure of each trial">'
        f'<polyline points="{line}" fill="none" stroke="#cc6677" stroke-width="1.5"/>{dots}{marks}</svg>'
        "<p>Dots are trials, the line is the best so far.</p>"
    )
