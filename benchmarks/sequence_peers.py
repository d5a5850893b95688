"""The models of `sequence_time.py` in Pyro and NumPyro, as the examples of either write them. Each is made from the
hand-written model, whose weights it starts from, and has the loss of a batch, nats a row, and a step of training."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pyro
import torch
from hand_written_sequences import HandDeepMarkov, HandHmm
from pyro.distributions import DiscreteHMM, Normal
from pyro.infer import SVI, TraceMeanField_ELBO
from torch import Tensor, nn
from torch.nn import functional as F

RATE = 1e-3


class PyroHmm:
    """Pyro's distribution of hidden Markov models, which combines neighbours in pairs, in a loop of plain torch."""

    def __init__(self, hand: HandHmm) -> None:
        self.hand = deepcopy(hand)
        self.optimizer = torch.optim.Adamax(self.hand.parameters(), RATE)

    def loss(self, x: Tensor) -> Tensor:
        emission = Normal(self.hand.loc, F.softplus(self.hand.raw) + 1e-6).to_event(1)
        # Pyro's state moves before the first observation: its first transition is the law of the first state.
        first, later = self.hand.first.expand(1, *self.hand.transition.shape), self.hand.transition
        transition = torch.cat([first, later.expand(x.shape[1] - 1, *later.shape)])
        law = DiscreteHMM(self.hand.first, transition, emission, duration=x.shape[1])
        return -law.log_prob(x).mean()

    def step(self, x: Tensor) -> None:
        self.optimizer.zero_grad()
        self.loss(x).backward()
        self.optimizer.step()


class PyroDeepMarkov:
    """A deep Markov model by SVI, a site for each member; divergences in closed form."""

    def __init__(self, hand: HandDeepMarkov) -> None:
        self.hand = deepcopy(hand)
        optimizer = pyro.optim.PyroOptim(torch.optim.Adamax, {"lr": RATE})
        self.svi = SVI(self.model, self.guide, optimizer, TraceMeanField_ELBO())

    def model(self, x: Tensor) -> None:
        pyro.module("deep_markov", self.hand)
        with pyro.plate("data", len(x)):
            z = x.new_zeros(len(x), 8)
            for t in range(x.shape[1]):
                law = self.hand.normal(self.hand.transition(z)) if t else (torch.zeros_like(z), torch.ones_like(z))
                z = pyro.sample(f"z_{t}", Normal(*law).to_event(1))
                pyro.sample(f"x_{t}", Normal(*self.hand.normal(self.hand.emission(z))).to_event(1), obs=x[:, t])

    def guide(self, x: Tensor) -> None:
        pyro.module("deep_markov", self.hand)
        read = self.hand.last(self.hand.reader(x)[0])
        with pyro.plate("data", len(x)):
            z = pyro.sample("z_0", Normal(*self.hand.normal(self.hand.first(read[:, 0]))).to_event(1))
            for t in range(1, x.shape[1]):
                numbers = self.hand.posterior(torch.cat([z, read[:, t]], -1))
                z = pyro.sample(f"z_{t}", Normal(*self.hand.normal(numbers)).to_event(1))

    @torch.no_grad()
    def loss(self, x: Tensor) -> float:
        return TraceMeanField_ELBO().loss(self.model, self.guide, x) / len(x)

    def step(self, x: Tensor) -> None:
        self.svi.step(x)


class _NumPyro:
    """A model by NumPyro's SVI, compiled as a whole by XLA. `jax` and `numpyro` are imported here alone.

    Args:
        hand: the model whose weights it starts from.
        elbo: the name of a class of `numpyro.infer`.
        draws: how many draws of its noise the loss is a mean of.
    """

    def __init__(self, hand: nn.Module, elbo: str, draws: int) -> None:
        import jax
        import numpyro

        self.start = {name: jax.numpy.asarray(value.detach().numpy()) for name, value in hand.named_parameters()}
        loss = getattr(numpyro.infer, elbo)
        self.svi = numpyro.infer.SVI(self.model, self.guide, numpyro.optim.Adam(RATE), loss())
        self.key, self.draws, self.state = jax.random.PRNGKey(0), draws, None
        self.update = jax.jit(self.svi.update)

    def params(self) -> dict[str, Any]:
        import numpyro

        return {name: numpyro.param(name, value) for name, value in self.start.items()}

    def model(self, x: Any) -> None:
        raise NotImplementedError

    def guide(self, x: Any) -> None:
        raise NotImplementedError

    def loss(self, x: Tensor) -> float:
        import jax

        batch = jax.numpy.asarray(x.numpy())
        state = self.svi.init(self.key, batch)
        weights = self.svi.get_params(state)
        loss = jax.jit(lambda key, weights, x: self.svi.loss.loss(key, weights, self.model, self.guide, x))
        keys = jax.random.split(self.key, self.draws)
        return float(sum(loss(key, weights, batch) for key in keys) / self.draws / len(x))

    def step(self, x: Tensor) -> None:
        import jax

        batch = jax.numpy.asarray(x.numpy())
        if self.state is None:
            self.state = self.svi.init(self.key, batch)
        self.state, loss = self.update(self.state, batch)
        loss.block_until_ready()


