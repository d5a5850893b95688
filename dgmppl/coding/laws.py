"""Draws from laws as choices, element by element: one traversal for those that are known and those that are popped."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Row

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.coding.cells import Cells, Fine, Intervals, Steps, Values
from dgmppl.coding.charts import Charted, charted, over_coordinates
from dgmppl.coding.flows import ThroughFlow
from dgmppl.coding.layout import plain
from dgmppl.coding.stack import Chooser, CodingError
from dgmppl.coding.vectors import InOrder, called, in_order, no_order
from dgmppl.runtime.along import Segment, Sequence
from dgmppl.runtime.densities import Autoregressive, Pushforward
from dgmppl.runtime.distributions import Delta
from dgmppl.runtime.incremental import Incremental


def draw(
    law: td.Distribution, cells: Cells, chooser: Chooser, known: Tensor | None, seen: Tensor | None = None
) -> Tensor:
    """A value ``(*batch, *event)`` of a law, chosen element by element in the order in which they depend on each other.

    Args:
        known: the value, where it is known.
        seen: the elements that there are, of its shape; None for all. No others are chosen, and any number stands in
            their place.

    Raises:
        CodingError: where elements depend on each other in another way.
    """
    law = plain(law) if isinstance(cells, Intervals) else law
    if isinstance(law, td.Independent):
        return draw(law.base_dist, cells, chooser, known, seen)
    if isinstance(cells, Fine) and not isinstance(law, Pushforward):
        return _finely(law, cells, chooser, known, seen)
    if isinstance(law, td.Normal) and isinstance(cells, Steps) and cells.count > 1:
        return _stepwise(law, cells, chooser, known, seen)
    for kind, how in _KINDS.items():
        if isinstance(law, kind):
            return how(law, cells, chooser, known, seen)
    if isinstance(cells, Charted):
        return _by_coordinates(law, cells, chooser, known, seen)
    if isinstance(law, Pushforward):
        return _pushforward(law, cells, chooser, known, seen)
    steps = in_order(law, cells)
    if steps is not None:
        return _one_after_another(steps, law, cells, chooser, known, seen)
    if law.event_shape:
        raise no_order(called(law))
    return _chosen(cells.log_weights(law), cells, chooser, known, seen)


def _chosen(log_weights: Tensor, cells: Cells, chooser: Chooser, known: Tensor | None, seen: Tensor | None) -> Tensor:
    shape, tables = log_weights.shape[:-1], log_weights.reshape(-1, log_weights.shape[-1])
    index = None if known is None else cells.index(known).expand(shape).reshape(-1)
    if seen is None:
        return cells.value(chooser.choose(tables, index).reshape(shape))
    there = seen.expand(shape).reshape(-1)
    found = torch.zeros(len(tables), dtype=torch.long)
    if bool(there.any()):
        found[there] = chooser.choose(tables[there], None if index is None else index[there])
    return cells.value(found.reshape(shape))


def draw_alike(cells: Cells, shape: Row[int], chooser: Chooser, known: Tensor | None) -> Tensor:
    """A value of this shape, of whose elements all cells are as probable as each other. `known`: the value, where it is
    known."""
    return _chosen(torch.zeros(*shape, cells.size), cells, chooser, known, None)


def _finely(law: td.Distribution, cells: Fine, chooser: Chooser, known: Tensor | None, seen: Tensor | None) -> Tensor:
    """The interval of each element, and then the part of it."""
    parts = cells.within(draw(law, cells.whole, chooser, known, seen))
    alike = torch.zeros(*parts.number.shape, parts.size)
    weights = parts.log_weights_inside(law) if isinstance(law, td.Normal) else alike
    return _chosen(weights, parts, chooser, known, seen)


def _stepwise(law: td.Normal, cells: Steps, chooser: Chooser, known: Tensor | None, seen: Tensor | None) -> Tensor:
    """The whole number of each element, and then the step in it: two small tables in the place of a large one."""
    whole = _chosen(cells.whole.log_weights(law), cells.whole, chooser, known, seen).floor()
    steps = cells.within(whole)
    return _chosen(steps.log_weights_inside(law), steps, chooser, known, seen)


def _autoregressive(
    law: Autoregressive, cells: Cells, chooser: Chooser, known: Tensor | None, seen: Tensor | None
) -> Tensor:
    """As `Autoregressive.sample`, position by position: networks keep what they computed of those before. What is
    missing is missing as a whole."""
    batch = law.batch_shape
    shape = batch + law.event_shape
    x = law.like.new_zeros(shape)
    axis, last = len(batch), len(batch) + law.axes - 1
    flat = x.flatten(axis, last)  # the same memory
    one = torch.Size((*[1] * law.axes, *shape[last + 1 :]))

    def at(value: Tensor | None, d: int) -> Tensor | None:
        return None if value is None else value.flatten(axis, last).select(axis, d).reshape(*batch, *one)

    incremental = Incremental()
    for place in range(flat.shape[axis]):
        d = place if law.order is None else law.order.positions[place]
        with incremental.at(place, d):
            step = law.step(x)
        step = step if step.batch_shape == batch else step.expand(batch)
        this, there, part = at(known, d), at(seen, d), cells.part(law.axes, d)
        if step.event_shape == one:
            found = draw(step, part, chooser, this, there)
        else:  # a law with numbers for all positions: those of this one
            found = _chosen(_weights_at(step, cells, law.axes, d, one), part, chooser, this, there)
        flat.select(axis, d).copy_(found.reshape(*batch, *shape[last + 1 :]))
    return x


def _weights_at(step: td.Distribution, cells: Cells, axes: int, place: int, one: torch.Size) -> Tensor:
    """The tables of the elements at one position, of a law that has them all side by side."""
    if not isinstance(step, td.Independent) or step.base_dist.event_shape:
        raise no_order(f"{called(step)} with numbers for all positions at once")
    weights = cells.log_weights(step.base_dist)
    axis = weights.dim() - 1 - len(step.event_shape)
    found = weights.flatten(axis, axis + axes - 1).select(axis, place)
    return found.reshape(*found.shape[:axis], *one, -1)


def _sequence(law: Sequence, cells: Cells, chooser: Chooser, known: Tensor | None, seen: Tensor | None) -> Tensor:
    """As `Sequence.sample`, member by member."""
    batch = law.batch_shape
    x = law.like.new_zeros(batch + law.event_shape)
    incremental = Incremental(None, law.backward)
    places = range(law.event_shape[0])
    with incremental.at(0):
        for place, d in enumerate(reversed(places) if law.backward else places):
            incremental.move(place, d)
            x.narrow(len(batch), d, 1).copy_(_member(law, x, d, cells, chooser, known, seen))
    return x


def _member(
    law: Sequence, x: Tensor, d: int, cells: Cells, chooser: Chooser, known: Tensor | None, seen: Tensor | None
) -> Tensor:
    """The element at a position of a sequence; of those that go not so far, `fill`."""
    axis = len(law.batch_shape)
    wanted = torch.Size((*law.batch_shape, 1))
    this, there = (None if v is None else v.narrow(axis, d, 1) for v in (known, seen))

    def choose(s: Segment, one: td.Distribution) -> Tensor:
        one = one if one.batch_shape == wanted else one.expand(wanted)
        shape = torch.Size((*wanted, *law.event_shape[1:]))
        holds = there if law.lengths is None else law.where(s, d, 1).expand(shape)
        return draw(one, cells.part(1, d), chooser, this, holds)

    return law.element(x, d, choose)


def draw_in_turn(
    functions: Row[Callable[..., Sequence]],
    shapes: Row[tuple[int, ...]],
    cells: Row[Cells],
    chooser: Chooser,
    known: Row[Tensor | None],
    backward: bool,
) -> list[Tensor]:
    """Values of sequences that depend on each other, as `dgmppl.runtime.along.in_turn` draws them: at each position in
    the order in which they stand here. See `draw`.

    Args:
        functions: the distribution of each, given all of them.
        shapes: of each, rows and the index first.
    """
    found = [torch.zeros(shape) for shape in shapes]
    incremental = Incremental(None, backward)
    places = range(shapes[0][1])
    with incremental.at(0):
        for place, d in enumerate(reversed(places) if backward else places):
            incremental.move(place, d)
            for k, function in enumerate(functions):
                law = function(*found)
                law = law if law.batch_shape == shapes[k][:1] else law.expand(torch.Size(shapes[k][:1]))
                found[k].narrow(1, d, 1).copy_(_member(law, found[k], d, cells[k], chooser, known[k], None))
    return found


def _by_coordinates(
    law: td.Distribution, cells: Charted, chooser: Chooser, known: Tensor | None, seen: Tensor | None
) -> Tensor:
    """A vector of proportions or a direction. What is missing is missing as a whole."""
    chart = cells.chart
    this = None if known is None else chart.coordinates(known)
    there = None if seen is None else seen[..., 1:]
    return chart.value(draw(charted(chart, law), cells.inner, chooser, this, there))


def _one_after_another(
    steps: InOrder, law: td.Distribution, cells: Cells, chooser: Chooser, known: Tensor | None, seen: Tensor | None
) -> Tensor:
    """A vector, each element by its law given those before."""
    event, axes = law.event_shape, len(law.event_shape)
    flat = [None if v is None else v.flatten(-axes) for v in (known, seen)]
    found: list[Tensor] = []
    for place in range(steps.places):
        this, there = (None if v is None else v[..., place] for v in flat)
        found.append(_chosen(steps.table(place), cells.at(place, axes), chooser, this, there))
        steps.take(place, found[-1], there)
    return torch.stack(found, -1).reshape(law.batch_shape + event)


def _pushforward(law: Pushforward, cells: Cells, chooser: Chooser, known: Tensor | None, seen: Tensor | None) -> Tensor:
    """A bijection of whole numbers: its base is coded. Of others the base is coded beside: see `flows`."""
    if isinstance(cells, Intervals):
        law = over_coordinates(law)
        if seen is not None:
            raise CodingError("a flow at each position of sequences of different lengths has no code")
        flow = ThroughFlow(law, cells, draw)
        if flow.base.event_shape.numel() != law.event_shape.numel():
            raise CodingError("a flow between vectors of different lengths has no code, but onto proportions")
        return chooser.exchange(flow, known)
    assert isinstance(cells, Values)
    if seen is not None and known is not None:
        known = torch.where(seen, known, float(cells.low))
    base = None if known is None else law.bijection.inverse(known)
    return law.bijection(draw(law.base, cells, chooser, base, seen))


def _certain(law: Delta, cells: Cells, chooser: Chooser, known: Tensor | None, seen: Tensor | None) -> Tensor:
    """What is certain takes nothing; of real numbers what stands for its bin."""
    return cells.value(cells.index(law.v))


_KINDS: dict[type[td.Distribution], Callable[..., Tensor]] = {
    Delta: _certain,
    Autoregressive: _autoregressive,
    Sequence: _sequence,
}

__all__ = ["draw", "draw_alike", "draw_in_turn"]
