"""A plan for people (text), for programs (JSON) and for papers (LaTeX)."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from dataclasses import fields, is_dataclass

from dgmppl.plan.nodes import Loss, Plan, Reason, Step, Term

_WIDTH = 100
_LABEL = 12


def explain_plan(plan: Plan, format: str = "text") -> str:
    """The plan as "text", "json" or "latex"."""
    return FORMATS[format](plan)


def _text(plan: Plan) -> str:
    rows = [f"{plan.model}{plan.source:>{max(_WIDTH - len(plan.model), len(plan.source) + 1)}}"]
    for role in ("observed", "partial", "condition", "latent"):
        listed = [v for v in plan.structure.variables if v.role == role]
        found = [f"{v.name}  {v.type}" for v in listed if not v.per]
        found += ["one a row"] if found and role == "latent" else []
        found += [f"{v.name}  {v.type} per {v.per}" for v in listed if v.per]
        rows += _row(role if role != "condition" else "given", "   ".join(found)) if found else []
    structure = " ".join(plan.structure.p)
    if plan.structure.q:
        structure += "   with " + " ".join(plan.structure.q)
    rows += _row("structure", structure)
    for k, text in enumerate(plan.derived):
        rows += _row("derived" if k == 0 else "", text)
    rows += _row("objective", plan.objective.name)
    rows += _row("", plan.objective.formula)
    for term in plan.terms:
        if term.times:
            factors = [f"{term.weight:g}"] if term.weight != 1 else []
            factors += [ramp.words() for ramp in term.ramps]
            rows += _row("", f"with weight {', times '.join(factors)} on {term.label}")
    rows += _row("estimator", plan.objective.estimator)
    for k, reason in enumerate(plan.objective.reasons):
        rows += _row("because" if k == 0 else "", reason_text(reason))
    rows += _row("steps", "; ".join(s.words() for s in plan.steps))
    rows += _row("sampling", "; ".join(s.words() for s in plan.generate))
    rows += _row(
        "best epoch",
        f"by {plan.criterion} on the validation rows"
        if plan.criterion
        else "the last one: no figure of this model can be compared between epochs",
    )
    grouped: dict[str, list[str]] = {}
    for network in plan.structure.networks:
        grouped.setdefault(network.of, []).append(network.sizes)
    for k, (of, sizes) in enumerate(grouped.items()):
        rows += _row("networks" if k == 0 else "", f"{of}   {', '.join(sizes)}")
    for k, cost in enumerate(plan.structure.costs):
        rows += _row("cost" if k == 0 else "", cost)
    own = (f"those of {path}" for path in plan.structure.own)
    rows += _row("weights", " and ".join([f"{plan.structure.weights:,}", *own]))
    return "\n".join(rows)


def _row(label: str, text: str) -> list[str]:
    lines = textwrap.wrap(text, _WIDTH - _LABEL, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"{label if k == 0 else '':<{_LABEL}}{line}".rstrip() for k, line in enumerate(lines)]


def reason_text(reason: Reason) -> str:
    """A reason with the line of the spec that it comes from."""
    return reason.text + (f" (line {reason.line})" if reason.line else "")


def _json(plan: Plan) -> str:
    return json.dumps(_plain(plan), indent=2)


def _plain(value: object) -> object:
    """Dataclasses as objects with their kind, so that steps and terms can be told apart."""
    if is_dataclass(value) and not isinstance(value, type):
        plain = {f.name: _plain(getattr(value, f.name)) for f in fields(value) if f.repr}
        return {"kind": type(value).__name__, **plain} if isinstance(value, (Step, Term, Loss)) else plain
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return value


def _latex(plan: Plan) -> str:
    words = plan.objective.name.replace("_", r"\_").replace("|", r"$\mid$").replace("%", r"\%")
    return "\n".join([rf"% {plan.model}: {words}", r"\begin{equation}", f"  {plan.objective.latex}", r"\end{equation}"])


FORMATS: dict[str, Callable[[Plan], str]] = {"text": _text, "json": _json, "latex": _latex}
