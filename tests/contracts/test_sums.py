"""Variables of few values are summed out exactly, and a row without a partial variable is a row of the model in which
it is latent: against sums written out by hand, exact likelihoods, and the two models that a partial one is made of."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dgmppl import pipeline
from dgmppl.runtime import Bernoulli, Categorical, GenerativeModel, errors_seen, every_missing_value, every_value
from tests.contracts.support import build, data_of, seed

# Everything is finite: the objective has no noise, and p(x) is a sum of 3 x 4 numbers.
PARTIAL = """\
model semi
observed x : binary[4] from "rows.npz".x
{role} y : categorical(3){source}
latent   b : binary[2]
p(y)        = Categorical(param)
p(b | y)    = Bernoulli(mlp[6](y))
p(x | y, b) = Bernoulli(mlp[6](y, b))
{q}
q(b | x, y) = Bernoulli(mlp[6](x, y))
"""
Q = "q(y | x)    = Categorical(mlp[6](x))"


def semi(role: str, end: str = "") -> GenerativeModel:
    """The model with y observed, partial or latent; all have the weights of the partial one, as far as they go."""
    source = "" if role == "latent" else ' from "rows.npz".y'
    text = PARTIAL.format(role=role, source=source, q="" if role == "observed" else Q) + end
    found = pipeline.read(text)
    assert found.ok, [str(d) for d in found.errors]
    model = build(found, number=5)
    if role != "partial":
        model.load_state_dict({k: v for k, v in semi("partial").state_dict().items() if k in model.state_dict()})
    else:
        with seed(6), torch.no_grad():
            for p in model.parameters():
                p.normal_(0, 0.7)
    return model


def joint(model: GenerativeModel, x: Tensor) -> Tensor:
    """log p(x, y, b) for every y and b, (n, 3, 4), from the distributions alone."""
    rows = []
    for y in range(3):
        for bits in itertools.product((0.0, 1.0), repeat=2):
            ys, b = torch.full((len(x),), float(y)), torch.tensor(bits).expand(len(x), 2)
            prior = model.p_y().log_prob(ys) + model.p_b(ys).log_prob(b)
            rows.append(prior + model.p_x(ys, b).log_prob(x))
    return torch.stack(rows, -1).reshape(len(x), 3, 4)


def posterior(model: GenerativeModel, x: Tensor) -> Tensor:
    """log q(y, b | x), (n, 3, 4)."""
    rows = []
    for y in range(3):
        for bits in itertools.product((0.0, 1.0), repeat=2):
            ys, b = torch.full((len(x),), float(y)), torch.tensor(bits).expand(len(x), 2)
            rows.append(model.q_y(x).log_prob(ys) + model.q_b(x, ys).log_prob(b))
    return torch.stack(rows, -1).reshape(len(x), 3, 4)


def every_x() -> Tensor:
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=4)))


def test_the_bound_is_the_sum_written_out() -> None:
    model, x = semi("latent"), every_x()
    log_q = posterior(model, x)
    expected = (log_q.exp() * (joint(model, x) - log_q)).sum((1, 2))
    assert torch.allclose(model.elbo(x), expected, atol=1e-5)


def test_the_bound_is_below_the_likelihood_by_the_divergence_from_the_posterior() -> None:
    """log p(x) - ELBO = KL(q(y, b | x) || p(y, b | x)), and p(x) sums to one."""
    model, x = semi("latent"), every_x()
    with torch.no_grad():
        log_joint, log_q = joint(model, x), posterior(model, x)
        evidence = log_joint.logsumexp((1, 2))
        gap = evidence - model.elbo(x)
        exact = log_joint - evidence[:, None, None]
        assert evidence.exp().sum() == pytest.approx(1, abs=1e-5)
        assert (gap > 1e-4).all()
        assert torch.allclose(gap, (log_q.exp() * (log_q - exact)).sum((1, 2)), atol=1e-5)


def test_the_bound_is_tight_where_q_is_the_posterior() -> None:
    """Of log p(x) in the rows that miss y, and of log p(x, y) in those that have it."""
    text = """\
