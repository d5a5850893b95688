"""Means that are affine in latents along an index, and products and roots of matrices, one for each row or for all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AffineMean:
    """The mean of each element of a density ``b + sum over o of H_o z_(t + o) + G f`` and its deviation, in double
    precision.

    Args:
        slopes: H of each offset o from `first` on, ``(n or 1, T, size, latents)`` each.
        offset: b, ``(n or 1, T, size)``.
        scale: ``(n or 1, T, size)``.
        still: G, ``(n or 1, T, size, numbers of f)``, where there is an f.
    """

    first: int
    slopes: tuple[Tensor, ...]
    offset: Tensor
    scale: Tensor
    still: Tensor | None

    def turned(self) -> AffineMean:
        """The same counted from the last position."""
        last = self.first + len(self.slopes) - 1
        slopes = tuple(s.flip(1) for s in reversed(self.slopes))
        still = None if self.still is None else self.still.flip(1)
        return AffineMean(-last, slopes, self.offset.flip(1), self.scale.flip(1), still)

    def given(self, known: Tensor | None) -> AffineMean:
        """The same where some numbers of the latents are known, ``(n, T, latents)``, NaN where they are not: what reads
        them has them in its offset."""
        if known is None:
            return self
        missing, value = known.isnan(), known.nan_to_num()
        slopes, offset = [], self.offset
        for k, slope in enumerate(self.slopes):
            away = self.first + k
            there, read = (_moved(m, away) for m in (~missing, value))
            offset = offset + (slope @ read.unsqueeze(-1)).squeeze(-1)
            slopes.append(torch.where(there.unsqueeze(-2), 0.0, slope))
        return AffineMean(self.first, tuple(slopes), offset, self.scale, self.still)

    def idle(self, known: Tensor) -> AffineMean:
        """The same, but of elements that are `known`, ``(n, T, size)``, standard normal by themselves, which changes no
        integral: nothing reads them."""
        slopes = tuple(torch.where(known.unsqueeze(-1), 0.0, s) for s in self.slopes)
        offset, scale = torch.where(known, 0.0, self.offset), torch.where(known, 1.0, self.scale)
        still = None if self.still is None else torch.where(known.unsqueeze(-1), 0.0, self.still)
        return AffineMean(self.first, slopes, offset, scale, still)

    def slope(self, away: int) -> Tensor | None:
        place = away - self.first
        return self.slopes[place] if 0 <= place < len(self.slopes) else None


def _moved(values: Tensor, away: int) -> Tensor:
    """At each position along the second axis what stands so far from it; 0 where nothing does."""
    count = values.shape[1]
    found = torch.zeros_like(values)
    first, last = max(-away, 0), min(count - away, count)
    found[:, first:last] = values[:, first + away : last + away]
    return found


def alike(tensors: list[Tensor]) -> list[Tensor]:
    """Tensors with as many rows each."""
    rows = max(len(t) for t in tensors)
    return [t if len(t) == rows else t.expand(rows, *t.shape[1:]) for t in tensors]


def each_row(matrix: Tensor) -> Tensor:
    """A matrix of all rows as a stack of one."""
    return matrix.unsqueeze(0) if matrix.dim() == 2 else matrix


def times(matrix: Tensor, vector: Tensor, plus: Tensor | None = None, sign: int = 1) -> Tensor:
    """A matrix times a vector of each row, with this sign, and what is added: one product of matrices where the matrix
    is that of all rows."""
    if matrix.dim() == 2:
        return vector @ matrix.mT if plus is None else torch.addmm(plus, vector, matrix.mT, alpha=sign)
    if matrix.dim() == 4 and len(matrix) == 1:  # one at each position
        found = (vector.transpose(0, 1) @ matrix[0].mT).transpose(0, 1)
    else:
        found = (matrix @ vector.unsqueeze(-1)).squeeze(-1)
    return found if plus is None else torch.add(plus, found, alpha=sign)


def solved(matrix: Tensor, right: Tensor) -> Tensor:
    found: Tensor = torch.linalg.solve(matrix, right)
    return found


def root_of(matrix: Tensor) -> Tensor:
    """The lower triangular root of a symmetric matrix, NaN where it has none."""
    root, failed = torch.linalg.cholesky_ex(matrix)
    return torch.where((failed > 0)[..., None, None], torch.nan, root)
