"""Markov chains of unnormalised models as emitted source holds them, and figures that need no normaliser."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgmppl.runtime.parts import current_part, rows_of

_FLIPPED = 8
_ROWS = 500
"""Rows that a bound of many draws is computed for at once: as many as evaluation takes of a split."""

Sweep = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class Start:
    """Where a chain's variable starts: noise over its support.

    Args:
        kind: "real" (standard normal), "positive" (unit exponential), "unit" or "interval" (uniform), "integer"
            (uniform over low..high).
        shape: shape of one row.
    """

    kind: str
    shape: tuple[int, ...]
    low: float = 0.0
    high: float = 1.0

    def draw(self, n: int, device: torch.device) -> Tensor:
        """n rows of noise, ``(n, *shape)``."""
        size = (n, *self.shape)
        if self.kind == "real":
            return torch.randn(size, device=device)
        if self.kind == "positive":
            return -torch.rand(size, device=device).clamp_min(1e-12).log()
        if self.kind == "integer":
            return self.low + torch.randint(int(self.high - self.low) + 1, size, device=device).float()
        return self.low + (self.high - self.low) * torch.rand(size, device=device)


class Chain(nn.Module):
    """The negative phase's Markov chain, over one or more variables.

    Contrastive divergence starts at the data (Hinton, 2002); with ``from_data=False`` at noise (short-run chains,
    Nijkamp et al., 2019); persistent chains go on where the last batch left them (Tieleman, 2008), a share
    ``restart`` of them renewed from noise each time (Du and Mordatch, 2019).

    Args:
        starts: one for each variable of the state.
        steps: sweeps a call.
        chains: how many persistent chains there are.
    """

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
                self.register_buffer(f"state_{k}", start.draw(chains, torch.device("cpu")))

    @torch.no_grad()
    def forward(self, sweep: Sweep, *data: Tensor) -> tuple[Tensor, ...]:
        """The state after ``steps`` sweeps; data, ``(n, ...)`` each, is where it starts if nothing else is.

        For a part of a batch (see ``dgmppl.runtime.parts``) its share of the persistent chains moves.
        """
        if not self.persistent:
            state = data if self.from_data else tuple(s.draw(len(data[0]), data[0].device) for s in self.starts)
            for _ in range(self.steps):
                state = sweep(*state)
            return state
        kept = self.states()
        part = current_part()
        own = slice(None) if part is None else part.of(len(kept[0]))
        with rows_of(len(kept[0])):
            state = self._renewed(tuple(value[own] for value in kept))
            for _ in range(self.steps):
                state = sweep(*state)
        if self.training:
            for old, value in zip(kept, state, strict=True):
                old[own] = value
        return state

    def states(self) -> tuple[Tensor, ...]:
        """The persistent chains, ``(chains, *shape)`` for each variable; none when they do not persist."""
        return tuple(getattr(self, f"state_{k}") for k in range(len(self.starts))) if self.persistent else ()

    def _renewed(self, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if self.restart > 0:
            renewed = torch.rand(len(state[0]), device=state[0].device) < self.restart
            state = tuple(
                torch.where(renewed.reshape(-1, *(1,) * len(start.shape)), start.draw(len(value), value.device), value)
                for value, start in zip(state, self.starts, strict=True)
            )
        return state

    @torch.no_grad()
    def run(self, sweep: Sweep, n: int, steps: int, device: torch.device) -> tuple[Tensor, ...]:
        """n draws after ``steps`` sweeps from noise, on this device."""
        state: tuple[Tensor, ...] = tuple(start.draw(n, device) for start in self.starts)
        for _ in range(steps):
            state = sweep(*state)
        return state


@torch.no_grad()
def gibbs_sites(energy: Callable[[Tensor], Tensor], x: Tensor, low: float, size: int) -> Tensor:
    """One Gibbs sweep, element by element: ``p(x_i = k | rest)`` is proportional to ``exp(-E(x with x_i = k))``.

    Args:
        energy: maps x ``(n, ...)`` to ``(n,)``.
        x: the state.
        low, size: each element takes the values low, ..., low + size - 1.
    """
    shape = x.shape
    flat = x.reshape(len(x), -1).clone()
    for i in range(flat.shape[1]):
        energies = []
        for k in range(size):
            flat[:, i] = low + k
            energies.append(energy(flat.reshape(shape)))
        drawn = torch.distributions.Categorical(logits=-torch.stack(energies, -1), validate_args=False).sample()
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


def as_batch(value: Tensor | float, n: int, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """A condition as n rows: one value for all of them, or a row each."""
    tensor = torch.as_tensor(value, dtype=torch.get_default_dtype(), device=device)
    if tensor.shape[: tensor.dim() - len(shape)] not in ((), (1,), (n,)) or tensor.dim() < len(shape):
        raise ValueError(f"a condition of shape {list(shape)} is one value or {n} rows, not {list(tensor.shape)}")
    return tensor.expand(n, *shape)
