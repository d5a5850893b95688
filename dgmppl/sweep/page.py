"""report.html of a sweep: one page without anything from outside, with all trials and how the best figure rose."""

from __future__ import annotations

from dgmppl.report.charts import legend, line_chart, number
from dgmppl.report.html import Html, figure, join, table, tag
from dgmppl.report.page import page
from dgmppl.sweep.folder import REPORT, Search, write_whole
from dgmppl.sweep.run import Summary, ranked
from dgmppl.sweep.study import Row


def write_page(summary: Summary, search: Search) -> None:
    """Writes the page into the sweep's folder, whole or not at all."""
    write_whole(summary.folder.path / REPORT, sweep_page(summary, search))


def sweep_page(summary: Summary, search: Search) -> str:
    """The page as HTML."""
    better = "lower" if summary.lower else "higher"
    searched = join((tag("code", one) for one in search.ranges), ", ")
    lead = tag("p", f"{search.figure} on the validation rows, {better} is better, over ", searched, class_="lead")
    sections = (
        ("The best", tag("pre", summary.command) if summary.command else None),
        ("Trial by trial", _history(summary)),
        ("What matters", _importances(summary.importances)),
        ("Trials", _trials(summary, search)),
    )
    parts = (tag("section", tag("h2", title), inside) for title, inside in sections if inside is not None)
    return page(f"sweep of {search.spec}", [tag("h1", f"Sweep of {search.spec}"), lead, *parts])


def _trials(summary: Summary, search: Search) -> Html:
    done = ranked(summary.rows, summary.lower)
    rows = [*done, *(row for row in summary.rows if row not in done)]
    names = [one.partition("=")[0] for one in search.ranges]
    head = ("trial", search.figure, *(tag("code", name) for name in names), "state")
    return table(head, (_cells(row, names) for row in rows), numbers=(0, 1))


def _cells(row: Row, names: list[str]) -> tuple[object, ...]:
    value = "" if row.value is None else number(row.value)
    state = f"{row.state}: {row.why}" if row.why else row.state
    return (row.number, value, *(row.values.get(name, "") for name in names), state)


def _importances(importances: dict[str, float]) -> Html | None:
    if not importances:
        return None
    shares = sorted(importances.items(), key=lambda item: -item[1])
    rows = ((tag("code", name), f"{share:.0%}") for name, share in shares)
    note = "The share of each name in what tells the best trials from the others (PED-ANOVA, Watanabe et al., 2023)."
    return join((table((), rows, numbers=(1,)), tag("p", note, class_="note")))


def _history(summary: Summary) -> Html | None:
    points = [(float(row.number), row.value) for row in summary.rows if row.state == "done" and row.value is not None]
    if len(points) < 2:
        return None
    best = [points[0]]
    for trial, value in points[1:]:
        best.append((trial, (min if summary.lower else max)(value, best[-1][1])))
    series = {"best so far": best, "trial": points}
    chart = line_chart(series, f"the figure of each of {len(points)} trials, and the best so far")
    return tag("div", figure(join((chart, legend(tuple(series))))), class_="panels")
