"""Game: what has no density is compared by samples, by an adversary that tells data from model.

An adversary scores the data's side of its arguments against the model's (Goodfellow et al. 2014; over x and z, BiGAN,
Donahue et al. 2017, and ALI, Dumoulin et al. 2017; over z alone, the adversarial autoencoder, Makhzani et al. 2016).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from dgmppl.diagnostics import Note
from dgmppl.graph.nodes import Adversary, Definition, Factor, Graph
from dgmppl.graph.values import Apply, Composition, Declared, Learned, Mapped, Use, variables, walk
from dgmppl.plan import latex
from dgmppl.plan.nodes import Loss, Reason, Term
from dgmppl.plan.rules.draw import not_reparameterised
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.settings import ObjectiveSetting
from dgmppl.plan.state import Elimination
from dgmppl.supports import number_text

DEFAULT_GAME = "nonsaturating"
DEFAULT_PENALTY = {"wasserstein": 10.0}


@dataclass(frozen=True)
class Score(Term):
    """The model's part of a game: minus what it minimises. `real` and `fake` say which sides have something to
    learn."""

    game: str
    real: bool
    fake: bool

    rowwise: ClassVar[bool] = False


@dataclass(frozen=True)
class Tell(Term):
    """The adversary's part of a game: minus what it minimises, a gradient penalty included."""

    game: str
    penalty: float

    rowwise: ClassVar[bool] = False


class Games(Rule):
    """Each adversary plays over exactly its arguments; what it judges is compared by samples, so the factors that it
    stands in for have no term."""

    def stands_for(self, state: Elimination, factor: Factor) -> tuple[Term, ...] | None:
        drawn = {q.head for q in state.posteriors()}
        if factor.head in state.judged & drawn:
            return ()
        # A game over a variable and the latents that it is drawn from compares both joints, this factor included.
        parents = {p for p in state.graph.roots(factor.parents) if state.graph[p].role == "latent"}
        for adversary in state.graph.adversaries:
            arguments = set(adversary.arguments)
            if factor.head in arguments and parents & drawn and parents <= arguments:
                return ()
        return None

    def terms(self, state: Elimination) -> Iterator[Term]:
        for adversary in state.graph.adversaries:
            real, fake = sides(state, adversary)
            if real or fake:
                game, _ = _asked(state)
                yield Score(
                    f"game({_call(adversary)})",
                    adversary.name,
                    _why(state, adversary),
                    game,
                    real,
                    fake,
                    reads=adversary.arguments,
                    latex=_typeset(adversary, game, 0.0)[1],
                )

    def estimates(self, state: Elimination, terms: tuple[Term, ...]) -> Iterable[str]:
        if any(isinstance(t, Score) for t in terms):
            yield "two optimisers, the adversary's step first"


def opponents(state: Elimination) -> tuple[Loss, ...]:
    """What each adversary descends."""
    found: list[Loss] = []
    game, penalty = _asked(state)
    for adversary in state.graph.adversaries:
        term = Tell(
            f"game({_call(adversary)})",
            adversary.name,
            _why(state, adversary),
            game,
            penalty,
            reads=adversary.arguments,
            latex=_typeset(adversary, game, penalty)[1],
        )
        found.append(Loss(adversary.name, (term,)))
    return tuple(found)


def described(state: Elimination, adversary: Adversary) -> tuple[str, str]:
    """The game of an adversary in words and in LaTeX, with its penalty."""
    return _typeset(adversary, *_asked(state))


def _call(adversary: Adversary) -> str:
    return f"{adversary.name}({', '.join(adversary.arguments)})"


def _why(state: Elimination, adversary: Adversary) -> Reason:
    arguments = ", ".join(adversary.arguments)
    text = f"{adversary.name} tells ({arguments}) of the data from ({arguments}) of the model"
    return state.reason(text, adversary.span)


def _asked(state: Elimination) -> tuple[str, float]:
    return game_of(state.asked)


def game_of(asked: ObjectiveSetting | None) -> tuple[str, float]:
    """The game that adversaries play, and the weight of its gradient penalty."""
    game = asked.game if asked is not None and asked.game else DEFAULT_GAME
    given = asked.penalty if asked is not None else None
    return game, given if given is not None else DEFAULT_PENALTY.get(game, 0.0)


