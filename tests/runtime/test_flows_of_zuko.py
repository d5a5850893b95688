"""Flows are those of zuko with the same networks: it has the transforms, and conditioners of its own around them."""

from __future__ import annotations

import math

import pytest
import torch
import zuko
from torch import Tensor

from dgmppl.permutations import Mask
from dgmppl.runtime import Normal, Pushforward, transforms
from dgmppl.runtime.bijections import Bijection, Compose
from dgmppl.runtime.conditioners import AutoregressiveFlow, ElementwiseFlow, Inverse
from dgmppl.runtime.couplings import Coupling
from dgmppl.runtime.integrals import ODEFlow
from dgmppl.runtime.linear import LULinear, Orthogonal, Permute, Reverse
from dgmppl.runtime.transforms import AffineTransform, InverseTransform, ShiftTransform, Spline
from tests.runtime.support import Network, compare, of_torch, randomise, within_bound

D, K, BINS = 5, 3, 4

# Of each: ours, and how zuko is told of it.
TRANSFORMS: dict[str, tuple[transforms.Transform, dict[str, object]]] = {
    "shift": (ShiftTransform(), {"univariate": zuko.transforms.AdditiveTransform, "shapes": [()]}),
    "affine": (AffineTransform(), {}),
    "spline": (
        Spline(BINS),
        {"univariate": zuko.transforms.MonotonicRQSTransform, "shapes": [(BINS,), (BINS,), (BINS - 1,)]},
    ),
}
of_each = pytest.mark.parametrize("name", TRANSFORMS)


def translated(numbers: Tensor) -> Tensor:
    """Those of an affine transform in our order, with a log scale that is bounded our way; others are the same."""
    if numbers.shape[-1] != 2:
        return numbers
    shift, raw = numbers.unbind(-1)
    return torch.stack([within_bound(raw / (1 + (raw / math.log(1e-3)).abs())), shift], -1)


def autoregressive(name: str, hyper: torch.nn.Module, backwards: bool = False) -> Bijection:
    """Ours from the base to the data, with zuko's network; maybe from the last element to the first."""
    transform = TRANSFORMS[name][0]

    def numbers(x: Tensor, y: Tensor) -> Tensor:
        x = x.squeeze(-1)
        found = hyper(torch.cat([x.flip(-1) if backwards else x, y.expand(*x.shape[:-1], K)], -1))
        found = translated(found.unflatten(-1, (-1, transform.parameters)))
        return found.flip(-2) if backwards else found

    flow = AutoregressiveFlow(D, Network(numbers), InverseTransform(transform), context="y")
    return Compose(Reverse(), flow, Reverse()) if backwards else flow


@of_each
def test_masked_autoregressive_flows(name: str) -> None:
    """MAF and NSF (Papamakarios et al., 2017; Durkan et al., 2019)."""
    torch.manual_seed(0)
    theirs = zuko.flows.MaskedAutoregressiveTransform(D, K, hidden_features=(16, 16), **TRANSFORMS[name][1])
    randomise(theirs, 0.3)
    x, y = 2 * torch.randn(20, D, dtype=torch.double), torch.randn(20, K, dtype=torch.double)
    ours = Inverse(autoregressive(name, theirs.hyper))  # zuko's transforms take data to the base
    compare(ours, of_torch(theirs(y)), x, {"y": y})


@pytest.mark.parametrize(("name", "kind"), [("affine", zuko.flows.MAF), ("spline", zuko.flows.NSF)])
def test_whole_flows(name: str, kind: type[zuko.flows.MAF]) -> None:
    """Three transforms, the second of which goes through the elements from the last to the first."""
    torch.manual_seed(0)
    options = {"bins": BINS} if name == "spline" else {}
    theirs = randomise(kind(D, K, transforms=3, hidden_features=(16, 16), **options), 0.3)
    parts = [autoregressive(name, part.hyper, k % 2 == 1) for k, part in enumerate(theirs.transform.transforms)]
    x, y = 2 * torch.randn(20, D, dtype=torch.double), torch.randn(20, K, dtype=torch.double)
    base = Normal(torch.zeros(D, dtype=torch.double), 1.0).to_event(1)
    ours = Pushforward(base, Compose(*reversed(parts)).given(y=y))
    theirs.base.loc.zero_()
    theirs.base.scale.fill_(1)
    torch.testing.assert_close(ours.log_prob(x), theirs(y).log_prob(x), rtol=0, atol=1e-8)


