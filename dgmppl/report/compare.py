"""Several runs side by side: what they came to, how they differ, and their curves on common axes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.plan.families import Families
from dgmppl.report.charts import legend, line_chart, mean_and_error
from dgmppl.report.history import History, read_history
from dgmppl.report.html import Html, page, panel, template
from dgmppl.report.sections import TITLES, duration, flat, thousands
from dgmppl.train.figures import Estimate
from dgmppl.train.plots import Points, draw_lines, literal, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPLITS = ("train", "validation", "test")
SUFFIXES = (".html", ".png")

# What all runs have comes first.
_ORDER = ("losses", "validation", "terms", "rates")


@dataclass(frozen=True)
class Comparison:
    """Runs by a short name each, in the order given, and what is to be said about comparing them."""

    runs: Mapping[str, History]
    remarks: tuple[str, ...]

    def figures(self) -> Iterator[tuple[str, str, dict[str, Estimate]]]:
        """Each figure of each split, with the runs that have it."""
        names = dict.fromkeys(name for run in self.runs.values() for of in run.figures.values() for name in of)
        for name in names:
            for split in SPLITS:
                having = {key: run.figures.get(split, {}).get(name) for key, run in self.runs.items()}
                found = {key: estimate for key, estimate in having.items() if estimate is not None}
                if found:
                    yield split, name, found

    def facts(self) -> Iterator[tuple[str, dict[str, str]]]:
        """What is known of each run besides its figures."""
        facts: dict[str, Any] = {
            "model": lambda run: run.text("model"),
            "state": lambda run: run.state,
            "criterion": lambda run: run.text("criterion", default="none"),
            "best epoch": lambda run: run.text("best_epoch"),
            "epochs": lambda run: run.text("epochs", default=str(len(run.lines))),
            "time": lambda run: duration(run.number("seconds") or 0.0),
            "device": lambda run: run.text("device"),
            "weights": lambda run: thousands(run.number("weights")),
        }
        for name, of in facts.items():
            yield name, {key: of(run) for key, run in self.runs.items()}

    def differences(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Settings, overrides and versions that are not the same in all runs."""
        entries: dict[str, dict[str, str]] = {}
        for key, run in self.runs.items():
            settings = dict(flat(run.mapping("settings")))
            found = {f"train.{name}": value for name, value in settings.items()}
            found |= {
                name.strip(): value.strip() for name, _, value in (o.partition("=") for o in run.texts("overrides"))
            }
            found |= {f"{name} version": value for name, value in flat(run.mapping("versions"))}
            found |= {"data": run.text("data", "fingerprint")[:12], "spec": run.text("spec_digest")[:12]}
            entries[key] = found
        for name in dict.fromkeys(name for found in entries.values() for name in found):
            values = {key: found.get(name, "") for key, found in entries.items()}
            if len(set(values.values())) > 1:
                yield name, values

    def series(self) -> Iterator[tuple[str, str, dict[str, Points]]]:
        """Each number that epochs of some run have, with its course in each of them; rates only where they change."""
        found: dict[tuple[str, str], dict[str, Points]] = {}
        for key, run in self.runs.items():
            for group, name, points in run.series(Families(None)):
                found.setdefault((group, name), {})[key] = points
        for (group, name), courses in sorted(found.items(), key=lambda item: _ORDER.index(item[0][0])):
            if group != "rates" or len({y for points in courses.values() for _, y in points}) > 1:
                yield group, name, courses

    def as_data(self) -> dict[str, Any]:
        """The same for programs; numbers that are not finite are null."""
        return {
            "runs": {
                key: {
                    "path": str(run.path),
                    "model": run.text("model"),
                    "state": run.state,
                    "criterion": run.text("criterion") or None,
                    **{name: run.number(name) for name in ("best_epoch", "epochs", "seconds", "weights")},
                    "figures": {split: {n: _plain(e) for n, e in of.items()} for split, of in run.figures.items()},
                }
                for key, run in self.runs.items()
            },
            "differences": dict(self.differences()),
            "remarks": list(self.remarks),
        }


def compare(paths: Sequence[Path]) -> Comparison:
    """Reads runs, finished or not, to be put side by side. No model is compiled.

    Raises:
        SpecError: when one of them is no run.
    """
    runs: dict[str, History] = {}
    problems: list[Diagnostic] = []
    for key, path in zip(_names(paths), paths, strict=True):
        try:
            runs[key] = read_history(path)
        except SpecError as error:
            problems += error.diagnostics
    if problems:
        raise SpecError(problems)
    return Comparison(runs, tuple(_remarks(runs)))


