"""Flows are those of Pyro with the same parameters, which has many of them without an inverse."""

from __future__ import annotations

import math

import pytest
import torch
from pyro.distributions import transforms
from pyro.nn import AutoRegressiveNN
from torch import Tensor

from dgmppl.runtime.bijections import Bijection, Compose
from dgmppl.runtime.conditioners import AutoregressiveFlow, ElementwiseFlow, Inverse
from dgmppl.runtime.elementwise import Affine, Exp, Sigmoid, Softplus, Tanh
from dgmppl.runtime.linear import Conv1x1, Householder
from dgmppl.runtime.lowrank import DIAGONAL_BOUND, Planar, Radial, Sylvester
from dgmppl.runtime.simplices import StickBreaking
from dgmppl.runtime.transforms import InverseTransform, MixtureCDF, Monotone
from tests.runtime.support import Network, Theirs, compare, of_torch, randomise, within_bound

D, UNITS = 4, 3
SHIFT = math.log(math.e - 1)


def rows(*shape: int) -> Tensor:
    return torch.randn(50, *(shape or (D,)), dtype=torch.double)


def softplus_inverse(x: Tensor) -> Tensor:
    return x + torch.log(-torch.expm1(-x))


# --- maps without parameters ---------------------------------------------------------------------

MAPS: dict[str, tuple[Bijection, torch.distributions.Transform]] = {
    "sigmoid": (Sigmoid(), transforms.SigmoidTransform()),
    "tanh": (Tanh(), transforms.TanhTransform()),
    "exp": (Exp(), transforms.ExpTransform()),
    "softplus": (Softplus(), transforms.SoftplusTransform()),
    "stick_breaking": (StickBreaking(), transforms.StickBreakingTransform()),
}


@pytest.mark.parametrize("name", MAPS)
def test_maps_without_parameters(name: str) -> None:
    torch.manual_seed(0)
    ours, theirs = MAPS[name]
    compare(ours, of_torch(theirs), rows())


def test_scales_and_shifts() -> None:
    torch.manual_seed(0)
    ours = randomise(Affine(D))
    compare(ours, of_torch(transforms.AffineTransform(ours.loc, ours.log_scale.exp())), rows())


# --- monotone networks ---------------------------------------------------------------------------

Layer = tuple[Tensor, Tensor, Tensor]
"""Slopes a, weights w and shifts b of ``logit(sum_k w_k sigmoid(a_k x + b_k))``, before they are positive, or sum to 1;
``(..., units, D)`` each."""


def random_layer() -> Layer:
    return tuple(0.7 * rows(UNITS, D)[:1] for _ in range(3))


def of_layers(*layers: Layer) -> Theirs:
    """Deep sigmoidal flows of Pyro, one after another, whose parameters do not depend on the past."""
    return of_torch(transforms.ComposeTransform([transforms.NeuralAutoregressive(lambda x, n=n: n) for n in layers]))


def positive(layer: Layer) -> Layer:
    """``a``, ``log w`` and ``b``, as ``(..., D, units)``."""
    a, w, b = (part.mT for part in layer)
    return torch.nn.functional.softplus(a), w.log_softmax(-1), b


def apart() -> Tensor:
    """Where ours start from, and Pyro's do not."""
    return torch.linspace(-1, 1, UNITS, dtype=torch.double)


def of_mixture(layer: Layer) -> Tensor:
    """The numbers of the mixture of logistics with means ``-b / a`` and scales ``1 / a``, ``(..., numbers, D)``."""
    a, log_w, b = positive(layer)
    parts = [log_w, -b / a - apart(), within_bound(-a.log()), a.new_zeros(*a.shape[:-1], 2)]
    return torch.cat(parts, -1).mT


def of_monotone(layer: Layer) -> Tensor:
    """The numbers of a monotone network of one layer."""
    a, log_w, b = positive(layer)
    return torch.cat([within_bound(a.log()), b - apart(), log_w, a.new_zeros(*a.shape[:-1], 2)], -1).mT


