"""Flows that a formula of one element writes, by what is before it: `flow f(u[d]) = u[d] * exp(s(u[<d]))`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from dgmppl.catalogue.bijections import TRIANGULAR
from dgmppl.graph.context import Context, Elements, Inputs
from dgmppl.graph.formula_outlines import TRIANGLE
from dgmppl.graph.outline import Outline
from dgmppl.graph.outside import Outside, bound, reads
from dgmppl.graph.positions import verify_earlier
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import (
    At,
    Bijection,
    Block,
    Feature,
    Inverse,
    Module,
    State,
    Triangular,
    Use,
    Value,
    children,
    walk,
)
from dgmppl.supports import REAL, Support, Type
from dgmppl.syntax import tree

Check = Callable[[Scope, Outline, Support, Context, Inputs], tuple[Bijection, Support]]


def check_triangular(
    scope: Scope, outline: Outline, support: Support, ctx: Context, inputs: Inputs, check: Check
) -> tuple[Bijection, Support]:
    """The bijection of a vector, or of a grid, that a formula of one element writes.

    Where it reads the past of what it gives, it is an autoregressive flow: one pass for each element, and backwards one
    for all (Papamakarios et al., 2017). Where it reads the past of what it maps, it is one read backwards (Kingma et
    al., 2016).

    Reports values that it does not map (E213), an element that is given itself or a later one (E205), and one that is
    given nothing of the others, or of both ends (E217).
    """
    flow, shape = outline.formula, outline.takes
    assert flow is not None and flow.argument is not None and flow.indices is not None
    if support != REAL:
        headline = f"`{flow.name}` maps real values, these are {support.describe()}"
        scope.fail("E213", headline, outline.span, f"gets {Type(support, shape).describe()}")
    _verify_letters(scope, flow)
    elements = Elements(flow.indices.names, shape, flow.argument, maps=True)
    with bound(scope, dict.fromkeys((flow.argument, flow.name), Type(REAL, shape)), flow.name_span):
        mapped, target = check(scope, outline.parts[0], REAL, replace(ctx, elements=elements), inputs)
    numbers = {name: value for t in walk(mapped) if isinstance(t, Block) for name, value in t.context}
    past = _past(scope, flow, elements, target, tuple(numbers.values()))
    outside = Outside(scope, (past,))
    inside = tuple((name, outside.given(value)) for name, value in numbers.items())
    modules = {m.attribute: m for _, value in inside for m in walk(value) if isinstance(m, Module)}
    method = scope.attribute(f"{flow.name}_numbers")
    forward = past == flow.name
    bijection = mapped if forward else Inverse(outline.span, mapped)
    triangular = Triangular(flow.name, method, past, inside, bijection, target)
    block = Block(
        outline.span,
        TRIANGULAR,
        shape,
        tuple((name, replace(module, named=True)) for name, module in modules.items()),
        context=tuple(outside.context.items()),
        triangular=triangular,
    )
    return block if forward else Inverse(outline.span, block), target


def _verify_letters(scope: Scope, flow: tree.Flow) -> None:
    """Reports an index that has another meaning (E202)."""
    assert flow.indices is not None
    names = (*flow.indices.names, flow.argument)
    taken = next((n for k, n in enumerate(names) if n in scope.names or n in names[:k]), None)
    if taken is not None:
        headline = f"`{taken}` is already taken, and the index of an element is a letter of its own"
        scope.fail("E202", headline, flow.indices.span, "choose another letter")


def _past(scope: Scope, flow: tree.Flow, elements: Elements, target: Support, numbers: tuple[Value, ...]) -> str:
    """Of what an element is given the past: the argument of a flow, or, by the name of the flow, what that gives.

    Reports an element that is given nothing of it, or of both (E217), or anything else of it (E205).
    """
    assert flow.argument is not None and flow.indices is not None
    first = ", ".join(f"<{i}" for i in flow.indices.names)
    for name in (flow.argument, flow.name):
        whole = next((t for value in numbers for t in _whole(value, name)), None)
        if whole is not None:
            headline = f"an element of `{name}` is given what is before it, and this is all of it"
            scope.fail("E205", headline, whole.span, f"reads `{name}`", help=f"{name}[{first}]")
    of_image = [t for v in numbers for t in walk(v) if isinstance(t, At) and reads(t.value, flow.name)]
    for at in of_image:
        verify_earlier(scope, at, at.span, flow.name, elements, ())
    feature = next((t for value in numbers for t in walk(value) if isinstance(t, (Feature, State))), None)
    if feature is not None:
        headline = "a feature with a value at each position is read where elements are modelled one by one"
        scope.fail("E217", headline, feature.span, "not in a flow", help="write its network here")
    own = any(reads(value, flow.name) for value in numbers)
    if own and any(reads(value, flow.argument) for value in numbers):
        headline = f"an element is given the past of `{flow.argument}`, or that of `{flow.name}`, and this reads both"
        scope.fail("E217", headline, flow.value.span, "both ends", help=f"{flow.argument}[{first}] alone")
    if own and target != REAL:
        headline = f"what `{flow.name}` gives is read as real values, and this lands in {target.describe()}"
        help_ = f"map it behind: flow g(v) = exp({flow.name}(v))"
        scope.fail("E213", headline, flow.value.span, target.describe(), help=help_)
    if own:
        return flow.name
    if not any(reads(value, flow.argument) for value in numbers):
        headline = f"no element of `{flow.argument}` is given what is before it"
        help_ = f"{TRIANGLE}; of all elements alike it is a formula without an index: flow f(u) = 2 * u"
        scope.fail("E217", headline, flow.value.span, f"reads no {flow.argument}[{first}]", help=help_)
    return flow.argument


def _whole(term: object, argument: str) -> Iterator[Use]:
    """Where all of the argument is read."""
    if isinstance(term, Use) and term.variable == argument:
        yield term
    elif not (isinstance(term, At) and isinstance(term.value, Use)):
        for child in children(term):
            yield from _whole(child, argument)


__all__ = ["check_triangular"]
