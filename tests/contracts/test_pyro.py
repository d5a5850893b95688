"""The Pyro model of a spec is the same model: one loss, and usable by Pyro's own inference."""

from __future__ import annotations

import pyro
import pytest
import torch
from pyro.infer import (
    MCMC,
    NUTS,
    SVI,
    Predictive,
    RenyiELBO,
    Trace_ELBO,
)
from pyro.optim import Adam

from dgmppl import pipeline, runtime
from dgmppl.emit.pyro_target import mean_field
from dgmppl.graph.values import Block, Parametric, Pushforward, walk
from dgmppl.pipeline import Checked
from dgmppl.plan.nodes import Step
from dgmppl.plan.rules.invert import Invert, invert
from dgmppl.runtime import GenerativeModel
from tests.contracts.support import (
    COMPOSITIONS,
    LIBRARY,
    build,
    checked,
    conditions_of,
    data_of,
    estimator,
    graph_of,
    name_of,
    pair,
    samples_of,
    seed,
    verify_support,
)

# What Pyro cannot express; of anything else it must.
APART = ("Sum", "Impute", "DrawInTurn", "Enumerate")
# What its model has as a factor of each row, if all that follows is of the kind.
EXACT = ("Marginalise", "SumAlong", "SumOut")


def in_a_factor(found: Checked) -> list[Step]:
    """The steps that take latents out by a factor."""
    steps = found.plan.steps
    first = next((k for k, s in enumerate(steps) if type(s).__name__ in EXACT or _joint(found, s)), len(steps))
    return list(steps[first:])


def _joint(found: Checked, step: Step) -> bool:
    return type(step).__name__ == "IntegrateAlong" and bool(
        step.gives[1:] or step.partial or graph_of(found)[step.variable].length
    )


def summed_in_pyro(found: Checked) -> bool:
    """Whether nothing else follows, and nothing that was drawn is weighed anew."""
    steps = in_a_factor(found)
    kinds = (*EXACT, "Integrate", "IntegrateAlong", "Compute", "Invert")
    if not steps:
        return True
    weighed = any(type(t).__name__ == "LogSum" and " / " in t.label for t in found.plan.terms)
    inverted = any(isinstance(s, Invert) and (s.noisy or s not in steps) for s in found.plan.steps)
    partial = any(getattr(s, "partial", False) for s in steps)
    return all(type(s).__name__ in kinds for s in steps) and not (weighed or inverted or partial)


def expressible(path) -> bool:
    found = checked(path)
    plan, graph = found.plan, found.graph
    if plan is None or graph is None or plan.samplers or plan.played or plan.evaluated:
        return False
    steps = plan.steps
    pushed = (t for f in graph.factors for t in walk(f.density) if isinstance(t, Pushforward))
    inverted = [graph.definition(s.image).value for s in steps if isinstance(s, Invert)]
    flows = [*inverted, *(t.bijection for t in pushed)]
    whole = any(isinstance(t, Block) and t.integer for flow in flows for t in walk(flow))
    laws = (t for f in graph.factors for t in walk(f.density) if isinstance(t, Parametric))
    if any(getattr(t, "simple", False) for t in plan.terms):
        return False
    return not (
        any(type(s).__name__ in APART for s in steps)
        or not summed_in_pyro(found)
        or (any(isinstance(s, Invert) and s.others for s in steps) and not in_a_factor(found))
        or (whole and any(law.kind == "Categorical" for law in laws))
    )


@pytest.fixture(autouse=True)
def _fresh_parameters():
    pyro.clear_param_store()
    yield
    pyro.clear_param_store()


EXPRESSIBLE = [p for p in (*LIBRARY, *COMPOSITIONS) if expressible(p)]


def mixed(found: Checked) -> bool:
    """Whether some divergences are closed, and Pyro's estimator that closes them would close others wrongly."""
    closed = any(t.estimator == "closed form" for t in found.plan.terms)
    return closed and not mean_field(graph_of(found), found.plan)


