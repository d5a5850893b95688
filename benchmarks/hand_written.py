"""Models as one would write each of them for itself: plain torch, no distribution objects. A call gives the loss of a
batch, a bound or a likelihood in nats an image. Parameters and buffers are in the order of the compiled model's."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import zuko
from torch import Tensor, nn
from torch.nn import functional as F
from zuko.transforms import MonotonicRQSTransform


def mlp(*sizes: int, out: nn.Module | None = None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), nn.LeakyReLU()]
    return nn.Sequential(*layers[:-1], *([out] if out is not None else []))


class HandVae(nn.Module):
    """Kingma and Welling (2014): one draw, the KL in closed form."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = mlp(16, 256, 256, 64 * 17)
        self.encoder = mlp(64, 256, 256, 32)

    def forward(self, x: Tensor) -> Tensor:
        loc, raw = self.encoder(x / 8 - 1).chunk(2, -1)
        scale = F.softplus(raw) + 1e-6
        z = loc + scale * torch.randn_like(loc)
        logits = self.decoder(z).view(-1, 17)
        reconstruction = F.cross_entropy(logits, x.long().view(-1), reduction="sum")
        kl = 0.5 * (scale.square() + loc.square() - 1).sum() - scale.log().sum()
        return (reconstruction + kl) / len(x)


class HandRealNvp(nn.Module):
    """Dinh et al. (2017), from the data to the noise; the scale's soft bound is part of the model."""

    def __init__(self) -> None:
        super().__init__()
        pairs = [(mlp(32, 256, 256, 32, out=nn.Tanh()), mlp(32, 256, 256, 32)) for _ in range(8)]
        self.couplings = nn.ModuleList(nn.ModuleList(pair) for pair in pairs)

    def forward(self, x: Tensor) -> Tensor:
        u = x + torch.rand_like(x)
        log_det = x.new_zeros(len(x))
        for scale_net, shift_net in reversed(self.couplings):
            a, b = u.flip(-1).chunk(2, -1)
            scale = 3 * torch.tanh(scale_net(a) / 3)
            u = torch.cat([a, (b - shift_net(a)) * torch.exp(-scale)], -1)
            log_det = log_det - scale.sum(-1)
        log_prior = -0.5 * u.square().sum(-1) - 32 * math.log(2 * math.pi)
        return -(log_prior + log_det).mean()


class HandRbm(nn.Module):
    """Persistent contrastive divergence (Tieleman, 2008), five sweeps a batch."""

    particles: Tensor

    def __init__(self, hidden: int = 100, chains: int = 64, steps: int = 5) -> None:
        super().__init__()
        self.W = nn.Parameter(0.01 * torch.randn(64, hidden))
        self.b = nn.Parameter(0.01 * torch.randn(64))
        self.c = nn.Parameter(0.01 * torch.randn(hidden))
        self.steps = steps
        self.register_buffer("particles", torch.randint(2, (chains, 64)).float())

    def free_energy(self, x: Tensor) -> Tensor:
        return -x @ self.b - F.softplus(x @ self.W + self.c).sum(-1)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            v = self.particles
            for _ in range(self.steps):
                h = torch.bernoulli(torch.sigmoid(v @ self.W + self.c))
                v = torch.bernoulli(torch.sigmoid(h @ self.W.T + self.b))
            self.particles.copy_(v)
        return self.free_energy(x).mean() - self.free_energy(v).mean()

    def pseudo_likelihood(self, x: Tensor) -> Tensor:
        """sum_i log p(x_i | rest) (Besag, 1975)."""
        here, total = self.free_energy(x), torch.zeros(len(x))
        for i in range(x.shape[1]):
            flipped = x.clone()
            flipped[:, i] = 1 - flipped[:, i]
            total += F.logsigmoid(self.free_energy(flipped) - here)
        return total


