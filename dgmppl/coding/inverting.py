"""Definitions that are read backwards, ``x = f(u)``: what is coded of one, and the maps of a model that it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from dgmppl import runtime as rt
from dgmppl.coding.stack import CodingError
from dgmppl.emit.preimages import preimage_source
from dgmppl.graph.nodes import Graph
from dgmppl.graph.values import Operation, Use, variables
from dgmppl.plan.nodes import Plan
from dgmppl.plan.rules.invert import Invert

Row = Mapping[str, Tensor]


@dataclass(frozen=True)
class Flow:
    """A definition that is read backwards.

    Attributes:
        image: the variable that it defines.
        latents: those that its inverse gives.
        others: what else it reads.
        rounded: whether its values are rounded: then `image` is that of a real number, ``y`` in [x, x + 1).
        direct: whether nothing but the rounding stands between the two: the latent is y.
        exact: whether it is of whole numbers, so that the latents are known exactly and take no bits.
    """

    graph: Graph
    image: str
    latents: tuple[str, ...]
    others: tuple[str, ...]
    rounded: bool
    direct: bool
    exact: bool
    source: str

    @property
    def before(self) -> str:
        """What stands for the value before it is rounded; the variable where it is not."""
        return f"{self.image} before rounding" if self.rounded else self.image

    @property
    def reads(self) -> tuple[str, ...]:
        """What has to be known for its latents to be."""
        return (self.image, *self.others)

    @cached_property
    def _functions(self) -> dict[str, Callable[..., Any]]:
        found: dict[str, Any] = {"torch": torch, "nn": nn, "rt": rt}
        exec(compile(self.source, f"<{self.image} and its inverse>", "exec"), found)
        return found

    def forward(self, model: rt.GenerativeModel, e: Tensor, others: list[Tensor]) -> Tensor:
        """Values as vectors, ``(m, n, d)``, of latents side by side; `others`: what else it reads, of n rows."""
        definition = self.graph.definition(self.image)
        assert definition is not None
        m, n = e.shape[:2]
        given = dict(zip(self.others, others))
        given |= {name: of.repeat(m, *[1] * (of.dim() - 1)) for name, of in given.items() if self.graph[name].rows}
        given |= dict(zip(self.latents, self.apart(e.flatten(0, 1))))
        found: Tensor = self._functions["image"](model, *(given[name] for name in variables(definition.value)))
        return found.reshape(m, n, -1)

    def backward(self, model: rt.GenerativeModel, value: Tensor, others: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """The latents of values, and ``log |det d latents / d value|`` of each row."""
        latents, log_det = self._functions["preimage"](model, value, *others)
        return list(latents), log_det

    def apart(self, e: Tensor) -> Iterator[Tensor]:
        """Each latent of vectors in which they stand side by side."""
        shapes = [self.graph[name].type.shape for name in self.latents]
        parts = e.split([math.prod(shape) for shape in shapes], -1)
        return (part.reshape(len(e), *shape) for part, shape in zip(parts, shapes))


def flow_of(graph: Graph, plan: Plan, step: Invert) -> Flow:
    """What a step reads backwards.

    Raises:
        CodingError: for values that have no code.
    """
    definition = graph.definition(step.image)
    assert definition is not None
    value, types = definition.value, [graph[name].type for name in step.gives]
    direct = step.noisy and isinstance(value, Operation) and isinstance(value.operands[0], Use)
    exact = not step.noisy and all(of.support.discrete for of in (*types, graph[step.image].type))
    if not exact and (any(of.support.event_rank for of in types) or graph[step.image].type.support.event_rank):
        raise CodingError(f"elements of {', '.join((step.image, *step.gives))} depend on each other in no order")
    others = tuple(name for name in variables(value) if name not in step.gives)
    source = preimage_source(graph, plan, step)
    return Flow(graph, step.image, step.gives, others, step.noisy, direct, exact, source)


__all__ = ["Flow", "flow_of"]
