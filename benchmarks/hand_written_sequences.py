"""Models along an index as one would write each of them for itself: plain torch, no distribution objects. A call gives
the loss of a batch, a bound or a likelihood in nats a row. Parameters are in the order of the compiled model's."""

from __future__ import annotations

import math

import torch
from hand_written import mlp
from torch import Tensor, nn
from torch.nn import functional as F


class HandDeepMarkov(nn.Module):
    """Krishnan et al. (2017): the states are drawn in a loop, and the divergences of all of them computed at once."""

    def __init__(self, data: int = 4, state: int = 8, hidden: int = 32) -> None:
        super().__init__()
        self.transition = mlp(state, hidden, 2 * state)
        self.emission = mlp(state, hidden, 2 * data)
        self.first = nn.Linear(hidden, 2 * state)
        self.last = nn.Linear(2 * hidden, hidden)
        self.reader = nn.GRU(data, hidden, batch_first=True, bidirectional=True)
        self.posterior = mlp(state + hidden, hidden, 2 * state)

    @staticmethod
    def normal(numbers: Tensor) -> tuple[Tensor, Tensor]:
        loc, raw = numbers.chunk(2, -1)
        return loc, F.softplus(raw) + 1e-6

    def forward(self, x: Tensor) -> Tensor:
        read = self.last(self.reader(x)[0])
        loc, scale = self.normal(self.first(read[:, 0]))
        z = loc + scale * torch.randn_like(loc)
        drawn, locs, scales = [z], [loc], [scale]
        for t in range(1, x.shape[1]):
            loc, scale = self.normal(self.posterior(torch.cat([z, read[:, t]], -1)))
            z = loc + scale * torch.randn_like(loc)
            drawn.append(z)
            locs.append(loc)
            scales.append(scale)
        z, loc, scale = (torch.stack(values, 1) for values in (drawn, locs, scales))
        prior_loc, prior_scale = self.normal(self.transition(z[:, :-1]))
        kl = 0.5 * (scale[:, 0].square() + loc[:, 0].square() - 1).sum() - scale[:, 0].log().sum()
        ratio, away = scale[:, 1:] / prior_scale, (loc[:, 1:] - prior_loc) / prior_scale
        kl = kl + (0.5 * (ratio.square() + away.square() - 1) - ratio.log()).sum()
        mean, deviation = self.normal(self.emission(z))
        log_prob = -0.5 * ((x - mean) / deviation).square() - deviation.log() - 0.5 * math.log(2 * math.pi)
        return (kl - log_prob.sum()) / len(x)


class HandHmm(nn.Module):
    """Rabiner (1989): a hidden Markov model with normal emissions, by the forward pass in logarithms."""

    def __init__(self, data: int = 4, states: int = 8) -> None:
        super().__init__()
        self.transition = nn.Parameter(torch.zeros(states, states))
        self.loc = nn.Parameter(torch.zeros(states, data))
        self.first = nn.Parameter(torch.zeros(states))
        self.raw = nn.Parameter(torch.zeros(data))

    def emission(self, x: Tensor) -> Tensor:
        scale = F.softplus(self.raw) + 1e-6
        away = (x.unsqueeze(-2) - self.loc) / scale
        return -(0.5 * away.square() + scale.log() + 0.5 * math.log(2 * math.pi)).sum(-1)

    def forward(self, x: Tensor) -> Tensor:
        first, *rest = self.emission(x).unbind(1)
        alpha = self.first.log_softmax(-1) + first
        transition = self.transition.log_softmax(-1)
        for here in rest:
            alpha = torch.logsumexp(alpha.unsqueeze(-1) + transition, 1) + here
        return -alpha.logsumexp(-1).mean()


class HandKalman(nn.Module):
    """Kalman (1960): a linear dynamical system, by predictions and updates of its mean and covariance."""

    def __init__(self, data: int = 4, state: int = 4) -> None:
        super().__init__()
        self.move = nn.Parameter(torch.zeros(state, state))
        self.look = nn.Parameter(torch.zeros(data, state))
        self.start = nn.Parameter(torch.zeros(state))
        self.noise = nn.Parameter(torch.zeros(state))
        self.error = nn.Parameter(torch.zeros(data))

    def forward(self, x: Tensor) -> Tensor:
        x = x.double()
        move, look = self.move.double(), self.look.double()
        noise, error = ((F.softplus(raw.double()) + 1e-6).square() for raw in (self.noise, self.error))
        mean, spread = self.start.double().expand(len(x), -1), torch.eye(len(move), dtype=torch.double)
        total = torch.zeros(len(x), dtype=torch.double)
        for t, here in enumerate(x.unbind(1)):
            if t:
                mean, spread = mean @ move.T, move @ spread @ move.T + noise.diag()
            away = here - mean @ look.T
            root = torch.linalg.cholesky(look @ spread @ look.T + error.diag())
            white = torch.linalg.solve_triangular(root, away.T, upper=False)
            total = total - 0.5 * white.square().sum(0) - root.diagonal().log().sum()
            gain = torch.cholesky_solve(look @ spread, root).T
            mean = mean + away @ gain.T
            spread = spread - gain @ look @ spread
        return 0.5 * x[0].numel() * math.log(2 * math.pi) - total.mean()
