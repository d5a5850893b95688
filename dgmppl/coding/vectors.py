"""Laws of vectors whose elements depend on each other: element by element, each by its law given those before."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.coding.cells import Bins, Cells
from dgmppl.runtime.counts import Multinomial
from dgmppl.runtime.densities import JointNormal

Choose = Callable[[Tensor, Cells, Tensor | None, Tensor | None], Tensor]
"""Chooses elements ``(*batch)`` by the logarithms of the weights of their cells ``(*batch, K)``: these, the cells, what
is known of the elements, and where they are there."""


def multinomial(law: Multinomial, cells: Cells, choose: Choose, known: Tensor | None, seen: Tensor | None) -> Tensor:
    """Counts that sum to n, one after another: each is a binomial share of those that are left,
    ``x_v | x_<v ~ Binomial(n - sum_{u < v} x_u, p_v / sum_{u >= v} p_u)``; nothing is left for the last."""
    left, last = law.total_count, law.event_shape[0] - 1
    from_here = law.logits.flip(-1).logcumsumexp(-1).flip(-1)
    counts = cells.value(torch.arange(cells.size))
    found: list[Tensor] = []
    for v in range(last + 1):
        rest = left.unsqueeze(-1) - counts
        log_share = (law.logits - from_here)[..., v, None]
        log_other = (
            (from_here[..., v + 1] - from_here[..., v]).unsqueeze(-1) if v + 1 < law.event_shape[0] else -torch.inf
        )
        table = -torch.lgamma(counts + 1) - torch.lgamma(rest.clamp_min(0) + 1)
        table = table + _times(counts, log_share) + _times(rest, log_other)
        table = table.masked_fill((counts < 0) | (rest < 0), -torch.inf)
        this, there = (None if x is None else x[..., v] for x in (known, seen))
        found.append(choose(table, cells, this, there))
        left = left - found[-1]
    return torch.stack(found, -1)


def _times(count: Tensor, log_p: Tensor | float) -> Tensor:
    """``count log p``, 0 for a count of 0 whatever p is."""
    log_p = torch.as_tensor(log_p, dtype=count.dtype)
    return torch.where(count == 0, 0.0, count * log_p)


def normal_vector(
    law: td.MultivariateNormal | td.LowRankMultivariateNormal | JointNormal,
    cells: Cells,
    choose: Choose,
    known: Tensor | None,
    seen: Tensor | None,
) -> Tensor:
    """A normal vector: with the Cholesky factor L of its covariance, ``x_i | x_<i ~ Normal(m_i + L_i,<i e_<i, L_ii)``,
    where ``e = L^-1 (x - m)`` of those before."""
    assert isinstance(cells, Bins)
    flat = law.flat if isinstance(law, JointNormal) else law
    mean, factor = flat.loc, flat.scale_tril
    event = law.event_shape
    batch = len(law.batch_shape)
    bins = Bins(cells.loc.reshape(-1), cells.scale.reshape(-1), cells.size)
    this = None if known is None else known.flatten(batch)
    there = None if seen is None else seen.expand(law.batch_shape + event).flatten(batch)
    found, noise = torch.zeros_like(mean), torch.zeros_like(mean)
    for i in range(mean.shape[-1]):
        centre = mean[..., i] + (factor[..., i, :i] * noise[..., :i]).sum(-1)
        each = td.Normal(centre, factor[..., i, i], validate_args=False)
        part = Bins(bins.loc[i], bins.scale[i], bins.size)
        of = (None if v is None else v[..., i] for v in (this, there))
        found[..., i] = choose(part.log_weights(each), part, *of)
        noise[..., i] = (found[..., i] - centre) / factor[..., i, i]
    return found.reshape(law.batch_shape + event)


__all__ = ["multinomial", "normal_vector"]
