"""Graphs built by hand, one for each thing that a picture shows."""

from __future__ import annotations

from dgmppl.catalogue.axes import Axes
from dgmppl.catalogue.networks import NETWORKS
from dgmppl.graph.nodes import (
    Adversary,
    DataSource,
    Definition,
    Energy,
    Factor,
    Graph,
    Parameter,
    Variable,
)
from dgmppl.graph.values import (
    Apply,
    Autoregressive,
    Block,
    Composition,
    Constant,
    Declared,
    Density,
    Element,
    Learned,
    Mapped,
    Mixture,
    Module,
    NetworkSpec,
    Operation,
    Parametric,
    Past,
    Pushforward,
    Quoted,
    Residual,
    Stage,
    Use,
    Value,
)
from dgmppl.source import Source, Span
from dgmppl.supports import BINARY, Categorical, Integers, Interval, Type, real

S = Span(0, 0)
PIXELS = Type(Integers(0, 16), (64,))
CLASS = Type(Categorical(10))
IMAGE = Type(Interval(-1, 1), (64,))
DIGITS = DataSource("digits", "image")
RESCALED = DataSource("digits", "image", transforms=(("rescale", (-1.0, 1.0)),))
LABEL = DataSource("digits", "label")


def observed(name: str, type: Type = PIXELS, data: DataSource = DIGITS) -> Variable:
    return Variable(name, name, "observed", type, S, data)


def latent(name: str, size: int = 16, index: int | None = None, role: str = "latent") -> Variable:
    if index is None:
        return Variable(name, name, role, real(size), S)
    return Variable(f"{name}[{index}]", f"{name}_{index}", role, real(size), S, None, name, index, "l")


def use(name: str) -> Use:
    return Use(real(16), S, name)


def net(*inputs: Value | str, kind: str = "mlp", hidden: tuple[int, ...] = (256, 256), out: str = "") -> Apply:
    options = (("out", out),) if out else ()
    form = NETWORKS[kind].forms[0]
    module = Module("net", (Stage(NetworkSpec(kind, hidden, options), form, Axes(16), Axes(16)),))
    return Apply(real(16), S, module, tuple(use(i) if isinstance(i, str) else i for i in inputs))


def dist(kind: str, *inputs: str, hidden: tuple[int, ...] = (256, 256), network: str = "mlp") -> Parametric:
    return Parametric(real(16), S, kind, joint=net(*inputs, hidden=hidden, kind=network))


def standard() -> Parametric:
    zero, one = Constant(real(), S, 0.0), Constant(real(), S, 1.0)
    return Parametric(real(16), S, "Normal", (("loc", zero), ("scale", one)))


def factor(side: str, head: str, parents: tuple[str, ...], density: Density) -> Factor:
    return Factor(side, head, parents, density, S, S)


def graph(
    name: str,
    variables: list[Variable],
    factors: list[Factor],
    definitions: tuple[Definition, ...] = (),
    parameters: tuple[Parameter, ...] = (),
    energy: Energy | None = None,
    adversaries: tuple[Adversary, ...] = (),
) -> Graph:
    source = Source(f"{name}.dgm", "")
    return Graph(name, source, tuple(variables), parameters, tuple(factors), definitions, energy, adversaries)


def coupling_chain(repeat: int = 8) -> Composition:
    return Composition(S, "flow", (Block(S, "coupling", 64), Block(S, "reverse", 64)), repeat)


def vae(prior: Density | None = None, posterior: Density | None = None) -> Graph:
    return graph(
        "vae",
        [observed("x"), latent("z")],
        [
            factor("p", "z", (), prior or standard()),
            factor("p", "x", ("z",), dist("Categorical", "z")),
            factor("q", "z", ("x",), posterior or dist("Normal", "x")),
        ],
    )


def vampprior() -> Graph:
    quoted = Quoted(real(16), S, "q(z | x)", (Learned(PIXELS, S, "pseudo", 16),))
    prior = Mixture(real(16), S, 16, Learned(real(16), S, "w"), quoted)
    posterior = Pushforward(real(16), S, dist("Normal", "x"), Composition(S, "f", (Block(S, "householder", 16),), 4))
    return vae(prior, posterior)


def top_down_vae() -> Graph:
    return graph(
        "top_down_vae",
        [
            observed("x"),
            latent("z1"),
            latent("z2", 8),
            latent("r1", 256, role="let"),
            latent("r2", 256, role="let"),
        ],
        [
            factor("p", "z2", (), standard()),
            factor("p", "z1", ("z2",), dist("Normal", "z2", hidden=(256,))),
            factor("p", "x", ("z1",), dist("Categorical", "z1", hidden=(256,))),
            factor("q", "z2", ("x",), dist("Normal", "r2", hidden=(), network="linear")),
            factor(
                "q",
                "z1",
                ("z2", "x"),
                Residual(real(16), S, "p(z1 | z2)", net("r1", kind="linear", hidden=())),
            ),
        ],
        (Definition("r1", net("x", hidden=(256,)), S), Definition("r2", net("r1", hidden=(256,)), S)),
    )


def realnvp() -> Graph:
    value = Operation(PIXELS, S, "floor", (Mapped(real(64), S, coupling_chain(), use("u")),))
    return graph(
        "realnvp",
        [observed("x"), latent("u", 64)],
        [factor("p", "u", (), standard())],
        (Definition("x", value, S),),
    )


