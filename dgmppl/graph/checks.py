"""Checks of the whole graph: every variable accounted for once, nothing read that is not given, no cycle."""

from __future__ import annotations

import math

from dgmppl.diagnostics import Note
from dgmppl.graph.nodes import Definition, Factor, Graph, Variable, factor_key
from dgmppl.graph.scope import MAX_ELEMENTS, NamedFlow, NamedNet, Scope
from dgmppl.graph.supports import Support
from dgmppl.graph.values import Apply, Declared, Module, Quoted, Residual, Value, variables, walk
from dgmppl.source import Span
from dgmppl.syntax import tree

_RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}


def verify_graph(scope: Scope, graph: Graph, spec: tree.Spec, complete: bool) -> None:
    """Reports what is wrong with the whole. Where a statement failed (`complete` is false), only what does not
    depend on it."""
    if not graph.observed and not scope.poisoned:
        scope.report(
            "E222",
            "nothing is observed",
            spec.name_span,
            "a model needs data",
            help="observed x : real[2] from moons.point",
        )
    _verify_modelled(scope, graph, spec)
    for factor in graph.factors:
        _verify_factor(scope, graph, factor)
    for definition in graph.definitions:
        if graph[definition.variable].role != "let":
            _verify_range(scope, graph[definition.variable], definition)
    _verify_cycles(scope, graph)
    if complete:
        _verify_sizes(scope, graph, spec)
        _verify_used(scope, graph, spec)


def _verify_modelled(scope: Scope, graph: Graph, spec: tree.Spec) -> None:
    """Each latent needs one source; no variable may have two (E206, E207)."""
    sources: dict[str, list[tuple[str, Span]]] = {}
    for f in graph.factors:
        if f.side == "p":
            sources.setdefault(f.head, []).append((f.key, f.head_span))
    for d in graph.definitions:
        sources.setdefault(d.variable, []).append((f"{d.variable} = ...", d.span))
    for a in graph.energy.arguments if graph.energy else ():
        sources.setdefault(a, []).append(("the energy", graph.energy.head_span))  # type: ignore[union-attr]
    attempted = {h.name for s in spec.statements if isinstance(s, tree.Factor) and s.side == "p" for h in s.heads}
    attempted |= {s.target.name for s in spec.statements if isinstance(s, tree.Definition)}
    attempted |= {a.name for s in spec.statements if isinstance(s, tree.Energy) for a in s.arguments}
    for v in graph.variables:
        found = sources.get(v.name, [])
        kinds = list(dict.fromkeys(kind for kind, _ in found))
        if len(kinds) > 1:
            scope.report(
                "E207",
                f"`{v.name}` is modelled twice: {kinds[0]} and {kinds[1]}",
                found[-1][1],
                "the second time",
                notes=(Note(found[0][1], "the first time"),),
                help="remove one of the two",
            )
        base = v.family or v.name
        failed = base in attempted and not any(s.startswith(f"p({base}") for k in sources.values() for s, _ in k)
        if v.role == "latent" and not found and not failed:
            scope.report(
                "E206",
                f"the latent `{v.name}` has no factor",
                v.span,
                "where does it come from?",
                help=f"give it a prior: p({v.name}) = ...",
            )


def _verify_factor(scope: Scope, graph: Graph, factor: Factor) -> None:
    head = graph[factor.head]
    if factor.side == "q" and head.role != "latent":
        scope.report(
            "E221",
            f"q is over latents, and `{head.name}` is {head.role}",
            factor.head_span,
            f"{head.role}",
            notes=(Note(head.span, "declared here"),),
        )
    if head.role == "let":
        scope.report(
            "E207",
            f"`{head.name}` is a feature: its value is given by its `let`",
            factor.head_span,
            notes=(Note(head.span, "defined here"),),
        )
    for k, parent in enumerate(factor.parents):
        if parent == factor.head or parent in factor.parents[:k]:
            what = "depends on itself" if parent == factor.head else "stands twice among the parents"
            scope.report("E205" if parent == factor.head else "E202", f"`{parent}` {what}", factor.head_span)
    given = set(graph.roots(factor.parents)) | set(factor.parents)
    read = set(reads(graph, factor))
    for name in sorted(read - given - {factor.head}):
        if any(d.variable == name and graph[name].role == "let" for d in graph.definitions):
            continue
        scope.report(
            "E224",
            f"{factor.key} reads `{name}`, which is not among its parents",
            factor.span,
            f"reads `{name}`",
            help=f"{factor_key(factor.side, factor.head, (*factor.parents, name))} = ...",
        )
    for parent in factor.parents:
        roots = set(graph.roots([parent]))
        if not roots <= read and parent not in read:
            scope.report(
                "W402",
                f"{factor.key} does not read `{parent}`",
                factor.head_span,
                f"`{parent}` has no effect",
                help="remove it, or read it",
                severity="warning",
            )


