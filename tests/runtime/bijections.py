"""Bijections of every kind, with what each is conditioned on, and transforms: what the tests of all of them share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dgmppl.runtime import MLP, CausalConv, CausalMLP, ConvNet, DenseNet, PixelCNN
from dgmppl.runtime.bijections import Bijection, Compose
from dgmppl.runtime.conditioners import AutoregressiveFlow, ElementwiseFlow, Inverse, TriangularFlow
from dgmppl.runtime.contractions import ResidualFlow
from dgmppl.runtime.couplings import Coupling
from dgmppl.runtime.elementwise import Affine, Exp, FixedAffine, Scale, Shift, Sigmoid, Softplus, Tanh
from dgmppl.runtime.grids import MultiScale, Squeeze
from dgmppl.runtime.incremental import at
from dgmppl.runtime.integrals import FieldFlow, ODEFlow
from dgmppl.runtime.linear import ActNorm, Conv1x1, Householder, LULinear, Matrix, Orthogonal, Permute, Reverse
from dgmppl.runtime.lowrank import ConvexPotential, Planar, Radial, Sylvester
from dgmppl.runtime.reversible import Reversible
from dgmppl.runtime.simplices import StickBreaking
from dgmppl.runtime.transforms import (
    AffineTransform,
    InverseTransform,
    MixtureCDF,
    Monotone,
    ShiftTransform,
    Spline,
    VolumePreserving,
)

TRANSFORMS = {
    "shift": ShiftTransform(),
    "affine": AffineTransform(),
    "volume_preserving": VolumePreserving(),
    "spline": Spline(bins=5, bound=3.0),
    "mixture_cdf": MixtureCDF(components=3),
    "monotone": Monotone(units=3, layers=2),
    "mixture_cdf read backwards": InverseTransform(MixtureCDF(components=3)),
}


D, K = 5, 3


HALF, REST = D // 2, D - D // 2

# Each entry: how to build it, and the sizes of what it is conditioned on, by name.
REGISTRY: dict[str, tuple[Callable[[], Bijection], dict[str, int | tuple[int, ...]]]] = {
    "coupling": (lambda: Coupling(D, MLP(HALF, (8,), REST, out="tanh"), MLP(HALF, (8,), REST)), {}),
    "coupling of both": (lambda: Coupling(D, both=MLP(HALF, (8,), 2 * REST)), {}),
    "coupling, scale only": (lambda: Coupling(D, scale=MLP(HALF, (8,), REST)), {}),
    "coupling, additive": (lambda: Coupling(D, shift=MLP(HALF, (8,), REST)), {}),
    "coupling given": (lambda: Coupling(D, both=MLP(HALF + K, (8,), 2 * REST), context="y"), {"y": K}),
    "coupling given two": (
        lambda: Coupling(D, both=MLP(HALF + K + 1, (8,), 2 * REST), context=("y", "w")),
        {"y": K, "w": 1},
    ),
    **{
        f"coupling, {name}": (lambda t=t: Coupling(D, both=MLP(HALF, (8,), t.parameters * REST), transform=t), {})
        for name, t in TRANSFORMS.items()
    },
    **{
        f"autoregressive, {name}": (lambda t=t: AutoregressiveFlow(D, CausalMLP(D, 1, (16,), t.parameters), t), {})
        for name, t in TRANSFORMS.items()
        if name != "volume_preserving"  # of which an element depends on all
    },
    **{f"elementwise, {name}": (lambda t=t: ElementwiseFlow(D, t), {}) for name, t in TRANSFORMS.items()},
    "coupling, alternate": (
        lambda: Coupling(D, both=MLP(HALF + K, (8,), 2 * REST), context="y", mask="alternate"),
        {"y": K},
    ),
    "coupling, spline, alternate, given": (
        lambda: Coupling(
            D, both=MLP(HALF + K, (8,), 11 * REST), context="y", mask="alternate", transform=Spline(bins=4)
        ),
        {"y": K},
    ),
    "coupling, gated": (lambda: Coupling(D, both=MLP(HALF, (8,), 2 * REST), rezero=True), {}),
    "coupling of a part": (
        lambda: Coupling(D, both=MLP(HALF + K, (8,), 2 * REST), context="y", mask="part", part=1, parts=2),
        {"y": K},
    ),
    "coupling of the second of three parts": (
        lambda: Coupling(D, both=MLP(3, (8,), 4), mask="part", part=2, parts=3, rezero=True),
        {},
    ),
    "autoregressive, gated": (
        lambda: AutoregressiveFlow(D, CausalMLP(D, 1, (16,), 2), AffineTransform(), rezero=True),
        {},
    ),
    "autoregressive given": (
        lambda: AutoregressiveFlow(D, CausalMLP(D, 1, (16,), 11, context=K), Spline(bins=4), context="y"),
        {"y": K},
    ),
    "autoregressive, convolutions": (
        lambda: AutoregressiveFlow(D, CausalConv(1, (8,), 2, kernel=3, context=K), AffineTransform(), context="y"),
        {"y": K},
    ),
    "triangular": (
        lambda: TriangularFlow(
            D,
            lambda y: (at(y, -1).sin().exp(), at(y, -2).sin() + y.new_ones(D)),
            Compose(Scale("scale", rank=0), Shift("shift", rank=0)),
        ),
        {},
    ),
    "triangular given": (
        lambda: triangular(CausalMLP(D, 1, (16,), 11, context=K)),
        {"y": K, "w": D},
    ),
    "elementwise given": (
        lambda: ElementwiseFlow(D, Spline(bins=4), MLP(K, (8,), 11 * D), context="y"),
        {"y": K},
    ),
    "elementwise of the context": (lambda: ElementwiseFlow(D, AffineTransform(), context="y"), {"y": 2 * D}),
    "inverse": (
        lambda: Inverse(AutoregressiveFlow(D, CausalMLP(D, 1, (16,), 2, context=K), AffineTransform(), context="y")),
        {"y": K},
    ),
    "lu": (lambda: LULinear(D), {}),
    "orthogonal": (lambda: Orthogonal(D), {}),
    "orthogonal given": (lambda: Orthogonal(D, MLP(K, (8,), 10), context="y"), {"y": K}),
    "planar": (lambda: Planar(D), {}),
    "planar given": (lambda: Planar(D, MLP(K, (8,), 2 * D + 1), context="y"), {"y": K}),
    "planar of the context": (lambda: Planar(D, context="y"), {"y": 2 * D + 1}),
    "convex potential": (lambda: ConvexPotential("w"), {"w": (D, 3)}),
    "convex potential of a shift": (lambda: ConvexPotential(("w", "b")), {"w": (D, 2), "b": 2}),
    "radial": (lambda: Radial(D), {}),
    "radial given": (lambda: Radial(D, MLP(K, (8,), D + 2), context="y"), {"y": K}),
    "sylvester": (lambda: Sylvester(D), {}),
    "sylvester given": (lambda: Sylvester(D, conditioner=MLP(K, (8,), 35), context="y"), {"y": K}),
    "sylvester, orthogonal": (lambda: Sylvester(D, orthogonal=3), {}),
    "sylvester, orthogonal, given": (
        lambda: Sylvester(D, orthogonal=3, conditioner=MLP(K, (8,), 30), context="y"),
        {"y": K},
    ),
    "sylvester, householder": (lambda: Sylvester(D, householder=2), {}),
    "sylvester, householder, given": (
        lambda: Sylvester(D, householder=2, conditioner=MLP(K, (8,), 45), context="y"),
        {"y": K},
    ),
    "residual": (lambda: ResidualFlow(D, MLP(D, (8, 8), D, activation="lipswish")), {}),
    "residual given": (
        lambda: ResidualFlow(D, MLP(D + K, (8,), D, activation="tanh"), lipschitz=0.7, context="y"),
        {"y": K},
    ),
    "residual, dense": (lambda: ResidualFlow(D, DenseNet((D,), (6, 6), (D,), activation="silu")), {}),
    "ode": (lambda: ODEFlow(D, MLP(D + 1, (8,), D, activation="tanh"), steps=2), {}),
    "ode given": (lambda: ODEFlow(D, MLP(D + 1 + K, (8,), D, activation="silu"), steps=3, context="y"), {"y": K}),
    "field": (lambda: FieldFlow(D, lambda z, t: t[:, None] * z.sin() - 0.3 * z.flip(-1), steps=3, start=0.1), {}),
    "field given": (
        lambda: FieldFlow(D, lambda z, t, y: torch.cos(z + t[:, None] + y.sum(-1, keepdim=True)), 3, context={"y": 1}),
        {"y": K},
    ),
    "reverse": (Reverse, {}),
    "permute": (lambda: Permute(D, seed=3), {}),
    "householder": (lambda: Householder(D), {}),
    "householder given": (lambda: Householder(D, MLP(K, (8,), D), context="y"), {"y": K}),
    "householder of the context": (lambda: Householder(D, context="v"), {"v": D}),
    "affine": (lambda: Affine(D), {}),
    "affine given": (lambda: Affine(D, MLP(K, (8,), 2 * D), context="y"), {"y": K}),
    "affine of the context": (lambda: Affine(D, context="y"), {"y": 2 * D}),
    "fixed affine": (lambda: FixedAffine(-3.0, 0.5), {}),
    "shift": (lambda: Shift("y"), {"y": D}),
    "scale": (lambda: Scale("y"), {"y": D}),
    "matrix": (lambda: Matrix("y"), {"y": (D, D)}),
    "matrix, transposed": (lambda: Matrix("y", transposed=1), {"y": (D, D)}),
    "sigmoid": (Sigmoid, {}),
    "tanh": (Tanh, {}),
    "exp": (Exp, {}),
    "softplus": (Softplus, {}),
    "stick_breaking": (StickBreaking, {}),
    "compose": (
        lambda: Compose(
            Coupling(D, both=MLP(HALF + K, (8,), 2 * REST), context="y"),
            Reverse(),
            Coupling(D, both=MLP(HALF, (8,), 2 * REST)),  # takes no context
            Compose(Coupling(D, shift=MLP(HALF + 2, (8,), REST), context="w"), Reverse()),
            Householder(D, MLP(K, (), D), context="y"),
            Affine(D),
        ),
        {"y": K, "w": 2},
    ),
}
# ... and those of grids, with the shape that they act on.
GRID, COLOUR = (4, 2), (4, 4, 3)


GRIDS: dict[str, tuple[Callable[[], Bijection], tuple[int, ...], dict[str, tuple[int, ...]]]] = {
    "squeeze": (lambda: Squeeze(GRID), GRID, {}),
    "squeeze of colours": (lambda: Squeeze(COLOUR), COLOUR, {}),
    "reverse of channels": (lambda: Reverse(rank=3), COLOUR, {}),
    "permute of channels": (lambda: Permute(COLOUR, seed=2), COLOUR, {}),
    "lu of channels": (lambda: LULinear(COLOUR), COLOUR, {}),
    "conv1x1": (lambda: Conv1x1(COLOUR), COLOUR, {}),
    "actnorm": (lambda: ActNorm(COLOUR), COLOUR, {}),
    "actnorm of a vector": (lambda: ActNorm(D), (D,), {}),
    "field of a grid": (
        lambda: FieldFlow(GRID, lambda z, t: (z - z.flip(-1, -2)).tanh() + t[:, None, None], steps=2),
        GRID,
        {},
    ),
    "checkerboard": (
        lambda: Coupling(GRID, both=ConvNet((*GRID, 1), (4,), (*GRID, 2)), mask="checkerboard"),
        GRID,
        {},
    ),
    "checkerboard, complement, of a vector network": (
        lambda: Coupling(GRID, both=MLP(4 + K, (8,), 4 * 2), context="y", mask="checkerboard", complement=True),
        GRID,
        {"y": (K,)},
    ),
    "checkerboard of two, whose order is that of the elements": (
        lambda: Coupling((1, 2), both=ConvNet((1, 2, 1), (4,), (1, 2, 2)), mask="checkerboard", complement=True),
        (1, 2),
        {},
    ),
    "channels, given a vector and a grid": (
        lambda: Coupling(
            COLOUR,
            both=ConvNet((4, 4, 1 + 2), (4,), (4, 4, 2 * 11), context=K),
            transform=Spline(bins=4),
            context=("y", "w"),
            grids="w",
        ),
        COLOUR,
        {"y": (K,), "w": (4, 4, 2)},
    ),
    "random elements, shift and scale apart": (
        lambda: Coupling(
            COLOUR,
            ConvNet(COLOUR, (4,), COLOUR),
            ConvNet(COLOUR, (4,), COLOUR),
            mask="random",
            seed=3,
        ),
        COLOUR,
        {},
    ),
    "alternate channels of a vector network": (
        lambda: Coupling(COLOUR, both=MLP(16 + 32, (8,), 2 * 32), mask="alternate", context="w"),
        COLOUR,
        {"w": (32,)},
    ),
    "autoregressive, of a grid": (
        lambda: AutoregressiveFlow(GRID, PixelCNN(1, (4,), 2, kernel=3), AffineTransform(), grid=True),
        GRID,
        {},
    ),
    "autoregressive, of colours": (
        lambda: AutoregressiveFlow((2, 2, 3), CausalMLP(12, 1, (16,), 8, context=K), Spline(bins=3), context="y"),
        (2, 2, 3),
        {"y": (K,)},
    ),
    "triangular, of a grid": (
        lambda: TriangularFlow(
            GRID,
            lambda y: (at(y, (-1, 1)).sin().exp(), at(y, (0, -1)).sin()),
            Compose(Scale("a", rank=0), Shift("b", rank=0)),
        ),
        GRID,
        {},
    ),
    "multi-scale": (lambda: glow(), (4, 4), {"y": (K,)}),
    "reversible": (lambda: reversible_flow(), (D,), {"y": (K,), "w": (2,)}),
    "reversible, of a grid": (lambda: Reversible(Squeeze((4, 4)), Conv1x1((2, 2, 4))), (4, 4), {}),
    "inverse of a multi-scale one": (lambda: Inverse(glow()), (16,), {"y": (K,)}),
}


def triangular(network: nn.Module) -> Bijection:
    """Splines of an element and shifts of it, by what is before it."""

    def numbers(x: Tensor, y: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        return network(x.unsqueeze(-1), y), at(w, 0) * at(x, -1)

    spline = Compose(ElementwiseFlow((), Spline(bins=4), context="numbers"), Shift("shift", rank=0))
    return TriangularFlow(D, numbers, Inverse(spline), (11, 0), (network,), {"y": 1, "w": 1})


def reversible_flow(chain: type[Compose] = Reversible, dropout: float = 0.0) -> Compose:
    def net(inputs: int) -> MLP:
        return MLP(inputs, (8,), 2 * REST, activation="tanh", dropout=dropout)

    return chain(
        Coupling(D, both=net(HALF + K), context="y"),
        Compose(Reverse(), Coupling(D, both=net(HALF + 2), context="w"), LULinear(D)),
        Inverse(Coupling(D, both=net(HALF + K + 2), context=("y", "w"), mask="alternate")),
    )


def glow() -> Bijection:
    """Two levels of a flow of images (Kingma and Dhariwal, 2018, Fig. 2)."""

    def step(shape: tuple[int, ...]) -> list[Bijection]:
        half = shape[2] // 2
        net = ConvNet((*shape[:2], half), (4,), (*shape[:2], 2 * (shape[2] - half)), context=K)
        return [ActNorm(shape), Conv1x1(shape), Coupling(shape, both=net, context="y")]

    first, second = (2, 2, 4), (1, 1, 8)
    return MultiScale(
        (4, 4), Compose(Squeeze((4, 4)), *step(first)), Compose(Squeeze((2, 2, 2)), *step(second), *step(second))
    )


def moved(bijection: Bijection, by: float = 0.3) -> Bijection:
    """With parameters off their start, which is often the identity."""
    with torch.no_grad():
        for parameter in bijection.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return bijection
