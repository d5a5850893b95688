"""Warnings that a spec accepts: `train { accept = [W401(z)] }` says that they are meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dgmppl.diagnostics import Diagnostic
from dgmppl.plan.settings import Accepted
from dgmppl.source import Span
from dgmppl.syntax import tree


def without_accepted(
    found: Iterable[Diagnostic], spec: tree.Spec, accepted: Sequence[Accepted]
) -> tuple[Diagnostic, ...]:
    """The diagnostics without the warnings that a spec accepts, and with one for each of those that is never told
    (W402)."""
    told: list[Diagnostic] = []
    used: set[Accepted] = set()
    for d in found:
        by = [a for a in accepted if d.severity == "warning" and a.code == d.code and _is_about(a, d, spec)]
        used.update(by)
        told += [] if by else [d]
    for a in accepted:
        if a not in used:
            about = f" of `{a.name}`" if a.name else ""
            told.append(
                Diagnostic(
                    "W402",
                    f"{a.code}{about} is accepted, and never told",
                    a.span,
                    "no effect",
                    help="leave it out",
                    severity="warning",
                )
            )
    return tuple(told)


def _is_about(accepted: Accepted, found: Diagnostic, spec: tree.Spec) -> bool:
    if not accepted.name:
        return True
    return found.span is not None and accepted.name in _names_at(spec, found.span)


def _names_at(spec: tree.Spec, span: Span) -> set[str]:
    """What the statement at a place declares, models or defines."""
    statement = next((s for s in spec.statements if s.span.start <= span.start < s.span.end), None)
    if isinstance(statement, tree.Factor):
        return {head.name for head in statement.heads}
    if isinstance(statement, tree.Definition):
        return {statement.target.name}
    return {getattr(statement, "name", "")}


__all__ = ["without_accepted"]
