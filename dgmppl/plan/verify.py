"""Checks of the plan as a whole: that there is something to fit, as the structure allows, by a q that fits."""

from __future__ import annotations

from dgmppl.catalogue.bijections import SHIFT
from dgmppl.catalogue.distributions import suggestions
from dgmppl.diagnostics import Note
from dgmppl.graph.inverse import Omission, omissions, path_of
from dgmppl.graph.names import member_name
from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import (
    Apply,
    Block,
    Composition,
    Declared,
    Density,
    Learned,
    Operation,
    Parametric,
    Pushforward,
    Use,
    Value,
    variables,
    walk,
)
from dgmppl.plan.nodes import Loss, Reason
from dgmppl.plan.rules.compose import Compose, ComposedKL
from dgmppl.plan.rules.draw import Draw
from dgmppl.plan.rules.filter import IntegrateAlong
from dgmppl.plan.rules.impute import LogQSeen
from dgmppl.plan.rules.integrate import Integrate
from dgmppl.plan.rules.invert import images, invert, preimage_drawn
from dgmppl.plan.settings import setting_span
from dgmppl.plan.state import Elimination
from dgmppl.source import Span
from dgmppl.supports import REAL, real
from dgmppl.syntax import tree


def verify_fitted(state: Elimination, spec: tree.Spec, fitted: Loss) -> None:
    """Reports a model in which nothing says how the data came about (E309)."""
    graph = state.graph
    modelled = len(graph.conditions) < len(graph.data)
    if (modelled and fitted.terms) or state.failed:
        return
    x = graph.data[0]
    state.scope.fail(
        "E309",
        "nothing here says how the data came about",
        spec.name_span,
        "no factor, definition or energy is about an observed variable",
        help=f"for example p({x.name}) = {next(iter(suggestions(x.type.support)), 'Normal')}(param)",
    )


def verify_asked(state: Elimination, derived: str, fitted: Loss) -> None:
    """An objective asked for must be one that the structure allows (E303)."""
    asked, scope = state.asked, state.scope
    if asked is None or state.failed:
        return
    terms = [t for t in fitted.terms if t.rowwise]
    games = [t for t in fitted.terms if not t.rowwise]
    summed = sorted(q.head for q in state.posteriors() if q.head in state.summed())
    shared = [v.name for v in state.graph.shared]
    bound = bool(state.posteriors())
    energy = state.sampler is not None
    allowed = {
        "elbo": (bound, "an ELBO needs a latent that is drawn from a q, and none is"),
        "iwae": (
            bound and not summed and not shared,
            "an importance-weighted bound weighs draws, and "
            + (f"{', '.join(summed)} is summed" if summed else "no latent is drawn from a q")
            if not shared
            else f"an importance-weighted bound weighs the draws of a row, and rows have {', '.join(shared)} in common",
        ),
        "likelihood": (
            not bound and not energy and bool(terms),
            "the likelihood is not exact here: it has "
            + ("latents drawn from q" if bound else "an energy" if energy else "no density"),
        ),
        "contrastive_divergence": (energy, "contrastive divergence needs an energy E(...)"),
        "flow_matching": (True, ""),  # where it does not fit is told with its terms
        "adversarial": (bool(games), "a game needs an adversary: adversary D(x) = mlp[256]"),
    }
    fine, why = allowed[asked.name]
    if not fine:
        # What the structure calls for was named with the number of draws that is asked for.
        instead = "elbo" if asked.name == "iwae" and bound else derived
        scope.fail(
            "E303",
            f"{asked.name} does not fit this model",
            asked.span,
            why,
            help=f"its structure calls for: {instead}",
        )
    if asked.options.get("classify") and not any(isinstance(t, LogQSeen) for t in terms):
        scope.fail(
            "E305",
            "`classify` would change nothing",
            asked.span,
            "no partial variable has a q",
            help="leave `classify` out, or declare a variable that is seen in some rows: partial y : ...",
        )
    for name in sorted(asked.simple):
        if not any(isinstance(t, ComposedKL) and t.owner == name and t.family == "Normal" for t in terms):
            scope.fail(
                "E305",
                f"`{name}` has no divergences of normal distributions along an index to leave the weights of out",
                asked.span,
                "simple",
                help=f"a number weighs all that belongs to it: weight = {{ {name} = 0.1 }}",
            )
    owners = {t.owner for t in fitted.terms}
    played = next((t.owner for t in games if t.owner in asked.ramps), None)
    if played is not None:
        headline = f"the weight of the game of `{played}` is a number"
        scope.fail("E305", headline, asked.span, "changes over the epochs", help=f"weight = {{ {played} = 0.1 }}")
    for name in (*asked.weights, *asked.ramps):
        if name not in owners:
            scope.fail(
                "E305",
                f"no term of the objective belongs to `{name}`",
                asked.span,
                f"terms belong to {', '.join(sorted(owners))}",
            )


