"""Weights of terms that change over the epochs of a fit."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class LinearRamp:
    """A weight that goes from `start` to `end` along a straight line over so many epochs, and stays there, as that of
    the divergences of a variational auto-encoder does (Bowman et al., 2016; Sønderby et al., 2016)."""

    start: float
    end: float
    epochs: int

    def at(self, epoch: float) -> float:
        """The weight after so many epochs, parts of one included."""
        return self.start + (self.end - self.start) * self._share(min(epoch / self.epochs, 1.0))

    def _share(self, passed: float) -> float:
        """How far it has gone, from 0 to 1."""
        return passed


class CosineRamp(LinearRamp):
    """The same along half a cosine, slowly at both ends."""

    def _share(self, passed: float) -> float:
        return (1 - math.cos(math.pi * passed)) / 2


__all__ = ["CosineRamp", "LinearRamp"]
