"""Flows of differential equations: ``z(b)`` of what starts as ``z(a)`` and moves along a field.

Their log-determinant has no closed form. It is exact by default, from the whole Jacobian. ``estimated=True`` has it
estimated without bias while a model trains, at the cost of a few passes, and exact in evaluation: no figure that is
reported is an estimate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from itertools import repeat
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from dgmppl.runtime.bijections import NOTHING, Bijection, Context, Ends, names_of, zero_last_layer
from dgmppl.runtime.functions import concat
from dgmppl.runtime.jacobians import jacobian, log_det, polished
from dgmppl.runtime.shapes import broadcast_shapes
from dgmppl.runtime.ways import Way, classical_step, way

# Numbers of the Jacobians that are held at once where nothing is taught.
HELD = 2**25


class SolvedFlow(Bijection):
    """``y = z(end)`` with ``z(start) = x`` and ``dz/dt = v(z, t)`` for a field v (Chen et al., 2018).

    The equation is solved by `steps` steps of the classical method of Runge and Kutta. The map is these steps: its
    log-determinant is the sum of theirs, and its inverse undoes each of them, from a step backwards by Newton's method.
    So its density is exact whether or not the steps follow the equation closely. They are bijections where they are
    small against the slopes of the field.

    Estimated, the log-determinant is ``integral of tr dv/dz``, by the same steps, along one random direction
    (Grathwohl et al., 2019, Eq. 8): that of the equation, without bias.

    Args:
        shape: of x.
        steps: how many.
        start, end: of the time.
        estimated: estimate the log-determinant in training.
    """

    def __init__(self, shape: tuple[int, ...], steps: int, start: float, end: float, estimated: bool) -> None:
        super().__init__()
        self.shape, self.rank, self.features = shape, len(shape), math.prod(shape)
        self.steps, self.start, self.end, self.estimated = steps, start, end, estimated

    def velocity(self, z: Tensor, t: Tensor, given: list[Tensor]) -> Tensor:
        """v of rows ``(N, D)`` at the time ``(N,)`` of each, given what conditions each."""
        raise NotImplementedError

    def field(self, z: Tensor, t: Tensor, context: Context = NOTHING) -> Tensor:
        """v of values ``(..., *shape)`` at times ``(...)``."""
        rows, given, batch = self._rows(z, context)
        return self.velocity(rows, t.expand(batch).reshape(-1), given).reshape(*batch, *self.shape)

    @property
    def integrals(self) -> int:
        return 1

    def ends(self, start: Tensor, end: Tensor, context: Context = NOTHING) -> Ends:
        return Ends(self, start, end, context)

    @property
    def estimates(self) -> bool:
        """Whether log-determinants are estimates now."""
        return self.estimated and self.training and torch.is_grad_enabled()

    def _rows(self, x: Tensor, context: Context) -> tuple[Tensor, list[Tensor], torch.Size]:
        """Values as rows ``(N, D)`` with what conditions each, and their batch shape. What has no rows has none."""
        given = self._read(context)
        own = list(self.reads.values())
        batch = broadcast_shapes(
            x.shape[: x.dim() - self.rank], *(v.shape[: v.dim() - rank] for v, rank in zip(given, own))
        )
        rows = x.expand(*batch, *self.shape).reshape(-1, self.features).contiguous()
        each = [
            v
            if v.dim() == rank
            else v.expand(*batch, *v.shape[v.dim() - rank :]).reshape(-1, *v.shape[v.dim() - rank :])
            for v, rank in zip(given, own)
        ]
        return rows, each, batch

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return self._solved(x, context, self._forward)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return self._solved(y, context, self._backward)

    def forward(self, x: Tensor, context: Context = NOTHING) -> Tensor:
        """``z(end)`` alone, without a Jacobian."""
        asked = way()
        if asked is not None:
            return self._followed(x, context, asked)
        z, given, batch = self._rows(x, context)
        for k in range(self.steps):
            z = self._step(z, k, given)
        return z.reshape(*batch, *self.shape)

    def inverse(self, y: Tensor, context: Context = NOTHING) -> Tensor:
        asked = way()
        return super().inverse(y, context) if asked is None else self._followed(y, context, asked, backwards=True)

    def _followed(self, x: Tensor, context: Context, asked: Way, backwards: bool = False) -> Tensor:
        """From noise to data as is asked for."""
        z, given, batch = self._rows(x, context)
        without = [torch.zeros_like(v) if name in asked.dropped else v for name, v in zip(self.reads, given)]

        def speed(z: Tensor, t: float) -> Tensor:
            found = self._speed(z, t, given)
            if not asked.guidance:
                return found
            return found + asked.guidance * (found - self._speed(z, t, without))

        z = asked.follow(z, self.start, self.end, backwards, self.steps, speed)
        return z.reshape(*batch, *self.shape)

    def _solved(
        self, x: Tensor, context: Context, solve: Callable[[Tensor, list[Tensor]], tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor]:
        rows, given, batch = self._rows(x, context)
        size = max(1, len(rows) if torch.is_grad_enabled() else HELD // self.features**2)
        each = (v.split(size) if v.dim() > own else repeat(v) for v, own in zip(given, self.reads.values()))
        with sdpa_kernel(SDPBackend.MATH):  # the others have no forward derivative
            found = [solve(part, list(beside)) for part, *beside in zip(rows.split(size), *each)]
        y, log_det = (torch.cat(parts) if len(parts) > 1 else parts[0] for parts in zip(*found))
        return y.reshape(*batch, *self.shape), log_det.reshape(batch)

    def _speed(self, z: Tensor, t: float, given: list[Tensor]) -> Tensor:
        return self.velocity(z, z.new_full((len(z),), t), given)

    def _step(self, z: Tensor, k: int, given: list[Tensor], backwards: bool = False) -> Tensor:
        """The step after k others, or its reverse."""
        width = (self.end - self.start) / self.steps
        h = -width if backwards else width
        t = self.start + (k + backwards) * width
        return classical_step(partial(self._speed, given=given), z, t, h)

    def _forward(self, z: Tensor, given: list[Tensor]) -> tuple[Tensor, Tensor]:
        total, noise = z.new_zeros(len(z)), torch.randn_like(z) if self.estimates else None
        for k in range(self.steps):
            if noise is not None:
                z, more = self._estimated_step(z, k, given, noise)
            else:
                before, z = z, self._step(z, k, given)
                more = log_det(jacobian(partial(self._step, k=k, given=given), before))
            total = total + more
        return z, total

    def _backward(self, z: Tensor, given: list[Tensor]) -> tuple[Tensor, Tensor]:
        total, noise = z.new_zeros(len(z)), torch.randn_like(z) if self.estimates else None
        for k in reversed(range(self.steps)):

            def step(v: Tensor, k: int = k) -> Tensor:
                return self._step(v, k, given)

            with torch.no_grad():
                near = self._step(z, k, given, backwards=True)
            z = polished(step, z, near, 5)
            more = self._estimated_step(z, k, given, noise)[1] if noise is not None else log_det(jacobian(step, z))
            total = total - more
        return z, total

    def _estimated_step(self, z: Tensor, k: int, given: list[Tensor], noise: Tensor) -> tuple[Tensor, Tensor]:
        """A step of z and of ``integral of w^T (dv/dz) w``."""

        def speed(z: Tensor, t: float) -> tuple[Tensor, Tensor]:
            value, slope = torch.func.jvp(lambda v: self._speed(v, t, given), (z,), (noise,))[:2]
            return value, (noise * slope).sum(-1)

        h = (self.end - self.start) / self.steps
        t = self.start + k * h
        first, a = speed(z, t)
        second, b = speed(z + h / 2 * first, t + h / 2)
        third, c = speed(z + h / 2 * second, t + h / 2)
        fourth, d = speed(z + h * third, t + h)
        return z + h / 6 * (first + 2 * second + 2 * third + fourth), h / 6 * (a + 2 * b + 2 * c + d)


class ODEFlow(SolvedFlow):
    """A flow of vectors along a network, from time 0 to 1 (Chen et al., 2018; Grathwohl et al., 2019).

    Args:
        features: number of features D.
        network: without dropout and without a normalisation over rows, ``D + 1 + K -> D``; t is behind z.
        steps: how many.
        context: names of vectors, of K numbers together, that the network reads as well.
        estimated: estimate the log-determinant in training.
    """

    def __init__(
        self,
        features: int,
        network: nn.Module,
        steps: int = 8,
        context: str | tuple[str, ...] = (),
        estimated: bool = False,
    ) -> None:
        super().__init__((features,), steps, 0.0, 1.0, estimated)
        self.network = network
        self.reads = dict.fromkeys(names_of(context), 1)
        zero_last_layer(network)

    def velocity(self, z: Tensor, t: Tensor, given: list[Tensor]) -> Tensor:
        each = (v.expand(len(z), v.shape[-1]) for v in given)
        found: Tensor = self.network(concat(z, t.unsqueeze(-1), *each))
        return found


class FieldFlow(SolvedFlow):
    """A flow along a field that a formula writes.

    Args:
        shape: the shape of x, or its number of features.
        field: v, a function of z ``(N, *shape)``, of the time ``(N,)``, and of what conditions it.
        steps: how many.
        start, end: of the time.
        networks: those that v is made of.
        context: what conditions v by name, in the order in which v takes it, each with the number of its own axes.
        estimated: estimate the log-determinant in training.
    """

    def __init__(
        self,
        shape: int | tuple[int, ...],
        field: Callable[..., Tensor],
        steps: int = 8,
        start: float = 0.0,
        end: float = 1.0,
        networks: tuple[nn.Module, ...] = (),
        context: Mapping[str, int] = MappingProxyType({}),
        estimated: bool = False,
    ) -> None:
        super().__init__((shape,) if isinstance(shape, int) else tuple(shape), steps, start, end, estimated)
        self.function, self.networks, self.reads = field, nn.ModuleList(networks), dict(context)

    def velocity(self, z: Tensor, t: Tensor, given: list[Tensor]) -> Tensor:
        found: Tensor = self.function(z.reshape(len(z), *self.shape), t, *given)
        return found.expand(len(z), *self.shape).reshape(len(z), -1)


__all__ = ["FieldFlow", "ODEFlow"]
