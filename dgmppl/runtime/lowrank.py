"""Bijections of a vector that move it by few functions of few directions: planar, radial and Sylvester flows.

Each keeps to parameters for which it is invertible, whatever its numbers are. Its inverse has no closed form but for
the radial one, and is searched for.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgmppl.runtime.bijections import NOTHING, Bijection, ByNumbers, Context, names_of
from dgmppl.runtime.jacobians import Map, log_det, polished
from dgmppl.runtime.linear import reflected
from dgmppl.runtime.roots import increasing_root

_SHIFT = math.log(math.e - 1)  # softplus of it is 1
DIAGONAL_BOUND = 0.995


def above_minus_one(x: Tensor) -> tuple[Tensor, Tensor]:
    """``m(x) = -1 + log(1 + (e - 1) exp(x))``, increasing from -1 and 0 at 0; and ``1 + m(x)`` to all digits."""
    plus_one = F.softplus(x + _SHIFT).clamp_min(torch.finfo(x.dtype).tiny)
    return plus_one - 1, plus_one


class Planar(ByNumbers):
    """``y = x + u tanh(w^T x + b)`` (Rezende and Mohamed, 2015, Eq. 10), with ``log |1 + w^T u tanh'(w^T x + b)|``.

    It is invertible for ``w^T u > -1``, so the part of u along w is replaced by ``m(w^T u) w / |w|^2`` with m
    increasing from -1 (their Appendix A.1, where m is shifted: here ``m(0) = 0``, so that u = 0 is the identity).
    The inverse is that of ``a + w^T u tanh(a + b) = w^T y`` in the number a (bisection).

    Args:
        features: number of features D; the numbers are u, w and b, 2 D + 1 of them.
        conditioner, context, copies: as for ByNumbers.
    """

    def count(self) -> int:
        return 2 * self.features + 1

    def _parts(self, context: Context) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """u, w and b, and ``w^T u`` and ``1 + w^T u``, both with an axis of one."""
        u, w, b = self._numbers(context).split((self.features, self.features, 1), -1)
        along = (w * u).sum(-1, keepdim=True)
        wanted, plus_one = above_minus_one(along)
        norm = w.square().sum(-1, keepdim=True).clamp_min(torch.finfo(w.dtype).tiny)
        return u + (wanted - along) * w / norm, w, b, wanted, plus_one

    def _log_det(self, bent: Tensor, plus_one: Tensor) -> Tensor:
        """``log(1 + w^T u (1 - tanh^2))`` as ``log(tanh^2 + (1 + w^T u) (1 - tanh^2))``, both of which are positive."""
        square = bent.square()
        return torch.log(square + plus_one * (1 - square)).squeeze(-1)

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        u, w, b, _, plus_one = self._parts(context)
        bent = torch.tanh((w * x).sum(-1, keepdim=True) + b)
        return x + u * bent, self._log_det(bent, plus_one)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        u, w, b, along, plus_one = self._parts(context)
        wanted = (w * y).sum(-1, keepdim=True)

        def f(a: Tensor) -> tuple[Tensor, Tensor]:
            bent = torch.tanh(a + b)
            square = bent.square()
            return a + along * bent, square + plus_one * (1 - square)

        bent = torch.tanh(increasing_root(f, wanted, wanted - along.abs(), wanted + along.abs()) + b)
        return y - u * bent, -self._log_det(bent, plus_one)


class Radial(ByNumbers):
    """``y = x + beta (x - c) / (alpha + r)`` with ``r = |x - c|`` (Rezende and Mohamed, 2015, Eq. 14).

    It is invertible for ``alpha > 0`` and ``beta > -alpha`` (their Appendix A.2): alpha is a softplus, and
    ``beta = alpha m(b)`` with m increasing from -1 and 0 at 0. The inverse is a root of
    ``r^2 + (alpha + beta - s) r = alpha s`` with ``s = |y - c|``.

    Args:
        features: number of features D; the numbers are c, and those of alpha and beta, D + 2 of them.
        conditioner, context, copies: as for ByNumbers.
    """

    def count(self) -> int:
        return self.features + 2

    def _parts(self, context: Context) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """c, alpha, beta and ``alpha + beta``, the numbers with an axis of one."""
        centre, raw_alpha, raw_beta = self._numbers(context).split((self.features, 1, 1), -1)
        alpha = F.softplus(raw_alpha + _SHIFT).clamp_min(torch.finfo(raw_alpha.dtype).tiny)
        more, plus_one = above_minus_one(raw_beta)
        return centre, alpha, alpha * more, alpha * plus_one

    def _log_det(self, r: Tensor, alpha: Tensor, beta: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        """``1 + beta / (alpha + r)``, by which directions across are stretched, and the logarithm of the determinant;
        along, it is ``1 + alpha beta / (alpha + r)^2``."""
        far = alpha + r
        across = (r + total) / far
        along = (r * (far + alpha) + alpha * total) / far.square()
        return across, ((self.features - 1) * across.log() + along.log()).squeeze(-1)

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        centre, alpha, beta, total = self._parts(context)
        across, log_det = self._log_det(_length(x - centre), alpha, beta, total)
        return centre + across * (x - centre), log_det

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        centre, alpha, beta, total = self._parts(context)
        s = _length(y - centre)
        gap = total - s
        root = torch.sqrt(gap.square() + 4 * alpha * s)
        # Two forms of one root; each loses no digits where the other does.
        r = torch.where(gap > 0, 2 * alpha * s / (root + gap.abs()), (root - gap) / 2)
        across, log_det = self._log_det(r, alpha, beta, total)
        return centre + (y - centre) / across, -log_det


def _length(x: Tensor) -> Tensor:
    """The length of a vector, with an axis of one; its gradient at 0 is 0."""
    return torch.sqrt(x.square().sum(-1, keepdim=True) + torch.finfo(x.dtype).tiny)


class Sylvester(ByNumbers):
    """``y = x + Q R tanh(S Q^T x + b)`` with orthonormal columns in Q, and R and S upper triangular (van den Berg et
    al., 2018, Eq. 13).

    ``log |det| = sum_i log(1 + r_ii s_ii tanh'_i)``. Diagonals lie between -0.995 and 0.995, so that each of these
    slopes is positive. The inverse goes through the elements of ``v = Q^T x`` from the last to the first:
    ``v_i + r_ii tanh(s_ii v_i + ...)`` increases in v_i once those behind it are known (bisection).

    Q has M columns by Gram and Schmidt from D x M numbers, the identity's where they are 0 (`orthogonal`), is a product
    of H reflections (`householder`, M = D), or the identity (M = D; with `Reverse` in between, their triangular flow).

    Args:
        features: number of features D.
        orthogonal: M, at most D; 0 for another form.
        householder: H; 0 for another form.
        conditioner, context, copies: as for ByNumbers. The numbers are those of Q, then b, the diagonals of R and S,
            and what is above these.
    """

    def __init__(
        self,
        features: int,
        orthogonal: int = 0,
        householder: int = 0,
        conditioner: nn.Module | None = None,
        context: str | tuple[str, ...] = (),
        copies: int = 0,
    ) -> None:
        if orthogonal > features or (orthogonal and householder):
            raise ValueError("Q has up to as many columns as there are features, or is made of reflections")
        self.orthogonal, self.householder = orthogonal, householder
        self.columns = m = orthogonal or features
        self.sizes = [features * (orthogonal or householder), m, m, m, m * (m - 1) // 2, m * (m - 1) // 2]
        super().__init__(features, conditioner, context, copies)

    def count(self) -> int:
        return sum(self.sizes)

    def _parts(self, context: Context) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
        """Q, None for the identity; b, R and S."""
        q, b, r, s, above_r, above_s = self._numbers(context).split(self.sizes, -1)
        rows, columns = torch.triu_indices(self.columns, self.columns, 1, device=b.device)

        def triangular(diagonal: Tensor, above: Tensor) -> Tensor:
            empty = above.new_zeros(*above.shape[:-1], self.columns, self.columns)
            empty[..., rows, columns] = above
            return empty + torch.diag_embed(DIAGONAL_BOUND * torch.tanh(diagonal))

        return self._columns(q), b, triangular(r, above_r), triangular(s, above_s)

    def _columns(self, q: Tensor) -> Tensor | None:
        eye = torch.eye(self.features, self.columns, dtype=q.dtype, device=q.device)
        if self.orthogonal:
            q, r = torch.linalg.qr(eye + q.unflatten(-1, (self.features, self.columns)))
            signs = torch.where(torch.diagonal(r, dim1=-2, dim2=-1) < 0, -1.0, 1.0)
            return q * signs.unsqueeze(-2)  # as Gram and Schmidt have them, so that Q follows its numbers
        if not self.householder:
            return None
        rows = eye.expand(*q.shape[:-1], *eye.shape)
        for v in q.unflatten(-1, (self.householder, self.features)).unbind(-2):
            rows = reflected(rows, v.unsqueeze(-2))
        return rows

    def _slopes(self, bent: Tensor, r: Tensor, s: Tensor) -> Tensor:
        """``1 + r_ii s_ii tanh'_i``."""
        return 1 + torch.diagonal(r * s, dim1=-2, dim2=-1) * (1 - bent.square())

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        q, b, r, s = self._parts(context)
        bent = torch.tanh(_times(s, x if q is None else _times(q.mT, x)) + b)
        moved = _times(r, bent)
        return x + (moved if q is None else _times(q, moved)), self._slopes(bent, r, s).log().sum(-1)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        q, b, r, s = self._parts(context)
        wanted = y if q is None else _times(q.mT, y)
        found: list[Tensor] = []  # v and tanh, from the last element to the first
        bents: list[Tensor] = []
        for i in reversed(range(self.columns)):
            behind_v = b[..., i] + _dot(s[..., i, i + 1 :], found)
            behind_y = wanted[..., i] - _dot(r[..., i, i + 1 :], bents)
            v = self._element(behind_y, behind_v, r[..., i, i], s[..., i, i])
            found.insert(0, v)
            bents.insert(0, torch.tanh(s[..., i, i] * v + behind_v))
        bent = torch.stack(bents, -1)
        moved = _times(r, bent)
        return y - (moved if q is None else _times(q, moved)), -self._slopes(bent, r, s).log().sum(-1)

    def _element(self, y: Tensor, shift: Tensor, r: Tensor, s: Tensor) -> Tensor:
        """v with ``v + r tanh(s v + shift) = y``."""

        def f(v: Tensor) -> tuple[Tensor, Tensor]:
            bent = torch.tanh(s * v + shift)
            return v + r * bent, 1 + r * s * (1 - bent.square())

        return increasing_root(f, y + torch.zeros_like(shift), y - r.abs(), y + r.abs())


class ConvexPotential(Bijection):
    """``y = x + W tanh(W^T x + b)``, the gradient of the convex function ``|x|^2 / 2 + sum_i log cosh(w_i^T x + b_i)``
    (Huang et al., 2021, Sec. 3): it is invertible whatever W and b are.

    By the matrix determinant lemma ``det = det(I + W^T W diag(tanh'))``, of as many rows as W has columns. The inverse
    is searched for in the values ``t = W^T x``, of which ``t + W^T W tanh(t + b) = W^T y``, by Newton's method with
    steps that bring what is left of this equation down. No other point than the root keeps them from it, since the
    Jacobian is regular everywhere.

    Args:
        context: the names of W, ``(..., D, M)``, and, where there is one, of b, ``(..., M)``.
    """

    def __init__(self, context: str | tuple[str, ...]) -> None:
        super().__init__()
        self.reads = dict(zip(names_of(context), (2, 1)))

    def _parts(self, context: Context) -> tuple[Tensor, Tensor, Tensor]:
        """W, ``W^T W`` and b."""
        matrix, *shift = self._read(context)
        return matrix, matrix.mT @ matrix, shift[0] if shift else matrix.new_zeros(matrix.shape[-1])

    def _log_det(self, gram: Tensor, bent: Tensor) -> Tensor:
        return log_det(_regular(gram, bent))

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        matrix, gram, shift = self._parts(context)
        bent = torch.tanh(_times(matrix.mT, x) + shift)
        return x + _times(matrix, bent), self._log_det(gram, bent)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        matrix, gram, shift = self._parts(context)

        def f(t: Tensor) -> Tensor:
            return t + _times(gram, torch.tanh(t + shift))

        wanted = _times(matrix.mT, y) + torch.zeros_like(shift)
        t = polished(f, wanted, self._root(f, gram, shift, wanted), 0)
        bent = torch.tanh(t + shift)
        return y - _times(matrix, bent), -self._log_det(gram, bent)

    @torch.no_grad()
    def _root(self, f: Map, gram: Tensor, shift: Tensor, wanted: Tensor) -> Tensor:
        """t with ``f(t)`` as wanted, to the precision of that."""
        t, share = wanted, wanted.new_ones(*wanted.shape[:-1], 1)
        left = wanted - f(t)
        for _ in range(1 if wanted.is_meta else _MOST_STEPS):
            step = torch.linalg.solve(_regular(gram, torch.tanh(t + shift)), left.unsqueeze(-1)).squeeze(-1)
            nearer = t + share * step
            rest = wanted - f(nearer)
            better = rest.norm(dim=-1, keepdim=True) < left.norm(dim=-1, keepdim=True)
            t, left = torch.where(better, nearer, t), torch.where(better, rest, left)
            share = torch.where(better, (2 * share).clamp_max(1), share / 2)
            near = torch.finfo(t.dtype).eps * (1 + wanted.abs().amax(-1, keepdim=True))
            if not t.is_meta and bool((left.norm(dim=-1, keepdim=True) <= near).all()):
                break
        return t


_MOST_STEPS = 60


def _regular(gram: Tensor, bent: Tensor) -> Tensor:
    """``I + G diag(1 - tanh^2)``, a matrix of positive determinant."""
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    return eye + gram * (1 - bent.square()).unsqueeze(-2)


def _times(matrix: Tensor, x: Tensor) -> Tensor:
    return (matrix @ x.unsqueeze(-1)).squeeze(-1)


def _dot(row: Tensor, values: list[Tensor]) -> Tensor:
    """``sum_k row_k values_k``, 0 for no values."""
    if not values:
        return row.sum(-1)
    return (row * torch.stack(values, -1)).sum(-1)


__all__ = ["ConvexPotential", "Planar", "Radial", "Sylvester"]