def verify_gradient(state: Elimination, spec: tree.Spec, fitted: Loss) -> None:
    """Reports an estimator that a variable has no terms for (E305)."""
    composed = {t.owner for t in fitted.terms if isinstance(t, ComposedKL)}
    for name in sorted(set(state.settings.gradient) - composed):
        state.scope.fail(
            "E305",
            f"`{name}` has no divergences along an index, of which each row has one",
            setting_span(spec, "gradient"),
            "by_loss",
            help="it is for long chains that q makes by steps of known numbers; leave it out",
        )


def verify_rows(scope: Scope, graph: Graph) -> None:
    """Samples that an adversary compares have every variable in every row: none is partial (E220)."""
    for adversary in graph.adversaries:
        for argument in adversary.arguments:
            if graph[argument].role == "partial":
                scope.fail(
                    "E220",
                    f"a game over a partial variable cannot be compiled yet: `{argument}`",
                    adversary.span,
                    "compares every row",
                    notes=(Note(graph[argument].span, "declared here"),),
                    help="leave it out of the adversary's arguments",
                )


def verify_preimages(state: Elimination) -> None:
    """A q over the preimage of `x = floor(v)` must draw inside the bin of x: else its bound is of no model (E311)."""
    for d in state.graph.definitions:
        inverse = invert(d.value)
        if inverse is None or not preimage_drawn(state, d):
            continue
        q = state.graph.factor("q", inverse.latents[0])
        if q is None or _in_the_bin(q.density, d.variable):
            continue
        v, x = inverse.latents[0], d.variable
        state.scope.report(
            "E311",
            f"draws from {state.graph.written(q)} leave the bin of `{x}`, and `{x} = floor({v})`",
            q.head_span,
            f"`{v}` lies from {x} to {x} + 1",
            notes=(Note(d.span, "rounded here"),),
            help=f"add a part of one to it: q({v} | {x}) = {x} + (Normal(mlp[64]({x})) >> sigmoid)",
        )


def verify_posterior(state: Elimination, spec: tree.Spec, derived: tuple[str, ...]) -> Reason | None:
    """What `posterior = factorised` comes to, where it is asked for. It would change nothing where no q is derived and
    none that is given leaves out a latent (E305)."""
    if state.settings.posterior != "factorised" or state.failed:
        return None
    span = setting_span(spec, "posterior")
    left_out = [o for o in _omitted(state) if _is_asked_for(state, o)]
    if not derived and not left_out:
        state.scope.fail(
            "E305",
            "`posterior` would change nothing",
            span,
            "no q is derived",
            help="leave it out, or leave out a q that it is to stand for",
        )
    text = "each q that is derived reads the data alone: `posterior = factorised` leaves out how latents depend on "
    return state.reason(text + "each other", span)


def _in_the_bin(density: Density, image: str) -> bool:
    """Whether a density is `x + (a density on the unit interval)`."""
    if not isinstance(density, Pushforward) or not isinstance(density.bijection, Composition):
        return False
    parts = density.bijection.parts
    shift = parts[0] if len(parts) == 1 else None
    moved = isinstance(shift, Block) and shift.kind == SHIFT
    values = [v for _, v in shift.context] if isinstance(shift, Block) else []
    by_image = [isinstance(v, Use) and v.variable == image for v in values] == [True]
    return moved and by_image and density.base.type.support.within(0.0, 1.0)


def warn_omissions(state: Elimination) -> None:
    """Says where a given q leaves out a dependence that the posterior has (W401)."""
    if state.failed:
        return
    for omission in _omitted(state):
        q = omission.factor
        composed = isinstance(state.step_of(q.head), Compose)  # of known numbers: not meant to be close
        if q.head in state.judged or composed or _is_asked_for(state, omission):
            continue
        state.scope.report(
            "W401", *_told(state.graph, omission), help=_closer(state.graph, omission), severity="warning"
        )


