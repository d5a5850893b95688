"""Values: arithmetic, variables, networks and bijections applied, with shapes inferred from both sides.

Sizes flow up from variables and down from what a place expects: a network's output, or `param`, takes the
shape that is expected of it.
"""

from __future__ import annotations

from dataclasses import replace

from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.catalogue.functions import AXES, FUNCTIONS, STRAIGHT_THROUGH
from dgmppl.catalogue.networks import NETWORKS
from dgmppl.diagnostics import Note, did_you_mean
from dgmppl.graph.arithmetic import check_binary, verify_result
from dgmppl.graph.axes import check_axes, concat
from dgmppl.graph.bijections import image
from dgmppl.graph.configuration import is_network, is_own
from dgmppl.graph.context import Context
from dgmppl.graph.flow_sums import INTEGRAL
from dgmppl.graph.indexing import check_bracket
from dgmppl.graph.names import member_name
from dgmppl.graph.networks import apply_network
from dgmppl.graph.nodes import Parameter, Schedule, Variable
from dgmppl.graph.offsets import names_in, offset_of
from dgmppl.graph.outlines import is_changed
from dgmppl.graph.positions import check_past, moved_position, position
from dgmppl.graph.recurrences import whole_feature
from dgmppl.graph.scheduled import check_scheduled, is_scheduled
from dgmppl.graph.scope import Fail, IndexedFeature, NamedFlow, NamedNet, Scope, VariableFamily, describe_binding
from dgmppl.graph.shapes import is_open
from dgmppl.graph.sums import check_summation
from dgmppl.graph.values import (
    At,
    Constant,
    Declared,
    Learned,
    Mapped,
    Operation,
    SeenPart,
    Use,
    Value,
)
from dgmppl.supports import REAL, Channels, Type, real
from dgmppl.syntax import tree

Shape = tuple[int, ...]


def evaluate(scope: Scope, expr: tree.Expr, expected: Type | None, ctx: Context) -> Value:
    """The typed value of an expression that takes an expected shape where it has none of its own, and may have
    another."""
    return _value(scope, expr, expected, ctx)


def check_value(scope: Scope, expr: tree.Expr, expected: Type | None, ctx: Context) -> Value:
    """The typed value of an expression where `expected` is wanted (None: whatever it is).

    A network and `param` take the expected shape; anything else must have it (E204), numbers fit every shape.
    """
    value = _value(scope, expr, expected, ctx)
    if expected is not None and value.shape != expected.shape and (value.shape or is_flow(value)):
        if is_flow(value):
            scope.fail(
                "E213",
                f"a flow keeps the shape of what it maps: {list(expected.shape)} is expected here",
                expr.span,
                f"shape {list(value.shape)}" if value.shape else "a number",
                help="give the two variables one shape",
            )
        if not expected.shape:
            scope.fail(
                "E204",
                "a single number is expected here",
                expr.span,
                f"shape {list(value.shape)}",
                help="sum(...) adds up the elements, `a @ b` multiplies and adds",
            )
        scope.fail(
            "E204",
            f"shape {list(expected.shape)} is expected, this has {list(value.shape) or 'none'}",
            expr.span,
            f"shape {list(value.shape)}",
            help=_expected_help(expr, value, expected),
        )
    return value


def _expected_help(expr: tree.Expr, value: Value, expected: Type) -> str:
    """A way out where a value has another shape than its place."""
    if isinstance(value, Operation) and value.op == "@" and isinstance(expr, tree.Binary):
        left, right = value.operands
        if len(left.shape) == 2 and len(right.shape) == 1 and len(expected.shape) == 1:
            return f"the left of `@` is of shape {[*expected.shape, *right.shape]} here"
        if len(left.shape) == 1 and len(right.shape) == 2 and len(expected.shape) == 1:
            return f"the right of `@` is of shape {[*left.shape, *expected.shape]} here"
    return "a network in its place takes the expected shape: linear(...)"


