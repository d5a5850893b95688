"""What a model is about: energies."""

from __future__ import annotations

from tests.contracts.random_specs.draft import Draft, names
from tests.contracts.random_specs.parts.densities import DRAWN, factor
from tests.contracts.random_specs.variables import observed


def boltzmann(d: Draft) -> None:
    """A polynomial over binary units, and a class or more units beside it."""
    d.unit("x", "binary", (3,), "observed")
    d.unit("h", "binary", (2,))
    terms = [f"-x @ {d.param(3, 2)} @ h", f"- {d.param(3)} @ x", f"- {d.param(2)} @ h"]
    arguments = ["x", "h"]
    if d.often(0.4):
        y = d.unit("y", "categorical(3)", (), d.choose(("observed", "latent", "partial")))
        terms.append(f"- sum(j: {d.param(3, 2)}[{y.name}, j] * h[j])")
        arguments.append(y.name)
    if d.often(0.4):
        d.unit("g", "binary", (2,))
        terms.append(f"- sum(i, j: {d.param(2, 2)}[i, j] * h[i] * g[j])")
        arguments.append("g")
    if d.often(0.3):
        s = d.unit("s", "real", (2,), "observed")
        terms.append(f"+ 0.5 * sum(({s.name} - {d.param(2)})^2) - {s.name} @ {d.param(2, 3)} @ x")
        arguments.append(s.name)
    d.say(f"E({', '.join(arguments)}) = {' '.join(terms)}")


def lattice(d: Draft) -> None:
    """Neighbours that multiply each other, along a chain or over a grid, of units or of classes."""
    classes, shape = d.choose((False, True)), d.choose(((4,), (2, 3)))
    x = d.unit("x", "categorical(3)" if classes else "binary", shape, "observed")
    here = ("i", "j")[: len(shape)]
    table, bonds = d.param(3, 3) if classes else d.param(), []
    for axis in range(len(shape)):
        there = [f"{k} + 1" if n == axis else k for n, k in enumerate(here)]
        pair = f"x[{', '.join(here)}]", f"x[{', '.join(there)}]"
        bonds.append(
            f"sum({', '.join(here)}: {f'{table}[{pair[0]}, {pair[1]}]' if classes else ' * '.join((table, *pair))})"
        )
    if d.often(0.5):
        h = d.unit("h", "binary", (2,))
        weights = d.param(*shape, 3, 2) if classes else d.param(*shape, 2)
        at = ", ".join((*here, *((f"x[{', '.join(here)}]",) if classes else ()), "k"))
        bonds.append(
            f"sum({', '.join((*here, 'k'))}: {weights}[{at}]{'' if classes else f' * x[{chr(44).join(here)}]'} * h[k])"
        )
    arguments = names((x, h)) if len(bonds) > len(shape) else "x"
    d.say(f"E({arguments}) = -{' - '.join(bonds)}")


def network_energy(d: Draft) -> None:
    support = d.choose(("real", "positive", "unit", "binary", "categorical(3)", "integer(0..2)"))
    if d.supports.random() < 0.2:
        support = d.bounded("interval(-1, 1)")
    d.unit("x", support, d.choose(((2,), (3,))), "observed")
    well = {"real": " + 0.5 * x @ x", "positive": " + sum(x)"}.get(support, "")
    if d.often(0.4):
        role = d.choose(("observed", "partial", "latent"))
        y = d.unit("y", "categorical(3)", (), role)
        d.say(f"E(x, y) = -mlp[4](x)[{y.name}]{well}")
    elif d.often(0.3):
        d.say("let e : real[3] = mlp[4](x)")
        d.say(f"E(x) = sum(e^2){well}")
    else:
        d.say(f"E(x) = {d.choose(('', '2 * ', '-'))}mlp[4](x){well}")


def energy_prior(d: Draft) -> None:
    x = observed(d)
    if d.often(0.5):
        z = d.unit("z", "real", (2,))
        if d.often(0.3):
            d.unit("h", "binary", (2,))
            d.say(f"E(z, h) = 0.5 * z @ z - z @ {d.param(2, 2)} @ h")
        else:
            d.say("E(z) = mlp[4](z) + 0.5 * z @ z")
        factor(d, "q", z, (x,), DRAWN)
    else:
        z = d.unit("z", "binary", (3,))
        d.say(f"E(z) = -{d.param(3)} @ z - z @ {d.param(3, 3)} @ z")
    factor(d, "p", x, (z, *d.causes))


CORES = (
    boltzmann,
    lattice,
    network_energy,
    energy_prior,
)