class HandConvVae(nn.Module):
    """The VAE with convolutions: two layers that halve the image, two that double it."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Linear(16, 2 * 2 * 128)
        self.up = nn.Sequential(
            nn.LeakyReLU(),
            nn.ConvTranspose2d(128, 64, 3, stride=2, padding=1, output_padding=1),
            nn.LeakyReLU(),
            nn.ConvTranspose2d(64, 17, 3, stride=2, padding=1, output_padding=1),
        )
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 64, 3, stride=2, padding=1),
            nn.LeakyReLU(),
            nn.Conv2d(64, 128, 3, stride=2, padding=1),
            nn.LeakyReLU(),
        )
        self.end = nn.Linear(2 * 2 * 128, 32)

    def forward(self, x: Tensor) -> Tensor:
        h = self.encoder((x / 8 - 1).unsqueeze(1)).permute(0, 2, 3, 1)
        loc, raw = self.end(h.flatten(1)).chunk(2, -1)
        scale = F.softplus(raw) + 1e-6
        z = loc + scale * torch.randn_like(loc)
        logits = self.up(self.start(z).view(-1, 2, 2, 128).permute(0, 3, 1, 2))
        reconstruction = F.cross_entropy(logits, x.long(), reduction="sum")
        kl = 0.5 * (scale.square() + loc.square() - 1).sum() - scale.log().sum()
        return (reconstruction + kl) / len(x)


class HandMasked(nn.Module):
    """A masked autoencoder of one hidden layer, with two numbers for each of 64 elements (Germain et al., 2015)."""

    first: Tensor
    last: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(64, 256), nn.Linear(256, 128)
        degrees, hidden = torch.arange(1, 65), torch.arange(256) % 63 + 1
        self.register_buffer("first", (hidden[:, None] >= degrees).float())
        self.register_buffer("last", (degrees.repeat_interleave(2)[:, None] > hidden).float())

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(F.linear(x, self.inner.weight * self.first, self.inner.bias))
        return F.linear(h, self.outer.weight * self.last, self.outer.bias).view(-1, 64, 2)


class HandMaf(nn.Module):
    """Papamakarios et al. (2017), from the data to the noise."""

    def __init__(self) -> None:
        super().__init__()
        self.networks = nn.ModuleList(HandMasked() for _ in range(5))
        self.ends = nn.ParameterDict({"loc": torch.zeros(64), "log_scale": torch.zeros(64)})

    def forward(self, x: Tensor) -> Tensor:
        y = (x + torch.rand_like(x)) / 17
        log_det = -64 * math.log(17) - (y.log() + (-y).log1p()).sum(-1)
        u = (torch.logit(y) - self.ends["loc"]) * torch.exp(-self.ends["log_scale"])
        log_det = log_det - self.ends["log_scale"].sum()
        for network in reversed(self.networks):
            u = u.flip(-1)
            raw, shift = network(u).unbind(-1)
            scale = 3 * torch.tanh(raw / 3)
            u = (u - shift) * torch.exp(-scale)
            log_det = log_det - scale.sum(-1)
        log_prior = -0.5 * u.square().sum(-1) - 32 * math.log(2 * math.pi)
        return -(log_prior + log_det).mean()


class HandPixelCnn(nn.Module):
    """Masked convolutions (van den Oord et al., 2016), and a linear layer at each position."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (1, 64, 64, 64, 64)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 5, padding=2) for a, b in zip(sizes, sizes[1:]))
        self.last = nn.Linear(64, 17)
        for k in range(4):
            mask = torch.zeros(5, 5)
            mask[:2] = 1
            mask[2, : 2 + (k > 0)] = 1
            self.register_buffer(f"mask_{k}", mask)

    def forward(self, x: Tensor) -> Tensor:
        h = (x / 8 - 1).unsqueeze(1)
        for k, layer in enumerate(self.layers):
            h = F.leaky_relu(F.conv2d(h, layer.weight * getattr(self, f"mask_{k}"), layer.bias, padding=2))
        logits = self.last(h.permute(0, 2, 3, 1))
        return F.cross_entropy(logits.reshape(-1, 17), x.long().view(-1), reduction="sum") / len(x)


