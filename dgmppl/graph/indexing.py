"""Brackets behind a value: elements, rows and parts of it, members of families, the past of a sequence."""

from __future__ import annotations

from typing import NoReturn

from dgmppl.catalogue.functions import FUNCTIONS
from dgmppl.catalogue.networks import NETWORKS
from dgmppl.graph.axes import part, shape_text
from dgmppl.graph.configuration import causal_names, is_network
from dgmppl.graph.context import Context
from dgmppl.graph.lengths import is_last, last_position, verify_everywhere
from dgmppl.graph.nodes import Schedule, Variable
from dgmppl.graph.offsets import names_in
from dgmppl.graph.positions import check_at, check_past, no_number
from dgmppl.graph.scope import IndexedFeature, NamedFlow, NamedNet, Scope, VariableFamily, describe_binding
from dgmppl.graph.shapes import Evaluate, is_open, member_position, resolve_member
from dgmppl.graph.sums import summed_index
from dgmppl.graph.values import Constant, Declared, Element, Index, Joined, Reshaped, Use, Value
from dgmppl.source import Span
from dgmppl.supports import REAL, Type, real
from dgmppl.syntax import tree
from dgmppl.words import counted


def check_bracket(scope: Scope, expr: tree.Bracket, expected: Type | None, ctx: Context, evaluate: Evaluate) -> Value:
    """What stands before brackets with the indices, numbers, categories and ranges in them."""
    target = expr.target
    past = [i for i in expr.items if isinstance(i, tree.Past)]
    if past:
        found = check_past(scope, expr, past, ctx)
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
    if ctx.elements is not None and set(names_in(items)) & set(ctx.elements.indices):
        there = check_at(scope, expr, items, ctx.elements, expected, ctx, evaluate)
        rest = items[ctx.elements.axes :]
        return _element(scope, expr, there, rest, ctx, evaluate) if rest else there
    if is_network(scope, expr) or is_network(scope, target):
        scope.fail("E217", "this network has no inputs", expr.span, "needs its inputs", help="mlp[256](z)")
    if isinstance(target, tree.Name):
        if target.name in NETWORKS or target.name in FUNCTIONS:
            scope.fail("E217", f"`{target.name}` needs its inputs in parentheses", expr.span)
        binding = scope.lookup(target.name, target.span, "variable")
        if isinstance(binding, VariableFamily):
            if not items:
                scope.fail("E215", "an index is needed here", expr.span)
            if _is_value(scope, items[0], ctx):
                return _element(scope, expr, _table(scope, expr, binding), items, ctx, evaluate)
            member = resolve_member(scope, binding, scope.integer(items[0], ctx.env, "an index"), expr.span)
            use = Use(member.type, expr.span, member.name)
            return use if len(items) == 1 else _element(scope, expr, use, items[1:], ctx, evaluate)
        if isinstance(binding, Schedule):
            return _number_of(scope, expr, binding, items, ctx)
        if isinstance(binding, IndexedFeature):
            evaluate(scope, target, None, ctx)  # its values at all positions are needed
            assert binding.whole is not None
            binding = binding.whole
        if isinstance(binding, Variable) and binding.along is not None and items:
            if is_last(binding, items[0]):
                last = _last_member(scope, expr, binding)
                return last if len(items) == 1 else _element(scope, expr, last, items[1:], ctx, evaluate)
            if _is_value(scope, items[0], ctx):
                _verify_from_zero(scope, expr, binding.name, binding.members[0], len(binding.members))
            else:
                items = (member_index(scope, binding, items[0], ctx), *items[1:])
        if isinstance(binding, (NamedNet, NamedFlow)):
            scope.fail("E217", f"`{target.name}` is {describe_binding(binding)}", expr.span, "takes no index")
    return _element(scope, expr, _indexed(scope, target, items, ctx, evaluate), items, ctx, evaluate)


