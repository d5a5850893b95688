"""`report.html`: one page that says what a run was, how it went and what came of it.

The page holds all it needs and fetches nothing; a policy in its head makes the browser keep to that. To add a section,
write a function from `Report` to HTML and name it in `SECTIONS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dgmppl.data.table import Splits
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.report import model_sections, sections
from dgmppl.report.html import Html, macro, note, page
from dgmppl.report.source import Report
from dgmppl.runtime import GenerativeModel
from dgmppl.train.device import seeded
from dgmppl.train.folder import WEIGHTS, read_record
from dgmppl.train.runs import Run, load_run, located, open_spec, run_data

PAGE = "report.html"


@dataclass(frozen=True)
class Section:
    """`make` gives what stands under the title; None leaves the section out."""

    name: str
    title: str
    make: Callable[[Report], Html | None]


SECTIONS: tuple[Section, ...] = (
    Section("figures", "Figures", sections.figures),
    Section("model", "Spec and graph", sections.spec_and_graph),
    Section("objective", "Objective", sections.objective),
    Section("curves", "Curves", sections.curves),
    Section("samples", "Samples", model_sections.samples),
    Section("reconstructions", "Reconstructions", model_sections.reconstructions),
    Section("latents", "Latent map", model_sections.latent_map),
    Section("common", "What rows have in common", model_sections.in_common),
    Section("data", "Data", sections.data),
    Section("settings", "Settings and versions", sections.settings),
)


def write_report(folder: Path, model: GenerativeModel | None, run: Run, splits: Splits | None) -> Path:
    """Writes the page of a run into its folder, whole or not at all.

    What the page says of the run is read from `metrics.jsonl` in the folder and from `run.record`.

    Args:
        model: with the weights to show; None where there are none yet, which leaves out what needs them.
        splits: its data; None where it is not there, which leaves out what needs it.

    Raises:
        SpecError: when `metrics.jsonl` is none (E651) or the page cannot be written (E607).
    """
    report = Report.of(folder, model, run, splits)
    text = render(report)
    out = folder / PAGE
    draft = out.with_name(f".{PAGE}.new")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, out)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise SpecError([Diagnostic("E607", f"cannot write {out}: {error.strerror}")]) from None
    return out


def report_run(
    path: Path, device: str = "cpu", data_folder: Path | None = None, allow_python: bool = False
) -> tuple[Path, tuple[str, ...]]:
    """Writes the page of a run anew, whatever state the run is in.

    Returns:
        Where the page is, and what is missing on it because weights or data are not there.

    Raises:
        SpecError: when the folder is no run, or the page cannot be written.
    """
    missing: list[str] = []
    model: GenerativeModel | None = None
    splits: Splits | None = None
    try:
        model, run = load_run(path, device, allow_python)
    except SpecError as error:
        if (path / WEIGHTS).exists() or {d.code for d in error.diagnostics} != {"E604"}:
            raise
        record = read_record(path)
        run = Run(path, open_spec(path, record, record["overrides"], allow_python), record)
        missing += [d.headline for d in error.diagnostics]
    try:
        splits = run_data(run, data_folder)
    except SpecError as error:
        missing += [f"{d.headline}; {d.help}" if d.help else d.headline for d in error.diagnostics]
    with located(run.checked):
        out = write_report(path, model, run, splits)
    return out, tuple(missing)


def render(report: Report) -> str:
    """The page's text."""
    made = [(section, inside) for section in SECTIONS if (inside := _make(section, report)) is not None]
    links = macro("run.html", "nav", [(section.name, section.title) for section, _ in made])
    parts = [macro("run.html", "section", s.title, inside, s.name) for s, inside in made]
    return page(report.graph.name, [sections.head(report), links, *parts])


def _make(section: Section, report: Report) -> Html | None:
    """A section, with the same random numbers whatever the others took.

    A page is made at the end of a long fit: a section that fails says so in its place, and the others are there.
    """
    try:
        if report.model is None:
            return section.make(report)
        with seeded(0, report.model.device):
            return section.make(report)
    except Exception as error:
        if os.environ.get("DGMPPL_DEBUG"):
            raise
        return note(f"This could not be made: {error or type(error).__name__}")
