"""`report.html`: one page that says what a run was, how it went and what came of it.

The page holds all it needs and fetches nothing; a policy in its head makes the browser keep to that. To add a section,
write a function from `Report` to HTML and name it in `SECTIONS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dgmppl.data.table import Splits
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.report import draws, told
from dgmppl.report.html import Html, join, tag
from dgmppl.report.source import Report
from dgmppl.report.style import POLICY, STYLE
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
    Section("figures", "Figures", told.figures),
    Section("model", "Spec and graph", told.spec_and_graph),
    Section("objective", "Objective", told.objective),
    Section("curves", "Curves", told.curves),
    Section("samples", "Samples", draws.samples),
    Section("reconstructions", "Reconstructions", draws.reconstructions),
    Section("latents", "Latent map", draws.latent_map),
    Section("data", "Data", told.data),
    Section("settings", "Settings and versions", told.settings),
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


def report_run(path: Path, device: str = "cpu", data_folder: Path | None = None) -> tuple[Path, tuple[str, ...]]:
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
        model, run = load_run(path, device)
    except SpecError as error:
        if (path / WEIGHTS).exists() or {d.code for d in error.diagnostics} != {"E604"}:
            raise
        record = read_record(path)
        run = Run(path, open_spec(path, record, record["overrides"]), record)
        missing += [d.headline for d in error.diagnostics]
    try:
        splits = run_data(run, data_folder)
    except SpecError as error:
        missing += [d.headline for d in error.diagnostics]
    with located(run.checked):
        out = write_report(path, model, run, splits)
    return out, tuple(missing)


def render(report: Report) -> str:
    """The page's text."""
    made = [(section, inside) for section in SECTIONS if (inside := _make(section, report)) is not None]
    links = (tag("a", section.title, href=f"#{section.name}") for section, _ in made)
    parts = [tag("section", tag("h2", s.title), inside, id=s.name) for s, inside in made]
    return page(report.graph.name, [told.head(report), tag("nav", *links, aria_label="sections"), *parts])


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
        return tag("p", f"This could not be made: {error or type(error).__name__}", class_="note")


def page(title: str, parts: Sequence[object]) -> str:
    """A whole page around its parts."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    body = tag("body", tag("main", *parts))
    return "<!DOCTYPE html>\n" + tag("html", head, body, lang="en") + "\n"


__all__ = ["PAGE", "SECTIONS", "Section", "join", "page", "render", "report_run", "write_report"]