def _names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart; a path given twice is numbered."""
    resolved = [path.resolve().parts for path in paths]
    names: list[str] = []
    for parts in resolved:
        depth = 1
        while depth < len(parts) and any(o != parts and o[-depth:] == parts[-depth:] for o in resolved):
            depth += 1
        name = "/".join(parts[-depth:])
        again = sum(n == name or n.startswith(f"{name} (") for n in names)
        names.append(f"{name} ({again + 1})" if again else name)
    return names


def _remarks(runs: Mapping[str, History]) -> Iterator[str]:
    """What a reader must know before they compare."""
    yield from _different_figures(runs)
    prints = {run.text("data", "fingerprint") for run in runs.values()} - {""}
    if len(prints) > 1:
        yield "The runs were fitted to different data or splits, so their figures are about different rows."
    for key, run in runs.items():
        if run.state != "finished":
            yield f"{key} is {run.state}{'' if run.lines else ' and has no epochs yet'}."
        elif not any(run.figures.values()):
            yield f"{key} has no figures: `dgmppl evaluate {run.path}` measures its samples."
        if not run.lines:
            yield f"{key} has no metrics, so it has no curves."


def _different_figures(runs: Mapping[str, History]) -> Iterator[str]:
    """Criteria that are told from each other, and figures of one name that are of two quantities."""
    names = {key: run.text("criterion", default="none") for key, run in runs.items()}
    if len(set(names.values())) > 1:
        yield f"The runs have different criteria ({', '.join(sorted(set(names.values())))}): {_relation(runs, names)}."
    for name in dict.fromkeys(name for run in runs.values() for name in run.about):
        of: dict[str, list[str]] = {}
        for key, run in runs.items():
            if name in run.about:
                of.setdefault(run.about[name].quantity, []).append(key)
        if len(of) > 1:
            said = "; ".join(f"{quantity} in {', '.join(keys)}" for quantity, keys in of.items())
            yield f"{name} is not of the same quantity in all runs, and does not compare: {said}."


def _relation(runs: Mapping[str, History], names: Mapping[str, str]) -> str:
    """How criteria of different names stand to each other."""
    found = {names[key]: run.about[names[key]] for key, run in runs.items() if names[key] in run.about}
    figures = list(found.values())
    if len(figures) < 2 or len(found) < len(set(names.values())):
        return "figures of different names do not compare"
    if not all(figures[0].comparable(other) for other in figures):
        return "they are " + ", ".join(f"{f.name} {f.estimates}" for f in figures) + ", which do not compare"
    return "they compare as " + ", ".join(f"{f.name}, {f.estimates}" for f in figures)


def write_comparison(found: Comparison, out: Path) -> None:
    """Writes the comparison as a page (.html) or its curves as a picture (.png).

    Raises:
        SpecError: for another suffix (E652), and where the file cannot be written (E607).
    """
    suffix = out.suffix.lower()
    verify_out(out)
    try:
        if suffix == ".html":
            out.write_text(_page(found), encoding="utf-8")
        else:
            out.write_bytes(_picture(found))
    except OSError as error:
        raise SpecError([Diagnostic("E607", f"cannot write {out}: {error.strerror}")]) from None


def verify_out(out: Path) -> None:
    """Raises a SpecError (E652) when the name of a file is not one that a comparison can be written to."""
    if out.suffix.lower() not in SUFFIXES:
        headline = f"a comparison is written to .html or .png, not to {out.name}"
        raise SpecError([Diagnostic("E652", headline)])


def figure_rows(found: Comparison) -> list[tuple[str, ...]]:
    """A row for each figure of each split: its name, and what each run has."""
    rows: list[tuple[str, ...]] = []
    for split, name, having in found.figures():
        cells = (_cell(having.get(key)) for key in found.runs)
        rows.append((f"{split} {name}", *cells))
    return rows


def _cell(estimate: Estimate | None) -> str:
    return "" if estimate is None else " ".join(mean_and_error(estimate.mean, estimate.standard_error))


def _page(found: Comparison) -> str:
    head = ("", *found.runs)
    numbers = set(range(1, len(head)))
    facts = [(name, *values.values()) for name, values in found.facts() if any(values.values())]
    differences = [(name, *values.values()) for name, values in found.differences()]
    panels = [_panel(group, name, courses, found) for group, name, courses in found.series()]
    inside = template(
        "compare.html",
        head=head,
        numbers=numbers,
        remarks=found.remarks,
        figures=figure_rows(found),
        facts=facts,
        differences=differences,
        legend=legend(list(found.runs)),
        panels=panels,
    )
    return page("Runs side by side", [inside])


def _panel(group: str, name: str, courses: Mapping[str, Points], found: Comparison) -> Html:
    title = _title(group, name)
    # A run without this number keeps its colour for the others.
    series = {key: courses.get(key, []) for key in found.runs}
    return panel(title, line_chart(series, f"{title} by epoch of {', '.join(courses)}"))


def _title(group: str, name: str) -> str:
    return TITLES[group] if name == "model" else f"{TITLES[group]}: {name}"


def _picture(found: Comparison) -> bytes:
    """The curves as a PNG, a panel for each number."""
    series = list(found.series())
    columns = min(3, max(1, len(series)))
    rows = max(1, math.ceil(len(series) / columns))

    def draw(figure: Figure) -> None:
        panels = figure.subplots(rows, columns, squeeze=False).flat
        # The series first: the other way round zip takes a panel more than it has series for.
        for (group, name, courses), axes in zip(series, panels):
            draw_lines(axes, {key: courses.get(key, []) for key in found.runs})
            axes.set_title(literal(_title(group, name)))
            axes.set_xlabel("epoch")
        for axes in panels:
            axes.set_visible(False)
        if series:
            figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        else:
            figure.text(0.5, 0.5, "no run has metrics", ha="center")

    return render(draw, 4.2 * columns, 3.0 * rows)


def _plain(estimate: Estimate) -> dict[str, Any]:
    return {k: v if not isinstance(v, float) or math.isfinite(v) else None for k, v in asdict(estimate).items()}
