"""Normal distributions of vectors whose elements depend on each other."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.runtime.distributions import Unchecked
from dgmppl.runtime.shapes import broadcast_shapes


class LowRankNormal(Unchecked, td.LowRankMultivariateNormal):
    """``x = loc + scale * e + factor @ u`` with e and u standard normal: the covariance is
    ``diag(scale^2) + factor factor^T`` (Ong et al., 2018, Eq. 3, as a posterior of many weights).

    Args:
        loc, scale: a number, or one for each element, ``(..., D)``.
        factor: directions in which elements go together, ``(..., D, R)``.
    """

    def __init__(self, loc: Tensor | float, scale: Tensor | float, factor: Tensor) -> None:
        loc, scale = (torch.as_tensor(v, dtype=factor.dtype, device=factor.device) for v in (loc, scale))
        shape = broadcast_shapes(loc.shape, scale.shape, factor.shape[:-1])
        super().__init__(loc.expand(shape), factor, scale.expand(shape).square(), validate_args=False)

    def marginal_log_prob(self, value: Tensor, where: Tensor) -> Tensor:
        """``log p`` of some elements of a value, the others integrated out, ``(...,)`` nats: the marginal normal
        distribution has their rows of the covariance. In the place of each other one stands a standard normal number
        at its mean.

        Args:
            value, where: the value, and which of its elements count, ``(..., D)``.
        """
        factor, scale, loc = self._parameters()
        zero = torch.zeros((), dtype=loc.dtype, device=loc.device)
        shown = torch.where(where.unsqueeze(-1), factor, zero)
        marginal = LowRankNormal(torch.where(where, loc, zero), torch.where(where, scale, 1.0), shown)
        found: Tensor = td.LowRankMultivariateNormal.log_prob(marginal, torch.where(where, value, zero))
        return found + 0.5 * math.log(2 * math.pi) * (~where).to(loc.dtype).sum(-1)

    def given(self, value: Tensor, seen: Tensor) -> LowRankNormal:
        """The distribution of the elements that are not `seen` given those that are: u of ``x = loc + factor u + scale
        e`` has its posterior (Bishop, 2006, Pattern Recognition and Machine Learning, Eq. 2.116)."""
        factor, scale, loc = self._parameters()
        scaled = torch.where(seen.unsqueeze(-1), factor / scale.unsqueeze(-1), 0.0)
        target = torch.where(seen, (value - loc) / scale, 0.0).unsqueeze(-1)
        precision = scaled.mT @ scaled + torch.eye(factor.shape[-1], dtype=loc.dtype, device=loc.device)
        root = torch.linalg.cholesky(precision)
        mean = torch.cholesky_solve(scaled.mT @ target, root)
        rest = torch.linalg.solve_triangular(root, factor.mT.expand(*root.shape[:-2], -1, -1), upper=False).mT
        return LowRankNormal(loc + (factor @ mean).squeeze(-1), scale, rest)

    def _parameters(self) -> tuple[Tensor, Tensor, Tensor]:
        """The factor ``(..., D, R)``, the scale and the location ``(..., D)``."""
        return self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag.sqrt(), self.loc


__all__ = ["LowRankNormal"]
