"""What a draw was before a map that saturates in floating point.

In single precision ``tanh(9)`` is 1, ``exp(-110)`` is 0 and ``exp(90)`` overflows: the inverse of a rounded draw is not
the number that was drawn, and its log-density is wrong. So a draw remembers its preimage, as long as the tensor lives
and is not written to. Whoever inverts the same map, a prior that is scored at a draw of the posterior for instance,
takes it from here. A copy of the draw, or one read from a file, has forgotten it and is inverted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary


@dataclass(frozen=True)
class _Preimage:
    map: str
    x: Tensor
    version: int


_PREIMAGES = WeakTensorKeyDictionary()


def _version(y: Tensor) -> int:
    """A number that changes when a tensor is written to."""
    return 0 if y.is_inference() else y._version


def remember(y: Tensor, map_name: str, x: Tensor) -> Tensor:
    """Note that y is the image of x under a map without parameters, "exp", "sigmoid", "tanh", "softplus" or
    "softmax"; returns y."""
    _PREIMAGES[y] = _Preimage(map_name, x, _version(y))
    return y


def recall(y: Tensor, map_name: str) -> Tensor | None:
    """The x of which y is the image under this map; None where that is not known.

    A preimage without gradient does not stand for a value that has one: the gradient would be lost.
    """
    found = _PREIMAGES.get(y)
    if found is None or found.map != map_name or found.version != _version(y):
        return None
    return found.x if found.x.requires_grad or not y.requires_grad else None


def carry(y: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """``change(y)`` for a function that only moves or repeats elements; it remembers ``change`` of y's preimage."""
    changed = change(y)
    found = _PREIMAGES.get(y)
    if found is not None and found.version == _version(y):
        remember(changed, found.map, change(found.x))
    return changed


def fill(draw: Tensor, seen: Tensor, missing: Tensor) -> Tensor:
    """``draw`` where a value is missing and what is seen elsewhere; it remembers the preimages of both."""
    filled = torch.where(missing, draw, seen)
    found = _PREIMAGES.get(draw)
    if found is not None and found.version == _version(draw):
        known = _INVERSES[found.map](seen.masked_fill(missing, 0.5))
        remember(filled, found.map, torch.where(missing, found.x, known))
    return filled


def into(y: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    """y moved off the ends of an open interval to the nearest number inside, and off the infinities.

    Args:
        low, high: 0, 1 or -1; None for an end at infinity.
    """
    info = torch.finfo(y.dtype)
    inside = {0.0: info.tiny, 1.0: 1 - info.eps / 2, -1.0: info.eps / 2 - 1}
    return y.clamp(-info.max if low is None else inside[low], info.max if high is None else inside[high])


def exp(x: Tensor) -> Tensor:
    """``exp(x)``, positive and finite for every x, with x as its preimage."""
    info = torch.finfo(x.dtype)
    # Bounded before as well: the gradient of an overflow is not a number.
    y = torch.exp(x.clamp(max=torch.tensor(info.max, dtype=torch.float64).log().item() * (1 - info.eps)))
    return remember(into(y, 0.0), "exp", x)


def sigmoid(x: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``, strictly between 0 and 1, with x as its preimage."""
    return remember(into(torch.sigmoid(x), 0.0, 1.0), "sigmoid", x)


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent, strictly between -1 and 1, with x as its preimage."""
    return remember(into(torch.tanh(x), -1.0, 1.0), "tanh", x)


def softplus(x: Tensor) -> Tensor:
    """``log(1 + exp(x))``, positive, with x as its preimage."""
    return remember(into(torch.nn.functional.softplus(x), 0.0), "softplus", x)


_INVERSES: dict[str, Callable[[Tensor], Tensor]] = {
    "exp": torch.log,
    "sigmoid": lambda y: y.log() - torch.log1p(-y),
    "tanh": torch.atanh,
    "softplus": lambda y: y + (-torch.expm1(-y)).log(),
    "softmax": torch.log,
}


def invert(y: Tensor, map_name: str) -> Tensor:
    """The preimage of a number strictly inside the codomain, computed from the number."""
    return _INVERSES[map_name](y)
