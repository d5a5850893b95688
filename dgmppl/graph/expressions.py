"""Values: arithmetic, variables, networks and bijections applied, with shapes inferred from both sides.

Sizes flow up from variables and down from what a place expects: a network's output, or `param`, takes the
shape that is expected of it.
"""

from __future__ import annotations

from dataclasses import replace

from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.catalogue.functions import FUNCTIONS, OF_NUMBERS, STRAIGHT_THROUGH
from dgmppl.catalogue.networks import NETWORKS
from dgmppl.diagnostics import Note, did_you_mean
from dgmppl.graph.bijections import image
from dgmppl.graph.context import Context
from dgmppl.graph.networks import apply_network, causal_names, is_network
from dgmppl.graph.nodes import Parameter, Variable
from dgmppl.graph.polynomial import polynomial
from dgmppl.graph.scope import Fail, NamedFlow, NamedNet, Scope, VariableFamily, describe_binding
from dgmppl.graph.shapes import infer_ranges, is_open, resolve_member
from dgmppl.graph.values import (
    Constant,
    Declared,
    Element,
    IndexSum,
    Learned,
    Mapped,
    Operation,
    Past,
    Use,
    Value,
)
from dgmppl.supports import REAL, Type, real
from dgmppl.syntax import tree

Shape = tuple[int, ...]


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
            help="a network in its place takes the expected shape: linear(...)",
        )
    return value


def is_flow(value: Value) -> bool:
    """Whether a value is `f(u)` or `floor(f(u))`."""
    inner = value.operands[0] if isinstance(value, Operation) and value.op == "floor" else value
    return isinstance(inner, Mapped)


def _value(scope: Scope, expr: tree.Expr, expected: Type | None, ctx: Context) -> Value:
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
        return _binary(scope, expr, expected, ctx)
    if isinstance(expr, tree.Bracket):
        return _bracket(scope, expr, ctx)
    if isinstance(expr, tree.Call):
        return _call(scope, expr, expected, ctx)
    if isinstance(expr, tree.Summation):
        return _summation(scope, expr, ctx)
    what = {
        tree.Quotation: "a distribution",
        tree.Record: "a record",
        tree.String: "text",
        tree.Boolean: "true or false",
    }[type(expr)]
    scope.fail("E217", "a value is needed here", expr.span, f"this is {what}")


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
    binding = scope.lookup(expr.name, expr.span, "variable")
    if isinstance(binding, float):
        return Constant(real(), expr.span, binding)
    if isinstance(binding, Variable):
        return Use(binding.type, expr.span, binding.name)
    if isinstance(binding, Parameter):
        return Declared(binding.type, expr.span, binding.name)
    if isinstance(binding, VariableFamily):
        help_ = f"name a member: {expr.name}[{next(iter(binding.members))}]"
        scope.fail("E215", f"`{expr.name}` is a family of variables", expr.span, "needs an index", help=help_)
    scope.fail(
        "E217",
        f"a value is needed here, `{expr.name}` is {describe_binding(binding)}",
        expr.span,
        "needs its inputs",
        help=f"{expr.name}(...)",
    )


# --- arithmetic ----------------------------------------------------------------------------------


def _binary(scope: Scope, expr: tree.Binary, expected: Type | None, ctx: Context) -> Value:
    if expr.op == ">>":
        scope.fail(
            "E217",
            "`>>` makes a distribution or a flow, and a value is needed here",
            expr.span,
            help="name the flow and apply it: flow f = ...; f(u)",
        )
    wanted = None if expected is None else real(*expected.shape)
    if expr.op == "@":
        left, right = _value(scope, expr.left, None, ctx), _value(scope, expr.right, None, ctx)
        if not left.shape or not right.shape or left.shape[-1] != right.shape[0]:
            _disagree(scope, expr, left, right, "the last size of the left must be the first of the right")
        shape = left.shape[:-1] + right.shape[1:]
        return Operation(real(*shape), expr.span, "@", (left, right))
    if wanted is None and is_open(scope, expr.left) and not is_open(scope, expr.right):
        right = _value(scope, expr.right, None, ctx)
        left = _value(scope, expr.left, real(*right.shape), ctx)
    else:
        left = _value(scope, expr.left, wanted, ctx)
        right = _value(scope, expr.right, wanted or real(*left.shape), ctx)
    if isinstance(left, Constant) and isinstance(right, Constant):
        number = scope.arithmetic(expr, left.number, right.number)
        return Constant(real(), expr.span, scope.representable(number, expr.span))
    if expr.op == "/" and isinstance(right, Constant) and right.number == 0:
        scope.fail("E210", "this arithmetic has no result", expr.span, "a division by 0")
    if left.shape and right.shape and left.shape != right.shape:
        _disagree(scope, expr, left, right, f"`{expr.op}` works element by element")
    return Operation(real(*(left.shape or right.shape)), expr.span, expr.op, (left, right))


