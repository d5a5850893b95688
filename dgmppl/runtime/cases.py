"""Variables that take each of their values, and data that some rows miss.

Where a variable is summed out under its q, ``E_q[f(y)] = sum_y q(y) f(y)``, every row becomes several cases, one for
each value. A row that has the variable has the same cases, of which the value that is seen counts alone: so all rows
draw as many random numbers, whatever they have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dgmppl.runtime.distributions import Categorical, Distribution
from dgmppl.runtime.preimages import carry, fill


@dataclass(frozen=True)
class Cases:
    """What each value counts for in each row.

    Args:
        weight: ``(n, values)``, q of a value or, in a row where it is seen, whether it is this one.
        log_q: its logarithm where the value is not seen, and 0 elsewhere.
    """

    weight: Tensor
    log_q: Tensor

    def repeat(self, rows: Tensor) -> Tensor:
        """Rows ``(n, ...)`` as cases, ``(n values, ...)``: those of a row one after another."""
        return carry(rows, lambda r: r.repeat_interleave(self.weight.shape[1], 0))

    def mean(self, numbers: Tensor) -> Tensor:
        """``sum_y weight(y) f(y)`` from a number of each case, ``(n values,)`` to ``(n,)``."""
        return (self.weight * numbers.reshape(self.weight.shape)).sum(-1)

    def log_sum(self, numbers: Tensor) -> Tensor:
        """``log sum_y exp(log weight(y) + f(y))`` from a number of each case, ``(n values,)`` to ``(n,)``: a variable
        is summed out under its prior, exactly."""
        return torch.logsumexp(self.log_q + numbers.reshape(self.log_q.shape), -1)

    def entropy(self) -> Tensor:
        """``-sum_y q(y) log q(y)`` of each row where the value is not seen, 0 elsewhere, ``(n,)`` nats."""
        return -(self.weight * self.log_q).sum(-1)


def posterior_case(numbers: Tensor, mean: bool, *cases: Cases) -> Tensor:
    """Which of its cases a row takes, ``(n,)``: the most probable one given the data with ``mean``, else a draw.

    Args:
        numbers: what the likelihood has of each case besides the weights of the values, log p(x | k).
        cases: of the variables that are summed out, outermost first.
    """
    total = _log_weights(numbers, *cases)
    return total.argmax(-1) if mean else Categorical(logits=total).sample().long()


def _log_weights(numbers: Tensor, *cases: Cases) -> Tensor:
    """The logarithm of what each case counts for, ``(n, cases)``, but for a constant."""
    total = numbers
    for each in reversed(cases):
        total = (each.log_q.unsqueeze(-1) + total.reshape(*each.log_q.shape, -1)).flatten(1)
    return total


def posterior_of_cases(value: Tensor, low: float, size: int, numbers: Tensor, *cases: Cases) -> Categorical:
    """The posterior of a variable that is summed out: which of its values it has, of batch shape ``(n,)``.

    Args:
        value: its value in each case, ``(n cases, *shape)``.
        low, size: each element takes the values low, ..., low + size - 1.
        numbers, cases: as `posterior_case` has them.
    """
    total = _log_weights(numbers, *cases).softmax(-1)
    elements = (value - low).long().reshape(*total.shape, -1)
    places = size ** torch.arange(elements.shape[-1] - 1, -1, -1, device=value.device)
    index = (elements * places).sum(-1)
    return Categorical(probs=total.new_zeros(len(total), size ** elements.shape[-1]).scatter_add(1, index, total))


def of_case(value: Tensor, case: Tensor) -> Tensor:
    """The value ``(n, ...)`` that each row has in its case, of those ``(n cases, ...)`` of all cases."""
    return value.reshape(len(case), -1, *value.shape[1:])[torch.arange(len(case), device=case.device), case]


def enumerate_values(low: float, size: int, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """All arrays of a shape whose elements are low, ..., low + size - 1, ``(values, *shape)``, like `like`."""
    elements = torch.Size(shape).numel()
    one = low + torch.arange(size, device=like.device, dtype=like.dtype)
    return torch.cartesian_prod(*[one] * elements).reshape(-1, *shape)


def every_value(q: Distribution, low: float, size: int, like: Tensor) -> tuple[Tensor, Cases]:
    """The cases of a variable that is seen in no row, and its value in each of them.

    Args:
        q: what weighs the values, of batch shape ``(n,)``.
        low, size: each element takes the values low, ..., low + size - 1.
    """
    values = enumerate_values(low, size, tuple(q.event_shape), like)
    log_q = q.log_prob(values.unsqueeze(1)).mT
    return _each(values, len(log_q)), Cases(log_q.exp(), log_q)


def each_value_in_common(
    terms: Callable[[Tensor, Tensor], dict[str, Tensor]], q: Distribution, low: float, size: int, like: Tensor
) -> dict[str, Tensor]:
    """``sum_v terms(v, q(v))`` of what rows have in common, by name: of groups all have the same value at a time.

    Args:
        terms: a function of the value, in each group ``(groups, *shape)`` or once ``shape``, and of its probability
            ``(groups,)`` or ``()``, by which it weighs what it gives.
        q: what weighs the values, of batch shape ``(groups,)`` or ``()``.
        low, size: each element takes the values low, ..., low + size - 1.
    """
    total: dict[str, Tensor] = {}
    for value in enumerate_values(low, size, tuple(q.event_shape), like):
        each = value.expand(q.batch_shape + q.event_shape)
        for name, term in terms(each, q.log_prob(each).exp()).items():
            total[name] = total[name] + term if name in total else term
    return total


def each_value(n: int, shape: tuple[int, ...], low: float, size: int, like: Tensor) -> tuple[Tensor, Cases]:
    """The cases of a variable of this shape in n rows, and its value in each of them, where what weighs the values
    comes later: see `every_value`."""
    values = enumerate_values(low, size, shape, like)
    log_weight = like.new_zeros(n, len(values))
    return _each(values, n), Cases(log_weight.exp(), log_weight)


def every_missing_value(q: Distribution, low: float, size: int, seen: Tensor) -> tuple[Tensor, Cases]:
    """The cases of a variable that some rows of ``seen`` miss, and its value in each of them; see `every_value`."""
    values = enumerate_values(low, size, tuple(q.event_shape), seen)
    missing = is_missing(seen).unsqueeze(-1)
    log_q = torch.where(missing, q.log_prob(values.unsqueeze(1)).mT, 0.0)
    this = (seen.unsqueeze(1) == values).reshape(*log_q.shape, -1).all(-1)
    return _each(values, len(seen)), Cases(torch.where(missing, log_q.exp(), this.to(log_q.dtype)), log_q)


def _each(values: Tensor, n: int) -> Tensor:
    return values.repeat(n, *(1,) * (values.dim() - 1))


def is_missing(value: Tensor) -> Tensor:
    """The rows that miss a partial variable, ``(n,)``: NaN stands there."""
    return value.isnan().reshape(len(value), -1).any(-1)


def impute(seen: Tensor, draw: Tensor) -> tuple[Tensor, Tensor]:
    """A variable's own value where it is seen and the draw where it is missing; and where that is, ``(n,)``."""
    missing = is_missing(seen)
    return fill(draw, seen, _over(missing, seen)), missing


