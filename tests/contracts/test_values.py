"""Arithmetic of specs as emitted: random expressions against the same ones computed directly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from dgmppl import pipeline
from dgmppl.emit.values import emitted
from dgmppl.graph import values
from dgmppl.graph.ends import ends_of
from tests.contracts.support import build, checked, graph_of

Values = dict[str, Tensor]


@dataclass(frozen=True)
class Expression:
    """Text, its value for one row, and its shape."""

    text: str
    value: Callable[[Values], Tensor]
    shape: tuple[int, ...]


def leaf(name: str, shape: tuple[int, ...]) -> Expression:
    return Expression(name, lambda v: v[name], shape)


def number(x: float) -> Expression:
    return Expression(f"{x}", lambda v: torch.tensor(float(x), dtype=torch.float64), ())


VECTORS = [leaf("z", (3,)), leaf("w", (3,)), leaf("b", (3,))]
SCALARS = [leaf("s", ()), leaf("t", ()), leaf("c", ()), number(2), number(0.5), number(1.5)]
MATRICES = [leaf("A", (3, 3)), leaf("M", (3, 3))]  # A is a parameter, M a latent
FUNCTIONS = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "sin": torch.sin, "softplus": torch.nn.functional.softplus}


def binary(op: str, a: Expression, b: Expression) -> Expression:
    apply = {
        "+": lambda x, y: x + y,
        "-": lambda x, y: x - y,
        "*": lambda x, y: x * y,
        "/": lambda x, y: x / y,
        "@": lambda x, y: x @ y,
    }[op]
    shape = a.shape or b.shape
    if op == "@":
        shape = a.shape[:-1] + b.shape[1:]
    return Expression(f"({a.text}) {op} ({b.text})", lambda v: apply(a.value(v), b.value(v)), shape)


def unary(text: str, function: Callable[[Tensor], Tensor], a: Expression, shape=None) -> Expression:
    return Expression(text.format(a.text), lambda v: function(a.value(v)), a.shape if shape is None else shape)


@st.composite
def expressions(draw: st.DrawFn, shape: tuple[int, ...], depth: int) -> Expression:
    """An expression of a shape: a number, three numbers, or three by three."""
    leaves = {0: SCALARS, 1: VECTORS, 2: MATRICES}[len(shape)]
    if depth == 0:
        return draw(st.sampled_from(leaves))

    def inner(shape: tuple[int, ...]) -> Expression:
        return draw(expressions(shape, depth - 1))

    kinds = ["leaf", "binary", "binary", "scaled", "unary", "square", "product", "sum", "axes", "axes"]
    kind = draw(st.sampled_from(kinds))
    if kind == "axes":
        return axes(draw, shape, inner)
    if kind == "binary":
        return binary(draw(st.sampled_from("+-*")), inner(shape), inner(shape))
    if kind == "scaled":
        return binary(draw(st.sampled_from("*+-")), inner(()), inner(shape))
    if kind == "unary":
        name = draw(st.sampled_from(sorted(FUNCTIONS)))
        a = inner(shape)
        return draw(st.sampled_from([unary("-({})", torch.neg, a), unary(f"{name}({{}})", FUNCTIONS[name], a)]))
    if kind == "square":
        return unary("({})^2", torch.square, inner(shape))
    if kind == "product":
        if len(shape) == 0:
            return binary("@", inner((3,)), inner((3,)))
        if len(shape) == 1:
            a, b = ((3, 3), (3,)) if draw(st.booleans()) else ((3,), (3, 3))
            return binary("@", inner(a), inner(b))
        return binary("@", inner((3, 3)), inner((3, 3)))
    if kind == "sum" and not shape:
        return unary("sum({})", torch.sum, inner(draw(st.sampled_from([(3,), (3, 3)]))), ())
    if kind == "sum" and shape == (3,):
        divisor = binary("+", number(2), unary("({})^2", torch.square, inner(())))
        return binary("/", inner((3,)), divisor)
    return draw(st.sampled_from(leaves))


def axes(draw: st.DrawFn, shape: tuple[int, ...], inner: Callable[[tuple[int, ...]], Expression]) -> Expression:
    """A function of axes that gives a shape."""

    def joined(text: str, function: Callable[[list[Tensor]], Tensor], *parts: Expression) -> Expression:
        value: Callable[[Values], Tensor] = lambda v: function([p.value(v) for p in parts])  # noqa: E731
        return Expression(text.format(", ".join(p.text for p in parts)), value, shape)

    if not shape:
        over = draw(st.sampled_from([(3,), (3, 3)]))
        return draw(
            st.sampled_from(
                [
                    unary("mean({})", torch.mean, inner(over), ()),
                    unary("logsumexp({})", lambda a: a.exp().sum().log(), inner(over), ()),
                    unary("reshape({}, [9])[8]", lambda a: a[2, 2], inner((3, 3)), ()),
                    unary("({})[1..2][0]", lambda a: a[1], inner((3,)), ()),
                ]
            )
        )
    if len(shape) == 1:
        numbers = [inner(()) for _ in range(3)]
        return draw(
            st.sampled_from(
                [
                    joined("concat({})", lambda p: torch.cat([p[0][:2], p[1][None]]), _cut(inner((3,))), inner(())),
                    joined("stack({})", torch.stack, *numbers),
                    unary("softmax({})", lambda a: a.softmax(-1), inner((3,)), (3,)),
                    unary("sum({}, axis = 0)", lambda a: a.sum(0), inner((3, 3)), (3,)),
                    unary("mean({}, axis = 1)", lambda a: a.mean(1), inner((3, 3)), (3,)),
                    unary("logsumexp({}, axis = 1)", lambda a: a.exp().sum(1).log(), inner((3, 3)), (3,)),
                    unary("flatten(({})[1, 0..2])", lambda a: a[1], inner((3, 3)), (3,)),
                    unary("({})[0..2, 1]", lambda a: a[:, 1], inner((3, 3)), (3,)),
                ]
            )
        )
    return draw(
        st.sampled_from(
            [
                joined("stack({})", lambda p: torch.stack(p, -1), *(inner((3,)) for _ in range(3))),
                joined(
                    "concat({}, axis = 0)",
                    torch.cat,
                    _row(inner((3, 3)), 0),
                    _row(inner((3, 3)), 2),
                    _row(inner((3, 3)), 1),
                ),
                unary("reshape(flatten({}), [3, 3])", lambda a: a, inner((3, 3)), (3, 3)),
                unary("softmax({})", lambda a: a.softmax(-1), inner((3, 3)), (3, 3)),
            ]
        )
    )


def _cut(a: Expression) -> Expression:
    return Expression(f"({a.text})[0..1]", a.value, (2,))


def _row(a: Expression, k: int) -> Expression:
    return Expression(f"({a.text})[{k}..{k}]", lambda v: a.value(v)[k : k + 1], (1, 3))


def spec(expression: Expression) -> str:
    shape = f"[{', '.join(map(str, expression.shape))}]" if expression.shape else ""
    return f"""\
