"""Whether a definition gives values of its variable, and all of them where it is inverted."""

from __future__ import annotations

from dgmppl.catalogue.bijections import BIJECTIONS
from dgmppl.diagnostics import Note
from dgmppl.graph.nodes import Definition, Graph, Variable
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Apply, Mapped, Value, variables, walk
from dgmppl.supports import SUPPORTS, UNIT, Interval, Support, number_text

# Where a network lands whose last activation is one of these.
_RANGES = {"tanh": Interval(-1, 1), "sigmoid": UNIT}


def verify_range(scope: Scope, variable: Variable, definition: Definition) -> None:
    """A definition must land in the variable's support, and where it is inverted reach all of it: the density of what
    it does not reach would be 0 (E203)."""
    support, value = variable.type.support, definition.value
    found = value.type.support
    if support.same_values_as(found) if isinstance(value, Mapped) else _lands(value, support):
        return
    misses = support.holds(found) and (isinstance(value, Mapped) or support.integral)
    how = "takes only some of its values" if misses else "is not"
    ways_out = (
        _reaching(variable.name, support, found)
        if misses or (isinstance(value, Mapped) and not support.integral)
        else support.landing
    )
    if isinstance(value, Mapped) and value.value.type.support.integral and found.integral:
        given = ", ".join(variables(value.value))
        ways_out = f"a flow of whole numbers stays in their range: declare `{given}` {support.describe()}"
        ways_out += f", or `{variable.name}` {found.describe()}"
    scope.report(
        "E203",
        f"`{variable.name}` is {support.describe()}, and this {how}",
        value.span,
        found.describe(),
        notes=(Note(variable.span, "declared here"),),
        help=ways_out,
    )


def _reaching(name: str, support: Support, found: Support) -> str:
    """How an inverted value comes to take all values of a support."""
    declared = type(found) in SUPPORTS.values()
    if support.integral:
        if support.low is not None and support.high is not None:
            return f"let what is rounded run from {number_text(support.low)} to {number_text(support.high + 1)}"
        if support.low is not None:
            return f"let what is rounded run from {number_text(support.low)} on: floor(exp(...))"
        return f"declare `{name}` {found.describe()}" if declared else "let what is rounded be any real number"
    names = [b.name for b in BIJECTIONS.values() if b.codomain == support and b.codomain != b.domain]
    if support.low is not None and support.high is not None and not names:
        return f"let it run from {number_text(support.low)} to {number_text(support.high)}: scale and shift a sigmoid"
    onto = f"let {' or '.join(names)} be the last that is done to it" if names else "let nothing bound it"
    return f"{onto}, or declare `{name}` {found.describe()}" if declared else onto


def verify_context(scope: Scope, graph: Graph, definition: Definition) -> None:
    """A flow conditioned on what it maps is no bijection of it (E213)."""
    for term in walk(definition.value):
        if isinstance(term, Mapped):
            shared = set(graph.roots(variables(term.bijection))) & set(graph.roots(variables(term.value)))
            for name in sorted(shared):
                scope.report(
                    "E213",
                    f"a flow of `{name}` is conditioned on `{name}`",
                    term.span,
                    "no bijection",
                    notes=(Note(term.bijection.span, f"reads `{name}`"),),
                    help="condition it on something else that is known, or on nothing",
                )
                return


def _lands(value: Value, support: Support) -> bool:
    found = value.type.support
    if isinstance(value, Apply):
        found = _RANGES.get(value.module.out, found)
    return support.lands(found)
