"""Predictions: what is left out of a row, given the rest of it.

The law of what is left out follows from p: `own_factors` says which densities it depends on, and `choose_prediction`
how it is drawn where no sum or integral gives it: variables one after another, by p or by a q, weighed by the density
of what is known (likelihood weighting: Fung and Chang, 1990; Shachter and Peot, 1990).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.values import variables
from dgmppl.plan.nodes import Plan, Step
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.invert import Invert


@dataclass(frozen=True)
class Move:
    """A variable becomes known: by a draw from the factor with the key `drawn`, or computed where that is "".

    `weighed`: the key of the factor of p by which a draw from another one is weighed. `some`: rows that have it keep
    what they have, which is weighed by p alone.
    """

    variable: str
    drawn: str = ""
    weighed: str = ""
    some: bool = False


@dataclass(frozen=True)
class Prediction:
    """How what is left out of rows is drawn.

    Args:
        left_out: the variables that rows lack.
        steps: what gives latents that the rest of a row determines.
        moves: in this order.
        evidence: keys of the factors of p that weigh a draw, those of what is known.
        alone: what is left out is drawn given the data alone, and its own density has to be taken from the log-density
            of the row that it completes; `evidence` is empty then.
        laws: the variables whose law, given what is drawn before, stands for their draws: nothing known follows from
            them.
        exact: those of them whose law is their distribution given the row.
    """

    left_out: tuple[str, ...]
    steps: tuple[Step, ...]
    moves: tuple[Move, ...]
    evidence: tuple[str, ...]
    alone: bool
    laws: tuple[str, ...]
    exact: tuple[str, ...]
    energy: bool = False
    """Whether the energy weighs draws too, up to its normaliser."""


def determined(graph: Graph, plan: Plan, left_out: Collection[str]) -> tuple[set[str], tuple[Step, ...]]:
    """What the rest of a row determines: its data, but for what some rows miss, what is computed from these, and
    latents by inversion; and the steps that give the latter."""
    known = {v.name for v in graph.data if v.role != "partial" or v.elementwise} - set(left_out)
    steps: list[Step] = []
    for step in plan.steps:
        certain = isinstance(step, Compute) or (isinstance(step, Invert) and not step.noisy)
        if certain and set(step.reads) <= known:
            known.update((step.variable, *step.gives))
            steps.append(step)
    wanted, kept = set[str](), list[Step]()
    for step in reversed(steps):
        if graph[step.variable].role != "let" or step.variable in wanted:
            kept.insert(0, step)
            wanted |= set(step.reads)
    return known, tuple(kept)


def own_factors(graph: Graph, plan: Plan, left_out: Collection[str]) -> tuple[str, ...] | None:
    """Keys of the factors of p that involve what is left out, where all else in them is determined by the rest of a
    row: their product is its law up to a constant. None where they read something else."""
    known = determined(graph, plan, left_out)[0] | set(left_out)
    found = []
    for d in graph.definitions:
        if graph[d.variable].role != "let" and set(graph.roots(variables(d.value))) & set(left_out):
            return None
        if d.variable in left_out:
            return None
    for f in graph.factors:
        inside = {f.head, *graph.roots(graph.reads(f))}
        if f.side == "p" and inside & set(left_out):
            if not inside <= known:
                return None
            found.append(f.key)
    return tuple(found)


def choose_weights(graph: Graph, plan: Plan, names: tuple[str, ...]) -> Prediction:
    """How the density of whole rows is estimated, up to what does not depend on the values of these variables: latents
    are drawn, and weighed by all that p says.

    Raises:
        SpecError: (E660) where the structure has no such draws.
    """
    known, steps = determined(graph, plan, names)
    given, there = known | {*names}, {v.name for v in graph.data} - {*graph.conditions}
    moves = _moves(graph, (), given, graph.sources(there, prior=True) - given, names)
    evidence = _evidence(graph, names, there, given, known)
    return Prediction((), steps, moves, evidence, False, (), (), _energetic(graph, moves, names))


def choose_prediction(graph: Graph, plan: Plan, left_out: tuple[str, ...], scored: bool = True) -> Prediction:
    """How what is left out is drawn.

    Args:
        scored: whether rows that are completed have a log-density by which draws given the data alone can be weighed.

    Raises:
        SpecError: (E660) where the structure has no such draws.
    """
    if graph.energy is not None and {*left_out} & {*graph.energy.arguments}:
        raise refused(left_out, "it is a part of an energy, which has no law that could be drawn in one go")
    known, steps = determined(graph, plan, left_out)
    seen = {v.name for v in graph.data} - {*left_out, *graph.conditions}
    above = graph.sources(seen, prior=True) - known
    laws = tuple(name for name in left_out if name not in above and graph.factor("p", name) is not None)
    exact = tuple(name for name in laws if _roots(graph, graph.factor("p", name)) <= known)
    alone = _alone(graph, left_out, known)
    if alone is not None and (exact == left_out or scored):
        return Prediction(left_out, steps, alone, (), exact != left_out, laws, exact)
    moves = _moves(graph, left_out, known, (graph.sources({*seen, *left_out}, prior=True) - known) | {*left_out})
    evidence = _evidence(graph, left_out, seen, known, known)
    return Prediction(left_out, steps, moves, evidence, False, laws, exact, _energetic(graph, moves, left_out))


def _roots(graph: Graph, factor: Factor | None) -> set[str]:
    return set(graph.roots(graph.reads(factor))) if factor is not None else set()


def _alone(graph: Graph, left_out: tuple[str, ...], known: set[str]) -> tuple[Move, ...] | None:
    """What is left out, where p gives each of it from data alone."""
    moves: list[Move] = []
    there = set(known)
    while len(moves) < len(left_out):
        name = next((n for n in left_out if n not in there and _given_by(graph, n, there)), None)
        factor = graph.factor("p", name) if name is not None else None
        if name is None or factor is None:
            return None
        moves.append(Move(name, factor.key))
        there.add(name)
    return tuple(moves)


def _given_by(graph: Graph, name: str, known: set[str]) -> bool:
    factor = graph.factor("p", name)
    return factor is not None and _roots(graph, factor) <= known


def _moves(
    graph: Graph, left_out: tuple[str, ...], known: set[str], wanted: set[str], asked: tuple[str, ...] = ()
) -> tuple[Move, ...]:
    """An order in which all that is wanted becomes known, each by its q where it has one.

    A q that reads what is left out, where that is not drawn before, reads a value that stands for it. Any does: it
    changes how well draws fit, and their weights with it. `asked` is what a refusal is about.
    """
    order = [v.name for v in graph.variables if v.name in wanted and v.role != "let"]
    there, moves = set(known), list[Move]()
    while len(moves) < len(order):
        rest = [name for name in order if name not in there]
        first = (m for ways in (0, 1, 2) for name in rest if (m := _move(graph, name, there, left_out, ways)))
        move = next(first, None)
        if move is None:
            names = ", ".join(f"`{name}`" for name in rest)
            raise refused(asked or left_out, f"{names} can be drawn one after another neither by p nor by q")
        moves.append(move)
        there.add(move.variable)
    return tuple(moves)


def _energetic(graph: Graph, moves: Iterable[Move], names: Iterable[str]) -> bool:
    """Whether the energy depends on what is drawn, or on these variables."""
    members = set(graph.energy.arguments) if graph.energy is not None else set()
    return bool(members & {*names, *(m.variable for m in moves)})


def _move(graph: Graph, name: str, known: set[str], left_out: tuple[str, ...], way: int) -> Move | None:
    """How a variable becomes known: way 0, by its q or else by p, given what is known; 1, by a q that reads a value for
    what is left out; 2, by p although it has a q."""
    definition, p, q = graph.definition(name), graph.factor("p", name), graph.factor("q", name)
    variable = graph[name]
    if definition is not None:
        return Move(name) if set(graph.roots(variables(definition.value))) <= known else None
    some = variable.role == "partial" and name not in left_out
    if variable.elementwise:
        q = None
    if q is not None and way < 2:
        reads = _roots(graph, q)
        if reads <= (known if way == 0 else known | {*left_out}):
            return Move(name, q.key, "" if variable.shared or p is None else p.key, some)
        return None
    if p is None or (q is None and way) or variable.shared:
        return None
    return Move(name, p.key, p.key if some else "", some) if _roots(graph, p) <= known else None


def _evidence(
    graph: Graph, left_out: tuple[str, ...], seen: set[str], known: set[str], constant: set[str]
) -> tuple[str, ...]:
    """The densities of what is known, but for those that involve nothing else than what is `constant`."""
    found = []
    for f in graph.factors:
        if f.side == "p" and f.head in known and not {f.head, *_roots(graph, f)} <= constant:
            found.append(f.key)
    for name in sorted(seen):
        d = graph.definition(name)
        if d is not None and not set(graph.roots(variables(d.value))) <= constant:
            raise refused(left_out, f"`{name}` is a function of latents, which has no density given them")
    return tuple(found)


def refused(left_out: Iterable[str], why: str) -> SpecError:
    """What keeps a variable from being predicted (E660)."""
    names = " and ".join(f"`{name}`" for name in left_out)
    return SpecError([Diagnostic("E660", f"{names} cannot be predicted: {why}")])


__all__ = ["Move", "Prediction", "choose_prediction", "determined", "own_factors", "refused"]
