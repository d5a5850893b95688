"""Settings that name parts of the spec: its variables, factors and stages, figures, and warnings that are meant."""

from __future__ import annotations

from collections.abc import Sequence

from dgmppl.catalogue.signature import Argument
from dgmppl.catalogue.training import ESTIMATORS, POSTERIORS
from dgmppl.diagnostics import did_you_mean
from dgmppl.diagnostics.codes import CODES
from dgmppl.diagnostics.codes_plan import CODES as _OF_SPECS
from dgmppl.graph.binding import Bound
from dgmppl.graph.scope import Scope
from dgmppl.plan.entries import members_of
from dgmppl.plan.setting_numbers import Read, called_name, read_positive, wrong
from dgmppl.plan.setting_types import Accepted, Stage
from dgmppl.syntax import tree


def _posterior(scope: Scope, bound: Bound) -> str:
    if not isinstance(bound.value, tree.Name) or bound.value.name not in POSTERIORS:
        wrong(scope, bound.value, f"one of {', '.join(POSTERIORS)}")
    return bound.value.name


def _gradient(scope: Scope, bound: Bound) -> dict[str, str]:
    """An estimator for each variable."""
    if not isinstance(bound.value, tree.Record):
        wrong(scope, bound.value, "a record of estimators by variable", "gradient = { z[t] = by_loss }")
    found: dict[str, str] = {}
    for s in bound.value.settings:
        names = members_of(scope, s.name, s.name_span, s.subscripts)
        again = next((name for name in names if name in found), None)
        if again is not None:
            scope.fail("E305", f"`{again}` is given twice", s.span, "given again")
        if not isinstance(s.value, tree.Name) or s.value.name not in ESTIMATORS:
            wrong(scope, s.value, f"one of {', '.join(ESTIMATORS)}")
        found.update(dict.fromkeys(names, s.value.name))
    return found


def _figure(scope: Scope, bound: Bound) -> str:
    """The name of a figure, as written: which ones there are is known only with the plan."""
    text = _figure_text(bound.value)
    if text is None:
        wrong(scope, bound.value, "the name of a figure", "best = error(y), or best = log p(y | x)")
    return text


def _figure_text(expr: tree.Node) -> str | None:
    """`elbo`, `error(y)`, `iwae(10)`, `log p(y | x)` or a text; None for what is no name of a figure."""
    if isinstance(expr, tree.String):
        return expr.value
    if isinstance(expr, tree.Figure):
        factor = expr.factor
        heads, given = map(_plain_names, (factor.heads, factor.given))
        if heads is None or given is None:
            return None
        return f"{expr.name} {factor.side}({heads}{' | ' + given if given else ''})"
    called = called_name(expr) if isinstance(expr, (tree.Name, tree.Call)) else None
    if called is None:
        return None
    inside = _plain_names(called[1])
    return inside if inside is None else f"{called[0]}({inside})" if inside else called[0]


def _plain_names(parts: Sequence[tree.Node]) -> str | None:
    """Names and numbers as they are written, with commas between them."""
    found: list[str] = []
    for part in parts:
        if isinstance(part, tree.Name) or (isinstance(part, tree.Reference) and not (part.subscripts or part.past)):
            found.append(part.name)
        elif isinstance(part, tree.Number):
            found.append(part.text)
        else:
            return None
    return ", ".join(found)


def _accept(scope: Scope, bound: Bound) -> tuple[Accepted, ...]:
    items = bound.value.sizes if isinstance(bound.value, tree.Sizes) else (bound.value,)
    return tuple(accepted for item in items for accepted in _accepted(scope, item))


def _accepted(scope: Scope, item: tree.Expr) -> tuple[Accepted, ...]:
    """`W401`, or `W401(z, w)`."""
    called = called_name(item)
    if called is None:
        wrong(scope, item, "the code of a warning", "accept = [W402, W401(z)]")
    code, names = called
    warnings = {c: entry for c, entry in CODES.items() if c.startswith("W")}
    if code not in warnings:
        what = "an error, and accepted by nothing" if code in CODES else "no warning"
        scope.fail("E305", f"`{code}` is {what}", item.span, help=did_you_mean(code.upper(), warnings))
    if code not in _OF_SPECS:
        scope.fail("E305", f"{code} is told of data or of a run, and not of a spec", item.span, "not told here")
    found = [_family_or_name(name) for name in names]
    if None in found:
        scope.fail("E305", "a warning is accepted where a variable is declared or modelled", item.span, f"{code}(z)")
    return tuple(Accepted(code, name or "", item.span) for name in found or [""])


def _stages(scope: Scope, bound: Bound) -> tuple[Stage, ...]:
    """`[fit(q(z), p(x)), fit(p(z))]`."""
    usage = "stages = [fit(q(z), p(x)), fit(p(z))]"
    if not isinstance(bound.value, tree.Sizes):
        wrong(scope, bound.value, "a list of stages", usage)
    found = []
    for item in bound.value.sizes:
        called = called_name(item)
        if called is None or called[0] != "fit" or not called[1]:
            wrong(scope, item, "a stage, with what it fits,", usage)
        parts = [a for a in called[1] if not isinstance(a, tree.Keyword)]
        options = [a for a in called[1] if isinstance(a, tree.Keyword)]
        lr = None
        for option in options:
            if option.name != "lr" or lr is not None:
                scope.fail("E305", "a stage has one option, `lr`", option.span, f"`{option.name}`", help=usage)
            lr = read_positive(scope, Bound(Argument("lr", "positive"), option.value, option.span))
        if not parts:
            wrong(scope, item, "a stage, with what it fits,", usage)
        found.append(Stage(tuple(_fitted(scope, a, usage) for a in parts), lr, item.span))
    return tuple(found)


def _fitted(scope: Scope, expr: tree.Expr | tree.Keyword, usage: str) -> tuple[str, str]:
    """`z`, or `p(z)` and `q(z)`; of a family `z[t]`."""
    if isinstance(expr, tree.Quotation) and len(expr.heads) == 1:
        return expr.side, expr.heads[0].name
    name = _family_or_name(expr)
    if name is None:
        wrong(scope, expr, "a variable, or its p or q,", usage)
    return "", name


def _family_or_name(expr: tree.Expr | tree.Keyword) -> str | None:
    """z of `z`, and of a family `z[t]`; None for what is neither."""
    if isinstance(expr, tree.Bracket) and len(expr.items) == 1 and isinstance(expr.items[0], tree.Name):
        return _family_or_name(expr.target)
    return expr.name if isinstance(expr, tree.Name) else None


NAMES: dict[str, Read] = {
    "figure": _figure,
    "posterior": _posterior,
    "gradient": _gradient,
    "accept": _accept,
    "stages": _stages,
}
"""A reader for each kind of setting that names parts of the spec."""