def reads(graph: Graph, factor: Factor) -> tuple[str, ...]:
    """The variables that a factor's right side depends on, features followed back to their roots."""
    names = list(variables(factor.density))
    for term in walk(factor.density):
        if isinstance(term, Residual):
            prior = next((f for f in graph.factors if f.key == term.prior), None)
            names.extend(prior.parents if prior else ())
    return tuple(n for n in graph.roots(names))


def _verify_range(scope: Scope, variable: Variable, definition: Definition) -> None:
    """A definition must land in the variable's support (E203)."""
    support, value = variable.type.support, definition.value
    if _lands(value, support):
        return
    ways = {
        "integer": "round it: floor(...)",
        "interval": "end the network in that range: out = tanh, and rescale(..., -1, 1)",
        "unit": "end the network in that range: out = sigmoid",
    }
    scope.report(
        "E203",
        f"`{variable.name}` is {support.describe()}, and this is not",
        value.span,
        value.type.support.describe(),
        notes=(Note(variable.span, "declared here"),),
        help=ways.get(support.name, "give it a distribution instead: p(... | ...) = ..."),
    )


def _lands(value: Value, support: Support) -> bool:
    found = value.type.support
    if support.name == "real":
        return not found.discrete
    if support.name == "integer":
        return found.name == "integer"
    if isinstance(value, Apply):
        ends = _RANGES.get(str(dict(value.module.spec.options).get("out", "")))
        return ends is not None and support.low is not None and ends == (support.low, support.high)
    if support.name == "interval":
        return found.name in ("interval", "unit") and (found.low, found.high) == (support.low, support.high)
    return found.name == support.name


def _verify_cycles(scope: Scope, graph: Graph) -> None:
    """No variable may depend on itself through p, through q, or through definitions (E205).

    A variable that is defined is so by the model: to q it is given, as in BiGAN's x = g(z), q(z | x).
    """
    defined = [(x, d.variable, d.span) for d in graph.definitions for x in variables(d.value)]
    features = [e for e in defined if graph[e[1]].role == "let"]
    for side, shared in (("p", defined), ("q", features)):
        edges = shared + [
            (x, f.head, f.head_span) for f in graph.factors if f.side == side for x in f.parents if x != f.head
        ]
        _report_cycle(scope, edges, side)
    quotes = [
        (t.factor if isinstance(t, Quoted) else t.prior, f.key, f.span)
        for f in graph.factors
        for t in walk(f.density)
        if isinstance(t, (Quoted, Residual))
    ]
    _report_cycle(scope, quotes, "quotations")


def _report_cycle(scope: Scope, edges: list[tuple[str, str, Span]], side: str) -> None:
    successors: dict[str, list[tuple[str, Span]]] = {}
    for start, end, span in edges:
        successors.setdefault(start, []).append((end, span))
    done: set[str] = set()
    for root in successors:
        path: list[str] = []
        stack: list[tuple[str, int]] = [(root, 0)]
        while stack:
            node, k = stack.pop()
            if k == 0:
                if node in done:
                    continue
                path.append(node)
            out = successors.get(node, [])
            if k < len(out):
                stack.append((node, k + 1))
                following, span = out[k]
                if following in path:
                    loop = [*path[path.index(following) :], following]
                    if not any(d.code == "E205" and d.span == span for d in scope.diagnostics):
                        scope.report(
                            "E205",
                            f"these depend on each other: {' -> '.join(loop)}",
                            span,
                            f"closes the cycle in {side}",
                            help="remove one of these dependences",
                        )
                    return
                if following not in done:
                    stack.append((following, 0))
            else:
                done.add(node)
                path.pop()


def modules(graph: Graph) -> tuple[Module, ...]:
    """Every network that the model holds, once each, in order of first use."""
    found: dict[str, Module] = {}
    terms: list[object] = [d.value for d in graph.definitions] + [f.density for f in graph.factors]
    terms += [graph.energy.value] if graph.energy else []
    terms += [a.module for a in graph.adversaries]
    for term in terms:
        for t in walk(term):
            for m in [t] if isinstance(t, Module) else []:
                found.setdefault(m.attribute, m)
    return tuple(found.values())


def _verify_sizes(scope: Scope, graph: Graph, spec: tree.Spec) -> None:
    total = sum(m.inputs * (m.spec.hidden[0] if m.spec.hidden else m.outputs) for m in modules(graph))
    total += sum(math.prod(p.type.shape) for p in graph.parameters)
    if total > MAX_ELEMENTS:
        scope.report("E216", f"this model has more than {total:,} weights", spec.name_span, "too large for any machine")


def _verify_used(scope: Scope, graph: Graph, spec: tree.Spec) -> None:
    terms: list[object] = [d.value for d in graph.definitions] + [f.density for f in graph.factors]
    terms += [graph.energy.value] if graph.energy else []
    used = {t.name for term in terms for t in walk(term) if isinstance(t, Declared)}
    for parameter in graph.parameters:
        if parameter.name not in used:
            _unused(scope, "parameter", parameter.name, parameter.span)
    for name, binding in scope.names.items():
        if isinstance(binding, NamedFlow) and binding.bijection is None:
            _unused(scope, "flow", name, scope.places[name])
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
