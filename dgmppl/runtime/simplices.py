"""A bijection onto vectors of proportions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dgmppl.runtime import preimages
from dgmppl.runtime.bijections import NOTHING, Bijection, Context
from dgmppl.runtime.preimages import recall

_SUM_TOLERANCE = 1e-4
"""How far a sum may be from 1: that of numbers in single precision, far above its rounding."""


class StickBreaking(Bijection):
    """K - 1 real numbers to K proportions, each a part of what those before it have left of a stick of length 1,

        v_k = sigmoid(x_k - log(K - k)),    y_k = v_k (1 - v_1) ... (1 - v_(k-1)),    y_K = (1 - v_1) ... (1 - v_(K-1)),

    so that zeros give 1 / K each: Stan Development Team (2024), Reference Manual, Unit simplex; as torch's
    ``StickBreakingTransform``. The log-determinant is that of y_1 to y_(K-1), as densities on the simplex have it:
    ``sum_k log y_k + log(1 - v_k)``. All is computed of logarithms, and an image remembers its own (see ``preimages``).
    A vector that is not positive, or does not sum to 1, has ``log |det| = -inf`` under the inverse: its density is 0.
    """

    def image_shape(self, shape: torch.Size) -> torch.Size:
        return torch.Size([shape[0] + 1])

    def source_shape(self, shape: torch.Size) -> torch.Size:
        return torch.Size([shape[0] - 1])

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        logits = x - _offset(x)
        taken, left = F.logsigmoid(logits), F.logsigmoid(-logits)
        log_y = F.pad(taken, (0, 1)) + F.pad(left.cumsum(-1), (1, 0))
        y = preimages.remember(preimages.into(log_y.exp(), 0.0), "softmax", log_y)
        return y, (log_y[..., :-1] + left).sum(-1)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        log_y = recall(y, "softmax")
        wrong = torch.zeros(y.shape[:-1], dtype=torch.bool, device=y.device)
        if log_y is None:
            wrong = (y <= 0).any(-1) | ((y.sum(-1) - 1).abs() > _SUM_TOLERANCE)
            # Numbers inside stand in for what has no preimage: an infinity would make gradients NaN.
            log_y = y.masked_fill(wrong.unsqueeze(-1), 1 / y.shape[-1]).log()
        remaining = torch.logcumsumexp(log_y.flip(-1), -1).flip(-1)
        logits = log_y[..., :-1] - remaining[..., 1:]
        log_det = -(log_y[..., :-1] + F.logsigmoid(-logits)).sum(-1)
        return logits + _offset(logits), log_det.masked_fill(wrong, -torch.inf)


def _offset(x: Tensor) -> Tensor:
    """``log(K - k)`` for each of the K - 1 numbers."""
    return torch.arange(x.shape[-1], 0, -1, dtype=x.dtype, device=x.device).log()


__all__ = ["StickBreaking"]
