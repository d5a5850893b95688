"""A user's own network: any `nn.Module` that keeps to a small protocol, checked where it is built and wherever it runs.

    class Net(nn.Module):
        def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...], hidden: int = 64) -> None: ...
        def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor: ...

Shapes have their channels last: ``(features,)`` for a vector, ``(length, channels)`` for a sequence, ``(height, width,
channels)`` for a grid. `forward` maps ``(N, *inputs)`` to ``(N, *outputs)``. A class that reads positions is told in
`context` the size of a vector that conditions it, where there is one, and is given that vector, ``(N, context)``. A
layer called `last` starts at zero in a flow, which is then the identity at first.
"""

from __future__ import annotations

import inspect
import os
from typing import Any

import torch
from torch import Tensor, nn

from dgmppl.protocol import NetworkError, described


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
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                self(x, *context)
        except NetworkError:
            raise
        except Exception as error:
            if os.environ.get("DGMPPL_DEBUG"):
                raise
            read = f"{tuple(x.shape)}" + (f" and a context {tuple(context[0].shape)}" if context else "")
            raise NetworkError(f"`{self.name}` fails on an input of shape {read}: {described(error)}") from None
        self.network.train(training)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        batch = x.shape[: x.dim() - len(self.inputs)]
        given: tuple[Tensor, ...] = ()
        if context is not None:
            batch = torch.broadcast_shapes(batch, context.shape[:-1])
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


__all__ = ["UserNetwork"]
