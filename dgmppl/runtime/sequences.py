"""Networks of sequences and of sets, which read all of one at once: recurrent in both directions, with attention, or
without an order. They give a sequence of the same length, or a vector.

In a batch of different `lengths`, ``(*batch)``, they give what they would of each alone, and zeros beyond its end.

Those that read a past are in `dgmppl.runtime.causal`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dgmppl.extents import Shape
from dgmppl.runtime.attention import Attention
from dgmppl.runtime.layers import context_maps, make_activation, make_norms, rows_of, with_weight_norm
from dgmppl.runtime.lengths import WithLengths, exists, mean_within, rows_of_lengths, within


class Mean(WithLengths):
    """A vector of a sequence ``(..., T, C)``: the mean over its positions, in whatever order they are."""

    def forward(self, h: Tensor, lengths: Tensor | None = None) -> Tensor:
        return h.mean(-2) if lengths is None else mean_within(h, lengths, 1).squeeze(-2)


class LastStates(WithLengths):
    """A vector of a sequence ``(..., T, 2 C)`` that was read in both directions: what each found at its end."""

    def forward(self, h: Tensor, lengths: Tensor | None = None) -> Tensor:
        forwards, backwards = h.chunk(2, -1)
        if lengths is None:
            last = forwards[..., -1, :]
        else:
            end = (lengths.long() - 1)[..., None, None].expand(*lengths.shape, 1, forwards.shape[-1])
            last = forwards.gather(-2, end).squeeze(-2)
        return torch.cat([last, backwards[..., 0, :]], -1)


class _OfSequences(WithLengths):
    """A network of sequences ``(..., T, in_channels)`` to ``(..., T, out_channels)``, or to a vector.

    Args:
        outputs: ``(T, out_channels)``, or ``(out_channels,)``; None leaves out the last layer.
        width: channels of the last hidden layer.
        pool: what makes a vector of that layer.
        out, bias, norm: as for MLP, of the last layer.
    """

    def __init__(
        self,
        outputs: Shape | None,
        width: int,
        pool: nn.Module,
        out: str | None,
        bias: bool,
        norm: str | None = None,
    ) -> None:
        super().__init__()
        self.pool = pool if outputs is not None and len(outputs) == 1 else nn.Identity()
        last = nn.Identity() if outputs is None else with_weight_norm(nn.Linear(width, outputs[-1], bias=bias), norm)
        self.last, self.out = last, make_activation(out)
        self.context = nn.ModuleList()

    def forward(self, x: Tensor, context: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        batch, h, given = rows_of(x, 1, context, self.context)
        lengths = rows_of_lengths(lengths, batch)
        h = self._read(h, given, lengths)
        pooled = isinstance(self.pool, WithLengths)
        found: Tensor = self.out(self.last(self.pool(h, lengths) if pooled else h))
        if lengths is not None and not pooled:
            found = within(found, lengths, 1)
        return found.reshape(*batch, *found.shape[1:])

    def _read(self, h: Tensor, given: list[Tensor], lengths: Tensor | None) -> Tensor:
        """The last hidden layer ``(N, T, width)``; `given` is what the context gives each layer."""
        raise NotImplementedError


class _BothWays(_OfSequences):
    """A recurrent network that reads a sequence in both directions (Schuster and Paliwal, 1997).

    Args:
        inputs, outputs: ``(T, in_channels)``, and ``(T, out_channels)`` or, of the last states of both directions, a
            vector ``(out_channels,)``; without outputs it gives the states, ``(T, 2 hidden[-1])``.
        hidden: size of the states of each layer, in each direction; at least one.
        out, bias: as for MLP.
        norm: "layer" normalises what each layer gives at a position.
        context: size K of a vector from which the first states follow, by linear maps; 0 for none, and states of zeros.
    """

    kind: ClassVar[Callable[..., nn.RNNBase]]

    def __init__(
        self,
        inputs: tuple[int, ...],
        hidden: tuple[int, ...],
        outputs: tuple[int, ...] | None,
        out: str | None = None,
        norm: str | None = None,
        context: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__(outputs, 2 * hidden[-1], LastStates(), out, bias)
        widths = (inputs[-1], *(2 * size for size in hidden))
        self.layers = nn.ModuleList(
            self.kind(width, size, batch_first=True, bidirectional=True) for width, size in zip(widths, hidden)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(2 * size) for size in hidden if norm)
        self.context = context_maps(context, widths[1:])

    def _read(self, h: Tensor, given: list[Tensor], lengths: Tensor | None) -> Tensor:
        for k, layer in enumerate(self.layers):
            first = self._state(torch.stack(given[k].chunk(2, -1))) if given else None
            if lengths is None:
                h = layer(h, first)[0]
            else:
                packed = pack_padded_sequence(h, lengths.cpu(), batch_first=True, enforce_sorted=False)
                h = pad_packed_sequence(layer(packed, first)[0], batch_first=True, total_length=h.shape[1])[0]
            h = self.norms[k](h) if len(self.norms) else h
        return h

    def _state(self, h: Tensor) -> Any:
        return h.contiguous()


class RNN(_BothWays):
    __doc__ = _BothWays.__doc__
    kind = nn.RNN


class GRU(_BothWays):
    """The same with gated recurrent units (Cho et al., 2014)."""

    kind = nn.GRU


class LSTM(_BothWays):
    """The same with long short-term memory (Hochreiter and Schmidhuber, 1997)."""

    kind = nn.LSTM

    def _state(self, h: Tensor) -> Any:
        return h.contiguous(), torch.zeros_like(h)


class Transformer(_OfSequences):
    """A transformer of which each position attends to all (Vaswani et al., 2017).

    Args:
        inputs, outputs: ``(T, in_channels)``, and ``(T, out_channels)`` or, of the mean over positions, a vector
            ``(out_channels,)``; without outputs it gives its last hidden layer, ``(T, hidden[-1])``.
        hidden: the width, once for each layer.
        heads: of attention, which divide the width.
        activation, out, dropout, bias: as for MLP; dropout is that of both parts of a layer.
        context: size K of a vector that a linear map adds to each position; 0 for none.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        hidden: tuple[int, ...],
        outputs: tuple[int, ...] | None,
        heads: int = 4,
        activation: str = "gelu",
        out: str | None = None,
        dropout: float = 0.0,
        context: int = 0,
        bias: bool = True,
    ) -> None:
        width = hidden[0]
        super().__init__(outputs, width, Mean(), out, bias)
        self.embed = nn.Linear(inputs[-1], width)
        self.positions = nn.Parameter(0.02 * torch.randn(inputs[0], width))
        self.context = context_maps(context, (width,))
        self.layers = nn.ModuleList(Attention(width, heads, activation, dropout, causal=False) for _ in hidden)
        self.norm = nn.LayerNorm(width)

    def _read(self, h: Tensor, given: list[Tensor], lengths: Tensor | None) -> Tensor:
        h = self.embed(h) + self.positions
        h = h + given[0].unsqueeze(1) if given else h
        there = None if lengths is None else exists(lengths, h.shape[1])
        for layer in self.layers:
            h = layer(h, there=there)
        return cast("Tensor", self.norm(h))


