"""Parts of a batch that are computed apart, by several processes or one after another, as if they were one.

What a step does must not depend on how many processes share it. So each part draws the noise of the whole batch and
keeps its own rows: every row gets the noise that a single process would give it. That holds for draws that take as
many random numbers whatever their parameters are, which are all but those by rejection (gamma, beta, Dirichlet,
Student's t, Poisson): their rows are drawn from the same law, but not with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class Part:
    """The part `index`, counted from 0, of `count` parts of about the same size."""

    index: int
    count: int

    def of(self, total: int) -> slice:
        """The rows of this part among `total`."""
        return slice(total * self.index // self.count, total * (self.index + 1) // self.count)


class _Current:
    """Which part is computed now, and of how many rows the batch is; a part of None is a whole batch."""

    part: Part | None = None
    total: int = 0


def current_part() -> Part | None:
    """The part that is computed now; None for a whole batch."""
    return _Current.part


@contextmanager
def part_of_batch(part: Part, total: int) -> Iterator[None]:
    """Noise drawn in the body is that of `part` of a batch of `total` rows."""
    if part.count == 1:
        yield
        return
    with rows_of(total, part), _PartNoise():
        yield


@contextmanager
def rows_of(total: int, part: Part | None = None) -> Iterator[None]:
    """Within a part: what is drawn in the body has its share of `total` rows, those of a chain for instance."""
    before = _Current.part, _Current.total
    _Current.part, _Current.total = part or before[0], total
    try:
        yield
    finally:
        _Current.part, _Current.total = before


class _PartNoise(TorchFunctionMode):
    """Draws for all rows, and keeps those of the part."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        draw = _DRAWS.get(func)
        if draw is None or _Current.part is None:
            return func(*args, **(kwargs or {}))
        return draw(func, args, kwargs or {})


def _times(rows: int) -> int:
    """How many entries a row has in a leading dimension of this size; 0 where it does not count the part's rows."""
    part = _Current.part
    own = part.of(_Current.total) if part else slice(0, 0)
    size = own.stop - own.start
    return rows // size if size and rows % size == 0 else 0


def _own(values: Tensor, times: int, dim: int = 0) -> Tensor:
    part = _Current.part
    own = part.of(_Current.total) if part else slice(0, 0)
    return values.narrow(dim, own.start * times, (own.stop - own.start) * times)


def _enlarged(values: Tensor, times: int) -> Tensor:
    """Parameters of all rows: the part's in their place, its first row's elsewhere."""
    part = _Current.part
    own = part.of(_Current.total) if part else slice(0, 0)
    first = values[:1]
    before = first.expand(own.start * times, *values.shape[1:])
    after = first.expand((_Current.total - own.stop) * times, *values.shape[1:])
    return torch.cat([before, values, after])


def _by_size(func: Callable[..., Tensor], args: Any, kwargs: Any) -> Tensor:
    """`torch.rand((n, 2))`, `torch.rand(n, 2)`, `torch.randint(high, (n, 2))`."""
    if func is torch.randint:
        place = next((k for k, a in enumerate(args) if isinstance(a, (tuple, list, torch.Size))), None)
    else:
        place = 0 if args and isinstance(args[0], (tuple, list, torch.Size)) else None
        if place is None and args:
            args = (torch.Size(args),)
            place = 0
    if place is None or not args[place] or not (times := _times(args[place][0])):
        return func(*args, **kwargs)
    size = (_Current.total * times, *args[place][1:])
    return _own(func(*args[:place], size, *args[place + 1 :], **kwargs), times)


def _by_parameters(func: Callable[..., Tensor], args: Any, kwargs: Any) -> Tensor:
    """`torch.normal(mean, std)`, `torch.bernoulli(p)`, `torch.rand_like(x)`: by the rows of their tensors."""
    rows = max((a.shape[0] for a in args if isinstance(a, Tensor) and a.dim()), default=0)
    times = _times(rows)
    if not times:
        return func(*args, **kwargs)
    whole = [_enlarged(a, times) if isinstance(a, Tensor) and a.dim() and a.shape[0] == rows else a for a in args]
    return _own(func(*whole, **kwargs), times)


def _multinomial(func: Callable[..., Tensor], args: Any, kwargs: Any) -> Tensor:
    """Draws of one each for many rows, or many draws of the same probabilities."""
    weights, draws, *rest = args
    if draws != 1 and (times := _times(draws)):
        return _own(func(weights, _Current.total * times, *rest, **kwargs), times, dim=-1)
    return _by_parameters(func, args, kwargs)


def _in_place(func: Callable[..., Tensor], args: Any, kwargs: Any) -> Tensor:
    """`x.exponential_()`."""
    target, *rest = args
    if not target.dim() or not (times := _times(target.shape[0])):
        return func(*args, **kwargs)
    whole = target.new_empty((_Current.total * times, *target.shape[1:]))
    result: Tensor = target.copy_(_own(func(whole, *rest, **kwargs), times))
    return result


_DRAWS: Mapping[Any, Callable[..., Tensor]] = {
    **dict.fromkeys((torch.rand, torch.randn, torch.randint), _by_size),
    **dict.fromkeys(
        (
            torch.normal,
            torch.bernoulli,
            torch.poisson,
            torch.binomial,
            torch._standard_gamma,
            torch._sample_dirichlet,
            torch.rand_like,
            torch.randn_like,
        ),
        _by_parameters,
    ),
    torch.multinomial: _multinomial,
    **dict.fromkeys(
        (
            Tensor.exponential_,
            Tensor.uniform_,
            Tensor.normal_,
            Tensor.cauchy_,
            Tensor.geometric_,
            Tensor.log_normal_,
        ),
        _in_place,
    ),
}
