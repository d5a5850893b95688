"""Layers that networks are made of: maps between grids and vectors, activations, normalisations, rows and context."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgmppl.extents import Layer
from dgmppl.runtime.shapes import broadcast_shapes


class LipSwish(nn.Module):
    """``x sigmoid(x) / 1.1``, of slope at most 1, curved everywhere (Chen et al., 2019, Sec. 3.3, with beta = 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x) / 1.1


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "lipswish": LipSwish,
}


def make_activation(name: str | None) -> nn.Module:
    """The activation of that name, None for none. Raises ValueError for a name that is not in ACTIVATIONS."""
    if name is None:
        return nn.Identity()
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}; there are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


NORMS = ("batch", "layer", "group")
_GROUP = 8  # channels of a group


class Norm(nn.Module):
    """A normalisation of ``(N, C, ...)``, with a scale and a shift for each of the C channels.

    "batch" normalises a channel over the rows of the batch (Ioffe and Szegedy, 2015), and a single number by the
    running averages; "layer" normalises a row over its channels (Ba et al., 2016), "group" over eight of them at a
    time (Wu and He, 2018), or all where eight do not divide C. Raises ValueError for a kind that is not in NORMS.
    """

    def __init__(self, kind: str, channels: int) -> None:
        super().__init__()
        if kind not in NORMS:
            raise ValueError(f"unknown normalisation {kind!r}; there are {', '.join(NORMS)}")
        groups = channels // _GROUP if kind == "group" and channels % _GROUP == 0 else 1
        self.norm = nn.BatchNorm1d(channels) if kind == "batch" else nn.GroupNorm(groups, channels)

    def forward(self, h: Tensor) -> Tensor:
        flat = h.flatten(2) if h.dim() > 2 else h
        norm = self.norm
        if isinstance(norm, nn.BatchNorm1d) and flat.numel() == flat.shape[1]:  # one number has no spread
            return F.batch_norm(flat, norm.running_mean, norm.running_var, norm.weight, norm.bias).view_as(h)
        normalised: Tensor = norm(flat)
        return normalised.view_as(h)


WEIGHT_NORMS = ("spectral", "weight")


class ChannelNorm(nn.LayerNorm):
    """Normalises the channels of each position of ``(N, C, ...)`` by itself (Ba et al., 2016), in so many `parts` of
    one size, each over its own channels alone."""

    def __init__(self, channels: int, parts: int = 1) -> None:
        super().__init__(channels)
        self.parts = parts

    def forward(self, h: Tensor) -> Tensor:
        h = h.movedim(1, -1)
        if self.parts == 1:
            return super().forward(h).movedim(-1, 1)
        each = h.unflatten(-1, (self.parts, -1))
        h = F.layer_norm(each, each.shape[-1:], eps=self.eps).flatten(-2) * self.weight + self.bias
        return h.movedim(-1, 1)


def position_norms(kind: str | None, sizes: Sequence[int], parts: int = 1) -> nn.ModuleList:
    """A normalisation of each position for layers of these sizes, where `kind` is "layer"; else none that changes it.
    Channels that come in `parts`, one after another, are normalised part by part.

    Raises:
        ValueError: for another kind, which would tell a position of later ones.
    """
    if kind not in (None, "layer"):
        raise ValueError(f"{kind!r} normalises over positions; of one by itself there is 'layer'")
    return nn.ModuleList(ChannelNorm(size, parts) if kind else nn.Identity() for size in sizes)


def with_weight_norm(layer: nn.Module, kind: str | None) -> nn.Module:
    """The layer with its weight reparametrised, where `kind` is in WEIGHT_NORMS.

    "spectral": divided by its largest singular value, as a matrix of channels by all else, which a step of power
    iteration follows at each pass in training (Miyato et al., 2018). "weight": of each channel a direction and a length
    (Salimans and Kingma, 2016).
    """
    if kind == "spectral":
        return nn.utils.parametrizations.spectral_norm(layer)
    if kind == "weight":
        return nn.utils.parametrizations.weight_norm(layer, dim=int(isinstance(layer, nn.ConvTranspose2d)))
    return layer


def make_norms(kind: str | None, sizes: Sequence[int]) -> nn.ModuleList | None:
    """A normalisation of each hidden layer, where `kind` is in NORMS; one of weights is no layer."""
    if kind is None or kind in WEIGHT_NORMS:
        return None
    return nn.ModuleList(Norm(kind, size) for size in sizes)


def make_norm(kind: str | None, channels: int) -> nn.Module:
    """A normalisation of one hidden layer."""
    found = make_norms(kind, (channels,))
    return found[0] if found is not None else nn.Identity()


