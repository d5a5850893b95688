"""What a model is about: chains of latents along an index that data do not have."""

from __future__ import annotations

from tests.contracts.random_specs.draft import Draft, Unit, names
from tests.contracts.random_specs.parts.densities import DENSITIES, factor
from tests.contracts.random_specs.parts.families import FAMILIES, bounded, family_of
from tests.contracts.random_specs.variables import observed


def family(d: Draft) -> None:
    """A chain with an index: weights of each member, or one network for all."""
    x = observed(d)
    d.say(f"const T = {d.choose((1, 2, 3))}")
    if not bounded(x.support) and d.often(0.25):
        return _exact_levels(d, x)
    size = d.choose(("2", "3", "t + 1"))
    d.say(f"latent z[t in 1..T] : real[{size}]")
    shared = size != "t + 1" and d.often(0.5)
    given = "z[t + 1], t" if shared else "z[t + 1]"
    link = f"mlp[4]({given})"
    if size != "t + 1" and d.often(0.3):
        d.say("net link = mlp[4]")
        link = "link(z[t + 1])"
    d.say("p(z[T]) = " + d.choose(("Normal(0, 1)", "Normal(param)", "mixture[2](Normal(param))")))
    above = d.choose(("z[>t]", "z[t + 1..T]")) if link == "mlp[4](z[t + 1])" and d.often(0.3) else ""
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


def _exact_levels(d: Draft, x: Unit) -> None:
    """Levels without a q: normal ones with affine means below real data, which are integrated out, or of few values."""
    normal = x.real and d.often(0.6)
    law, rest = ("Normal", ", 0.7") if normal else ("Categorical", "")
    d.say(f"latent z[t in 1..T] : {d.choose(('real', 'real[2]')) if normal else 'categorical(3)'}")
    d.say(f"p(z[T]) = {law}({'0, 1' if normal else 'param'})")
    d.say(f"p(z[t] | z[t + 1]) = {law}(linear(z[t + 1]){rest})")
    read = names((Unit("z[1]", "real"), *d.causes))
    head = d.head("p", x.name, ["z[1]", *(c.name for c in d.causes)])
    d.say(f"{head} = {family_of(x)}(linear({read}){rest if normal else ''})")


def long_family(d: Draft) -> None:
    """A long chain whose members share their weights: one variable with an axis."""
    x = observed(d)
    d.say("const T = 9")
    kind = d.choose(("real[2]", "real", "positive[2]"))
    d.say(f"latent z[t in 1..T] : {kind}")
    law = "LogNormal" if "positive" in kind else "Normal"
    net = "mlp[4, out = tanh]" if law == "LogNormal" else "mlp[4]"  # exponentials of exponentials are no numbers
    d.say(f"net move = {net}")
    link = d.choose((f"{net}(z[t + 1], t)", "move(z[t + 1])", "move(z[t + 1]), 0.5"))
    d.say(f"p(z[T]) = {law}({d.choose(('0, 1', 'param'))})")
    d.say(f"p(z[t] | z[t + 1]) = {law}({link})")
    given = d.choose(("z[1]", "z[1], z[T]", "z[2]"))
    shape = (2,) if "[2]" in kind else ()
    members = tuple(Unit(name, "real", shape) for name in given.split(", "))
    factor(d, "p", x, (*members, *d.causes), DENSITIES[:3])
    seen = names((x, *d.causes))
    way = d.choose(("up", "down", "apart"))
    if way == "up":
        d.say(f"q(z[1] | {seen}) = {law}({net}({seen}))")
        d.say(f"q(z[t] | z[t - 1]) = {law}({net}(z[t - 1], t))")
    if way == "down":
        d.say(f"q(z[T] | {seen}) = {law}({net}({seen}))")
        d.say(f"q(z[t] | z[t + 1], {seen}) = {law}({net}(z[t + 1], {seen}, t))")
    if way == "apart":
        d.say(f"q(z[t] | {seen}) = {law}({net}({seen}, t))")


def noised(d: Draft) -> None:
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
    if "const T = 2" not in d.statements and d.gaps.random() < 0.3:
        d.settings["gradient"] = "{ z[t] = by_loss }"
    if start is x and d.often(0.3):
        d.say(f"p({x.name} | {given.replace('z[t]', 'z[1]')}) = Normal(mlp[4]({given.replace('z[t]', 'z[1]')}))")


def classes_drawn_anew(d: Draft) -> None:
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
    if d.gaps.random() < 0.3:  # one class absorbs the others
        kept = f"(1 - beta[t]) * one_hot(z[t - 1]) + beta[t] * one_hot({k - 1})"
    d.say(f"q(z[t] | z[t - 1]) = Categorical(log({kept}))")
    d.say("p(z[T]) = Categorical(uniform)")
    given = ", ".join(("z[t]", *(c.name for c in d.causes)))
    skip = d.choose(("", "", " + 2 * one_hot(z[t])"))
    d.say(f"p(z[t - 1] | {given}) = Categorical(mlp[4]({given}, t){skip})")


CORES = (
    family,
    long_family,
    noised,
    noised,
    classes_drawn_anew,
)
