"""A user's own network: any `nn.Module` that keeps to a small protocol, checked where it is built and wherever it runs.

    class Net(nn.Module):
        def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...], hidden: int = 64) -> None: ...
        def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor: ...

Shapes have their channels last: ``(features,)`` for a vector, ``(length, channels)`` for a sequence, ``(height, width,
channels)`` for a grid. `forward` maps ``(N, *inputs)`` to ``(N, *outputs)``. A class that reads positions is told in
`context` the size of a vector that conditions it, where there is one, and is given that vector, ``(N, context)``. A
layer called `last` starts at zero in a flow, which is then the identity at first.

A class of sequences that stands where a past is read is causal: what it gives at a position depends on what it reads
there and before it, and on nothing later. It reads the past one position late, the element before in place of each.
"""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dgmppl.protocol import NetworkError, described
from dgmppl.runtime.incremental import current
from dgmppl.runtime.past import shifted, so_far
from dgmppl.runtime.shapes import broadcast_shapes


class UserNetwork(nn.Module):
    """A network of a class that a user wrote, ``(..., *inputs) -> (..., *outputs)``.

    Args:
        make: the class.
        inputs, outputs: shapes of what it reads and gives, channels last.
        options: its keyword arguments; `context` is the size of a vector that conditions it.

    Raises:
        NetworkError: it is no class of networks, does not take these arguments, fails, or gives another shape.
    """

    def __init__(self, make: type[nn.Module], inputs: tuple[int, ...], outputs: tuple[int, ...], /, **options: Any):
        super().__init__()
        self.name = getattr(make, "__name__", str(make))
        self.inputs, self.outputs, self.reads_context = inputs, outputs, options.get("context", 0)
        if not (isinstance(make, type) and issubclass(make, nn.Module)):
            raise NetworkError(f"`{self.name}` is no class that derives from torch.nn.Module")
        try:
            inspect.signature(make).bind(inputs, outputs, **options)
        except TypeError as error:
            given = ", ".join(["inputs", "outputs", *(f"{name}={value!r}" for name, value in options.items())])
            raise NetworkError(f"`{self.name}` does not take ({given}): {error}") from None
        try:
            self.network = make(inputs, outputs, **options)
        except Exception as error:
            if os.environ.get("DGMPPL_DEBUG"):
                raise
            raise NetworkError(f"`{self.name}` fails as it is built: {described(error)}") from None
        self._try()

    @property
    def last(self) -> nn.Module | None:
        """The last layer, which flows start at zero, if the class has one by this name; else it starts as it likes."""
        found = getattr(self.network, "last", None)
        return found if isinstance(found, (nn.Linear, nn.Conv1d, nn.Conv2d)) else None

    def _try(self) -> None:
        """Two rows of zeros, so that what is wrong is told before anything is fitted. No random number is used up."""
        x = torch.zeros(2, *self.inputs)
        context = (torch.zeros(2, self.reads_context),) if self.reads_context else ()
        training = self.network.training
        self.network.eval()
        with self._told(), torch.no_grad(), torch.random.fork_rng(devices=[]):
            self._given(x, *context)
        self.network.train(training)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the class raises inside, on two rows, is a NetworkError."""
        try:
            yield
        except NetworkError:
            raise
        except Exception as error:
            if os.environ.get("DGMPPL_DEBUG"):
                raise
            read = f"{(2, *self.inputs)}" + (f" and a context {(2, self.reads_context)}" if self.reads_context else "")
            raise NetworkError(f"`{self.name}` fails on an input of shape {read}: {described(error)}") from None

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self._given(x, context)

    def _given(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """What the class gives for inputs of any batch shape, after their shape was found to be right."""
        batch = x.shape[: x.dim() - len(self.inputs)]
        given: tuple[Tensor, ...] = ()
        if context is not None:
            batch = broadcast_shapes(batch, context.shape[:-1])
            x = x.expand(*batch, *self.inputs)
            given = (context.expand(*batch, -1).reshape(-1, context.shape[-1]),)
        rows = x.reshape(-1, *self.inputs)
        found = self.network(rows, *given)
        wanted = (len(rows), *self.outputs)
        if not isinstance(found, Tensor):
            raise NetworkError(f"`{self.name}` gives {type(found).__name__}, not a tensor of shape {wanted}")
        if tuple(found.shape) != wanted:
            raise NetworkError(f"`{self.name}` gives shape {tuple(found.shape)}, not {wanted}")
        return found.reshape(*batch, *self.outputs)


class CausalUserNetwork(UserNetwork):
    """A causal network of a class that a user wrote, of a sequence ``(..., D, C) -> (..., D, out)``: what it gives at
    position d depends on x before d only, since the class reads x one position late.

    While a sequence is drawn it computes the whole for each position.

    Args:
        make, outputs, options: as for UserNetwork.
        inputs: the shape (D, C) of the past; the class is told of the aligned channels too.
        aligned: channels of what a position sees of itself, beside the element before it; 0 for none.

    Raises:
        NetworkError: likewise, or what it gives somewhere depends on what comes later.
    """

    def __init__(
        self,
        make: type[nn.Module],
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        /,
        aligned: int = 0,
        **options: Any,
    ):
        super().__init__(make, (*inputs[:-1], inputs[-1] + aligned), outputs, **options)
        self._verify_causal()

    def forward(self, x: Tensor, context: Tensor | None = None, aligned: Tensor | None = None) -> Tensor:
        draw, before = current(), shifted(x)
        if aligned is not None:
            if draw is not None:
                aligned = so_far(aligned, self.inputs[0], draw.position, draw.kept(self))
            batch = broadcast_shapes(before.shape[:-2], aligned.shape[:-2])
            before = torch.cat([v.expand(*batch, *v.shape[-2:]) for v in (before, aligned)], -1)
        found = self._given(before, context)
        return found if draw is None else found[..., draw.position : draw.position + 1, :]

    def _verify_causal(self) -> None:
        """The gradients of what it gives at some positions, in a copy with other weights, are 0 at all later ones."""
        length = self.inputs[0]
        with self._told(), torch.random.fork_rng(devices=[]), torch.enable_grad():
            tried = copy.deepcopy(self.network)
            for p in tried.parameters():
                p.data.add_(0.1 * torch.randn_like(p))
            x = torch.randn(2, *self.inputs, requires_grad=True)
            found = tried(x, *((torch.randn(2, self.reads_context),) if self.reads_context else ()))
            for d in range(0, length - 1, -(-length // _TRIED)) if found.requires_grad else ():
                (slope,) = torch.autograd.grad(found[:, d].sum(), x, retain_graph=True, allow_unused=True)
                if slope is not None and bool(slope[:, d + 1 :].any()):
                    raise NetworkError(
                        f"`{self.name}` reads a past and looks ahead: position {d} depends on later ones"
                    )


_TRIED = 16  # positions, at most


__all__ = ["CausalUserNetwork", "UserNetwork"]
