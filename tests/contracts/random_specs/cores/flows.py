"""What a model is about: data that a flow makes of latents."""

from __future__ import annotations

from collections.abc import Sequence

from tests.contracts.random_specs.draft import Draft, Unit, names
from tests.contracts.random_specs.parts.densities import DENSITIES, DRAWN, factor
from tests.contracts.random_specs.parts.families import onto, reached
from tests.contracts.random_specs.parts.flows import flow
from tests.contracts.random_specs.variables import observed


def _real_base(d: Draft, u: Unit, of: Sequence[Unit] = ()) -> None:
    if d.often(0.2):
        d.say(f"E({u.name}) = mlp[4]({u.name}) + 0.5 * sum({u.name}^2)")
    else:
        factor(d, "p", u, of, DENSITIES[:10])


def defined_by_a_flow(d: Draft) -> None:
    """x = f(u), for any support that flows reach, or rounded; the flow may read a latent or a condition."""
    support = d.choose(("real", "real", "positive", "unit", "interval(-1, 1)", "integer(0..2)", "integer"))
    x = observed(d, support=support, vector=True)
    u = d.unit("u", "real", x.shape)
    z = [d.unit("z", "real", (2,))] if d.often(0.3) else []
    for latent in z:
        factor(d, "p", latent, ())
    inside = bool(z) and d.often(0.5)
    f = d.name("k")
    landed = f" >> {onto(d, x.support)}" if reached(x.support) else ""
    written = d.often(0.4)  # what stands around the flow as a formula, which is a bijection too
    d.say(f"flow {f} = {flow(d, u, (*(z if inside else ()), *d.causes))}{'' if written else landed}")
    if z and not inside:
        factor(d, "p", u, z)
        if d.often(0.5):
            factor(d, "q", z[0], (u if support == "real" and d.often(0.5) else x,), DRAWN)
    else:
        _real_base(d, u)
    backwards = (written or not landed) and d.often(0.3)
    image = f"inverse({f})({u.name})" if backwards else f"{f}({u.name})"
    if written:
        around = d.choose(("{}", "2 * {} - 1", "{} / exp({param})", "{param} - {}", "{matrix} @ {}", "{} @ {matrix}"))
        param = d.param(*x.shape) if "param" in around else ""
        image = around.format(image, param=param, matrix=d.param(*x.shape, *x.shape) if "matrix" in around else "")
        image = f"{landed[4:]}({image})" if landed else image
    d.say(f"{x.name} = floor({image})" if support.startswith("integer") else f"{x.name} = {image}")


def matched(d: Draft) -> None:
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
        landed = " >> exp" if support == "positive" else " >> reverse" if x.vector else ""
        density = f"Normal(0, 1) >> {f'inverse({name})' if backwards else name}{landed}"
        d.say(f"{d.head('p', x.name, [c.name for c in d.causes])} = {density}")
    path = d.choose(("linear", "cosine", "variance_preserving(0.1, 5)"))
    target = d.choose(("", ", target = noise", ", target = data", f", weight = {{ {x.name} = 0.5 }}"))
    if d.fits.random() < 0.3:
        target = d.fits.choice((", target = score", ", target = velocity"))
    d.settings["objective"] = f"flow_matching({path}{target})"


_AROUND = {"real": "2 * {} - 1", "positive": "exp({})", "integer(0..2)": "floor(3 * sigmoid({}))"}


def defined_by_parts(d: Draft) -> None:
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


def integer_flow(d: Draft) -> None:
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


CORES = (
    defined_by_a_flow,
    defined_by_a_flow,
    defined_by_parts,
    matched,
    integer_flow,
)
