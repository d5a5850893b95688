"""Checks of the whole graph: every variable accounted for once, nothing read that is not given, no cycle."""

from __future__ import annotations

from dataclasses import replace

from dgmppl.catalogue.distributions import suggestions
from dgmppl.diagnostics import Note, nearest
from dgmppl.graph.arguments import verify_arguments
from dgmppl.graph.certain import verify_certain
from dgmppl.graph.cycles import verify_cycles
from dgmppl.graph.definitions import verify_context, verify_range
from dgmppl.graph.dropping import verify_dropped
from dgmppl.graph.elements import Read, reads_of
from dgmppl.graph.held import held, weights
from dgmppl.graph.idle import verify_components, verify_stacks
from dgmppl.graph.independence import verify_seen
from dgmppl.graph.lengths import verify_lengths
from dgmppl.graph.names import declared_name
from dgmppl.graph.nodes import Factor, Graph, Variable, factor_key
from dgmppl.graph.probabilities import verify_logits
from dgmppl.graph.scope import MAX_ELEMENTS, Scope
from dgmppl.graph.sharing import verify_shared
from dgmppl.graph.unused import verify_used
from dgmppl.graph.values import Autoregressive, Residual, Segment, Sequence, variables, walk
from dgmppl.source import Span
from dgmppl.syntax import tree
from dgmppl.words import counted


def verify_graph(scope: Scope, graph: Graph, spec: tree.Spec, complete: bool) -> None:
    """Reports what is wrong with the whole. Where a statement failed (`complete` is false), only what does not
    depend on it."""
    if not graph.data and not scope.poisoned:
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
    verify_arguments(scope, graph)
    verify_certain(scope, graph)
    verify_seen(scope, graph)
    verify_dropped(scope, graph)
    verify_lengths(scope, graph)
    _verify_energy(scope, graph)
    for definition in graph.definitions:
        if graph[definition.variable].role != "let":
            verify_range(scope, graph[definition.variable], definition)
            verify_context(scope, graph, definition)
    verify_cycles(scope, graph)
    if complete:
        verify_shared(scope, graph, spec)
    if complete and not any(d.severity == "error" for d in scope.diagnostics):
        _verify_sizes(scope, graph, spec)
        verify_used(scope, graph, spec)
        verify_stacks(scope, graph)
        verify_components(scope, graph)
        verify_logits(scope, graph)


def _verify_modelled(scope: Scope, graph: Graph, spec: tree.Spec) -> None:
    """What the data leaves open needs one source; no variable may have two (E206, E207)."""
    sources: dict[str, dict[str, Span]] = {}
    for f in graph.factors:
        if f.side == "p":
            # Two factors of p are reported where heads are compared; here they count once.
            sources.setdefault(f.head, {}).setdefault("a factor of p", f.head_span)
    for d in graph.definitions:
        sources.setdefault(d.variable, {})["a definition"] = d.span
    for a in graph.energy.arguments if graph.energy else ():
        sources.setdefault(a, {})["the energy"] = graph.energy.head_span  # type: ignore[union-attr]
    for v in graph.variables:
        found = sorted(sources.get(v.name, {}).items(), key=lambda kind: kind[1])
        if len(found) > 1 and v.role != "let":
            (first, before), (second, after) = found[:2]
            scope.report(
                "E207",
                f"`{v.name}` is modelled twice: by {first} and by {second}",
                after,
                "the second time",
                notes=(Note(before, "the first time"),),
                help="remove one of the two",
            )
    broken = _attempted(scope, graph, spec)
    missing: dict[str, list[Variable]] = {}
    for v in graph.inferred:
        if v.name not in sources and declared_name(v.name) not in broken:
            missing.setdefault(v.family or v.name, []).append(v)
    for members in missing.values():
        these = ", ".join(f"`{v.name}`" for v in members)
        what = "latent" if members[0].role == "latent" else "partial variable"
        fit = suggestions(members[0].type.support)
        scope.report(
            "E206",
            f"the {what} {these} has no factor" if len(members) == 1 else f"the {what}s {these} have no factor",
            members[0].span,
            "where does it come from?",
            help=f"give it a prior: p({members[0].name}) = {fit[0] + '(...)' if fit else '...'}",
        )


