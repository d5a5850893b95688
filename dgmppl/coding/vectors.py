"""Laws of vectors whose elements depend on each other: element by element, each by its law given those before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.coding.cells import Cells
from dgmppl.coding.charts import AnglesOf
from dgmppl.coding.layout import plain
from dgmppl.coding.stack import CodingError
from dgmppl.runtime.counts import Multinomial
from dgmppl.runtime.densities import JointNormal, Mixture, Pushforward
from dgmppl.runtime.directions import log_bessel


class InOrder(Protocol):
    """The elements of a vector in the order in which they are chosen.

    Attributes:
        places: how many there are.
    """

    places: int

    def table(self, place: int) -> Tensor:
        """Logarithms of the probabilities of the cells of an element given those before, ``(*batch, K)``."""

    def take(self, place: int, value: Tensor, there: Tensor | None) -> None:
        """Its value is this, ``(*batch)``; `there`: where it has one, None for everywhere."""


class Independently(InOrder):
    """Elements that do not depend on each other."""

    def __init__(self, law: td.Independent, cells: Cells) -> None:
        axes = len(law.event_shape)
        self._weights = cells.log_weights(law.base_dist).flatten(-1 - axes, -2)
        self.places = self._weights.shape[-2]

    def table(self, place: int) -> Tensor:
        return self._weights[..., place, :]

    def take(self, place: int, value: Tensor, there: Tensor | None) -> None:
        pass


class Counts(InOrder):
    """Counts that sum to n, one after another: each is a binomial share of those that are left,
    ``x_v | x_<v ~ Binomial(n - sum_{u < v} x_u, p_v / sum_{u >= v} p_u)``; nothing is left for the last."""

    def __init__(self, law: Multinomial, cells: Cells) -> None:
        self.places = law.event_shape[0]
        self._logits, self._left = law.logits, law.total_count
        self._from_here = law.logits.flip(-1).logcumsumexp(-1).flip(-1)
        self._counts = cells.value(torch.arange(cells.size))

    def table(self, place: int) -> Tensor:
        counts, from_here = self._counts, self._from_here
        rest = self._left.unsqueeze(-1) - counts
        log_share = (self._logits - from_here)[..., place, None]
        last = place + 1 == self.places
        log_other = -torch.inf if last else (from_here[..., place + 1] - from_here[..., place]).unsqueeze(-1)
        ways = torch.lgamma(self._left.clamp_min(0) + 1).unsqueeze(-1)
        table = ways - torch.lgamma(counts + 1) - torch.lgamma(rest.clamp_min(0) + 1)
        table = table + _times(counts, log_share) + _times(rest, log_other)
        return table.masked_fill((counts < 0) | (rest < 0), -torch.inf)

    def take(self, place: int, value: Tensor, there: Tensor | None) -> None:
        self._left = self._left - value


def _times(count: Tensor, log_p: Tensor | float) -> Tensor:
    """``count log p``, 0 for a count of 0 whatever p is."""
    log_p = torch.as_tensor(log_p, dtype=count.dtype)
    return torch.where(count == 0, 0.0, count * log_p)


class Normally(InOrder):
    """A normal vector: with the Cholesky factor L of its covariance, ``x_i | x_<i ~ Normal(m_i + L_i,<i e_<i, L_ii)``,
    where ``e = L^-1 (x - m)`` of those before."""

    def __init__(self, law: td.MultivariateNormal | td.LowRankMultivariateNormal | JointNormal, cells: Cells) -> None:
        flat = law.flat if isinstance(law, JointNormal) else law
        self._mean, self._factor = flat.loc, flat.scale_tril
        self._noise = torch.zeros_like(self._mean)
        self._cells, self._axes = cells, len(law.event_shape)
        self.places = self._mean.shape[-1]

    def table(self, place: int) -> Tensor:
        law = td.Normal(self._centre(place), self._factor[..., place, place], validate_args=False)
        return self._cells.at(place, self._axes).log_weights(law)

    def take(self, place: int, value: Tensor, there: Tensor | None) -> None:
        self._noise[..., place] = (value - self._centre(place)) / self._factor[..., place, place]

    def _centre(self, i: int) -> Tensor:
        return self._mean[..., i] + (self._factor[..., i, :i] * self._noise[..., :i]).sum(-1)


class Direction(InOrder):
    """The angles of a direction under a von Mises-Fisher law, ``p(x) ~ exp(m . x)``. Given those before, with c the
    product of their sines, what is left of x is c times a direction of fewer dimensions D, and of its first angle

        p(a) ~ exp(c m_1 cos a) sin(a)^(D - 2) int exp(c |m_2...D| sin(a) u_1) du,

    the integral being that over directions u of D - 1 dimensions, ``I_v(t) / t^v`` with ``v = (D - 3) / 2`` but for a
    factor (Mardia and Jupp, 2000, Eq. 9.3.4). The density is taken in the middle of each cell.
    """

    def __init__(self, law: AnglesOf, cells: Cells) -> None:
        self._cells, self._towards = cells, law.towards
        self._sines = torch.ones_like(law.towards[..., 0])
        self.places = law.event_shape[0]

    def table(self, place: int) -> Tensor:
        cells = self._cells.at(place, 1)
        angle = cells.value(torch.arange(cells.size))
        here = self._sines.unsqueeze(-1) * self._towards[..., place:]
        along = here[..., :1] * angle.cos()
        if place + 1 == self.places:
            return (along + here[..., 1:] * angle.sin()).log_softmax(-1)
        length = here.shape[-1]
        t = here[..., 1:].norm(dim=-1, keepdim=True) * angle.sin()
        inner = log_bessel(t, (length - 3) / 2) + t
        return (along + inner + (length - 2) * angle.sin().log()).log_softmax(-1)

    def take(self, place: int, value: Tensor, there: Tensor | None) -> None:
        self._sines = self._sines * value.sin()


class Mixed(InOrder):
    """A mixture of vectors: what is known of the class after each element weighs the components of the next,
    ``p(x_d | x_<d) = sum_k p(k | x_<d) p_k(x_d | x_<d)``. What is missing says nothing of it."""

    def __init__(self, law: Mixture, cells: Cells) -> None:
        self._axes = len(law.event_shape)
        self._cells = cells
        self._steps = _steps(plain(law.components), cells.along(self._axes))
        self._of_class = law.logits.expand(*law.batch_shape, -1)
        self.places = self._steps.places

    def table(self, place: int) -> Tensor:
        self._each = self._steps.table(place)  # (*batch, k, K)
        return torch.logsumexp(self._of_class.unsqueeze(-1) + self._each, -2)

    def take(self, place: int, value: Tensor, there: Tensor | None) -> None:
        index = self._cells.at(place, self._axes).index(value).unsqueeze(-1).unsqueeze(-1)
        said = self._each.gather(-1, index.expand(*self._each.shape[:-1], 1)).squeeze(-1)
        there = None if there is None else there.unsqueeze(-1)
        self._of_class = self._of_class + (said if there is None else torch.where(there, said, 0.0))
        self._steps.take(place, value.unsqueeze(-1), there)


class Several(InOrder):
    """Vectors that do not depend on each other, one after another."""

    def __init__(self, law: td.Independent, cells: Cells) -> None:
        self._law, self._cells = law.base_dist, cells
        self._count = law.event_shape[: law.reinterpreted_batch_ndims].numel()
        self._axes = law.reinterpreted_batch_ndims
        self._steps = _steps(law.base_dist, cells)
        self.places = self._count * self._steps.places

    def table(self, place: int) -> Tensor:
        vector, inner = divmod(place, self._steps.places)
        if place and not inner:
            self._steps = _steps(self._law, self._cells)
        return self._steps.table(inner).flatten(-1 - self._axes, -2)[..., vector, :]

    def take(self, place: int, value: Tensor, there: Tensor | None) -> None:
        # The other vectors take the same; their tables are not those that are read.
        inner = place % self._steps.places
        self._steps.take(inner, value.reshape(*value.shape, *[1] * self._axes), there)


def in_order(law: td.Distribution, cells: Cells) -> InOrder | None:
    """The elements of a law in order; None for one of single elements, and of vectors whose order is not known."""
    if not law.event_shape:
        return None
    if isinstance(law, td.Independent):
        return Several(law, cells) if law.base_dist.event_shape else Independently(law, cells)
    return next((how(law, cells) for kind, how in _KINDS.items() if isinstance(law, kind)), None)


def _steps(law: td.Distribution, cells: Cells) -> InOrder:
    found = in_order(law, cells)
    if found is None:
        raise no_order(f"a mixture of {called(law)}")
    return found


def called(law: td.Distribution) -> str:
    """What a law is, as a spec has it."""
    while isinstance(law, td.Independent):
        law = law.base_dist
    return "flows" if isinstance(law, Pushforward) else type(law).__name__


def no_order(what: str) -> CodingError:
    """A law of vectors whose elements cannot be coded one after another."""
    return CodingError(
        f"{what} has no code: its elements depend on each other, and the probability of one given those before has no "
        "formula",
        "it has one for elements that are independent, normal or autoregressive, and for mixtures of these"
        + ("; a mixture that is mapped as a whole is one too: mixture[...](...) >> flow" * ("flows" in what)),
    )


_KINDS: dict[type[td.Distribution], Callable[..., InOrder]] = {
    Multinomial: Counts,
    td.MultivariateNormal: Normally,
    td.LowRankMultivariateNormal: Normally,
    JointNormal: Normally,
    AnglesOf: Direction,
    Mixture: Mixed,
}

__all__ = ["InOrder", "called", "in_order", "no_order"]
