"""Networks: their configuration in brackets, and the sizes that their inputs and their place give them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dgmppl.catalogue.networks import ACTIVATIONS, NETWORKS
from dgmppl.diagnostics import Note, did_you_mean
from dgmppl.graph.binding import bind
from dgmppl.graph.context import Context
from dgmppl.graph.scope import MAX_ELEMENTS, NamedNet, Scope
from dgmppl.graph.values import Apply, Constant, Module, NetworkSpec, Past, Points, Value, sizes_of, walk
from dgmppl.supports import real
from dgmppl.syntax import tree

MAX_COUNT = 10_000  # of a network's options


def is_network(scope: Scope, expr: object) -> bool:
    """Whether an expression names a network: `mlp[256]`, `linear`, or the name of a `net`."""
    target = expr.target if isinstance(expr, tree.Bracket) else expr
    if not isinstance(target, tree.Name):
        return False
    return target.name in NETWORKS or isinstance(scope.names.get(target.name), NamedNet)


def check_network(scope: Scope, expr: tree.Expr, ctx: Context) -> tuple[NetworkSpec, NamedNet | None]:
    """The configuration that a network expression writes, and its declaration if it has a name."""
    if isinstance(expr, tree.Name):
        binding = scope.names.get(expr.name)
        if isinstance(binding, NamedNet):
            return binding.spec, binding
        return _configure(scope, expr, expr, (), ctx), None
    if isinstance(expr, tree.Bracket) and isinstance(expr.target, tree.Name):
        if isinstance(scope.names.get(expr.target.name), NamedNet):
            scope.fail(
                "E209",
                f"`{expr.target.name}` is configured where it is declared",
                expr.span,
                "takes no brackets",
            )
        return _configure(scope, expr, expr.target, expr.items, ctx), None
    scope.fail("E217", "a network is needed here", expr.span, "not a network", help="mlp[256, 256]")


def _configure(scope: Scope, expr: tree.Expr, name: tree.Name, items: Sequence[object], ctx: Context) -> NetworkSpec:
    if name.name not in NETWORKS:
        help_ = did_you_mean(name.name, NETWORKS, f"one of {', '.join(NETWORKS)}")
        scope.fail("E208", f"unknown network `{name.name}`", name.span, "not a network", help=help_)
    entry = NETWORKS[name.name]
    given = bind(scope, entry.signature, items, expr.span)
    hidden = tuple(scope.integer(b.value, ctx.env, "a layer's size", low=1) for b in given.many)
    options: dict[str, str | int] = {}
    for option, bound in given.given.items():
        if bound.argument.kind == "count":
            options[option] = count = scope.integer(bound.value, ctx.env, f"`{option}`", low=1)
            if count > MAX_COUNT:
                scope.fail("E216", f"a {option} this large fits no machine", bound.span)
        else:
            options[option] = _activation(scope, bound.value)
    return NetworkSpec(entry.name, hidden, tuple(options.items()))


def _activation(scope: Scope, expr: tree.Expr) -> str:
    if isinstance(expr, tree.Name) and expr.name in ACTIVATIONS:
        return expr.name
    found = expr.name if isinstance(expr, tree.Name) else ""
    help_ = did_you_mean(found, ACTIVATIONS, f"one of {', '.join(ACTIVATIONS)}")
    scope.fail("E210", "an activation is expected", expr.span, "not an activation", help=help_)


def apply_network(
    scope: Scope, expr: tree.Call, inputs: tuple[Value, ...], expected: tuple[int, ...] | None, ctx: Context
) -> Apply:
    """`mlp[256](z)` with the sizes that follow from `z` and from the shape that is expected of it."""
    spec, named = check_network(scope, expr.target, ctx)
    entry = NETWORKS[spec.kind]
    if not inputs:
        scope.fail("E209", f"{spec.kind} needs inputs", expr.span, help=f"{spec.kind}[...](z)")
    past = [v for v in inputs if isinstance(v, Past)]
    if past and not entry.causal:
        causal = " or ".join(n.name for n in NETWORKS.values() if n.causal)
        scope.fail(
            "E214",
            f"{spec.kind} is not causal, and `{past[0].variable}[<d]` is the past",
            expr.span,
            "would read the present and the future too",
            help=f"use a causal network: {causal}",
        )
    if entry.causal and len(past) != 1:
        scope.fail(
            "E214",
            f"{spec.kind} reads the past of one sequence",
            expr.span,
            "reads none" if not past else "",
            help=f"{spec.kind}[...](x[<d])",
        )
    if expected is None:
        scope.fail(
            "E211",
            f"the output size of {spec.kind} does not follow from its place",
            expr.span,
            "how many outputs?",
            help="bind it with a type: let h : real[64] = ...",
        )
    others = [v for v in inputs if not isinstance(v, Past)]
    copies = ctx.copies if not any(isinstance(t, Points) for v in inputs for t in walk(v)) else 0
    if past:
        sequence = past[0].type
        length, width = sequence.shape[0], sequence.support.width
        if copies:
            scope.fail(
                "E217",
                "an autoregressive network cannot stand inside a mixture",
                expr.span,
                "its components would share it",
                help=f"what it gives may move the mixture: {spec.kind}[64]({past[0].variable}[<d]) + mixture[3](...)",
            )
        if not expected or expected[0] != length:
            scope.fail(
                "E204",
                f"{spec.kind} gives something for each of {length} positions",
                expr.span,
                f"shape {list(expected)} is expected here" if expected else "a single number is expected here",
                help="where all positions share a value, use a network that does not read the past: mlp[64](z)",
            )
        sizes = (width, math.prod(expected[1:]), length, sum(v.type.features for v in others))
    else:
        sizes = (sum(v.type.features for v in inputs), math.prod(expected) * (copies or 1), 0, 0)
    module = _module(scope, expr, spec, named, sizes, inputs, ctx)
    return Apply(real(*expected), expr.span, module, inputs, copies)


def check_slot(scope: Scope, expr: tree.Expr, inputs: int, outputs: int, ctx: Context) -> Module:
    """A network given without inputs, in a bijection's brackets or as an adversary."""
    spec, named = check_network(scope, expr, ctx)
    if NETWORKS[spec.kind].causal:
        scope.fail("E214", f"{spec.kind} reads a past, and there is none here", expr.span, help="use mlp[256, 256]")
    return _module(scope, expr, spec, named, (inputs, outputs, 0, 0), (), ctx)


