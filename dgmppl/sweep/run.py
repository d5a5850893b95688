"""A sweep from the command's arguments to its end: checks everything, opens the folder, works, and sums up."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dgmppl.catalogue.figures import Figure
from dgmppl.diagnostics import Diagnostic, SpecError, did_you_mean
from dgmppl.imports import classes_in
from dgmppl.pipeline import Checked
from dgmppl.plan.figures import all_figures
from dgmppl.sweep.folder import JOURNAL, Search, SweepFolder, open_folder, verify_folder
from dgmppl.sweep.ranges import Range, check_ranges, parse_ranges
from dgmppl.sweep.study import Row, Study
from dgmppl.syntax.format import format_spec


@dataclass(frozen=True)
class Wanted:
    """A sweep that was asked for, checked, nothing of it begun."""

    spec: Path
    checked: Checked
    ranges: tuple[Range, ...]
    figure: Figure
    search: Search


@dataclass(frozen=True)
class Summary:
    """What a sweep has come to. `command` trains its best trial again."""

    folder: SweepFolder
    rows: tuple[Row, ...]
    lower: bool
    importances: dict[str, float]
    command: str

    @property
    def best(self) -> Row | None:
        return next(iter(ranked(self.rows, self.lower)), None)


def check_sweep(
    spec: Path,
    over: Sequence[str],
    *,
    fixed: Sequence[str] = (),
    by: str | None = None,
    seed: int = 0,
    prune: bool = True,
    storage: str = "",
    allow_python: bool = False,
) -> Wanted:
    """Checks all that a sweep is told, before anything is written or run.

    Raises:
        SpecError: a bad spec, E720 to E724 for the ranges, E725 when nothing says which trial is better, E726 when
            its runs do not have the figure that is asked for.
    """
    ranges = parse_ranges(over, fixed)
    checked = check_ranges(spec, fixed, ranges, allow_python)
    figure = choose_figure(checked, by)
    if storage:
        from dgmppl.sweep.storage import shown_url

        storage = shown_url(storage)
    text = format_spec(checked.source.text)
    search = Search(
        spec=spec.name,
        spec_digest=hashlib.sha256(text.encode()).hexdigest(),
        overrides=tuple(fixed),
        ranges=tuple(f"{one.name}={one.describe()}" for one in ranges),
        figure=figure.name,
        seed=seed,
        prune=prune,
        storage=storage,
    )
    return Wanted(spec, checked, ranges, figure, search)


def choose_figure(checked: Checked, by: str | None) -> Figure:
    """The figure that trials are compared by: the one of this name, or the one that chooses the epoch.

    Raises:
        SpecError: E725 when none is named and none chooses the epoch, E726 when runs of the spec have none of the name.
    """
    graph, plan = checked.graph, checked.plan
    assert graph is not None and plan is not None
    name = by or plan.criterion
    if name is None:
        headline = f"`{graph.name}` has no figure that says which trial is better"
        help_ = "--by mmd2, --by precision or --by recall compares its samples with the validation rows"
        raise SpecError([Diagnostic("E725", headline, help=help_)])
    known = all_figures(graph, plan)
    if name not in known:
        help_ = did_you_mean(name, known, f"one of {', '.join(known)}")
        raise SpecError([Diagnostic("E726", f"runs of this spec have no figure {name}", help=help_)])
    return known[name]


def open_sweep(wanted: Wanted, out: Path, storage: str = "") -> Study:
    """The folder and the study of a sweep, begun or resumed.

    Raises:
        SpecError: E727 to E730 when the folder or the database is not this sweep's, E607 when it cannot be written.
    """
    from dgmppl.sweep.storage import open_database, open_journal

    verify_folder(out, wanted.search)
    database = open_database(storage) if storage else None
    folder = open_folder(out, wanted.search)
    plan = wanted.checked.plan
    warmup = min(20, plan.settings.epochs // 20) if plan else 0
    return Study(folder, wanted.ranges, database or open_journal(folder.path / JOURNAL), wanted.figure, warmup)


def sum_up(wanted: Wanted, study: Study) -> Summary:
    """The trials so far, with what they say."""
    rows = study.rows()
    best = next(iter(ranked(rows, study.lower)), None)
    command = _command(wanted, best) if best else ""
    return Summary(study.folder, rows, study.lower, study.importances(), command)


def ranked(rows: Sequence[Row], lower: bool) -> list[Row]:
    """The trials that came to their end, the best first."""
    done = [(row.value if lower else -row.value, row.number, row) for row in rows if row.value is not None]
    return [row for *_, row in sorted(done, key=lambda entry: entry[:2]) if row.state == "done"]


def _command(wanted: Wanted, best: Row) -> str:
    values = [*wanted.search.overrides, *(f"{name}={value}" for name, value in best.values.items())]
    sets = " ".join(f"--set {shlex.quote(value)}" for value in values)
    named = wanted.checked.spec is not None and classes_in(wanted.checked.spec)
    allow = " --allow-python" if named else ""
    return f"dgmppl train {shlex.quote(str(wanted.spec))} {sets}{allow} --out runs/best"