class NumPyroHmm(_NumPyro):
    """A hidden Markov model, its paths summed by a scan in a factor of the model."""

    def __init__(self, hand: HandHmm) -> None:
        super().__init__(hand, "Trace_ELBO", 1)

    def model(self, x: Any) -> None:
        import jax
        import numpyro
        from jax.nn import log_softmax, logsumexp

        w = self.params()
        scale = jax.nn.softplus(w["raw"]) + 1e-6
        logs = numpyro.distributions.Normal(w["loc"], scale).to_event(1).log_prob(x[:, :, None]).swapaxes(0, 1)
        transition = log_softmax(w["transition"])

        def forward(alpha: Any, here: Any) -> tuple[Any, None]:
            return logsumexp(alpha[:, :, None] + transition, 1) + here, None

        last, _ = jax.lax.scan(forward, log_softmax(w["first"]) + logs[0], logs[1:])
        numpyro.factor("paths", logsumexp(last, -1).sum())

    def guide(self, x: Any) -> None:
        pass


class NumPyroDeepMarkov(_NumPyro):
    """A deep Markov model, its members by NumPyro's `scan`; divergences in closed form."""

    def __init__(self, hand: HandDeepMarkov) -> None:
        super().__init__(hand, "TraceMeanField_ELBO", 5)

    @staticmethod
    def _normal(numbers: Any) -> Any:
        import jax
        import numpyro

        loc, raw = jax.numpy.split(numbers, 2, -1)
        return numpyro.distributions.Normal(loc, jax.nn.softplus(raw) + 1e-6).to_event(1)

    @staticmethod
    def _mlp(w: dict[str, Any], name: str, x: Any) -> Any:
        import jax

        hidden = jax.nn.leaky_relu(x @ w[f"{name}.0.weight"].T + w[f"{name}.0.bias"], 0.01)
        return hidden @ w[f"{name}.2.weight"].T + w[f"{name}.2.bias"]

    @staticmethod
    def _read(w: dict[str, Any], x: Any, end: str, reverse: bool) -> Any:
        """What a gated recurrent unit gives at each position, ``(T, n, hidden)`` of ``(T, n, data)``."""
        import jax

        of_input, bias, of_state, state_bias = (
            w[f"reader.{name}_l0{end}"] for name in ("weight_ih", "bias_ih", "weight_hh", "bias_hh")
        )

        def cell(h: Any, a: Any) -> tuple[Any, Any]:
            b = h @ of_state.T + state_bias
            (ar, az, an), (br, bz, bn) = jax.numpy.split(a, 3, -1), jax.numpy.split(b, 3, -1)
            z = jax.nn.sigmoid(az + bz)
            h = (1 - z) * jax.numpy.tanh(an + jax.nn.sigmoid(ar + br) * bn) + z * h
            return h, h

        start = jax.numpy.zeros((x.shape[1], of_state.shape[1]))
        return jax.lax.scan(cell, start, x @ of_input.T + bias, reverse=reverse)[1]

    def model(self, x: Any) -> None:
        import jax
        import numpyro
        from numpyro.contrib.control_flow import scan

        w = self.params()
        size = w["transition.0.weight"].shape[1]

        def move(state: tuple[Any, Any], here: Any) -> tuple[tuple[Any, Any], None]:
            first, z = state
            law = self._normal(self._mlp(w, "transition", z)).base_dist
            # One function for all members: the first has another law.
            loc, scale = jax.numpy.where(first, 0.0, law.loc), jax.numpy.where(first, 1.0, law.scale)
            with numpyro.plate("data", len(here)):
                z = numpyro.sample("z", numpyro.distributions.Normal(loc, scale).to_event(1))
                numpyro.sample("x", self._normal(self._mlp(w, "emission", z)), obs=here)
            return (jax.numpy.array(False), z), None

        scan(move, (jax.numpy.array(True), jax.numpy.zeros((len(x), size))), x.swapaxes(0, 1))

    def guide(self, x: Any) -> None:
        import jax
        import numpyro
        from numpyro.contrib.control_flow import scan

        w = self.params()
        along = x.swapaxes(0, 1)
        both = [self._read(w, along, end, reverse) for end, reverse in (("", False), ("_reverse", True))]
        read = jax.numpy.concatenate(both, -1) @ w["last.weight"].T + w["last.bias"]
        size = w["transition.0.weight"].shape[1]

        def move(state: tuple[Any, Any], here: Any) -> tuple[tuple[Any, Any], None]:
            first, z = state
            at_first = here @ w["first.weight"].T + w["first.bias"]
            later = self._mlp(w, "posterior", jax.numpy.concatenate([z, here], -1))
            with numpyro.plate("data", len(here)):
                z = numpyro.sample("z", self._normal(jax.numpy.where(first, at_first, later)))
            return (jax.numpy.array(False), z), None

        scan(move, (jax.numpy.array(True), jax.numpy.zeros((len(x), size))), read)