def is_flow(value: Value) -> bool:
    """Whether a value is `f(u)` or `floor(f(u))`."""
    inner = value.operands[0] if isinstance(value, Operation) and value.op == "floor" else value
    return isinstance(inner, Mapped)


def _value(scope: Scope, expr: tree.Expr, expected: Type | None, ctx: Context) -> Value:
    value = _read(scope, expr, expected, ctx)
    if isinstance(value, Operation) and ctx.elements is not None:
        verify_result(scope, value, ctx.elements)
    return value


def _read(scope: Scope, expr: tree.Expr, expected: Type | None, ctx: Context) -> Value:
    if isinstance(expr, tree.Number):
        return Constant(real(), expr.span, scope.representable(expr.value, expr.span))
    if isinstance(expr, tree.Name):
        return _name(scope, expr, ctx)
    if isinstance(expr, tree.Learned):
        if expected is None:
            scope.fail(
                "E211",
                "the size of this `param` does not follow from its place",
                expr.span,
                "how many numbers?",
                help="declare it: param a : real[64]",
            )
        return Learned(expected, expr.span, scope.attribute(ctx.hint), ctx.copies or _count(ctx))
    if isinstance(expr, tree.Negate):
        operand = _value(scope, expr.operand, expected, ctx)
        if isinstance(operand, Constant):
            return Constant(real(), expr.span, -operand.number)
        return Operation(Type(REAL, operand.shape), expr.span, "negate", (operand,))
    if isinstance(expr, tree.Binary):
        return check_binary(scope, expr, expected, ctx, _value)
    if isinstance(expr, tree.Bracket):
        return check_bracket(scope, expr, expected, ctx, _value)
    if isinstance(expr, tree.Call):
        return _call(scope, expr, expected, ctx)
    if isinstance(expr, tree.Summation):
        return check_summation(scope, expr, ctx, _value)
    what = {
        tree.Quotation: "a distribution",
        tree.Record: "a record",
        tree.String: "text",
        tree.Boolean: "true or false",
        tree.Range: "a range",
        tree.Integral: "an integral",
        tree.Sizes: "a shape",
    }[type(expr)]
    help_ = f"a flow has one: flow f(u) = {INTEGRAL}" if isinstance(expr, tree.Integral) else ""
    scope.fail("E217", "a value is needed here", expr.span, f"this is {what}", help=help_)


def _count(ctx: Context) -> int:
    return ctx.points[0][1].count if ctx.points else 0


def _name(scope: Scope, expr: tree.Name, ctx: Context) -> Value:
    if expr.name in ctx.env:
        return Constant(real(), expr.span, float(ctx.env[expr.name]))
    points = dict(ctx.points).get(expr.name)
    if points is not None:
        return points
    if expr.name in ctx.sums:
        scope.fail("E217", f"`{expr.name}` is an index of the sum", expr.span, "goes in brackets")
    if ctx.elements is not None and expr.name in ctx.elements.indices:
        return position(expr, ctx.elements)
    binding = scope.lookup(expr.name, expr.span, "variable")
    if isinstance(binding, float):
        return Constant(real(), expr.span, binding)
    if isinstance(binding, Variable):
        return Use(binding.type, expr.span, binding.name)
    if isinstance(binding, Schedule):
        help_ = f"{expr.name}[t], or one by its number: {expr.name}[{binding.start}]"
        scope.fail("E215", f"`{expr.name}` has a number at each place of an index", expr.span, "needs one", help=help_)
    if isinstance(binding, Parameter):
        return Declared(binding.type, expr.span, binding.name, binding.learns)
    if isinstance(binding, VariableFamily):
        member = member_name(expr.name, next(iter(binding.members)))
        help_ = f"name a member, {member}; or all of them side by side: stack({expr.name}), concat({expr.name})"
        scope.fail("E215", f"`{expr.name}` is a family of variables", expr.span, "needs an index", help=help_)
    if isinstance(binding, IndexedFeature):
        reader = "" if ctx.elements is None else ctx.elements.feature
        whole = whole_feature(scope, binding, expr.span, reader, evaluate)
        return Use(whole.type, expr.span, whole.name)
    scope.fail(
        "E217",
        f"a value is needed here, `{expr.name}` is {describe_binding(binding)}",
        expr.span,
        "needs its inputs",
        help=f"{expr.name}(...)",
    )