def _is_value(scope: Scope, item: tree.Expr | tree.Range, ctx: Context) -> bool:
    """Whether an index is a variable whose value says which member: `topic[z]`, `A[s[t - 1]]`."""
    if isinstance(item, tree.Bracket) and isinstance(item.target, tree.Name):
        return isinstance(scope.names.get(item.target.name), (Variable, VariableFamily))
    return isinstance(item, tree.Name) and isinstance(scope.names.get(item.name), Variable) and item.name not in ctx.env


def _verify_from_zero(scope: Scope, expr: tree.Bracket, name: str, first: int, count: int) -> None:
    """Values count from 0, and so do members that they pick (E215)."""
    if first != 0:
        headline = f"a value picks members from 0 on, and `{name}` begins at {first}"
        scope.fail("E215", headline, expr.span, "which is the first?", help=f"declare it {name}[k in 0..{count - 1}]")


def _table(scope: Scope, expr: tree.Bracket, family: VariableFamily) -> Value:
    """All members of a family, one after another along the first axis: what a value picks one of."""
    numbers = sorted(family.members)
    _verify_from_zero(scope, expr, family.name, numbers[0], len(numbers))
    members = [family.members[k] for k in numbers]
    first = members[0].type
    strange = next((m for m in members if m.type != first), None)
    if strange is not None:
        what = f"`{members[0].name}` is {first.describe()}, and `{strange.name}` {strange.type.describe()}"
        scope.fail("E204", f"a value picks one of members that are alike: {what}", expr.span)
    uses = tuple(Use(m.type, expr.span, m.name) for m in members)
    whole = Type(first.support, (len(uses), *first.shape))
    if not first.shape:
        return Joined(whole, expr.span, uses, stacked=True)
    long = Type(first.support, (len(uses) * first.shape[0], *first.shape[1:]))
    return Reshaped(whole, expr.span, Joined(long, expr.span, uses, -len(first.shape)))


def _last_member(scope: Scope, expr: tree.Bracket, variable: Variable) -> Value:
    """`z[n]`, the last member of each row, where lengths differ."""
    length, along = scope.variable(variable.length), variable.along
    assert length is not None and along is not None
    position = last_position(length, along.start, expr.span)
    return Element(variable.element, expr.span, Use(variable.type, expr.span, variable.name), (position,))


def member_index(scope: Scope, variable: Variable, item: tree.Expr, ctx: Context) -> tree.Expr:
    """The number of a member of a folded family, or a range of them, counted from 0 as elements are. Reports one that
    does not exist (E215)."""
    if isinstance(item, tree.Range):
        ends = (member_index(scope, variable, end, ctx) for end in (item.low, item.high))
        return tree.Range(item.span, *ends)
    number = scope.integer(item, ctx.env, "an index")
    position = member_position(scope, variable, number, item.span)
    verify_everywhere(scope, variable, number, item.span)
    return tree.Number(item.span, float(position), str(position))


def _number_of(
    scope: Scope, expr: tree.Bracket, schedule: Schedule, items: tuple[tree.Expr, ...], ctx: Context
) -> Value:
    """`beta[3]`: the number of a schedule."""
    if len(items) != 1:
        scope.fail("E215", f"`{schedule.name}` has one index", expr.span, f"{len(items)} indices")
    number = scope.integer(items[0], ctx.env, "an index")
    if number not in schedule.members:
        no_number(scope, schedule, number, expr.span)
    scope.read.add(schedule.name)
    return Constant(real(), expr.span, schedule.numbers[number - schedule.start])


def _indexed(scope: Scope, target: tree.Expr, items: tuple[tree.Expr, ...], ctx: Context, evaluate: Evaluate) -> Value:
    """What is indexed. A network has an output for each category where the index is a categorical variable."""
    if is_open(scope, target) and len(items) == 1 and not isinstance(items[0], tree.Range):
        index = evaluate(scope, items[0], None, ctx)
        size = index.type.support.positions
        if index.type.shape or size is None:
            scope.fail(
                "E211",
                "the output size of this network does not follow",
                target.span,
                "how many outputs?",
                help="index it by a categorical variable, or bind it with a type: let h : real[10] = ...",
            )
        return evaluate(scope, target, real(size), ctx)
    return evaluate(scope, target, None, ctx)


