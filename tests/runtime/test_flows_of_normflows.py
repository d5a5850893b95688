"""Flows of images, and residual ones, are those of normflows (Stimper et al., 2023) with the same weights.

It maps what it calls z to x, and has the channels of a grid first: there, a row is ``(channels, height, width)``.
"""

from __future__ import annotations

import math

import normflows as nf
import pytest
import torch
from normflows.nets.lipschitz import InducedNormLinear, Swish
from normflows.utils import splines
from torch import Tensor, nn

from dgmppl.runtime import MLP, ConvNet, Normal, Pushforward
from dgmppl.runtime.bijections import Bijection, Compose
from dgmppl.runtime.conditioners import Inverse
from dgmppl.runtime.contractions import ResidualFlow
from dgmppl.runtime.couplings import Coupling
from dgmppl.runtime.grids import MultiScale, Squeeze
from dgmppl.runtime.linear import ActNorm, Conv1x1, LULinear, Matrix, Permute
from dgmppl.runtime.transforms import Spline
from tests.runtime.support import Network, Theirs, compare, randomise, within_bound

COLOUR = (2, 4, 6)


def channels_first(x: Tensor) -> Tensor:
    return x.movedim(-1, -3)


def channels_last(x: Tensor) -> Tensor:
    return x.movedim(-3, -1)


def on_grids(flow: nf.flows.Flow, backwards: bool = False) -> Theirs:
    """A flow of theirs on grids as we have them, from z to x, or back."""

    def theirs(x: Tensor) -> tuple[Tensor, Tensor]:
        y, log_det = (flow.inverse if backwards else flow)(channels_first(x))
        return channels_last(y), torch.as_tensor(log_det, dtype=x.dtype)

    return theirs


def grids(shape: tuple[int, ...] = COLOUR) -> Tensor:
    return torch.randn(10, *shape, dtype=torch.double)


# --- maps of the channels ------------------------------------------------------------------------


def normalisation(theirs: nf.flows.ActNorm, shape: tuple[int, ...]) -> ActNorm:
    ours = ActNorm(shape).double().eval()
    ours.loc.data, ours.log_scale.data = theirs.t.flatten(), theirs.s.flatten()
    return ours


def started(theirs: nf.flows.ActNorm) -> nf.flows.ActNorm:
    """Not again from the first batch."""
    theirs.data_dep_init_done = torch.tensor(1.0)
    return theirs


def test_normalisations() -> None:
    torch.manual_seed(0)
    theirs = started(randomise(nf.flows.ActNorm((COLOUR[-1], 1, 1))))
    compare(normalisation(theirs, COLOUR), on_grids(theirs), grids())


def test_first_batches() -> None:
    """Theirs divides by one row fewer, and adds 1e-6 to a spread."""
    x = 3 * grids() + 1
    theirs = nf.flows.ActNorm((COLOUR[-1], 1, 1)).double()
    expected, _ = on_grids(theirs)(x)
    count = math.prod(x.shape[:-1])
    spread = math.sqrt(1 - 1 / count)
    torch.testing.assert_close(ActNorm(COLOUR).double()(x) * spread, expected, rtol=0, atol=1e-5)


def convolution(theirs: nf.flows.Invertible1x1Conv, shape: tuple[int, ...]) -> Conv1x1:
    ours = Conv1x1(shape).double()
    below = tuple(torch.tril_indices(shape[-1], shape[-1], -1))
    for name, values in (("lower", theirs.L[below]), ("upper", theirs.U.mT[below]), ("log_diagonal", theirs.log_S)):
        getattr(ours, name).data = values
    ours.signs.copy_(theirs.sign_S)
    ours.order.copy_(theirs.P.argmax(-1))
    ours.back.copy_(ours.order.argsort())
    return ours


def test_convolutions_of_one_by_one() -> None:
    torch.manual_seed(0)
    theirs = randomise(nf.flows.Invertible1x1Conv(COLOUR[-1], use_lu=True), 0.5)
    compare(convolution(theirs, COLOUR), on_grids(theirs, backwards=True), grids())


def test_products_of_triangular_matrices() -> None:
    torch.manual_seed(0)
    theirs = randomise(nf.flows.mixing._LULinear(5))
    theirs.bias.zero_()
    ours = LULinear(5).double()
    ours.lower.data, ours.log_diagonal.data = theirs.lower_entries, theirs.upper_diag.log()
    ours.upper.data = theirs._create_lower_upper()[1].mT[tuple(torch.tril_indices(5, 5, -1))]
    compare(ours, theirs, torch.randn(10, 5, dtype=torch.double))