def _call(scope: Scope, expr: tree.Call, expected: Type | None, ctx: Context) -> Value:
    target = expr.target
    if is_scheduled(expr, ctx):
        return check_scheduled(scope, expr, ctx, _value)
    if is_network(scope, target) or (isinstance(target, tree.Bracket) and _unknown_kind(scope, target)):
        inputs = check_inputs(scope, expr, ctx, past=True)
        return apply_network(scope, expr, inputs, None if expected is None else expected.shape, ctx)
    if is_own(scope, expr):
        scope.fail("E217", "this network has no inputs", expr.span, "needs its inputs", help='python("nets:Net")(z)')
    if is_changed(target):
        value = _flow_argument(scope, expr, expected, ctx)
        return image(scope, target, value, expr.span, ctx, check_inputs, None if expected is None else expected.shape)
    if not isinstance(target, tree.Name):
        scope.fail("E217", "only networks, flows and functions take parentheses", expr.span)
    if target.name in AXES:
        return check_axes(scope, expr, AXES[target.name], expected, ctx, _value)
    if target.name in FUNCTIONS:
        (argument,) = _positional(scope, expr, 1)
        wanted = None if expected is None else real(*expected.shape)
        operand = _value(scope, argument, wanted, ctx)
        if isinstance(operand, Constant):
            return _constant_call(scope, expr, target.name, operand)
        if target.name == STRAIGHT_THROUGH:
            return _straight_through(scope, expr, operand)
        support = FUNCTIONS[target.name].support(operand.type.support)
        return Operation(Type(support, operand.shape), expr.span, target.name, (operand,))
    binding = scope.names.get(target.name)
    if isinstance(binding, NamedFlow):
        value = _flow_argument(scope, expr, expected, ctx)
        shape = None if expected is None else expected.shape
        return image(scope, target, value, expr.span, Context(hint=target.name), check_inputs, shape)
    if target.name in scope.poisoned:
        raise Fail
    known = [
        *NETWORKS,
        *FUNCTIONS,
        *AXES,
        *(n for n, b in scope.names.items() if isinstance(b, (NamedNet, NamedFlow))),
    ]
    if target.name == "quantize":
        scope.fail("E220", "`quantize` is read but cannot be compiled yet", expr.span, "no objective is derived for it")
    if binding is not None:
        scope.fail(
            "E217",
            f"`{target.name}` is {describe_binding(binding)}",
            expr.span,
            "takes no inputs",
            notes=(Note(scope.places[target.name], "declared here"),),
            help=f"an element is in brackets: {target.name}[0]"
            if isinstance(binding, (Variable, Parameter)) and binding.type.shape
            else "parentheses hold the inputs of networks, flows and functions",
        )
    if target.name in DISTRIBUTIONS:
        help_ = "give it to a variable and compute with that: p(z) = Normal(0, 1)"
        scope.fail("E217", f"`{target.name}` is a distribution, and a value is needed here", target.span, help=help_)
    scope.fail(
        "E208",
        f"unknown function or network `{target.name}`",
        target.span,
        help=did_you_mean(target.name, known, f"one of {', '.join(known)}"),
    )


def _flow_argument(scope: Scope, expr: tree.Call, expected: Type | None, ctx: Context) -> Value:
    """What a flow maps: one value, or several side by side, `f(z, g(u))`."""
    if len(expr.arguments) < 2 or any(isinstance(a, tree.Keyword) for a in expr.arguments):
        (argument,) = _positional(scope, expr, 1)
        return _value(scope, argument, expected, ctx)
    parts = tuple(_value(scope, a, None, ctx) for a in expr.arguments if not isinstance(a, tree.Keyword))
    return concat(scope, expr.span, parts, ctx)


