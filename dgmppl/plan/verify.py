"""Checks of the plan as a whole: that there is something to fit, as the structure allows, by a q that fits."""

from __future__ import annotations

from dgmppl.catalogue.distributions import suggestions
from dgmppl.diagnostics import Note
from dgmppl.graph.inverse import can_derive, omissions, some_posterior
from dgmppl.graph.nodes import Energy, Graph
from dgmppl.graph.scope import Scope
from dgmppl.plan.eliminate import Elimination
from dgmppl.plan.nodes import EnergyPlan, GamePlan, LogQSeen, Term
from dgmppl.plan.settings import ObjectiveSetting
from dgmppl.syntax import tree


def verify_fitted(
    scope: Scope, graph: Graph, spec: tree.Spec, terms: tuple[Term, ...], games: tuple[GamePlan, ...]
) -> None:
    """Reports a model in which nothing says how the data came about (E309)."""
    modelled = len(graph.conditions) < len(graph.data)
    if (modelled and (terms or games)) or any(d.severity == "error" for d in scope.diagnostics):
        return
    x = graph.observed[0]
    scope.fail(
        "E309",
        "nothing here says how the data came about",
        spec.name_span,
        "no factor, definition or energy is about an observed variable",
        help=f"for example p({x.name}) = {next(iter(suggestions(x.type.support)), 'Normal')}(param)",
    )


def verify_asked(
    scope: Scope,
    derived: str,
    asked: ObjectiveSetting | None,
    elimination: Elimination,
    energy: EnergyPlan | None,
    games: tuple[GamePlan, ...],
    terms: tuple[Term, ...],
) -> None:
    """An objective asked for must be one that the structure allows (E303)."""
    if asked is None or any(d.severity == "error" for d in scope.diagnostics):
        return
    bound = bool(elimination.drawn)
    allowed = {
        "elbo": (bound, "an ELBO needs a latent that is drawn from a q, and none is"),
        "iwae": (
            bound and not elimination.summed,
            "an importance-weighted bound weighs draws, and "
            + (f"{', '.join(sorted(elimination.summed))} is summed" if bound else "no latent is drawn from a q"),
        ),
        "likelihood": (
            not bound and energy is None and bool(terms),
            "the likelihood is not exact here: it has "
            + ("latents drawn from q" if bound else "an energy" if energy else "no density"),
        ),
        "contrastive_divergence": (energy is not None, "contrastive divergence needs an energy E(...)"),
        "adversarial": (bool(games), "a game needs an adversary: adversary D(x) = mlp[256]"),
    }
    fine, why = allowed[asked.name]
    if not fine:
        scope.fail(
            "E303",
            f"{asked.name} does not fit this model",
            asked.span,
            why,
            help=f"its structure calls for: {derived}",
        )
    if asked.options.get("classify") and not any(isinstance(t, LogQSeen) for t in terms):
        scope.fail(
            "E305",
            "`classify` would change nothing",
            asked.span,
            "no partial variable has a q",
            help="leave `classify` out, or declare a variable that is seen in some rows: partial y : ...",
        )
    owners = {t.owner for t in terms} | {a for g in games for a in [g.adversary]}
    for name in asked.weights:
        if name not in owners:
            scope.fail(
                "E305",
                f"no term of the objective belongs to `{name}`",
                asked.span,
                f"terms belong to {', '.join(sorted(owners))}",
            )


def verify_reached(scope: Scope, graph: Graph, energy: Energy, elimination: Elimination) -> None:
    """Reports an energy of latents alone, none of which the data gives a value (E306): nothing would teach it."""
    if elimination.known & set(energy.arguments) or any(d.severity == "error" for d in scope.diagnostics):
        return
    latent = graph[energy.arguments[0]]
    seen = ", ".join(v.name for v in graph.observed)
    scope.fail(
        "E306",
        f"nothing teaches this energy: the data gives `{latent.name}` no value",
        energy.head_span,
        "only latents",
        notes=(Note(latent.span, "needs a q"),),
        help=some_posterior(latent, seen, "mlp[256]")
        if can_derive(latent)
        else f"let the energy read the data too: E({seen}, {latent.name}) = ...",
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


def verify_members(scope: Scope, graph: Graph, energy: EnergyPlan) -> None:
    """A partial variable of an energy must be the one that is summed over its values, in the rows that miss it
    (E220)."""
    for member in graph.energy.arguments if graph.energy else ():
        if graph[member].role == "partial" and member != energy.enumerated and graph.energy:
            scope.fail(
                "E220",
                f"an energy of a partial variable that is not summed out cannot be compiled yet: `{member}`",
                graph.energy.head_span,
                "its samples have every variable in every row",
                notes=(Note(graph[member].span, "declared here"),),
                help="one element of few values, without a q and beside no other latent, is summed out of an energy",
            )


def warn_omissions(scope: Scope, graph: Graph, elimination: Elimination, covered: set[str]) -> None:
    """Says where a given q leaves out a dependence that the posterior has (W401)."""
    if any(d.severity == "error" for d in scope.diagnostics):
        return
    for omission in omissions(graph, tuple(elimination.drawn), elimination.inverted):
        q, other = omission.factor, omission.variable
        if q.head in covered:
            continue
        given = (*q.parents, other)
        scope.report(
            "W401",
            f"the posterior of `{q.head}` depends on `{other}`, and {q.key} does not read it",
            q.head_span,
            f"leaves out {' - '.join(omission.path)}",
            help=f"a closer posterior reads it too: q({q.head} | {', '.join(given)}) = ...",
            severity="warning",
        )