class HandBlock(nn.Module):
    """A layer that is normalised before attention and before its perceptron."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(64), nn.LayerNorm(64)
        self.attend, self.join = nn.Linear(64, 192), nn.Linear(64, 64)
        self.inner, self.outer = nn.Linear(64, 256), nn.Linear(256, 64)

    def forward(self, h: Tensor) -> Tensor:
        n, length, _ = h.shape
        query, key, value = self.attend(self.before(h)).view(n, length, 3, 4, 16).permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        h = h + F.dropout(self.join(found.transpose(1, 2).reshape(n, length, 64)), 0.1)
        return h + F.dropout(self.outer(F.gelu(self.inner(self.between(h)))), 0.1)


class HandTransformer(nn.Module):
    """Three layers of causal attention to the pixels before (Vaswani et al., 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Parameter(0.02 * torch.randn(64, 64))
        self.embed = nn.Linear(1, 64)
        self.layers = nn.ModuleList(HandBlock() for _ in range(3))
        self.norm, self.last = nn.LayerNorm(64), nn.Linear(64, 17)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(F.pad((x / 8 - 1)[:, :-1], (1, 0)).unsqueeze(-1)) + self.positions
        for layer in self.layers:
            h = layer(h)
        logits = self.last(self.norm(h))
        return F.cross_entropy(logits.view(-1, 17), x.long().view(-1), reduction="sum") / len(x)


def uniform_of_pixels(x: Tensor) -> tuple[Tensor, Tensor]:
    """Dequantised pixels as reals, through the logit of their share of the range, and the log-determinant."""
    y = (x + torch.rand_like(x)) / 17
    log_det = -math.log(17) - (y.log() + (-y).log1p())
    return torch.logit(y), log_det.flatten(1).sum(-1)


class HandSplineCoupling(nn.Module):
    """Couplings of rational-quadratic splines (Durkan et al., 2019), by zuko, from the data to the noise."""

    def __init__(self) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            nn.Sequential(nn.Linear(32, 64), nn.LeakyReLU(), nn.Dropout(0.2), nn.Linear(64, 32 * 23)) for _ in range(8)
        )
        self.ends = nn.ParameterDict({"loc": torch.zeros(64), "log_scale": torch.zeros(64)})
        for k in range(8):
            self.register_buffer(f"order_{k}", torch.arange(64))
            self.register_buffer(f"back_{k}", torch.arange(64))

    def forward(self, x: Tensor) -> Tensor:
        v, log_det = uniform_of_pixels(x)
        u = (v - self.ends["loc"]) * torch.exp(-self.ends["log_scale"])
        log_det = log_det - self.ends["log_scale"].sum()
        for k in reversed(range(8)):
            a, b = u[:, getattr(self, f"back_{k}")].chunk(2, -1)
            numbers = self.networks[k](a).view(-1, 23, 32).transpose(1, 2)
            spline = MonotonicRQSTransform(*numbers.split((8, 8, 7), -1), bound=5.0)
            found = spline.inv(b)
            log_det = log_det - spline.call_and_ladj(found)[1].sum(-1)
            u = torch.cat([a, found], -1)
        log_prior = -0.5 * u.square().sum(-1) - 32 * math.log(2 * math.pi)
        return -(log_prior + log_det).mean()