model tight
observed x : binary[3] from "rows.npz".x
partial  y : categorical(3) from "rows.npz".y
p(y)     = Categorical(param)
p(x | y) = Bernoulli(mlp[6](y))
q(y | x) = Categorical(mlp[6](x))
"""
    model = build(pipeline.read(text), scale=0.5)
    x = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)))
    y = torch.arange(len(x)).remainder(3).float()
    values = torch.arange(3.0)
    log_joint = model.p_y().log_prob(values) + model.p_x(values).log_prob(x[:, None])
    model.q_y = lambda x: Categorical(logits=log_joint)  # type: ignore[method-assign]
    missing = torch.full_like(y, torch.nan)
    assert torch.allclose(model.elbo(x, missing), log_joint.logsumexp(-1), atol=1e-5)
    assert torch.allclose(model.elbo(x, y), log_joint.gather(1, y.long()[:, None])[:, 0], atol=1e-5)


@pytest.mark.parametrize("reads", ["y", "h"])
def test_a_class_that_rows_miss_is_summed_out_without_a_q(reads: str) -> None:
    """log p(x) in the rows that miss it, by enumeration, also beside a latent class and through a feature of it; and
    the error is that of its most probable value given the rest of a row."""
    text = f"""\
model exact
observed x : binary[4] from "rows.npz".x
partial  y : categorical(3) from "rows.npz".y
latent   b : binary[2]
let h : real[3] = mlp[4](y)
p(y)        = Categorical(param)
p(b | y)    = Bernoulli(mlp[6]({reads}))
p(x | y, b) = Bernoulli(mlp[6](y, b))
"""
    text = text if reads == "h" else text.replace("let h : real[3] = mlp[4](y)\n", "")
    found = pipeline.read(text)
    assert found.plan is not None and found.plan.criterion == "log_prob" and not found.plan.structure.q
    model, x = build(found, scale=0.7), every_x()
    if reads == "h":
        features = model.define_h
        p_b = model.p_b
        model.p_b = lambda y: p_b(features(y)) if y.dim() == 1 else p_b(y)  # type: ignore[method-assign]
    each = joint(model, x).logsumexp(-1)
    y = torch.arange(16).remainder(3).float()
    assert torch.allclose(model.log_prob(x, torch.full_like(y, torch.nan)), each.logsumexp(-1), atol=1e-5)
    assert torch.allclose(model.log_prob(x, y), each.gather(1, y.long()[:, None])[:, 0], atol=1e-5)
    mixed = y.where(y > 0, torch.nan)
    assert torch.equal(model.infer(x, mixed)["y"][y > 0], y[y > 0])
    model.loss(x, mixed).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_the_error_of_what_is_summed_out_is_that_of_its_posterior() -> None:
    text = """\
model exact
observed x : binary[4] from "rows.npz".x
partial  y : categorical(3) from "rows.npz".y
p(y)     = Categorical(param)
p(x | y) = Bernoulli(mlp[6](y))
train { best = error }
"""
    model, x = build(pipeline.read(text), scale=0.7), every_x()
    values, y = torch.arange(3.0), torch.arange(16).remainder(4).float().where(torch.arange(16) % 4 < 3, torch.nan)
    best = (model.p_y().log_prob(values) + model.p_x(values).log_prob(x[:, None])).argmax(-1)
    seen = ~y.isnan()
    assert torch.equal(model.figures(x, y)["error"], (best != y)[seen].float())


@pytest.mark.parametrize(
    "end", ["", "train { objective = elbo(classify = 2) }\n", "q(y | x) = Categorical(linear(x))\n"]
)
def test_a_q_that_is_asked_for_or_given_is_summed_under(end: str) -> None:
    """`classify` fits a q, and a q that is given stays; `explain` says of the latter that none is needed."""
    text = """\