model arithmetic
observed x : real[2] from "rows.npz".x
latent z : real[3]
latent w : real[3]
latent s : real
latent t : real
latent M : real[3, 3]
param A : real[3, 3]
param b : real[3]
param c : real
let result : real{shape} = {expression.text}
p(z) = Normal(0, 1)
p(w) = Normal(0, 1)
p(s) = Normal(0, 1)
p(t) = Normal(0, 1)
p(M) = Normal(0, 1)
p(x | z, w, s, t, M) = Normal(mlp[2](result, z, w, s, t, M))
"""


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([(), (3,), (3, 3)]).flatmap(lambda shape: expressions(shape, 3)))
def test_random_expressions(expression: Expression) -> None:
    found = pipeline.read(spec(expression))
    assert found.ok, (expression.text, [str(d) for d in found.errors])
    model = build(found, scale=1.0).double()
    n = 4
    shapes = {"z": (3,), "w": (3,), "s": (), "t": (), "M": (3, 3)}
    values = {name: 0.7 * torch.randn(n, *shape, dtype=torch.float64) for name, shape in shapes.items()}
    method = type(model).define_result
    names = method.__code__.co_varnames[1 : method.__code__.co_argcount]
    with torch.no_grad():
        result = model.define_result(*(values[name] for name in names))
        if not names:  # parameters and numbers alone: the same for every row
            result = torch.as_tensor(result).expand(n, *expression.shape)
        held = {"A": model.A, "b": model.b, "c": model.c}
        graph = graph_of(found)
        definition = graph.definition("result")
        assert definition is not None
        ends = ends_of(graph, definition.value)
        assert ((result >= ends.low - 1e-6) & (result <= ends.high + 1e-6)).all(), (expression.text, ends)
        for row in range(n):
            one = {**held, **{name: value[row] for name, value in values.items()}}
            expected = expression.value(one).double().expand(expression.shape)
            assert torch.allclose(result[row].double(), expected, rtol=1e-4, atol=1e-4), expression.text
        terms = model.loss(torch.randn(n, 2, dtype=torch.float64))
    assert terms.shape == ()


def test_something_is_emitted_for_every_kind_of_value() -> None:
    kinds = {kind for kind in vars(values).values() if isinstance(kind, type) and issubclass(kind, values.Value)}
    kinds -= {values.Value, values.Scheduled, values.Cumulative}  # numbers of an index, worked out when it is compiled
    assert {kind for kind in kinds if emitted.dispatch(kind) is emitted.dispatch(object)} == set()


def test_networks_read_what_supports_suggest() -> None:
    """Real values as they are, bounded ones in [-1, 1], categories one-hot, planes flattened, in the order given."""
    text = """\
