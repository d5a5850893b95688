"""Sections of a page that say what is known of a run without running its model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dgmppl.diagnostics import SpecError
from dgmppl.graph.nodes import DataSource
from dgmppl.picture import graph as picture
from dgmppl.plan.explain import reason_text
from dgmppl.plan.families import Families
from dgmppl.plan.figures import likelihood_of
from dgmppl.plan.typeset import objective_latex
from dgmppl.report.charts import line_chart, mean_and_error, number
from dgmppl.report.evaluate import Measured, described, measure
from dgmppl.report.html import Html, code, image, lines, macro, note, panel
from dgmppl.report.maths import formula
from dgmppl.report.source import Report
from dgmppl.supports import number_text
from dgmppl.train.batches import open_examples
from dgmppl.train.densities import DensityUnits
from dgmppl.train.figures import Estimate
from dgmppl.train.runs import fingerprint_of

DASH = "–"

_UNENDED = ("running", "killed", "interrupted")


def head(report: Report) -> Html:
    """Title, state and the numbers to see first."""
    history = report.history
    state = history.state
    known = {*_UNENDED, "finished", "failed"}
    tiles = [(name, value) for name, value in _tiles(report) if value]
    lead = _capital(report.plan.objective.name)
    return macro("run.html", "head", report.graph.name, state, state in known, lead, tiles)


def _tiles(report: Report) -> Iterator[tuple[str, str]]:
    history, plan = report.history, report.plan
    for name, found in described(history.figures.get("test", {}), report.graph, plan).items():
        figure = found.figure
        if name == plan.criterion or figure.kind == "bits":
            unit = "" if figure.names_unit else f" ({figure.unit})"
            yield f"{name}, test rows{unit}", number(found.estimate.mean)
    epochs, best = history.text("epochs", default=str(len(history.lines))), history.text("best_epoch")
    yield ("best epoch", f"{best} of {epochs}") if best and plan.criterion else ("epochs", epochs)
    yield "time", duration(history.number("seconds") or sum(e.seconds for e in history.lines if e.seconds > 0))
    precision = history.text("precision", default="32")
    several = f"{n:.0f} × " if (n := history.number("devices") or 1) > 1 else ""
    yield "device", f"{several}{history.text('device')}{'' if precision == '32' else f', {precision}'}"
    yield "weights", thousands(history.number("weights"))


def figures(report: Report) -> Html | None:
    """The figures of each split, and what the units are."""
    rows: list[tuple[object, ...]] = []
    notes: dict[str, None] = {}
    for split, of in report.history.figures.items():
        for found in described(of, report.graph, report.plan).values():
            rows.append(_figure_row(split, found))
            notes |= {found.figure.note: None} if found.figure.note else {}
    measured = _measures(report)
    for found in measured.values():
        rows.append(_figure_row("test", found))
        notes |= {found.figure.note: None}
    if measured:
        names, over = ", ".join(measured), next(iter(measured.values())).over
        notes |= {f"{names} are means over {over} with the standard error of that mean, against the test rows.": None}
    if not rows:
        why = "The figures come with the end of the run." if report.history.state in _UNENDED else "There are none."
        return note(why)
    columns = ("split", "figure", "mean", "standard error", "unit", "rows")
    return macro("run.html", "figures", columns, rows, list(notes))


def _figure_row(split: str, found: Measured) -> tuple[object, ...]:
    e: Estimate = found.estimate
    return split, found.figure.name, *mean_and_error(e.mean, e.standard_error), found.unit, f"{e.rows:,}"


def _measures(report: Report) -> dict[str, Measured]:
    """Measures where there is no likelihood and samples are cheap: an energy's come from a long chain."""
    model, plan = report.model, report.plan
    if model is None or report.splits is None or likelihood_of(plan) is not None or plan.samplers:
        return {}
    return measure(model, report.graph, open_examples(report.splits.test, model.data, model.device))


def spec_and_graph(report: Report) -> Html:
    """The text of the spec, and its graph drawn from it."""
    pieces = list(_coloured(report.checked.source.text.strip()))
    overrides = ", ".join(report.history.texts("overrides"))
    plan = report.plan
    try:
        drawing = image(
            picture.svg(report.graph).encode(),
            "svg+xml",
            f"The graph of {plan.model}: {' '.join(plan.structure.p)}"
            + (f" with {' '.join(plan.structure.q)}" if plan.structure.q else ""),
        )
    except SpecError as error:
        problem = " ".join(d.headline for d in error.diagnostics)
        return macro("run.html", "spec", pieces, overrides, None, problem)
    return macro("run.html", "spec", pieces, overrides, drawing, "")


_WORDS = re.compile(
    r"(?P<comment>#.*)|(?P<word>\b(?:model|observed|partial|latent|param|const|let|net|flow|schedule|adversary|train|"
    r"from|in)\b)"
)


def _coloured(text: str) -> Iterator[tuple[str, str]]:
    """The pieces of a spec, each a "word" of the language, a "comment", or "" for what is neither."""
    at = 0
    for match in _WORDS.finditer(text):
        yield "", text[at : match.start()]
        yield "comment" if match["comment"] else "word", match[0]
        at = match.end()
    yield "", text[at:]


