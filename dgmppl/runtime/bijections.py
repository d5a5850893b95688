"""Bijections: modules that know their inverse, their log-determinant, and by name what they are conditioned on."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from dgmppl.permutations import halves
from dgmppl.runtime.functions import concat
from dgmppl.runtime.transforms import SCALE_BOUND, Transform

# What bijections are conditioned on: values by name, with the batch's axes first.
Context = Mapping[str, Tensor]
NOTHING: Context = MappingProxyType({})


class Bijection(nn.Module):
    """An invertible map ``(..., *shape) -> (..., *shape)``, maybe conditioned on values that it takes by name.

    Both methods return the image and ``log |det|`` of the Jacobian of the map they applied, shape ``(...)``. They
    raise ValueError where a value that conditions the map is missing.

    Attributes:
        rank: how many trailing dimensions the map acts on.
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

    def _read(self, context: Context) -> list[Tensor]:
        """The values that condition this map, in the order of `reads`."""
        missing = [name for name in self.reads if name not in context]
        if missing:
            raise ValueError(f"{type(self).__name__} is conditioned on {', '.join(missing)}: f.given({missing[0]}=...)")
        return [context[name] for name in self.reads]

    def _zero(self, x: Tensor) -> Tensor:
        """The log-determinant of a map that keeps volumes."""
        return x.new_zeros(x.shape[: x.dim() - self.rank])

    def _summed(self, log_scale: Tensor, x: Tensor) -> Tensor:
        """Sum of an elementwise log-determinant, with the batch shape of the map's result."""
        total = sum_last(log_scale, self.rank)
        batch = torch.broadcast_shapes(total.shape, x.shape[: x.dim() - self.rank])
        return total if total.shape == batch else total.expand(batch)


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

    @property
    def batch_shape(self) -> torch.Size:
        own = (t.shape[: t.dim() - self.bijection.reads[name]] for name, t in self.context.items())
        return torch.broadcast_shapes(self.bijection.batch_shape, *own)


class Compose(Bijection):
    """Bijections one after the other; ``forward`` applies the first one first. Each part reads what it is given of
    the context by name. A part may stand there more than once: then its weights are shared."""

    def __init__(self, *parts: Bijection) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.rank = parts[0].rank if parts else 1
        for part in parts:
            self.reads.update(part.reads)

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        total = self._zero(x)
        for part in self._in_order():
            x, log_det = part.forward_and_log_det(x, context)
            total = total if part.reorders else total + log_det
        return x, total

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        total = self._zero(y)
        for part in reversed(self._in_order()):
            y, log_det = part.inverse_and_log_det(y, context)
            total = total if part.reorders else total + log_det
        return y, total

    @property
    def batch_shape(self) -> torch.Size:
        return torch.broadcast_shapes((), *(part.batch_shape for part in self._in_order()))

    def _in_order(self) -> list[Bijection]:
        return cast("list[Bijection]", list(self.parts))