def log_prob_seen(p: Distribution, value: Tensor, some: float) -> Tensor:
    """``log p(value)`` in the rows that have it and 0 in the others, ``(n,)`` nats.

    Args:
        some: a number of the support. It stands where the value is missing: a NaN there would reach the gradient of
            every row.
    """
    missing = is_missing(value)
    return torch.where(missing, 0.0, p.log_prob(value.masked_fill(_over(missing, value), some)))


def rows_seen(numbers: Tensor, value: Tensor) -> Tensor:
    """Numbers ``(n,)`` of the rows that have a partial variable."""
    return numbers[~is_missing(value)]


def errors_seen(p: Distribution, low: float, size: int, value: Tensor) -> Tensor:
    """1 where the most likely value is not the one that is seen and 0 where it is, for the rows that have one."""
    values = enumerate_values(low, size, tuple(p.event_shape), value)
    return differs_seen(values[p.log_prob(values.unsqueeze(1)).argmax(0)], value)


def differs_seen(best: Tensor, value: Tensor) -> Tensor:
    """1 where the value ``best`` is not the one that is seen and 0 where it is, for the rows that have one."""
    wrong = (best != value).reshape(len(value), -1).any(-1)
    return rows_seen(wrong.to(value.dtype), value)


def left_out(value: Tensor) -> Tensor:
    """A partial variable as rows have it that all miss it: NaN."""
    return torch.full_like(value, torch.nan)


def _over(mask: Tensor, value: Tensor) -> Tensor:
    """A mask of rows with axes for the elements of a row."""
    return mask.reshape(-1, *(1,) * (value.dim() - 1))


__all__ = [
    "Cases",
    "differs_seen",
    "each_value",
    "each_value_in_common",
    "enumerate_values",
    "errors_seen",
    "every_missing_value",
    "every_value",
    "impute",
    "left_out",
    "log_prob_seen",
    "of_case",
    "posterior_case",
    "posterior_of_cases",
    "rows_seen",
]