model semi
observed x : binary[4] from "rows.npz".x
partial  y : categorical(3) from "rows.npz".y
p(y)     = Categorical(param)
p(x | y) = Bernoulli(mlp[6](y))
"""
    plan = pipeline.read(text + end).plan
    assert plan is not None and plan.criterion == ("elbo" if end else "log_prob")
    told = any("without which it would be summed out exactly" in r.text for r in plan.objective.reasons)
    assert told == end.startswith("q")


ROWS = {"some": [0, 3, 7, 8, 15], "none": [], "all": list(range(16))}


@pytest.mark.parametrize("rows", ROWS)
def test_a_row_is_one_of_the_observed_model_or_of_the_latent_one(rows) -> None:
    """One objective: the mean over all rows, whichever have y; losses and gradients, without a NaN."""
    x, seen = every_x(), torch.zeros(16, dtype=torch.bool)
    seen[ROWS[rows]] = True
    y = torch.where(seen, torch.arange(16).remainder(3).float(), torch.nan)
    partial, observed, latent = semi("partial"), semi("observed"), semi("latent")
    partial.loss(x, y).backward()
    parts = torch.zeros(())
    if seen.any():
        parts = parts - observed.elbo(x[seen], y[seen]).sum() / 16
    if not seen.all():
        parts = parts - latent.elbo(x[~seen]).sum() / 16
    parts.backward()
    assert partial.loss(x, y).item() == pytest.approx(parts.item(), rel=1e-5)
    others = dict(observed.named_parameters())
    for (name, p), theirs in zip(partial.named_parameters(), latent.parameters(), strict=True):
        shared = others.get(name)
        expected = sum((q.grad for q in (theirs, shared) if q is not None and q.grad is not None), torch.zeros(p.shape))
        assert p.grad is not None and torch.allclose(p.grad, expected, atol=1e-5), name


def test_gradients_are_those_of_differences() -> None:
    """Double precision, a mixed batch: autograd through the sum against finite differences."""
    model, x = semi("partial").double(), every_x().double()
    y = torch.where(torch.arange(16) < 5, torch.arange(16).remainder(3).double(), torch.nan)
    torch.set_default_dtype(torch.float64)
    try:
        names, values = zip(*[(n, p.detach().requires_grad_()) for n, p in model.named_parameters()], strict=True)

        def loss(*parameters: Tensor) -> Tensor:
            given = dict(zip(names, parameters, strict=True))
            return -torch.func.functional_call(_Terms(model), {f"model.{k}": v for k, v in given.items()}, (x, y))

        assert torch.autograd.gradcheck(loss, values, fast_mode=True)
    finally:
        torch.set_default_dtype(torch.float32)


class _Terms(torch.nn.Module):
    def __init__(self, model: GenerativeModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, *data: Tensor) -> Tensor:
        return sum(self.model.terms(*data).values()).mean()  # type: ignore[union-attr, return-value]


def test_classify_adds_a_loss_and_no_bound() -> None:
    """Kingma et al. (2014), Eq. 9: alpha log q(y | x) of the rows that have y, beside the bound."""
    x, y = every_x(), torch.where(torch.arange(16) < 5, torch.arange(16).remainder(3).float(), torch.nan)
    plain, fitted = semi("partial"), semi("partial", "train { objective = elbo(classify = 4) }\n")
    with torch.no_grad():
        log_q = plain.q_y(x[:5]).log_prob(y[:5])
        assert fitted.loss(x, y).item() == pytest.approx((plain.loss(x, y) - 4 * log_q.sum() / 16).item(), rel=1e-5)
        assert torch.allclose(fitted.elbo(x, y), plain.elbo(x, y))
    fitted.loss(x[:5], y[:5]).backward()
    plain.loss(x[:5], y[:5]).backward()
    gradients = [p.grad for n, p in fitted.named_parameters() if n.startswith("q_y")]
    assert all(g is not None and g.abs().sum() > 0 for g in gradients)
    assert all(p.grad is not None and not p.grad.any() for n, p in plain.named_parameters() if n.startswith("q_y"))


def test_the_error_is_of_the_rows_that_have_the_value() -> None:
    model, x = semi("partial"), every_x()
    best = model.q_y(x).logits.argmax(-1).float()
    y = torch.where(torch.arange(16) < 8, best, torch.nan)
    y[:3] = (best[:3] + 1) % 3
    assert model.figures(x, y)["error"].tolist() == [1.0] * 3 + [0.0] * 5
    assert len(model.figures(x, torch.full_like(y, torch.nan))["error"]) == 0


def test_a_cluster_after_a_draw_is_the_mixture_prior() -> None:
    """drawn_then_summed with the true p(y | z) as q: each draw of the bound is under sum_y p(y) p(z | y)."""
    text = """\