class Coupling(Bijection):
    """A coupling, ``y_a = x_a, y_b = T(x_b; net(x_a))``; affine, ``y_b = exp(s(x_a)) x_b + t(x_a)``, where no other
    transform T is given (Dinh et al., 2017, Eqs. 7 and 8).

    a is the first half of the features (rounded down), b the rest, or with the mask "alternate" each second one and
    those between. Without a scale it is the additive
    coupling of Dinh et al. (2015); with ``integer=True`` the shift is rounded, which makes it a bijection of
    the integers with log-determinant 0 (Hoogeboom et al., 2019; Tomczak, 2022, Sec. 3.1.3.1 and 3.2). On a range
    of K integers from low the shift goes round it, ``y_b = low + (x_b - low + round(t(x_a))) mod K`` (Tran et al.,
    2019, Sec. 4.1), which is a bijection of the range.

    Args:
        features: number of features D, at least 2.
        scale, shift: networks ``D // 2 + K -> D - D // 2`` for s and t; None leaves that part out.
        both: one network with ``2 (D - D // 2)`` outputs for s and t, in place of the two; for a transform with
            ``n (D - D // 2)`` outputs for its n numbers an element, the first of all elements first.
        context: names of vectors, of K numbers together, that the networks read after x_a.
        integer: round the shift, with a straight-through gradient.
        low, size: the integers are those from low to low + size - 1; size 0: all of them.
        transform: of b; None is affine.
        mask: "half" or "alternate".

    s is bounded softly, ``c tanh(s / c)`` with c = SCALE_BOUND, and the last layers start at zero, so a coupling
    starts as the identity.
    """

    def __init__(
        self,
        features: int,
        scale: nn.Module | None = None,
        shift: nn.Module | None = None,
        both: nn.Module | None = None,
        context: str | tuple[str, ...] = (),
        integer: bool = False,
        low: int = 0,
        size: int = 0,
        transform: Transform | None = None,
        mask: str = "half",
    ) -> None:
        super().__init__()
        if features < 2:
            raise ValueError(f"a coupling needs two features or more, not {features}")
        if integer and (scale is not None or both is not None):
            raise ValueError("a coupling of integers has a shift only: a scale would leave the integers")
        if size and not integer:
            raise ValueError("only integers are shifted modulo the size of their range")
        if both is not None and (scale is not None or shift is not None):
            raise ValueError("a coupling has one network for both, or one each for scale and shift")
        if transform is not None and both is None:
            raise ValueError("a transform has one network for all of its numbers")
        self.features, self.mask, self.transform = features, mask, transform
        self.scale, self.shift, self.both = scale, shift, both
        self.reads = dict.fromkeys(names_of(context), 1)
        self.integer, self.low, self.size = integer, low, size
        for net in (scale, shift, both):
            zero_last_layer(net)

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        a, b = self._split(x)
        if self.transform is not None:
            moved, log_slope = self.transform.forward(b, self._numbers(a, context))
            return self._joined(a, moved), self._summed(log_slope, x)
        log_scale, shift = self._coefficients(a, context)
        return self._joined(a, self._in_range(b * log_scale.exp() + shift)), self._summed(log_scale, x)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        a, b = self._split(y)
        if self.transform is not None:
            moved, log_slope = self.transform.inverse(b, self._numbers(a, context))
            return self._joined(a, moved), self._summed(log_slope, y)
        log_scale, shift = self._coefficients(a, context)
        log_scale = -log_scale
        return self._joined(a, self._in_range((b - shift) * log_scale.exp())), self._summed(log_scale, y)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        half = self.features // 2
        if self.mask == "alternate":
            return x[..., 1::2], x[..., ::2]
        a, b = x.split((half, self.features - half), -1)
        return a, b

    def _joined(self, a: Tensor, b: Tensor) -> Tensor:
        found = concat(a, b)
        if self.mask != "alternate":
            return found
        kept, moved = halves(self.features, self.mask)
        order = sorted(range(self.features), key=(*kept, *moved).__getitem__)
        return found[..., order]

    def _numbers(self, a: Tensor, context: Context) -> Tensor:
        """The numbers of the transform, ``(..., n, D - D // 2)``."""
        assert self.both is not None and self.transform is not None
        found: Tensor = self.both(concat(a, *self._read(context)))
        return found.unflatten(-1, (self.transform.parameters, -1))

    def _coefficients(self, a: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        inputs = concat(a, *self._read(context))
        if self.both is not None:
            scale, shift = self.both(inputs).chunk(2, -1)
        else:
            scale, shift = (self._of(net, inputs) for net in (self.scale, self.shift))
        if self.integer:
            shift = shift + (shift.round() - shift).detach()
        return SCALE_BOUND * torch.tanh(scale / SCALE_BOUND), shift

    def _of(self, net: nn.Module | None, inputs: Tensor) -> Tensor:
        if net is None:
            return inputs.new_zeros(self.features - self.features // 2)
        found: Tensor = net(inputs)
        return found

    def _in_range(self, b: Tensor) -> Tensor:
        return self.low + torch.remainder(b - self.low, self.size) if self.size else b


def zero_last_layer(net: nn.Module | None) -> None:
    """Set the last layer of a network to zero, so that what it parameterises starts at 0."""
    layers = [] if net is None else [m for m in net.modules() if isinstance(m, nn.Linear)]
    last = getattr(net, "last", layers[-1] if layers else None)
    if last is not None:
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)


def names_of(context: str | tuple[str, ...]) -> tuple[str, ...]:
    """One name, or several, as a tuple."""
    return (context,) if isinstance(context, str) else tuple(context)


def parameters_of(conditioner: nn.Module | None, context: list[Tensor]) -> Tensor:
    """What a context says through a network, or by itself."""
    joined = concat(*context)
    return joined if conditioner is None else conditioner(joined)


def sum_last(x: Tensor, rank: int) -> Tensor:
    """Sum over the last `rank` dimensions."""
    return x.sum(tuple(range(-rank, 0))) if rank else x


__all__ = [
    "Bijection",
    "Compose",
    "Conditioned",
    "Coupling",
]