# What D maximises and the model minimises, or each of them maximises, as dgmppl.runtime.games has it.
_GAMES = {
    "nonsaturating": (
        "{D}: max E_data[log s({of})] + E_model[log s(-{of})]; model: max E_model[log s({of})], s the sigmoid",
        r"\max_{{{D}}} \mathbb{{E}}_{{\mathrm{{data}}}}[\log \sigma({of})] + "
        r"\mathbb{{E}}_{{\theta}}[\log \sigma(-{of})], \quad "
        r"\max_{{\theta}} \mathbb{{E}}_{{\theta}}[\log \sigma({of})]",
    ),
    "wasserstein": (
        "min over the model, max over {D}: E_data[{of}] - E_model[{of}]",
        r"\min_{{\theta}} \max_{{{D}}} \mathbb{{E}}_{{\mathrm{{data}}}}[{of}] - \mathbb{{E}}_{{\theta}}[{of}]",
    ),
    "hinge": (
        "{D}: max E_data[min(0, {of} - 1)] + E_model[min(0, -{of} - 1)]; model: max E_model[{of}]",
        r"\max_{{{D}}} \mathbb{{E}}_{{\mathrm{{data}}}}[\min(0, {of} - 1)] + "
        r"\mathbb{{E}}_{{\theta}}[\min(0, -{of} - 1)], \quad \max_{{\theta}} \mathbb{{E}}_{{\theta}}[{of}]",
    ),
    "least_squares": (
        "{D}: min 1/2 E_data[({of} - 1)^2] + 1/2 E_model[{of}^2]; model: min 1/2 E_model[({of} - 1)^2]",
        r"\min_{{{D}}} \tfrac{{1}}{{2}} \mathbb{{E}}_{{\mathrm{{data}}}}[({of} - 1)^2] + \tfrac{{1}}{{2}} "
        r"\mathbb{{E}}_{{\theta}}[{of}^2], \quad "
        r"\min_{{\theta}} \tfrac{{1}}{{2}} \mathbb{{E}}_{{\theta}}[({of} - 1)^2]",
    ),
}


def _typeset(adversary: Adversary, game: str, penalty: float) -> tuple[str, str]:
    shown, typeset = _GAMES[game]
    inside = ", ".join(map(latex.name, adversary.arguments))
    shown = shown.format(D=adversary.name, of=_call(adversary))
    typeset = typeset.format(D=adversary.name, of=f"{adversary.name}({inside})")
    if penalty:
        size = number_text(penalty)
        shown += f"; {adversary.name} pays {size} E[(|grad {adversary.name}| - 1)^2]"
        typeset += rf" - {size}\, \mathbb{{E}}[(\lVert \nabla {adversary.name} \rVert - 1)^2]"
    return shown, typeset


# --- which side learns ---------------------------------------------------------------------------


def sides(state: Elimination, adversary: Adversary) -> tuple[bool, bool]:
    """Whether the data's side of an adversary's arguments has something to learn, and whether the model's has."""
    real, fake = (learns(path(state.graph, adversary.arguments, side, through=False)) for side in ("q", "p"))
    return real, fake


def _of_latents(graph: Graph, definition: Definition) -> bool:
    """Whether a definition depends on anything that is random once the data is known."""
    sources = graph.sources({definition.variable})
    return any(graph[name].role != "observed" for name in sources - {definition.variable} if graph[name].role != "let")


def _mapped_twice(graph: Graph, definition: Definition) -> str:
    """A latent that stands twice in what a flow maps, if there is one."""
    for mapped in (t for t in walk(definition.value) if isinstance(t, Mapped)):
        used = [t.variable for t in walk(mapped.value) if isinstance(t, Use) and graph[t.variable].role == "latent"]
        twice = next((name for k, name in enumerate(used) if name in used[:k]), "")
        if twice:
            return twice
    return ""


