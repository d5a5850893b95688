"""What is computed for a place is of what it takes: parameters of distributions, arguments of functions, features."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dgmppl.catalogue.distributions import DISTRIBUTIONS, DistributionParameter
from dgmppl.diagnostics import Diagnostic
from dgmppl.graph.arithmetic import classes_told, numbers_of_classes
from dgmppl.graph.ends import Ends, Places, ends_of, of_support
from dgmppl.graph.nodes import Definition, Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import (
    Apply,
    Autoregressive,
    Constant,
    Declared,
    Feature,
    Joined,
    Learned,
    Mixture,
    Operation,
    Parametric,
    Plate,
    Quoted,
    Segment,
    Sequence,
    Softmax,
    Term,
    Use,
    Value,
    children,
    walk,
)
from dgmppl.supports import POSITIVE, REAL, Type, number_text

Found = tuple[Term, Places | None]
_POSITIVE = "exp(...) and softplus(...) are positive; a network, or `param`, by itself is made so"


def verify_arguments(scope: Scope, graph: Graph) -> None:
    """Reports computed values that may lie outside of what their place takes (E203, E210)."""
    said = len(scope.diagnostics)
    terms: list[Term] = [f.density for f in graph.factors]
    terms += [d.value for d in graph.definitions]
    terms += [graph.energy.value] if graph.energy is not None else []
    for term in terms:
        logits = _logits(term)
        for each, places in placed(term, None, 0):
            if isinstance(each, Parametric):
                _verify_parametric(scope, graph, each, places)
            elif isinstance(each, Quoted):
                _verify_quoted(scope, graph, each)
            elif isinstance(each, Operation) and each.op in _PARTIAL:
                _verify_operation(scope, graph, each, places, each in logits)
            elif isinstance(each, Feature):
                _verify_type(scope, graph, each.name, each.type, each.body, _inside(each, places, 0))
    for definition in graph.definitions:
        if graph[definition.variable].role == "let":
            _verify_let(scope, graph, definition)
    scope.diagnostics[said:] = _innermost(scope.diagnostics[said:])


def _innermost(found: list[Diagnostic]) -> list[Diagnostic]:
    """Each message once, and none about what holds a part that has one itself."""
    once = list(dict.fromkeys(found))
    return [d for d in once if not any(_holds(d, other) for other in once)]


def _holds(outer: Diagnostic, inner: Diagnostic) -> bool:
    a, b = outer.span, inner.span
    return a is not None and b is not None and a != b and a.start <= b.start and b.end <= a.end


def placed(term: Term, places: Places | None, count: int) -> Iterator[Found]:
    """A term and all terms inside it, each with the positions of an index that it is about; `count`: how many members
    the sequence has that it is of."""
    yield term, places
    count = term.type.shape[0] if isinstance(term, Sequence) else count
    inside = _inside(term, places, count)
    for child in children(term):
        yield from placed(child, inside, count)


def _inside(term: Term, places: Places | None, count: int) -> Places | None:
    """The positions that what stands inside a term is about."""
    if isinstance(term, Segment):
        return Places(term.first, term.last, count)
    if isinstance(term, (Autoregressive, Plate)):
        return Places(0, term.type.shape[0] - 1, term.type.shape[0]) if term.axes == 1 else None
    if isinstance(term, Feature):
        return Places(0, term.extent[0] - 1, term.extent[0]) if len(term.extent) == 1 else None
    return places


# --- distributions -------------------------------------------------------------------------------


def _verify_parametric(scope: Scope, graph: Graph, density: Parametric, places: Places | None) -> None:
    for name, value in density.arguments:
        parameter = DISTRIBUTIONS[density.kind].parameter(name)
        if parameter is None or name in density.linked or isinstance(value, Constant):
            continue
        what = f"the {name} of {density.kind}"
        if not value.type.support.numeric:
            scope.report("E213", *classes_told(scope, value), help=numbers_of_classes(scope, value))
            continue
        if parameter.constraint == POSITIVE:
            ends = ends_of(graph, value, places)
            if not ends.positive:
                help_ = _declared_positive(graph, value) or _POSITIVE
                scope.report("E210", f"{what} is positive", value.span, _reach(ends), help=help_)
        elif parameter.axis(density.type.support) and parameter.constraint != REAL:
            _verify_increasing(scope, graph, value, parameter, what)


def _declared_positive(graph: Graph, value: Value) -> str:
    """A way out where a feature that is a network stands for a positive number: a type that makes it one."""
    variable = graph[value.variable] if isinstance(value, Use) else None
    definition = graph.definition(variable.name) if variable is not None else None
    if variable is None or definition is None or not isinstance(definition.value, Apply):
        return ""
    return (
        f"let {variable.name} : {Type(POSITIVE, variable.type.shape).describe()} = ..., or a function of it: exp(...)"
    )


def _verify_increasing(scope: Scope, graph: Graph, value: Value, parameter: DistributionParameter, what: str) -> None:
    """Numbers along an axis increase where they are written, or read from a file."""
    if isinstance(value, Declared) and not value.learns:
        return
    parts = value.parts if isinstance(value, Joined) else ()
    numbers = [p.number for p in parts if isinstance(p, Constant)]
    if parts and len(numbers) == len(parts) and all(a < b for a, b in zip(numbers, numbers[1:])):
        return
    label = "these are not" if parts and len(numbers) == len(parts) else "this is any number of them"
    help_ = "a network, or `param`, by itself is made so; numbers may be written, concat(-1, 0, 2)"
    scope.report("E210", f"{what} are {parameter.constraint.condition}", value.span, label, help=help_)


def _reach(ends: Ends) -> str:
    """What a value may be that its place does not take."""
    if math.isinf(ends.low) and math.isinf(ends.high):
        return "this may be any number"
    if ends.low == 0:
        return "this may be 0"
    return "this may be any number below 0" if math.isinf(ends.low) else f"this may be {number_text(ends.low)}"


# --- functions and quotations --------------------------------------------------------------------


def _logits(term: Term) -> frozenset[Term]:
    """What stands for logits: of a class without probability they may be minus infinity, the logarithm of 0."""
    found: list[Term] = []
    for each in walk(term):
        if isinstance(each, Parametric):
            found += [value for name, value in each.arguments if name == "logits"]
        elif isinstance(each, Mixture):
            found.append(each.weights)
        elif isinstance(each, Softmax):
            found.append(each.value)
    return frozenset(part for value in found for part in _added(value))


def _added(value: Term) -> Iterator[Term]:
    """A value, and what is added to others in it: minus infinity there makes all of it so."""
    yield value
    if isinstance(value, Joined):
        added: tuple[Value, ...] = value.parts
    elif isinstance(value, Operation) and value.op in ("+", "-"):
        added = value.operands if value.op == "+" else value.operands[:1]
    elif isinstance(value, Operation) and value.op in ("*", "/"):
        first, second = value.operands
        scaled = [(first, second), (second, first)][: 2 if value.op == "*" else 1]
        added = tuple(a for a, by in scaled if isinstance(by, Constant) and by.number > 0)
    else:
        return
    for part in added:
        yield from _added(part)


def _verify_operation(scope: Scope, graph: Graph, value: Operation, places: Places | None, logits: bool) -> None:
    if value.op in ("log", "sqrt"):
        (ends,) = (ends_of(graph, operand, places) for operand in value.operands)
        zero = value.op == "sqrt" or logits
        least = "from 0" if zero else "above 0"
        if not (ends.positive or (zero and ends.low >= 0)):
            scope.report(
                "E210",
                f"`{value.op}` is of numbers {least}",
                value.operands[0].span,
                _reach(ends),
                help=f"bring it there: {value.op}(softplus(...)), or declare what it is of positive",
            )
    elif value.op == "/" and _vanishes(graph, value.operands[1], places):
        help_ = "add what keeps it from 0, or declare what it is of positive"
        scope.report("E210", "a division by 0", value.operands[1].span, "this may be 0", help=help_)
    elif value.op == "^":
        _verify_power(scope, graph, value, places)


def _verify_power(scope: Scope, graph: Graph, value: Operation, places: Places | None) -> None:
    base, exponent = (ends_of(graph, operand, places) for operand in value.operands)
    if exponent.low == exponent.high and float(exponent.low).is_integer():
        if exponent.low < 0 and _vanishes(graph, value.operands[0], places):
            scope.report("E210", "a division by 0", value.operands[0].span, "this may be 0")
    elif base.low < 0:
        scope.report(
            "E210",
            "a power that is no whole number is one of numbers from 0",
            value.operands[0].span,
            _reach(base),
            help="bring it there: abs(...), exp(...), or declare what it is of positive",
        )


def _vanishes(graph: Graph, value: Value, places: Places | None) -> bool:
    """Whether a value is 0 with a probability: of whole numbers, or where a function is flat. What is continuous around
    0 is 0 with none."""
    if isinstance(value, Operation) and value.op in ("*", "negate", "^", "abs"):
        return any(_vanishes(graph, operand, places) for operand in value.operands[: 1 if value.op == "^" else None])
    flat = isinstance(value, Operation) and value.op == "relu"
    return (value.type.support.discrete or flat) and ends_of(graph, value, places).reaches_zero


_PARTIAL = frozenset({"log", "sqrt", "/", "^"})


def _verify_quoted(scope: Scope, graph: Graph, density: Quoted) -> None:
    """What stands for the parents of another factor are values of theirs."""
    quoted = next((f for f in graph.factors if f.key == density.factor), None)
    parents = quoted.parents if quoted is not None else ()  # one in which something is wrong
    for value, wanted in zip(density.given, (graph[name].type for name in parents)):
        if not _lies(graph, value, wanted):
            scope.report(
                "E203",
                f"a parent of {density.factor} is {wanted.support.describe()}, and this may be another value",
                value.span,
                value.type.support.describe(),
                help="a network, or `param`, by itself is made so" if wanted.support.link is not None else "",
            )


# --- features ------------------------------------------------------------------------------------


def _verify_let(scope: Scope, graph: Graph, definition: Definition) -> None:
    variable = graph[definition.variable]
    _verify_type(scope, graph, variable.shown, variable.type, definition.value, None)


def _verify_type(scope: Scope, graph: Graph, name: str, type_: Type, value: Value, places: Places | None) -> None:
    """A feature has values of the type that it declares (E203)."""
    if not _lies(graph, value, type_, places):
        scope.report(
            "E203",
            f"`{name}` is {type_.support.describe()}, and this may be another value",
            value.span,
            value.type.support.describe(),
            help="a feature of real numbers may be declared real; a network by itself is made what is declared"
            if type_.support.link is not None
            else "",
        )


def _lies(graph: Graph, value: Value, wanted: Type, places: Places | None = None) -> bool:
    """Whether a value is one of a type: by its own support, or by its arithmetic where single numbers have no gaps."""
    support, found = wanted.support, value.type.support
    if support.holds(found) or isinstance(value, Learned):
        return True
    whole = isinstance(value, Constant) and value.number.is_integer()
    if support.event_rank or not found.numeric or (support.discrete and not whole):
        return False
    return ends_of(graph, value, places).within(of_support(support))
