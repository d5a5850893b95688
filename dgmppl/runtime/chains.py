"""Markov chains of unnormalised models as emitted source holds them, and figures that need no normaliser."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgmppl.runtime.shards import Shard

_FLIPPED = 8
_ROWS = 500
"""Rows that a bound of many draws is computed for at once: as many as evaluation takes of a split."""

_CASES = 1024
"""As many rows are computed in one call where each value of an element is tried, or those of one value."""

# A chain this many times as far out as the data are does not draw from a density that fits them.
_FAR = 1e3


class Diverged(FloatingPointError):
    """A Markov chain that left every reasonable range, as where exp(-E) has no finite integral."""


Sweep = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class Start:
    """Where a chain's variable starts: noise over its support.

    Args:
        kind: "normal" (standard), "exponential" (of mean 1), "uniform" (from low to high), "integers" (the whole
            numbers from low to high, all alike).
        shape: shape of one row.
    """

    kind: str
    shape: tuple[int, ...]
    low: float = 0.0
    high: float = 1.0

    def draw(self, n: int, like: Tensor) -> Tensor:
        """n rows of noise, ``(n, *shape)``, of the dtype and on the device of `like`."""
        size = (n, *self.shape)
        dtype, device = like.dtype, like.device
        if self.kind == "normal":
            return torch.randn(size, dtype=dtype, device=device)
        if self.kind == "exponential":
            return -torch.rand(size, dtype=dtype, device=device).clamp_min(1e-12).log()
        if self.kind == "integers":
            return self.low + torch.randint(int(self.high - self.low) + 1, size, device=device).to(dtype)
        return self.low + (self.high - self.low) * torch.rand(size, dtype=dtype, device=device)


class Chain(nn.Module):
    """The negative phase's Markov chain, over one or more variables.

    Contrastive divergence starts at the data (Hinton, 2002); with ``from_data=False`` at noise (short-run chains,
    Nijkamp et al., 2019); persistent chains go on where the last batch left them (Tieleman, 2008), a share
    ``restart`` of them renewed from noise each time (Du and Mordatch, 2019).

    Args:
        starts: one for each variable of the state.
        steps: sweeps a call.
        chains: how many persistent chains there are.

    ``shard`` says which of the persistent chains a call moves: all of them, unless several processes, or several
    microbatches, compute a step together.
    """

    shard = Shard()

    def __init__(
        self,
        *starts: Start,
        steps: int = 1,
        persistent: bool = False,
        chains: int = 64,
        restart: float = 0.0,
        from_data: bool = True,
    ) -> None:
        super().__init__()
        self.starts = starts
        self.steps = steps
        self.persistent = persistent
        self.restart = restart
        self.from_data = from_data
        if persistent:
            for k, start in enumerate(starts):
                self.register_buffer(f"state_{k}", start.draw(chains, torch.empty(0)))

    @torch.no_grad()
    def forward(self, sweep: Sweep, *data: Tensor) -> tuple[Tensor, ...]:
        """The state after ``steps`` sweeps; data, ``(n, ...)`` each, is where it starts if nothing else is."""
        if not self.persistent:
            state = data if self.from_data else tuple(s.draw(len(data[0]), data[0]) for s in self.starts)
            for _ in range(self.steps):
                state = sweep(*state)
            self._verify(state, data)
            return state
        kept = self.states()
        rows = self.shard.rows(len(kept[0]))
        if rows.start == rows.stop:
            # There are more shards than chains. A negative phase needs one: it looks at another shard's.
            near = min(rows.start, len(kept[0]) - 1)
            state = tuple(value[near : near + 1].clone() for value in kept)
        else:
            state = tuple(value[rows] for value in kept)
        state = self._renewed(state)
        for _ in range(self.steps):
            state = sweep(*state)
        self._verify(state, data)
        if self.training and rows.start < rows.stop:
            for old, value in zip(kept, state, strict=True):
                old[rows] = value
        return state

    def states(self) -> tuple[Tensor, ...]:
        """The persistent chains, ``(chains, *shape)`` for each variable; none when they do not persist."""
        return tuple(getattr(self, f"state_{k}") for k in range(len(self.starts))) if self.persistent else ()

    def _renewed(self, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if self.restart > 0:
            renewed = torch.rand(len(state[0]), device=state[0].device) < self.restart
            state = tuple(
                torch.where(renewed.reshape(-1, *(1,) * len(start.shape)), start.draw(len(value), value), value)
                for value, start in zip(state, self.starts, strict=True)
            )
        return state

    @torch.no_grad()
    def run(self, sweep: Sweep, n: int, steps: int, like: Tensor) -> tuple[Tensor, ...]:
        """n draws after ``steps`` sweeps from noise, of the dtype and on the device of `like`."""
        state: tuple[Tensor, ...] = tuple(start.draw(n, like) for start in self.starts)
        for _ in range(steps):
            state = sweep(*state)
        self._verify(state)
        return state

    def _verify(self, state: tuple[Tensor, ...], data: tuple[Tensor, ...] = ()) -> None:
        """Raises `Diverged` where an unbounded variable is not finite, or far from all data."""
        for k, start in enumerate(self.starts):
            if start.kind not in ("real", "positive") or not state[k].numel():
                continue
            extent = data[k].nan_to_num().abs().max().item() if data and data[k].numel() else _FAR
            reached = state[k].abs().max().item()
            if not reached <= _FAR * (1.0 + extent):
                there = f", where the data reach {extent:.3g}" if data else ""
                raise Diverged(f"the Markov chain of the energy runs away: it reaches {reached:.3g}{there}")


@torch.no_grad()
def gibbs_sites(energy: Callable[..., Tensor], x: Tensor, low: float, size: int, *others: Tensor) -> Tensor:
    """One Gibbs sweep, element by element: ``p(x_i = k | rest)`` is proportional to ``exp(-E(x with x_i = k))``.

    Args:
        energy: maps x ``(n, ...)`` and `others` to ``(n,)``.
        x: the state.
        low, size: each element takes the values low, ..., low + size - 1.
        others: what the energy reads besides, n rows of each.
    """
    shape, n = x.shape, len(x)
    flat = x.reshape(n, -1).clone()
    # Several values in one call, each in a copy of the rows: most of the time would go between the calls.
    pieces = (low + torch.arange(size, device=x.device)).to(x).split(max(1, _CASES // max(1, n)))
    beside = [tuple(o.repeat(len(values), *(1,) * (o.dim() - 1)) for o in others) for values in pieces]
    for i in range(flat.shape[1]):
        energies = []
        for values, given in zip(pieces, beside):
            cases = flat.repeat(len(values), 1)
            cases[:, i] = values.repeat_interleave(n)
            energies.append(energy(cases.reshape(-1, *shape[1:]), *given).reshape(-1, n))
        drawn = torch.distributions.Categorical(logits=-torch.cat(energies).T, validate_args=False).sample()
        flat[:, i] = low + drawn.to(flat.dtype)
    return flat.reshape(shape)


def pseudo_log_likelihood(energy: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """``sum_i log p(x_i | rest)`` of binary x ``(n, ...)``, ``(n,)`` nats (Besag, 1975): needs no normaliser.

    ``log p(x_i | rest) = log sigmoid(E(x with x_i flipped) - E(x))``.
    """
    flat = x.reshape(len(x), -1)
    here = energy(x)
    total = torch.zeros_like(here)
    # Several units in one call, each flipped in a copy of the rows: most of the time would go between the calls.
    for units in torch.arange(flat.shape[1], device=x.device).split(_FLIPPED):
        flipped = flat.repeat(len(units), 1, 1)
        copies = torch.arange(len(units), device=x.device)
        flipped[copies, :, units] = 1 - flipped[copies, :, units]
        energies = energy(flipped.reshape(-1, *x.shape[1:])).reshape(len(units), len(x))
        total = total + F.logsigmoid(energies - here).sum(0)
    return total


def weighed_terms(
    terms: Callable[..., dict[str, Tensor]], samples: int, apart: Sequence[str], *data: Tensor
) -> dict[str, Tensor]:
    """The importance-weighted bound of `samples` draws (see `importance_bound`), and beside it the mean over the draws
    of each term that is no part of it, all ``(n,)`` nats."""
    found = terms(*(d.repeat_interleave(samples, 0) for d in data))
    inside = [term for name, term in found.items() if name not in apart]
    bound = sum(inside[1:], inside[0]).reshape(-1, samples).logsumexp(-1) - math.log(samples)
    beside = {name: term.reshape(-1, samples).mean(-1) for name, term in found.items() if name in apart}
    return {f"iwae({samples})": bound, **beside}


def importance_bound(terms: Callable[..., dict[str, Tensor]], samples: int, *data: Tensor) -> Tensor:
    """``log 1/K sum_k p(x, z_k) / q(z_k | x)``, ``(n,)`` nats (Burda et al., 2016, Eq. 8).

    Where no gradient is taken the K draws come in pieces that are summed as they come, so the memory that it takes
    does not grow with K; a gradient needs them all at once.

    Args:
        terms: the terms of log p - log q for one draw an example.
        samples: K.
        data: what `terms` takes, n rows of each.
    """
    at_once = samples if torch.is_grad_enabled() else max(1, _ROWS // max(1, len(data[0])))
    total: Tensor | None = None
    for first in range(0, samples, at_once):
        count = min(at_once, samples - first)
        values = list(terms(*(d.repeat_interleave(count, 0) for d in data)).values())
        part = sum(values[1:], values[0]).reshape(-1, count).logsumexp(-1)
        total = part if total is None else torch.logaddexp(total, part)
    assert total is not None
    return total - math.log(samples)


__all__ = ["Chain", "Start", "gibbs_sites", "importance_bound", "pseudo_log_likelihood"]
