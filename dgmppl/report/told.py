"""Sections that tell what is known of a run without running its model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dgmppl.catalogue.formats import field_text
from dgmppl.diagnostics import SpecError
from dgmppl.graph import picture
from dgmppl.graph.nodes import DataSource
from dgmppl.graph.supports import number_text
from dgmppl.plan.explain import reason_text
from dgmppl.plan.nodes import Plan
from dgmppl.report.charts import line_chart, mean_and_error, number
from dgmppl.report.evaluate import Figure, measure, with_units
from dgmppl.report.html import Html, escape, figure, image, join, pairs, table, tag
from dgmppl.report.maths import formula
from dgmppl.report.source import Report
from dgmppl.report.units import BITS, likelihood
from dgmppl.train.batches import open_examples
from dgmppl.train.figures import Estimate

DASH = "–"

_UNENDED = ("running", "killed", "interrupted")


def head(report: Report) -> Html:
    """Title, state and the numbers to see first."""
    history = report.history
    state = history.state
    known = {*_UNENDED, "finished", "failed"}
    badge = tag("span", state, class_=f"state {state}" if state in known else "state")
    tiles = [(name, value) for name, value in _tiles(report) if value]
    return tag(
        "header",
        tag("h1", report.graph.name, " ", badge),
        tag("p", _capital(report.plan.objective.name), class_="lead"),
        tag("ul", *(tag("li", tag("span", name), tag("strong", value)) for name, value in tiles), class_="tiles"),
    )


def _tiles(report: Report) -> Iterator[tuple[str, str]]:
    history, plan = report.history, report.plan
    for name, found in with_units(history.figures.get("test", {}), report.graph, plan).items():
        if name in (plan.criterion, BITS):
            yield (
                f"{name}, test rows" if found.unit == name else f"{name}, test rows ({found.unit})",
                number(found.estimate.mean),
            )
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
    found = report.history.figures
    for split, of in found.items():
        rows += [_figure_row(split, name, f) for name, f in with_units(of, report.graph, report.plan).items()]
    notes = _notes(report.plan, {str(row[1]) for row in rows})
    measured = _measures(report)
    rows += [_figure_row("test", name, f) for name, f in measured.items()]
    if measured:
        over = next(iter(measured.values())).over
        notes.append(
            f"mmd2, precision and recall compare samples of the model with the test rows: means over {over}, with "
            "the standard error of that mean. Precision and recall are better when larger, mmd2 when closer to 0."
        )
    if not rows:
        why = "The figures come with the end of the run." if report.history.state in _UNENDED else "There are none."
        return tag("p", why, class_="note")
    columns = ("split", "figure", "mean", "standard error", "unit", "rows")
    return join([table(columns, rows, numbers=(2, 3, 5)), *(tag("p", note, class_="note") for note in notes)])


def _figure_row(split: str, name: str, found: Figure) -> tuple[object, ...]:
    e: Estimate = found.estimate
    return split, name, *mean_and_error(e.mean, e.standard_error), found.unit, f"{e.rows:,}"


def _notes(plan: Plan, names: set[str]) -> list[str]:
    known = likelihood(plan)
    notes: list[str] = []
    if known == "elbo" and known in names:
        notes.append(
            "The elbo is a lower bound on the log-likelihood, in nats an example: more is better, and the "
            "log-likelihood itself is at least as large."
        )
    if known == "log_prob" and known in names:
        notes.append("log_prob is the exact log-likelihood, in nats an example: more is better.")
    if BITS in names:
        notes.append("Bits per dimension are −nats / (D ln 2) for D discrete values an example: less is better.")
    if "pseudo-likelihood" in names:
        notes.append("The pseudo-likelihood scores each element given all others; it is no likelihood of the whole.")
    return notes


def _measures(report: Report) -> dict[str, Figure]:
    """Measures where there is no likelihood and samples are cheap: an energy's come from a long chain."""
    model, plan = report.model, report.plan
    if model is None or report.splits is None or likelihood(plan) is not None or plan.samplers:
        return {}
    return measure(model, report.graph, open_examples(report.splits.test, model.data, model.device))


def spec_and_graph(report: Report) -> Html:
    """The text of the spec, and its graph drawn from it."""
    spec = tag("pre", tag("code", _coloured(report.checked.source.text.strip())))
    overrides = report.history.texts("overrides")
    changed = tag("p", "Changed with --set: ", tag("code", ", ".join(overrides)), class_="note") if overrides else None
    plan = report.plan
    try:
        drawing = image(
            picture.svg(report.graph).encode(),
            "svg+xml",
            f"The graph of {plan.model}: {' '.join(plan.structure.p)}"
            + (f" with {' '.join(plan.structure.q)}" if plan.structure.q else ""),
        )
    except SpecError as error:
        return join([spec, changed, tag("p", *(d.headline for d in error.diagnostics), class_="note")])
    return tag("div", tag("div", spec, changed), figure(drawing, class_="paper"), class_="beside")


_WORDS = re.compile(
    r"(?P<comment>#.*)|(?P<word>\b(?:model|observed|partial|latent|param|const|let|net|flow|schedule|adversary|train|"
    r"from|in)\b)"
)