def _attempted(scope: Scope, graph: Graph, spec: tree.Spec) -> set[str]:
    """Variables that a statement in which something is wrong set out to model: no further message about them."""
    found: set[str] = set()
    errors = [d for d in scope.diagnostics if d.severity == "error" and d.span is not None]
    built = {declared_name(f.head) for f in graph.factors if f.side == "p"}
    declared = [s.name for s in spec.statements if isinstance(s, tree.Variable)]
    for s in spec.statements:
        heads: tuple[tree.Reference, ...] = ()
        if isinstance(s, tree.Factor) and s.side == "p":
            heads = s.heads
            # A factor that reads what was declared with an error is dropped without a message of its own.
            found.update(h.name for h in heads if errors and h.name not in built)
        elif isinstance(s, tree.Definition):
            heads = (s.target,)
        elif isinstance(s, tree.Energy):
            heads = s.arguments
        failed = {h.name for h in heads} & (scope.poisoned | scope.ambiguous)
        if failed or any(s.span.start <= d.span.start < s.span.end for d in errors if d.span):
            found.update(h.name for h in heads)
            found.update(near for h in heads if h.name not in declared and (near := nearest(h.name, declared)))
    return found


def _verify_factor(scope: Scope, graph: Graph, factor: Factor) -> None:
    head = graph[factor.head]
    if any(
        d.span and factor.span.start <= d.span.start < factor.span.end for d in scope.diagnostics if d.code[0] == "E"
    ):
        return  # its statement is reported already
    if factor.side == "q" and head.role not in ("latent", "partial"):
        given = tuple(p for p in factor.parents if p != factor.head)
        scope.report(
            "E221",
            f"q is over latents, and `{head.name}` is {'a feature' if head.role == 'let' else head.role}",
            factor.head_span,
            "approximates nothing",
            notes=(Note(head.span, "declared here"),),
            help="" if head.role == "let" else f"its model is a factor of p: {factor_key('p', head.name, given)} = ...",
        )
        return
    if head.role == "let":
        scope.report(
            "E207",
            f"`{head.name}` is a feature: its value is given by its `let`",
            factor.head_span,
            "a second source",
            notes=(Note(head.span, "defined here"),),
            help=_second_source(head),
        )
    if factor.head in factor.parents and not graph.imputes(factor):
        others = tuple(p for p in factor.parents if p != factor.head)
        scope.report(
            "E205",
            f"`{factor.head}` depends on itself",
            factor.head_span,
            "both before and after the bar",
            help=f"{factor_key(factor.side, factor.head, others)} = ...",
        )
        return
    for k, parent in enumerate(factor.parents):
        if parent in factor.parents[:k]:
            once = tuple(dict.fromkeys(factor.parents))
            scope.report(
                "E202",
                f"`{parent}` stands twice among the parents",
                factor.head_span,
                "each parent once",
                help=f"{factor_key(factor.side, factor.head, once)} = ...",
            )
            return
    for part in _statements(factor, head.length):
        _verify_reads(scope, graph, part)


def _statements(factor: Factor, length: str) -> list[Factor]:
    """A factor as its statements: of a folded family each is about some members, with parents of its own; all depend
    on how many members a row has, its `length`."""
    if not isinstance(factor.density, Sequence):
        return [factor]
    return [
        replace(factor, parents=_with_length(s, length), density=s, span=s.span, head_span=s.head_span)
        for s in factor.density.segments
    ]


def _with_length(segment: Segment, length: str) -> tuple[str, ...]:
    """The parents of a statement, with the length of a row where what it reads goes as far as that."""
    return (*segment.parents, length) if length and length in variables(segment) else segment.parents


