"""An emitted Pyro model taken to NUTS: how close is the guide to the posterior?

    python examples/pyro_nuts.py             # under half a minute
    python examples/pyro_nuts.py --quick     # too short to converge, long enough to run

The spec is compiled to a Pyro model and guide and fitted with Pyro's own SVI. Then the weights are held fixed, and
NUTS (Hoffman and Gelman, 2014) draws the latents of a few images from their exact posterior, which the guide
approximates.
"""

from __future__ import annotations

import argparse

import pyro
import torch
from pyro.infer import MCMC, NUTS, SVI, TraceMeanField_ELBO
from pyro.ops.stats import effective_sample_size, gelman_rubin
from sklearn.datasets import load_digits

import dgmppl

SPEC = """
model vae
observed x : integer(0..16)[64] from digits.image
latent   z : real[2]

p(z)     = Normal(0, 1)
p(x | z) = Categorical(mlp[64](z))
q(z | x) = Normal(mlp[64](x))
"""
CHAINS = 2


def main(epochs: int, draws: int) -> None:
    pyro.set_rng_seed(0)
    pyro.clear_param_store()
    images = torch.tensor(load_digits().data, dtype=torch.float32)
    train, rows = images[:1350], images[1350:1353]

    vae = dgmppl.compile(SPEC, target="pyro")
    svi = SVI(vae.model, vae.guide, pyro.optim.Adamax({"lr": 3e-3}), TraceMeanField_ELBO())
    for epoch in range(1, epochs + 1):
        total = sum(svi.step(batch) for batch in train[torch.randperm(len(train))].split(64))
        if epoch % 20 == 0 or epoch == epochs:
            print(f"epoch {epoch:3d}  loss {total / len(train):.2f} nats an image")

    # Parameters that need no gradient are constants to Pyro: what is left to infer is z.
    vae.eval().requires_grad_(False)
    found = []
    for chain in range(CHAINS):
        pyro.set_rng_seed(chain + 1)
        mcmc = MCMC(NUTS(vae.model), num_samples=draws, warmup_steps=draws, disable_progbar=True)
        mcmc.run(rows)
        found.append(mcmc.get_samples()["z"])
    z = torch.stack(found)  # (chains, draws, rows, 2)
    r_hat, n_eff = gelman_rubin(z), effective_sample_size(z)
    exact = z.flatten(0, 1)
    guide = vae.q_z(rows)

    print(f"\nNUTS, {CHAINS} chains of {draws} draws after {draws} of warm-up")
    print("image  z   posterior mean  sd     guide mean  sd     r-hat  n_eff")
    for row in range(len(rows)):
        for k in range(2):
            print(
                f"{row:5d}  {k}   {exact[:, row, k].mean():14.3f}  {exact[:, row, k].std():.3f}"
                f"  {guide.mean[row, k]:10.3f}  {guide.stddev[row, k]:.3f}"
                f"  {r_hat[row, k]:5.2f}  {n_eff[row, k]:5.0f}"
            )
    gap = ((exact.mean(0) - guide.mean).abs() / exact.std(0)).max()
    print(f"\nlargest r-hat {r_hat.max():.2f}; the guide's means are at most {gap:.2f} posterior deviations off")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An emitted Pyro model taken to NUTS.")
    parser.add_argument("--quick", action="store_true", help="one epoch and a few draws only")
    if parser.parse_args().quick:
        main(epochs=1, draws=5)
    else:
        main(epochs=60, draws=200)
