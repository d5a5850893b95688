"""One contract for every bijection: its inverse undoes it, its log-determinant is that of its Jacobian."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dgmppl.permutations import permutation
from dgmppl.runtime import (
    MLP,
    Categorical,
    CausalConv,
    CausalMLP,
    ConvNet,
    DenseNet,
    Normal,
    PixelCNN,
    Pushforward,
    bijections,
    conditioners,
    contractions,
    couplings,
    elementwise,
    grids,
    integrals,
    linear,
    lowrank,
    reversible,
    simplices,
    transforms,
)
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


# Not in the registry under their own name: the protocol, what `given` returns, what the scalar maps share.
INDIRECT = {"Bijection", "ByNumbers", "Conditioned", "Elementwise"}
Case = tuple[Bijection, Tensor, dict[str, Tensor]]


def moved(bijection: Bijection, by: float = 0.3) -> Bijection:
    """With parameters off their start, which is often the identity."""
    with torch.no_grad():
        for parameter in bijection.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return bijection


@pytest.fixture(params=[*REGISTRY, *GRIDS])
def case(request: pytest.FixtureRequest) -> Case:
    """A bijection, an input and what it is conditioned on."""
    torch.manual_seed(0)
    if request.param in GRIDS:
        make, shape, sizes = GRIDS[request.param]
    else:
        make, widths = REGISTRY[request.param]
        shape, sizes = (D,), {name: size if isinstance(size, tuple) else (size,) for name, size in widths.items()}
    bijection = moved(make().double(), 0.1 if request.param in GRIDS else 0.3).eval()
    context = {name: torch.randn(4, *size, dtype=torch.double) for name, size in sizes.items()}
    return bijection, torch.randn(4, *shape, dtype=torch.double), context


def test_the_inverse_undoes_the_map(case: Case) -> None:
    bijection, x, context = case
    y, log_det = bijection.forward_and_log_det(x, context)
    back, log_det_back = bijection.inverse_and_log_det(y, context)
    assert y.shape != x.shape or not torch.allclose(y, x)
    assert y.shape[1:] == bijection.image_shape(x.shape[1:])
    assert x.shape[1:] == bijection.source_shape(y.shape[1:])
    assert (x.dim(), y.dim()) == (1 + bijection.rank, 1 + bijection.image_rank)
    torch.testing.assert_close(back, x, atol=1e-8, rtol=0)
    torch.testing.assert_close(log_det_back, -log_det, atol=1e-8, rtol=0)
    torch.testing.assert_close(bijection(x, context), y)
    torch.testing.assert_close(bijection.inverse(y, context), back)


def test_float32_returns_too(case: Case) -> None:
    bijection, x, context = case
    bijection, x, context = bijection.float(), x.float(), {name: c.float() for name, c in context.items()}
    back = bijection.inverse(bijection(x, context), context)
    torch.testing.assert_close(back, x, atol=1e-5, rtol=1e-5)


def test_the_log_determinant_is_the_jacobians(case: Case) -> None:
    bijection, x, context = case
    _, log_det = bijection.forward_and_log_det(x, context)
    assert log_det.shape == (4,)
    for i in range(4):
        given = {name: c[i] for name, c in context.items()}
        jacobian = torch.autograd.functional.jacobian(lambda v, c=given: bijection(v, c), x[i])
        size = x[i].numel()
        square = jacobian.reshape(-1, size)[:size]  # of proportions the last follows from the others
        torch.testing.assert_close(log_det[i], square.slogdet().logabsdet)


def test_a_given_context_is_the_same_map(case: Case) -> None:
    bijection, x, context = case
    fixed = bijection.given(**context)
    assert fixed.batch_shape == ((4,) if context else ())
    assert not fixed.reads
    one_by_one = bijection
    for name, value in context.items():
        one_by_one = one_by_one.given(**{name: value})
    for map_ in (fixed, one_by_one):
        for found, expected in zip(map_.forward_and_log_det(x), bijection.forward_and_log_det(x, context), strict=True):
            torch.testing.assert_close(found, expected)
        for found, expected in zip(
            map_.inverse_and_log_det(bijection(x, context)),
            bijection.inverse_and_log_det(bijection(x, context), context),
            strict=True,
        ):
            torch.testing.assert_close(found, expected)


def test_every_value_of_the_context_matters(case: Case) -> None:
    bijection, x, context = case
    leaves = {name: value.clone().requires_grad_() for name, value in context.items()}
    y, log_det = bijection.forward_and_log_det(x, leaves)
    (y.square().sum() + log_det.sum()).backward() if leaves or list(bijection.parameters()) else None
    assert all(value.grad is not None and value.grad.any() for value in leaves.values())
    assert all(p.grad is not None and p.grad.any() for p in bijection.parameters())


def test_a_context_that_is_missing_or_unknown_is_an_error(case: Case) -> None:
    bijection, x, context = case
    for name in context:
        others = {n: value for n, value in context.items() if n != name}
        with pytest.raises(ValueError, match=f"conditioned on {name}"):
            bijection(x, others)
    with pytest.raises(ValueError, match="not on wrong"):
        bijection.given(wrong=x)


def test_batches_broadcast_against_contexts(case: Case) -> None:
    """The shape a mixture of conditioned flows needs: one input for each of several contexts."""
    bijection, x, context = case
    y, log_det = bijection.forward_and_log_det(x.unsqueeze(1), context)
    contexts = 4 if context else 1
    assert y.shape == (4, contexts, *bijection.image_shape(x.shape[1:]))
    assert log_det.shape == (4, contexts)
    expected = bijection.forward_and_log_det(x[1], {name: c[2] for name, c in context.items()})
    torch.testing.assert_close((y[1, 2 % contexts], log_det[1, 2 % contexts]), expected)


SHAPES: dict[str, Callable[[tuple[int, ...]], Bijection]] = {
    "affine": Affine,
    "affine given": lambda shape: Affine(shape, MLP(K, (8,), 2 * math.prod(shape)), context="y"),
    "fixed affine": lambda shape: FixedAffine(2.0, 1.0, rank=len(shape)),
    "shift": lambda shape: Shift("y", rank=len(shape)),
    "scale": lambda shape: Scale("y", rank=len(shape)),
    "sigmoid": lambda shape: Sigmoid(rank=len(shape)),
    "tanh": lambda shape: Tanh(rank=len(shape)),
    "exp": lambda shape: Exp(rank=len(shape)),
    "softplus": lambda shape: Softplus(rank=len(shape)),
    "elementwise": lambda shape: ElementwiseFlow(shape, Spline(bins=4)),
    "elementwise given": lambda shape: ElementwiseFlow(
        shape, AffineTransform(), MLP(K, (8,), 2 * math.prod(shape)), context="y"
    ),
    "compose": lambda shape: Compose(Affine(shape), Tanh(rank=len(shape))),
}


@pytest.mark.parametrize("shape", [(), (2, 3)], ids=["scalar", "grid"])
@pytest.mark.parametrize("name", SHAPES)
def test_elementwise_maps_work_on_any_shape(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    bijection = moved(SHAPES[name](shape).double())
    assert bijection.rank == len(shape)
    x = torch.randn(4, *shape, dtype=torch.double)
    size = shape if name in ("shift", "scale") else (K,)
    context = {n: torch.randn(4, *size, dtype=torch.double) for n in bijection.reads}
    fixed = bijection.given(**context)
    assert fixed.batch_shape == ((4,) if context else ())
    y, log_det = fixed.forward_and_log_det(x)
    assert y.shape == x.shape
    assert log_det.shape == (4,)
    back, back_det = fixed.inverse_and_log_det(y)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(back_det, -log_det)
    for i in range(4):
        given = {n: c[i] for n, c in context.items()}
        jacobian = torch.autograd.functional.jacobian(lambda v, c=given: bijection(v, c), x[i])
        n = math.prod(shape)
        torch.testing.assert_close(log_det[i], jacobian.reshape(n, n).slogdet().logabsdet)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Affine(D, copies=3),
        lambda: Householder(D, copies=3),
        lambda: Orthogonal(D, copies=3),
        lambda: Planar(D, copies=3),
        lambda: Radial(D, copies=3),
        lambda: Sylvester(D, orthogonal=2, copies=3),
    ],
)
def test_copies_are_maps_of_their_own(make: Callable[[], Bijection]) -> None:
    """One for each component of a mixture, along the last axis of the batch."""
    torch.manual_seed(0)
    bijection = moved(make())
    x = torch.randn(4, D)
    assert bijection.batch_shape == (3,)
    y, log_det = bijection.forward_and_log_det(x.unsqueeze(1))
    assert y.shape == (4, 3, D)
    assert log_det.shape == (4, 3)
    assert not torch.allclose(y[:, 0], y[:, 1])
    torch.testing.assert_close(bijection.inverse(y), x.unsqueeze(1).expand(4, 3, D))


def test_each_position_has_an_order_of_its_own() -> None:
    orders = [tuple(Permute(12, seed=1, position=k).order.tolist()) for k in range(4)]
    assert len(set(orders)) == 4
    assert all(sorted(order) == list(range(12)) for order in orders)
    assert orders == [permutation(12, 1, k) for k in range(4)]


def test_couplings_start_as_the_identity() -> None:
    x = torch.randn(3, D)
    for name in ("coupling", "coupling of both", "coupling, additive"):
        y, log_det = REGISTRY[name][0]().forward_and_log_det(x)
        assert torch.equal(y, x)
        assert not log_det.any()


@pytest.mark.parametrize("norm", ["spectral", "weight"])
def test_couplings_of_normalised_weights_start_as_the_identity_and_leave_it(norm: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, D)
    coupling = Coupling(D, both=MLP(HALF, (8,), 2 * REST, norm=norm))
    for training in (True, False):
        y, log_det = coupling.train(training).forward_and_log_det(x)
        assert torch.equal(y, x)
        assert not log_det.any()
    optimizer = torch.optim.SGD(coupling.train().parameters(), lr=0.1)
    for _ in range(2):  # the first step moves lengths, or the layer that ends in zero, and the second all
        optimizer.zero_grad()
        y, log_det = coupling.forward_and_log_det(x)
        ((y - 1).square().sum() - log_det.sum()).backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.any() for p in coupling.parameters())


def test_a_volume_preserving_coupling_preserves_volumes() -> None:
    torch.manual_seed(0)
    coupling = moved(Coupling(6, both=MLP(3, (8,), 6), transform=VolumePreserving()))
    x = torch.randn(5, 6)
    y, log_det = coupling.forward_and_log_det(x)
    assert (y - x)[:, 3:].std(0).min() > 0.01
    torch.testing.assert_close(log_det, torch.zeros(5))


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_proportions_are_torchs(scale: float) -> None:
    """Also where nothing is left of the stick in single precision: an image knows its logarithms."""
    torch.manual_seed(0)
    x = scale * torch.randn(50, D)
    theirs, double = torch.distributions.StickBreakingTransform(), x.double()
    y, log_det = StickBreaking().forward_and_log_det(x)
    torch.testing.assert_close(y.double(), theirs(double), atol=1e-6, rtol=1e-5)
    if scale == 1:
        torch.testing.assert_close(
            log_det.double(), theirs.log_abs_det_jacobian(double, theirs(double)), atol=1e-5, rtol=1e-6
        )
        back, log_det_back = StickBreaking().inverse_and_log_det(y.clone())
        torch.testing.assert_close(back, x, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(log_det_back, -log_det, atol=1e-4, rtol=1e-4)
    back, log_det_back = StickBreaking().inverse_and_log_det(y)
    torch.testing.assert_close(back, x, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(log_det_back, -log_det, atol=1e-3, rtol=1e-5)
    assert (y > 0).all()
    torch.testing.assert_close(StickBreaking()(torch.zeros(D)), torch.full((D + 1,), 1 / (D + 1)))


@pytest.mark.parametrize("values", [(0.0, 0.5, 0.5), (-0.1, 0.6, 0.5), (0.3, 0.3, 0.3)])
def test_what_is_no_vector_of_proportions_has_density_0(values: tuple[float, ...]) -> None:
    y = torch.tensor(values, requires_grad=True)
    x, log_det = StickBreaking().inverse_and_log_det(y)
    assert x.isfinite().all()
    assert log_det == -math.inf


GPU = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here"))


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_reversible_chain_has_the_gradients_of_a_chain(backwards: bool, dropout: float, device: str) -> None:
    found = []
    for kind in (Compose, Reversible):
        torch.manual_seed(0)
        flow = moved(reversible_flow(kind, dropout).double()).to(device)
        drawn = (torch.randn(4, size, dtype=torch.double) for size in (D, K, 2))
        x, y, w = (values.to(device).requires_grad_() for values in drawn)
        torch.manual_seed(1)
        # The batch of w is broadcast against those of x and y.
        method = flow.inverse_and_log_det if backwards else flow.forward_and_log_det
        image, log_det = method(x.unsqueeze(1), {"y": y.unsqueeze(1), "w": w})
        (image.sin().sum() + log_det.square().sum()).backward()
        found.append([image, log_det, x.grad, y.grad, w.grad, *(p.grad for p in flow.parameters())])
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected)


def kept_for_the_gradient(flow: Bijection, x: Tensor) -> int:
    """Numbers that a pass keeps beside weights."""
    weights = {p.data_ptr() for p in flow.parameters()}
    kept: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        if t.data_ptr() not in weights:
            kept[t.data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        y, log_det = flow.forward_and_log_det(x)
    (y.sum() + log_det.sum()).backward()
    return sum(kept.values())


def test_the_memory_of_a_reversible_chain_is_flat_in_its_depth() -> None:
    x = torch.randn(256, 8)
    shallow, deep = (
        Reversible(*(Coupling(8, both=MLP(4, (64,), 8), mask="alternate") for _ in range(depth))) for depth in (4, 64)
    )
    assert kept_for_the_gradient(deep, x) <= 1.5 * kept_for_the_gradient(shallow, x)
    assert kept_for_the_gradient(Compose(*deep.parts), x) > 20 * kept_for_the_gradient(deep, x)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("shape", [(3,), (4, 2, 3)], ids=["vector", "grid"])
def test_actnorm_starts_from_the_first_batch_of_a_fit(shape: tuple[int, ...], backwards: bool) -> None:
    torch.manual_seed(0)
    scale = torch.tensor([2.0, 0.1, 30.0])
    x, other = (5 + scale * torch.randn(50, *shape) for _ in range(2))
    norm = ActNorm(shape)

    def apply(values: Tensor) -> Tensor:
        return norm.inverse(values) if backwards else norm(values)

    norm.eval()
    assert torch.equal(apply(x), x)
    norm.train()
    y = apply(x).reshape(-1, 3)
    torch.testing.assert_close(y.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(y.var(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)
    again = ActNorm(shape)
    again.load_state_dict(norm.state_dict())
    assert torch.equal(again.inverse(other) if backwards else again(other), apply(other))


def test_actnorm_starts_from_what_does_not_vary() -> None:
    norm = ActNorm(2)
    y = norm(torch.full((5, 2), 7.0))
    assert y.isfinite().all()
    assert norm.log_scale.exp().max() <= 1.001e3


def test_a_coupling_of_integers_stays_on_the_integers_and_learns() -> None:
    torch.manual_seed(0)
    net = MLP(HALF, (16,), REST)
    coupling = Coupling(D, shift=net, integer=True)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    x = torch.randint(-20, 20, (50, D)).float()
    y, log_det = coupling.forward_and_log_det(x)
    assert torch.equal(y, y.round())
    assert not torch.equal(y, x)
    assert torch.equal(coupling.inverse(y), x)
    assert not log_det.any()
    y.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())  # straight through the rounding


def ranged(seed: int = 0, low: int = 3, size: int = 5) -> Coupling:
    torch.manual_seed(seed)
    coupling = Coupling(2, shift=MLP(1, (16,), 1), integer=True, low=low, size=size)
    with torch.no_grad():
        for parameter in coupling.parameters():
            parameter.normal_(std=2.0)
    return coupling


def test_a_coupling_of_a_range_is_a_bijection_of_the_range() -> None:
    coupling = ranged()
    axis = torch.arange(3.0, 8.0)
    x = torch.cartesian_prod(axis, axis)
    y, log_det = coupling.forward_and_log_det(x)
    assert {tuple(v) for v in y.tolist()} == {tuple(v) for v in x.tolist()}  # every pair once
    assert not torch.equal(y, x)
    assert torch.equal(coupling.inverse(y), x)
    assert not log_det.any()


def test_a_flow_of_a_range_learns_from_the_identity() -> None:
    """x_2 follows x_1 round the range: independent categories cannot say it, a shift by x_1 makes them do."""
    torch.manual_seed(0)
    first = torch.randint(0, 5, (400, 1)).float()
    x = torch.cat([first, (first + 2 * (torch.rand(400, 1) < 0.1)) % 5], 1)
    net = MLP(1, (32,), 1)
    coupling = Coupling(2, shift=net, integer=True, size=5)
    logits = nn.Parameter(torch.zeros(2, 5))

    def p() -> Pushforward:
        return Pushforward(Categorical(logits=logits).to_event(1), coupling)

    p().log_prob(x).sum().backward()
    with torch.no_grad():
        logits[1] += torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0])
    parameters = [*net.parameters(), logits]
    p().log_prob(x).mean().backward()
    assert all(weight.grad is not None for weight in parameters)
    optimizer = torch.optim.Adam(parameters, lr=1e-2)
    best = -torch.inf
    for _ in range(300):
        optimizer.zero_grad()
        found = p().log_prob(x).mean()
        best = max(best, found.item())
        (-found).backward()
        optimizer.step()
    independent = -2 * torch.tensor(5.0).log().item()
    assert best > independent + 0.4
    assert net(torch.arange(5.0).unsqueeze(-1) - 2).round().unique().numel() > 1


@pytest.mark.parametrize("features", [2, 3, 4, 7, 64])
def test_permutations_move_something_between_the_halves(features: int) -> None:
    identity = tuple(range(features))
    orders = [permutation(features, seed) for seed in range(20)]
    for order in orders:
        assert tuple(sorted(order)) == identity
        assert set(order[: features // 2]) != set(identity[: features // 2])
    assert orders == [permutation(features, seed) for seed in range(20)]
    assert len(set(orders)) > {2: 0, 3: 2}.get(features, 8)
    assert permutation(1, 0) == (0,)
    x = torch.arange(float(features))
    assert tuple(Permute(features, seed=3)(x).long().tolist()) == orders[3]


def test_a_coupling_cannot_overflow() -> None:
    net = MLP(1, (), 2)
    coupling = Coupling(2, both=net)
    for weight in net.parameters():
        nn.init.constant_(weight, 1e6)
    y, log_det = coupling.forward_and_log_det(torch.full((1, 2), 1e3))
    assert y.isfinite().all()
    assert (log_det.abs() <= transforms.SCALE_BOUND).all()


def test_composition_order() -> None:
    double, add = Affine(1), Affine(1)
    with torch.no_grad():
        double.log_scale.fill_(2.0).log_()
        add.loc.fill_(1.0)
    torch.testing.assert_close(Compose(double, add)(torch.tensor([3.0])), torch.tensor([7.0]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": 1}, "two features"),
        ({"shape": 4, "scale": MLP(2, (), 2), "integer": True}, "integers"),
        ({"shape": 4, "shift": MLP(2, (), 2), "size": 4}, "modulo"),
        ({"shape": 4, "both": MLP(2, (), 4), "shift": MLP(2, (), 2)}, "one network"),
    ],
)
def test_couplings_that_make_no_sense(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Coupling(**arguments)


def test_a_householder_flow_keeps_the_normal() -> None:
    torch.manual_seed(0)
    base = Normal(torch.zeros(D), torch.ones(D)).to_event(1)
    y = torch.randn(7, D)
    torch.testing.assert_close(Pushforward(base, Householder(D)).log_prob(y), base.log_prob(y))


def test_every_public_bijection_is_in_the_registry() -> None:
    covered = {type(make()).__name__ for make, *_ in (*REGISTRY.values(), *GRIDS.values())}
    modules = (
        bijections,
        conditioners,
        contractions,
        couplings,
        elementwise,
        grids,
        integrals,
        linear,
        lowrank,
        reversible,
        simplices,
    )
    assert {name for module in modules for name in module.__all__} == covered | INDIRECT
    assert set(transforms.__all__) == {"Transform"} | {type(t).__name__ for t in TRANSFORMS.values()}
