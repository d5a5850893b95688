"""Draws from laws as choices, element by element: one traversal for those that are known and those that are popped."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.coding.cells import Cells, Values
from dgmppl.coding.stack import Chooser, CodingError
from dgmppl.runtime.along import Segment, Sequence
from dgmppl.runtime.densities import Autoregressive, Mixture, Pushforward
from dgmppl.runtime.incremental import Incremental


def draw(law: td.Distribution, cells: Cells, chooser: Chooser, known: Tensor | None) -> Tensor:
    """A value ``(*batch, *event)`` of a law, chosen element by element in the order in which they depend on each other.

    Args:
        known: the value, where it is known.

    Raises:
        CodingError: where elements depend on each other in another way.
    """
    if isinstance(law, td.Independent):
        return draw(law.base_dist, cells, chooser, known)
    for kind, how in _KINDS.items():
        if isinstance(law, kind) and (kind is not Mixture or law.event_shape):
            return how(law, cells, chooser, known)
    if law.event_shape:
        raise CodingError(f"elements under {type(law).__name__} depend on each other in no order")
    return _chosen(cells.log_weights(law), cells, chooser, known)


def _chosen(log_weights: Tensor, cells: Cells, chooser: Chooser, known: Tensor | None) -> Tensor:
    shape = log_weights.shape[:-1]
    index = None if known is None else cells.index(known).expand(shape).reshape(-1)
    found = chooser.choose(log_weights.reshape(-1, log_weights.shape[-1]), index)
    return cells.value(found.reshape(shape))


def _autoregressive(law: Autoregressive, cells: Cells, chooser: Chooser, known: Tensor | None) -> Tensor:
    """As `Autoregressive.sample`, position by position: networks keep what they computed of those before."""
    batch = law.batch_shape
    shape = batch + law.event_shape
    x = law.like.new_zeros(shape)
    axis, last = len(batch), len(batch) + law.axes - 1
    flat = x.flatten(axis, last)  # the same memory
    one = torch.Size((*[1] * law.axes, *shape[last + 1 :]))
    incremental = Incremental()
    for place in range(flat.shape[axis]):
        d = place if law.order is None else law.order.positions[place]
        with incremental.at(place, d):
            step = law.step(x)
        step = step if step.batch_shape == batch else step.expand(batch)
        this = None if known is None else known.flatten(axis, last).select(axis, d).reshape(*batch, *one)
        if step.event_shape == one:
            found = draw(step, cells.part(law.axes, d), chooser, this)
        else:  # a law with numbers for all positions: those of this one
            found = _chosen(_weights_at(step, cells, law.axes, d, one), cells.part(law.axes, d), chooser, this)
        flat.select(axis, d).copy_(found.reshape(*batch, *shape[last + 1 :]))
    return x


def _weights_at(step: td.Distribution, cells: Cells, axes: int, place: int, one: torch.Size) -> Tensor:
    """The tables of the elements at one position, of a law that has them all side by side."""
    if not isinstance(step, td.Independent) or step.base_dist.event_shape:
        raise CodingError(f"elements under {type(step).__name__} depend on each other in no order")
    weights = cells.log_weights(step.base_dist)
    axis = weights.dim() - 1 - len(step.event_shape)
    found = weights.flatten(axis, axis + axes - 1).select(axis, place)
    return found.reshape(*found.shape[:axis], *one, -1)


def _sequence(law: Sequence, cells: Cells, chooser: Chooser, known: Tensor | None) -> Tensor:
    """As `Sequence.sample`, member by member."""
    if law.lengths is not None:
        raise CodingError("sequences of different lengths are not coded")
    batch = law.batch_shape
    shape = batch + law.event_shape
    x = law.like.new_zeros(shape)
    axis = len(batch)
    incremental = Incremental(None, law.backward)
    places = range(law.event_shape[0])
    with incremental.at(0):
        for place, d in enumerate(reversed(places) if law.backward else places):
            incremental.move(place, d)
            this = None if known is None else known.narrow(axis, d, 1)

            def choose(s: Segment, one: td.Distribution, d: int = d, this: Tensor | None = this) -> Tensor:
                wanted = torch.Size((*batch, 1))
                one = one if one.batch_shape == wanted else one.expand(wanted)
                return draw(one, cells.part(1, d), chooser, this)

            x.narrow(axis, d, 1).copy_(law.element(x, d, choose))
    return x


def _mixture(law: Mixture, cells: Cells, chooser: Chooser, known: Tensor | None) -> Tensor:
    """A mixture of vectors, element by element: what is known of the class after each weighs the components of the
    next, ``p(x_d | x_<d) = sum_k p(k | x_<d) p_k(x_d)``."""
    inner = law.components
    if not isinstance(inner, td.Independent) or inner.base_dist.event_shape:
        raise CodingError("elements of a mixture's components depend on each other")
    event = law.event_shape
    weights = cells.log_weights(inner.base_dist)  # (*batch, k, *event, K)
    axis = len(law.batch_shape)
    weights = weights.flatten(axis + 1, axis + len(event))
    of_class = law.logits.expand(*law.batch_shape, -1)
    places = None if known is None else cells.index(known).flatten(axis)
    chosen: list[Tensor] = []
    for d in range(weights.shape[-2]):
        each = weights[..., d, :]
        table = torch.logsumexp(of_class.unsqueeze(-1) + each, -2).reshape(-1, cells.size)
        this = None if places is None else places[..., d].reshape(-1)
        index = chooser.choose(table, this).reshape(law.batch_shape)
        of_class = of_class + each.gather(-1, index[..., None, None].expand(*each.shape[:-1], 1)).squeeze(-1)
        chosen.append(index)
    return cells.value(torch.stack(chosen, -1).reshape(*law.batch_shape, *event))


def _pushforward(law: Pushforward, cells: Cells, chooser: Chooser, known: Tensor | None) -> Tensor:
    """A bijection of whole numbers: its base is coded."""
    if not isinstance(cells, Values):
        raise CodingError("a density that is pushed through a flow has no probabilities of single elements")
    base = None if known is None else law.bijection.inverse(known)
    return law.bijection(draw(law.base, cells, chooser, base))


_KINDS: dict[type[td.Distribution], Callable[..., Tensor]] = {
    Autoregressive: _autoregressive,
    Sequence: _sequence,
    Mixture: _mixture,
    Pushforward: _pushforward,
}

__all__ = ["draw"]