SINGLE = [p for p in EXPRESSIBLE if checked(p).plan.fitted.samples == 1]
MIXED = [p for p in SINGLE if mixed(checked(p))]
same_noise = pytest.mark.parametrize("path", [p for p in SINGLE if p not in MIXED], ids=name_of)
each = pytest.mark.parametrize("path", SINGLE, ids=name_of)


def quiet_pair(found: Checked) -> tuple[GenerativeModel, GenerativeModel]:
    """Both models; without dropout where data is inverted: Pyro's site and what reads the latent each invert it, and
    would leave out other units."""
    both = pair(found, scale=0.05)
    assert found.plan is not None
    if any(isinstance(s, Invert) for s in found.plan.steps):
        for module in (m for model in both for m in model.modules() if isinstance(m, torch.nn.Dropout)):
            module.eval()
    return both


@same_noise
def test_the_loss_is_pyros(path) -> None:
    """Same weights and noise: minus the mean of the terms is Pyro's loss an example."""
    found = checked(path)
    ours, theirs = quiet_pair(found)
    data = data_of(found, 16)
    for number in range(3):
        with seed(number), torch.no_grad():
            loss = float(ours.loss(*data))
        with seed(number), torch.no_grad():
            expected = float(estimator(found).differentiable_loss(theirs.model, theirs.guide, *data)) / 16
        assert loss == pytest.approx(expected, rel=1e-4)


@same_noise
def test_the_gradient_is_pyros(path, monkeypatch) -> None:
    """With the gradient of `log q` that Pyro takes as well where it has mean 0: that in the parameters of q."""
    monkeypatch.setattr(runtime, "log_prob_of_draw", lambda q, draw: q.log_prob(draw))
    found = checked(path)
    ours, theirs = quiet_pair(found)
    data = data_of(found, 16)
    with seed(1):
        ours.loss(*data).backward()
    with seed(1):
        (estimator(found).differentiable_loss(theirs.model, theirs.guide, *data) / 16).backward()
    gradients = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        assert torch.allclose(p.grad, gradients[name].grad, rtol=1e-3, atol=1e-4), name


@pytest.mark.parametrize("path", MIXED, ids=name_of)
def test_the_loss_is_pyros_in_the_mean(path) -> None:
    """One divergence is closed and another is not: Pyro draws both, so only the means agree."""
    found = checked(path)
    ours, theirs = pair(found, scale=0.05)
    data, draws = data_of(found, 16), 200
    with torch.no_grad(), seed(5):
        a = torch.stack([ours.loss(*data) for _ in range(draws)])
        b = torch.tensor([float(Trace_ELBO().loss(theirs.model, theirs.guide, *data)) / 16 for _ in range(draws)])
    error = (a.var() / draws + b.var() / draws).sqrt()
    assert (a.mean() - b.mean()).abs() < 4 * error


def test_the_importance_weighted_bound_is_renyis() -> None:
    """iwae(5) draws all samples at once and Pyro one after the other, so only their means agree."""
    found = checked(next(p for p in COMPOSITIONS if p.stem == "importance"))
    assert "RenyiELBO(alpha=0, num_particles=5)" in pipeline.emit(found, "pyro").text
    ours, theirs = pair(found, scale=0.3)
    data = data_of(found, 4)
    renyi = RenyiELBO(alpha=0, num_particles=5)
    with torch.no_grad():
        a = torch.stack([ours.loss(*data) for _ in range(400)])
        b = torch.tensor([renyi.loss(theirs.model, theirs.guide, *data) / 4 for _ in range(400)])
    error = (a.var() / 400 + b.var() / 400).sqrt()
    assert (a.mean() - b.mean()).abs() < 4 * error


def latents(found) -> set[str]:
    """Those that are drawn from a q, or from their exact posterior."""
    return {
        name
        for s in found.plan.steps
        if s not in in_a_factor(found)
        and type(s).__name__ in ("Draw", "Integrate", "IntegrateAlong", "Compose", "GoBack")
        for name in s.gives
    }


def how_many(found, name: str, rows: int) -> int:
    """How many values a latent has: one a row, one for all rows, or one a group."""
    variable = graph_of(found)[name]
    if variable.group is not None:
        return graph_of(found)[variable.group].type.support.size
    return rows if variable.rows else 1