def _module(
    scope: Scope,
    expr: tree.Expr,
    spec: NetworkSpec,
    named: NamedNet | None,
    sizes: tuple[int, int, int, int],
    inputs: tuple[Value, ...],
    ctx: Context,
) -> Module:
    """The module for a use: a named network's own, one shared along an index that it reads, or a new one."""
    weights = NETWORKS[spec.kind].weights(sizes_of(spec, *sizes))
    if weights > MAX_ELEMENTS:
        scope.fail("E216", f"this network has {weights:,} weights", expr.span, "too large for any machine")
    if named is not None:
        if named.module is None:
            attribute = scope.attribute(_declared_name(scope, named), own=True)
            named.module = Module(attribute, spec, *sizes, named=True, span=named.span)
        return _same_size(scope, expr, named.module, sizes)
    if any(isinstance(v, Constant) for v in inputs):
        key = (expr.span, ctx.past)
        if key not in scope.shared:
            attribute = scope.attribute(f"{ctx.hint}_net")
            scope.shared[key] = Module(attribute, spec, *sizes, span=expr.span)
        return _same_size(scope, expr, scope.shared[key], sizes)
    return Module(scope.attribute(f"{ctx.hint}_net"), spec, *sizes, span=expr.span)


def _declared_name(scope: Scope, named: NamedNet) -> str:
    return next(name for name, binding in scope.names.items() if binding is named)


def _same_size(scope: Scope, expr: tree.Expr, module: Module, sizes: tuple[int, int, int, int]) -> Module:
    if (module.inputs, module.outputs, module.length, module.context) != sizes:
        what, help_ = f"`{module.attribute}`", "declare a second network, or give the two places variables of one size"
        if not module.named:
            what = "this network reads the index, so that all members share it, and"
            help_ = "leave the index out of its inputs, so that each member has its own, or give them one size"
        scope.fail(
            "E212",
            f"{what} is used at two sizes",
            expr.span,
            f"{sizes[0]} -> {sizes[1]} here",
            notes=(Note(module.span, f"{module.inputs} -> {module.outputs} at its first use"),),
            help=help_,
        )
    return module
