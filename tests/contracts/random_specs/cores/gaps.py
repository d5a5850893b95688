"""What a model is about: data along an index of which some are missing, and states of which the last one is read."""

from __future__ import annotations

from tests.contracts.random_specs.draft import Draft, Unit


def incomplete(d: Draft) -> None:
    """Numbers or classes that follow one or two before them, or one after, maybe beside a latent state, a cause of the
    row or what reads a member."""
    count = d.choose((2, 3))
    d.say(f"const T = {count}")
    support = d.choose(("real", "real", "categorical(3)", "binary"))
    d.say(f'partial x[t in 1..T] : {support} elementwise from "rows.npz".x')
    d.data.append(Unit("x", support, (count,), "partial"))
    real = support == "real"
    backward = d.often(0.25)
    by, end = ("+", "T") if backward else ("-", "1")
    beside: list[str] = []
    if real and not backward and d.often(0.4):
        d.say("latent z[t in 1..T] : real")
        d.say("p(z[1]) = Normal(0, 1)")
        given = ["z[t - 1]", *(["x[t - 1]"] if d.often(0.3) else [])]
        d.say(f"p(z[t] | {', '.join(given)}) = Normal({' + '.join(f'linear({g})' for g in given)}, 0.5)")
        beside.append("z[t]")
    if real and d.often(0.3):
        f = d.unit("f", "real")
        d.say(f"p({f.name}) = {d.choose(('Normal(0, 1)', 'Normal(param, 1)', 'Laplace(0, 1)'))}")
        beside.append(f.name)
    ends = [name.replace("[t]", f"[{end}]") for name in beside]

    def law(given: list[str]) -> str:
        if not real:
            family = "Bernoulli" if support == "binary" else "Categorical"
            return f"{family}({'param' if not given else d.choose(('linear', 'mlp[4]'))}{_inside(given)})"
        loc = " + ".join(f"linear({g})" for g in given) or "param"
        return f"Normal({loc}, {d.choose(('0.5', 'param'))})"

    d.say(f"{d.head('p', f'x[{end}]', ends)} = {law(ends)}")
    before = [f"x[t {by} 1]"]
    if count == 3 and d.often(0.4):
        second = "T - 1" if backward else "2"
        first = [f"x[{end}]", *(name.replace("[t]", f"[{second}]") for name in beside)]
        d.say(f"{d.head('p', f'x[{second}]', first)} = {law(first)}")
        before.append(f"x[t {by} 2]")
    given = [*before, *beside]
    d.say(f"{d.head('p', 'x[t]', given)} = {law(given)}")
    if d.often(0.3):
        y = d.unit("y", "real", (), "observed")
        member = d.choose(("x[1]", "x[T]"))
        d.say(f"p({y.name} | {member}) = Normal(linear({member}), 1)")


def apart(d: Draft) -> None:
    """Numbers and classes along no index that rows miss, as a whole or by element, and what reads them: with affine
    means all is exact, and beside a class that rows miss as well."""
    how = d.choose(("", " elementwise"))
    shape = d.choose(("", "[2]"))
    d.say(f'partial x : real{shape}{how} from "rows.npz".x')
    d.data.append(Unit("x", "real", (2,) if shape else (), "partial"))
    given: list[str] = []
    if d.often(0.4):
        d.say(f'partial k : {d.choose(("categorical(3)", "binary"))} from "rows.npz".k')
        d.say("p(k) = " + ("Categorical(param)" if "categorical" in d.statements[-1] else "Bernoulli(param)"))
        given.append("k")
    if d.often(0.5):
        z = d.unit("z", "real")
        d.say(f"p({z.name}) = Normal(0, 1)")
        given.append(z.name)
    loc = " + ".join(f"linear({g})" for g in given) or "param"
    d.say(f"{d.head('p', 'x', given)} = Normal({loc}, {d.choose(('0.5', 'param'))})")
    reads = ["x", *(g for g in given if d.often(0.4))]
    y = d.unit("y", "real", (3,), d.choose(("observed", "observed", "partial")))
    loc = " + ".join(f"linear({g})" for g in reads)
    d.say(f"{d.head('p', y.name, reads)} = Normal({loc}, {d.choose(('0.5', 'exp(param)'))})")


def ended(d: Draft) -> None:
    """Classes or normal states of sequences of different lengths, with what reads the last of each row."""
    d.say("const T = 3")
    n = d.unit("m", "integer(1..T)", (), "observed")
    x = Unit("x", "real", (3,), "observed")
    d.say(f'observed x[t in 1..{n.name}] : real from "rows.npz".x')
    d.data.append(x)
    support = d.choose(("real", "categorical(3)", "binary"))
    family = {"real": "Normal", "binary": "Bernoulli"}.get(support, "Categorical")
    scale = ", 0.5" if support == "real" else ""
    some = d.choose(("", "", "partial", "elementwise"))
    how = f" {some}" if some == "elementwise" else ""
    d.say(f"{'partial' if some else 'latent'} z[t in 1..{n.name}] : {support}{how}" + ' from "rows.npz".z' * bool(some))
    if some:
        d.data.append(Unit("z", support, (3,), "partial"))
    d.say(f"p(z[1]) = {family}(param{scale})")
    d.say(f"p(z[t] | z[t - 1]) = {family}(linear(z[t - 1]){scale})")
    d.say("p(x[t] | z[t]) = Normal(linear(z[t]), 0.5)")
    y = d.unit("y", d.choose(("real", "binary")) if support != "real" else "real", (), "observed")
    reads = f"z[{n.name}]"
    law = f"Normal(linear({reads}), 1)" if y.real else f"Bernoulli(mlp[4]({reads}))"
    d.say(f"p({y.name} | {reads}) = {law}")


def _inside(given: list[str]) -> str:
    return f"({', '.join(given)})" if given else ""
