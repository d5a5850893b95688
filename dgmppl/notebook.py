"""What notebooks show: of a model its graph, of a plan its formula, of a spec its text with what is wrong with it, of a
run its figures.

Notebooks look for the methods `_repr_html_`, `_repr_svg_` and `_repr_latex_`; the classes that have them come here.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from dgmppl.diagnostics import Diagnostic
from dgmppl.words import counted

if TYPE_CHECKING:
    from dgmppl.apply.answers import Answers
    from dgmppl.apply.fitted import FittedRun
    from dgmppl.pipeline import Checked
    from dgmppl.plan.nodes import Plan
    from dgmppl.runtime import GenerativeModel
    from dgmppl.source import Source


def with_picture(model: GenerativeModel, checked: Checked) -> GenerativeModel:
    """The model, whose representation in a notebook is its graph as SVG."""
    graph = checked.graph
    assert graph is not None

    def _repr_svg_(_: GenerativeModel) -> str:
        from dgmppl.picture.graph import svg

        return svg(graph)

    # Notebooks look the method up on the class; each compiled model has a class of its own.
    type(model)._repr_svg_ = _repr_svg_  # type: ignore[attr-defined]
    return model


class Problems(tuple[Diagnostic, ...]):
    """Diagnostics of a spec, in order. As text, and in a notebook, they are what the command line shows: the lines that
    they are about, with carets."""

    source: Source | None

    @classmethod
    def of(cls, found: tuple[Diagnostic, ...], source: Source | None) -> Problems:
        made = cls(found)
        made.source = source
        return made

    def __str__(self) -> str:
        return problems_text(tuple(self), self.source)

    def __repr__(self) -> str:
        return str(self) if self else "no problems"

    def _repr_html_(self) -> str:
        return _text(str(self)) if self else "<p>no problems</p>"


class Explanation(str):
    """What is derived from a spec, as text. In a notebook it stands below the formula of the objective."""

    plan: Plan

    @classmethod
    def of(cls, text: str, plan: Plan) -> Explanation:
        made = cls(text)
        made.plan = plan
        return made

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return plan_html(self.plan, str(self))

    def _repr_latex_(self) -> str:
        return plan_latex(self.plan)


def problems_text(found: tuple[Diagnostic, ...], source: Source | None) -> str:
    """Diagnostics as the command line shows them."""
    from dgmppl.diagnostics.render import render

    return render(found, source)


def plan_latex(plan: Plan) -> str:
    """The formula of a plan's objective in dollars, as notebooks typeset it."""
    from dgmppl.plan.typeset import objective_latex

    return f"$\\displaystyle {objective_latex(plan)}$"


def plan_html(plan: Plan, text: str = "") -> str:
    """The formula of a plan's objective, and all that is derived as text; of the formula its LaTeX where it cannot be
    made MathML."""
    from dgmppl.plan.explain import explain_plan
    from dgmppl.plan.typeset import objective_latex
    from dgmppl.report.maths import formula

    shown = formula(objective_latex(plan))
    maths = str(shown) if shown is not None else f"<p>{escape(plan_latex(plan))}</p>"
    return (
        f"<p><b>{escape(plan.model)}</b>: {escape(plan.objective.name)}</p>{maths}{_text(text or explain_plan(plan))}"
    )


def spec_html(checked: Checked) -> str:
    """A spec's text, with what is wrong with it or else its objective."""
    shown = _text(checked.source.text)
    if checked.diagnostics:
        shown += _text(problems_text(checked.diagnostics, checked.source))
    return shown + (plan_html(checked.plan) if checked.plan is not None else "")


def run_html(run: FittedRun) -> str:
    """A run: its state, its figures by split, and its spec."""
    record = run.run.record
    head = f"<p><b>{escape(run.graph.name)}</b>: {escape(str(record['state']))}"
    if isinstance(record.get("best_epoch"), int):
        best = record["best_epoch"]
        head += f", weights of epoch {best} of {record.get('epochs')}" if best else ", weights as before any epoch"
    rows = "".join(
        f"<tr><td>{escape(split)}</td><td>{escape(name)}</td><td>{_number(estimate)}</td></tr>"
        for split, figures in run.figures.items()
        for name, estimate in figures.items()
    )
    table = f"<table><tr><th>split</th><th>figure</th><th>mean</th></tr>{rows}</table>" if rows else ""
    spec = f"<details><summary>{escape(str(run.path))}</summary>{_text(run.run.checked.source.text)}</details>"
    return f"{head}</p>{table}{spec}"


SHOWN = 10
"""Rows of answers that are many."""


def answers_html(answers: Answers, at_once: int) -> str:
    """Answers as a table, with their notes; of more than so many rows the first ones, without computing the others."""
    whole = answers.rows <= at_once or answers.computed
    frame = answers.frame() if whole else answers.head(SHOWN)
    more = "" if whole else f"<p>the first {len(frame)} of {counted(answers.rows, 'row', ',')}</p>"
    return str(frame._repr_html_()) + more + "".join(f"<p>{escape(note)}</p>" for note in answers.notes)


def _number(estimate: dict[str, float | None]) -> str:
    mean, error = estimate.get("mean"), estimate.get("standard_error")
    if mean is None:
        return "not finite"
    return f"{mean:.4g}" + (f" &plusmn; {error:.2g}" if error is not None else "")


def _text(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"
