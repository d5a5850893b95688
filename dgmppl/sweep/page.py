"""report.html of a sweep: one page without anything from outside, with all trials and how the best figure rose."""

from __future__ import annotations

from dgmppl.report.charts import legend, line_chart, number
from dgmppl.report.html import Html, code, join, page, template
from dgmppl.sweep.folder import REPORT, Search, write_whole
from dgmppl.sweep.run import Summary, ranked
from dgmppl.sweep.study import Row
from dgmppl.words import counted


def write_page(summary: Summary, search: Search) -> None:
    """Writes the page into the sweep's folder, whole or not at all."""
    write_whole(summary.folder.path / REPORT, sweep_page(summary, search))


def sweep_page(summary: Summary, search: Search) -> str:
    """The page as HTML."""
    names = [one.partition("=")[0] for one in search.ranges]
    done = ranked(summary.rows, summary.lower)
    rows = [*done, *(row for row in summary.rows if row not in done)]
    shares = sorted(summary.importances.items(), key=lambda item: -item[1])
    inside = template(
        "sweep.html",
        spec=search.spec,
        figure=search.figure,
        better="lower" if summary.lower else "higher",
        ranges=search.ranges,
        command=summary.command,
        history=_history(summary),
        importances=[(code(name), f"{share:.0%}") for name, share in shares],
        head=("trial", search.figure, *map(code, names), "state"),
        trials=[_cells(row, names) for row in rows],
    )
    return page(f"sweep of {search.spec}", [inside])


def _cells(row: Row, names: list[str]) -> tuple[object, ...]:
    value = "" if row.value is None else number(row.value)
    state = f"{row.state}: {row.why}" if row.why else row.state
    return (row.number, value, *(row.values.get(name, "") for name in names), state)


def _history(summary: Summary) -> Html | None:
    points = [(float(row.number), row.value) for row in summary.rows if row.state == "done" and row.value is not None]
    if len(points) < 2:
        return None
    best = [points[0]]
    for trial, value in points[1:]:
        best.append((trial, (min if summary.lower else max)(value, best[-1][1])))
    series = {"best so far": best, "trial": points}
    chart = line_chart(series, f"the figure of each of {counted(len(points), 'trial')}, and the best so far")
    return join((chart, legend(tuple(series))))
