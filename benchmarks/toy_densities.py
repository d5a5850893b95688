"""Nats of densities in the plane that flows of splines reach, beside zuko's and normflows' in the same run.

    pip install normflows
    python benchmarks/toy_densities.py

Each of two moons, eight Gaussians, a checkerboard and two rings is fitted by a masked autoregressive flow of
rational-quadratic splines (Papamakarios et al., 2017; Durkan et al., 2019), as a spec and in the two libraries: of as
many transforms, hidden layers, bins and steps, from the same batches with the same optimiser. The figure is the
mean negative log-density of 20,000 points that no fit has seen. `--plot FILE` draws what the spec learned.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable

import numpy as np
import torch
from chosen import only
from torch import Tensor, nn

from dgmppl import pipeline

STEPS, BATCH, TEST = 4000, 256, 20_000
TRANSFORMS, HIDDEN, BINS, RATE = 4, (64, 64, 64), 8, 1e-3
TARGET = 0.03

SPEC = f"""
model toy
observed x : real[2] from "points.npz".x
p(x) = Normal(0, 1) >> {TRANSFORMS} * (autoregressive[masked{list(HIDDEN)}, spline({BINS})] >> lu >> reverse)
"""


def moons(n: int, random: np.random.Generator) -> np.ndarray:
    angle, upper = math.pi * random.random(n), random.random(n) < 0.5
    x = np.where(upper, np.cos(angle) - 0.5, 0.5 - np.cos(angle))
    y = np.where(upper, np.sin(angle) - 0.25, 0.25 - np.sin(angle))
    return 1.5 * np.stack([x, y], 1) + 0.1 * random.standard_normal((n, 2))


def eight_gaussians(n: int, random: np.random.Generator) -> np.ndarray:
    angle = random.integers(8, size=n) * math.pi / 4
    return 2 * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.2 * random.standard_normal((n, 2))


def checkerboard(n: int, random: np.random.Generator) -> np.ndarray:
    column, half = random.integers(4, size=n), random.integers(2, size=n)
    corner = np.stack([column - 2, 2 * half - 2 + column % 2], 1)
    return corner + random.random((n, 2))


def rings(n: int, random: np.random.Generator) -> np.ndarray:
    angle, radius = 2 * math.pi * random.random(n), np.where(random.random(n) < 0.5, 1.0, 2.0)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.08 * random.standard_normal((n, 2))


DATA: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    f.__name__: f for f in (moons, eight_gaussians, checkerboard, rings)
}

Law = tuple[nn.Module, Callable[[Tensor], Tensor]]
"""A model and its log-density."""


def of_spec() -> Law:
    model = pipeline.build(pipeline.read(SPEC))
    return model, model.log_prob


def of_zuko() -> Law:
    import zuko

    flow = zuko.flows.NSF(features=2, transforms=TRANSFORMS, bins=BINS, hidden_features=HIDDEN)
    return flow, lambda x: flow().log_prob(x)


def of_normflows() -> Law:
    """Its networks have a layer and a residual block of two; a matrix stands between its transforms."""
    import normflows

    layers = []
    for _ in range(TRANSFORMS):
        layers.append(
            normflows.flows.AutoregressiveRationalQuadraticSpline(2, 1, HIDDEN[0], num_bins=BINS, tail_bound=5)
        )
        layers.append(normflows.flows.LULinearPermute(2))
    flow = normflows.NormalizingFlow(normflows.distributions.DiagGaussian(2, trainable=False), layers)
    return flow, flow.log_prob


PEERS: dict[str, Callable[[], Law]] = {"dgmppl": of_spec, "zuko": of_zuko, "normflows": of_normflows}


def fitted(make: Callable[[], Law], draw: Callable[[int, np.random.Generator], np.ndarray], seed: int) -> Law:
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model, log_prob = make()
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    model.train()
    for _ in range(STEPS):
        loss = -log_prob(torch.tensor(draw(BATCH, random), dtype=torch.float32)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    model.eval()
    return model, log_prob


def drawn(path: str, laws: dict[str, Law]) -> None:
    """A picture: points of each density above what the spec learned of it."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(laws), figsize=(2.5 * len(laws), 5), squeeze=False)
    side = torch.linspace(-3, 3, 200)
    grid = torch.cartesian_prod(side, side)
    for (name, (_, log_prob)), above, below in zip(laws.items(), *axes):
        points = DATA[name](4000, np.random.default_rng(1))
        above.scatter(*points.T, s=0.5, color="black", linewidths=0)
        with torch.no_grad():
            below.imshow(log_prob(grid).exp().reshape(200, 200).T, origin="lower", extent=(-3, 3, -3, 3))
        above.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", title=name.replace("_", " "))
        for axis in (above, below):
            axis.set_xticks([])
            axis.set_yticks([])
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=only(DATA), default=list(DATA), help="names of densities, separated by commas")
    parser.add_argument("--plot", metavar="FILE", help="draw what the spec learned")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    worst, laws = -math.inf, {}
    for name, draw in DATA.items():
        if name not in arguments.only:
            continue
        points = torch.tensor(draw(TEST, np.random.default_rng(99)), dtype=torch.float32)
        nats = {}
        for peer, make in PEERS.items():
            law = fitted(make, draw, 0)
            if peer == "dgmppl":
                laws[name] = law
            with torch.no_grad():
                nats[peer] = -law[1](points).mean().item()
        behind = nats["dgmppl"] - min(nats["zuko"], nats["normflows"])
        worst = max(worst, behind)
        row = {"density": name, **{peer: round(value, 3) for peer, value in nats.items()}, "behind": round(behind, 3)}
        print(json.dumps(row), flush=True)
    print(json.dumps({"worst": round(worst, 3), "target": TARGET, "met": worst <= TARGET}))
    if arguments.plot:
        drawn(arguments.plot, laws)


if __name__ == "__main__":
    main()