def _of_a_group(scope: Scope, value: Value, items: tuple[tree.Expr, ...]) -> str:
    """That a latent of a group needs no index by it. "" for anything else."""
    variable = scope.names.get(value.variable) if isinstance(value, Use) else None
    if not isinstance(variable, Variable) or not variable.group:
        return ""
    if not any(isinstance(i, tree.Name) and i.name == variable.group for i in items):
        return ""
    return f"`{variable.name}` is already that of the row's {variable.group}: leave the index out"


def _element(
    scope: Scope, expr: tree.Bracket, value: Value, items: tuple[tree.Expr, ...], ctx: Context, evaluate: Evaluate
) -> Value:
    if not value.shape or len(items) > len(value.shape):
        scope.fail(
            "E204",
            f"{len(items)} ind{'ex' if len(items) == 1 else 'ices'} for {shape_text(value.shape)}",
            expr.span,
            f"at most {len(value.shape)}" if value.shape else "has no elements",
            help=_of_a_group(scope, value, items),
        )
    if any(isinstance(i, tree.Range) for i in items):
        return part(scope, expr.span, value, items, ctx)
    rest = value.shape[len(items) :]  # fewer indices pick a row
    if rest and set(names_in(items)) & set(ctx.sums):
        headline = f"{len(items)} ind{'ex' if len(items) == 1 else 'ices'} of a sum for {shape_text(value.shape)}"
        scope.fail(
            "E204", headline, expr.span, f"needs {len(value.shape)}", help="what is summed over indices is a number"
        )
    index: list[int | Index | Value] = []
    for item, size in zip(items, value.shape):
        summed = summed_index(scope, item, size, ctx)
        if summed is not None:
            index.append(summed)
            continue
        found = evaluate(scope, item, None, ctx)
        if isinstance(found, Constant):
            position = scope.integer(item, ctx.env, "an index", low=0)
            if position >= size:
                scope.fail("E215", f"index {position} of {counted(size, 'element')}", item.span, f"0 to {size - 1}")
            index.append(position)
        elif found.shape == () and found.type.support.positions is not None:
            _verify_as_many(scope, expr, item.span, value, found, len(index))
            index.append(found)
        else:
            _no_index(scope, item.span, found)
    support = value.type.support if value.type.support.event_rank <= len(rest) else REAL
    return Element(Type(support, rest), expr.span, value, tuple(index))


def _verify_as_many(scope: Scope, expr: tree.Bracket, span: Span, value: Value, picks: Value, axis: int) -> None:
    """An axis has an element for each value that picks one of it (E204)."""
    count, size = picks.type.support.positions, value.shape[axis]
    assert count is not None
    if count == size:
        return
    written = scope.source.text[expr.target.span.start : expr.target.span.end]
    fits = list(value.shape)
    fits[axis] = count
    if count < size and not isinstance(value, Declared):
        return
    last = f"the last is {size - 1}" if count > size else f"no data teaches the others, up to {size - 1}"
    headline = f"{picks.type.describe()} picks elements up to {count - 1}, and {last}"
    scope.fail("E204", headline, span, "counted from 0", help=f"`{written}` may be {real(*fits).describe()}")


def _no_index(scope: Scope, span: Span, found: Value) -> NoReturn:
    written = scope.source.text[span.start : span.end]
    help_ = ""
    if found.shape and found.type.support.positions is not None:
        help_ = f"one element of it, {written}[0]; or all at once, one_hot({written}) @ ..."
    what = f"this is {found.type.describe()}"
    scope.fail("E215", "an index is a number, or a single variable with values from 0", span, what, help=help_)