def channel_dropout(share: float, grid: bool) -> nn.Module:
    """Leaves out units of a vector, or whole channels of a grid."""
    if not share:
        return nn.Identity()
    return nn.Dropout2d(share) if grid else nn.Dropout(share)


# --- maps between grids and vectors, as `dgmppl.extents` plans them -------------------------------


def _odd(kernel: int, dilation: int) -> int:
    """How many more rows and columns an even kernel leaves to pad, or to cut, at the end than at the beginning."""
    return dilation * (kernel - 1) % 2


class GridConv(nn.Conv2d):
    """A convolution ``(N, C, H, W)`` that pads borders with zeros, of a kernel that may be even."""

    def __init__(self, planned: Layer, kernel: int, dilation: int, bias: bool) -> None:
        super().__init__(
            planned.fan_in,
            planned.fan_out,
            kernel,
            stride=planned.stride,
            padding=dilation * (kernel - 1) // 2,
            dilation=dilation,
            bias=bias,
        )
        self.odd = _odd(kernel, dilation)

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(F.pad(h, (0, self.odd, 0, self.odd)) if self.odd else h)


class GridTransposed(nn.ConvTranspose2d):
    """A transposed convolution ``(N, C, H, W)`` to a grid of a given extent."""

    def __init__(self, planned: Layer, kernel: int, dilation: int, bias: bool) -> None:
        super().__init__(
            planned.fan_in,
            planned.fan_out,
            kernel,
            stride=planned.stride,
            padding=dilation * (kernel - 1) // 2,
            dilation=dilation,
            bias=bias,
        )
        self.odd, self.extent = _odd(kernel, dilation), planned.shape[:-1]

    def forward(self, h: Tensor, output_size: list[int] | None = None) -> Tensor:
        grown = super().forward(h, output_size=[e + self.odd for e in self.extent])
        return grown[..., : self.extent[0], : self.extent[1]] if self.odd else grown


class GridLinear(nn.Linear):
    """A linear map of all numbers ``(N, ...)`` to a grid ``(N, C, H, W)``, or to a vector ``(N, C)``."""

    def __init__(self, planned: Layer, bias: bool) -> None:
        super().__init__(planned.fan_in, planned.fan_out, bias=bias)
        self.shape = planned.shape

    def forward(self, h: Tensor) -> Tensor:
        found: Tensor = super().forward(h.movedim(1, -1).flatten(1) if h.dim() > 2 else h)
        return found.reshape(-1, *self.shape).movedim(-1, 1) if len(self.shape) > 1 else found


def make_layer(
    planned: Layer, kernel: int = 3, dilation: int = 1, bias: bool = True, norm: str | None = None
) -> nn.Module:
    """The map of a planned layer, with the channels behind the rows; a norm of weights reparametrises it."""
    if planned.kind == "linear":
        return with_weight_norm(GridLinear(planned, bias), norm)
    kind = GridConv if planned.kind == "conv" else GridTransposed
    return with_weight_norm(kind(planned, kernel, dilation, bias), norm)


# --- rows and context ----------------------------------------------------------------------------


def rows_of(
    x: Tensor, rank: int, context: Tensor | None, maps: Sequence[nn.Module] | nn.ModuleList = ()
) -> tuple[torch.Size, Tensor, list[Tensor]]:
    """The batch shape of ``x (*batch, *positions, channels)`` with `rank` axes of positions and of its context, x with
    one axis for the batch, and what each of these maps makes of the context, ``(N, size)``.

    Raises:
        ValueError: there are maps and no context.
    """
    event = x.shape[x.dim() - rank - 1 :]
    batch = x.shape[: x.dim() - rank - 1]
    if not len(maps):
        return batch, x.reshape(-1, *event), []
    if context is None:
        raise ValueError("this network was built with a context and needs one")
    batch = broadcast_shapes(batch, context.shape[:-1])
    added = [layer(context).expand(*batch, -1).reshape(batch.numel(), -1) for layer in maps]
    return batch, x.expand(*batch, *event).reshape(-1, *event), added


def context_maps(context: int, sizes: Sequence[int]) -> nn.ModuleList:
    """A linear map of the context to each of these sizes; none where there is no context."""
    return nn.ModuleList(nn.Linear(context, size, bias=False) for size in sizes if context)


def like(added: Tensor, h: Tensor) -> Tensor:
    """Numbers for each channel ``(N, C)`` with the axes of ``h (N, C, ...)``."""
    return added.reshape(*added.shape, *[1] * (h.dim() - 2))