class HandStep(nn.Module):
    """A step of Glow (Kingma and Dhariwal, 2018) with a coupling of splines; channels are the last axis."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        below, half = channels * (channels - 1) // 2, channels // 2
        self.loc, self.log_scale = nn.Parameter(torch.zeros(channels)), nn.Parameter(torch.zeros(channels))
        self.lower, self.upper = nn.Parameter(torch.zeros(below)), nn.Parameter(torch.zeros(below))
        self.log_diagonal = nn.Parameter(torch.zeros(channels))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in ((half, 32), (32, 32), (32, 23 * half))
        )
        for name, size in (("started", ()), ("order", (channels,)), ("back", (channels,)), ("signs", (channels,))):
            kind = torch.long if name in ("order", "back") else torch.float
            self.register_buffer(name, torch.zeros(size, dtype=kind))
        self.below = tuple(torch.tril_indices(channels, channels, -1))
        self.above = self.below[::-1]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        n, height, width, channels = x.shape
        x = self.loc + self.log_scale.exp() * x
        empty = torch.zeros(channels, channels)
        lower = empty.index_put(self.below, self.lower) + torch.eye(channels)
        upper = empty.index_put(self.above, self.upper) + torch.diag(self.signs * self.log_diagonal.exp())
        x = (x @ (lower @ upper).T)[..., self.order]
        log_det = height * width * (self.log_scale.sum() + self.log_diagonal.sum())
        a, b = x.chunk(2, -1)
        h = a.permute(0, 3, 1, 2)
        for layer in self.convolutions[:2]:
            h = F.dropout2d(F.leaky_relu(layer(h)), 0.1)
        numbers = self.convolutions[2](h).view(n, 23, channels // 2, height, width).permute(0, 3, 4, 2, 1)
        b, slopes = MonotonicRQSTransform(*numbers.split((8, 8, 7), -1), bound=5.0).call_and_ladj(b)
        return torch.cat([a, b], -1), log_det + slopes.sum((1, 2, 3))


def squeezed(x: Tensor) -> Tensor:
    """Each square of four positions as the channels of one."""
    n, height, width, channels = x.shape
    squares = x.view(n, height // 2, 2, width // 2, 2, channels).transpose(2, 3)
    return squares.reshape(n, height // 2, width // 2, 4 * channels)


class HandGlow(nn.Module):
    """Two scales of four steps; behind the first, half of the channels are done."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleList([*(HandStep(4) for _ in range(4)), *(HandStep(8) for _ in range(4))])

    def forward(self, x: Tensor) -> Tensor:
        v, log_det = uniform_of_pixels(x)
        h = squeezed(v.unsqueeze(-1))
        for step in self.steps[:4]:
            h, more = step(h)
            log_det = log_det + more
        done, h = h.chunk(2, -1)
        h = squeezed(h)
        for step in self.steps[4:]:
            h, more = step(h)
            log_det = log_det + more
        u = torch.cat([done.flatten(1), h.flatten(1)], -1)
        log_prior = -0.5 * u.square().sum(-1) - 32 * math.log(2 * math.pi)
        return -(log_prior + log_det).mean()


class OfLibrary(nn.Module):
    """The dequantised likelihood of a flow that a library has."""

    def __init__(self, flow: nn.Module, log_prob: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.flow, self.log_prob = flow, log_prob

    def forward(self, x: Tensor) -> Tensor:
        v, log_det = uniform_of_pixels(x)
        return -(self.log_prob(self.flow, v) + log_det).mean()


def zuko_flow(name: str) -> nn.Module:
    """zuko's flow of the sizes of a spec."""
    if name == "flow/maf":
        flow = zuko.flows.MAF(features=64, transforms=5, hidden_features=(256,), activation=nn.LeakyReLU)
    else:
        flow = zuko.flows.NSF(
            features=64, transforms=8, bins=8, passes=2, hidden_features=(64,), activation=nn.LeakyReLU
        )
    return OfLibrary(flow, lambda flow, v: flow().log_prob(v))


def normflows_flow() -> nn.Module:
    """normflows' flow of the sizes of `flow/spline_coupling`; its networks are residual, of one block."""
    import normflows

    layers: list[nn.Module] = []
    for _ in range(8):
        layers.append(normflows.flows.CoupledRationalQuadraticSpline(64, 1, 64, num_bins=8, tail_bound=5))
        layers.append(normflows.flows.Permute(64))
    flow = normflows.NormalizingFlow(normflows.distributions.DiagGaussian(64, trainable=False), layers)
    return OfLibrary(flow, lambda flow, v: flow.log_prob(v))