def rounded(found) -> set[str]:
    definitions = [(d, invert(d.value)) for d in graph_of(found).definitions]
    return {d.variable for d, inverse in definitions if inverse is not None and inverse.rounded}


@each
def test_without_data_the_model_samples(path) -> None:
    """`model(n=...)` and Predictive give rows of the declared types, and latents beside them."""
    found = checked(path)
    graph = graph_of(found)
    model = build(found, "pyro", scale=0.05)
    n = 6
    given = conditions_of(found, data_of(found, n))
    arguments = [given.get(v.ident) for v in graph.data]
    drawn = Predictive(model.model, num_samples=1)(*arguments, n=n)
    for v in graph.data:
        if v.ident not in given:
            # Pyro draws categories as whole numbers of their own type; a rounded flow reaches beyond the bounds, and
            # only sample() of the torch model clamps.
            values = drawn[v.name].reshape(n, *v.type.shape).float()
            leaks = "W403" in found.source.text  # which the spec accepts
            if leaks or (v.name in rounded(found) and v.type.support.finite):
                values = values.clamp(v.type.support.low, v.type.support.high)
            verify_support(v.type, values, n)
    for v in graph.latents:
        if v.name in latents(found):
            count = how_many(found, v.name, n)
            verify_support(v.type, drawn[v.name].reshape(count, *v.type.shape).float(), count)


LATENT = [p for p in SINGLE if latents(checked(p))]


COUNTS = """
model counts
const T = 4
observed x[t in 1..T] : natural from "rows.npz".x
observed c : categorical(3) from "rows.npz".c
latent z[t in 1..T] : real
p(z[1]) = Normal(0, 1)
p(z[t] | z[t-1]) = Normal(0.9 * z[t-1], 0.3)
p(x[t] | z[t], c) = Poisson(exp(z[t] + linear(c)))
"""


def test_whole_numbers_are_data_as_they_are() -> None:
    found = checked(COUNTS)
    _, theirs = pair(found)
    rows = data_of(found, 8)
    with torch.no_grad():
        losses = []
        for data in (rows, [r.long() for r in rows]):
            with seed(1):
                losses.append(estimator(found).loss(theirs.model, theirs.guide, *data))
    assert losses[0] == losses[1]


@pytest.mark.parametrize("path", LATENT, ids=name_of)
def test_predictive_draws_the_posterior_from_the_guide(path) -> None:
    found = checked(path)
    graph = graph_of(found)
    model = build(found, "pyro", scale=0.05)
    data = data_of(found, 5)
    with torch.no_grad():
        drawn = Predictive(model.model, guide=model.guide, num_samples=2)(*data)
        posterior = Predictive(model.guide, num_samples=2)(*data)
    names = latents(found)
    assert names <= set(posterior)
    for name in names:
        shape = (how_many(found, name, 5), *graph[name].type.shape)
        # Predictive keeps an axis for the plate, of what stands in none too.
        found_shape = posterior[name].shape
        assert found_shape == (2, *shape) or (shape[0] == 1 and found_shape == (2, *shape[1:]))
    assert not set(posterior) - names - {f"noisy_{v.ident}" for v in graph.data}
    for v, rows in zip(graph.data, data, strict=True):
        if v.name in drawn:  # what is observed stays what it is
            seen = ~rows.isnan()
            assert torch.equal(drawn[v.name][:, seen], rows.expand(2, *rows.shape)[:, seen])


@pytest.mark.parametrize("path", [p for p in SINGLE if p in COMPOSITIONS][::6], ids=name_of)
def test_svi_lowers_the_loss(path) -> None:
    """A few stand for all: gradients are ours, whose steps lower the loss of every composition."""
    found = checked(path)
    model = build(found, "pyro")
    data = data_of(found, 32)
    svi = SVI(model.model, model.guide, Adam({"lr": 1e-2}), estimator(found))

    def loss() -> float:
        with seed(3):
            return sum(svi.evaluate_loss(*data) for _ in range(5))

    before = loss()
    for _ in range(30):
        svi.step(*data)
    assert loss() < before


