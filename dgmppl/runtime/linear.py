"""Linear bijections of a vector, or of the channels at each position of a grid: orders, reflections, rotations,
matrices, a normalisation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dgmppl.permutations import permutation
from dgmppl.runtime.bijections import NOTHING, Bijection, ByNumbers, Context


class _OfChannels(Bijection):
    """A map of the channels at each position.

    Args:
        shape: number of features of a vector, or the shape ``(height, width, channels)`` of a grid.
    """

    def __init__(self, shape: int | tuple[int, ...]) -> None:
        super().__init__()
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.rank, self.channels = len(self.shape), self.shape[-1]
        self.positions = math.prod(self.shape[:-1])

    def _at_all(self, log_det: Tensor, x: Tensor) -> Tensor:
        """The log-determinant of x, where each position has this one."""
        return self._zero(x) + self.positions * log_det


class Reverse(Bijection):
    """The features of a vector, or the channels of a grid of `rank` 3, in reversed order; log-determinant 0."""

    reorders = True

    def __init__(self, rank: int = 1) -> None:
        super().__init__()
        self.rank = rank

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return x.flip(-1), self._zero(x)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return y.flip(-1), self._zero(y)


class Permute(_OfChannels):
    """The features, or the channels of a grid, in a fixed random order; log-determinant 0.

    The order follows from the seed and from the position, which counts the permutations of a chain, so that each
    has another one. It is never one that leaves the halves of a vector as they are.
    """

    reorders = True
    order: Tensor
    back: Tensor

    def __init__(self, shape: int | tuple[int, ...], seed: int = 0, position: int = 0) -> None:
        super().__init__(shape)
        order = torch.tensor(permutation(self.channels, seed, position))
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


class Householder(ByNumbers):
    """The reflection ``y = (I - 2 v v^T / |v|^2) x`` (Tomczak and Welling, 2016, Eq. 7); log-determinant 0.

    Args:
        features: number of features D; the numbers are v.
        conditioner, context, copies: as for ByNumbers.
    """

    spread = 1.0

    def count(self) -> int:
        return self.features

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        y = reflected(x, self._numbers(context))
        return y, self._zero(y)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return self.forward_and_log_det(y, context)  # a reflection undoes itself


def reflected(x: Tensor, v: Tensor) -> Tensor:
    """``(I - 2 v v^T / |v|^2) x`` of vectors along the last axis."""
    norm = v.square().sum(-1, keepdim=True).clamp_min(torch.finfo(v.dtype).tiny)
    return x - 2.0 * (x * v).sum(-1, keepdim=True) / norm * v


class Orthogonal(ByNumbers):
    """``y = exp(A - A^T) x`` with A strictly upper triangular: a rotation, and near the identity where A is near 0
    (Golinski et al., 2019); log-determinant 0.

    Args:
        features: number of features D, at least 2; the numbers are those of A, row by row, D (D - 1) / 2 of them.
        conditioner, context, copies: as for ByNumbers.
    """

    def count(self) -> int:
        return self.features * (self.features - 1) // 2

    def _matrix(self, context: Context) -> Tensor:
        numbers = self._numbers(context)
        rows, columns = torch.triu_indices(self.features, self.features, 1, device=numbers.device)
        upper = numbers.new_zeros(*numbers.shape[:-1], self.features, self.features)
        upper[..., rows, columns] = numbers
        found: Tensor = torch.linalg.matrix_exp(upper - upper.mT)
        return found

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        y = (self._matrix(context) @ x.unsqueeze(-1)).squeeze(-1)
        return y, self._zero(y)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        x = (self._matrix(context).mT @ y.unsqueeze(-1)).squeeze(-1)
        return x, self._zero(x)


class LULinear(_OfChannels):
    """``y = L U x`` with L lower triangular, 1 on its diagonal, and U upper triangular, positive there (Kingma and
    Dhariwal, 2018, Eq. 10); starts as the identity. One for D features, or channels, learns D^2 numbers."""

    def __init__(self, shape: int | tuple[int, ...]) -> None:
        super().__init__(shape)
        below = self.channels * (self.channels - 1) // 2
        self.lower, self.upper = nn.Parameter(torch.zeros(below)), nn.Parameter(torch.zeros(below))
        self.log_diagonal = nn.Parameter(torch.zeros(self.channels))

    def _matrices(self) -> tuple[Tensor, Tensor]:
        size = self.channels
        rows, columns = torch.tril_indices(size, size, -1, device=self.lower.device)
        empty = self.lower.new_zeros(size, size)
        lower = empty.index_put((rows, columns), self.lower)
        upper = empty.index_put((columns, rows), self.upper)
        return lower + torch.eye(size, dtype=lower.dtype, device=lower.device), upper + self._diagonal().diag()

    def _diagonal(self) -> Tensor:
        return self.log_diagonal.exp()

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        lower, upper = self._matrices()
        return x @ (lower @ upper).mT, self._at_all(self.log_diagonal.sum(), x)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        lower, upper = self._matrices()
        half = torch.linalg.solve_triangular(lower, y.unsqueeze(-1), upper=False, unitriangular=True)
        x = torch.linalg.solve_triangular(upper, half, upper=True).squeeze(-1)
        return x, self._at_all(-self.log_diagonal.sum(), y)


class Conv1x1(LULinear):
    """``y = P L U x``, the channels of each position mixed by one matrix: an invertible convolution of one by one
    (Kingma and Dhariwal, 2018, Sec. 3.2). The order P and the signs on the diagonal of U are fixed, so that it starts
    as a random rotation. One for C channels learns C^2 numbers."""

    order: Tensor
    back: Tensor
    signs: Tensor

    def __init__(self, shape: int | tuple[int, ...]) -> None:
        super().__init__(shape)
        size = self.channels
        rotation = torch.linalg.qr(torch.randn(size, size, dtype=torch.double))[0]
        swaps, lower, upper = torch.linalg.lu(rotation)
        rows, columns = torch.tril_indices(size, size, -1)
        with torch.no_grad():
            self.lower.copy_(lower[rows, columns])
            self.upper.copy_(upper[columns, rows])
            self.log_diagonal.copy_(upper.diag().abs().log())
        order = swaps.argmax(-1)
        self.register_buffer("order", order)
        self.register_buffer("back", order.argsort())
        self.register_buffer("signs", upper.diag().sign().to(self.lower.dtype))

    def _diagonal(self) -> Tensor:
        return self.signs * self.log_diagonal.exp()

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        mixed, log_det = super().forward_and_log_det(x)
        return mixed[..., self.order], log_det

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return super().inverse_and_log_det(y[..., self.back])


def _ask_again(norm: nn.Module, _: object) -> None:
    """What was loaded says whether a normalisation has started."""
    assert isinstance(norm, ActNorm)
    norm.known_started = False


class ActNorm(_OfChannels):
    """``y = loc + exp(log_scale) x`` with two numbers for each feature of a vector, or each channel of a grid (Kingma
    and Dhariwal, 2018, Sec. 3.1).

    It starts from the first batch of a fit, so that what comes out has mean 0 and variance 1 in each channel, in
    whichever direction that batch passes; a channel that hardly varies is scaled as if it had a spread of 1e-3. Several
    processes start from what all of them have; of several microbatches the first one counts.
    """

    started: Tensor

    def __init__(self, shape: int | tuple[int, ...]) -> None:
        super().__init__(shape)
        self.loc = nn.Parameter(torch.zeros(self.channels))
        self.log_scale = nn.Parameter(torch.zeros(self.channels))
        self.register_buffer("started", torch.tensor(0.0))
        # Reading a number from a device waits for it: once is enough.
        self.known_started = False
        self.register_load_state_dict_post_hook(_ask_again)

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        if (found := self._first(x)) is not None:
            mean, log_spread = found
            self._start(-mean * (-log_spread).exp(), -log_spread)
        return self.loc + self.log_scale.exp() * x, self._at_all(self.log_scale.sum(), x)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        if (found := self._first(y)) is not None:
            self._start(*found)
        return (y - self.loc) * (-self.log_scale).exp(), self._at_all(-self.log_scale.sum(), y)

    @torch.no_grad()
    def _first(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Mean and log-spread of each channel, if this is the first batch of a fit."""
        if not self.training or self.known_started or self.started.is_meta:
            return None
        if self.started:
            self.known_started = True
            return None
        rows = x.detach().reshape(-1, self.channels).double()
        sums = torch.stack([torch.full_like(rows[0], len(rows)), rows.sum(0), rows.square().sum(0)])
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(sums)
        mean, square = (sums[1:] / sums[0]).unbind()
        return mean, 0.5 * (square - mean.square()).clamp_min(1e-6).log()

    @torch.no_grad()
    def _start(self, loc: Tensor, log_scale: Tensor) -> None:
        self.loc.copy_(loc)
        self.log_scale.copy_(log_scale)
        self.started.fill_(1.0)


__all__ = [
    "ActNorm",
    "Conv1x1",
    "Householder",
    "LULinear",
    "Matrix",
    "Orthogonal",
    "Permute",
    "Reverse",
]
