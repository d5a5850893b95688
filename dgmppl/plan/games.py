"""Adversaries: which side of each game learns what, and which variables need one.

A variable that is a non-invertible function of latents has no density, so it is compared by samples: an adversary
tells the data's side of its arguments from the model's (Goodfellow et al. 2014; over x and z, BiGAN, Donahue et al.
2017; over z alone, the adversarial autoencoder, Makhzani et al. 2016).
"""

from __future__ import annotations

from dgmppl.diagnostics import Note
from dgmppl.graph.nodes import Definition, Factor, Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Apply, Chain, Declared, Learned, variables, walk
from dgmppl.plan.eliminate import Elimination, not_reparameterised
from dgmppl.plan.nodes import GamePlan, Reason
from dgmppl.plan.settings import ObjectiveSetting

DEFAULT_GAME = "nonsaturating"
DEFAULT_PENALTY = {"wasserstein": 10.0}


def choose_games(
    scope: Scope, graph: Graph, elimination: Elimination, asked: ObjectiveSetting | None
) -> tuple[GamePlan, ...]:
    """A game for each adversary. Reports an implicit variable without one (E301) and arguments that make no
    game (E307)."""
    covered = {a for adversary in graph.adversaries for a in adversary.arguments}
    for d in elimination.implicit:
        if d.variable not in covered:
            scope.report(
                "E301",
                f"`{d.variable}` is no invertible function of its latents, so it has no density",
                d.span,
                "needs an adversary",
                notes=(Note(graph[d.variable].span, "declared here"),),
                help=f"adversary D({d.variable}) = mlp[256]",
            )
    game = asked.game if asked is not None and asked.game else DEFAULT_GAME
    penalty = asked.penalty if asked is not None and asked.penalty is not None else DEFAULT_PENALTY.get(game, 0.0)
    found: list[GamePlan] = []
    for adversary in graph.adversaries:
        line = scope.source.position(adversary.span.start)[0]
        ours, theirs = (_learns(_path(graph, adversary.arguments, side, through=False)) for side in ("p", "q"))
        unknown = [a for a in adversary.arguments if a not in elimination.known]
        if unknown:
            if all(d.code != "E306" for d in scope.diagnostics):
                scope.report(
                    "E307",
                    f"`{unknown[0]}` has no value on the data's side",
                    adversary.span,
                    f"{adversary.name} compares the data's {unknown[0]} with the model's",
                    help=f"give it a q, or leave it out: adversary {adversary.name}(x) = ...",
                )
            continue
        summed = _summed(graph, adversary.arguments, elimination)
        if summed is not None:
            scope.report(
                "E307",
                f"{adversary.name} compares one draw a row, and `{summed}` takes each of its values in every row",
                adversary.span,
                f"depends on `{summed}`",
                notes=(Note(graph[summed].span, "declared here"),),
                help=f"leave out what is inferred from `{summed}`",
            )
            continue
        blocked = _unreached(graph, adversary.arguments, elimination.known, ours or theirs)
        if blocked is not None:
            scope.report(
                "E308",
                f"a draw from {not_reparameterised(blocked.density)} cannot be differentiated, "
                f"so {adversary.name} could not teach {blocked.key}",
                blocked.head_span,
                "no gradient of the game passes here",
                notes=(Note(adversary.span, "the game"),),
                help="use a distribution with a reparameterised draw, or a function: x = mlp[256](z)",
            )
            continue
        if not ours and not theirs:
            scope.report(
                "E307",
                f"{adversary.name} has nothing to tell apart",
                adversary.span,
                "both sides of its arguments are fixed",
                help="an adversary needs an argument that the model or a q produces",
            )
            continue
        arguments = ", ".join(adversary.arguments)
        why = f"{adversary.name} tells ({arguments}) of the data from ({arguments}) of the model"
        weight = asked.weights.get(adversary.name, 1.0) if asked is not None else 1.0
        found.append(GamePlan(adversary.name, game, penalty, ours, theirs, Reason(why, line), weight))
    return tuple(found)


def _summed(graph: Graph, arguments: tuple[str, ...], elimination: Elimination) -> str | None:
    """A variable that is summed out and that these depend on, so that a row has a case for each of its values."""
    path = _path(graph, arguments, "q", through=True)
    return next((f.head for f in path if isinstance(f, Factor) and f.head in elimination.summed), None)


def _path(graph: Graph, arguments: tuple[str, ...], side: str, through: bool) -> list[Factor | Definition]:
    """What gives these variables their values on the model's ("p") or data's ("q") side. Without `through` it ends
    at draws that cannot be differentiated, as gradients do."""
    found: list[Factor | Definition] = []
    pending, seen = list(arguments), set()
    while pending:
        name = pending.pop()
        if name in seen or (side == "q" and graph[name].role == "observed"):
            continue
        seen.add(name)
        factor, definition = graph.factor(side, name), graph.definition(name)
        if factor is not None and (through or not not_reparameterised(factor.density)):
            found.append(factor)
            pending.extend(factor.parents)
        if definition is not None and (side == "p" or graph[name].role == "let"):
            found.append(definition)
            pending.extend(variables(definition.value))
    return found


def _learns(path: list[Factor | Definition]) -> bool:
    terms = [s.density if isinstance(s, Factor) else s.value for s in path]
    return any(isinstance(t, (Apply, Learned, Declared, Chain)) for term in terms for t in walk(term))


def _unreached(graph: Graph, arguments: tuple[str, ...], known: set[str], reached: bool) -> Factor | None:
    """A factor with something to learn that this game's gradient does not reach, and nothing else would teach."""
    for side in ("p", "q"):
        for s in _path(graph, arguments, side, through=True):
            if not isinstance(s, Factor) or not not_reparameterised(s.density) or (s.head in known and reached):
                continue
            if _learns(_path(graph, (s.head,), side, through=True)):
                return s
    return None