def _disagree(scope: Scope, expr: tree.Binary, left: Value, right: Value, why: str) -> None:
    scope.fail(
        "E204",
        f"shapes {list(left.shape)} and {list(right.shape)} do not go together",
        expr.span,
        why,
        notes=(
            Note(expr.left.span, f"shape {list(left.shape)}"),
            Note(expr.right.span, f"shape {list(right.shape)}"),
        ),
    )


def _summation(scope: Scope, expr: tree.Summation, ctx: Context) -> Value:
    if not expr.indices:
        body = _value(scope, expr.body, None, ctx)
        return Operation(real(), expr.span, "sum", (body,))
    ranges: dict[str, int] = {}
    for name in expr.indices:
        if name in scope.names or name in ctx.sums or expr.indices.count(name) > 1:
            scope.fail("E202", f"the index `{name}` is already taken", expr.span, "choose another letter")
    infer_ranges(scope, expr.body, set(expr.indices), ranges, ctx)
    for name in expr.indices:
        if name not in ranges:
            scope.fail("E211", f"the range of the index `{name}` does not follow", expr.span, "never used")
    body = _value(scope, expr.body, None, replace(ctx, sums={**ctx.sums, **ranges}))
    if body.shape:
        scope.fail("E204", "what is summed over indices is a number", expr.body.span, f"shape {list(body.shape)}")
    value = IndexSum(real(), expr.span, tuple(ranges.items()), body)
    if polynomial(value, ()) is None:
        scope.fail(
            "E217",
            "a sum over indices is of products of variables and parameters",
            expr.body.span,
            "no such sum",
            help="without indices a sum is of any tensor: sum(tanh(x) * b)",
        )
    return value


# --- brackets and calls --------------------------------------------------------------------------


def _bracket(scope: Scope, expr: tree.Bracket, ctx: Context) -> Value:
    target = expr.target
    past = [i for i in expr.items if isinstance(i, tree.Past)]
    if past:
        found = _past(scope, expr, past, ctx)
        text = scope.source.text[expr.span.start : expr.span.end]
        scope.fail(
            "E214",
            f"`{text}` is read by a causal network, and by nothing else",
            found.span,
            "would be the present too",
            help=f"masked[64]({text}), or another of {causal_names(len(past))}",
        )
    for item in expr.items:
        if isinstance(item, (tree.Keyword, tree.Binding)):
            scope.fail("E215", "an index is needed here", item.span)
    items = tuple(i for i in expr.items if not isinstance(i, (tree.Keyword, tree.Binding, tree.Past)))
    if is_network(scope, expr) or is_network(scope, target):
        scope.fail("E217", "this network has no inputs", expr.span, "needs its inputs", help="mlp[256](z)")
    if isinstance(target, tree.Name):
        if target.name in NETWORKS or target.name in FUNCTIONS:
            scope.fail("E217", f"`{target.name}` needs its inputs in parentheses", expr.span)
        binding = scope.lookup(target.name, target.span, "variable")
        if isinstance(binding, VariableFamily):
            if not items:
                scope.fail("E215", "an index is needed here", expr.span)
            member = resolve_member(scope, binding, scope.integer(items[0], ctx.env, "an index"), expr.span)
            use = Use(member.type, expr.span, member.name)
            return use if len(items) == 1 else _element(scope, expr, use, items[1:], ctx)
        if isinstance(binding, (NamedNet, NamedFlow)):
            scope.fail("E217", f"`{target.name}` is {describe_binding(binding)}", expr.span, "takes no index")
    return _element(scope, expr, _indexed(scope, target, items, ctx), items, ctx)


def _indexed(scope: Scope, target: tree.Expr, items: tuple[tree.Expr, ...], ctx: Context) -> Value:
    """What is indexed. A network has an output for each category where the index is a categorical variable."""
    if is_open(scope, target) and len(items) == 1:
        index = _value(scope, items[0], None, ctx)
        size = index.type.support.positions
        if index.type.shape or size is None:
            scope.fail(
                "E211",
                "the output size of this network does not follow",
                target.span,
                "how many outputs?",
                help="index it by a categorical variable, or bind it with a type: let h : real[10] = ...",
            )
        return _value(scope, target, real(size), ctx)
    return _value(scope, target, None, ctx)


def _past(scope: Scope, expr: tree.Bracket, past: list[tree.Past], ctx: Context) -> Value:
    name = expr.target.name if isinstance(expr.target, tree.Name) else ""
    if len(expr.items) != len(past) or ctx.past != (name, tuple(p.index for p in past)):
        scope.fail(
            "E223",
            "the past of a variable is read where its elements are modelled one after another",
            expr.span,
            "not the past of this factor's variable",
            help=f"p({name or 'x'}[d] | {name or 'x'}[<d]) = ...",
        )
    variable = scope.lookup(name, expr.span, "variable")
    assert isinstance(variable, Variable)  # the factor's head was resolved before its body
    return Past(variable.type, expr.span, variable.name, ctx.positions)