model clusters
observed x : real[3] from "rows.npz".x
latent   y : categorical(4)
latent   z : real[2]
p(y)     = Categorical(param)
p(z | y) = Normal(mlp[8](y))
p(x | z) = Normal(mlp[8](z))
q(z | x) = Normal(mlp[8](x))
q(y | z) = Categorical(mlp[8](z))
"""
    found = pipeline.read(text)
    model, (x,) = build(found, scale=0.5), data_of(found, 6)
    values = torch.arange(4.0)

    def clusters(z: Tensor) -> Tensor:
        return model.p_y().log_prob(values) + model.p_z(values).log_prob(z[:, None])

    model.q_y = lambda z: Categorical(logits=clusters(z))  # type: ignore[method-assign]
    with seed(2), torch.no_grad():
        bound = model.elbo(x)
    with seed(2), torch.no_grad():
        q = model.q_z(x)
        z = q.rsample()
        expected = model.p_x(z).log_prob(x) + clusters(z).logsumexp(-1) - q.log_prob(z)
    assert torch.allclose(bound, expected, atol=1e-4)


def test_a_bound_with_a_draw_is_below_the_likelihood() -> None:
    """y summed and z drawn, against a quadrature over z: in rows with y below log p(x, y), else below log p(x)."""
    text = """\
model m2
observed x : binary[3] from "rows.npz".x
partial  y : categorical(3) from "rows.npz".y
latent   z : real[1]
p(y)        = Categorical(param)
p(z)        = Normal(0, 1)
p(x | y, z) = Bernoulli(mlp[6](y, z))
q(y | x)    = Categorical(mlp[6](x))
q(z | x, y) = Normal(mlp[6](x, y))
"""
    found = pipeline.read(text)
    model = build(found, scale=0.5)
    x = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)))
    y = torch.arange(8).remainder(3).float()
    z = torch.linspace(-8, 8, 2001)[:, None]
    with torch.no_grad():
        log_joint = torch.stack(
            [
                torch.stack(
                    [
                        torch.trapezoid(
                            (
                                model.p_x(torch.full((len(z),), k), z).log_prob(row)
                                + model.p_z().log_prob(z)
                                + model.p_y().log_prob(torch.tensor(k))
                            ).exp(),
                            z[:, 0],
                        )
                        for k in (0.0, 1.0, 2.0)
                    ]
                )
                for row in x
            ]
        ).log()
        draws = 4000
        for known, exact in (
            (torch.full_like(y, torch.nan), log_joint.logsumexp(-1)),
            (y, log_joint.gather(1, y.long()[:, None])[:, 0]),
        ):
            bounds = model.elbo(x.repeat(draws, 1), known.repeat(draws)).reshape(draws, 8)
            error = bounds.std(0) / draws**0.5
            assert (bounds.mean(0) < exact + 4 * error).all()
            assert (bounds.mean(0) > exact - 5).all()
        assert log_joint.exp().sum() == pytest.approx(1, abs=1e-4)


IMPUTED = """\
model imputed
observed x : real[2] from "rows.npz".x
{role} w : positive[2]{source}
p(w)     = Gamma(2, param)
p(x | w) = Normal(mlp[6](w))
{q}
train {{ units = false }}
"""


def test_a_missing_number_is_drawn_and_a_seen_one_taken() -> None:
    """The same noise in each row: the terms of a row are those of the latent model, or of the observed one."""

    def model(role: str) -> GenerativeModel:
        source = "" if role == "latent" else ' from "rows.npz".w'
        q = "" if role == "observed" else "q(w | x) = LogNormal(mlp[6](x))"
        return build(pipeline.read(IMPUTED.format(role=role, source=source, q=q)), number=3, scale=0.0)

    partial, observed, latent = model("partial"), model("observed"), model("latent")
    latent.load_state_dict(partial.state_dict())
    observed.load_state_dict({k: v for k, v in partial.state_dict().items() if k in observed.state_dict()})
    x, seen = torch.randn(9, 2), torch.arange(9) % 2 == 0
    w = torch.where(seen[:, None], torch.rand(9, 2) + 0.1, torch.nan)
    with seed(4):
        bound = partial.elbo(x, w)
    with seed(4):
        expected = latent.elbo(x).clone()
    expected = torch.where(seen, observed.log_prob(x, w.nan_to_num(1.0)), expected)
    assert torch.allclose(bound, expected, atol=1e-5)
    bound.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in partial.parameters())


def test_a_leaf_counts_where_it_is_seen() -> None:
    text = """\
