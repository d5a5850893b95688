"""Elimination: what the data does not fix has to go, one variable at a time, by the cheapest rule its place allows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from dgmppl.catalogue.distributions import CLOSED_KL, DISTRIBUTIONS, suggestions
from dgmppl.diagnostics import Note
from dgmppl.graph.inverse import MAX_CASES, can_derive, joint_values, some_posterior
from dgmppl.graph.nodes import Definition, Factor, Graph, Variable
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import (
    Autoregressive,
    Density,
    Family,
    Image,
    Mixture,
    Operation,
    Pushforward,
    Quoted,
    Residual,
    Use,
    Value,
    variables,
)
from dgmppl.plan.nodes import Compute, Dequantise, Draw, Given, GivenSome, Impute, Invert, Reason, Step, Sum


@dataclass
class Elimination:
    """What has become known so far. `drawn` are the q that gave values, in order; `summed` the variables whose q
    weighs all of their values instead."""

    steps: list[Step] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    inverted: dict[str, Invert] = field(default_factory=dict)
    drawn: list[Factor] = field(default_factory=list)
    summed: set[str] = field(default_factory=set)
    implicit: list[Definition] = field(default_factory=list)

    def add(self, step: Step) -> None:
        self.steps.append(step)
        self.known.add(step.variable)

    @property
    def repeated(self) -> frozenset[str]:
        """What is known only for each value of a sum, the summed variables included."""
        first = next((k for k, s in enumerate(self.steps) if isinstance(s, Sum)), len(self.steps))
        return frozenset(s.variable for s in self.steps[first:])


@dataclass(frozen=True)
class Inverse:
    """A definition read backwards: the latent, and whether rounding stands outside the bijection."""

    latent: str
    rounded: bool


def invert(value: Value) -> Inverse | None:
    """How a definition is inverted: `f(u)` or `floor(f(u))` with f a bijection. None where it cannot be."""
    rounded = isinstance(value, Operation) and value.op == "floor"
    inner = value.operands[0] if isinstance(value, Operation) and rounded else value
    while isinstance(inner, Image):
        inner = inner.value
    outer = value.operands[0] if isinstance(value, Operation) and rounded else value
    if isinstance(inner, Use) and (isinstance(outer, Image) or rounded):
        return Inverse(inner.variable, rounded)
    return None


def eliminate(scope: Scope, graph: Graph, needed: Iterable[str], covered: Iterable[str] = ()) -> Elimination:
    """Gives a value to every variable that the data leaves open and the objective needs one for.

    Latents are inverted through bijections of the data where they can be; else, under their q, summed over their
    values if these are few, and drawn if not. What an adversary judges, `covered`, is never summed. A partial variable
    is treated so in the rows that miss it. Reports latents without a q (E306) and a q that can never be drawn from
    (E308).
    """
    result = Elimination()
    for v in graph.observed:
        condition = v.name in graph.conditions
        why = f"{v.name} is {'a condition: nothing models it' if condition else 'observed'}"
        result.add(Given(v.name, Reason(why, _line(scope, v.span.start))))
    for v in graph.partial:
        if v.name not in set(needed):
            member = graph.energy is not None and v.name in graph.energy.arguments
            others = "it is summed out of the energy" if member else "nothing depends on it"
            why = f"{v.name} is seen in some rows, and {others} in the others"
            result.add(GivenSome(v.name, Reason(why, _line(scope, v.span.start))))
    _features(scope, graph, result)
    _inversions(scope, graph, result)
    pending = [v for v in graph.inferred if v.name in set(needed) and v.name not in result.known]
    while pending:
        ready = []
        for v in pending:
            q = graph.factor("q", v.name)
            if q is not None and set(q.parents) <= result.known:
                ready.append((v, q))
        if not ready:
            break
        # What can be drawn now is drawn before rows are repeated for the values of a sum.
        v, q = next(((v, q) for v, q in ready if not _summable(v, covered)), ready[0])
        result.add(_infer(scope, graph, result, v, q, covered))
        result.drawn.append(q)
        _features(scope, graph, result)
        _inversions(scope, graph, result)
        # What was drawn may be the context of a flow, which can be inverted now.
        pending = [v for v in pending if v.name not in result.known]
    for v in pending:
        q = graph.factor("q", v.name)
        if q is None:
            seen = ", ".join(o.name for o in graph.observed) or "x"
            help_ = "latents are real, positive, unit or simplex: others have no draw that can be differentiated"
            if v.type.support.finite and v.name in covered:
                help_ = "an adversary compares draws, and those of few values cannot be differentiated: leave it out"
            elif v.type.support.finite and not can_derive(v):
                help_ = f"at most {MAX_CASES} joint values can be summed out; others are real, or part of an energy"
            elif can_derive(v):
                help_ = some_posterior(v, seen, "mlp[256, 256]")
            what = "the latent" if v.role == "latent" else "the partial variable"
            scope.report("E306", f"{what} `{v.name}` has no posterior", v.span, "needs a q", help=help_)
        elif not any(p.name in q.parents for p in pending if graph.factor("q", p.name) is None):
            missing = [p for p in q.parents if p not in result.known]
            scope.report(
                "E308",
                f"{q.key} cannot be drawn from: {', '.join(missing)} has no value by then",
                q.head_span,
                "reads it",
                help="make the parents observed, or latents with a q of their own",
            )
    return result


def _summable(variable: Variable, covered: Iterable[str]) -> bool:
    return variable.name not in covered and joint_values(variable) <= MAX_CASES


def _infer(
    scope: Scope, graph: Graph, result: Elimination, variable: Variable, q: Factor, covered: Iterable[str]
) -> Step:
    """How a q gives a variable its value: a sum over few values, else a draw (E308 for one without a gradient)."""
    name, line = variable.name, _line(scope, q.span.start)
    partial = variable.role == "partial"
    open_ = f"{name} is latent and no bijection of the data"
    if partial:
        open_ = f"{name} is seen in some rows, and missing in others"
    before = math.prod(joint_values(graph[s]) for s in result.summed)
    if _summable(variable, covered) and before * joint_values(variable) <= MAX_CASES:
        values = int(joint_values(variable))
        result.summed.add(name)
        where = "there it is" if partial else "it is"
        return Sum(
            name,
            Reason(f"{open_}: {where} summed over its {values} values under {q.key}", line),
            q.key,
            values,
            partial,
        )
    _verify_drawable(scope, graph, q, before)
    if partial:
        return Impute(name, Reason(f"{open_}: there it is drawn from {q.key}", line), q.key)
    return Draw(name, Reason(f"{open_}: it is drawn from {q.key}", line), q.key)


def _line(scope: Scope, offset: int) -> int:
    return scope.source.position(offset)[0]


def _features(scope: Scope, graph: Graph, result: Elimination) -> None:
    """Computes every feature, and every latent that is defined, whose inputs are known."""
    progress = True
    while progress:
        progress = False
        for d in graph.definitions:
            role = graph[d.variable].role
            if role == "observed" or d.variable in result.known:
                continue
            if set(variables(d.value)) <= result.known:
                what = "a feature" if role == "let" else "defined by what is known"
                result.add(Compute(d.variable, Reason(f"{d.variable} is {what}", _line(scope, d.span.start))))
                progress = True


def _inversions(scope: Scope, graph: Graph, result: Elimination) -> None:
    """Inverts definitions whose image is known; those without an inverse are implicit."""
    computed = {s.variable for s in result.steps if isinstance(s, Compute)}
    for d in graph.definitions:
        if d.variable in computed or d.variable not in result.known:
            continue
        if d in result.implicit or any(i.image == d.variable for i in result.inverted.values()):
            continue
        line = _line(scope, d.span.start)
        inverse = invert(d.value)
        if inverse is None or graph[inverse.latent].role != "latent" or inverse.latent in result.known:
            result.implicit.append(d)
            continue
        if not set(variables(d.value)) - {inverse.latent} <= result.known:
            continue
        if inverse.rounded:
            why = f"floor makes {d.variable} whole numbers, and uniform noise in [0, 1) makes them a density's again"
            result.steps.append(Dequantise(d.variable, Reason(why, line)))
        step = Invert(
            inverse.latent,
            Reason(f"{d.variable} is a bijection of {inverse.latent}, so {inverse.latent} is known exactly", line),
            d.variable,
            inverse.rounded,
        )
        result.inverted[inverse.latent] = step
        result.add(step)


def _verify_drawable(scope: Scope, graph: Graph, q: Factor, cases: float) -> None:
    """A draw must be differentiable in q's parameters (E308). `cases`: of the sums so far."""
    blocking = not_reparameterised(q.density)
    if blocking:
        head = graph[q.head]
        values = joint_values(head) * cases
        many = (
            f", and {_count(values)} values are too many to sum"
            if values > MAX_CASES and head.type.support.finite
            else ""
        )
        fit = [name for name in suggestions(head.type.support) if DISTRIBUTIONS[name].reparameterised]
        scope.fail(
            "E308",
            f"a draw from {blocking} cannot be differentiated{many}",
            q.head_span,
            "no gradient reaches this q",
            notes=(Note(q.density.span, blocking),),
            help=f"use a distribution whose draws are differentiable: {', '.join(fit)}"
            if fit
            else f"make `{head.name}` real, or model it by an energy E(...), which needs no q",
        )


