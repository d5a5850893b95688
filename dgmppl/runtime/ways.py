"""Ways of drawing by a flow that follows an equation: the equation itself, or one with noise of the same law at every
time; and guided away from what the flow would give without what it is conditioned on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor

from dgmppl.runtime.matching import Path

Speed = Callable[[Tensor, float], Tensor]

_WAY: ContextVar[Way | None] = ContextVar("way", default=None)


@dataclass(frozen=True)
class Way:
    """How a flow is followed, where not as its likelihood has it.

    Args:
        path: from its noise to the data, as it was taught.
        steps: how many; None: those of the flow, with noise four times as many, which evaluate the field as often.
        noise: the deviation of the noise of the steps, as a share of `rate` of the path; 0: none.
        guidance: w of ``(1 + w) v - w v_without``, -1 for v without alone (Ho and Salimans, 2022, Eq. 6).
        dropped: what the second has zeros for, by the names under which it conditions the flow.
    """

    path: Path
    steps: int | None
    noise: float
    guidance: float
    dropped: tuple[str, ...]

    def follow(self, z: Tensor, start: float, end: float, backwards: bool, steps: int, speed: Speed) -> Tensor:
        """z at the data's end from z at the end of the noise, rows ``(N, D)``, of an equation ``dz/dt = speed``; the
        data lies at `end`, or `backwards` at `start`."""
        count = self.steps or (4 * steps if self.noise else steps)
        first, last = (end, start) if backwards else (start, end)
        h = (last - first) / count
        for k in range(count):
            t = first + k * h
            z = self._noisy(z, t, h, backwards, speed) if self.noise else classical_step(speed, z, t, h)
        return z

    def _noisy(self, z: Tensor, t: float, h: float, backwards: bool, speed: Speed) -> Tensor:
        """A step of Euler and Maruyama towards the data, of ``dz = (-v + g^2 score / 2) dr + g dw``, which has at each
        time the law that ``dz = -v dr`` has, with v the velocity towards the noise (Song et al., 2021, Eqs. 6 and 13).

        On a path ``z = a data + b noise``, ``g^2 score / 2 = -k (a v - a' z)`` where ``g^2 = 2 k b (a b' - a' b)``.
        """
        point = self.path.at(z.new_full((len(z),), t if backwards else 1 - t))
        a, b, slope, turn = (x.unsqueeze(-1) for x in (point.data, point.noise, point.data_slope, point.turn))
        k = self.noise**2 * self.path.rate(point).unsqueeze(-1)
        v = speed(z, t) if backwards else -speed(z, t)
        drift, spread = -v - k * (a * v - slope * z), (2 * k * b * turn * abs(h)).sqrt()
        return z + abs(h) * drift + spread * torch.randn_like(z)


@contextmanager
def on_the_way(
    path: Path,
    steps: int | None = None,
    noise: float = 0.0,
    guidance: float = 0.0,
    dropped: tuple[str, ...] = (),
) -> Iterator[None]:
    """Inside, flows are followed so from noise to data. Where nothing is asked for they are as their likelihood has
    them.

    Raises:
        ValueError: for no steps, or less noise than none.
    """
    if noise < 0 or (steps is not None and steps < 1):
        raise ValueError(f"steps are a number from 1, and noise is one from 0, not {steps} and {noise}")
    asked = steps is not None or noise or guidance
    token = _WAY.set(Way(path, steps, noise, guidance, dropped) if asked else None)
    try:
        yield
    finally:
        _WAY.reset(token)


def way() -> Way | None:
    """How flows are followed now; None: as their likelihood has them."""
    return _WAY.get()


def classical_step(speed: Speed, z: Tensor, t: float, h: float) -> Tensor:
    """A step of the classical method of Runge and Kutta, of ``dz/dt = speed(z, t)``."""
    first = speed(z, t)
    second = speed(z + h / 2 * first, t + h / 2)
    third = speed(z + h / 2 * second, t + h / 2)
    fourth = speed(z + h * third, t + h)
    return z + h / 6 * (first + 2 * second + 2 * third + fourth)


__all__ = ["on_the_way"]
