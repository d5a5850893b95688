"""What a model is about: latents that are taken out exactly, by sums and integrals."""

from __future__ import annotations

from collections.abc import Sequence

from tests.contracts.random_specs.draft import Draft, Unit, names
from tests.contracts.random_specs.parts.densities import DENSITIES, DRAWN, factor
from tests.contracts.random_specs.parts.elements import ELEMENTS
from tests.contracts.random_specs.parts.families import family_of
from tests.contracts.random_specs.variables import observed


def clusters(d: Draft) -> None:
    """A finite latent, summed, above or beside a drawn one."""
    support, shape = d.choose((("categorical(3)", ()), ("binary", (2,)), ("integer(1..3)", ())))
    c = d.unit("c", d.classes(support), shape)
    factor(d, "p", c, (), DENSITIES[:1])
    x = observed(d)
    if d.often(0.5):
        z = d.unit("z", "real", (2,))
        factor(d, "p", z, (c,))
        factor(d, "p", x, (z, *((c,) if d.often(0.5) else ()), *d.causes))
        d.drawn.append(z)
        way = d.choose(("none", "sum last", "sum first"))
        if way == "sum last":
            factor(d, "q", z, (x,), DRAWN)
            factor(d, "q", c, (z,), DENSITIES[:1])
        if way == "sum first":
            factor(d, "q", c, (x,), DENSITIES[:1])
            factor(d, "q", z, (x, c), DRAWN)
    else:
        factor(d, "p", x, (c, *d.causes))
        if d.often(0.6):
            factor(d, "q", c, (x,), DENSITIES[:1])


def finite_graph(d: Draft) -> None:
    """Latents of few values, each of which reads one before it, and densities that read one or two: they are summed out
    one after another, and one that has a class at each position at all of them at once."""
    above: list[Unit] = []
    for _ in range(d.choose((1, 2, 3))):
        support = d.choose(("binary", "categorical(3)", "integer(1..2)"))
        c = d.unit("c", d.classes(support), d.choose(((), (), (2,))))
        factor(d, "p", c, [d.choose(above)] if above and d.often(0.8) else (), DENSITIES[:1])
        above.append(c)
    if d.often(0.7):
        k = d.unit("k", d.classes(d.choose(("binary", "categorical(3)"))), (3,))
        x = d.unit("x", d.choose(("real", "natural", "categorical(3)")), d.choose(((3,), (3, 2))), "observed")
        d.data.append(x)
        beside = [u.name for u in (*above[:1], *d.causes)]
        family = family_of(k)
        if d.often(0.5):
            d.say(f"p({k.name}) = {family}(param)")
        else:
            d.say(f"p({k.name}[d] | {above[0].name}) = {family}(linear({above[0].name}, d))")
        if d.often(0.5):
            factor(d, "p", x, (k, *above[:1]), ELEMENTS)
        else:
            reads = ", ".join([f"{k.name}[d]", *beside])
            d.say(f"p({x.name}[d] | {reads}) = {family_of(x)}(mlp[4]({reads}))")
    for c in above[-2:]:
        factor(d, "p", observed(d, "y", d.choose(("real", "binary", "categorical(3)"))), (c, *d.causes), DENSITIES[:6])


def normal_hierarchy(d: Draft) -> None:
    """Latents that are integrated out: normal, with means affine in each other, beside a class, or below one that is
    drawn."""
    x = d.unit("x", "real", (3,), "observed")
    d.data.append(x)
    above = [d.unit("k", "categorical(2)")] if d.often(0.3) else []
    for k in above:
        factor(d, "p", k, ())
    if d.often(0.3):
        t = d.unit("t", "real", (2,))
        factor(d, "p", t, (), DENSITIES[:1])
        factor(d, "q", t, (x,), DRAWN[:1])
        above.append(t)
    latents: list[Unit] = []
    for _ in range(d.choose((1, 2, 2, 3))):
        z = d.unit("z", "real", d.choose(((), (2,), (2,))))
        parents = [u for u in latents if d.often(0.6)]
        others = [u for u in (*above, *d.causes) if d.often(0.4)]
        loc = _affine(d, parents, others) if parents or others else d.choose(("0", "1", "param"))
        d.say(f"{d.head('p', z.name, [u.name for u in (*parents, *others)])} = Normal({loc}, {_deviation(d, others)})")
        latents.append(z)
    others = [u for u in (*above, *d.causes) if d.often(0.7)]
    loc, head = _affine(d, latents, others), x.name
    if d.options.random() < 0.3:  # element by element
        loc, head = f"{loc} + 0.3 * d", f"{x.name}[d]"
    d.say(f"{d.head('p', head, [u.name for u in (*latents, *others)])} = Normal({loc}, {_deviation(d, others)})")


def _affine(d: Draft, latents: Sequence[Unit], others: Sequence[Unit]) -> str:
    """A mean that is affine in the latents, whatever it makes of the others."""
    parts = []
    if latents:
        inside = names(latents)
        if d.often(0.3):
            feature = d.name("r")
            d.say(f"let {feature} : real[2] = linear({inside})")
            inside = d.choose((feature, f"2 * {feature}", f"concat({feature}, {inside})"))
        parts.append(f"linear({inside})")
    if others:
        parts.append(f"mlp[4]({names(others)})")
    return d.choose((" + ", " - ")).join(parts)


def _deviation(d: Draft, others: Sequence[Unit]) -> str:
    options = ["1", "0.5", "param", "exp(param)"]
    return d.choose([*options, f"softplus(linear({names(others)}))"] if others else options)


CORES = (
    clusters,
    clusters,
    finite_graph,
    finite_graph,
    normal_hierarchy,
    normal_hierarchy,
)