def _told(graph: Graph, omission: Omission) -> tuple[str, Span, str]:
    """What is wrong with the q, where, and what it leaves out."""
    q, other, head = omission.factor, omission.variable, graph[omission.factor.head]
    written = graph.written(q)
    if omission.group:
        headline = f"`{head.shown}` is one for each {other}, and {written} does not read `{other}`"
        return headline, q.head_span, f"the same for each {other}"
    if other == q.head:
        headline = f"the posterior of each `{head.shown}` depends on other members, and {written} does not read them"
        return headline, graph.place(q), "members are independent of each other"
    headline = f"the posterior of `{head.shown}` depends on `{graph[other].shown}`, and {written} does not read it"
    if other in graph.roots(q.parents):
        headline = headline.replace("does not read it", "does not read it for each member")
    return headline, graph.place(q), f"leaves out {' - '.join(path_of(graph, omission))}"


def _closer(graph: Graph, omission: Omission) -> str:
    """The way out: what the q could read too."""
    q, other, head = omission.factor, omission.variable, graph[omission.factor.head]
    given = list(dict.fromkeys((*q.parents, other)))
    if head.along is not None and not omission.group:
        given = [name for name in given if name != q.head]
        given = [member_name(q.head, f"{head.along.letter}-1"), *(name for name in given if name != q.head)]
    return f"a closer posterior reads it too: q({head.shown} | {', '.join(given)}) = ..."


def _omitted(state: Elimination) -> tuple[Omission, ...]:
    inverted = {name for i in images(state).values() for name in i.gives}
    return omissions(state.graph, tuple(state.posteriors()), inverted)


def _is_asked_for(state: Elimination, omission: Omission) -> bool:
    """Whether the spec asks for q that leave out how latents depend on each other."""
    return state.settings.posterior == "factorised" and state.graph[omission.variable].role == "latent"


def warn_shared(state: Elimination) -> None:
    """Says of a latent that it is one a row, where the spec reads as if it were one for all (W405).

    So reads a latent of a fixed prior whose factors have nothing else to learn: the location of a group of latents, or
    the coefficients of a regression. Every row would have one of its own.
    """
    graph = state.graph
    names = [n for s in state.steps if type(s) in (Draw, Integrate, IntegrateAlong) for n in s.gives]
    # Where something is learned, rows differ through it, as in a variational auto-encoder.
    if state.failed or any(_learns_more_than_a_scale(graph, f.density) for f in graph.factors if f.side == "p"):
        return
    for name in names:
        p = graph.factor("p", name)
        if p is None or graph.roots(p.parents) or _learned(p.density) or graph[name].shared:
            continue
        readers = [f for f in graph.factors if f.side == "p" and name in graph.roots(f.parents)]
        if not readers or any(graph.definition(v) for v in _defined_by(graph, name)):
            continue
        if graph[name].family and any(graph[f.head].family == graph[name].family for f in readers):
            continue  # the first of a chain or a tree, of which each row has its own
        if all(_agrees(graph, f, name) for f in readers):
            v = graph[name]
            state.scope.report(
                "W405",
                f"`{v.name}` is a latent of each row, and nothing here lets the rows agree on one",
                v.span,
                "one a row",
                notes=(Note(readers[0].head_span, "read as if it were one for all rows"),),
                help=f"one value for all rows: latent {v.name} : {v.type.describe()} per data; "
                f"or a parameter, param {v.name} : {real(*v.type.shape).describe()}"
                + ("" if v.type.support == REAL else f", and a function of it where `{v.name}` is read"),
                severity="warning",
            )


def _learns_more_than_a_scale(graph: Graph, density: Density) -> bool:
    """Whether a density learns something besides how far its values lie apart: what rows have in common is learned."""
    terms: tuple[object, ...] = (density,)
    if isinstance(density, Parametric) and density.joint is None:
        terms = tuple(value for name, value in density.arguments if name != "scale")
    return any(_learned(t) or any(graph[name].shared for name in graph.roots(variables(t))) for t in terms)


def _learned(term: object) -> bool:
    return any(isinstance(t, (Apply, Learned)) or (isinstance(t, Declared) and t.learns) for t in walk(term))


def _defined_by(graph: Graph, name: str) -> list[str]:
    return [d.variable for d in graph.definitions if name in graph.roots([u.variable for u in _uses(d.value)])]


def _uses(value: Value) -> list[Use]:
    return [t for t in walk(value) if isinstance(t, Use)]


def _agrees(graph: Graph, factor: Factor, name: str) -> bool:
    """Whether a factor reads a latent as a hierarchy's or a regression's: it is the location or scale of another
    latent, or it multiplies what the data gives."""
    if graph[factor.head].role == "latent":
        return True
    for term in walk(factor.density):
        if isinstance(term, Operation) and term.op in ("*", "@"):
            sides = [{u.variable for u in _uses(o)} for o in term.operands]
            for mine, other in (sides, sides[::-1]):
                if name in mine and any(graph[v].role == "observed" for v in other):
                    return True
    return False