def _count(values: float) -> str:
    return "more than a billion" if values > 1e9 else f"{int(values):,}"


def not_reparameterised(density: Density) -> str:
    """What keeps a density's draws from being differentiable, or "" where nothing does."""
    if isinstance(density, Family):
        return "" if DISTRIBUTIONS[density.kind].reparameterised else density.kind
    if isinstance(density, Pushforward):
        return not_reparameterised(density.base)
    if isinstance(density, Mixture):
        return "a mixture"
    if isinstance(density, Autoregressive):
        return "an autoregressive factor"
    if isinstance(density, Quoted):
        return "a quoted factor"
    return ""


def family_of(density: Density | None) -> str:
    """The distribution whose closed forms a density has, or ""."""
    if isinstance(density, Residual):
        return "Normal"
    return density.kind if isinstance(density, Family) else ""


def is_drawn(graph: Graph, q: Factor, summed: Iterable[str]) -> bool:
    """Whether a q gives its variable a value by a draw in every row."""
    return q.head not in summed and graph[q.head].role == "latent"


def closed_form(graph: Graph, drawn: list[Factor], summed: Iterable[str] = ()) -> tuple[bool, str]:
    """Whether KL(q || p) is used in closed form, and why.

    KL(q(z | .) || p(z | .)) stands in the ELBO only if everything that p(z | .) reads is drawn before z.
    """
    # A sum is exact without it, and a partial variable has a density to be scored in some rows.
    pairs = [(q, graph.factor("p", q.head)) for q in drawn if is_drawn(graph, q, summed)]
    known = [(q, p) for q, p in pairs if p and (family_of(q.density), family_of(p.density)) in CLOSED_KL]
    order = [q.head for q in drawn]
    for q, p in known:
        assert p is not None
        late = [x for x in graph.roots(p.parents) if x in order and order.index(x) > order.index(q.head)]
        if late:
            how = "summed" if late[0] in summed else "drawn"
            return False, f"no closed KL: {p.key} reads {late[0]}, which is {how} after {q.head}"
    return True, ""