def _coloured(text: str) -> Html:
    """A spec with its keywords and comments set apart."""
    parts: list[Html] = []
    at = 0
    for match in _WORDS.finditer(text):
        parts += [escape(text[at : match.start()]), tag("i" if match["comment"] else "b", match[0])]
        at = match.end()
    return join([*parts, escape(text[at:])])


def objective(report: Report) -> Html:
    """The objective as maths, and why it is that one."""
    plan = report.plan
    maths = formula(plan.objective.latex)
    shown = tag("div", maths, class_="maths") if maths else tag("pre", plan.objective.formula)
    weighted = [f"{number_text(t.weight)} on {t.label}" for t in plan.terms if t.weight != 1]
    rows: list[tuple[object, object]] = [("maximised", _capital(plan.objective.name))]
    if plan.played and not plan.terms:
        rows = [("played", _capital(plan.objective.name))]
    rows += [("weights of terms", ", ".join(weighted))] if weighted else []
    rows += [("estimated by", plan.objective.estimator)]
    rows += [("because", tag("div", *(tag("div", reason_text(r)) for r in plan.objective.reasons)))]
    rows += [("steps", "; ".join(s.words() for s in plan.steps))]
    rows += [("sampling", "; ".join(s.words() for s in plan.generate))]
    chosen = f"by {plan.criterion} on the validation rows" if plan.criterion else "the last: nothing compares epochs"
    rows += [("best epoch", chosen)]
    rows += [("derived", tag("code", text)) for text in plan.derived]
    networks = [f"{n.of}: {n.sizes}" for n in plan.structure.networks]
    rows += [("networks", tag("div", *(tag("div", n) for n in networks)))] if networks else []
    return join([shown, pairs((name, value) for name, value in rows if value)])


TITLES = {"losses": "loss", "terms": "term", "validation": "validation", "rates": "learning rate"}


def curves(report: Report) -> Html | None:
    """A panel for each number that epochs have; the epoch of the weights is marked."""
    best = report.history.number("best_epoch") if report.plan.criterion else None
    if best is None and report.plan.criterion:
        best = next((float(e.number) for e in reversed(report.history.lines) if e.best), None)
    panels: list[Html] = []
    rates: list[str] = []
    for group, name, points in report.history.series():
        title = f"{TITLES[group]}: {name}" if name != "model" else TITLES[group]
        last = points[-1][1]
        if group == "rates" and all(value == last for _, value in points):
            rates.append(f"{number(last)}{'' if name == 'model' else f' for the {name}'}")
            continue
        label = f"{title} by epoch, from {number(points[0][1])} to {number(last)}"
        caption = f"{number(last)} in epoch {points[-1][0]:g}"
        panels.append(_panel(title, line_chart({name: points}, label, best), caption))
    if not panels:
        return None
    note = f"The dashed line is epoch {best:g}, whose weights are kept." if best else ""
    note += " Losses are means over the epoch"
    note += ", in nats an example." if report.plan.terms and not report.plan.played else "."
    note += f" The learning rate was {', '.join(rates)} throughout." if rates else ""
    note += " Scales follow from what comes after the first twentieth of the epochs; a start beyond them is cut off."
    return join([tag("div", *panels, class_="panels"), tag("p", note.strip(), class_="note")])


def _panel(title: str, chart: Html, caption: str) -> Html:
    return tag("figure", tag("h3", title), chart, tag("figcaption", caption))


def data(report: Report) -> Html | None:
    """Where the data came from, how it was split, and its fingerprint."""
    history = report.history
    sources = [(v.name, v.type.describe(), _source(v.data)) for v in report.graph.data]
    rule = history.mapping("data", "split") or history.mapping("data", "rule")
    rows: list[tuple[object, object]] = []
    if report.splits is not None:
        rows += [("rows", ", ".join(f"{name} {t.rows:,}" for name, t in report.splits))]
        for name, texts in report.splits.classes.items():
            rows += [(f"classes of {name}", ", ".join(f"{k} {text}" for k, text in enumerate(texts)))]
    rows += [("split", _rule_text(rule))] if rule else []
    rows += [("fingerprint", tag("code", f))] if (f := history.text("data", "fingerprint")) else []
    rows += [("folder", tag("code", f))] if (f := history.text("data_folder")) else []
    note = None
    if report.splits is not None and f and f != report.splits.fingerprint:
        text = "The data is no longer what the run was fitted to. Figures are the run's own; rows are as they are now."
        note = tag("p", text, class_="note")
    return join([table(("variable", "type", "from"), sources), pairs(rows), note])


def _source(source: DataSource | None) -> str:
    if source is None:
        return DASH
    name = Path(source.dataset).name if source.is_file else source.dataset
    text = field_text(name, source.field, source.is_file, source.columns)
    for transform, numbers in source.transforms:
        text = f"{transform}({', '.join((text, *map(number_text, numbers)))})"
    return text


def settings(report: Report) -> Html:
    """All settings of the run, and the versions of what it ran on."""
    chosen = pairs(flat(report.history.mapping("settings")))
    versions = pairs((name, value or DASH) for name, value in flat(report.history.mapping("versions")))
    return tag(
        "div", tag("div", tag("h3", "Settings"), chosen), tag("div", tag("h3", "Versions"), versions), class_="beside"
    )


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
