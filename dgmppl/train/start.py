"""The start of a fit from its data: the units in which networks count take the mean and deviation of training rows."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from dgmppl.runtime import GenerativeModel, Units
from dgmppl.train.batches import Examples

_ROWS = 4096


def start_units(model: GenerativeModel, train: Examples) -> None:
    """Gives each of a model's `Units` the mean and standard deviation of its variable's training rows, of the elements
    that are there: computed in double precision by the processor, a block of rows at a time, and so the same bits on
    every device."""
    for units in (m for m in model.modules() if isinstance(m, Units)):
        units.start(*_moments(model, units, train))


def _moments(model: GenerativeModel, units: Units, train: Examples) -> tuple[Tensor, Tensor]:
    count, total = _summed(model, units, train, torch.zeros(()))
    mean = total / count
    _, squares = _summed(model, units, train, mean, 2)
    return mean, (squares / count).sqrt()


def _summed(
    model: GenerativeModel, units: Units, train: Examples, middle: Tensor, power: int = 1
) -> tuple[Tensor, Tensor]:
    """For each of the units, how many elements there are and the sum of this power of their distances from `middle`."""
    count = total = torch.zeros(units.mean.shape, dtype=torch.double)
    for values in _values(model, units, train):
        seen = ~values.isnan()
        count = count + seen.sum(0)
        total = total + torch.where(seen, (values - middle).pow(power), 0.0).sum(0)
    return count, total


def _values(model: GenerativeModel, units: Units, train: Examples) -> Iterator[Tensor]:
    """The elements by block, ``(elements, *shape of the units)``, NaN where there is none."""
    place = model.data.index(units.variable)
    for chunk in train.chunks(_ROWS):
        values = chunk[place].double().cpu()
        if units.variable in model.ends:
            other, first = model.ends[units.variable]
            lengths = chunk[model.data.index(other)].cpu()
            there = torch.arange(first, first + values.shape[1]) <= lengths[:, None]
            values = values.masked_fill(~there.reshape(*there.shape, *[1] * (values.dim() - 2)), torch.nan)
        yield values.reshape(-1, *units.mean.shape)


__all__ = ["start_units"]
