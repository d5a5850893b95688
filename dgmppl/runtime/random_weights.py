"""Networks whose weights are values: one vector of all of them, which a prior makes random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.func import functional_call

M = TypeVar("M", bound="WeightsGiven")


class WeightsGiven(nn.Module):
    """A network as a function of its weights too: ``(weights, *inputs)`` to what it gives by them.

    It holds none itself: ``weights`` are those of the network in the order of its parameters, each flattened, ``(W,)``.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.shapes = {name: p.shape for name, p in network.named_parameters()}
        self.hidden = (network.requires_grad_(False),)  # in a tuple, so that its parameters are none of this module's

    def forward(self, weights: Tensor, *inputs: Tensor, **named: Tensor) -> Tensor:
        parts = weights.split([shape.numel() for shape in self.shapes.values()], -1)
        values = {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}
        found: Tensor = functional_call(self.hidden[0], values, inputs, named)
        return found

    def train(self: M, mode: bool = True) -> M:
        self.hidden[0].train(mode)
        return super().train(mode)

    def _apply(self: M, fn: Callable[[Any], Any], recurse: bool = True) -> M:
        self.hidden[0]._apply(fn, recurse)
        return super()._apply(fn, recurse)


__all__ = ["WeightsGiven"]
