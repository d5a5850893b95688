"""What a model is about: data alone, given other data, or counted in so many draws."""

from __future__ import annotations

from tests.contracts.random_specs.draft import Draft
from tests.contracts.random_specs.parts.densities import DENSITIES, FLOWED, factor
from tests.contracts.random_specs.parts.elements import PIXELS
from tests.contracts.random_specs.variables import SUPPORTS, observed


def exact(d: Draft) -> None:
    factor(d, "p", observed(d), d.causes)


def pixels(d: Draft) -> None:
    """A grid of pixels, of colours as well, given another grid."""
    support = d.choose(("real", "binary", "categorical(3)", "integer(0..2)", "natural"))
    shape = d.choose(((2, 2), (3, 2), (2, 2, 2), (2, 1, 3)))
    beside = [d.unit("g", "real", shape, "observed")] if d.often(0.4) else []
    x = d.unit("x", support, shape, "observed")
    d.data.append(x)
    factor(d, "p", x, (*beside, *d.causes), PIXELS)


def grids_by_grids(d: Draft) -> None:
    """A grid that a flow makes of another grid, which is seen, drawn, or summed out; drawn by a flow of grids too."""
    role = d.choose(("observed", "observed", "drawn", "summed"))
    support = {"drawn": "real", "summed": "binary"}.get(role) or d.choose(("real", "categorical(3)", "integer(0..2)"))
    shape = (2, 2, 2) if role == "observed" and d.often(0.3) else (2, 2)
    g = d.unit("g", support, shape, "observed" if role == "observed" else "latent")
    x = d.unit("x", "real", (2, 2), "observed")
    d.data.append(x)
    if role != "observed":
        factor(d, "p", g, (), DENSITIES[:1])
    factor(d, "p", x, (g, *d.causes), FLOWED)
    if role == "drawn":
        d.drawn.append(g)
        factor(d, "q", g, (x, *d.causes), FLOWED)


def regression(d: Draft) -> None:
    condition = d.unit("s", d.bounded(d.choose(SUPPORTS)), (2,), "observed")
    factor(d, "p", observed(d, "y"), (condition, *d.causes))


def counted_draws(d: Draft) -> None:
    """Counts of classes in so many draws, of a number or of as many as a row says."""
    many = str(d.choose((1, 4))) if d.often(0.5) else d.unit("n", "natural", (), "observed").name
    x = d.unit("x", "natural", d.choose(((2,), (3,))), "observed")
    d.data.append(x)
    plain = d.statements[-1].endswith(f'from "rows.npz".{x.name}')
    z = d.unit("z", *d.choose((("real", (2,)), ("simplex", (3,)), ("categorical(3)", ()))))
    factor(d, "p", z, (), DENSITIES[:1])
    given = [*([many] if many == "n" else []), z.name, *(c.name for c in d.causes)]
    if many == "n" and plain and d.rows.random() < 0.8:  # the total of what is counted
        d.statements = [
            f'observed n : natural from total("rows.npz".{x.name})' if s.startswith("observed n :") else s
            for s in d.statements
        ]
    else:
        d.open(x, 0.5)
    reads = ", ".join(name for name in given if name != many)
    d.say(f"p({x.name} | {', '.join(given)}) = Multinomial({many}, {d.choose(('mlp[4]', 'linear'))}({reads}))")


CORES = (
    exact,
    exact,
    pixels,
    grids_by_grids,
    regression,
    counted_draws,
)
