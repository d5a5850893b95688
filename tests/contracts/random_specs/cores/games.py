"""What a model is about: games."""

from __future__ import annotations

from tests.contracts.random_specs.draft import Draft, names
from tests.contracts.random_specs.parts.densities import DENSITIES, DRAWN, factor
from tests.contracts.random_specs.variables import observed

GAMES = ("", "", "nonsaturating", "wasserstein(penalty = 1)", "hinge", "least_squares")


def generator(d: Draft) -> None:
    """A generator under an adversary about it, about it and its latent, or about each."""
    support, out = d.choose((("real", ""), ("interval(-1, 1)", ", out = tanh"), ("unit", ", out = sigmoid")))
    x = d.unit("x", support, d.choose(((2,), (3,), (2, 2))), "observed")
    z = d.unit("z", "real", (2,))
    factor(d, "p", z, (), DENSITIES[:1])
    conditions = [u for u in d.causes if u.role == "observed"]
    d.say(f"x = mlp[4{out}]({names((z, *conditions))})")
    beside = "".join(f", {u.name}" for u in conditions)
    kind = d.choose(("x", "x", "xz", "x z"))
    if kind != "x":
        factor(d, "q", z, (x, *conditions), DRAWN)
    for arguments in {"x": ("x",), "xz": ("x, z",), "x z": ("x", "z")}[kind]:
        d.say(f"adversary {d.name('D')}({arguments}{beside if 'x' in arguments else ''}) = mlp[4]")
    if d.often(0.3):
        factor(d, "p", d.unit("y", "categorical(3)", (), "observed"), (x,), DENSITIES[:1])
    game = d.choose(GAMES)
    if game:
        d.settings["objective"] = f"adversarial({game})"


def adversarial_autoencoder(d: Draft) -> None:
    x = observed(d)
    z = d.unit("z", "real", (2,))
    factor(d, "p", z, ())
    factor(d, "p", x, (z, *d.causes))
    factor(d, "q", z, (x,), DRAWN)
    d.say(f"adversary D({d.choose(('z', 'z', 'z', 'x, z'))}) = mlp[4]")


CORES = (
    generator,
    adversarial_autoencoder,
)
