"""Flow matching: the field of a flow is regressed on how fast random paths go from its noise to the data.

Nothing is simulated, and the field that is best carries the law of the noise to that of the data (Lipman et al., 2023,
Theorem 2; Liu et al., 2023; Albergo and Vanden-Eijnden, 2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dgmppl.runtime.bijections import Bijection


@dataclass(frozen=True)
class Point:
    """Where a path is: ``x = data data_share + noise noise_share``, numbers of each row, and their slopes in the share
    of its way from data (0) to noise (1)."""

    data: Tensor
    noise: Tensor
    data_slope: Tensor
    noise_slope: Tensor

    @property
    def turn(self) -> Tensor:
        """How fast it turns from the data to the noise, ``a b' - a' b``: x and its velocity are two equations for both
        ends, and this is their determinant."""
        return self.data * self.noise_slope - self.data_slope * self.noise


class Path:
    """A path between a row of the data and a draw of noise."""

    def at(self, s: Tensor) -> Point:
        """The path at ``s``, any shape, from 0 at the data to 1 at the noise."""
        raise NotImplementedError

    def rate(self, point: Point) -> Tensor:
        """k of ``g^2 = 2 k b (a b' - a' b)``, the noise of a sampler that goes back along ``x = a data + b noise``. Any
        keeps the law at each time; with 1 drift and noise are bounded where a path ends in noise alone."""
        return torch.ones_like(point.data)


class LinearPath(Path):
    """``x = (1 - s) data + s noise``: a straight line (Lipman et al., 2023, Eq. 22; Liu et al., 2023, Eq. 1)."""

    def at(self, s: Tensor) -> Point:
        return Point(1 - s, s, -torch.ones_like(s), torch.ones_like(s))


class CosinePath(Path):
    """``x = cos(pi s / 2) data + sin(pi s / 2) noise``, which keeps the variance of data of variance 1 (Albergo and
    Vanden-Eijnden, 2023, Eq. 5)."""

    def at(self, s: Tensor) -> Point:
        turn = math.pi / 2
        cos, sin = (turn * s).cos(), (turn * s).sin()
        return Point(cos, sin, -turn * sin, turn * cos)


class VariancePreservingPath(Path):
    """What ``dx = -b(s) x / 2 ds + sqrt(b(s)) dw`` with ``b(s) = low + s (high - low)`` makes of the data (Song et al.,
    2021, Eqs. 32 and 33): ``x = a data + sqrt(1 - a^2) noise`` with ``log a = -s^2 (high - low) / 4 - s low / 2``.

    Its field is ``-b(s) / 2 (x + score)``, the probability flow (the same, Eq. 13).

    Args:
        low, high: b at the data and at the noise.
    """

    # Where the noise has a deviation of nothing its slope has no bound (Song et al., 2021, Appendix C).
    FIRST = 1e-5

    def __init__(self, low: float = 0.1, high: float = 20.0) -> None:
        self.low, self.high = low, high

    def at(self, s: Tensor) -> Point:
        s = s.clamp_min(self.FIRST)
        log_data = -s.square() * (self.high - self.low) / 4 - s * self.low / 2
        data, noise = log_data.exp(), (-torch.expm1(2 * log_data)).sqrt()
        half = (self.low + s * (self.high - self.low)) / 2
        return Point(data, noise, -half * data, half * data.square() / noise)

    def rate(self, point: Point) -> Tensor:
        """1 / a, by which ``g^2`` is b(s): the equation of the noise read backwards (Song et al., 2021, Eq. 6)."""
        return 1 / point.data


def matching_error(flow: Bijection, noise: Tensor, data: Tensor, path: Path, target: str = "velocity") -> Tensor:
    """``|v(x_t, t) - dx_t/dt|^2`` of each row, with the field v of the integral in a flow and a path from `noise` to
    `data` at one random time, ``(N,)``.

    What stands before and behind the integral in the flow maps both ends, without a gradient. The times of a batch are
    spread evenly from a random first one, so that a mean over it varies less (Kingma et al., 2021, Appendix I.1).

    With another `target` the error is that of what the field says of the path's end: velocity, ``x`` and the path
    together give the noise, the data, and the score ``-noise / noise_share``. It is that of the velocity times a
    function of the time; for `noise` on a variance-preserving path it is denoising score matching as in Song et al.
    (2021, Eq. 7) and Ho et al. (2020, Eq. 14).

    Args:
        flow: a map from noise to data with one integral in it.
        noise, data: rows ``(N, ...)``.
        target: "velocity", "noise", "data" or "score".

    Raises:
        ValueError: where the flow has no integral.
    """
    with torch.no_grad():
        ends = flow.ends(noise, data)
    solved = ends.flow
    rows = len(data)
    spread = (torch.rand((), device=data.device) + torch.arange(rows, device=data.device) / max(rows, 1)) % 1
    t = solved.start + (solved.end - solved.start) * spread.to(data.dtype)
    point = path.at(t if ends.backwards else 1 - t)
    at_data, at_noise = (ends.start, ends.end) if ends.backwards else (ends.end, ends.start)
    sign = 1.0 if ends.backwards else -1.0

    def each(numbers: Tensor) -> Tensor:
        return numbers.reshape(-1, *[1] * solved.rank)

    x = each(point.data) * at_data + each(point.noise) * at_noise
    wanted = sign * (each(point.data_slope) * at_data + each(point.noise_slope) * at_noise)
    error = each(_factor(point, target)) * (solved.field(x, t, ends.context) - wanted)
    return error.reshape(rows, -1).square().sum(-1)


def _factor(point: Point, target: str) -> Tensor:
    """The error of a target where that of the velocity is 1: x and its velocity are two equations for both ends."""
    if target == "velocity":
        return torch.ones_like(point.data)
    turn = point.turn
    return {
        "noise": point.data / turn,
        "data": point.noise / turn,
        "score": point.data / (turn * point.noise),
    }[target]


__all__ = ["CosinePath", "LinearPath", "VariancePreservingPath", "matching_error"]
