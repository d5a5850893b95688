"""Flows over continuous latents: a value is coded together with the noise that it comes from, whose bits come back.

A density that is pushed through a flow, ``z = f(e)``, gives a vector a density and its elements no probabilities. So a
bin of z is coded in two steps: the noise e element by element, by the base of the flow, then z given e, by a narrow
normal around f(e). Which of the many e it is, is told by bits that are taken from the stack, by a normal that follows
from f^-1(z) and the Jacobian there: local bits-back coding (Ho, Lohn and Abbeel, 2019, Sec. 3.2). It costs

    -log p(e) - log N(z; f(e), s^2) + log r(e | z),

which is -log p(z) of the bin, but for how far f is from linear over a few bins.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.coding.cells import Around, Fine, Intervals, WideBins, log_masses
from dgmppl.coding.layout import of_law, plain
from dgmppl.coding.stack import Chooser, Popping, Recording, Scattered, Stack
from dgmppl.runtime.densities import Pushforward
from dgmppl.runtime.incremental import ALL, asking

_STEP = 2.0**-16  # of differences, in deviations of the base
_NARROWER = 4  # times that a posterior is held against how far f bends along it
_AROUND = 128  # parts, or blocks of as many of them as that takes, from eight deviations below to eight above
_BEYOND = 2.0**-22
_FAR = 30.0  # deviations of the base, beyond which nothing is told apart
_ROWS = 2**13  # that a flow maps at once

Draw = Callable[[td.Distribution, Intervals, Chooser, Tensor | None], Tensor]
"""`dgmppl.coding.laws.draw`."""


@dataclass(frozen=True)
class Local:
    """A flow of vectors, ``z = f(e)``, and what it does near one.

    Attributes:
        image: f of vectors ``(m, n, d)``, of the same row along the first axis.
        preimage: its inverse, of ``(n, d)``.
        cells: of e, ``(n, d)`` or ``(1, d)``.
        width: how wide the intervals of z are.
    """

    image: Callable[[Tensor], Tensor]
    preimage: Callable[[Tensor], Tensor]
    cells: Fine
    width: Callable[[Tensor], Tensor]

    def around(self, e: Tensor) -> tuple[Around, Tensor]:
        """The narrow normal of z given e: as wide as an interval of z, and as what z moves by where e goes on by a bin;
        and the Jacobian at e."""
        z = self.image(e.unsqueeze(0)).squeeze(0)
        jacobian = self._jacobian(e, z)
        moved = jacobian * self.cells.width(e).unsqueeze(1)
        spread = self.width(z).square() + moved.square().sum(-1)
        return Around(_finite(z), spread.clamp_min(1e-12).sqrt(), validate_args=False), jacobian

    def recognise(self, z: Tensor, chooser: Chooser, known: Tensor | None) -> Tensor:
        """Which e it was, by its posterior where f is linear: normal, with the precision ``J^T S^-1 J`` and that of the
        base. Element by element, the last first, each given those before."""
        loc, scale = (of.expand_as(z) for of in self._moments())
        e = _finite(self.preimage(z))
        e = torch.minimum(torch.maximum(e, loc - _FAR * scale), loc + _FAR * scale)
        around, jacobian = self.around(e)
        noise = around.scale.square() + self.width(z).square() / 12
        base = scale.square().reciprocal()
        root, most = _root(jacobian, noise, base), torch.full((len(e), 1), torch.inf)
        for _ in range(_NARROWER):
            # Where f bends over two deviations, a normal that is narrower is nearer to the posterior.
            by = 2 * torch.linalg.solve_triangular(root, torch.ones_like(e).unsqueeze(-1), upper=True).squeeze(-1)
            ahead = (jacobian @ by.unsqueeze(-1)).squeeze(-1)
            above, below = self.image(torch.stack([e + by, e - by]))
            bent = torch.maximum((above - around.loc - ahead).abs(), (below - around.loc + ahead).abs()) / 2
            share = (bent / noise.sqrt()).nan_to_num(16.0).amax(-1, keepdim=True).clamp(max=16.0)
            widest = torch.minimum(most, by.abs().amax(-1, keepdim=True) / 2)
            most = torch.where(share > 1, widest / share, most)
            root = _root(jacobian, noise, base + most.square().reciprocal())
        pull = torch.linalg.solve_triangular(root.mT, (base * (e - loc)).unsqueeze(-1), upper=False)
        mean = e - torch.linalg.solve_triangular(root, pull, upper=True).squeeze(-1)
        found = torch.zeros_like(mean)
        for i in reversed(range(mean.shape[1])):
            part = replace(self.cells, whole=WideBins(loc[:, i], scale[:, i]))
            deviation = root[:, i, i].abs().reciprocal()
            behind = (root[:, i, i + 1 :] * (found - mean)[:, i + 1 :]).sum(-1) / root[:, i, i]
            law = td.Normal(mean[:, i] - behind, deviation, validate_args=False)
            found[:, i] = narrow(law, part, chooser, None if known is None else known[:, i])
        return found

    def _moments(self) -> tuple[Tensor, Tensor]:
        assert isinstance(self.cells.whole, WideBins)
        return self.cells.whole.loc, self.cells.whole.scale

    def _jacobian(self, e: Tensor, z: Tensor) -> Tensor:
        """``df(e) / de``, ``(n, d, d)``, by differences; z is f(e)."""
        step = _STEP * self._moments()[1].expand_as(e)
        moved = e + torch.diag_embed(step).movedim(1, 0)  # (d, n, d): one element moved at a time
        images = torch.cat([self.image(some) for some in moved.split(max(1, _ROWS // max(1, len(e))))])
        return _finite((images - z).permute(1, 2, 0) / step.unsqueeze(1))


@dataclass(frozen=True)
class ThroughFlow:
    """A value of a flow as one choice, which takes from a stack as it puts there.

    Attributes:
        law: of batch ``(n,)``, or ``(n, 1)`` at a position of a sequence, for which it has been made.
        cells: of its values.
    """

    law: Pushforward
    cells: Intervals
    draw: Draw

    @property
    def base(self) -> td.Distribution:
        """What is mapped, by one flow or by several, one after the other."""
        return self._flows()[0].base

    def _flows(self) -> list[Pushforward]:
        """The first one first."""
        found = [self.law]
        while isinstance(base := plain(found[0].base), Pushforward):
            found.insert(0, base)
        return found

    def pop(self, stack: Stack, scattered: bool) -> Tensor:
        """The value on a stack, ``(n, *event)``."""
        chooser, cells = _other(Popping(stack), scattered), of_law(self.base)
        back, local = Recording(), self._local(cells)
        with asking(ALL):  # as where it was pushed: after all positions
            e = self.draw(self.base, cells, chooser, None)
            z = self.draw(self._around(local, e), self.cells, chooser, None)
            local.recognise(_vectors(z), Scattered(back), _vectors(e))
        back.push(stack)
        return z

    def push(self, stack: Stack, z: Tensor, scattered: bool) -> None:
        """Puts a value on a stack."""
        cells = of_law(self.base)
        local = self._local(cells)
        e = local.recognise(_vectors(z), Scattered(Popping(stack)), None).reshape(cells.shape)
        recording = Recording()
        chooser = _other(recording, scattered)
        self.draw(self.base, cells, chooser, e)
        self.draw(self._around(local, e), self.cells, chooser, z)
        recording.push(stack)

    def _around(self, local: Local, e: Tensor) -> Around:
        found, _ = local.around(_vectors(e))
        shape = self.law.batch_shape + self.law.event_shape
        return Around(found.loc.reshape(shape), found.scale.reshape(shape), validate_args=False)

    def _local(self, cells: Fine) -> Local:
        shape, flows = self.law.batch_shape + self.law.event_shape, self._flows()

        def image(e: Tensor) -> Tensor:
            value = e.reshape(len(e), *cells.shape)
            for flow in flows:
                value = flow.bijection(value)
            return value.reshape(e.shape)

        def preimage(z: Tensor) -> Tensor:
            value = z.reshape(shape)
            for flow in reversed(flows):
                value = flow.bijection.inverse(value)
            return _vectors(value)

        assert isinstance(cells.whole, WideBins)
        vectors = replace(cells, whole=WideBins(_vectors(cells.whole.loc), _vectors(cells.whole.scale)))
        return Local(image, preimage, vectors, lambda z: _vectors(self.cells.width(z.reshape(shape))))


def narrow(law: td.Normal, cells: Fine, chooser: Chooser, known: Tensor | None) -> Tensor:
    """Values ``(n,)`` by normals that are narrow, among the parts of bins around their means.

    Among all bins each would be left the least probability that a table has, and one in some thousand values would lie
    anywhere. So what lies beyond these parts, which is as good as never, has one such probability.
    """
    middle = cells.position(
        law.loc.clamp(cells.value_at(torch.tensor(0.5)), cells.value_at(torch.tensor(cells.count - 0.5)))
    )
    deviation = (law.scale / cells.width(law.loc)).nan_to_num(cells.count).clamp(1e-3, cells.count)
    power = (16 * deviation / _AROUND).log2().ceil().clamp(0, math.log2(cells.count / _AROUND)).long()
    block = 2**power
    first = (middle.floor() - _AROUND // 2 * block).clamp_min(0).minimum(cells.count - _AROUND * block).long()
    number = None if known is None else cells.number(known)
    there = None if number is None else (number >= first) & (number < first + _AROUND * block)
    flags = torch.tensor([1 - _BEYOND, _BEYOND]).log().expand(len(middle), 2)
    beyond = chooser.choose(flags, None if there is None else (~there).long()).bool()
    found = torch.zeros(len(middle), dtype=torch.long)

    def choose(some: Tensor, weights: Tensor, base: Tensor, step: Tensor | int) -> None:
        """Adds to what is found of some how many steps it is from there."""
        if bool(some.any()):
            index = (
                None
                if number is None
                else (number[some] - base[some]) // (step if isinstance(step, int) else step[some])
            )
            found[some] = base[some] + chooser.choose(weights, index) * (step if isinstance(step, int) else step[some])

    def masses(some: Tensor, base: Tensor, step: Tensor | int, count: int) -> Tensor:
        width = step if isinstance(step, int) else step[some].unsqueeze(-1)
        borders = base[some].unsqueeze(-1) + torch.arange(count + 1) * width
        return log_masses((borders - middle[some].unsqueeze(-1)) / deviation[some].unsqueeze(-1))

    inside = ~beyond
    choose(inside, masses(inside, first, block, _AROUND), first, block)
    for k in sorted({*power[inside].tolist()} - {0}):
        some = inside & (power == k)
        choose(some, masses(some, found, 1, 2**k), found, 1)
    zero = torch.zeros_like(found)
    choose(beyond, torch.zeros(int(beyond.sum()), cells.whole.size), zero, cells.parts)
    choose(beyond, torch.zeros(int(beyond.sum()), cells.parts), found, 1)
    return cells.value_at(found + 0.5)


def _root(jacobian: Tensor, noise: Tensor, base: Tensor) -> Tensor:
    """The root R of the precision ``R^T R`` of what is mapped, upper triangular, ``(n, d, d)``: by noise on what it is
    mapped to, and a base of this precision. By QR, which does not square how badly a Jacobian is conditioned."""
    rows = torch.cat([jacobian / noise.sqrt().unsqueeze(-1), torch.diag_embed(base.sqrt())], -2)
    return torch.linalg.qr(rows, "r")[1]


def _vectors(value: Tensor) -> Tensor:
    """Values ``(n, *event)`` as vectors, ``(n, d)``."""
    return value.reshape(len(value), -1)


def _other(chooser: Popping | Recording, scattered: bool) -> Chooser:
    return Scattered(chooser) if scattered else chooser


def _finite(value: Tensor) -> Tensor:
    return value.nan_to_num(0.0, 1e6, -1e6)


__all__ = ["Local", "ThroughFlow"]
