"""What a model is about: latents that are drawn."""

from __future__ import annotations

from tests.contracts.random_specs.draft import Draft, names
from tests.contracts.random_specs.parts.densities import DENSITIES, DRAWN, factor
from tests.contracts.random_specs.parts.flows import flow
from tests.contracts.random_specs.parts.networks import network
from tests.contracts.random_specs.parts.posteriors import POSTERIORS, residual_posterior
from tests.contracts.random_specs.variables import CONTINUOUS, observed, shape_of


def latents(d: Draft) -> None:
    """One to three latents with skip connections, and a posterior of any structure."""
    x = observed(d)
    count = d.choose((1, 1, 2, 3))
    latents = [d.unit("z", s := d.choose(CONTINUOUS), shape_of(d, s)) for _ in range(count)]
    relative = all(z.real for z in latents) and d.often(0.3)
    priors, above = [], []
    for z in reversed(latents):
        parents = [u for u in above if d.often(0.6)] or above[-1:]
        if relative:
            left = d.head("p", z.name, [u.name for u in parents])
            d.say(f"{left} = " + (f"Normal({network(d, parents)})" if parents else "Normal(0, 1)"))
        else:
            left = factor(d, "p", z, parents)
        priors.insert(0, left)
        above.append(z)
    others = [z for z in latents[1:] if d.often(0.4)]
    factor(d, "p", x, (latents[0], *others, *d.causes))
    d.drawn += latents
    if relative:
        residual_posterior(d, latents, priors, (x, *d.causes))
    else:
        d.choose(POSTERIORS)(d, latents, (x, *d.causes))


def pseudo_inputs(d: Draft) -> None:
    """A mixture of posteriors as the prior, learned or on a grid."""
    x = observed(d, support=d.choose(("real", "binary", "integer(0..2)", "unit")))
    z = d.unit("z", "real", d.choose(((), (2,), (3,))))
    d.drawn.append(z)
    point = d.name("g")
    other = observed(d, "w", "real") if d.often(0.3) else None
    if other is None:
        learned = f"mixture[3](q({z.name} | param))"
        component = d.choose((learned, learned, f"mixture[{point} in grid(2, 2)](q({z.name} | mlp[4]({point})))"))
    else:
        component = f"mixture[3](q({z.name} | param, param))"
        factor(d, "p", other, (z,))
    d.say(f"p({z.name}) = {component}")
    factor(d, "p", x, (z, *d.causes))
    seen = (x,) if other is None else (x, other)
    bent = " >> affine" if z.vector and d.often(0.3) else ""
    d.say(f"q({z.name} | {names(seen)}) = Normal({network(d, seen)}){bent}")


def computed_latent(d: Draft) -> None:
    """A latent that is a function of another, by a flow or by a network."""
    x = observed(d)
    u, z = d.unit("u", "real", (2,)), d.unit("z", "real", (2,))
    factor(d, "p", u, ())
    if d.often(0.7):
        f = d.name("k")
        d.say(f"flow {f} = {flow(d, z, ())}")
        d.say(f"{z.name} = {f}({u.name})")
    else:
        d.say(f"{z.name} = mlp[4]({u.name})")
    factor(d, "p", x, (z, *d.causes))
    if d.often(0.7):
        factor(d, "q", d.choose((u, z)), (x,), DRAWN)


def coarse_first(d: Draft) -> None:
    """A latent that the data says with certainty, which another latent may explain."""
    x = d.unit("x", d.choose(("binary", "integer(0..2)", "categorical(3)")), (4,), "observed")
    d.data.append(x)
    coarse = f"floor(mean(reshape({x.name}, [2, 2]), axis = 1) + 0.5)"
    picked = d.choose((f"{x.name}[0..1]", coarse if not x.support.startswith("cat") else f"{x.name}[1..2]"))
    y = d.unit("y", d.choose((x.support, "natural")) if picked == coarse else x.support, (2,))
    z = [d.unit("z", "real", (2,))] if d.often(0.6) else []
    for u in z:
        factor(d, "p", u, (), DENSITIES[:1])
    factor(d, "p", y, z)
    factor(d, "p", x, (y, *d.causes))
    d.say(f"q({y.name} | {x.name}) = Delta({picked})")


CORES = (
    latents,
    latents,
    latents,
    latents,
    pseudo_inputs,
    computed_latent,
    coarse_first,
)
