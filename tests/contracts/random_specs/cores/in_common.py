"""What a model is about: what all rows, or those of a group, have in common."""

from __future__ import annotations

from tests.contracts.random_specs.draft import Draft, Unit, names
from tests.contracts.random_specs.parts.densities import DENSITIES, DRAWN, factor
from tests.contracts.random_specs.variables import observed


def random_network(d: Draft) -> None:
    """A network with a prior on its weights, applied to a condition, a latent of a row, or both, and used twice."""
    x, s = observed(d, support="real"), d.unit("s", d.choose(("real", "unit", "categorical(3)")), (2,), "observed")
    z = [d.unit("z", "real", (2,))] if d.often(0.4) else []
    f = d.name("f")
    d.say(f"net {f} = {d.choose(('mlp[3]', 'linear', 'mlp[3, 2, activation = tanh]', 'mlp[2, norm = layer]'))}")
    inputs = names((s, *z, *d.causes))
    given = [u.name for u in (s, *z, *d.causes)]
    above = [u.name for u in d.causes if u.per == "data" and u.support == "positive" and not u.shape]
    if not above and d.often(0.3):
        above = [d.unit("a", "positive", per="data").name]
        d.say(f"p({above[0]}) = HalfNormal(1)")
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


KINDS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("real", ()),
    ("real", (2,)),
    ("positive", (2,)),
    ("unit", ()),
    ("simplex", (2,)),
    ("categorical(3)", ()),
    ("binary", ()),
    ("binary", (2,)),
)


def in_common(d: Draft) -> None:
    """What all rows have in common, or one a group: which may depend on another, and has a q or gets one."""
    above: list[Unit] = []
    for _ in range(d.choose((1, 1, 2))):
        support, shape = d.choose(KINDS)
        group = d.unit("s", d.choose(("categorical(3)", "integer(1..3)")), (), "observed") if d.often(0.4) else None
        w = d.unit("w", d.classes(support), shape, per=group.name if group else "data")
        given = [u for u in above if u.per == "data" and d.often(0.6)]
        factor(d, "p", w, (*given, *([group] if group and d.often(0.3) else [])), DENSITIES[:3])
        if d.often(0.5):
            factor(d, "q", w, (*given, *([group] if group else [])), DRAWN)
        above.append(w)
    d.causes += above


def shares(d: Draft) -> bool:
    """Whether rows have something in common."""
    return any(u.per for u in d.causes) or any(s.startswith("net f") for s in d.statements)


CORES = (random_network,)
