"""What is coded where rows are not kept, but their codes: latents of finitely many values, as a vector quantiser has
them."""

from __future__ import annotations

from dgmppl.coding.program import NORMALISED, Part, Program, forward, in_common
from dgmppl.coding.stack import CodingError
from dgmppl.graph.nodes import Graph
from dgmppl.plan.nodes import Plan


def program_of_codes(graph: Graph, plan: Plan, latents: tuple[str, ...]) -> Program:
    """The program of the latents of a row, by their p, with the data that do not depend on them.

    Args:
        latents: those that follow from a row.

    Raises:
        CodingError: where they are no codes, or do not say all that is lost.
    """
    _verify(graph, latents)
    codes = {*latents}
    lost = tuple(v.name for v in graph.data if graph.sources({v.name}) & codes)
    kept = tuple(v.name for v in graph.data if v.name not in lost)
    for name in kept:
        type_ = graph[name].type
        if not type_.support.discrete or type_.support.event_rank:
            raise CodingError(
                f"`{name}` is {type_.describe()} and does not depend on the codes: they do not give it back, and real "
                "numbers are not kept as they are, for they have densities, and no probabilities",
                f"let it depend on the codes: p({name} | {', '.join(latents)}) = ...",
            )
    parts = tuple(_parts(graph, plan, {*codes, *kept}))
    there = {*graph.conditions, *(name for part in parts for name in part.names)}
    absent = next((name for name in (*latents, *kept) if name not in there), None)
    if absent is not None:
        raise CodingError(f"nothing gives `{absent}` a probability")
    gives, common = (*kept, *latents), in_common(graph)
    return Program(graph, (), graph.conditions, parts, (), (), (), (), gives, lost, common)


def _verify(graph: Graph, latents: tuple[str, ...]) -> None:
    if graph.energy is not None:
        raise CodingError("an energy is unnormalised: the probability of its codes is not known", NORMALISED)
    if not latents:
        raise CodingError("no latents of finitely many values follow from a row")
    for name in latents:
        support = graph[name].type.support
        if not support.finite or support.event_rank:
            raise CodingError(
                f"`{name}` is {graph[name].type.describe()}, and no code of finitely many values",
                f"codes are latents of finitely many values: `{name} : categorical(K)`; without --lossy rows of whole "
                "numbers are coded as they are",
            )
    for v in graph.data:
        if v.role == "partial":
            raise CodingError(
                f"some rows miss `{v.name}`, and codes would not say which", "fill them in first: `dgmppl impute`"
            )


def _parts(graph: Graph, plan: Plan, kept: set[str]) -> list[Part]:
    """What is drawn of these. They depend on nothing else."""
    found: list[Part] = []
    for part in forward(graph, plan.generate):
        if not kept & {*part.names}:
            continue
        reads = {r for key in part.keys for r in graph.roots(graph.keyed(key).parents)}
        others = sorted((reads | {*part.names}) - {*kept, *in_common(graph)})
        if others:
            raise CodingError(f"{', '.join(part.names)} depends on `{others[0]}`, which is not kept")
        found.append(part)
    return found


__all__ = ["program_of_codes"]
