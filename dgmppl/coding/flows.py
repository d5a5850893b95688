"""Flows over continuous latents: a value is coded together with the noise that it comes from, whose bits come back.

A density that is pushed through a flow, ``z = f(e)``, gives a vector a density and its elements no probabilities. So a
bin of z is coded in two steps: the noise e element by element, by the base of the flow, then z given e, by a narrow
normal around f(e). Which of the many e it is, is told by bits that are taken from the stack, by a normal that follows
from f^-1(z) and the Jacobian there: local bits-back coding (Ho, Lohn and Abbeel, 2019, Sec. 3.2). It costs

    -log p(e) - log N(z; f(e), s^2) + log r(e | z),

which is -log p(z) of the bin, but for how far f is from linear over a few bins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.coding.cells import Bins, Cells, of_law
from dgmppl.coding.stack import Chooser, Popping, Recording, Scattered, Stack
from dgmppl.runtime.densities import Pushforward
from dgmppl.runtime.incremental import ALL, asking

_STEP = 2.0**-13  # of differences, in deviations of the base


@dataclass(frozen=True)
class ThroughFlow:
    """A value of a flow as one choice, which takes from a stack as it puts there.

    Attributes:
        law: of batch ``(n,)``, or ``(n, 1)`` at a position of a sequence, for which it has been made.
        cells: of its values.
        draw: `dgmppl.coding.laws.draw`.
    """

    law: Pushforward
    cells: Bins
    draw: Callable[[td.Distribution, Cells, Chooser, Tensor | None], Tensor]

    def pop(self, stack: Stack, scattered: bool) -> Tensor:
        """The value on a stack, ``(n, *event)``."""
        chooser, cells = _other(Popping(stack), scattered), of_law(self.law.base)
        back = Recording()
        with asking(ALL):  # as where it was pushed: after all positions
            e = self.draw(self.law.base, cells, chooser, None)
            z = self.draw(self._around(e, cells)[0], self.cells, chooser, None)
            self._recognise(z, cells, Scattered(back), e)
        back.push(stack)
        return z

    def push(self, stack: Stack, z: Tensor, scattered: bool) -> None:
        """Puts a value on a stack."""
        cells = of_law(self.law.base)
        e = self._recognise(z, cells, Scattered(Popping(stack)), None)
        recording = Recording()
        chooser = _other(recording, scattered)
        self.draw(self.law.base, cells, chooser, e)
        self.draw(self._around(e, cells)[0], self.cells, chooser, z)
        recording.push(stack)

    def _around(self, e: Tensor, cells: Bins) -> tuple[td.Normal, Tensor]:
        """The narrow normal of z given e: as wide as a bin of z, and as what z moves by where e goes on by a bin; and
        the Jacobian at e."""
        z, jacobian = self.law.bijection(e), self._jacobian(e, cells)
        moved = jacobian * _vectors(cells.width(e)).unsqueeze(1)
        spread = self.cells.width(z).square() + moved.square().sum(-1).reshape(z.shape)
        return td.Normal(_finite(z), spread.clamp_min(1e-12).sqrt(), validate_args=False), jacobian

    def _recognise(self, z: Tensor, cells: Bins, chooser: Chooser, known: Tensor | None) -> Tensor:
        """Which e it was, by its posterior where f is linear: normal, with the precision ``J^T S^-1 J`` and that of the
        base. Element by element, each given those before."""
        e = _finite(self.law.bijection.inverse(z))
        e = torch.minimum(torch.maximum(e, cells.loc - 5 * cells.scale), cells.loc + 5 * cells.scale)
        around, jacobian = self._around(e, cells)
        noise = around.scale.square() + self.cells.width(z).square() / 12
        base = _vectors((1.5 / cells.scale).square())
        precision = jacobian.mT @ (jacobian / _vectors(noise).unsqueeze(-1)) + torch.diag_embed(base)
        covariance, factor = _factored(precision, base)
        away = _vectors(e - cells.loc)
        mean = _vectors(e) - (covariance @ (base * away).unsqueeze(-1)).squeeze(-1)
        loc, scale = _vectors(cells.loc), _vectors(cells.scale)
        wanted = None if known is None else _vectors(known)
        found, noises = torch.zeros_like(mean), torch.zeros_like(mean)
        for i in range(mean.shape[1]):
            part = Bins(loc[:, i], scale[:, i], cells.size)
            centre = mean[:, i] + (factor[:, i, :i] * noises[:, :i]).sum(-1)
            law = td.Normal(centre, factor[:, i, i], validate_args=False)
            found[:, i] = self.draw(law, part, chooser, None if wanted is None else wanted[:, i])
            noises[:, i] = (found[:, i] - centre) / factor[:, i, i]
        return found.reshape(e.shape)

    def _jacobian(self, e: Tensor, cells: Bins) -> Tensor:
        """``df(e) / de``, ``(n, d, d)``, by central differences."""
        flat = _vectors(e)
        step = _STEP * _vectors(cells.scale)
        by = torch.diag_embed(step).movedim(1, 0)  # (d, n, d): one element moved at a time
        moved = torch.stack([flat + by, flat - by]).reshape(2, len(by), *e.shape)
        above, below = self.law.bijection(moved).reshape(2, *by.shape)
        return _finite((above - below).permute(1, 2, 0) / (2 * step.unsqueeze(1)))


def _factored(precision: Tensor, base: Tensor) -> tuple[Tensor, Tensor]:
    """The covariance of a precision ``(n, d, d)`` and its Cholesky factor; of one that is not positive in floating
    point, those of the base, which is but less economical."""
    covariance = torch.linalg.inv_ex(precision)[0].nan_to_num(0.0, 0.0, 0.0)
    covariance = (covariance + covariance.mT) / 2
    factor, failed = torch.linalg.cholesky_ex(covariance)
    bad = (failed > 0).reshape(-1, 1, 1) | ~factor.isfinite().all((-1, -2), keepdim=True)
    of_base = torch.diag_embed(base.reciprocal())
    return torch.where(bad, of_base, covariance), torch.where(bad, of_base.sqrt(), factor)


def _vectors(value: Tensor) -> Tensor:
    """Values ``(n, *event)`` as vectors, ``(n, d)``."""
    return value.reshape(len(value), -1)


def _other(chooser: Popping | Recording, scattered: bool) -> Chooser:
    return Scattered(chooser) if scattered else chooser


def _finite(value: Tensor) -> Tensor:
    return value.nan_to_num(0.0, 1e6, -1e6)


__all__ = ["ThroughFlow"]