CONJUGATE = """\
model conjugate
observed x : real[2] from "rows.npz".x
latent   z : real[2]
p(z)     = Normal(0, 1)
p(x | z) = Normal(z, 0.5)
q(z | x) = Normal(mlp[8](x))
"""


def test_nuts_finds_the_posterior() -> None:
    """x = z + 0.5 eps: the posterior of z is Normal(0.8 x, sqrt(0.2))."""
    model = build(checked(CONJUGATE), "pyro")
    x = torch.tensor([[1.0, -1.0]])
    chain = MCMC(NUTS(model.model), num_samples=400, warmup_steps=100, disable_progbar=True)
    with seed(0):
        chain.run(x)
    z = chain.get_samples()["z"][:, 0]
    assert torch.allclose(z.mean(0), 0.8 * x[0], atol=0.1)
    assert torch.allclose(z.std(0), torch.tensor(0.2).sqrt().expand(2), atol=0.08)


def test_nuts_moves_bounded_latents() -> None:
    """A latent on the unit interval: Pyro transforms it, so its density needs the right support."""
    found = checked(next(p for p in COMPOSITIONS if p.stem == "bounded_flows"))
    model = build(found, "pyro")
    x = data_of(found, 2)[0]
    chain = MCMC(NUTS(model.model), num_samples=20, warmup_steps=20, disable_progbar=True)
    with seed(0):
        chain.run(x)
    z = chain.get_samples()["z"]
    assert z.shape == (20, 2, 2)
    assert ((z > 0) & (z < 1)).all()


CLASSES = """\
model classes
observed x  : real from "rows.npz".x
latent   mu : real per data
latent   k  : binary
p(mu)       = Normal(0, 2)
p(k)        = Bernoulli(0)
p(x | k, mu) = Normal(mu + 3 * k, 1)
"""


def test_nuts_sees_a_mixture_without_its_classes() -> None:
    """The posterior of a mean, the classes of the rows summed out, is that of a grid; no site of them is in the way."""
    model = build(checked(CLASSES), "pyro")
    x = torch.tensor([-0.4, 0.3, 0.6, 2.7, 3.5, 3.9])
    chain = MCMC(NUTS(model.model), num_samples=400, warmup_steps=100, disable_progbar=True)
    with seed(0):
        chain.run(x)
    mu = torch.linspace(-4, 4, 2001)
    each = torch.stack([torch.distributions.Normal(mu + m, 1.0).log_prob(x.unsqueeze(-1)) for m in (0.0, 3.0)])
    posterior = (torch.distributions.Normal(0.0, 2.0).log_prob(mu) + each.logsumexp(0).sum(0)).softmax(0)
    mean = float(posterior @ mu)
    drawn = chain.get_samples()
    assert set(drawn) == {"mu"}
    assert float(drawn["mu"].mean()) == pytest.approx(mean, abs=0.1)
    assert float(drawn["mu"].std()) == pytest.approx(float((posterior @ (mu - mean) ** 2).sqrt()), abs=0.08)


@pytest.mark.parametrize("path", [p for p in SINGLE if in_a_factor(checked(p))], ids=name_of)
def test_what_is_summed_out_is_drawn_where_there_is_no_data(path) -> None:
    """Samples of the model have its latents, and data of the law that the other target draws."""
    found = checked(path)
    ours, theirs = pair(found, scale=0.2)
    n, data = 3000, data_of(found, 3000)
    given = conditions_of(found, data)
    with seed(1), torch.no_grad():
        expected = samples_of(found, ours, n, data)
    with seed(2), torch.no_grad():
        trace = pyro.poutine.trace(theirs.model).get_trace(*(given.get(v.ident) for v in graph_of(found).data), n=n)
    gone = {name for s in in_a_factor(found) for name in s.gives if graph_of(found)[name].role == "latent"}
    assert gone <= set(trace.nodes)
    for name, values in expected.items() if not graph_of(found).shared else ():  # in common: ours is drawn from its q
        a, b = values.double(), trace.nodes[name]["value"].double()
        error = (a.var(0) / n + b.var(0) / n).sqrt()
        assert ((a.mean(0) - b.mean(0)).abs() <= 5 * error + 1e-3).all(), name
