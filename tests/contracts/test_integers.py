"""Flows and likelihoods of whole numbers: on ranges, rounded, scaled, and moved by a value."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from dgmppl import pipeline
from dgmppl.runtime.bijections import Bijection
from tests.contracts.support import LIBRARY, build, checked, data_of, seed

_RANGE = 'observed x : integer(2..5)[2] from "rows.npz".x\n'
FLOW = "2 * (coupling[shift = mlp[8]] >> reverse)"

# Laws of integer(2..5)[2] and of integer(0..1)[2], each with weights.
_LAWS = {
    "logistic": "p(x) = DiscretizedLogistic(param)",
    "mixture": "p(x) = mixture[3](DiscretizedLogistic(param))",
    "flow of a categorical": f"p(x) = Categorical(param) >> {FLOW}",
    "flow of a logistic": f"p(x) = DiscretizedLogistic(param) >> {FLOW}",
    "named flow": f"latent u : integer(2..5)[2]\nflow f = {FLOW}\np(u) = Categorical(param)\nx = f(u)",
    "one after another": "p(x[d] | x[<d]) = DiscretizedLogistic(causal[8](x[<d]))",
}
LAWS = {name: (_RANGE + law, range(2, 6)) for name, law in _LAWS.items()}
LAWS |= {f"{n} of two": (text.replace("2..5", "0..1"), range(2)) for n, (text, _) in LAWS.items()}
law = pytest.mark.parametrize("name", LAWS)


@law
def test_probabilities_of_all_values_sum_to_one_and_draws_have_them(name: str) -> None:
    text, numbers = LAWS[name]
    model = build(checked(f"model law\n{text}\n"), scale=0.7)
    values = torch.tensor(list(itertools.product(numbers, repeat=2))).float()
    with torch.no_grad():
        p = model.log_prob(values).exp().double()
    assert math.isclose(p.sum(), 1, abs_tol=1e-5)
    with seed(4):
        drawn = model.sample(4000)
    counts = [int((drawn == v).all(-1).sum()) for v in values]
    assert sum(counts) == 4000
    kept = p > 1e-3
    rest = max(float(p[~kept].sum()), 1e-12) * 4000
    seen = [c for c, k in zip(counts, kept, strict=True) if k]
    if rest > 1:
        seen.append(4000 - sum(seen))
    expected = [float(v) * 4000 for v in p[kept]] + ([rest] if rest > 1 else [])
    scaled = [e * sum(seen) / sum(expected) for e in expected]
    assert stats.chisquare(seen, scaled).pvalue > 1e-4


@law
def test_every_weight_learns(name: str) -> None:
    found = checked(f"model law\n{LAWS[name][0]}\n")
    model = build(found, scale=0.7)
    model.loss(*data_of(found, 29)).backward()  # an odd number: of as many pairs of each kind a flip would cancel
    for key, p in model.named_parameters():
        assert p.grad is not None and p.grad.any(), key


@pytest.mark.parametrize(
    "base",
    ["Categorical(param)", "DiscretizedLogistic(param)", "mixture[2](Categorical(param))", "Laplace(param) >> round"],
)
def test_a_shift_of_two_numbers_learns_what_one_says_of_the_other(base: str) -> None:
    """Of bits that are nearly always equal: with elements on their own it would come to no less than 2 log 2."""
    text = f"{_RANGE}{_LAWS['named flow']}".replace("2..5", "0..1").replace("Categorical(param)", base)
    model = build(checked(f"model law\n{text}\n"), scale=0.01)
    with seed(3):
        first = torch.randint(2, (500, 1)).float()
        x = torch.cat([first, (first - (torch.rand(500, 1) < 0.05).float()).abs()], 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        model.loss(x).backward()
        optimizer.step()
    assert model.loss(x).item() < 1.1


BIJECTIONS = {
    "two parts": ("integer(-3..252)[4]", "2 * (coupling[shift = mlp[8]] >> reverse)"),
    "four parts": ("integer(0..255)[4]", "coupling[shift = mlp[8], parts = 4, rezero = true] >> permute"),
    "two numbers": ("integer(0..1)[4]", "4 * (coupling[shift = mlp[8]] >> reverse)"),
    "all integers": ("integer[4]", "2 * (coupling[shift = mlp[8], mask = alternate] >> reverse)"),
}


@pytest.mark.parametrize("name", BIJECTIONS)
def test_a_million_points_return_bit_for_bit(name: str) -> None:
    kind, flow = BIJECTIONS[name]
    base = "DiscretizedLogistic(param, param)"
    text = f'observed x : {kind} from "rows.npz".x\nlatent u : {kind}\nflow f = {flow}\np(u) = {base}\nx = f(u)\n'
    f = build(checked(f"model law\n{text}"), scale=1.0).f
    ends = {"integer(-3..252)[4]": (-3, 253), "integer(0..255)[4]": (0, 256), "integer(0..1)[4]": (0, 2)}
    low, high = ends.get(kind, (-5000, 5000))
    verify_whole_numbers(f, torch.randint(low, high, (1_000_000, 4)).float(), "(" in kind, 0.5 if high == 2 else 0.9)


def verify_whole_numbers(f: Bijection, u: Tensor, on_a_range: bool, share: float = 0.9) -> None:
    """Both ways round, with a shift of more than this share of the points, that ends in whole numbers, those
    of u where there is a range."""
    with torch.no_grad():
        x, log_det = f.forward_and_log_det(u)
        assert torch.equal(f.inverse(x), u)
        assert torch.equal(f(f.inverse(u)), u)
    assert torch.equal(x, x.round()) and not log_det.any()
    assert (x != u).any(-1).float().mean() > share
    if on_a_range:
        assert (x.amin(), x.amax()) == (u.amin(), u.amax())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["integer_flow", "integer_flow_quad"])
def test_a_million_images_return_bit_for_bit(name: str) -> None:
    """Those of the library, as its flows map them, in batches."""
    f = build(checked(next(path for path in LIBRARY if path.stem == name)), scale=0.5).f
    for _ in range(100):
        verify_whole_numbers(f, torch.randint(17, (10_000, 64)).float(), on_a_range=True)


def test_the_ends_of_a_range_have_what_lies_beyond() -> None:
    """Against scipy: the logistic mass of each bin, those of the ends open."""
    model = build(checked(f"model law\n{_RANGE}p(x) = DiscretizedLogistic(3.2, 1.5)\n"))
    cdf = stats.logistic(3.2, 1.5).cdf
    edges = [0.0, cdf(2.5), cdf(3.5), cdf(4.5), 1.0]
    for value in range(2, 6):
        found = model.log_prob(torch.tensor([[float(value), 2.0]])).item()
        assert found == pytest.approx(math.log(edges[value - 1] - edges[value - 2]) + math.log(edges[1]), abs=1e-5)
    mean = sum(v * (edges[v - 1] - edges[v - 2]) for v in range(2, 6))
    assert model.p_x().base_dist.mean[0].item() == pytest.approx(mean, abs=1e-5)


def test_a_network_counts_in_units_of_the_range() -> None:
    """From -1 at its lowest value to 1 at its highest, as bounded values enter networks."""
    model = build(checked(f"model law\n{_RANGE}p(x) = DiscretizedLogistic(param)\n"))
    with torch.no_grad():
        model.p_x_loc.copy_(torch.tensor([-1.0, 1.0]))
        model.p_x_scale.copy_(torch.tensor([0.0, 2.0]))
    base = model.p_x().base_dist
    assert base.loc.tolist() == [2, 5]
    expected = 1.5 * (torch.nn.functional.softplus(torch.tensor([0.0, 2.0])) + 1e-6)
    torch.testing.assert_close(base.scale, expected)
    fixed = build(checked(f"model law\n{_RANGE}p(x) = DiscretizedLogistic(2 * param, exp(param))\n"))
    base = fixed.p_x().base_dist
    torch.testing.assert_close(base.loc, 2 * fixed.p_x_loc)  # what is computed is used as it is


def test_a_flow_on_a_range_learns_a_dependence() -> None:
    """x2 follows x1 modulo the range: independent elements cost log 4 more than a shift that knows it."""
    model = build(checked(f"model law\n{LAWS['flow of a categorical'][0]}\n"))
    with seed(1):
        first = torch.randint(4, (256,))
        x = torch.stack([first + 2, (first + 1) % 4 + 2], -1).float()
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-2)
        for _ in range(150):
            optimizer.zero_grad()
            model.loss(x).backward()
            optimizer.step()
    assert model.loss(x).item() < 2 * math.log(4) - 0.5


@pytest.mark.parametrize(
    ("formula", "scale", "shift"),
    [
        ("256 * f(u)", 256.0, 0.0),
        ("f(u) / 4 + 1", 0.25, 1.0),
        ("1 - 2 * (f(u) - 3)", -2.0, 7.0),
        ("-f(u)", -1.0, 0.0),
        ("3 * u - 1", 3.0, -1.0),
    ],
)
def test_numbers_around_a_flow_are_a_bijection(formula: str, scale: float, shift: float) -> None:
    text = (
        'model scaled\nobserved x : real[2] from "rows.npz".x\nlatent u : real[2]\n'
        f"flow f = affine\np(u) = Normal(0, 1){'' if 'f(u)' in formula else ' >> affine'}\nx = {formula}\n"
    )
    found = checked(text)
    model = build(found, scale=0.4)
    (x,) = data_of(found, 5)
    affine = (model.f if "f(u)" in formula else model.p_u_flow).parts[0]
    loc, std = affine.loc.detach().numpy(), affine.log_scale.exp().detach().numpy()
    expected = stats.norm.logpdf(x.numpy(), scale * loc + shift, abs(scale) * std).sum(-1)
    torch.testing.assert_close(model.log_prob(x), torch.tensor(expected).float(), atol=1e-4, rtol=1e-5)
    assert model.sample(3).shape == (3, 2)


def test_a_scaled_flow_of_pixels_is_dequantised() -> None:
    """`floor(256 * f(u))` on 0..255 bounds the mass of the bins, which quadrature gives."""
    text = (
        'model pixels\nobserved x : integer(0..255)[2] from "rows.npz".x\nlatent u : real[2]\n'
        "flow f = affine >> sigmoid\np(u) = Normal(0, 1)\nx = floor(256 * f(u))\n"
    )
    found = checked(text)
    model = build(found, scale=0.2)
    x = torch.tensor([[100.0, 130.0], [60.0, 200.0], [255.0, 128.0]])
    affine = model.f.parts[0]
    loc, std = affine.loc.detach().double().numpy(), affine.log_scale.exp().detach().double().numpy()
    low, high = (torch.logit((x.double() + k) / 256).numpy() for k in (0, 1))
    mass = stats.norm(loc, std).cdf(high) - stats.norm(loc, std).cdf(low)
    with seed(0), torch.no_grad():
        bounds = torch.stack([model.elbo(x) for _ in range(400)])
    exact = torch.log(torch.tensor(mass)).sum(-1).float()
    assert (bounds.mean(0) < exact + 1e-2).all()
    torch.testing.assert_close(bounds.exp().mean(0)[:2], exact.exp()[:2], rtol=0.05, atol=0)
    drawn = model.sample(200)
    assert ((drawn >= 0) & (drawn <= 255)).all()


def test_a_value_moves_a_density() -> None:
    """`q(v | x) = x + (Normal >> sigmoid)`: draws lie in [x, x + 1), with the density of a logit-normal there."""
    text = (
        'model moved\nobserved x : integer(0..9)[3] from "rows.npz".x\nobserved v : real[3] from "rows.npz".v\n'
        "p(x) = Categorical(param)\np(v | x) = x + (Normal(mlp[8](x)) >> sigmoid)\n"
    )
    found = checked(text)
    model = build(found, scale=0.3)
    x, _ = data_of(found, 6)
    q = model.p_v(x)
    with seed(3):
        v = q.rsample()
    assert torch.equal(v.floor(), x)
    base = q.base.base.base_dist
    rest = (v - x).double()
    expected = stats.norm.logpdf(torch.logit(rest).detach().numpy(), base.loc.detach(), base.scale.detach()).sum(-1)
    expected = torch.tensor(expected) - (rest.log() + torch.log1p(-rest)).sum(-1)
    torch.testing.assert_close(model.p_v(x).log_prob(v).double(), expected, atol=2e-3, rtol=1e-3)
    model.loss(x, v.detach()).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("density", ["y + Normal(mlp[8](y))", "Normal(mlp[8](y)) + y", "2 + Normal(mlp[8](y))"])
def test_a_sum_with_a_normal_is_a_normal(density: str) -> None:
    text = 'observed x : real[2] from "rows.npz".x\nobserved y : unit[2] from "rows.npz".y\n'
    found = checked(f"model moved\n{text}p(x | y) = {density}\n")
    model = build(found, scale=0.3)
    x, y = data_of(found, 4)
    base = model.p_x(y).base.base_dist
    by = 2.0 if density.startswith("2") else y
    expected = stats.norm.logpdf(x.numpy(), (base.loc + by).detach().numpy(), base.scale.detach().numpy()).sum(-1)
    torch.testing.assert_close(model.log_prob(x, y), torch.tensor(expected).float(), atol=1e-4, rtol=1e-4)


REFUSED = {
    "a sum that leaves the support": (
        'observed x : unit[2] from "rows.npz".x\nobserved y : unit[2] from "rows.npz".y\n'
        "p(x | y) = y + (Normal(0, 1) >> sigmoid)\n",
        "E213",
    ),
    "one number for a vector": (
        'observed x : real[2] from "rows.npz".x\nlatent u : real\nflow f = affine\np(u) = Normal(0, 1)\nx = f(u)\n',
        "E213",
    ),
    "one latent for a vector": (
        'observed x : integer[2] from "rows.npz".x\nlatent u : real\np(u) = Normal(0, 1)\nx = floor(u)\n',
        "E204",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_none_is_refused(name: str) -> None:
    text, code = REFUSED[name]
    assert [d.code for d in pipeline.read(f"model refused\n{text}").errors] == [code]