def verify_games(state: Elimination) -> None:
    """Reports an implicit variable without an adversary (E301), arguments that make no game (E307), and what a game
    would have to teach and cannot reach (E308)."""
    for d in state.implicit:
        if d.variable not in state.judged and not _of_latents(state.graph, d):
            state.scope.report(
                "E301",
                f"`{d.variable}` is a function of what the data holds, so it has no density",
                d.span,
                "no latent in it",
                notes=(Note(state.graph[d.variable].span, "declared here"),),
                help=f"p({d.variable} | {', '.join(variables(d.value))}) = ... gives it a distribution; "
                "a value with a name of its own is a feature: let h = ...",
            )
        elif d.variable not in state.judged:
            learned = learns(path(state.graph, (d.variable,), "p", through=False))
            given = ", ".join(variables(d.value))
            twice = _mapped_twice(state.graph, d)
            if twice:
                state.scope.report(
                    "E301",
                    f"a flow maps each latent once, and `{twice}` stands twice in this",
                    d.span,
                    f"so `{d.variable}` is not inverted, and has no density",
                    notes=(Note(state.graph[twice].span, "declared here"),),
                    help=f"another latent in its second place, or as a condition of the flow: coupling[...]({twice})",
                )
                continue
            state.scope.report(
                "E301",
                f"`{d.variable}` is not inverted to a latent, so it has no density",
                d.span,
                "needs an adversary" if learned else "no bijection of a latent, element by element or as a flow",
                notes=(Note(state.graph[d.variable].span, "declared here"),),
                help=f"adversary D({d.variable}) = mlp[256]"
                if learned
                else f"give it a distribution, p({d.variable} | {given}) = ..., or let a flow map the latent: f(z)",
            )
    for adversary in state.graph.adversaries:
        _verify_game(state, adversary)


def _verify_game(state: Elimination, adversary: Adversary) -> None:
    graph, scope = state.graph, state.scope
    real, fake = sides(state, adversary)
    unknown = [a for a in adversary.arguments if a not in state.known]
    if unknown:
        if all(d.code != "E306" for d in scope.diagnostics):
            scope.report(
                "E307",
                f"`{unknown[0]}` has no value on the data's side",
                adversary.span,
                f"{adversary.name} compares the data's {unknown[0]} with the model's",
                help=f"give it a q, or leave it out: adversary {adversary.name}(x) = ...",
            )
        return
    repeated = _repeated(state, adversary)
    if repeated is not None:
        scope.report(
            "E307",
            f"{adversary.name} compares one draw a row, and `{repeated}` takes each of its values in every row",
            adversary.span,
            f"depends on `{repeated}`",
            notes=(Note(graph[repeated].span, "declared here"),),
            help=f"leave out what is inferred from `{repeated}`",
        )
        return
    blocked = _unreached(graph, adversary.arguments, state.known, real or fake)
    if blocked is not None:
        scope.report(
            "E308",
            f"a draw from {not_reparameterised(blocked.density)} cannot be differentiated, "
            f"so {adversary.name} could not teach {graph.written(blocked)}",
            blocked.head_span,
            "no gradient of the game passes here",
            notes=(Note(adversary.span, "the game"),),
            help="use a distribution with a reparameterised draw, or a function: x = mlp[256](z)",
        )
        return
    if not real and not fake:
        scope.report(
            "E307",
            f"{adversary.name} has nothing to tell apart",
            adversary.span,
            "both sides of its arguments are fixed",
            help="an adversary needs an argument that the model or a q produces",
        )


def _repeated(state: Elimination, adversary: Adversary) -> str | None:
    """A variable that is summed out and that these arguments depend on, so that a row has a case for each value."""
    summed = state.summed()
    found = path(state.graph, adversary.arguments, "q", through=True)
    return next((f.head for f in found if isinstance(f, Factor) and f.head in summed), None)


def path(graph: Graph, arguments: tuple[str, ...], side: str, through: bool) -> list[Factor | Definition]:
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


def learns(found: list[Factor | Definition]) -> bool:
    terms = [s.density if isinstance(s, Factor) else s.value for s in found]
    holds = (Apply, Learned, Composition)
    return any(isinstance(t, holds) or (isinstance(t, Declared) and t.learns) for term in terms for t in walk(term))


def _unreached(graph: Graph, arguments: tuple[str, ...], known: set[str], reached: bool) -> Factor | None:
    """A factor with something to learn that this game's gradient does not reach, and nothing else would teach."""
    for side in ("p", "q"):
        for s in path(graph, arguments, side, through=True):
            if not isinstance(s, Factor) or not not_reparameterised(s.density) or (s.head in known and reached):
                continue
            if learns(path(graph, (s.head,), side, through=True)):
                return s
    return None