def _element(scope: Scope, expr: tree.Bracket, value: Value, items: tuple[tree.Expr, ...], ctx: Context) -> Value:
    if not value.shape or len(items) > len(value.shape):
        scope.fail(
            "E204",
            f"{len(items)} ind{'ex' if len(items) == 1 else 'ices'} for {_shape_text(value.shape)}",
            expr.span,
            f"at most {len(value.shape)}" if value.shape else "has no elements",
        )
    rest = value.shape[len(items) :]  # fewer indices pick a row
    if rest and any(isinstance(i, tree.Name) and i.name in ctx.sums for i in items):
        headline = f"{len(items)} ind{'ex' if len(items) == 1 else 'ices'} of a sum for {_shape_text(value.shape)}"
        scope.fail(
            "E204", headline, expr.span, f"needs {len(value.shape)}", help="what is summed over indices is a number"
        )
    index: list[int | str | Value] = []
    for item, size in zip(items, value.shape):
        if isinstance(item, tree.Name) and item.name in ctx.sums:
            if ctx.sums[item.name] != size:
                scope.fail("E204", f"`{item.name}` goes to {ctx.sums[item.name]}, this axis to {size}", item.span)
            index.append(item.name)
            continue
        if ctx.past is not None and isinstance(item, tree.Name) and item.name in ctx.past[1]:
            scope.fail("E223", f"`{item.name}` may only stand in the past", expr.span, "the present is modelled here")
        found = _value(scope, item, None, ctx)
        if isinstance(found, Constant):
            position = scope.integer(item, ctx.env, "an index", low=0)
            if position >= size:
                scope.fail("E215", f"index {position} of {size} elements", item.span, f"0 to {size - 1}")
            index.append(position)
        elif found.shape == () and found.type.support.positions is not None:
            if found.type.support.positions > size:
                last = found.type.support.positions - 1
                headline = f"{found.type.describe()} picks elements up to {last}, and the last is {size - 1}"
                scope.fail("E204", headline, item.span, "counted from 0")
            index.append(found)
        else:
            what = f"this is {found.type.describe()}"
            scope.fail("E215", "an index is a number or a variable with values from 0", item.span, what)
    support = value.type.support if value.type.support.event_rank <= len(rest) else REAL
    return Element(Type(support if rest else REAL, rest), expr.span, value, tuple(index))


def _shape_text(shape: Shape) -> str:
    return f"shape {list(shape)}" if shape else "a number"


def _call(scope: Scope, expr: tree.Call, expected: Type | None, ctx: Context) -> Value:
    target = expr.target
    if is_network(scope, target) or (isinstance(target, tree.Bracket) and _unknown_kind(scope, target)):
        inputs = check_inputs(scope, expr, ctx, past=True)
        return apply_network(scope, expr, inputs, None if expected is None else expected.shape, ctx)
    if not isinstance(target, tree.Name):
        scope.fail("E217", "only networks, flows and functions take parentheses", expr.span)
    if target.name in FUNCTIONS:
        (argument,) = _positional(scope, expr, 1)
        wanted = None if expected is None else real(*expected.shape)
        operand = _value(scope, argument, wanted, ctx)
        if isinstance(operand, Constant):
            return _constant_call(scope, expr, target.name, operand)
        if target.name == STRAIGHT_THROUGH:
            return _straight_through(scope, expr, operand)
        support = FUNCTIONS[target.name][1](operand.type.support)
        return Operation(Type(support, operand.shape), expr.span, target.name, (operand,))
    binding = scope.names.get(target.name)
    if isinstance(binding, NamedFlow):
        (argument,) = _positional(scope, expr, 1)
        value = _value(scope, argument, expected, ctx)
        return image(scope, target, binding, value, expr.span, check_inputs)
    if target.name in scope.poisoned:
        raise Fail
    known = [
        *NETWORKS,
        *FUNCTIONS,
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


def _constant_call(scope: Scope, expr: tree.Call, name: str, operand: Constant) -> Constant:
    """A function of a number is a number."""
    try:
        number = float(OF_NUMBERS[name](operand.number))
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


def check_inputs(scope: Scope, expr: tree.Call, ctx: Context, past: bool = False) -> tuple[Value, ...]:
    """A network's inputs. A family's index is one too, scaled to [-1, 1] as a bounded value; a `past` may be one where
    the network is asked whether it is causal."""
    inputs: list[Value] = []
    for argument in expr.arguments:
        if isinstance(argument, tree.Keyword):
            scope.fail("E209", "a network's inputs have no names", argument.span)
        if past and isinstance(argument, tree.Bracket):
            items = [i for i in argument.items if isinstance(i, tree.Past)]
            if items:
                inputs.append(_past(scope, argument, items, ctx))
                continue
        if is_open(scope, argument):
            scope.fail("E211", "the size of this input does not follow", argument.span, help="bind it with `let`")
        if isinstance(argument, tree.Name) and argument.name in ctx.env:
            low, high = ctx.ranges.get(argument.name, (0, 0))
            position = 2 * (ctx.env[argument.name] - low) / (high - low) - 1 if high > low else 0.0
            inputs.append(Constant(real(), argument.span, position))
            continue
        inputs.append(_value(scope, argument, None, ctx))
    return tuple(inputs)