ONE_LAYER = {"mixture_cdf": (MixtureCDF(UNITS), of_mixture), "monotone": (Monotone(UNITS, layers=1), of_monotone)}


@pytest.mark.parametrize("name", ONE_LAYER)
def test_neural_autoregressive_flows(name: str) -> None:
    """Huang et al. (2018), Eq. 8, with a network of Pyro's."""
    torch.manual_seed(0)
    transform, numbers = ONE_LAYER[name]
    network = AutoRegressiveNN(D, [16], param_dims=[UNITS] * 3, permutation=torch.arange(D))
    theirs = transforms.NeuralAutoregressive(randomise(network, 0.4), UNITS)
    ours = AutoregressiveFlow(D, Network(lambda x: numbers(network(x.squeeze(-1))).mT), InverseTransform(transform))
    compare(Inverse(ours), of_torch(theirs), rows(), atol=1e-6)  # theirs adds 1e-8 to slopes


def deep(a: Tensor, b: Tensor, inside: list[Tensor], c: Tensor, e: Tensor, log_v: Tensor) -> ElementwiseFlow:
    """Two layers, with the logits of the matrices between them `inside`."""
    layers = [within_bound(a.log()), b - apart(), *inside, within_bound(c.log()), e - apart(), log_v]
    ours = ElementwiseFlow(D, Monotone(UNITS, layers=2)).double()
    ours.numbers.data = torch.cat([*layers, torch.zeros_like(a[..., :2])], -1).squeeze(0).mT
    return ours


def between(matrix: Tensor) -> Tensor:
    """The same logits of a matrix for each element, ``(1, D, units * units)``."""
    return matrix.flatten().expand(1, D, -1)


def test_deep_monotone_networks() -> None:
    """Two layers with one number between them are two of Pyro's: the rows of W are alike, and so U may be any."""
    torch.manual_seed(0)
    first, second = random_layer(), random_layer()
    (a, log_w, b), (c, log_v, e) = positive(first), positive(second)
    inside = [log_w.repeat(1, 1, UNITS), between(rows(UNITS)[:UNITS])]
    ours = deep(a, b, inside, c, e, log_v)
    compare(ours, of_layers(first, second), rows(), atol=1e-6)


def test_numbers_between_the_layers_of_monotone_networks() -> None:
    """A first layer of which each number is one unit, ``h_k = a_k x + b_k``, leaves a single layer of Pyro's, whose
    slopes and shifts are those of ``c_k sum_j u_kj h_j + e_k``."""
    torch.manual_seed(0)
    (a, _, b), (c, log_v, e) = positive(random_layer()), positive(random_layer())
    one_unit, u = -1e4 * (1 - torch.eye(UNITS, dtype=torch.double)), rows(UNITS)[:UNITS]
    mixed = u.softmax(-1)
    slopes, shifts = c * (a @ mixed.mT), c * (b @ mixed.mT) + e
    theirs = of_layers(tuple(part.mT for part in (softplus_inverse(slopes), log_v, shifts)))
    ours = deep(a, b, [between(one_unit), between(u)], c, e, log_v)
    compare(ours, theirs, rows(), atol=1e-6)


# --- few directions ------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(5))
def test_planar(number: int) -> None:
    """Theirs has another m in ``u + (m(w u) - w u) w / |w|^2``, whose u is translated to one of ours."""
    torch.manual_seed(number)
    theirs = randomise(transforms.Planar(D))
    u, w = theirs.u_hat(theirs.u, theirs.w), theirs.w
    along = softplus_inverse(1 + u @ w) - SHIFT
    ours = Planar(D).double()
    ours.numbers.data = torch.cat([u - (u @ w - along) * w / (w @ w), w, theirs.bias])
    compare(ours, of_torch(theirs), rows())


