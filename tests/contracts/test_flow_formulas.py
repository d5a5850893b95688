"""Flows that a formula of an argument writes: `flow f(u) = 2 * tanh(W @ u + b) + 1`."""

from collections.abc import Iterator

import pytest
import torch
from torch.nn.functional import softplus

from dgmppl import pipeline
from dgmppl.source import Source
from tests.contracts.support import build, checked, graph_of


@pytest.fixture
def double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.double)
    yield
    torch.set_default_dtype(before)


HEAD = """model formula
observed x : real[3] from "rows.npz".x
latent z : real[3]
param W : real[3, 3] = normal(1)
param a : real[3] = normal(1)
"""

FORMULAS = {
    "2 * u + 1": lambda u, W, a: 2 * u + 1,
    "1 - u": lambda u, W, a: 1 - u,
    "-(u - 3) / 4": lambda u, W, a: -(u - 3) / 4,
    "a - (a + u)": lambda u, W, a: -u,
    "(u - a) * exp(a)": lambda u, W, a: (u - a) * a.exp(),
    "exp(a) * u / softplus(a)": lambda u, W, a: a.exp() * u / softplus(a),
    "u * (1 + 2 * sigmoid(a)) / exp(a) ^ 2": lambda u, W, a: u * (1 + 2 * a.sigmoid()) / a.exp() ** 2,
    "W @ u - a": lambda u, W, a: u @ W.T - a,
    "u @ W": lambda u, W, a: u @ W,
    "log(softplus(W @ u))": lambda u, W, a: softplus(u @ W.T).log(),
    "log(3 * exp(u))": lambda u, W, a: u + torch.log(torch.tensor(3.0)),
    "g(g(u) + a)": lambda u, W, a: 4 * u + 2 * a,
    "inverse(g)(u)": lambda u, W, a: u / 2,
    "(g >> reverse)(u) - 1": lambda u, W, a: 2 * u.flip(-1) - 1,
}


@pytest.mark.parametrize("text", FORMULAS)
def test_a_flow_is_what_its_formula_says(text: str) -> None:
    g = "flow g(v) = 2 * v\n" if "g(" in text or "g >>" in text or "(g)" in text else ""
    unused = "".join(f"{line}\n" for line in HEAD.splitlines() if not line.startswith("param") or line[6] in text)
    found = checked(unused + g + f"flow f(u) = {text}\np(z) = Normal(param, 1)\nx = f(z)\n")
    model = build(found, scale=0.1)
    u = torch.randn(5, 3)
    values = [getattr(model, name, torch.zeros(())) for name in ("W", "a")]
    expected = FORMULAS[text](u, *values)
    assert torch.allclose(model.define_x(u), expected, atol=1e-5)


def test_numbers_one_after_another_are_one_map() -> None:
    found = checked(HEAD.replace("param", "# ") + "p(z) = Normal(param, 1)\nflow f(u) = -(2 * u - 3) / 4\nx = f(z)\n")
    assert "FixedAffine(scale=-0.5, shift=0.75)" in pipeline.emit(found).text
    assert dict(graph_of(found).flows).keys() == {"f"}


def test_an_argument_means_nothing_outside_of_its_flow() -> None:
    text = HEAD + "flow f(u) = u + a\nflow g(u) = W @ u\np(z) = Normal(0, 1)\nx = f(g(z))\n"
    assert pipeline.check(Source("a.dgm", text)).ok
    (found,) = pipeline.check(Source("a.dgm", text + "let b = u\n")).errors
    assert found.code == "E201"


_MAF = """model maf
observed x : real[3] from "rows.npz".x
observed y : real[2] from "rows.npz".y
"""


def _copied(one: torch.nn.Module, log_scale: torch.nn.Module, shift: torch.nn.Module) -> None:
    """The weights of two masked networks in one that gives the numbers of both side by side, element by element."""
    first, last = one.layers[0], one.layers[2]
    with torch.no_grad():
        first.weight.copy_(torch.cat([log_scale.layers[0].weight, shift.layers[0].weight]))
        first.bias.copy_(torch.cat([log_scale.layers[0].bias, shift.layers[0].bias]))
        last.weight.zero_()
        for k, net in enumerate((log_scale, shift)):
            last.weight[k::2, 3 * k : 3 * (k + 1)] = net.layers[2].weight
            last.bias[k::2] = net.layers[2].bias


@pytest.mark.usefixtures("double")
def test_a_formula_of_the_past_of_what_it_gives_is_that_of_the_argument_read_backwards() -> None:
    """``x = u s(x) + m(x)`` is the inverse of ``u = (x - m(x)) / s(x)`` (Papamakarios et al., 2017, Eqs. 3 and 4)."""
    nets = "net s = masked[4]\nnet m = masked[4]\n"
    forms = ("u[d] * exp(s(f[<d], y)) + m(f[<d], y)", "(u[d] - m(u[<d], y)) / exp(s(u[<d], y))")
    one, other = (
        build(checked(f"{_MAF}{nets}flow f(u[d]) = {form}\np(x | y) = Normal(0, 1) >> {used}\n"), scale=0.3)
        for form, used in zip(forms, ("f", "inverse(f)"))
    )
    other.load_state_dict(one.state_dict(), strict=False)
    x, y = torch.randn(5, 3), torch.randn(5, 2)
    torch.testing.assert_close(one.log_prob(x, y), other.log_prob(x, y))
    torch.testing.assert_close(one.p_x(y).bijection(x), other.p_x(y).bijection(x))