def test_matrices() -> None:
    torch.manual_seed(0)
    theirs = randomise(nf.flows.InvertibleAffine(5, use_lu=False))
    compare(Matrix("w", transposed=1), theirs.inverse, torch.randn(10, 5, dtype=torch.double), {"w": theirs.W})


# --- squares and levels --------------------------------------------------------------------------


def squeeze(shape: tuple[int, ...]) -> Bijection:
    """Theirs keeps the four values of a channel together, and ours the channels of each position."""
    ours = Squeeze(shape)
    channels = ours.squeezed[-1] // 4
    order = torch.arange(4 * channels).view(4, channels).mT.flatten()
    together = Permute(ours.squeezed)
    together.order.copy_(order)
    together.back.copy_(order.argsort())
    return Compose(ours, together)


def test_squeezes() -> None:
    compare(squeeze(COLOUR), on_grids(nf.flows.Squeeze(), backwards=True), grids())


def test_glow() -> None:
    """Two levels of two steps each, from the image to the base, and the density of the image (Kingma and Dhariwal,
    2018; theirs scales by a sigmoid). Behind the first level theirs is done with the half that is told."""
    torch.manual_seed(0)
    sizes = [(4, 4), (2, 2, 2)]
    levels, ours = [], []
    for size in sizes:
        inner = tuple(Squeeze(size).squeezed)
        blocks = [glow_block(inner[-1]) for _ in range(2)]
        levels.append([*blocks, nf.flows.Squeeze()])
        ours.append(Compose(squeeze(size), *(Inverse(step(block, inner)) for block in reversed(blocks))))
    bases = [nf.distributions.DiagGaussian(shape).double() for shape in ((8, 1, 1), (2, 2, 2))]
    # A flow of theirs goes from the last level to the first.
    theirs = nf.MultiscaleFlow(bases, levels[::-1], [nf.flows.Merge("channel_inv")], class_cond=False)

    def from_image(x: Tensor) -> tuple[Tensor, Tensor]:
        parts, log_det = theirs.inverse_and_log_det(x.unsqueeze(1))
        return torch.cat([channels_last(part).flatten(1) for part in parts[::-1]], -1), log_det

    flow = MultiScale((4, 4), *ours)
    x = grids((4, 4))
    compare(flow, from_image, x)
    density = Pushforward(Normal(torch.zeros(16, dtype=torch.double), 1.0).to_event(1), Inverse(flow))
    torch.testing.assert_close(density.log_prob(x), theirs.log_prob(x.unsqueeze(1), None), rtol=0, atol=1e-8)


def glow_block(channels: int) -> nf.flows.GlowBlock:
    block = randomise(nf.flows.GlowBlock(channels, hidden_channels=5), 0.2)
    started(block.flows[-1])
    return block


def step(block: nf.flows.GlowBlock, shape: tuple[int, ...]) -> Bijection:
    """A step from z to x: a coupling, a convolution, a normalisation."""
    coupling, mixing, norm = block.flows

    def numbers(kept: Tensor) -> Tensor:
        shift, raw = channels_last(coupling.flows[1].param_map(channels_first(kept))).unflatten(-1, (-1, 2)).unbind(-1)
        return torch.cat([within_bound(-nn.functional.logsigmoid(raw + 2)), shift], -1)

    first = Coupling(shape, both=Network(numbers, rank=2))
    return Compose(first, Inverse(convolution(mixing, shape)), normalisation(norm, shape))


# --- couplings on grids --------------------------------------------------------------------------


def test_couplings_of_channels() -> None:
    """With the weights of their convolutions in ours."""
    torch.manual_seed(0)
    half = COLOUR[-1] // 2
    theirs = nf.flows.AffineCouplingBlock(nf.nets.ConvNet2d((half, 7, 2 * half), (3, 3), leaky=0.01))
    randomise(theirs, 0.1)
    network = ConvNet((*COLOUR[:2], half), (7,), (*COLOUR[:2], 2 * half)).double()
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    for layer, their_layer in zip(convolutions, theirs.flows[1].param_map.net[::2], strict=True):
        layer.load_state_dict(their_layer.state_dict())

    def numbers(kept: Tensor) -> Tensor:
        shift, log_scale = network(kept).unflatten(-1, (-1, 2)).unbind(-1)
        return torch.cat([within_bound(log_scale), shift], -1)

    compare(Coupling(COLOUR, both=Network(numbers, rank=2)), on_grids(theirs), grids())


