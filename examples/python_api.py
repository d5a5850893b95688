"""The Python API: compile a spec, fit it with a loop of your own, use it; then the same by `dgmppl.train`.

    python examples/python_api.py            # about twenty seconds
    python examples/python_api.py --quick    # one pass over the data

A compiled model is an ordinary `nn.Module`; a run, which `dgmppl.train` leaves, knows its data as well.
"""

from __future__ import annotations

import argparse

import torch
from sklearn.datasets import load_digits

import dgmppl

SPEC = """
model vae
observed x : integer(0..16)[64] from digits.image
latent   z : real[16]

p(z)     = Normal(0, 1)
p(x | z) = Categorical(mlp[256](z))
q(z | x) = Normal(mlp[256](x))
"""


def main(epochs: int) -> None:
    torch.manual_seed(0)
    print(dgmppl.explain(SPEC))

    # A wrong spec gives diagnostics, values with a code, a place and a way out.
    for diagnostic in dgmppl.check(SPEC.replace("Categorical(mlp", "Bernoulli(mlp")):
        print(f"\nwith Bernoulli pixels: {diagnostic.code}: {diagnostic.headline}; {diagnostic.help}")

    # Tensors are batch first and float; the loss is minus the objective, averaged over the batch, in nats.
    images = torch.tensor(load_digits().data, dtype=torch.float32)
    train, test = images[:1350], images[1350:]
    model = dgmppl.compile(SPEC)
    optimizer = torch.optim.Adamax(model.parameters(), lr=1e-3)
    print()
    for epoch in range(1, epochs + 1):
        total = 0.0
        for batch in train[torch.randperm(len(train))].split(64):
            loss = model.loss(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        if epoch % 10 == 0 or epoch == epochs:
            print(f"epoch {epoch:3d}  loss {total / len(train):.2f} nats an image")

    model.eval()
    with torch.no_grad():
        print(f"\ntest ELBO {model.elbo(test).mean():.2f} nats an image")
        for name, term in model.terms(test).items():
            print(f"  {name:<25} {term.mean():8.2f}")

        # Each factor is a method that returns a distribution.
        posterior = model.q_z(test[:5])
        reconstruction = model.p_x(posterior.mean).base_dist.logits.argmax(-1)
        error = (reconstruction - test[:5]).abs().mean()
        print(f"most probable pixels given the posterior mean: {error:.2f} grey levels off, of 16")

        digits = model.sample(3)
    print("\na sample:")
    for row in digits[0].reshape(8, 8).int().tolist():
        print("  " + "".join(" .:-=+*#@"[level // 2] * 2 for level in row))

    # Data that are given take the place of the spec's, callbacks are told of each epoch, settings go by name.
    seen: list[float] = []
    run = dgmppl.train(
        SPEC,
        data={"x": images},
        epochs=epochs,
        split="ordered(1000, 350, 447)",
        callbacks=[lambda epoch: seen.append(epoch.validation["elbo"])],
        progress=False,
    )
    print(f"\nby dgmppl.train: epoch {len(seen)}, test ELBO {run.figures['test']['elbo']['mean']:.2f} nats an image")
    scores = run.score(split="test").frame()
    print(f"{scores['unusual'].sum()} of {len(scores)} test images are unlike those of the fit")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The Python API in a few lines.")
    parser.add_argument("--quick", action="store_true", help="one epoch only")
    main(epochs=1 if parser.parse_args().quick else 60)
