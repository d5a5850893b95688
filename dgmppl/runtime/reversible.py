"""Bijections that keep no activations: the backward pass recomputes them from what came out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.utils.parametrizations import _SpectralNorm

from dgmppl.runtime.bijections import NOTHING, Bijection, Compose, Context


class Reversible(Compose):
    """Bijections one after another of which only the last image is kept for the gradient: the backward pass inverts
    part by part, and computes each again (Gomez et al., 2017). Memory does not grow with their number; a backward pass
    costs two passes more.

    Noise of dropout is drawn again as it was, and running averages are left as they are. There is no second derivative.
    """

    def forward_and_log_det(self, x: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return self._kept(x, context, backwards=False)

    def inverse_and_log_det(self, y: Tensor, context: Context = NOTHING) -> tuple[Tensor, Tensor]:
        return self._kept(y, context, backwards=True)

    # A map alone is made as the map and its log-determinant are: without what would be kept between its parts.

    def forward(self, x: Tensor, context: Context = NOTHING) -> Tensor:
        return self.forward_and_log_det(x, context)[0]

    def inverse(self, y: Tensor, context: Context = NOTHING) -> Tensor:
        return self.inverse_and_log_det(y, context)[0]

    def apply_parts(self, x: Tensor, context: Context, backwards: bool) -> tuple[Tensor, Tensor]:
        """The map or its inverse, as of any chain."""
        return super().inverse_and_log_det(x, context) if backwards else super().forward_and_log_det(x, context)

    def _kept(self, x: Tensor, context: Context, backwards: bool) -> tuple[Tensor, Tensor]:
        if not torch.is_grad_enabled():
            return self.apply_parts(x, context, backwards)
        read = {name: context[name] for name in self.reads if name in context}
        found: tuple[Tensor, Tensor] = _Recomputed.apply(
            self, backwards, tuple(read), x, *read.values(), *self.parameters()
        )
        return found


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, chain: Reversible, backwards: bool, names: tuple[str, ...], x: Tensor, *others: Tensor
    ) -> tuple[Tensor, Tensor]:
        given = others[: len(names)]
        ctx.chain, ctx.backwards, ctx.names = chain, backwards, names
        ctx.noise, ctx.shapes = [], []
        parts = chain.in_order()
        y, total = x, None
        for part in reversed(parts) if backwards else parts:
            ctx.noise.append(_noise_of(part, x))
            ctx.shapes.append(y.shape)
            y, log_det = _apply(part, y, dict(zip(names, given)), backwards)
            total = log_det if total is None else total + log_det
        assert total is not None
        ctx.save_for_backward(y, *given)
        return y, total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad, grad_log_det = grads
        y, *given = ctx.saved_tensors
        chain, backwards = ctx.chain, ctx.backwards
        of_weights = {id(p): torch.zeros_like(p) for p in chain.parameters()}
        of_context = [torch.zeros_like(c) for c in given]
        parts = chain.in_order()
        applied = list(reversed(parts)) if backwards else parts
        for part, noise, shape in reversed(list(zip(applied, ctx.noise, ctx.shapes))):
            context = {name: c.detach().requires_grad_(c.is_floating_point()) for name, c in zip(ctx.names, given)}
            weights = [p for p in part.parameters() if p.requires_grad]
            with _again(part, noise):
                x, _ = _apply(part, y, context, not backwards)
            x = _one_of_each(x, shape).detach().requires_grad_()
            with _again(part, noise), torch.enable_grad():
                image, log_det = _apply(part, x, context, backwards)
            leaves = [x, *(c for c in context.values() if c.requires_grad), *weights]
            outputs = [
                (o, g.sum_to_size(o.shape)) for o, g in ((image, grad), (log_det, grad_log_det)) if o.requires_grad
            ]
            found = torch.autograd.grad([o for o, _ in outputs], leaves, [g for _, g in outputs], allow_unused=True)
            grad = found[0] if found[0] is not None else torch.zeros_like(x)
            rest = iter(found[1:])
            for k, c in enumerate(context.values()):
                if c.requires_grad and (g := next(rest)) is not None:
                    of_context[k] += g
            for weight, g in zip(weights, rest):
                if g is not None:
                    of_weights[id(weight)] += g
            y = x.detach()
        return (None, None, None, grad, *of_context, *(of_weights[id(p)] for p in chain.parameters()))


def _apply(part: Bijection, x: Tensor, context: Context, backwards: bool) -> tuple[Tensor, Tensor]:
    return part.inverse_and_log_det(x, context) if backwards else part.forward_and_log_det(x, context)


def _one_of_each(x: Tensor, shape: torch.Size) -> Tensor:
    """What was broadcast from this shape, as it was."""
    while x.dim() > len(shape):
        x = x[0]
    for axis, size in enumerate(shape):
        x = x.narrow(axis, 0, size)
    return x


Noise = tuple[Tensor, Tensor | None] | None


def _noise_of(part: nn.Module, x: Tensor) -> Noise:
    """The state of the generators, where a part draws noise."""
    if not any(isinstance(m, _DropoutNd) and m.p and m.training for m in part.modules()):
        return None
    return torch.get_rng_state(), torch.cuda.get_rng_state(x.device) if x.is_cuda else None


@contextmanager
def _again(part: nn.Module, noise: Noise) -> Iterator[None]:
    """The body applies a part as it was applied before: with this noise, and moving no running average."""
    moving = [m for m in part.modules() if isinstance(m, _BatchNorm)]
    iterated = [m for m in part.modules() if isinstance(m, _SpectralNorm) and m.training]
    momenta = [m.momentum for m in moving]
    for m in moving:
        m.momentum = 0.0
    for s in iterated:
        s.eval()
    try:
        if noise is None:
            yield
        else:
            with torch.random.fork_rng(devices=[torch.cuda.current_device()] if noise[1] is not None else []):
                torch.set_rng_state(noise[0])
                if noise[1] is not None:
                    torch.cuda.set_rng_state(noise[1])
                yield
    finally:
        for m, momentum in zip(moving, momenta):
            m.momentum = momentum
        for s in iterated:
            s.train()


__all__ = ["Reversible"]
