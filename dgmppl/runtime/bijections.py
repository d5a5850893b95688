"""Bijections: modules that know their inverse, their log-determinant, and by name what they are conditioned on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from dgmppl.runtime.functions import concat
from dgmppl.runtime.networks import Sequential
from dgmppl.runtime.shapes import broadcast_shapes
from dgmppl.words import counted

if TYPE_CHECKING:
    from dgmppl.runtime.integrals import SolvedFlow

# What bijections are conditioned on: values by name, with the batch's axes first.
Context = Mapping[str, Tensor]
NOTHING: Context = MappingProxyType({})


class Bijection(nn.Module):
    """An invertible map ``(..., *shape) -> (..., *shape)``, maybe conditioned on values that it takes by name.

    Both methods return the image and ``log |det|`` of the Jacobian of the map they applied, shape ``(...)``. They
    raise ValueError where a value that conditions the map is missing.

    Attributes:
        rank: how many trailing dimensions the map acts on; `image_rank`: how many those have that it gives.
        reads: the values that condition it by name, each with the number of its own (trailing) dimensions.
        reorders: whether it puts elements in another order and does nothing else, so that a chain need not add its 0.
    """

    rank: int = 1
    reorders: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.reads: dict[str, int] = {}

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        """``y = f(x)`` and ``log |det df/dx|``."""
        raise NotImplementedError

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        """``x = f^-1(y)`` and ``log |det df^-1/dy|``."""
        raise NotImplementedError

    def forward(self, x: Tensor, context: Context = NOTHING) -> Tensor:
        return self.forward_and_log_det(x, context)[0]

    def inverse(self, y: Tensor, context: Context = NOTHING) -> Tensor:
        """``x = f^-1(y)``."""
        return self.inverse_and_log_det(y, context)[0]

    @property
    def image_rank(self) -> int:
        return self.rank

    def image_shape(self, shape: torch.Size) -> torch.Size:
        """The shape that it gives for what it takes, those of the last `rank` dimensions."""
        return shape

    def source_shape(self, shape: torch.Size) -> torch.Size:
        """The shape that it takes for what it gives."""
        return shape

    def given(self, /, **context: Tensor) -> Conditioned:
        """The same map with these values fixed, wherever inside it they are read.

        Raises:
            ValueError: for a value that nothing inside reads.
        """
        unknown = [name for name in context if name not in self.reads]
        if unknown:
            known = ", ".join(self.reads) or "nothing"
            raise ValueError(f"this bijection is conditioned on {known}, and not on {', '.join(unknown)}")
        return Conditioned(self, context)

    @property
    def batch_shape(self) -> torch.Size:
        """Batch shape of the values that are fixed inside; empty when there are none."""
        return torch.Size()

    @property
    def integrals(self) -> int:
        """How many integrals over time there are among the maps that it applies one after another."""
        return 0

    def ends(self, start: Tensor, end: Tensor, context: Context = NOTHING) -> Ends:
        """What the integral in this map has at its two ends where the map itself takes `start` to `end`.

        Raises:
            ValueError: where there is none.
        """
        raise ValueError(f"{type(self).__name__} has no integral")

    def _read(self, context: Context) -> list[Tensor]:
        """The values that condition this map, in the order of `reads`."""
        missing = [name for name in self.reads if name not in context]
        if missing:
            raise ValueError(f"{type(self).__name__} is conditioned on {', '.join(missing)}: f.given({missing[0]}=...)")
        return [context[name] for name in self.reads]

    def _zero(self, x: Tensor) -> Tensor:
        """The log-determinant of a map that keeps volumes."""
        return zeros_of(x, self.rank)

    def _summed(self, log_scale: Tensor, x: Tensor) -> Tensor:
        """Sum of an elementwise log-determinant, with the batch shape of the map's result."""
        total = sum_last(log_scale, self.rank)
        batch = broadcast_shapes(total.shape, x.shape[: x.dim() - self.rank])
        return total if total.shape == batch else total.expand(batch)


