"""Units of data: where the training rows of a variable lie, and how far they spread."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Units(nn.Module):
    """The units of a variable: ``(x - mean) / deviation`` is x in them. Before a fit it is x, or x - 1 of what is
    positive.

    A fit takes both from its training rows, and nothing moves them: they are buffers, which lie with the weights.

    Args:
        variable: the name of the tensor whose rows they are taken from.
        shape: theirs: a number for each along the last axis of the variable, or one for all.
        positive: the variable is never below 0, and its mean is a size.

    Example:
        >>> units = Units("x", 2)
        >>> units.start(torch.tensor([170.0, 70.0]), torch.tensor([12.0, 10.0]))
        >>> units(torch.tensor([170.0, 80.0]))
        tensor([0., 1.])
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, variable: str, shape: int | tuple[int, ...], positive: bool = False) -> None:
        super().__init__()
        self.variable, self.positive = variable, positive
        size = (shape,) if isinstance(shape, int) else shape
        self.register_buffer("mean", torch.full(size, float(positive)))
        self.register_buffer("deviation", torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """x in these units, as networks read it."""
        return (x - self.mean) / self.deviation

    # A parameter that is given in these units, in those of x; called as `DistributionParameter.counts` says.
    def place(self, parameter: Tensor) -> Tensor:
        """A place among the values: ``mean + deviation * parameter``."""
        return self.mean + self.deviation * parameter

    def width(self, parameter: Tensor) -> Tensor:
        """How far they spread: ``deviation * parameter``."""
        return self.deviation * parameter

    def size(self, parameter: Tensor) -> Tensor:
        """How large they are: ``mean * parameter``, of what is positive."""
        return self.mean * parameter

    def rate(self, parameter: Tensor) -> Tensor:
        """One through their size: ``parameter / mean``, of what is positive."""
        return parameter / self.mean

    def log(self, parameter: Tensor) -> Tensor:
        """The logarithm of their size: ``log(mean) + parameter``, of what is positive."""
        return self.mean.log() + parameter

    @torch.no_grad()
    def start(self, mean: Tensor, deviation: Tensor) -> None:
        """Takes them from rows.

        Args:
            mean: of the rows, in double precision.
            deviation: likewise. What does not vary, as far as single precision can tell, keeps a deviation of 1.
        """
        least = mean.abs() * torch.finfo(torch.float32).eps * 4
        self.deviation.copy_(torch.where((deviation > least) & deviation.isfinite(), deviation, 1.0))
        size = torch.where(mean > 0, mean, 1.0) if self.positive else mean
        self.mean.copy_(torch.where(size.isfinite(), size, 0.0))


__all__ = ["Units"]
