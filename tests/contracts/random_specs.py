"""Random well-formed specs: a seed gives a text. Every construct of the language is in one of the tables.

`CORES` are what a model is about; `CAUSES` add what its likelihood reads (conditions, partial variables, finite
latents); `LEAVES` add what reads its data and latents; `_asked` asks for another objective. A construct enters by one
function in one table.

    python -m tests.contracts.random_specs 7        # prints the spec of seed 7
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from tests.contracts.random_parts import (
    DENSITIES,
    DRAWN,
    ELEMENTS,
    FAMILIES,
    FLOWED,
    PIXELS,
    VECTORS,
    Draft,
    Unit,
    factor,
    flow,
    names,
    network,
)
from tests.contracts.random_sequences import (
    along_an_index,
    paths_along_an_index,
    states_along_an_index,
)

SUPPORTS = (
    "real",
    "real",
    "real",
    "positive",
    "unit",
    "interval(-1, 1)",
    "binary",
    "binary",
    "categorical(3)",
    "integer(0..2)",
    "integer(2..3)",
    "integer",
    "natural",
    "simplex",
    "sphere",
)
SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (2,), (2,), (3,), (2, 2))
CONTINUOUS = ("real", "real", "real", "positive", "unit", "simplex", "sphere")


def shape_of(d: Draft, support: str, vector: bool = False) -> tuple[int, ...]:
    if support in VECTORS or vector:
        return d.choose(((2,), (3,)))
    return d.choose(SHAPES)


def observed(d: Draft, stem: str = "x", support: str = "", vector: bool = False) -> Unit:
    """A variable of the data that the core models."""
    support = support or d.choose(SUPPORTS)
    found = d.unit(stem, support, shape_of(d, support, vector or support.startswith("interval")), "observed")
    d.data.append(found)
    d.open(found)
    return found


# --- posteriors ----------------------------------------------------------------------------------


def _derived(d: Draft, latents: Sequence[Unit], seen: Sequence[Unit]) -> None:
    if d.gaps.random() < 0.2 and not any(s.startswith("posterior") for s in d.settings):
        d.settings.append("posterior = factorised")


def _mean_field(d: Draft, latents: Sequence[Unit], seen: Sequence[Unit]) -> None:
    for z in latents:
        factor(d, "q", z, seen, DRAWN)


def _without_data(d: Draft, latents: Sequence[Unit], seen: Sequence[Unit]) -> None:
    for z in latents:
        factor(d, "q", z, (), DRAWN[:1])


def _bottom_up(d: Draft, latents: Sequence[Unit], seen: Sequence[Unit]) -> None:
    below: Sequence[Unit] = seen
    for z in latents:
        factor(d, "q", z, below, DRAWN)
        below = (z,)


def _top_down(d: Draft, latents: Sequence[Unit], seen: Sequence[Unit]) -> None:
    above: tuple[Unit, ...] = ()
    for z in reversed(latents):
        factor(d, "q", z, (*above, *seen), DRAWN)
        above = (z,)


def _some_given(d: Draft, latents: Sequence[Unit], seen: Sequence[Unit]) -> None:
    factor(d, "q", d.choose(latents), seen, DRAWN)


POSTERIORS = (_derived, _mean_field, _mean_field, _without_data, _bottom_up, _top_down, _some_given)


def residual_posterior(d: Draft, latents: Sequence[Unit], priors: Sequence[str], seen: Sequence[Unit]) -> None:
    """Top-down, each relative to its prior, which must be a Normal."""
    for z, prior in zip(reversed(latents), reversed(priors), strict=True):
        parents = prior[prior.index("|") + 1 : -1].strip() if "|" in prior else ""
        given = ", ".join(filter(None, [parents, names(seen)]))
        d.say(f"q({z.name} | {given}) = residual({prior}, {network(d, seen)})")


# --- what a model is about -----------------------------------------------------------------------


def _exact(d: Draft) -> None:
    factor(d, "p", observed(d), d.causes)


def _pixels(d: Draft) -> None:
    """A grid of pixels, of colours as well, given another grid."""
    support = d.choose(("real", "binary", "categorical(3)", "integer(0..2)", "natural"))
    shape = d.choose(((2, 2), (3, 2), (2, 2, 2), (2, 1, 3)))
    beside = [d.unit("g", "real", shape, "observed")] if d.often(0.4) else []
    x = d.unit("x", support, shape, "observed")
    d.data.append(x)
    factor(d, "p", x, (*beside, *d.causes), PIXELS)


def _grids_by_grids(d: Draft) -> None:
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


def _regression(d: Draft) -> None:
    condition = d.unit("s", d.choose(SUPPORTS), (2,), "observed")
    factor(d, "p", observed(d, "y"), (condition, *d.causes))


def _latents(d: Draft) -> None:
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


def _pseudo_inputs(d: Draft) -> None:
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


def _family(d: Draft) -> None:
    """A chain with an index: weights of each member, or one network for all."""
    x = observed(d)
    d.say(f"const T = {d.choose((1, 2, 3))}")
    size = d.choose(("2", "3", "t + 1"))
    d.say(f"latent z[t in 1..T] : real[{size}]")
    shared = size != "t + 1" and d.often(0.5)
    given = "z[t + 1], t" if shared else "z[t + 1]"
    link = f"mlp[4]({given})"
    if size != "t + 1" and d.often(0.3):
        d.say("net link = mlp[4]")
        link = "link(z[t + 1])"
    d.say("p(z[T]) = " + d.choose(("Normal(0, 1)", "Normal(param)", "mixture[2](Normal(param))")))
    above = "z[>t]" if link == "mlp[4](z[t + 1])" and d.often(0.3) else ""
    d.say(f"p(z[t] | {above or 'z[t + 1]'}) = Normal({link.replace('z[t + 1]', above) if above else link})")
    if x.support in FAMILIES and d.often(0.3):  # all of the family
        read = names([Unit("z", "real"), *d.causes])
        d.say(f"{d.head('p', x.name, ['z', *(c.name for c in d.causes)])} = {FAMILIES[x.support][0]}(mlp[4]({read}))")
    else:
        factor(d, "p", x, (Unit("z[1]", "real", (2,)), *d.causes), DENSITIES[:3])
    seen = names((x, *d.causes))
    way = d.choose(("none", "up", "down", "residual"))
    if way == "up":
        d.say(f"q(z[1] | {seen}) = Normal(mlp[4]({seen}))")
        d.say(f"q(z[t] | z[t - 1]) = Normal(mlp[4](z[t - 1]{', t' if shared else ''}))")
    if way == "down":
        d.say(f"q(z[T] | {seen}) = Normal(mlp[4]({seen}))")
        d.say(f"q(z[t] | z[t + 1], {seen}) = Normal(mlp[4](z[t + 1], {seen}{', t' if shared else ''}))")
    if way == "residual":
        d.say("let up[l in 1..T] : real[3] = mlp[4](up[l - 1])")
        d.say(f"up[0] = {x.name}")
        d.say(f"q(z[T] | {seen}) = Normal(linear(up[T]))")
        before = above or "z[t + 1]"
        d.say(f"q(z[t] | {before}, {seen}) = residual(p(z[t] | {before}), linear(up[t]))")


def _long_family(d: Draft) -> None:
    """A long chain whose members share their weights: one variable with an axis."""
    x = observed(d)
    d.say("const T = 9")
    kind = d.choose(("real[2]", "real", "positive[2]"))
    d.say(f"latent z[t in 1..T] : {kind}")
    law = "LogNormal" if "positive" in kind else "Normal"
    d.say("net move = mlp[4]")
    link = d.choose(("mlp[4](z[t + 1], t)", "move(z[t + 1])", "move(z[t + 1]), 0.5"))
    d.say(f"p(z[T]) = {law}({d.choose(('0, 1', 'param'))})")
    d.say(f"p(z[t] | z[t + 1]) = {law}({link})")
    given = d.choose(("z[1]", "z[1], z[T]", "z[2]"))
    shape = (2,) if "[2]" in kind else ()
    members = tuple(Unit(name, "real", shape) for name in given.split(", "))
    factor(d, "p", x, (*members, *d.causes), DENSITIES[:3])
    seen = names((x, *d.causes))
    way = d.choose(("up", "down", "apart"))
    if way == "up":
        d.say(f"q(z[1] | {seen}) = {law}(mlp[4]({seen}))")
        d.say(f"q(z[t] | z[t - 1]) = {law}(mlp[4](z[t - 1], t))")
    if way == "down":
        d.say(f"q(z[T] | {seen}) = {law}(mlp[4]({seen}))")
        d.say(f"q(z[t] | z[t + 1], {seen}) = {law}(mlp[4](z[t + 1], {seen}, t))")
    if way == "apart":
        d.say(f"q(z[t] | {seen}) = {law}(mlp[4]({seen}, t))")


def _noised(d: Draft) -> None:
    """A chain from the data, or from a latent, on, under steps of known numbers: folded if it is long."""
    x = observed(d, support="real", vector=True)
    start, (size,) = x, x.shape
    if d.often(0.3):
        start = d.unit("u", "real", (size,))
        factor(d, "p", x, (start, *d.causes))
        d.say(f"q({start.name} | {x.name}) = Normal(mlp[4]({x.name}))")
    d.say(f"const T = {d.choose((2, 10, 12))}")
    d.say(f"latent z[t in 0..T] : real[{size}]")
    kind = d.choose(("linear(0.05, 0.4)", "cosine(0.01, largest = 0.8)", "geometric(0.05, 0.5)", "0.1 + 0.3 * t / T"))
    d.say(f"schedule beta[t in 1..T] = {kind}")
    d.say("schedule left[t in 0..T] = cumprod(1 - beta[t])")
    d.say(f"z[0] = {start.name}")
    slope = d.choose(("sqrt(1 - beta[t]) * z[t - 1]", "z[t - 1]", "0.9 * z[t - 1] / (1 + beta[t])"))
    d.say(f"q(z[t] | z[t - 1]) = Normal({slope}, sqrt(beta[t]))")
    d.say(f"p(z[T]) = Normal({d.choose(('0, 1', 'param'))})")
    given = ", ".join(("z[t]", *(c.name for c in d.causes)))
    mean = f"mlp[4]({given}, t)"
    if d.often(0.5):
        d.say("net eps = mlp[4]")
        mean = f"z[t] - beta[t] / sqrt(1 - left[t]) * eps({given}, t), {d.choose(('0.3', 'sqrt(beta[t])'))}"
    d.say(f"p(z[t - 1] | {given}) = Normal({mean})")
    if start is x and d.often(0.3):
        d.say(f"p({x.name} | {given.replace('z[t]', 'z[1]')}) = Normal(mlp[4]({given.replace('z[t]', 'z[1]')}))")


def _classes_drawn_anew(d: Draft) -> None:
    """A chain of classes from the data on, each kept or drawn anew."""
    support, k = d.choose((("categorical(3)", 3), ("integer(0..2)", 3), ("binary", 2)))
    x = d.unit("x", support, d.choose(((), (2,))), "observed")
    d.data.append(x)
    d.say(f"const T = {d.choose((9, 11))}")
    d.say(f"latent z[t in 0..T] : {x.type}")
    d.say("schedule beta[t in 1..T] = linear(0.1, 0.6)")
    d.say(f"z[0] = {x.name}")
    kept = d.choose(("(1 - beta[t]) * one_hot(z[t - 1]) + beta[t]", "one_hot(z[t - 1]) / beta[t] + 1"))
    kept = kept.replace("+ beta[t]", f"+ beta[t] / {k}")
    d.say(f"q(z[t] | z[t - 1]) = Categorical(log({kept}))")
    d.say("p(z[T]) = Categorical(uniform)")
    given = ", ".join(("z[t]", *(c.name for c in d.causes)))
    skip = d.choose(("", "", " + 2 * one_hot(z[t])"))
    d.say(f"p(z[t - 1] | {given}) = Categorical(mlp[4]({given}, t){skip})")


def _clusters(d: Draft) -> None:
    """A finite latent, summed, above or beside a drawn one."""
    support, shape = d.choose((("categorical(3)", ()), ("binary", (2,)), ("integer(1..3)", ())))
    c = d.unit("c", support, shape)
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


def _real_base(d: Draft, u: Unit, of: Sequence[Unit] = ()) -> None:
    if d.often(0.2):
        d.say(f"E({u.name}) = mlp[4]({u.name}) + 0.5 * sum({u.name}^2)")
    else:
        factor(d, "p", u, of, DENSITIES[:10])


def _defined_by_a_flow(d: Draft) -> None:
    """x = f(u), for any support that flows reach, or rounded; the flow may read a latent or a condition."""
    support = d.choose(("real", "real", "positive", "unit", "interval(-1, 1)", "integer(0..2)", "integer"))
    x = observed(d, support=support, vector=True)
    u = d.unit("u", "real", x.shape)
    z = [d.unit("z", "real", (2,))] if d.often(0.3) else []
    for latent in z:
        factor(d, "p", latent, ())
    inside = bool(z) and d.often(0.5)
    f = d.name("k")
    onto = {"positive": " >> exp", "unit": " >> sigmoid", "interval(-1, 1)": " >> tanh"}.get(support, "")
    written = d.often(0.4)  # what stands around the flow as a formula, which is a bijection too
    d.say(f"flow {f} = {flow(d, u, (*(z if inside else ()), *d.causes))}{'' if written else onto}")
    if z and not inside:
        factor(d, "p", u, z)
        if d.often(0.5):
            factor(d, "q", z[0], (u if support == "real" and d.often(0.5) else x,), DRAWN)
    else:
        _real_base(d, u)
    backwards = (written or not onto) and d.often(0.3)
    image = f"inverse({f})({u.name})" if backwards else f"{f}({u.name})"
    if written:
        around = d.choose(("{}", "2 * {} - 1", "{} / exp({param})", "{param} - {}", "{matrix} @ {}", "{} @ {matrix}"))
        param = d.param(*x.shape) if "param" in around else ""
        image = around.format(image, param=param, matrix=d.param(*x.shape, *x.shape) if "matrix" in around else "")
        image = f"{onto[4:]}({image})" if onto else image
    d.say(f"{x.name} = floor({image})" if support.startswith("integer") else f"{x.name} = {image}")


def _matched(d: Draft) -> None:
    """An integral that is taught by flow matching: of a vector or a grid, from noise or from data, by a definition or
    by its factor."""
    support = d.choose(("real", "real", "positive", "integer(0..2)"))
    x = d.unit("x", support, d.choose(((2,), (3,), (2, 2))), "observed")
    d.data.append(x)
    given = f", {names(d.causes)}" if d.causes else ""
    name, over = d.name("k"), d.choose(("0..1", "0.1..0.9"))
    grid = "conv[3](o, e{given})" if len(x.shape) > 1 else "mlp[4, activation = tanh](o, e{given})"
    field = d.choose((grid, "tanh(o) / 2 - mlp[4](e, o{given}) / (1 + e)")).format(given=given)
    d.say(f"flow {name}(o) = o + integrate(e in {over}: {field}, steps = 2)")
    backwards = d.often(0.5)
    if d.often(0.5):
        u = d.unit("u", "real", x.shape)
        factor(d, "p", u, [c for c in d.causes if d.often(0.3)], DENSITIES[:1])
        image = f"inverse({name})({u.name})" if backwards else f"{name}({u.name})"
        d.say(f"{x.name} = {_AROUND[support].format(image)}")
    elif support.startswith("integer"):
        u = d.unit("u", "real", x.shape)
        d.say(f"p({u.name}) = Normal(0, 1)")
        d.say(f"{x.name} = {_AROUND[support].format(f'{name}({u.name})')}")
    else:
        onto = " >> exp" if support == "positive" else " >> reverse" if x.vector else ""
        density = f"Normal(0, 1) >> {f'inverse({name})' if backwards else name}{onto}"
        d.say(f"{d.head('p', x.name, [c.name for c in d.causes])} = {density}")
    path = d.choose(("linear", "cosine", "variance_preserving(0.1, 5)"))
    target = d.choose(("", ", target = noise", ", target = data", f", weight = {{ {x.name} = 0.5 }}"))
    d.settings.append(f"objective = flow_matching({path}{target})")


_AROUND = {"real": "2 * {} - 1", "positive": "exp({})", "integer(0..2)": "floor(3 * sigmoid({}))"}


def _defined_by_parts(d: Draft) -> None:
    """x = f(z, g(u)): several latents side by side, one of them a number or moved by a formula."""
    support = d.choose(("real", "positive", "integer"))
    u = d.unit("u", "real", d.choose(((), (2,), (3,))))
    z = d.unit("z", "real", d.choose(((1,), (2,))))
    size = z.shape[0] + (u.shape[0] if u.shape else 1)
    x = d.unit("x", support, (size,), "observed")
    d.data.append(x)
    inner, outer = d.name("k"), d.name("k")
    d.say(f"flow {inner} = {'affine' if u.shape in ((), (1,)) else flow(d, u, d.causes)}")
    d.say(f"flow {outer} = {flow(d, Unit('x', 'real', x.shape), ())}")
    part = d.choose(("{g}({u})", "2 * {u} - {param}", "{u}"))
    part = part.format(g=inner, u=u.name, param=d.param(*u.shape) if "param" in part and u.shape else "1")
    order = d.choose((f"{z.name}, {part}", f"{part}, {z.name}"))
    image = d.choose((f"{outer}({order})", f"{outer}(concat({order}))"))
    _real_base(d, z)
    factor(d, "p", u, (z,) if d.often(0.4) else (), DENSITIES[:10])
    around = {"positive": f"exp({image})", "integer": f"floor({image})"}.get(support, image)
    d.say(f"{x.name} = {around}")


def _integer_flow(d: Draft) -> None:
    x = observed(d, support=d.choose(("integer", "integer(0..1)", "integer(2..3)", "integer(0..2)")), vector=True)
    u = d.unit("u", x.support, x.shape)
    # A base that is a mixture has its class as a latent, which is summed out; the flow may read it too.
    of = (d.unit("c", "categorical(3)", ()),) if d.often(0.4) else ()
    for c in of:
        factor(d, "p", c, ())
    read = (*d.causes, *(c for c in of if d.often(0.5)))
    given = f"({names(read)})" if read else ""
    d.say(f"flow k = 2 * (coupling[shift = mlp[4]]{given} >> reverse)")
    factor(d, "p", u, of, DENSITIES[:1])
    d.say(f"{x.name} = k({u.name})")


def _random_network(d: Draft) -> None:
    """A network with a prior on its weights, applied to a condition, a latent of a row, or both, and used twice."""
    x, s = observed(d, support="real"), d.unit("s", d.choose(("real", "unit", "categorical(3)")), (2,), "observed")
    z = [d.unit("z", "real", (2,))] if d.often(0.4) else []
    f = d.name("f")
    d.say(f"net {f} = {d.choose(('mlp[3]', 'linear', 'mlp[3, 2, activation = tanh]', 'mlp[2, norm = layer]'))}")
    inputs = names((s, *z, *d.causes))
    given = [u.name for u in (s, *z, *d.causes)]
    above = [u.name for u in d.causes if u.per == "data" and u.support == "positive" and not u.shape]
    d.say(f"{d.head('p', f, above[:1])} = {d.choose(('Normal', 'Laplace'))}(0, {above[0] if above else '1'})")
    if d.often(0.5):
        q = d.choose(("Normal(param)", "Normal(0.2 * param, 0.1 * exp(param))", "Laplace(param, 0.1)"))
        d.say(f"q({f}) = {q}")
    for latent in z:
        factor(d, "p", latent, (), DENSITIES[:1])
        factor(d, "q", latent, (x, s), DRAWN[:1])
    if d.often(0.4) and x.vector:
        feature = d.name("r")
        d.say(f"let {feature} : real[{x.shape[0]}] = {f}({inputs})")
        d.say(f"{d.head('p', x.name, [*given, f])} = Normal({feature}, exp(param))")
    else:
        d.say(f"{d.head('p', x.name, [*given, f])} = Normal({f}({inputs}), {d.choose(('1', 'exp(param)'))})")


def _normal_hierarchy(d: Draft) -> None:
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
    loc = _affine(d, latents, others)
    d.say(f"{d.head('p', x.name, [u.name for u in (*latents, *others)])} = Normal({loc}, {_deviation(d, others)})")


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


def _computed_latent(d: Draft) -> None:
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


def _coarse_first(d: Draft) -> None:
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


def _finite_graph(d: Draft) -> None:
    """Latents of few values, each of which reads one before it, and densities that read one or two: they are summed out
    one after another, and one that has a class at each position at all of them at once."""
    above: list[Unit] = []
    for _ in range(d.choose((1, 2, 3))):
        c = d.unit("c", d.choose(("binary", "categorical(3)", "integer(1..2)")), d.choose(((), (), (2,))))
        factor(d, "p", c, [d.choose(above)] if above and d.often(0.8) else (), DENSITIES[:1])
        above.append(c)
    if d.often(0.7):
        k = d.unit("k", d.choose(("binary", "categorical(3)")), (3,))
        x = d.unit("x", d.choose(("real", "natural", "categorical(3)")), d.choose(((3,), (3, 2))), "observed")
        d.data.append(x)
        beside = [u.name for u in (*above[:1], *d.causes)]
        family = _family_of(k)
        if d.often(0.5):
            d.say(f"p({k.name}) = {family}(param)")
        else:
            d.say(f"p({k.name}[d] | {above[0].name}) = {family}(linear({above[0].name}, d))")
        if d.often(0.5):
            factor(d, "p", x, (k, *above[:1]), ELEMENTS)
        else:
            reads = ", ".join([f"{k.name}[d]", *beside])
            d.say(f"p({x.name}[d] | {reads}) = {_family_of(x)}(mlp[4]({reads}))")
    for c in above[-2:]:
        factor(d, "p", observed(d, "y", d.choose(("real", "binary", "categorical(3)"))), (c, *d.causes), DENSITIES[:6])


def _family_of(unit: Unit) -> str:
    return FAMILIES.get(unit.support, ("Normal",) if unit.real else ("Categorical",))[0]


def _counted_draws(d: Draft) -> None:
    """Counts of classes in so many draws, of a number or of as many as a row says."""
    many = str(d.choose((1, 4))) if d.often(0.5) else d.unit("n", "natural", (), "observed").name
    x = d.unit("x", "natural", d.choose(((2,), (3,))), "observed")
    d.data.append(x)
    z = d.unit("z", *d.choose((("real", (2,)), ("simplex", (3,)), ("categorical(3)", ()))))
    factor(d, "p", z, (), DENSITIES[:1])
    given = [*([many] if many == "n" else []), z.name, *(c.name for c in d.causes)]
    reads = ", ".join(name for name in given if name != many)
    d.say(f"p({x.name} | {', '.join(given)}) = Multinomial({many}, {d.choose(('mlp[4]', 'linear'))}({reads}))")


def _boltzmann(d: Draft) -> None:
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


def _lattice(d: Draft) -> None:
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


def _network_energy(d: Draft) -> None:
    support = d.choose(("real", "positive", "unit", "binary", "categorical(3)", "integer(0..2)"))
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


def _energy_prior(d: Draft) -> None:
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


GAMES = ("", "", "nonsaturating", "wasserstein(penalty = 1)", "hinge", "least_squares")


def _generator(d: Draft) -> None:
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
    d.settings += [f"objective = adversarial({game})"] if game else []


def _adversarial_autoencoder(d: Draft) -> None:
    x = observed(d)
    z = d.unit("z", "real", (2,))
    factor(d, "p", z, ())
    factor(d, "p", x, (z, *d.causes))
    factor(d, "q", z, (x,), DRAWN)
    d.say(f"adversary D({d.choose(('z', 'z', 'z', 'x, z'))}) = mlp[4]")


CORES: tuple[Callable[[Draft], None], ...] = (
    _exact,
    _exact,
    _pixels,
    _grids_by_grids,
    _regression,
    _latents,
    _latents,
    _latents,
    _latents,
    _pseudo_inputs,
    _family,
    _clusters,
    _clusters,
    _matched,
    _defined_by_parts,
    _defined_by_a_flow,
    _defined_by_a_flow,
    _integer_flow,
    _normal_hierarchy,
    _normal_hierarchy,
    _random_network,
    _computed_latent,
    _coarse_first,
    _finite_graph,
    _finite_graph,
    _counted_draws,
    _boltzmann,
    _lattice,
    _network_energy,
    _energy_prior,
    _generator,
    _adversarial_autoencoder,
    along_an_index,
    along_an_index,
    along_an_index,
    paths_along_an_index,
    _noised,
    _noised,
    _classes_drawn_anew,
    _long_family,
    states_along_an_index,
)
OF_ROWS = (_generator, _adversarial_autoencoder)  # games compare rows
FORBID_CAUSES = (_boltzmann, _lattice, _network_energy, _integer_flow)


# --- what is added before and after --------------------------------------------------------------


def _condition(d: Draft) -> None:
    support = d.choose(SUPPORTS)
    shape = (2,) if support in VECTORS else d.choose(((), (2,)))
    d.causes.append(d.unit("s", support, shape, "observed"))


def _partial_cause(d: Draft) -> None:
    """Something that some rows miss, which the likelihood reads: summed or imputed there."""
    kinds = (("categorical(3)", ()), ("binary", (2,)), ("real", ()), ("unit", (2,)), ("positive", (2,)))
    support, shape = d.choose(kinds)
    y = d.unit("y", support, shape, "partial")
    factor(d, "p", y, (), DENSITIES[:3])
    d.causes.append(y)


def _observed_cause(d: Draft) -> None:
    y = observed(d, "y", d.choose(("real", "categorical(3)", "binary")))
    factor(d, "p", y, ())
    d.causes.append(y)


def _in_common(d: Draft) -> None:
    """What all rows have in common, or one a group: which may depend on another, and has a q or gets one."""
    above: list[Unit] = []
    for _ in range(d.choose((1, 1, 2))):
        support, shape = d.choose((("real", ()), ("real", (2,)), ("positive", (2,)), ("unit", ()), ("simplex", (2,))))
        group = d.unit("s", d.choose(("categorical(3)", "integer(1..2)")), (), "observed") if d.often(0.4) else None
        w = d.unit("w", support, shape, per=group.name if group else "data")
        given = [u for u in above if u.per == "data" and d.often(0.6)]
        factor(d, "p", w, (*given, *([group] if group and d.often(0.3) else [])), DENSITIES[:3])
        if d.often(0.5):
            factor(d, "q", w, (*given, *([group] if group else [])), DRAWN)
        above.append(w)
    d.causes += above


CAUSES = (_condition, _condition, _partial_cause, _observed_cause, _in_common)
KNOWN_CAUSES = (_condition, _observed_cause)


def _label(d: Draft) -> None:
    """Another variable of the data that reads the latents or the data; some rows may miss it."""
    of = d.choose((d.drawn[:1] or d.data[:1], d.data[:1]))
    if of:
        support = d.choose(SUPPORTS)
        role = d.choose(("observed", "partial"))
        y = d.unit("v", support, (2,) if support in (*VECTORS, "interval(-1, 1)") else (), role)
        factor(d, "p", y, of, DENSITIES[:3] if not support.startswith("interval") else DENSITIES)


def _opponent(d: Draft) -> None:
    """A game on top, about data that has a density."""
    of = [u for u in d.data if u.role == "observed" and u.support in ("real", "positive", "unit")]
    if of and not any(s.startswith("adversary") for s in d.statements) and not shares(d):
        d.say(f"adversary D({of[0].name}) = mlp[4]")


def _latent_leaf(d: Draft) -> None:
    """A latent that nothing but its own q reads."""
    if d.drawn:
        w = d.unit("w", "real", (2,))
        factor(d, "p", w, d.drawn[:1], DENSITIES[:1])
        if d.often(0.5):
            factor(d, "q", w, d.drawn[:1], DRAWN)


def shares(d: Draft) -> bool:
    """Whether rows have something in common."""
    return any(u.per for u in d.causes) or any(s.startswith("net f") for s in d.statements)


LEAVES = (_label, _label, _opponent, _latent_leaf)


def _beta(d: Draft) -> str:
    return f"objective = elbo(beta = {d.choose(('2', '2', 'linear(0, 1)', 'cosine(0.5, 2, epochs = 3)'))})"


def _weight(d: Draft) -> str:
    return f"objective = elbo(weight = {{ {d.choose(d.data).name} = 0.5 }})" if d.data else ""


def _importance(d: Draft) -> str:
    return "objective = iwae(3)"


def _likelihood(d: Draft) -> str:
    return f"objective = likelihood(weight = {{ {d.choose(d.data).name} = 0.5 }})" if d.data else ""


def _divergence(d: Draft) -> str:
    return f"objective = contrastive_divergence(steps = 2, persistent = {d.choose(('true', 'false'))})"


def _asked(d: Draft, core: Callable[[Draft], None]) -> None:
    """An objective by name, one that the core can have."""
    if core in (_latents, _pseudo_inputs, _family):
        d.settings.append(d.choose((_beta, _weight, _weight if shares(d) else _importance))(d))
    elif core is _clusters and d.drawn:
        d.settings.append(d.choose((_importance, _importance, _beta))(d))
    elif core is _exact:
        d.settings.append(_likelihood(d))
    elif core in (_boltzmann, _lattice, _network_energy):
        d.settings.append(_divergence(d))


def random_spec(number: int) -> str:
    """The text of a spec, the same for the same number."""
    d = Draft(number)
    core = d.choose(CORES)
    while core not in FORBID_CAUSES and d.often(0.25):
        cause = d.choose(CAUSES if core is not _matched else KNOWN_CAUSES)
        if cause is not _in_common or core not in OF_ROWS:
            cause(d)
    core(d)
    while d.often(0.2):
        d.choose(LEAVES)(d)
    if d.often(0.2):
        _asked(d, core)
    settings = [s for s in d.settings if s]
    lines = [f"model random_{number}", *d.statements]
    return "\n".join([*lines, *([f"train {{ {settings[-1]} }}"] if settings else [])]) + "\n"


def shuffled(text: str, number: int) -> str:
    """The statements of a generated spec in another order. A feature without a type stays before its readers."""
    head, *rest = text.splitlines()
    d = Draft(number)
    d.random.shuffle(rest)
    return "\n".join([head, *rest]) + "\n"


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(random_spec(int(argument)))
