"""What a definition maps, as choices: noise on what is rounded, latents given a value, and a value given latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dgmppl import runtime as rt
from dgmppl.coding.cells import Bins, Cells, Fine, Intervals
from dgmppl.coding.flows import Local
from dgmppl.coding.inverting import Flow
from dgmppl.coding.laws import draw, draw_alike
from dgmppl.coding.stack import Chooser


def noise(steps: Fine, shape: Sequence[int], chooser: Chooser, known: Tensor | None) -> Tensor:
    """Steps in whole numbers, all as probable as each other: what uniform noise in [0, 1) leads to."""
    found = draw_alike(steps.whole, shape, chooser, known)
    return draw_alike(steps.within(found), shape, chooser, known)


@dataclass(frozen=True)
class Mapped:
    """A definition whose value is coded beside its latents, by local bits back (see `flows`).

    Attributes:
        others: what else it reads.
        bins: those of each latent.
        cells: those of its value, before it is rounded.
    """

    flow: Flow
    model: rt.GenerativeModel
    others: list[Tensor]
    bins: Sequence[Cells]
    cells: Intervals

    def latents(self, value: Tensor, chooser: Chooser, known: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        """The latents of a value: known ones, or chosen ones."""
        wanted = None if known is None else self._side_by_side(known)
        found = self._local().recognise(value.flatten(1), chooser, wanted)
        return dict(zip(self.flow.latents, self.flow.apart(found)))

    def value(self, latents: Mapping[str, Tensor], chooser: Chooser, known: Tensor | None) -> Tensor:
        """The value of latents: a known one, or a chosen one."""
        law, _ = self._local().around(self._side_by_side(latents))
        found = draw(law, self._in_a_row(), chooser, None if known is None else known.flatten(1))
        return found.reshape(len(found), *self.flow.graph[self.flow.image].type.shape)

    def _side_by_side(self, latents: Mapping[str, Tensor]) -> Tensor:
        values = [latents[name] for name in self.flow.latents]
        return torch.cat([value.reshape(len(value), -1) for value in values], -1)

    def _in_a_row(self) -> Intervals:
        """The cells of the value's elements, in a row."""
        return _in_a_row([self.cells]) if isinstance(self.cells, Bins) else self.cells

    def _local(self) -> Local:
        shape = self.flow.graph[self.flow.image].type.shape

        def image(latents: Tensor) -> Tensor:
            return self.flow.forward(self.model, latents, self.others)

        def preimage(value: Tensor) -> Tensor:
            latents, _ = self.flow.backward(self.model, value.reshape(len(value), *shape), self.others)
            return self._side_by_side(dict(zip(self.flow.latents, latents)))

        wide = [of.whole for of in self.bins if isinstance(of, Fine)]
        parts = next(of.parts for of in self.bins if isinstance(of, Fine))
        return Local(image, preimage, Fine(_in_a_row(wide), parts), self._in_a_row().width)


def _in_a_row(of: Sequence[Intervals]) -> Bins:
    """The bins of all elements, side by side, ``(1, d)``."""
    bins = [one for one in of if isinstance(one, Bins)]
    loc = torch.cat([one.loc.reshape(1, -1) for one in bins], -1)
    return replace(bins[0], loc=loc, scale=torch.cat([one.scale.reshape(1, -1) for one in bins], -1))


__all__ = ["Mapped", "noise"]