class DeepSet(_OfSequences):
    """A network of the rows of ``(..., N, in_channels)`` in whatever order they are (Zaheer et al., 2017).

    A layer is ``h_i <- a(A h_i + B mean_j h_j)``, which permutes as its input does (Lemma 3 of the same, for vectors).
    A vector is a linear map of the mean over the last layer's rows, and does not change when rows are permuted.

    Args:
        inputs, outputs: ``(N, in_channels)``, and ``(N, out_channels)`` or a vector ``(out_channels,)``; without
            outputs it gives its last hidden layer, ``(N, hidden[-1])``.
        hidden: size of each layer, at least one.
        activation, out, norm, dropout, bias: as for MLP; a norm of layers is over the rows of the set too.
        context: size K of a vector that conditions the network: linear maps of it are added to each layer; 0 for none.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        hidden: tuple[int, ...],
        outputs: tuple[int, ...] | None,
        activation: str = "leaky_relu",
        out: str | None = None,
        norm: str | None = None,
        dropout: float = 0.0,
        context: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__(outputs, hidden[-1], Mean(), out, bias, norm)
        widths = list(zip((inputs[-1], *hidden), hidden))
        self.layers = nn.ModuleList(with_weight_norm(nn.Linear(a, b), norm) for a, b in widths)
        self.means = nn.ModuleList(with_weight_norm(nn.Linear(a, b, bias=False), norm) for a, b in widths)
        self.norms = make_norms(norm, hidden)
        self.context = context_maps(context, hidden)
        self.activation, self.dropout = make_activation(activation), nn.Dropout(dropout)

    def _read(self, h: Tensor, given: list[Tensor], lengths: Tensor | None) -> Tensor:
        for k, (layer, mean) in enumerate(zip(self.layers, self.means)):
            h = layer(h) + mean(h.mean(1, keepdim=True) if lengths is None else mean_within(h, lengths, 1))
            h = h + given[k].unsqueeze(1) if given else h
            h = self.norms[k](h.mT).mT if self.norms is not None else h
            h = self.dropout(self.activation(h))
        return h


__all__ = ["GRU", "LSTM", "RNN", "DeepSet", "LastStates", "Mean", "Transformer"]