model inputs
observed a : integer(2..4)[2] from "rows.npz".a
observed b : categorical(3) from "rows.npz".b
observed c : binary from "rows.npz".c
observed d : interval(0, 10)[2, 2] from "rows.npz".d
observed e : unit[1] from "rows.npz".e
observed f : positive from "rows.npz".f
observed g : categorical(2)[2] from "rows.npz".g
observed y : real from "rows.npz".y
p(y | a, b, c, d, e, f, g) = Normal(mlp[4](a, b, c, d, e, f, g))
"""
    model = build(checked(text))
    seen: list[Tensor] = []
    model.p_y_net.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    model.log_prob(
        torch.tensor([[2.0, 4.0]]),
        torch.tensor([1.0]),
        torch.tensor([0.0]),
        torch.tensor([[[0.0, 5.0], [10.0, 2.5]]]),
        torch.tensor([[0.25]]),
        torch.tensor([7.0]),
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([0.3]),
    )
    expected = [-1, 1, *(0, 1, 0), -1, *(-1, 0, 1, -0.5), -0.5, 6, *(0, 1, 1, 0)]  # a count is told from 1 before a fit
    assert torch.allclose(seen[0], torch.tensor([expected]).float())


CONSTANTS = {
    "Normal(-1, 2)": (-1.0, 2.0),
    "Normal(2 * 3 - 1, 1)": (5.0, 1.0),
    "Normal(h, 2 * h)": (0.5, 1.0),
    "Normal(0, exp(1))": (0.0, 2.7182818),
    "Normal(0, sqrt(h))": (0.0, 0.70710678),
    "Normal(-h, 1 / 4)": (-0.5, 0.25),
}


@pytest.mark.parametrize("density", CONSTANTS)
@pytest.mark.parametrize("shape", ["", "[2]", "[2, 2]"])
def test_constants_are_numbers_for_every_element(density, shape) -> None:
    model = build(
        checked(
            f'model c\nconst h = 0.5\nobserved x : real{shape} from "rows.npz".x\nlatent z : real{shape}\n'
            f"p(z) = {density}\np(x | z) = Normal(z, 1)\n"
        )
    )
    loc, scale = CONSTANTS[density]
    size = {"": (), "[2]": (2,), "[2, 2]": (2, 2)}[shape]
    z = torch.randn(5, *size)
    expected = torch.distributions.Normal(loc, scale).log_prob(z).reshape(5, -1).sum(-1)
    assert torch.allclose(model.p_z().log_prob(z), expected, atol=1e-5)
    assert model.p_z().sample((3,)).shape == (3, *size)


def test_a_number_stands_for_every_element_of_a_feature() -> None:
    text = """\
