"""Recurrent networks of the past, and the cell of one for a recurrence that a spec writes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from dgmppl.runtime.incremental import current
from dgmppl.runtime.layers import context_maps, make_activation
from dgmppl.runtime.past import latest, rows_with, shifted
from dgmppl.words import counted


class _Recurrent(nn.Module):
    """A recurrent network ``(..., D, in_channels) -> (..., D, out_channels)``.

    The output at position d follows from the state after the inputs before d (Tomczak, 2022, Sec. 2.2.2).

    Args:
        in_channels, out_channels: sizes at each position.
        hidden: size of the state of each layer, at least one.
        out: name in ACTIVATIONS, after the last layer.
        norm: "layer" normalises what each layer gives at a position.
        context: size K of a vector from which the first states follow, by linear maps; 0 for none, and states of zeros.
        aligned: channels of what a position sees of itself, beside the input before it; 0 for none.
    """

    kind: ClassVar[Callable[..., nn.RNNBase]]

    def __init__(
        self,
        in_channels: int,
        hidden: tuple[int, ...],
        out_channels: int,
        out: str | None = None,
        norm: str | None = None,
        context: int = 0,
        aligned: int = 0,
    ) -> None:
        super().__init__()
        sizes = (in_channels + aligned, *hidden)
        self.layers = nn.ModuleList(self.kind(a, b, batch_first=True) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in hidden if norm)
        self.last = nn.Linear(hidden[-1], out_channels)
        self.context = context_maps(context, hidden)
        self.out = make_activation(out)

    def forward(self, x: Tensor, context: Tensor | None = None, aligned: Tensor | None = None) -> Tensor:
        batch, h, first, beside = rows_with(x, 1, context, aligned, self.context)
        states: list[Any] = [self._state(s.unsqueeze(0)) for s in first] or [None] * len(self.layers)
        draw = current()
        if draw is None:
            found = self._pass(torch.cat([shifted(h), *beside], -1), states)
            return found.reshape(*batch, x.shape[-2], -1)
        kept = draw.kept(self)
        if not kept:
            kept["states"] = states
        before = torch.cat([latest(h, draw.position), *beside], -1)
        return self._pass(before, kept["states"]).reshape(*batch, 1, -1)

    def _state(self, h: Tensor) -> Any:
        return h

    def _pass(self, h: Tensor, states: list[Any]) -> Tensor:
        """The outputs for these inputs from these states, which become those after them."""
        for index, layer in enumerate(self.layers):
            h, states[index] = layer(h, states[index])
            h = self.norms[index](h) if len(self.norms) else h
        return cast("Tensor", self.out(self.last(h)))


class CausalRNN(_Recurrent):
    __doc__ = _Recurrent.__doc__
    kind = nn.RNN


class CausalGRU(_Recurrent):
    """The same with gated recurrent units (Cho et al., 2014)."""

    kind = nn.GRU


class CausalLSTM(_Recurrent):
    """The same with long short-term memory (Hochreiter and Schmidhuber, 1997)."""

    kind = nn.LSTM

    def _state(self, h: Tensor) -> Any:
        return h, torch.zeros_like(h)


class GRUCell(nn.GRUCell):
    """A gated recurrent unit ``(..., in_features) -> (..., out_features)`` (Cho et al., 2014): the state after a step,
    from an input and the state before it, which is the last of what it reads.

    Raises:
        ValueError: there is nothing before the state.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        if in_features <= out_features:
            raise ValueError(f"a state of {counted(out_features, 'number')} and an input are more than {in_features}")
        super().__init__(in_features - out_features, out_features)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        flat = x.reshape(-1, x.shape[-1])
        given, state = flat.split((self.input_size, self.hidden_size), -1)
        return super().forward(given, state).reshape(*x.shape[:-1], -1)


__all__ = ["CausalGRU", "CausalLSTM", "CausalRNN", "GRUCell"]