def rbm() -> Graph:
    def held(name: str) -> Declared:
        return Declared(real(64), S, name)

    def op(kind: str, *parts: Value) -> Operation:
        return Operation(real(), S, kind, parts)

    x, h = use("x"), use("h")
    value = op("@", op("@", op("negate", x), held("W")), h)
    value = op("-", op("-", value, op("@", held("b"), x)), op("@", held("c"), h))
    binary = Variable("h", "h", "latent", Type(BINARY, (100,)), S)
    data = DataSource("digits", "image", transforms=(("threshold", (8.0,)),))
    return graph("rbm", [observed("x", Type(BINARY, (64,)), data), binary], [], energy=Energy(("x", "h"), value, S, S))


def jem() -> Graph:
    value = Operation(real(), S, "negate", (Element(real(), S, net("x", hidden=(256,)), (use("y"),)),))
    return graph(
        "jem",
        [observed("x", IMAGE, RESCALED), observed("y", CLASS, LABEL)],
        [],
        energy=Energy(("x", "y"), value, S, S),
    )


def conditional_gan() -> Graph:
    opponent = Adversary("D", "D", ("x", "y"), net("x", "y"), S)
    return graph(
        "conditional_gan",
        [observed("x", IMAGE, RESCALED), observed("y", CLASS, LABEL), latent("z")],
        [factor("p", "z", (), standard())],
        (Definition("x", net("z", "y", hidden=(256,), out="tanh"), S),),
        adversaries=(opponent,),
    )


def autoregressive() -> Graph:
    step = Parametric(real(), S, "Categorical", joint=net(Past(PIXELS, S, "x"), kind="causal", hidden=(256, 256, 256)))
    return graph("causal_cnn", [observed("x")], [factor("p", "x", (), Autoregressive(PIXELS, S, "x", step))])


def deep_vae(depth: int = 25, features: bool = True) -> Graph:
    """A chain of latents; with features, a ladder: one let-bound feature for each level."""
    levels = range(1, depth + 1)
    factors = [factor("p", f"z[{depth}]", (), standard())]
    factors += [factor("p", f"z[{n}]", (f"z[{n + 1}]",), dist("Normal", f"z[{n + 1}]")) for n in levels[:-1]]
    factors += [factor("p", "x", ("z[1]",), dist("Categorical", "z[1]"))]
    lets = [latent("r", 64, n, "let") for n in levels] if features else []
    definitions = tuple(Definition(f"r[{n}]", net(f"r[{n - 1}]" if n > 1 else "x", hidden=(64,)), S) for n in levels)
    if features:
        factors += [factor("q", f"z[{depth}]", ("x",), dist("Normal", f"r[{depth}]"))]
        for n in levels[:-1]:
            change = Residual(real(16), S, f"p(z[{n}] | z[{n + 1}])", net(f"r[{n}]", kind="linear", hidden=()))
            factors += [factor("q", f"z[{n}]", (f"z[{n + 1}]", "x"), change)]
    else:
        below = ["x", *(f"z[{n}]" for n in levels)]
        factors += [factor("q", f"z[{n}]", (below[n - 1],), dist("Normal", below[n - 1])) for n in levels]
    nodes = [observed("x"), *(latent("z", 16, n) for n in levels), *lets]
    return graph("deep_vae", nodes, factors, definitions if features else ())


def wide() -> Graph:
    """50 variables that are no chain: three levels of latents, each read by a few below."""
    top, middle, bottom = (
        [f"a{n}" for n in range(8)],
        [f"b{n}" for n in range(16)],
        [f"c{n}" for n in range(25)],
    )
    factors = [factor("p", name, (), standard()) for name in top]
    factors += [factor("q", name, ("x",), dist("Normal", "x")) for name in top[:2]]
    for above, level in ((top, middle), (middle, bottom)):
        for n, name in enumerate(level):
            parents = tuple(dict.fromkeys((above[n % len(above)], above[(n * 3 + 1) % len(above)])))
            factors.append(factor("p", name, parents, dist("Normal", *parents)))
    factors.append(factor("p", "x", tuple(bottom[::3]), dist("Categorical", *bottom[::3])))
    return graph("wide", [observed("x"), *(latent(name, 4) for name in (*top, *middle, *bottom))], factors)


def hostile() -> Graph:
    """Names and data fields that mean something to DOT, to HTML, to Graphviz's escapes or to nothing."""
    names = ['"];evil[shape=star', "<b>&amp;\\N</b>", "a:b:c", "back\\", "\x00\ud800\n\x1b[2J", "node", "-->"]
    fields = ['weird|file"', "x\\\\G\\T</TD>", "<![CDATA[", "${HOME}", "]]>", "%s{0}", "x" * 300]
    data = [DataSource(f, f, True) for f in fields]
    nodes = [observed(name, data=d) for name, d in zip(names, data, strict=True)]
    return graph("<script>\\G\"'", nodes, [factor("p", name, (), standard()) for name in names])


def products() -> Value:
    """a * (b - (a + b)) - (a - b) * -b ^ 2, for its parentheses."""

    def op(kind: str, *parts: Value) -> Operation:
        return Operation(real(), S, kind, parts)

    a, b = use("a"), use("b")
    left = op("*", a, op("-", b, op("+", a, b)))
    return op("-", left, op("*", op("-", a, b), op("negate", op("^", b, Constant(real(), S, 2.0)))))