@pytest.mark.parametrize("mask", ["half", "alternate", "random"])
@of_each
def test_couplings(name: str, mask: str) -> None:
    """NICE, RealNVP and its splines."""
    torch.manual_seed(0)
    transform, options = TRANSFORMS[name]
    kept, _ = Mask(mask, seed=3).split((D,))
    keeps = torch.isin(torch.arange(D), torch.tensor(kept))
    theirs = zuko.flows.coupling.GeneralCouplingTransform(D, K, mask=keeps, hidden_features=(16, 16), **options)
    randomise(theirs, 0.3)

    def numbers(inputs: Tensor) -> Tensor:
        found = theirs.hyper(inputs).unflatten(-1, (-1, transform.parameters))
        return translated(found).mT.flatten(-2)  # the first number of all elements first

    ours = Coupling(D, both=Network(numbers), context="y", transform=InverseTransform(transform), mask=mask, seed=3)
    x, y = 2 * torch.randn(20, D, dtype=torch.double), torch.randn(20, K, dtype=torch.double)
    compare(Inverse(ours), of_torch(theirs(y)), x, {"y": y})


def test_elementwise_splines() -> None:
    torch.manual_seed(0)
    ours = randomise(ElementwiseFlow(D, Spline(BINS)))
    theirs = zuko.transforms.MonotonicRQSTransform(*ours.numbers.mT.split((BINS, BINS, BINS - 1), -1))
    compare(ours, of_torch(theirs), 3 * torch.randn(20, D, dtype=torch.double))


def test_rotations() -> None:
    torch.manual_seed(0)
    ours = randomise(Orthogonal(D))
    upper = torch.zeros(D, D, dtype=torch.double)
    upper[tuple(torch.triu_indices(D, D, 1))] = ours.numbers
    compare(ours, of_torch(zuko.transforms.RotationTransform(upper)), torch.randn(20, D, dtype=torch.double))


def test_products_of_triangular_matrices() -> None:
    """Theirs has the diagonal in the other factor: ``L U = (L / d) (d U)``."""
    torch.manual_seed(0)
    numbers = torch.randn(D, D, dtype=torch.double)
    numbers.diagonal().exp_()
    theirs = zuko.transforms.LULinearTransform(numbers)
    diagonal = theirs.L.diagonal()
    ours = LULinear(D).double().requires_grad_(False)
    below = tuple(torch.tril_indices(D, D, -1))
    ours.lower.copy_((theirs.L / diagonal)[below])
    ours.upper.copy_((diagonal.unsqueeze(-1) * theirs.U).mT[below])
    ours.log_diagonal.copy_(diagonal.log())
    compare(ours, of_torch(theirs), torch.randn(20, D, dtype=torch.double))


def test_orders() -> None:
    permute = Permute(D, seed=2)
    for ours, order in ((Reverse(), torch.arange(D).flip(0)), (permute, permute.order)):
        theirs = zuko.transforms.PermutationTransform(order)
        compare(ours, of_torch(theirs), torch.randn(20, D, dtype=torch.double))


@torch.no_grad()
@pytest.mark.parametrize("context", [0, K])
def test_continuous_flows(context: int) -> None:
    """FFJORD (Grathwohl et al., 2019), whose equation zuko solves by steps that it chooses, and ours by equal ones. Its
    network reads the time as a cosine and a sine."""
    torch.manual_seed(0)
    d, options = 2, {"freqs": 1, "hidden_features": (8,), "activation": torch.nn.Tanh, "atol": 1e-8, "rtol": 1e-8}
    theirs = randomise(zuko.flows.FFJTransform(d, context, **options), 0.5).eval()

    def speed(inputs: Tensor) -> Tensor:
        z, t, y = inputs.split((d, 1, context), -1)
        angles = theirs.freqs * t
        return theirs.ode(torch.cat([angles.cos(), angles.sin(), z, y], -1))

    ours = ODEFlow(d, Network(speed), steps=12, context="y" if context else ()).eval()
    x, y = torch.randn(6, d, dtype=torch.double), torch.randn(6, K, dtype=torch.double)
    compare(ours, of_torch(theirs(y if context else None)), x, {"y": y} if context else {}, atol=1e-5)