@pytest.mark.parametrize("number", range(5))
def test_radial(number: int) -> None:
    torch.manual_seed(number)
    theirs = randomise(transforms.Radial(D))
    alpha = torch.nn.functional.softplus(theirs.alpha_prime)
    total = torch.nn.functional.softplus(theirs.beta_prime) / alpha  # (alpha + beta) / alpha
    ours = Radial(D).double()
    ours.numbers.data = torch.cat([theirs.x0, softplus_inverse(alpha) - SHIFT, softplus_inverse(total) - SHIFT])
    compare(ours, of_torch(theirs), rows())


def reflections(count: int) -> transforms.Householder:
    return randomise(transforms.Householder(D, count))


@pytest.mark.parametrize("kind", ["", "householder", "orthogonal"])
def test_sylvester(kind: str) -> None:
    """Pyro multiplies from the other side, with R and S transposed, and its determinant is that of its map only where
    its Q is the identity, as that of two equal reflections is. Orders and reflections of Pyro around it make up the
    rest: ``y = Q J f(J Q^T x)`` with J the reversed order. With M columns, what is behind R and S is 0."""
    torch.manual_seed(0)
    inner = randomise(transforms.Sylvester(D, 2), 0.7)
    inner.u_unnormed[1] = inner.u_unnormed[0]
    q = reflections(D if kind == "orthogonal" else 2)
    columns = 2 if kind == "orthogonal" else D
    for diagonal in (inner.R_diag, inner.S_diag):
        diagonal[: D - columns] = 0
    for matrix in (inner.R_dense, inner.S_dense):
        matrix[: D - columns] = 0
    around = [q] if kind else []
    order = transforms.Permute(torch.arange(D).flip(0))
    theirs = transforms.ComposeTransform([*(t.inv for t in around), order, inner, order, *around])

    r, s = (matrix.mT.flip(-1, -2)[:columns, :columns] for matrix in (inner.R(), inner.S()))
    above = tuple(torch.triu_indices(columns, columns, 1))
    matrix = q(torch.eye(D, dtype=torch.double)).mT[:, :columns] - torch.eye(D, columns, dtype=torch.double)
    numbers = {"": torch.zeros(0), "householder": q.u_unnormed.flip(0).flatten(), "orthogonal": matrix.flatten()}[kind]
    diagonals = [torch.atanh(m.diagonal() / DIAGONAL_BOUND) for m in (r, s)]
    options = {"": {}, "householder": {"householder": 2}, "orthogonal": {"orthogonal": columns}}[kind]
    ours = Sylvester(D, **options).double()
    ours.numbers.data = torch.cat([numbers, inner.b.flip(0)[:columns], *diagonals, r[above], s[above]])
    compare(ours, of_torch(theirs), rows(), atol=1e-6)  # theirs adds 1e-8 to slopes


# --- matrices ------------------------------------------------------------------------------------


def test_householder() -> None:
    torch.manual_seed(0)
    theirs = reflections(3)
    ours = Compose(*(Householder(D).double() for _ in range(3)))
    for part, v in zip(ours.parts, theirs.u_unnormed, strict=True):
        part.numbers.data = v
    compare(ours, of_torch(theirs), rows())


def test_convolutions_of_one_by_one() -> None:
    torch.manual_seed(0)
    channels = 4
    theirs = transforms.GeneralizedChannelPermute(channels).double().requires_grad_(False)
    theirs.LU.add_(0.3 * torch.randn_like(theirs.LU))
    below = tuple(torch.tril_indices(channels, channels, -1))
    ours = Conv1x1((2, 3, channels)).double().requires_grad_(False)
    ours.lower.copy_(theirs.LU[below])
    ours.upper.copy_(theirs.LU.mT[below])
    ours.log_diagonal.copy_(theirs.LU.diagonal().abs().log())
    ours.signs.copy_(theirs.LU.diagonal().sign())
    ours.order.copy_(theirs.permutation.argmax(-1))
    ours.back.copy_(ours.order.argsort())

    def channels_first(x: Tensor) -> tuple[Tensor, Tensor]:
        y, log_det = of_torch(theirs)(x.movedim(-1, -3))
        return y.movedim(-3, -1), log_det

    compare(ours, channels_first, rows(2, 3, channels))