def objective(report: Report) -> Html:
    """The objective as maths, and why it is that one."""
    plan = report.plan
    families = Families(plan.structure.families)
    weighted = families.lines([f"{number_text(t.weight)} on {t.label}" for t in plan.terms if t.weight != 1])
    rows: list[tuple[object, object]] = [("maximised", _capital(plan.objective.name))]
    if plan.played and not plan.terms:
        rows = [("played", _capital(plan.objective.name))]
    rows += [("weights of terms", ", ".join(weighted))] if weighted else []
    rows += [("estimated by", "; ".join(families.lines(plan.objective.estimator.split("; "))))]
    rows += [("because", lines(families.lines([reason_text(r) for r in plan.objective.reasons])))]
    rows += [("steps", "; ".join(families.lines([s.words() for s in plan.steps])))]
    rows += [("sampling", "; ".join(families.lines([s.words() for s in plan.generate])))]
    chosen = f"by {plan.criterion} on the validation rows" if plan.criterion else "the last: nothing compares epochs"
    rows += [("best epoch", chosen)]
    rows += [("derived", code(text)) for text in families.lines(plan.derived)]
    networks = [f"{of}: {sizes}" for of, sizes in families.rows([(n.of, n.sizes) for n in plan.structure.networks])]
    rows += [("networks", lines(networks))] if networks else []
    rows = [(name, value) for name, value in rows if value]
    return macro(
        "run.html", "objective", formula(objective_latex(plan)), families.formula(plan.objective.formula), rows
    )


TITLES = {"losses": "loss", "terms": "term", "validation": "validation", "rates": "learning rate"}


def curves(report: Report) -> Html | None:
    """A panel for each number that epochs have; the epoch of the weights is marked."""
    best = report.history.number("best_epoch") if report.plan.criterion else None
    if best is None and report.plan.criterion:
        best = next((float(e.number) for e in reversed(report.history.lines) if e.best), None)
    panels: list[Html] = []
    rates: list[str] = []
    for group, name, points in report.history.series(Families(report.plan.structure.families)):
        title = f"{TITLES[group]}: {name}" if name != "model" else TITLES[group]
        last = points[-1][1]
        if group == "rates" and all(value == last for _, value in points):
            rates.append(f"{number(last)}{'' if name == 'model' else f' for the {name}'}")
            continue
        label = f"{title} by epoch, from {number(points[0][1])} to {number(last)}"
        caption = f"{number(last)} in epoch {points[-1][0]:g}"
        panels.append(panel(title, line_chart({name: points}, label, best), caption))
    if not panels:
        return None
    said = f"The dashed line is epoch {best:g}, whose weights are kept." if best else ""
    said += " Losses are means over the epoch"
    said += ", in nats an example." if report.plan.terms and not report.plan.played else "."
    if DensityUnits(report.graph, report.plan, report.units.fields).of:
        said += (
            " Losses and terms are of the values that the model has, the figures of the validation rows of the data's."
        )
    said += f" The learning rate was {', '.join(rates)} throughout." if rates else ""
    said += " Scales follow from what comes after the first twentieth of the epochs; a start beyond them is cut off."
    return macro("run.html", "panels", panels, said.strip())


def data(report: Report) -> Html | None:
    """Where the data came from, how it was split, and its fingerprint."""
    history = report.history
    sources = [(v.name, v.type.describe(), _source(v.data)) for v in report.graph.data]
    rule = history.mapping("data", "split") or history.mapping("data", "rule")
    rows: list[tuple[object, object]] = []
    if report.splits is not None:
        rows += [("rows", ", ".join(f"{name} {t.rows:,}" for name, t in report.splits))]
        for name, texts in ((n, f.classes) for n, f in report.splits.fields.items() if f.classes):
            rows += [(f"classes of {name}", ", ".join(f"{k} {text}" for k, text in enumerate(texts)))]
    rows += [("split", _rule_text(rule))] if rule else []
    rows += [("fingerprint", code(f))] if (f := history.text("data", "fingerprint")) else []
    rows += [("folder", code(f))] if (f := history.text("data_folder")) else []
    changed = ""
    if report.splits is not None and fingerprint_of(history.record) not in (None, report.splits.fingerprint):
        changed = "The data is no longer what the run was fitted to. "
        changed += "Figures are the run's own; rows are as they are now."
    return macro("run.html", "data", sources, rows, changed)


def _source(source: DataSource | None) -> str:
    if source is None:
        return DASH
    text = replace(source, dataset=Path(source.dataset).name).text if source.is_file else source.text
    for transform, numbers in source.transforms:
        text = f"{transform}({', '.join((text, *map(number_text, numbers)))})"
    return text


def settings(report: Report) -> Html:
    """All settings of the run, and the versions of what it ran on."""
    chosen = list(flat(report.history.mapping("settings")))
    versions = [(name, value or DASH) for name, value in flat(report.history.mapping("versions"))]
    return macro("run.html", "settings", chosen, versions)


def flat(found: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Entries of nested mappings by dotted name; what is not set is left out."""
    for name, value in found.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)):
            yield f"{prefix}{name}", ", ".join(map(_plain, value))
        elif value is not None:
            yield f"{prefix}{name}", _plain(value)


_RULES = {
    "given": "as the data gives it",
    "ordered": "in the order of the rows",
    "shuffled": "in an order drawn with seed {seed}",
    "whole": "all of them for each",
}


def _rule_text(rule: Mapping[str, Any]) -> str:
    """How rows were split, in words."""
    text = _RULES.get(_plain(rule.get("rule")), "by a rule of another version").replace(
        "{seed}", _plain(rule.get("seed"))
    )
    return text + (", read from disk while it is used" if rule.get("streamed") is True else "")


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if not math.isfinite(seconds) or seconds <= 0:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def thousands(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