@dataclass(frozen=True)
class Ends:
    """An integral that moves `start` to `end`, with what conditions it; `backwards`: it is read backwards, so that its
    start is the end of the map that it stands in."""

    flow: SolvedFlow
    start: Tensor
    end: Tensor
    context: Context
    backwards: bool = False


class Conditioned(Bijection):
    """A bijection with values fixed that condition it; others, by other names, may still be given."""

    def __init__(self, bijection: Bijection, context: Context) -> None:
        super().__init__()
        self.bijection = bijection
        self.context = dict(context)
        self.rank = bijection.rank
        self.reads = {name: dims for name, dims in bijection.reads.items() if name not in context}

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return self.bijection.forward_and_log_det(x, {**context, **self.context})

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return self.bijection.inverse_and_log_det(y, {**context, **self.context})

    def forward(self, x: Tensor, context: Context = NOTHING) -> Tensor:
        return self.bijection.forward(x, {**context, **self.context})

    def inverse(self, y: Tensor, context: Context = NOTHING) -> Tensor:
        return self.bijection.inverse(y, {**context, **self.context})

    @property
    def integrals(self) -> int:
        return self.bijection.integrals

    def ends(self, start: Tensor, end: Tensor, context: Context = NOTHING) -> Ends:
        return self.bijection.ends(start, end, {**context, **self.context})

    @property
    def image_rank(self) -> int:
        return self.bijection.image_rank

    def image_shape(self, shape: torch.Size) -> torch.Size:
        return self.bijection.image_shape(shape)

    def source_shape(self, shape: torch.Size) -> torch.Size:
        return self.bijection.source_shape(shape)

    @property
    def batch_shape(self) -> torch.Size:
        own = (t.shape[: t.dim() - self.bijection.reads[name]] for name, t in self.context.items())
        return broadcast_shapes(self.bijection.batch_shape, *own)


class Compose(Bijection):
    """Bijections one after the other; ``forward`` applies the first one first. Each part reads what it is given of
    the context by name, all of them one name in as many dimensions. A part may stand there more than once: then its
    weights are shared."""

    def __init__(self, *parts: Bijection) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.rank = parts[0].rank if parts else 1
        for part in parts:
            add_reads(self.reads, part.reads)

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        total = self._zero(x)
        for part in self.in_order():
            x, log_det = part.forward_and_log_det(x, context)
            total = total if part.reorders else total + log_det
        return x, total

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        total = zeros_of(y, self.image_rank)
        for part in reversed(self.in_order()):
            y, log_det = part.inverse_and_log_det(y, context)
            total = total if part.reorders else total + log_det
        return y, total

    def forward(self, x: Tensor, context: Context = NOTHING) -> Tensor:
        for part in self.in_order():
            x = part.forward(x, context)
        return x

    def inverse(self, y: Tensor, context: Context = NOTHING) -> Tensor:
        for part in reversed(self.in_order()):
            y = part.inverse(y, context)
        return y

    @property
    def image_rank(self) -> int:
        parts = self.in_order()
        return parts[-1].image_rank if parts else self.rank

    def image_shape(self, shape: torch.Size) -> torch.Size:
        for part in self.in_order():
            shape = part.image_shape(shape)
        return shape

    def source_shape(self, shape: torch.Size) -> torch.Size:
        for part in reversed(self.in_order()):
            shape = part.source_shape(shape)
        return shape

    @property
    def batch_shape(self) -> torch.Size:
        return broadcast_shapes((), *(part.batch_shape for part in self.in_order()))

    @property
    def integrals(self) -> int:
        return sum(part.integrals for part in self.in_order())

    def ends(self, start: Tensor, end: Tensor, context: Context = NOTHING) -> Ends:
        parts = self.in_order()
        place = next((k for k, part in enumerate(parts) if part.integrals), None)
        if place is None:
            return super().ends(start, end, context)
        for part in parts[:place]:
            start = part(start, context)
        for part in reversed(parts[place + 1 :]):
            end = part.inverse(end, context)
        return parts[place].ends(start, end, context)

    def in_order(self) -> list[Bijection]:
        """The parts, the first one first."""
        return cast("list[Bijection]", list(self.parts))