model features
observed x : real[2] from "rows.npz".x
latent z : real
param c : real
let one : real[3] = 1
let all : real[2, 2] = z
let held : real[2] = c
p(z) = Normal(0, 1)
p(x | z) = Normal(mlp[4](one, all, held))
q(z | x) = Normal(mlp[4](x))
"""
    model = build(checked(text), scale=0.5)
    z = torch.tensor([0.5, -1.0])
    assert torch.equal(model.define_one(), torch.ones(3))
    assert torch.equal(model.define_all(z), z[:, None, None].expand(2, 2, 2))
    assert torch.equal(model.define_held(), model.c.expand(2))
    assert model.elbo(torch.randn(2, 2)).shape == (2,)
    assert model.sample(3).shape == (3, 2)


PRODUCTS = {
    "A @ M": lambda v: torch.einsum("ij,njk->nik", v["A"], v["M"]),
    "M @ A": lambda v: torch.einsum("nij,jk->nik", v["M"], v["A"]),
    "A @ z": lambda v: torch.einsum("ij,nj->ni", v["A"], v["z"]),
    "z @ A": lambda v: torch.einsum("ni,ij->nj", v["z"], v["A"]),
    "M @ z": lambda v: torch.einsum("nij,nj->ni", v["M"], v["z"]),
    "z @ M": lambda v: torch.einsum("ni,nij->nj", v["z"], v["M"]),
    "b @ M": lambda v: torch.einsum("i,nij->nj", v["b"], v["M"]),
    "M @ b": lambda v: torch.einsum("nij,j->ni", v["M"], v["b"]),
    "M @ M": lambda v: torch.einsum("nij,njk->nik", v["M"], v["M"]),
    "T @ z": lambda v: torch.einsum("ijk,nk->nij", v["T"], v["z"]),
    "z @ T": lambda v: torch.einsum("ni,ijk->njk", v["z"], v["T"]),
    "T @ M": lambda v: torch.einsum("ijk,nkl->nijl", v["T"], v["M"]),
    "T @ A": lambda v: torch.einsum("ijk,kl->ijl", v["T"], v["A"]),
}


@pytest.mark.parametrize("product", PRODUCTS)
def test_products_contract_the_last_axis_with_the_first(product) -> None:
    shapes = {"A @ M": "3, 3", "M @ A": "3, 3", "M @ M": "3, 3", "T @ z": "3, 3", "z @ T": "3, 3", "T @ M": "3, 3, 3"}
    shape = shapes.get(product, "3, 3, 3" if product == "T @ A" else "3")
    text = f"""\
model products
observed x : real from "rows.npz".x
latent z : real[3]
latent M : real[3, 3]
param A : real[3, 3]
param b : real[3]
param T : real[3, 3, 3]
let result : real[{shape}] = {product}
p(z) = Normal(0, 1)
p(M) = Normal(0, 1)
p(x | z, M) = Normal(mlp[2](result, z, M))
"""
    model = build(checked(text), scale=1.0)
    values = {"z": torch.randn(2, 3), "M": torch.randn(2, 3, 3)}
    method = type(model).define_result.__code__
    names = method.co_varnames[1 : method.co_argcount]
    held = {"A": model.A, "b": model.b, "T": next(p for p in model.parameters() if p.dim() == 3)}
    with torch.no_grad():
        result = model.define_result(*(values[name] for name in names))
        assert torch.allclose(result, PRODUCTS[product]({**values, **held}), atol=1e-5)


# The arguments of a Normal over three elements, and the same for x, s, t given as columns.
SCALARS_BESIDE = {
    "s + t, 1": lambda x, s, t: (s + t, 1.0),
    "s * 4, exp(t)": lambda x, s, t: (s * 4, t.exp()),
    "s - t, exp(s)": lambda x, s, t: (s - t, s.exp()),
    "s ^ 2, 1.5": lambda x, s, t: (s**2, 1.5),
    "y, exp(s)": lambda x, s, t: (x, s.exp()),
}


@pytest.mark.parametrize("arguments", SCALARS_BESIDE)
def test_a_number_an_example_stands_for_every_element(arguments: str) -> None:
    """As many rows as elements, so that an axis in the wrong place would not be noticed by its size."""
    given = [name for name in "yst" if name in arguments.replace("exp", "")]
    text = f"""model scalars
