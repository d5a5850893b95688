"""Networks that a user might have written, which specs of the tests name."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """Of vectors."""

    def __init__(
        self, inputs: tuple[int, ...], outputs: tuple[int, ...], hidden: int = 8, activation: str = "tanh"
    ) -> None:
        super().__init__()
        self.inputs, self.outputs, self.activation = inputs, outputs, activation
        self.first, self.last = nn.Linear(*inputs, hidden), nn.Linear(hidden, *outputs)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape == (len(x), *self.inputs)
        h = self.first(x)
        found: Tensor = self.last(torch.tanh(h) if self.activation == "tanh" else torch.relu(h))
        return found


class Positions(nn.Module):
    """Of sequences and grids, and of vectors that become such, given a vector."""

    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...], context: int = 0, scale: float = 1.0) -> None:
        super().__init__()
        self.outputs, self.scale = outputs, scale
        self.map = nn.Linear(torch.Size(inputs).numel(), torch.Size(outputs).numel())
        self.given = nn.Linear(context, torch.Size(outputs).numel(), bias=False) if context else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = self.map(x.flatten(1))
        if self.given is not None and context is not None:
            h = h + self.given(context)
        return self.scale * h.reshape(len(x), *self.outputs)


class Causal(nn.Module):
    """Of sequences, from what each position and those before it are given."""

    def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...], context: int = 0, size: int = 4) -> None:
        super().__init__()
        self.cell, self.last = nn.GRU(inputs[-1], size, batch_first=True), nn.Linear(size, outputs[-1])
        self.start = nn.Linear(context, size, bias=False) if context else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        state = None if self.start is None or context is None else self.start(context).unsqueeze(0)
        found: Tensor = self.last(self.cell(x, state)[0])
        return found