def _verify_reads(scope: Scope, graph: Graph, factor: Factor) -> None:
    """What a factor reads and what its head names must agree (E224, W402)."""
    read = set(reads(graph, factor))
    if any(graph[name].role == "let" for name in read):
        return  # a feature whose own statement failed: what it reads is not known
    itself = next(
        (r for r in reads_of(factor.density, factor.head) if _whole(r) and factor.head in graph.roots([r.variable])),
        None,
    )
    if itself is not None and not graph.imputes(factor):
        scope.report(
            "E205",
            f"{graph.written(factor)} reads `{factor.head}`, the variable that it models",
            itself.span,
            f"depends on `{factor.head}`",
            help=f"only its past may be read: {factor.head}[<d]"
            if isinstance(factor.density, Autoregressive)
            else "a factor reads its parents, which stand behind the bar",
        )
        return
    given = set(graph.roots(factor.parents)) | set(factor.parents)
    unnamed = sorted(read - given - (set() if graph.imputes(factor) else {factor.head}))
    head = graph.written(factor)
    for name in unnamed:
        place = _place_of(graph, factor.density, name)
        text = _member_at(scope, graph, name, place)
        scope.report(
            "E224",
            f"{head} reads `{text}`, which is not among its parents",
            place or factor.span,
            f"reads `{text}`",
            help=f"{head[:-1]}{', ' if '|' in head else ' | '}{text}) = ...",
        )
    for parent in factor.parents if not unnamed else ():
        roots = set(graph.roots([parent]))
        if not roots <= read and parent not in read:
            scope.report(
                "W402",
                f"{head} does not read `{parent}`",
                factor.head_span,
                f"`{parent}` has no effect",
                help="remove it, or read it",
                severity="warning",
            )


def _whole(read: Read) -> bool:
    return not read.past and not read.offsets


def _member_at(scope: Scope, graph: Graph, name: str, place: Span | None) -> str:
    """A variable as it is read at a place: a member of a folded family by its index, `u[t]`."""
    if graph[name].along is None or place is None:
        return name
    text = scope.source.text[place.start : place.end]
    return text if text == name or text.startswith(f"{name}[") else graph[name].shown


def _place_of(graph: Graph, term: object, name: str) -> Span | None:
    """Where an expression reads a variable, itself or through a feature."""
    return next((r.span for r in reads_of(term) if name in graph.roots([r.variable])), None)


def _verify_energy(scope: Scope, graph: Graph) -> None:
    """An energy reads its arguments, all of them and nothing else (E224)."""
    energy = graph.energy
    if energy is None:
        return
    read = set(graph.roots(variables(energy.value)))
    if any(graph[name].role == "let" for name in read):
        return
    arguments = ", ".join(energy.arguments)
    for name in sorted(read - set(energy.arguments)):
        scope.report(
            "E224",
            f"E({arguments}) reads `{name}`, which is not among its arguments",
            _place_of(graph, energy.value, name) or energy.span,
            f"reads `{name}`",
            help=f"E({arguments}, {name}) = ...",
        )
    for name in energy.arguments:
        if name not in read:
            scope.report(
                "E224",
                f"E({arguments}) does not read `{name}`",
                energy.head_span,
                f"every value of `{name}` would be as likely as any other",
                help="remove it, or read it",
            )


def _second_source(feature: Variable) -> str:
    """A way out of a feature that has a factor as well."""
    if feature.type.support.discrete:
        usage = f"q({feature.name} | ...) = Delta(...)"
        return f"declare it `latent`, and this value its posterior: {usage}; or remove this factor"
    return "declare it `latent` to give it a distribution, or remove this factor"


def reads(graph: Graph, factor: Factor) -> tuple[str, ...]:
    """The variables that a factor's right side depends on, features followed back to their roots."""
    names = list(variables(factor.density))
    for term in walk(factor.density):
        if isinstance(term, Residual):
            prior = next((f for f in graph.factors if f.key == term.prior), None)
            names.extend(prior.parents if prior else ())
    return tuple(n for n in graph.roots(names))


def _verify_sizes(scope: Scope, graph: Graph, spec: tree.Spec) -> None:
    total = sum(map(weights, held(graph)))
    if total > MAX_ELEMENTS:
        scope.report(
            "E216", f"this model has {counted(total, 'weight', ',')}", spec.name_span, "too large for any machine"
        )
