"""Networks as a spec writes them, before they have a place: `mlp[256]`, the name of a `net`, a chain of networks."""

from __future__ import annotations

import keyword
import re
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
    if is_own(scope, target):
        return True
    if not isinstance(target, tree.Name):
        return False
    return target.name in NETWORKS or isinstance(scope.names.get(target.name), NamedNet)


def is_own(scope: Scope, expr: object) -> bool:
    """Whether an expression names a user's own class: `python("module:Class")`, whatever stands in the parentheses."""
    target = expr.target if isinstance(expr, tree.Call) else None
    return isinstance(target, tree.Name) and target.name == "python" and "python" not in scope.names


def class_path(node: tree.Node) -> str:
    """The `module:Class` that `python("module:Class")` names; "" for anything else, and for what cannot be one."""
    if not (isinstance(node, tree.Call) and isinstance(node.target, tree.Name) and node.target.name == "python"):
        return ""
    if len(node.arguments) != 1 or not isinstance(node.arguments[0], tree.String):
        return ""
    text = node.arguments[0].value
    names = [name for part in text.split(":") for name in part.split(".")]
    fits = _CLASS.fullmatch(text) and not any(map(keyword.iskeyword, names))
    return text if fits else ""


_CLASS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def causal_names(axes: int) -> str:
    """The networks that read a past along so many axes."""
    return ", ".join(n.name for n in NETWORKS.values() if n.causal_along(axes))


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
    target, items = (expr.target, expr.items) if isinstance(expr, tree.Bracket) else (expr, ())
    if isinstance(target, tree.Call) and is_own(scope, target):
        return (_configure_own(scope, target, items, ctx),), None
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
    kept = [form for form in spec.entry.plain if form.hidden is not None]
    if not kept:
        others = ", ".join(n.name for n in NETWORKS.values() if any(f.hidden for f in n.plain))
        help_ = f"before `>>` there may be {others}"
        if spec.is_own:
            help_ = f'give what it makes a name and a size: let h : real[64] = python("{spec.kind}")(...)'
        scope.fail(
            "E209",
            f"{spec.kind} has no hidden layer that another network could read",
            expr.left.span,
            "before another network",
            help=help_,
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


def _configure_own(scope: Scope, call: tree.Call, items: Sequence[object], ctx: Context) -> NetworkSpec:
    """`python("module:Class")[hidden = 64, rank = 2]`: its options are keyword arguments of the class, but for `rank`.

    Reports what names no class (E210), and options that Python or the protocol cannot take (E209, E210).
    """
    path = class_path(call)
    if not path:
        help_ = 'the module, as Python imports it, and the class in it: python("nets:Encoder")'
        scope.fail("E210", 'python takes one text, "module:Class"', call.span, "names no class", help=help_)
    options: dict[str, str | float] = {}
    for item in items:
        if not isinstance(item, tree.Keyword):
            assert isinstance(item, tree.Node)
            help_ = f'python("{path}")[hidden = 64]'
            scope.fail("E209", f"options of `{path}` have names", item.span, "which is this?", help=help_)
        if item.name in options:
            scope.fail("E209", f"`{item.name}` is given twice", item.span, "given again")
        if item.name == "rank":
            options["rank"] = _rank(scope, item, ctx)
            continue
        if item.name in _OF_PROTOCOL or keyword.iskeyword(item.name):
            why = "follows from the place" if item.name in _OF_PROTOCOL else "is a word of Python"
            scope.fail("E209", f"`{item.name}` cannot be an option: it {why}", item.span)
        options[item.name] = _own_option(scope, item, ctx)
    rank = int(options.pop("rank", 0))
    return NetworkSpec(path, (), tuple(options.items()), rank)


def _rank(scope: Scope, item: tree.Keyword, ctx: Context) -> int:
    rank = scope.integer(item.value, ctx.env, "`rank`", low=0)
    if rank > 2:
        help_ = "0 for vectors, 1 for sequences, 2 for grids"
        scope.fail("E210", "`rank` is how many axes of positions a network reads", item.span, help=help_)
    return rank


def _own_option(scope: Scope, item: tree.Keyword, ctx: Context) -> str | float:
    """A number, a constant, true or false, or a name, which is a text."""
    value = item.value
    if isinstance(value, tree.Boolean):
        return value.value
    if isinstance(value, tree.Name) and value.name not in scope.names and value.name not in ctx.env:
        return value.name
    return scope.number(value, ctx.env, f"`{item.name}`")


# What the place of a network says of it.
_OF_PROTOCOL = ("inputs", "outputs", "context", "aligned", "self")
