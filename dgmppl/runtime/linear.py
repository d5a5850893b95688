"""Linear bijections of a vector: orders of its elements, reflections, a matrix by its factors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgmppl.permutations import permutation
from dgmppl.runtime.bijections import NOTHING, Bijection, Context, names_of, parameters_of


class Reverse(Bijection):
    """The features in reversed order; log-determinant 0."""

    reorders = True

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return x.flip(-1), self._zero(x)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return y.flip(-1), self._zero(y)


class Permute(Bijection):
    """The features in a fixed random order; log-determinant 0.

    The order follows from the seed and from the position, which counts the permutations of a chain, so that each
    has another one. It is never one that leaves the halves of a vector as they are.
    """

    reorders = True
    order: Tensor
    back: Tensor

    def __init__(self, features: int, seed: int = 0, position: int = 0) -> None:
        super().__init__()
        order = torch.tensor(permutation(features, seed, position))
        self.register_buffer("order", order)
        self.register_buffer("back", order.argsort())

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return x[..., self.order], self._zero(x)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return y[..., self.back], self._zero(y)


class Matrix(Bijection):
    """``y = W x`` for a square matrix W that is given, ``y = W^T x`` where it is ``transposed``;
    ``log |det| = log |det W|``. A W of determinant 0 has no inverse: its log-determinant is -inf.

    Args:
        context: the name of W, ``(..., D, D)``; of more than two axes, the first are the batch's.
    """

    def __init__(self, context: str, transposed: float = 0) -> None:
        super().__init__()
        self.reads = {context: 2}
        self.transposed = bool(transposed)

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        matrix = self._matrix(context)
        y = x @ matrix.mT if matrix.dim() == 2 else (matrix @ x.unsqueeze(-1)).squeeze(-1)
        return y, self._log_det(matrix, y)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        matrix = self._matrix(context)
        if matrix.dim() == 2:  # one factorisation for all rows
            x = torch.linalg.solve(matrix, y.reshape(-1, y.shape[-1]).mT).mT.reshape(y.shape)
        else:
            x = torch.linalg.solve(matrix, y.unsqueeze(-1)).squeeze(-1)
        return x, -self._log_det(matrix, x)

    def _matrix(self, context: Context) -> Tensor:
        (matrix,) = self._read(context)
        return matrix.mT if self.transposed else matrix

    def _log_det(self, matrix: Tensor, image: Tensor) -> Tensor:
        return torch.linalg.slogdet(matrix).logabsdet.expand(image.shape[:-1])


class Householder(Bijection):
    """The reflection ``y = (I - 2 v v^T / |v|^2) x`` (Tomczak and Welling, 2016, Eq. 7); log-determinant 0.

    Args:
        features: number of features D.
        conditioner: a network from the context to v; without one, the context is v, and without a context v is
            learned.
        context: names of what conditions it.
        copies: how many v are learned, one for each component of a mixture, along the last axis of the batch.
    """

    def __init__(
        self,
        features: int,
        conditioner: nn.Module | None = None,
        context: str | tuple[str, ...] = (),
        copies: int = 0,
    ) -> None:
        super().__init__()
        self.conditioner = conditioner
        self.copies = copies
        self.reads = dict.fromkeys(names_of(context), 1)
        if not self.reads:
            self.v = nn.Parameter(torch.randn((copies, features) if copies else (features,)))

    @property
    def batch_shape(self) -> torch.Size:
        return torch.Size([self.copies] if self.copies else [])

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        v = parameters_of(self.conditioner, self._read(context)) if self.reads else self.v
        norm = v.square().sum(-1, keepdim=True).clamp_min(torch.finfo(v.dtype).tiny)
        y = x - 2.0 * (x * v).sum(-1, keepdim=True) / norm * v
        return y, self._zero(y)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return self.forward_and_log_det(y, context)  # a reflection undoes itself


class LULinear(Bijection):
    """``y = L U x`` with L lower triangular, 1 on its diagonal, and U upper triangular, positive there (Kingma and
    Dhariwal, 2018, Eq. 10); starts as the identity. One for D features learns D^2 numbers."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        below = features * (features - 1) // 2
        self.lower, self.upper = nn.Parameter(torch.zeros(below)), nn.Parameter(torch.zeros(below))
        self.log_diagonal = nn.Parameter(torch.zeros(features))

    def _matrices(self) -> tuple[Tensor, Tensor]:
        size = self.features
        rows, columns = torch.tril_indices(size, size, -1, device=self.lower.device)
        empty = self.lower.new_zeros(size, size)
        lower = empty.index_put((rows, columns), self.lower)
        upper = empty.index_put((columns, rows), self.upper)
        return lower + torch.eye(size, dtype=lower.dtype, device=lower.device), upper + self.log_diagonal.exp().diag()

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        lower, upper = self._matrices()
        return x @ (lower @ upper).mT, self._zero(x) + self.log_diagonal.sum()

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        lower, upper = self._matrices()
        half = torch.linalg.solve_triangular(lower, y.unsqueeze(-1), upper=False, unitriangular=True)
        x = torch.linalg.solve_triangular(upper, half, upper=True).squeeze(-1)
        return x, self._zero(y) - self.log_diagonal.sum()


__all__ = [
    "Householder",
    "LULinear",
    "Matrix",
    "Permute",
    "Reverse",
]
