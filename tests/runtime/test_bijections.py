"""One contract for every bijection: its inverse undoes it, its log-determinant is that of its Jacobian."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dgmppl.permutations import permutation
from dgmppl.runtime import (
    MLP,
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
from dgmppl.runtime.conditioners import ElementwiseFlow
from dgmppl.runtime.elementwise import Affine, Exp, FixedAffine, Scale, Shift, Sigmoid, Softplus, Tanh
from dgmppl.runtime.linear import Householder, Orthogonal, Permute
from dgmppl.runtime.lowrank import Planar, Radial, Sylvester
from dgmppl.runtime.transforms import AffineTransform, Spline
from tests.runtime.bijections import GRIDS, REGISTRY, TRANSFORMS, D, K, moved

# Not in the registry under their own name: the protocol, what `given` returns, what the scalar maps share.
INDIRECT = {"Bijection", "ByNumbers", "Conditioned", "Elementwise"}


Case = tuple[Bijection, Tensor, dict[str, Tensor]]


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


def test_composition_order() -> None:
    double, add = Affine(1), Affine(1)
    with torch.no_grad():
        double.log_scale.fill_(2.0).log_()
        add.loc.fill_(1.0)
    torch.testing.assert_close(Compose(double, add)(torch.tensor([3.0])), torch.tensor([7.0]))


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
