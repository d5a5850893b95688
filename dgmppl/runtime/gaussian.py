"""Gaussian integrals: latents that are normal, of which all that depends on them is normal with an affine mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dgmppl.runtime.along import Sequence
from dgmppl.runtime.choices import drawing
from dgmppl.runtime.distributions import Distribution, MultivariateNormal
from dgmppl.runtime.lengths import exists


@dataclass(frozen=True)
class NormalGiven:
    """A normal density of each element, whose mean is affine in the latents of an integral.

    Args:
        value: what it is a density of: a tensor ``(n, *shape)``, or the name of one of the latents; of a sequence each
            member given the others.
        law: the density, from a value of each latent ``(m, *shape)`` and from `given`, as many rows of each. Its
            standard deviation does not depend on the latents.
        given: what it depends on besides, ``(n, ...)`` each.
        partial: whether elements of the value may be missing (NaN): those are integrated out.
        own: whether members of a sequence depend on others of it.
    """

    value: Tensor | str
    law: Callable[..., Distribution]
    given: tuple[Tensor, ...] = ()
    partial: bool = False
    own: bool = False

    def __init__(
        self,
        value: Tensor | str,
        law: Callable[..., Distribution],
        *given: Tensor,
        partial: bool = False,
        own: bool = False,
    ) -> None:
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "law", law)
        object.__setattr__(self, "given", given)
        object.__setattr__(self, "partial", partial)
        object.__setattr__(self, "own", own)


class LinearGaussian:
    """The integral of normal densities over latents z in which their means are affine.

    Each density is that of ``t - H z`` for a row: their product is ``exp(c + eta z - z Lambda z / 2)`` with
    ``Lambda = sum H' S^-1 H`` and ``eta = sum H' S^-1 t``, S the variances, so that the posterior of z is
    ``Normal(Lambda^-1 eta, Lambda^-1)`` (Bishop, 2006, Pattern Recognition and Machine Learning, Eqs. 2.113 to 2.117).
    H and t are read off the densities themselves at 0 and at the unit vectors. All of it is in double precision.
    Where Lambda has no root in that, or is not finite, all that follows is NaN, which a fit reports.

    Some of them may be seen, element by element: with values s there the rest m has ``Lambda_mm`` and
    ``eta_m - Lambda_ms s``, and ``eta_s s - s Lambda_ss s / 2`` is added to c.

    Args:
        latents: the shape of each latent.
        densities: of the latents, one each, and of what depends on them.
        seen: what is seen of some of them, ``(n, *shape)``, NaN where it is not.
    """

    def __init__(
        self,
        latents: Mapping[str, tuple[int, ...]],
        *densities: NormalGiven,
        seen: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.latents = dict(latents)
        self.given = dict(seen or {})
        self.like = next(d for d in (*(d.value for d in densities), *self.given.values()) if isinstance(d, Tensor))
        sizes = [math.prod(shape) for shape in self.latents.values()]
        ends = [sum(sizes[: k + 1]) for k in range(len(sizes))]
        self.places = {name: slice(end - size, end) for name, size, end in zip(self.latents, sizes, ends)}
        self.size = ends[-1]
        precision, linear, self.constant = (self.like.new_zeros((), dtype=torch.double) for _ in range(3))
        for density in densities:
            matrix, target, scale, there = self._standardised(density)
            logs = scale.log() + 0.5 * math.log(2 * math.pi)
            if there is not None or (density.partial and isinstance(density.value, Tensor)):
                assert isinstance(density.value, Tensor)
                told = ~density.value.isnan().reshape(len(density.value), -1)
                told = told if there is None else told & there
                matrix, target, logs = (torch.where(told.unsqueeze(-1), matrix, 0.0), *_where(told, target, logs))
            precision = precision + matrix.mT @ matrix
            linear = linear + (matrix.mT @ target.unsqueeze(-1)).squeeze(-1)
            self.constant = self.constant - (0.5 * target.square() + logs).sum(-1)
        self.seen = self._seen()
        if self.seen is not None:
            precision, linear = self._conditioned(self.seen, precision, linear)
        self.cholesky = _root(precision)
        # L^-1 eta, of each row: one solution with a column for each where the precision is that of all rows.
        self.whitened = self._solved(linear)

    def log_density(self) -> Tensor:
        """The logarithm of the integral for each row, ``(n,)``, nats."""
        logs = self.cholesky.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        found = self.constant + 0.5 * self.whitened.square().sum(-1) - logs + 0.5 * self.size * math.log(2 * math.pi)
        return found.to(self.like.dtype)

    def read(self, mean: bool) -> tuple[Tensor, ...]:
        """A value of each latent ``(n, *shape)``: the mean of its posterior, or a joint draw."""
        draw = drawing()
        if mean or draw is None:
            noise = 0.0 if mean else torch.randn_like(self.whitened)
            found = self._solved(self.whitened + noise, transposed=True)
        else:
            root = _root(torch.cholesky_inverse(self.cholesky))
            found = draw(self._solved(self.whitened, transposed=True), root, self._side_by_side)
        if self.seen is not None:
            found = torch.where(self.seen.isnan(), found, self.seen)
        return tuple(self._part(found, name) for name in self.latents)

    def marginals(self) -> dict[str, Distribution]:
        """The posterior of each latent alone, of batch shape ``(n,)``, its elements one after another; of none that may
        be seen."""
        mean, covariance = self._solved(self.whitened, transposed=True), torch.cholesky_inverse(self.cholesky)
        dtype, found = self.like.dtype, dict[str, Distribution]()
        for name, place in self.places.items():
            if name in self.given:
                continue
            root = _root(covariance[..., place, place]).to(dtype).expand(len(mean), -1, -1)
            found[name] = MultivariateNormal(mean[..., place].to(dtype), scale_tril=root)
        return found

    def posterior(self, name: str, **before: Tensor) -> tuple[Tensor, Tensor, tuple[int, ...]]:
        """The posterior of a latent given values of all those before it: the arguments of a `JointNormal`."""
        kept = list(self.latents)[: len(before)]
        mean = self._solved(self.whitened, transposed=True)
        covariance = torch.cholesky_inverse(self.cholesky)
        place = self.places[name]
        loc, cov = mean[..., place], covariance[..., place, place]
        if kept:
            values = torch.cat([before[k].double().reshape(len(before[k]), -1) for k in kept], -1)
            known = slice(0, self.places[kept[-1]].stop)
            gain = torch.linalg.solve(covariance[..., known, known], covariance[..., known, place]).mT
            loc = loc + (gain @ (values - mean[..., known]).unsqueeze(-1)).squeeze(-1)
            cov = cov - gain @ covariance[..., known, place]
        root = _root(0.5 * (cov + cov.mT))
        dtype = self.like.dtype
        return loc.to(dtype), root.to(dtype).expand(*loc.shape, -1), self.latents[name]

    def _seen(self) -> Tensor | None:
        """What is seen of all latents, one after another, ``(n, size)``; NaN where nothing is."""
        if not self.given:
            return None
        rows = len(next(iter(self.given.values())))
        found = torch.full((rows, self.size), torch.nan, dtype=torch.double, device=self.like.device)
        for name, value in self.given.items():
            found[:, self.places[name]] = value.double().reshape(rows, -1)
        return found

    def _conditioned(self, seen: Tensor, precision: Tensor, linear: Tensor) -> tuple[Tensor, Tensor]:
        """Lambda and eta of each row given what is seen of it, which adds to the constant. In the place of what is seen
        stand numbers of their own that integrate to one, of mean 0 and precision 2 pi."""
        there, known = ~seen.isnan(), seen.nan_to_num(0.0)
        pulled = (precision @ known.unsqueeze(-1)).squeeze(-1)
        self.constant = self.constant + ((linear - 0.5 * pulled) * known).sum(-1)
        gone = there.unsqueeze(-1) | there.unsqueeze(-2)
        precision = torch.where(gone, 2 * math.pi * torch.diag_embed(there.double()), precision)
        return precision, torch.where(there, 0.0, linear - pulled)

    def _standardised(self, density: NormalGiven) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """H and t of a density, over its standard deviation, ``(n or 1, size of its value, latents)`` and ``(n or 1,
        size)``; the deviation itself; and which elements exist, ``(n, size)``, where rows have lengths of their own."""
        rows = len(density.given[0]) if density.given else 1
        if density.own and isinstance(density.value, Tensor):
            rows = len(density.value)
        points = torch.cat([self.like.new_zeros(1, self.size), torch.eye(self.size).to(self.like)])
        values = [self._part(points.repeat_interleave(rows, 0), name) for name in self.latents]
        law = density.law(*values, *(g.repeat(len(points), *[1] * (g.dim() - 1)) for g in density.given))
        there: Tensor | None = None
        if isinstance(law, Sequence):
            assert isinstance(density.value, Tensor)
            whole = (
                density.value.repeat(len(points), *[1] * (density.value.dim() - 1)) if density.own else density.value
            )
            batch, shape = (len(points), rows), (len(points) * rows, *law.event_shape)
            mean, deviation = (m.expand(shape) for m in law.moments(whole if density.own else whole[:1]))
            if law.lengths is not None:
                there = exists(law.lengths[: len(density.value)], law.event_shape[0])
                there = there.repeat_interleave(math.prod(law.event_shape[1:]), -1)
        else:
            batch = (len(points), rows) if law.batch_shape else (1, 1)
            mean, deviation = law.mean, law.stddev
        means = mean.double().reshape(*batch, -1).expand(len(points), *batch[1:], -1)
        scale = deviation.double().reshape(*batch, -1)[0]
        offset, matrix = means[0], (means[1:] - means[0]).movedim(0, -1)
        if isinstance(density.value, str):
            unit = torch.eye(self.size).to(means)[self.places[density.value]]
            return (unit - matrix) / scale.unsqueeze(-1), offset / scale, scale, None
        value = density.value.nan_to_num(0.0) if density.partial else density.value
        target = value.double().reshape(len(value), -1) - offset
        return matrix / scale.unsqueeze(-1), target / scale, scale, there

    def _side_by_side(self, values: Mapping[str, Tensor]) -> Tensor:
        """Rows of all latents from values ``(n, *shape)`` of each."""
        return torch.cat([values[name].double().reshape(len(values[name]), -1) for name in self.latents], -1)

    def _part(self, rows: Tensor, name: str) -> Tensor:
        """The part ``(n, *shape)`` of rows of all latents that is one of them."""
        return rows[..., self.places[name]].to(self.like.dtype).reshape(len(rows), *self.latents[name])

    def _solved(self, rows: Tensor, transposed: bool = False) -> Tensor:
        """L^-1 of each row, or its transpose."""
        root = self.cholesky.mT if transposed else self.cholesky
        if root.dim() == 2 or len(root) == 1:
            root = root.reshape(self.size, self.size)
            return torch.linalg.solve_triangular(root, rows.mT, upper=transposed).mT
        return torch.linalg.solve_triangular(root, rows.unsqueeze(-1), upper=transposed).squeeze(-1)


def _where(seen: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
    return tuple(torch.where(seen, value, 0.0) for value in values)


def _root(matrix: Tensor) -> Tensor:
    """The lower triangular root of a symmetric matrix, NaN where it has none."""
    root, failed = torch.linalg.cholesky_ex(matrix)
    return torch.where((failed > 0)[..., None, None], torch.nan, root)


__all__ = ["LinearGaussian", "NormalGiven"]