observed x : real[3] from "rows.npz".x
observed y : real[3] from "rows.npz".y
observed s : real from "rows.npz".s
observed t : real from "rows.npz".t
p(x | {", ".join(given)}) = Normal({arguments})
"""
    model = build(checked(text))
    torch.manual_seed(0)
    x, y, s, t = torch.randn(3, 3), torch.randn(3, 3), torch.randn(3), torch.rand(3)
    loc, scale = SCALARS_BESIDE[arguments](y, s[:, None], t[:, None])
    expected = torch.distributions.Normal(loc, scale).log_prob(x).sum(-1)
    assert torch.allclose(model.log_prob(x, y, s, t), expected, atol=1e-5)
    asked = {"y": y, "s": s, "t": t}
    assert model.sample(3, **{name: asked[name] for name in given}).shape == (3, 3)


def test_supports_of_functions_of_axes() -> None:
    """What is averaged stays in the convex hull; softmax and one_hot give probabilities; parts keep their support."""
    text = """\
model supports
observed x : integer(0..16)[4, 4] from "rows.npz".x
observed y : categorical(3) from "rows.npz".y
observed u : unit[4] from "rows.npz".u
observed r : positive[3] from "rows.npz".r
observed k : categorical(3)[2] from "rows.npz".k
let a = mean(x, axis = 0)
let b = x[0..1, 3]
let c = softmax(u)
let d = mean(u)
let e = one_hot(k)
let f = one_hot(y)[0..1]
let g = sum(r)
let h = concat(r, g)
let i = concat(r, u)
let j = concat(k, k)
let l = mean(e, axis = 0)
let m = flatten(e)
p(x | y, u, r, k) = Categorical(mlp[4](y, u, c, d, e, f, g, h, i, j, l, m))
let n = mean(one_hot(y))
"""
    graph = checked(text).graph
    assert graph is not None
    assert {v.name: v.type.describe() for v in graph.variables if v.role == "let"} == {
        "a": "interval(0, 16)[4]",
        "b": "integer(0..16)[2]",
        "c": "simplex[4]",
        "d": "unit",
        "e": "simplex[2, 3]",
        "f": "real[2]",
        "g": "positive",
        "h": "positive[4]",
        "i": "real[7]",
        "j": "categorical(3)[4]",
        "l": "simplex[3]",
        "m": "real[6]",
        "n": "real",
    }


def test_one_hot_and_means_are_products_for_an_energy() -> None:
    """An energy written with `one_hot` and `mean` is the one written with elements and sums: drawn in blocks, summed
    in closed form."""
    start = """\
model energy
observed x : binary[6] from "rows.npz".x
observed y : categorical(3) from "rows.npz".y
latent h : binary[2]
param W : real[6, 2] = normal(0.5)
param V : real[3, 2] = normal(0.5)
param c : real[6]
"""
    values = ("x @ W @ h - V[y] @ h - sum(c * x) / 6", "x @ W @ h - one_hot(y) @ V @ h - mean(c * x)")
    models = [build(checked(f"{start}E(x, y, h) = {value}\n"), scale=0.5) for value in values]
    models[1].load_state_dict(models[0].state_dict())
    x, y = (torch.rand(5, 6) < 0.5).float(), torch.randint(3, (5,)).float()
    first, second = (m.free_energy(x, y) for m in models)
    assert torch.allclose(first, second, atol=1e-5)