class ByNumbers(Bijection):
    """A bijection of a vector by numbers that are learned, or that a context gives.

    Args:
        features: number of features D, from which it follows how many numbers there are.
        conditioner: a network from the context to the numbers; without one, the context is these numbers, and without
            a context they are learned, from random ones.
        context: names of what conditions it.
        copies: how many sets are learned, one for each component of a mixture, along the last axis of the batch.

    Attributes:
        spread: the standard deviation of the numbers that are learned, at first; 0: one over the root of their number.
    """

    spread: ClassVar[float] = 0.0

    def __init__(
        self,
        features: int,
        conditioner: nn.Module | None = None,
        context: str | tuple[str, ...] = (),
        copies: int = 0,
    ) -> None:
        super().__init__()
        self.features, self.conditioner, self.copies = features, conditioner, copies
        self.reads = dict.fromkeys(names_of(context), 1)
        if not self.reads:
            count = self.count()
            size = (copies, count) if copies else (count,)
            self.numbers = nn.Parameter((self.spread or count**-0.5) * torch.randn(size))

    def count(self) -> int:
        """How many numbers it has."""
        raise NotImplementedError

    @property
    def batch_shape(self) -> torch.Size:
        return torch.Size([self.copies] if self.copies else [])

    def _numbers(self, context: Context) -> Tensor:
        """The numbers, ``(..., count)``."""
        return parameters_of(self.conditioner, self._read(context)) if self.reads else self.numbers


def zero_last_layer(net: nn.Module | None) -> None:
    """Set the last layer of a network to zero, so that what it parameterises starts at 0.

    Of weights with a direction and a length, the lengths are set to zero. Weights divided by their largest singular
    value are never zero, so that one layer keeps its weights as they are.
    """
    net = net[-1] if isinstance(net, Sequential) else net
    layers = [] if net is None else [m for m in net.modules() if isinstance(m, nn.Linear)]
    last = getattr(net, "last", layers[-1] if layers else None)
    if last is not None:
        nn.init.zeros_(_scale_of(last))
        if last.bias is not None:
            nn.init.zeros_(last.bias)


def _scale_of(layer: nn.Module) -> nn.Parameter:
    """The parameter of a layer that makes its weight zero where it is zero."""
    if not parametrize.is_parametrized(layer, "weight"):
        return cast(nn.Parameter, layer.weight)
    lengths = getattr(cast(nn.ModuleDict, layer.parametrizations)["weight"], "original0", None)
    if lengths is not None:
        return cast(nn.Parameter, lengths)
    parametrize.remove_parametrizations(layer, "weight")
    return cast(nn.Parameter, layer.weight)


def names_of(context: str | tuple[str, ...]) -> tuple[str, ...]:
    """One name, or several, as a tuple."""
    return (context,) if isinstance(context, str) else tuple(context)


def add_reads(reads: dict[str, int], more: dict[str, int]) -> None:
    """Adds what another part reads.

    Raises:
        ValueError: where both read one name in another number of dimensions, which no value has at once.
    """
    for name, dims in more.items():
        if reads.setdefault(name, dims) != dims:
            raise ValueError(f"one part reads {name} in {counted(reads[name], 'dimension')}, and another in {dims}")


def parameters_of(conditioner: nn.Module | None, context: list[Tensor]) -> Tensor:
    """What a context says through a network, or by itself."""
    joined = concat(*context)
    return joined if conditioner is None else conditioner(joined)


def zeros_of(x: Tensor, rank: int) -> Tensor:
    """Zeros of the batch shape of x, whose last `rank` dimensions are an event."""
    return x.new_zeros(x.shape[: x.dim() - rank])


def sum_last(x: Tensor, rank: int) -> Tensor:
    """Sum over the last `rank` dimensions."""
    return x.sum(tuple(range(-rank, 0))) if rank else x


__all__ = [
    "Bijection",
    "ByNumbers",
    "Compose",
    "Conditioned",
]