@pytest.mark.parametrize("inverted", [False, True], ids=["iaf", "maf"])
@pytest.mark.usefixtures("double")
def test_a_formula_of_the_past_is_the_autoregressive_flow(inverted: bool) -> None:
    """With the scale of the catalogue's transform, density and draws are those of the flow of the catalogue."""
    formula = (
        "net s = masked[3]\nnet m = masked[3]\n"
        "flow f(u[d]) = u[d] * exp(3 * tanh(s(u[<d], y) / 3)) + m(u[<d], y)\np(x | y) = Normal(0, 1) >> "
    )
    ours = build(checked(_MAF + formula + ("inverse(f)\n" if inverted else "f\n")), scale=0.3)
    kind = "autoregressive[masked[6], inverse(affine)](y)"
    other = build(checked(f"{_MAF}p(x | y) = Normal(0, 1) >> {kind if inverted else f'inverse({kind})'}\n"))
    (flow,) = other.p_x_flow.parts
    _copied((flow if inverted else flow.bijection).network, ours.s, ours.m)
    x, y = torch.randn(5, 3), torch.randn(5, 2)
    torch.testing.assert_close(ours.log_prob(x, y), other.log_prob(x, y))
    u = torch.randn(5, 3)
    drawn = [model.p_x(y).bijection(u) for model in (ours, other)]
    torch.testing.assert_close(*drawn)


@pytest.mark.usefixtures("double")
def test_elements_are_drawn_one_after_another_as_all_at_once() -> None:
    """Without a gradient each pass goes over one position, and reads what was kept of those before it."""
    text = (
        'observed x : real[3, 2] from "rows.npz".x\nparam b : real[3, 2] = normal(1)\n'
        "flow f(u[i, j]) = u[i, j] * exp(tanh(pixelcnn[4, kernel = 3](u[<i, <j], i))) + gru[3](u[<i, <j]) * b[i, j] "
        "- u[i - 1, j + 1]\np(x) = Normal(0, 1) >> inverse(f)\n"
    )
    model = build(checked(f"model drawn\n{text}"), scale=0.3)
    u = torch.randn(4, 3, 2)
    together = model.p_x().bijection(u)
    with torch.no_grad():
        torch.testing.assert_close(model.p_x().bijection(u), together)


SUMS = {
    "u + 0.7 * mlp[8, norm = spectral, activation = tanh](u, y)": (
        "residual[mlp[8, activation = tanh], lipschitz = 0.7](y)"
    ),
    "0.5 * densenet[3, norm = spectral](u) + u": "residual[densenet[3], lipschitz = 0.5]",
    "u + integrate(t in 0..1: mlp[8](u, t, y), steps = 3)": "ode[mlp[8], steps = 3](y)",
    "integrate(t in 0..1: v(u, t), estimated = true) + u": "ode[v, estimated = true]",
}


@pytest.mark.parametrize("text", SUMS)
def test_a_sum_is_the_bijection_of_the_catalogue(text: str) -> None:
    """The same source is emitted for both."""
    net = "net v = mlp[8]\n" if "v" in text else ""
    left = "p(x | y)" if "y" in text else "p(x)"
    head = _MAF if "y" in text else _MAF.replace("observed y", "# ")
    flows = f"flow f(u) = {text}", f"flow f = {SUMS[text]}"
    sources = [pipeline.emit(checked(f"{head}{net}{f}\n{left} = Normal(0, 1) >> f\n")).text for f in flows]
    assert sources[0] == sources[1]


@pytest.mark.usefixtures("double")
def test_a_sum_along_a_direction_folds_for_no_weights() -> None:
    """The part of a along w is bent, so that all slopes are positive: `w @ a` becomes `m(w @ a)`, above -1."""
    model = build(checked(_PLANAR))
    for _ in range(50):
        with torch.no_grad():
            model.a.normal_(0, 5)
            model.w.normal_(0, 5)
            model.b.normal_()
        u, a, w, b = torch.randn(3), model.a, model.w, model.b
        along = torch.log1p((torch.e - 1) * torch.exp(w @ a)) - 1
        bent = a + (along - w @ a) * w / (w @ w)
        flow = model.p_x().bijection
        torch.testing.assert_close(flow(u), u + bent * torch.tanh(w @ u + b))
        jacobian = torch.autograd.functional.jacobian(flow, u)
        assert torch.linalg.det(jacobian) > 0
        torch.testing.assert_close(flow.forward_and_log_det(u)[1], jacobian.slogdet().logabsdet)


_PLANAR = """model planar
observed x : real[3] from "rows.npz".x
param a : real[3]
param w : real[3]
param b : real
flow f(u) = u + a * tanh(w @ u + b)
p(x) = Normal(0, 1) >> f
"""


@pytest.mark.parametrize("size", [0.1, 1.0, 10.0])
@pytest.mark.usefixtures("double")
def test_the_gradient_of_a_convex_potential_is_undone_whatever_its_matrix(size: float) -> None:
    text = _PLANAR.replace("real[3]\nparam w : real[3]\nparam b : real\n", "real[3, 2]\nparam b : real[2]\n")
    model = build(checked(text.replace("a * tanh(w @ u + b)", "a @ tanh(u @ a + b)")))
    with torch.no_grad():
        model.a.normal_(0, size)
        model.b.normal_(0, size)
    u, a, b = 3 * torch.randn(20, 3), model.a, model.b
    flow = model.p_x().bijection
    x, log_det = flow.forward_and_log_det(u)
    torch.testing.assert_close(x, u + torch.tanh(u @ a + b) @ a.T)
    back, log_det_back = flow.inverse_and_log_det(x)
    torch.testing.assert_close(back, u)
    torch.testing.assert_close(log_det_back, -log_det)
    for k in range(20):
        jacobian = torch.autograd.functional.jacobian(flow, u[k])
        torch.testing.assert_close(log_det[k], torch.linalg.det(jacobian).log())
