"""Networks as a spec writes them, before they have a place: `mlp[256]`, the name of a `net`, a chain of networks."""

from __future__ import annotations

from collections.abc import Sequence

from dgmppl.catalogue.networks import NETWORKS
from dgmppl.diagnostics import did_you_mean
from dgmppl.graph.binding import bind
from dgmppl.graph.context import Context
from dgmppl.graph.options import read_options
from dgmppl.graph.scope import NamedNet, Scope
from dgmppl.graph.values import NetworkSpec
from dgmppl.syntax import tree

Specs = tuple[NetworkSpec, ...]


def is_network(scope: Scope, expr: object) -> bool:
    """Whether an expression names a network: `mlp[256]`, `linear`, the name of a `net`, or a chain of networks."""
    if isinstance(expr, tree.Binary) and expr.op == ">>":
        return is_network(scope, expr.left)
    target = expr.target if isinstance(expr, tree.Bracket) else expr
    if not isinstance(target, tree.Name):
        return False
    return target.name in NETWORKS or isinstance(scope.names.get(target.name), NamedNet)


def causal_names(axes: int) -> str:
    """The networks that read a past along so many axes."""
    return ", ".join(n.name for n in NETWORKS.values() if n.causal and n.causal.rank in (1, axes))


def check_network(scope: Scope, expr: tree.Expr, ctx: Context) -> tuple[Specs, NamedNet | None]:
    """The configurations that a network expression writes, one behind another, and its declaration if it has a name."""
    if isinstance(expr, tree.Binary) and expr.op == ">>":
        return _chain(scope, expr, ctx), None
    if isinstance(expr, tree.Name):
        binding = scope.names.get(expr.name)
        if isinstance(binding, NamedNet):
            return binding.specs, binding
        return (_configure(scope, expr, expr, (), ctx),), None
    if isinstance(expr, tree.Bracket) and isinstance(expr.target, tree.Name):
        if isinstance(scope.names.get(expr.target.name), NamedNet):
            scope.fail(
                "E209",
                f"`{expr.target.name}` is configured where it is declared",
                expr.span,
                "takes no brackets",
            )
        return (_configure(scope, expr, expr.target, expr.items, ctx),), None
    scope.fail("E217", "a network is needed here", expr.span, "not a network", help="mlp[256, 256]")


def _chain(scope: Scope, expr: tree.Binary, ctx: Context) -> Specs:
    """`conv[32] >> mlp[64]`. Reports a name in it (E217), whose weights the chain would share, and a network that
    cannot stand before another (E209)."""
    found: list[NetworkSpec] = []
    for side in (expr.left, expr.right):
        if isinstance(side, tree.Name) and side.name not in NETWORKS:
            help_ = "name the whole chain, net f = conv[32] >> mlp[64], or what one gives: let h : real[64] = f(z)"
            scope.fail("E217", "a name stands for one network, whole", side.span, "in a chain", help=help_)
        found += check_network(scope, side, ctx)[0]
    for spec in found[:-1]:
        _verify_before_another(scope, spec, expr)
    return tuple(found)


def _verify_before_another(scope: Scope, spec: NetworkSpec, expr: tree.Binary) -> None:
    kept = [form for form in NETWORKS[spec.kind].plain if form.hidden is not None]
    if not kept:
        others = ", ".join(n.name for n in NETWORKS.values() if any(f.hidden for f in n.plain))
        scope.fail(
            "E209",
            f"{spec.kind} has no hidden layer that another network could read",
            expr.left.span,
            "before another network",
            help=f"before `>>` there may be {others}",
        )
    if "out" in dict(spec.options):
        scope.fail(
            "E209",
            f"`out` is of the last layer, and {spec.kind} has none here",
            expr.left.span,
            "gives its last hidden layer to the next network",
            help="`activation` stands behind each hidden layer",
        )


def _configure(scope: Scope, expr: tree.Expr, name: tree.Name, items: Sequence[object], ctx: Context) -> NetworkSpec:
    if name.name not in NETWORKS:
        help_ = did_you_mean(name.name, NETWORKS, f"one of {', '.join(NETWORKS)}")
        scope.fail("E208", f"unknown network `{name.name}`", name.span, "not a network", help=help_)
    entry = NETWORKS[name.name]
    given = bind(scope, entry.signature, items, expr.span)
    hidden = tuple(scope.integer(b.value, ctx.env, "a layer's size", low=1) for b in given.many)
    options = read_options(scope, given.given, ctx)
    if dict(options).get("norm") in ("layer", "group") and 1 in hidden:
        place = given.many[hidden.index(1)].span
        scope.fail("E210", "a row is normalised over its units, and a layer of one has no spread", place, "always 0")
    return NetworkSpec(entry.name, hidden, options)
