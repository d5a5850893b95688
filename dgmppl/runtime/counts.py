"""Distributions of counts: right for large ones too, and 0 for what is no count."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch import distributions as td
from torch.distributions import constraints, register_kl
from torch.distributions.utils import broadcast_all
from torch.nn import functional as F

from dgmppl.runtime.distributions import Size, Unchecked
from dgmppl.runtime.positives import in_double, log_gamma_draw
from dgmppl.runtime.shapes import broadcast_shapes
from dgmppl.runtime.special import lgamma_rise, outside, wide

# torch draws counts as 64-bit integers.
_MOST = 1e18


class Poisson(Unchecked, td.Poisson):
    """``P(x) = rate^x exp(-rate) / x!`` for x = 0, 1, ..."""

    def sample(self, sample_shape: Size = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        with torch.no_grad():
            return torch.poisson(self.rate.expand(shape).clamp(max=_MOST))

    def log_prob(self, value: Tensor) -> Tensor:
        wrong = outside(value, 0.0, whole=True)
        rate, x = wide(self.rate, value.masked_fill(wrong, 0.0))
        found = torch.xlogy(x, rate) - rate - torch.lgamma(x + 1)
        return found.masked_fill(wrong, -torch.inf).to(self.rate.dtype)


class NegativeBinomial(Unchecked, td.NegativeBinomial):
    """``P(x) = Gamma(n + x) / (Gamma(n) x!) (1 - p)^n p^x`` for x = 0, 1, ..., with n = total_count and p the
    sigmoid of the logits: a Poisson variable whose rate is Gamma(n, exp(-logits))."""

    def sample(self, sample_shape: Size = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        with torch.no_grad():
            n, logits = self.total_count.expand(shape), self.logits.expand(shape)
            return torch.poisson((log_gamma_draw(n) + n.log() + logits).exp().clamp(max=_MOST))

    def log_prob(self, value: Tensor) -> Tensor:
        wrong = outside(value, 0.0, whole=True)
        n, logits, x = wide(*broadcast_all(self.total_count, self.logits, value.masked_fill(wrong, 0.0)))
        found = n * F.logsigmoid(-logits) + x * F.logsigmoid(logits) + lgamma_rise(n, x) - torch.lgamma(x + 1)
        return found.masked_fill(wrong, -torch.inf).to(self._param.dtype)


class Geometric(Unchecked, td.Geometric):
    """``P(x) = p (1 - p)^x`` for x = 0, 1, ..., with p the sigmoid of the logits: failures before a success."""

    def sample(self, sample_shape: Size = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        with torch.no_grad():
            survival = -F.logsigmoid(-self.logits)
            waiting = torch.empty(shape, dtype=survival.dtype, device=survival.device).exponential_()
            return (waiting / survival).floor().clamp(max=_MOST)

    def log_prob(self, value: Tensor) -> Tensor:
        wrong = outside(value, 0.0, whole=True)
        found = value.masked_fill(wrong, 0.0) * F.logsigmoid(-self.logits) + F.logsigmoid(self.logits)
        return found.masked_fill(wrong, -torch.inf)


class Multinomial(Unchecked):
    """``P(x) = n! prod_v p_v^x_v / x_v!`` for counts x that sum to n, with p the softmax of the logits.

    Args:
        total_count: n, ``(...)``.
        logits: ``(..., V)``.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.multinomial(None)

    def __init__(self, total_count: Tensor | float, logits: Tensor) -> None:
        total_count = torch.as_tensor(total_count, dtype=logits.dtype, device=logits.device)
        batch = broadcast_shapes(total_count.shape, logits.shape[:-1])
        self.total_count, self.logits = total_count.expand(batch), F.log_softmax(logits, -1).expand(*batch, -1)
        super().__init__(batch, logits.shape[-1:])

    @property
    def mean(self) -> Tensor:
        return self.total_count.unsqueeze(-1) * self.logits.exp()

    def expand(self, batch_shape: Size, _instance: Any = None) -> Any:
        new = self.__new__(type(self)) if _instance is None else _instance
        new.__dict__.update(self.__dict__)
        new._batch_shape = torch.Size(batch_shape)
        new.total_count = self.total_count.expand(batch_shape)
        new.logits = self.logits.expand(*batch_shape, -1)
        return new

    @torch.no_grad()
    def sample(self, sample_shape: Size = ()) -> Tensor:
        """One class after another, each a binomial share of the draws that are left."""
        shape = self._extended_shape(torch.Size(sample_shape))
        left, log_p = wide(self.total_count.expand(shape[:-1]), self.logits)
        no_number = left.isnan().unsqueeze(-1)
        left, later = left.nan_to_num(), log_p.flip(-1).logcumsumexp(-1).flip(-1)
        drawn = []
        shares = torch.where(log_p == -torch.inf, 0.0, (log_p - later).exp()).clamp(0.0, 1.0)
        for share in shares.expand(shape).unbind(-1)[:-1]:
            drawn.append(torch.binomial(left, share.contiguous()))
            left = left - drawn[-1]
        return torch.stack([*drawn, left], -1).masked_fill(no_number, torch.nan).to(self.logits.dtype)

    def marginal_log_prob(self, value: Tensor, where: Tensor) -> Tensor:
        """``log p`` of some counts, the others integrated out, ``(...,)`` nats: those others are one class together,
        of all that is left.

        Args:
            value, where: the counts, and which of them count, ``(..., V)``.
        """
        n, log_p, x = wide(self.total_count, self.logits, torch.where(where, value, 0.0))
        log_p, x = torch.broadcast_tensors(log_p, x)
        left, whole = n - x.sum(-1), where.all(-1)
        wrong = outside(x, 0.0, whole=True).any(-1) | (left < 0) | whole & (left != 0)
        # Of none the logarithm has no gradient: any classes stand for them, of which there are 0.
        others = torch.where(where & ~whole.unsqueeze(-1), -torch.inf, log_p).logsumexp(-1)
        counts = torch.cat([x, left.unsqueeze(-1)], -1)
        return self._log_prob(n, torch.cat([log_p, others.unsqueeze(-1)], -1), counts, wrong)

    def given(self, value: Tensor, seen: Tensor) -> Multinomial:
        """The distribution of the counts that are not `seen` given those that are: of what these leave, of the other
        classes. Its draws are no numbers where that cannot be."""
        left = self.total_count - torch.where(seen, value, 0.0).sum(-1)
        logits = self.logits.masked_fill(seen, -torch.inf)
        none = (logits == -torch.inf).all(-1)
        impossible = (left < 0) | none & (left > 0)
        return Multinomial(
            left.masked_fill(impossible, torch.nan), torch.where(none.unsqueeze(-1), self.logits, logits)
        )

    def log_prob(self, value: Tensor) -> Tensor:
        n, log_p, x = wide(self.total_count, self.logits, value)
        wrong = outside(x, 0.0, whole=True).any(-1) | (x.sum(-1) != n) & ~x.isnan().any(-1)
        return self._log_prob(n, log_p, x, wrong)

    def _log_prob(self, n: Tensor, log_p: Tensor, x: Tensor, wrong: Tensor) -> Tensor:
        """The log-probability of counts of classes, -inf of those that are wrong."""
        x = x.masked_fill(wrong.unsqueeze(-1), 0.0)
        expected = (x * log_p.masked_fill((x == 0) & log_p.isinf(), 0.0)).sum(-1)
        found = torch.lgamma(n + 1) - torch.lgamma(x + 1).sum(-1) + expected
        return found.masked_fill(wrong, -torch.inf).to(self.logits.dtype)


@register_kl(Poisson, Poisson)
def _kl_poisson(p: Poisson, q: Poisson) -> Tensor:
    return in_double(p, q, td.Poisson, "rate")


@register_kl(Geometric, Geometric)
def _kl_geometric(p: Geometric, q: Geometric) -> Tensor:
    """``E[x] = exp(-logits)`` failures and one success."""
    failure = F.logsigmoid(-p.logits) - F.logsigmoid(-q.logits)
    return F.logsigmoid(p.logits) - F.logsigmoid(q.logits) + (-p.logits).exp() * failure


__all__ = ["Geometric", "Multinomial", "NegativeBinomial", "Poisson"]
