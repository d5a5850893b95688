"""A plan for people (text), for programs (JSON) and for papers (LaTeX)."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import fields, is_dataclass

from dgmppl.plan.families import Families
from dgmppl.plan.nodes import Loss, Plan, Reason, Step, Term
from dgmppl.plan.structure import VariableLine
from dgmppl.plan.typeset import objective_latex

_WIDTH = 100
_LABEL = 12


def explain_plan(plan: Plan, format: str = "text", members: bool = False, forecasts: Sequence[str] = ()) -> str:
    """The plan as "text", "json" or "latex". Text and LaTeX speak of families, or of their `members` one by one; text
    says how sequences go on, one of `forecasts` for each index."""
    if format == "text":
        return _text(plan, members, forecasts)
    return _latex(plan, members) if format == "latex" else _json(plan)


def _text(plan: Plan, members: bool = False, forecasts: Sequence[str] = ()) -> str:
    families = Families([] if members else plan.structure.families)
    rows = [f"{plan.model}{plan.source:>{max(_WIDTH - len(plan.model), len(plan.source) + 1)}}"]
    for role in ("observed", "partial", "condition", "latent"):
        listed = [v for v in plan.structure.variables if v.role == role]
        found = [f"{name}  {type_}" for name, type_ in _variables(families, [v for v in listed if not v.per])]
        found += ["one a row"] if found and role == "latent" else []
        for per in dict.fromkeys(v.per for v in listed if v.per):
            shared = _variables(families, [v for v in listed if v.per == per])
            found += [f"{name}  {type_} per {per}" for name, type_ in shared]
        rows += _row(role if role != "condition" else "given", "   ".join(found)) if found else []
    structure = _factors(families, plan.structure.p)
    if plan.structure.q:
        structure += "   with " + _factors(families, plan.structure.q)
    rows += _row("structure", structure)
    for k, text in enumerate(families.lines(plan.derived)):
        rows += _row("derived" if k == 0 else "", text)
    rows += _row("objective", families.shortened(plan.objective.name))
    rows += _row("", families.formula(plan.objective.formula))
    weighed = []
    for term in plan.terms:
        if term.times:
            factors = [f"{term.weight:g}"] if term.weight != 1 else []
            factors += [ramp.words() for ramp in term.ramps]
            weighed.append(f"with weight {', times '.join(factors)} on {term.label}")
    for text in families.lines(weighed):
        rows += _row("", text)
    rows += _row("estimator", "; ".join(families.lines(plan.objective.estimator.split("; "))))
    for k, (text, line) in enumerate(families.rows([_reason(r) for r in plan.objective.reasons], differ=False)):
        rows += _row("because" if k == 0 else "", text + line)
    for k, (text, line) in enumerate(families.rows([_reason(r) for r in plan.inexact], differ=False)):
        rows += _row("not exact" if k == 0 else "", text + line)
    rows += _row("steps", "; ".join(families.lines([s.words() for s in plan.steps])))
    rows += _row("sampling", "; ".join(families.lines([s.words() for s in plan.generate])))
    for text in forecasts:
        rows += _row("forecast", "; ".join(families.lines(text.split("; "))))
    for k, stage in enumerate(plan.settings.stages):
        rate = f", at the rate {stage.lr:g}" if stage.lr is not None else ""
        text = f"fits {', '.join(families.lines(list(stage.statements)))}{rate}; all else is held"
        rows += _row("stages" if k == 0 else "", f"{k + 1}. {text}")
    for k, text in enumerate(_units(families, plan)):
        rows += _row("units" if k == 0 else "", text)
    rows += _row(
        "best epoch",
        f"by {plan.criterion} on the validation rows"
        if plan.criterion
        else "the last one: no figure of this model can be compared between epochs",
    )
    grouped: dict[str, list[str]] = {}
    for network in plan.structure.networks:
        grouped.setdefault(network.of, []).append(network.sizes)
    networks = families.rows([(of, ", ".join(sizes)) for of, sizes in grouped.items()])
    for k, (of, sizes_) in enumerate(networks):
        rows += _row("networks" if k == 0 else "", f"{of}   {sizes_}")
    for k, cost in enumerate(families.lines(plan.structure.costs)):
        rows += _row("cost" if k == 0 else "", cost)
    own = (f"those of {path}" for path in plan.structure.own)
    rows += _row("weights", " and ".join([f"{plan.structure.weights:,}", *own]))
    return "\n".join(rows)


def _units(families: Families, plan: Plan) -> list[str]:
    """What is counted in units of the data, a line for each variable."""
    found = []
    for units in plan.units:
        parts = [f"{' and '.join(names)} of {key}" for key, names in units.given]
        parts += ["what networks read of it"] if units.read else []
        found.append(f"{units.variable} in those of its training rows: {', '.join(parts)}")
    return families.lines(found)


def _row(label: str, text: str) -> list[str]:
    lines = textwrap.wrap(text, _WIDTH - _LABEL, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"{label if k == 0 else '':<{_LABEL}}{line}".rstrip() for k, line in enumerate(lines)]


def _variables(families: Families, variables: list[VariableLine]) -> list[tuple[str, str]]:
    """Names and types; of a family one name, with its range behind the type."""
    found = families.rows([(v.name, v.type) for v in variables])
    return [(name, f"{type_}, {range_}" if range_ else type_) for name, range_, type_ in map(_named, found)]


def _named(row: tuple[str, str]) -> tuple[str, str, str]:
    """A name apart from its range, and what stands beside it."""
    name, _, range_ = row[0].partition("], ")
    return (f"{name}]", range_, row[1]) if range_ else (row[0], "", row[1])


def _factors(families: Families, keys: tuple[str, ...]) -> str:
    found = families.lines(keys)
    return (" " if len(found) == len(keys) else "   ").join(found)


def reason_text(reason: Reason) -> str:
    """A reason with the line of the spec that it comes from."""
    return "".join(_reason(reason))


def _reason(reason: Reason) -> tuple[str, str]:
    return reason.text, f" (line {reason.line})" if reason.line else ""


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


def _latex(plan: Plan, members: bool) -> str:
    words = plan.objective.name.replace("_", r"\_").replace("|", r"$\mid$").replace("%", r"\%")
    formula = objective_latex(plan, members)
    return "\n".join([rf"% {plan.model}: {words}", r"\begin{equation}", f"  {formula}", r"\end{equation}"])


FORMATS = ("text", "json", "latex")
