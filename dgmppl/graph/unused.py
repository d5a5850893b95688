"""Warnings about what is declared and has no effect."""

from __future__ import annotations

from dgmppl.graph.nodes import Fixed, Graph, Schedule
from dgmppl.graph.scope import IndexedFeature, NamedFlow, NamedNet, Scope
from dgmppl.graph.values import Declared, variables, walk
from dgmppl.source import Span
from dgmppl.syntax import tree


def verify_used(scope: Scope, graph: Graph, spec: tree.Spec) -> None:
    terms: list[object] = [d.value for d in graph.definitions] + [f.density for f in graph.factors]
    terms += [graph.energy.value] if graph.energy else []
    used = {t.name for term in terms for t in walk(term) if isinstance(t, Declared)}
    for parameter in graph.parameters:
        if parameter.name not in used and not isinstance(parameter, Schedule):
            what = "fixed tensor" if isinstance(parameter, Fixed) else "parameter"
            _unused(scope, what, parameter.name, parameter.span)
    read = {name for d in graph.definitions for name in variables(d.value)}
    read |= set(variables(graph.energy.value)) if graph.energy else set()
    read |= {name for f in graph.factors for name in variables(f.density) if name != f.head}
    read |= {p for f in graph.factors for p in f.parents if p != f.head} | {
        a for d in graph.adversaries for a in d.arguments
    }
    read |= {graph[name].family or name for name in read}
    read |= {v.group for v in graph.variables if v.group is not None}
    for feature in dict.fromkeys(v.family or v.name for v in graph.variables if v.role == "let"):
        if feature not in read:
            _unused(scope, "feature", feature, scope.places[feature])
    members = set(graph.energy.arguments) if graph.energy else set()
    modelled = {f.head for f in graph.factors if f.side == "p"} | {d.variable for d in graph.definitions} | members
    # Where nothing at all is modelled, that is the mistake.
    for v in graph.variables if any(o.name in modelled for o in graph.data) else ():
        seen = v.role in ("observed", "partial")
        if v.name in read | members or (seen and v.name in modelled):
            continue
        if seen:
            _unused(scope, f"{v.role} variable", v.name, v.span)
        elif v.role == "latent" and v.family is None:
            _unused(scope, "latent", v.name, v.span)
    for name, binding in scope.names.items():
        if isinstance(binding, Schedule) and name not in scope.read:
            _unused(scope, "schedule", name, scope.places[name])
        if isinstance(binding, NamedFlow) and binding.bijection is None:
            _unused(scope, "flow", name, scope.places[name])
        if isinstance(binding, IndexedFeature) and name not in {f.name for f in graph.features}:
            _unused(scope, "feature", name, scope.places[name])
        if isinstance(binding, NamedNet) and binding.module is None:
            _unused(scope, "network", name, scope.places[name])


def _unused(scope: Scope, what: str, name: str, span: Span) -> None:
    scope.report(
        "W402",
        f"the {what} `{name}` is never used",
        span,
        "no effect",
        severity="warning",
        help="remove it, or use it",
    )
