"""What a density has in vain: elements that a flow leaves as they are, components of a mixture that are the same."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from dgmppl.catalogue.bijections import ENTRIES
from dgmppl.extents import channels_of
from dgmppl.graph.held import every_block, statements
from dgmppl.graph.nodes import Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import (
    Bijection,
    Block,
    Composition,
    Inverse,
    Levels,
    Mapped,
    Mixture,
    Points,
    Pushforward,
    children,
    walk,
)
from dgmppl.permutations import permutation, squeezed
from dgmppl.words import counted


def verify_stacks(scope: Scope, graph: Graph) -> None:
    """Warns of a flow with couplings that leaves elements as they are, all along (W407).

    A coupling leaves the first half of a vector as it is. Without a permutation, or with one that brings no other
    element into the second half, the elements there have the law of the base, whatever is fitted.
    """
    for statement, _ in statements(graph):
        for stack in _stacks(statement):
            coupled = [b for part in stack for b, _ in every_block(part) if b.kind == "coupling"]
            if not coupled:
                continue
            features = math.prod(coupled[0].shape)
            left = features - len(_followed(stack, features).transformed)
            if left:
                span = stack[-1].span
                if any(d.code == "W407" and d.span == span for d in scope.diagnostics):
                    continue
                halves = all(b.mask.kind == "half" and len(b.shape) == 1 for b in coupled)
                kind = coupled[0].mask.kind
                scope.report(
                    "W407",
                    f"this flow never transforms {left} of its {counted(features, 'element')}",
                    span,
                    "a coupling leaves the first half as it is" if halves else "a coupling leaves what its mask keeps",
                    help="a permutation behind each coupling brings others there: 4 * (coupling[...] >> reverse)"
                    if halves
                    else f"another one may transform the rest: coupling[..., mask = complement({kind})]",
                    severity="warning",
                )


def verify_components(scope: Scope, graph: Graph) -> None:
    """Warns of a mixture whose components differ in nothing (W408)."""
    for statement, _ in statements(graph):
        for mixture in (t for t in walk(statement) if isinstance(t, Mixture) and t.count > 1):
            if not any(isinstance(t, Points) or getattr(t, "copies", 0) for t in walk(mixture.component)):
                scope.report(
                    "W408",
                    f"the {mixture.count} components of this mixture are the same",
                    mixture.component.span,
                    "nothing tells one from another",
                    help="a component differs by what is learned for each: mixture[16](Normal(param, param))",
                    severity="warning",
                )


def _stacks(term: object) -> Iterator[list[Bijection]]:
    """The bijections of a term that follow one another, the first one first."""
    stack: list[Bijection] = []
    while isinstance(term, (Pushforward, Mapped)):
        stack.insert(0, term.bijection)
        term = term.base if isinstance(term, Pushforward) else term.value
    if stack:
        yield stack
    for child in children(term):
        yield from _stacks(child)


@dataclass
class _State:
    """The element at each place, and the elements that were transformed so far."""

    order: list[int]
    size: int
    transformed: set[int] = field(default_factory=set)

    @property
    def done(self) -> bool:
        return len(self.transformed) == self.size


def _followed(stack: list[Bijection], features: int) -> _State:
    state = _State(list(range(features)), features)
    while len(stack) == 1 and isinstance(stack[0], Composition) and stack[0].repeat == 1:
        stack = list(stack[0].parts)
    if len(stack) == 1 and isinstance(stack[0], Inverse):  # alone, it transforms what its inverse does
        return _followed([stack[0].inner], features)
    for bijection in stack:
        _follow(bijection, state, [0])
    return state


def _follow(bijection: Bijection, state: _State, position: list[int]) -> None:
    """Applies a bijection. `position` counts the permutations of the flow so far, as the emitted source does."""
    if isinstance(bijection, Block):
        _apply(bijection, state, position)
        return
    if isinstance(bijection, Inverse):
        moves = (ENTRIES[block.kind].moves and block.kind != "reverse" for block, _ in every_block(bijection.inner))
        if any(moves) or any(isinstance(t, Levels) for t in walk(bijection.inner)):
            state.transformed.update(state.order)  # where it brings them back to is not followed
        _follow(bijection.inner, state, position)
        return
    if isinstance(bijection, Levels):
        _follow_levels(bijection, state, position)
        return
    assert isinstance(bijection, Composition)
    inside = [0] if bijection.attribute else position
    quiet = 0
    for _ in range(bijection.repeat):
        before, drawn = len(state.transformed), inside[0]
        for part in bijection.parts:
            _follow(part, state, inside)
        quiet = quiet + 1 if (len(state.transformed), inside[0]) == (before, drawn) else 0
        # Reversals come round after two repeats: what they have not brought by then they never do.
        if state.done or quiet == 2:
            return


def _follow_levels(bijection: Levels, state: _State, position: list[int]) -> None:
    """What is done behind a level stays as it is."""
    done: list[int] = []
    for k, level in enumerate(bijection.levels):
        _follow(level, state, position)
        if k + 1 < len(bijection.levels):
            channels = bijection.channels[k]
            half = channels // 2
            done += [e for n, e in enumerate(state.order) if n % channels < half]
            state.order[:] = [e for n, e in enumerate(state.order) if n % channels >= half]
    state.order[:] = done + state.order


def _apply(block: Block, state: _State, position: list[int]) -> None:
    order, channels = state.order, channels_of(block.shape)
    if block.kind == "reverse":
        order[:] = _by_channel(order, tuple(reversed(range(channels))))
    elif block.kind == "permute":
        seed = int(dict(block.numbers).get("seed", 0))
        order[:] = _by_channel(order, permutation(channels, seed, position[0]))
        position[0] += 1
    elif block.kind == "squeeze":
        order[:] = [order[k] for k in squeezed(block.shape)]
    elif block.kind == "coupling":
        _, moved = block.mask.split(block.shape)
        if block.mask.by_channel:
            moved = tuple(k for k in range(len(order)) if k % channels in moved)
        state.transformed.update(order[k] for k in moved)
    elif (
        block.direct
        or block.slots
        or block.transform is not None
        or block.written
        or ENTRIES[block.kind].learned
        or ENTRIES[block.kind].own
    ):
        state.transformed.update(order)


def _by_channel(order: list[int], channels: tuple[int, ...]) -> list[int]:
    """Each position's channels in this order."""
    size = len(channels)
    return [order[first + k] for first in range(0, len(order), size) for k in channels]