model leaf
observed x : real[2] from "rows.npz".x
partial  y : {kind} from "rows.npz".y
p(x)     = Normal(param, param)
p(y | x) = {density}
"""
    for kind, density in (("positive", "Gamma(mlp[4](x))"), ("simplex[3]", "Dirichlet(mlp[4](x))")):
        found = pipeline.read(text.format(kind=kind, density=density))
        model, (x, y) = build(found), data_of(found, 9)
        seen = ~y.isnan().reshape(9, -1).any(-1)
        expected = model.p_x().log_prob(x)
        expected = expected + torch.where(seen, model.p_y(x).log_prob(y.nan_to_num(1 / 3)), 0.0)
        assert torch.allclose(model.log_prob(x, y), expected)
        model.loss(x, y).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_an_energy_sums_a_class_out_of_the_rows_that_miss_it() -> None:
    """log p(x, y) or log p(x), normalised over all 32 x 3 configurations."""
    text = """\
model energy
observed x : binary[5] from "rows.npz".x
partial  y : categorical(3) from "rows.npz".y
param    W : real[5, 3]
param    b : real[5]
E(x, y) = -sum(i: W[i, y] * x[i]) - b @ x
"""
    model = build(pipeline.read(text), scale=0.8)
    x = torch.tensor(list(itertools.product((0.0, 1.0), repeat=5)))
    y = torch.where(torch.arange(32) % 3 == 0, torch.arange(32).remainder(3).float(), torch.nan)
    table = torch.stack([-model.energy(x, torch.full((32,), float(k))) for k in range(3)], 1)
    table = table - table.logsumexp((0, 1))
    expected = torch.where(y.isnan(), table.logsumexp(1), table.gather(1, y.nan_to_num().long()[:, None])[:, 0])
    assert torch.allclose(model.log_prob(x, y), expected, atol=1e-5)
    model.loss(x, y).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_vectors_take_all_their_joint_values() -> None:
    q = Bernoulli(logits=torch.randn(5, 3)).to_event(1)
    values, cases = every_value(q, 0, 2, torch.empty(0))
    assert values.shape == (40, 3)
    assert len({tuple(v) for v in values[:8].tolist()}) == 8
    assert torch.allclose(cases.weight.sum(1), torch.ones(5))
    assert torch.allclose(cases.entropy(), q.entropy(), atol=1e-5)
    assert torch.allclose(cases.mean(values[:, 1]), q.mean[:, 1], atol=1e-6)
    seen = torch.tensor([[0, 1, 1], [1, 1, 1], [0, 0, 0], [1, 0, 1], [0, 0, 1]]).float()
    seen[2] = torch.nan
    values, cases = every_missing_value(q, 0, 2, seen)
    means = torch.stack([cases.mean(values[:, k]) for k in range(3)], 1)
    assert torch.allclose(means, torch.where(seen.isnan(), q.mean, seen), atol=1e-6)
    best = (q.base_dist.logits > 0).float()
    wrong = (best != seen).any(1)[~seen.isnan().any(1)].float()
    assert torch.equal(errors_seen(q, 0, 2, seen), wrong)


def test_the_entropy_of_a_certain_q_is_zero() -> None:
    q = Categorical(logits=torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True))
    _, cases = every_value(q, 0, 3, torch.empty(0))
    assert cases.entropy().item() == pytest.approx(0)
    assert F.softmax(q.logits, -1)[0, 0] == 1
