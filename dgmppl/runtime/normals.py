"""Normal distributions of vectors whose elements depend on each other."""

from __future__ import annotations

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


__all__ = ["LowRankNormal"]