@pytest.mark.parametrize("complement", [False, True])
def test_couplings_of_checkerboards(complement: bool) -> None:
    """Theirs puts what it keeps next to each other, which makes it a narrower grid."""
    torch.manual_seed(0)
    mode = "checkerboard_inv" if complement else "checkerboard"
    theirs = nf.flows.AffineCouplingBlock(nf.nets.ConvNet2d((1, 7, 2), (3, 3), leaky=0.01), split_mode=mode)
    randomise(theirs, 0.2)

    def numbers(kept: Tensor) -> Tensor:
        found = theirs.flows[1].param_map(kept.view(-1, 1, 4, 3)).flatten(2)
        shift, log_scale = found.unbind(1)
        return torch.cat([within_bound(log_scale), shift], -1)

    ours = Coupling((4, 6), both=Network(numbers), mask="checkerboard", complement=complement)

    def of_one_channel(x: Tensor) -> tuple[Tensor, Tensor]:
        y, log_det = theirs(x.unsqueeze(1))
        return y.squeeze(1), log_det

    compare(ours, of_one_channel, grids((4, 6)))


BINS, BOUND = 4, 3.0


def test_splines_of_channels() -> None:
    """Durkan et al. (2019). Theirs leaves each bin a thousandth of the whole and each slope 0.001, where ours bounds
    the numbers; both can have what the other has."""
    torch.manual_seed(0)
    half = COLOUR[-1] // 2
    outputs = half * (3 * BINS - 1)
    network = randomise(nn.Conv2d(half, outputs, 3, padding=1), 0.05)
    theirs = nf.flows.neural_spline.coupling.PiecewiseRationalQuadraticCoupling(
        mask=torch.arange(2 * half) >= half,
        transform_net_create_fn=lambda *_: Network(lambda x, _context: network(x)),
        num_bins=BINS,
        tails="linear",
        tail_bound=BOUND,
    )

    def numbers(kept: Tensor) -> Tensor:
        found = channels_last(network(channels_first(kept))).unflatten(-1, (half, -1))
        return spline_numbers(found).mT.flatten(-2)

    ours = Coupling(COLOUR, both=Network(numbers, rank=2), transform=Spline(BINS, BOUND))
    compare(ours, on_grids(theirs), 2 * grids(), atol=1e-6)


def spline_numbers(raw: Tensor) -> Tensor:
    """Numbers of ours for the bins and slopes that theirs makes of these."""
    widths, heights, slopes = raw.split((BINS, BINS, BINS - 1), -1)
    least, log_slope = splines.DEFAULT_MIN_BIN_WIDTH, math.log(1e-3)

    def unbounded(x: Tensor, bound: float) -> Tensor:
        """x of ``r / (1 + |r / bound|)`` for what it becomes."""
        assert bool((x.abs() < abs(bound)).all())
        return x / (1 - (x / bound).abs())

    def bins(x: Tensor) -> Tensor:
        share = (least + (1 - least * BINS) * x.softmax(-1)).log()
        return unbounded(share - share.mean(-1, keepdim=True), log_slope / 2)

    slope = (splines.DEFAULT_MIN_DERIVATIVE + nn.functional.softplus(slopes)).log()
    return torch.cat([bins(widths), bins(heights), unbounded(slope, log_slope)], -1)


# --- residual flows ------------------------------------------------------------------------------


@pytest.mark.parametrize("features", [2, 4])
def test_residual_flows(features: int) -> None:
    """Chen et al. (2019), with matrices far above the bound that both keep to: theirs by 500 power iterations, ours by
    eigenvalues. Theirs has the determinant itself for two features, and else the power series."""
    torch.manual_seed(0)
    lipschitz, width = 0.7, 8
    net = nn.Sequential(
        InducedNormLinear(features, width, coeff=lipschitz**0.5),
        Swish(),
        InducedNormLinear(width, features, coeff=lipschitz**0.5),
    )
    randomise(net)
    net[1].beta.fill_(math.log(math.e - 1))  # its softplus is 1
    for layer in (net[0], net[2]):
        layer.compute_weight(True, n_iterations=500)
    theirs = nf.flows.residual.iResBlock(net, exact_trace=True, n_power_series=80, brute_force=features == 2)
    ours = ResidualFlow(features, MLP(features, (width,), features, activation="lipswish"), lipschitz).double().eval()
    for k in (0, 2):
        ours.network[k].load_state_dict({"weight": net[k].weight, "bias": net[k].bias})

    def image(x: Tensor) -> tuple[Tensor, Tensor]:
        y, minus_log_det = theirs(x, torch.zeros(len(x), 1, dtype=x.dtype))
        return y.detach(), -minus_log_det.detach().squeeze(-1)

    compare(ours, image, torch.randn(10, features, dtype=torch.double), atol=1e-7)
