"""Networks with random weights: `p(f) = Normal(0, 1)` makes a variable of all weights of `net f`, one for all rows."""

from __future__ import annotations

from dataclasses import replace

from dgmppl.diagnostics import Note
from dgmppl.graph.nodes import Variable
from dgmppl.graph.scope import NamedNet, Scope
from dgmppl.graph.values import Module, Use
from dgmppl.supports import real
from dgmppl.syntax import tree


def declare_weights(scope: Scope, spec: tree.Spec) -> None:
    """Declares the weights of the networks that factors of p are about. Their size is not known yet."""
    for statement in spec.statements:
        if not isinstance(statement, tree.Factor) or statement.side != "p":
            continue
        name = statement.heads[0].name
        binding = scope.names.get(name)
        if isinstance(binding, NamedNet) and binding.weights is None:
            binding.weights = Variable(name, scope.ident(name), "latent", real(0), binding.span, rows=False)


def weights_in_common(scope: Scope) -> list[Variable]:
    """The random weights of networks, of the size that these have by now. Reports those that nothing uses (E211)."""
    found = []
    for binding in scope.names.values():
        if not isinstance(binding, NamedNet) or binding.weights is None:
            continue
        if binding.module is None:
            name = binding.weights.name
            if not any(d.severity == "error" for d in scope.diagnostics):
                scope.report(
                    "E211",
                    f"how many weights `{name}` has does not follow from its place: nothing uses it",
                    binding.span,
                    "how many?",
                    help=f"use it: p(y | x, {name}) = Normal({name}(x), 1)",
                )
            continue
        binding.weights = replace(binding.weights, type=real(binding.module.weights))
        found.append(binding.weights)
    return found


def weights_of(scope: Scope, expr: tree.Expr, named: NamedNet | None, module: Module, reads_past: bool) -> Use | None:
    """The random weights by which a named network is applied; None where they are learned. Reports a network whose
    weights cannot be given as values (E220)."""
    if named is None or named.weights is None:
        return None
    variable = named.weights
    norms = [norm for spec in module.specs if (norm := dict(spec.options).get("norm")) in _KEEPS]
    why = (
        "it is a class of one's own"
        if module.own
        else "it keeps what it found of a past"
        if reads_past or any(spec.kind in _KEEPS for spec in module.specs)
        else f"`norm = {norms[0]}` is a state beside them"
        if norms
        else ""
    )
    if why:
        scope.fail(
            "E220",
            f"the weights of `{variable.name}` cannot be random: {why}",
            expr.span,
            "applied here",
            notes=(Note(variable.span, "declared here"),),
            help="an mlp, linear, conv, resnet, densenet, unet, set or transformer of whole values can; "
            "or leave its prior out, so that it is learned",
        )
    return Use(real(module.weights), expr.span, variable.name, in_rows=False)


# What keeps something beside its weights from call to call: normalisations, and networks of a past or of states.
_KEEPS = frozenset({"batch", "spectral", "weight", "rnn", "gru", "lstm", "gru_cell"})


def verify_learned(scope: Scope, expr: tree.Expr, named: NamedNet | None) -> None:
    """Reports a network with random weights in the brackets of a bijection or as an adversary (E220)."""
    if named is not None and named.weights is not None:
        scope.fail(
            "E220",
            f"the weights of `{named.weights.name}` are random, and a network in brackets is learned",
            expr.span,
            "not applied to values here",
            notes=(Note(named.weights.span, "declared here"),),
            help="let the bijection take its numbers from it: affine(f(x))",
        )