def _constant_call(scope: Scope, expr: tree.Call, name: str, operand: Constant) -> Constant:
    """A function of a number is a number."""
    try:
        number = float(FUNCTIONS[name].of_number(operand.number))
    except (ValueError, OverflowError):
        scope.fail("E210", f"{name} has no value here", expr.span, f"{name}({operand.number:g})")
    return Constant(real(), expr.span, scope.representable(number, expr.span))


def _straight_through(scope: Scope, expr: tree.Call, operand: Value) -> Value:
    """`straight_through(floor(v))`: floor's value, with the gradient of v. Reports what is not rounded (E217)."""
    if not (isinstance(operand, Operation) and operand.op == "floor"):
        scope.fail(
            "E217",
            "a straight-through gradient is that of a rounded value",
            operand.span,
            "not rounded",
            help="straight_through(floor(...)); everything else has a gradient of its own",
        )
    return Operation(operand.type, expr.span, STRAIGHT_THROUGH, (operand,))


def _unknown_kind(scope: Scope, target: tree.Bracket) -> bool:
    """Whether brackets follow a name that nothing has: most likely a misspelt network."""
    return isinstance(target.target, tree.Name) and target.target.name not in scope.names


def _positional(scope: Scope, expr: tree.Call, count: int) -> tuple[tree.Expr, ...]:
    arguments = tuple(a for a in expr.arguments if not isinstance(a, tree.Keyword))
    if len(arguments) != count or len(expr.arguments) != count:
        name = expr.target.name if isinstance(expr.target, tree.Name) else "this"
        scope.fail("E209", f"`{name}` takes one value", expr.span, f"has {len(expr.arguments)}", help=f"{name}(x)")
    return arguments


def check_inputs(
    scope: Scope, expr: tree.Call, ctx: Context, past: bool = False, *, expected: Type | None = None
) -> tuple[Value, ...]:
    """A network's inputs. A family's index is one too, scaled to [-1, 1] as a bounded value; a `past` may be one where
    the network is asked whether it is causal. What has no size of its own takes that which is `expected`."""
    inputs: list[Value] = []
    for argument in expr.arguments:
        if isinstance(argument, tree.Keyword):
            scope.fail("E209", "a network's inputs have no names", argument.span)
        if past and isinstance(argument, tree.Bracket):
            items = [i for i in argument.items if isinstance(i, tree.Past)]
            if items:
                inputs.append(check_past(scope, argument, items, ctx))
                continue
        if expected is None and is_open(scope, argument):
            scope.fail(
                "E211",
                "the size of this input does not follow",
                argument.span,
                help="bind it with a type: let h : real[64] = ...; then this reads h",
            )
        index = _index(scope, argument, ctx)
        inputs.append(index or _as_read(scope, _value(scope, argument, expected, ctx), ctx))
    return tuple(inputs)


def _index(scope: Scope, argument: tree.Expr, ctx: Context) -> Value | None:
    """A family's index, or so many from it, as an input of a network: on the scale of the index."""
    for name in names_in(argument):
        elements = ctx.elements
        along = elements is not None and name in elements.indices
        if not along and name not in ctx.env:
            continue
        by = offset_of(scope, argument, name)
        if by is None:
            return None
        if elements is not None and along:
            return moved_position(argument, name, elements, by)
        low, high = ctx.ranges.get(name, (0, 0))
        position = 2 * (ctx.env[name] + by - low) / (high - low) - 1 if high > low else 0.0
        return Constant(real(), argument.span, position)
    return None


def _as_read(scope: Scope, value: Value, ctx: Context) -> Value:
    """A value as a network reads it: of a variable whose elements may be missing what is seen, in a q or a feature."""
    if isinstance(value, At):
        read = _as_read(scope, value.value, ctx)
        return value if read is value.value else replace(value, type=Type(read.type.support, value.shape), value=read)
    variable = scope.names.get(value.variable) if isinstance(value, Use) else None
    if not (ctx.seen and isinstance(variable, Variable) and variable.elementwise):
        return value
    channels = Type(Channels(channels=variable.type.support.width + 1), value.shape)
    return SeenPart(channels, value.span, variable.name, of=variable.type)
