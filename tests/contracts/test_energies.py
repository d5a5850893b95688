"""What is derived from an energy, against the sum over everything: conditionals, free energies, log Z, chains."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from scipy.stats import chisquare
from torch import Tensor

from dgmppl import pipeline
from dgmppl.graph.nodes import Graph
from dgmppl.runtime import GenerativeModel, chains
from dgmppl.runtime.chains import gibbs_sites
from tests.contracts.energies import RandomEnergy, Unit, configurations, random_energies
from tests.contracts.support import COMPOSITIONS, build, checked, data_of, graph_of, seed


def units_of(graph: Graph) -> tuple[Unit, ...]:
    members = [graph[a] for a in graph.energy.arguments]
    return tuple(Unit(v.name, v.type.shape, v.role, v.type.support.size) for v in members)


def call(method, values: dict[str, Tensor], names) -> Tensor:
    return method(*(values[n] for n in names))


def spread(value: Tensor, n: int) -> Tensor:
    """A value a row, also where it is the same for all of them."""
    return value.expand(n, *value.shape[1:]) if value.dim() and value.shape[0] == n else value.expand(n)


def log_sum_out(energies: Tensor, values: dict[str, Tensor], kept: list[str]) -> Tensor:
    """log sum exp(-E) over what is not kept, for each row."""
    n = len(energies)
    key = torch.cat([values[k].reshape(n, -1) for k in kept], 1)
    _, group = key.unique(dim=0, return_inverse=True)
    total = torch.full((int(group.max()) + 1,), -torch.inf)
    for g in range(len(total)):
        total[g] = torch.logsumexp(-energies[group == g], 0)
    return total[group]


def verify_derived(found: pipeline.Checked, model: GenerativeModel, energies: Tensor) -> None:
    """Everything that was derived, against enumeration; `energies` are the oracle's, of every configuration."""
    graph, sampler = graph_of(found), found.plan.samplers[0]
    units = units_of(graph)
    values = configurations(units)
    n = len(energies)
    close = {"rtol": 1e-4, "atol": 1e-4}

    assert torch.allclose(spread(call(model.energy, values, [u.name for u in units]), n), energies, **close)

    free = spread(call(model.free_energy, values, sampler.form.state), n)
    assert torch.allclose(-free, log_sum_out(energies, values, list(sampler.form.state)), **close)

    if sampler.form.partition is not None:
        assert torch.allclose(model.log_partition(), torch.logsumexp(-energies, 0), **close)

    joint = torch.softmax(-energies, 0)
    position = {tuple(row): k for k, row in enumerate(_rows(values).int().tolist())}
    for unit, update in zip(units, sampler.updates, strict=True):
        if unit.name == sampler.form.enumerated:
            logits = -call(model.energies, values, sampler.form.state)
            logits = torch.log_softmax(logits, -1).gather(-1, values[unit.name].long().unsqueeze(-1)).squeeze(-1)
            others = log_sum_out(energies, values, list(sampler.form.state))
            both = log_sum_out(energies, values, [*sampler.form.state, unit.name])
            assert torch.allclose(logits, both - others, **close)
            continue
        if update.kind != "block":
            continue
        reads = [v.name for v in graph.variables if v.name in update.logits.reads()]
        density = call(getattr(model, f"p_{graph[unit.name].ident}"), values, reads)
        base = getattr(density, "base_dist", density)
        if unit.size > 2:
            probabilities = base.probs.expand(n, *unit.shape, unit.size).reshape(n, -1, unit.size)
            for element in range(unit.elements):
                moved = [
                    joint[[position[_moved(values, units, r, unit.name, element, k)] for r in range(n)]]
                    for k in range(unit.size)
                ]
                assert torch.allclose(probabilities[:, element], torch.stack(moved, -1) / sum(moved)[:, None], **close)
            continue
        logits = base.logits.expand(n, *unit.shape).reshape(n, -1)
        for element in range(unit.elements):
            on = torch.tensor([position[_moved(values, units, r, unit.name, element, 1)] for r in range(n)])
            off = torch.tensor([position[_moved(values, units, r, unit.name, element, 0)] for r in range(n)])
            assert torch.allclose(logits[:, element], energies[off] - energies[on], **close)


def _rows(values: dict[str, Tensor]) -> Tensor:
    return torch.cat([v.reshape(len(v), -1) for v in values.values()], 1)


def _moved(values: dict[str, Tensor], units, row: int, name: str, element: int, to: int) -> tuple[int, ...]:
    """A configuration with one element of a variable changed."""
    found: list[int] = []
    for u in units:
        part = values[u.name][row].reshape(-1).int().tolist()
        if u.name == name:
            part[element] = to
        found += part
    return tuple(found)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(random_energies())
def test_random_energies(energy: RandomEnergy) -> None:
    found = pipeline.read(energy.text())
    assert found.ok, (energy.text(), [str(d) for d in found.errors])
    model = build(found, number=1)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p))
        params = {name: getattr(model, name) for name, _ in energy.params}
        verify_derived(found, model, energy.value(configurations(energy.units), params))


def stationary(found: pipeline.Checked, model: GenerativeModel, rows: int = 20_000) -> None:
    """A sweep leaves the model's distribution as it is: exact draws, one sweep, and a chi-square test."""
    graph, sampler = graph_of(found), found.plan.samplers[0]
    units = units_of(graph)
    state = tuple(u for u in units if u.name in sampler.form.state)
    values = configurations(state)
    with torch.no_grad():
        free = spread(call(model.free_energy, values, sampler.form.state), len(next(iter(values.values()))))
        probabilities = torch.softmax(-free, 0)
        index = torch.multinomial(probabilities, rows, replacement=True)
        moved = model.sweep(*(values[name][index] for name in sampler.form.state))
    verify_frequencies(dict(zip(sampler.form.state, moved)), values, probabilities)


def verify_frequencies(drawn: dict[str, Tensor], values: dict[str, Tensor], probabilities: Tensor) -> None:
    """Draws against probabilities of all configurations; the rare ones are counted together."""
    position = {tuple(row): k for k, row in enumerate(_rows(values).int().tolist())}
    n = len(next(iter(drawn.values())))
    flat = torch.cat([drawn[name].expand(n, *values[name].shape[1:]).reshape(n, -1) for name in values], 1)
    index = torch.tensor([position[tuple(row)] for row in flat.int().tolist()])
    seen = torch.bincount(index, minlength=len(probabilities)).double()
    expected = probabilities.double() * n
    common = expected >= 5
    observed = torch.cat([seen[common], seen[~common].sum().reshape(1)])
    expected = torch.cat([expected[common], expected[~common].sum().reshape(1)])
    keep = expected > 0
    if int(keep.sum()) < 2:
        return
    wanted = expected[keep] * observed[keep].sum() / expected[keep].sum()
    assert chisquare(observed[keep].numpy(), wanted.numpy()).pvalue > 1e-6


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(random_energies().filter(lambda e: sum(u.elements for u in e.units) <= 6))
def test_sweeps_of_random_energies_are_stationary(energy: RandomEnergy) -> None:
    found = pipeline.read(energy.text())
    assert found.ok
    model = build(found, number=2)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.7 * torch.randn_like(p))
    with seed(5):
        stationary(found, model, 10_000)


def named(stem: str) -> pipeline.Checked:
    return checked(next(p for p in COMPOSITIONS if p.stem == stem))


@pytest.mark.parametrize(
    ("stem", "oracle"),
    [
        (
            "third_order",
            lambda m, v: (
                -torch.einsum("ijk,ni,nj,njk->n", m.W, v["x"], v["h"], v["s"])
                - v["x"] @ m.b
                - torch.einsum("jk,nj,njk->n", m.D, v["h"], v["s"])
            ),
        ),
        (
            "labelled_rbm",
            lambda m, v: (
                -torch.einsum("ij,ni,nj->n", m.W, v["x"], v["h"])
                - v["x"] @ m.b
                - v["h"] @ m.c
                - m.d[v["y"].long()]
                - (m.U[v["y"].long()] * v["h"]).sum(-1)
            ),
        ),
        (
            "deep_boltzmann",
            lambda m, v: (
                -torch.einsum("ij,ni,nj->n", m.W, v["x"], v["h"])
                - torch.einsum("ij,ni,nj->n", m.V, v["h"], v["g"])
                - v["x"] @ m.b
                - v["h"] @ m.c
                - v["g"] @ m.d
            ),
        ),
    ],
)
def test_energies_of_the_literature(stem, oracle) -> None:
    found = named(stem)
    model = build(found, scale=0.7)
    values = configurations(units_of(graph_of(found)))
    with torch.no_grad():
        verify_derived(found, model, oracle(model, values))
        stationary(found, model)
    assert all(u.kind == "block" for u in found.plan.samplers[0].updates)


LATERAL = """\
model lateral
observed x : binary[4] from "rows.npz".x
param L : real[4, 4] = normal(0.8)
param b : real[4] = normal(0.5)
E(x) = -x @ L @ x - b @ x
"""

CLASSIFIER = """\
model classifier
observed x : binary[3] from "rows.npz".x
observed y : categorical(4) from "rows.npz".y
E(x, y) = -mlp[8](x)[y]
"""

RBM = """\
model rbm
observed x : binary[4] from "rows.npz".x
latent   h : binary[3]
param W : real[4, 3] = normal(0.8)
param b : real[4]
param c : real[3]
E(x, h) = -x @ W @ h - b @ x - c @ h
train { objective = contrastive_divergence(steps = 10) }
"""


@pytest.mark.parametrize("law", ["p(x) = Normal(param)", "p(x | w) = Normal(mlp[3](w), 0.5)"])
def test_what_stands_beside_an_energy_has_its_likelihood_too(law: str) -> None:
    found = checked(
        'model beside\nobserved w : binary[6] from "rows.npz".w\nobserved x : real[2] from "rows.npz".x\n'
        "latent h : binary[3]\nparam W : real[6, 3] = normal(0.5)\nE(w, h) = -w @ W @ h\n" + law
    )
    model, (w, x) = build(found), data_of(found, 5)
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 6)
    with torch.no_grad():
        free = [torch.nn.functional.softplus(v @ model.W).sum(-1) for v in (w, every)]
        density = model.p_x(w) if "w)" in law else model.p_x()
        expected = free[0] - free[1].logsumexp(0) + density.log_prob(x)
        assert torch.allclose(model.log_prob(w, x), expected, atol=1e-5)


def test_units_that_multiply_each_other_are_drawn_one_by_one() -> None:
    found = checked(LATERAL)
    assert [u.kind for u in found.plan.samplers[0].updates] == ["sites"]
    model = build(found)
    x = configurations(units_of(graph_of(found)))["x"]
    with torch.no_grad():
        verify_derived(found, model, -torch.einsum("ni,ij,nj->n", x, model.L, x) - x @ model.b)
        stationary(found, model)


LATTICES = {
    "levels": (
        "integer(0..2)[3]",
        "param W : real[3, 3]",
        "-sum(i: W[x[i], x[i + 1]]) - 0.5 * sum(x)",
        lambda m, x: -sum(m.W[x[:, i].long(), x[:, i + 1].long()] for i in range(2)) - 0.5 * x.sum(-1),
    ),
    "ising": (
        "binary[2, 3]",
        "param J : real param b : real[2, 3]",
        "-J * sum(i, j: x[i, j] * x[i + 1, j]) - J * sum(i, j: x[i, j - 1] * x[i, j]) - sum(b * x)",
        lambda m, x: (
            -m.J * ((x[:, 0] * x[:, 1]).sum(-1) + (x[..., 0] * x[..., 1]).sum(-1) + (x[..., 1] * x[..., 2]).sum(-1))
            - (m.b * x).sum((-1, -2))
        ),
    ),
    "ring": (
        "binary[5]",
        "param J : real[4]",
        "-sum(i: J[i] * x[i] * x[i + 1]) - x[4] * x[0]",
        lambda m, x: -(m.J * x[:, :4] * x[:, 1:]).sum(-1) - x[:, 4] * x[:, 0],
    ),
    "potts": (
        "categorical(3)[4]",
        "param W : real[3, 3] param b : real[4, 3]",
        "-sum(i: W[x[i], x[i + 1]]) - W[x[3], x[0]] - sum(i: b[i, x[i]])",
        lambda m, x: -sum(m.W[x[:, i].long(), x[:, (i + 1) % 4].long()] + m.b[i, x[:, i].long()] for i in range(4)),
    ),
}


@pytest.mark.parametrize("name", LATTICES)
def test_neighbours_on_a_lattice(name: str) -> None:
    """The energy, log Z and what a sweep leaves as it is, against every configuration."""
    type_, params, energy, oracle = LATTICES[name]
    found = checked(f'model lattice observed x : {type_} from "rows.npz".x {params} E(x) = {energy}')
    model = build(found, scale=0.7)
    x = configurations(units_of(graph_of(found)))["x"]
    with torch.no_grad():
        verify_derived(found, model, oracle(model, x))
        stationary(found, model)
        if found.plan.criterion == "log_prob":
            assert model.log_prob(x).exp().sum() == pytest.approx(1.0, abs=1e-4)
    assert (found.plan.criterion == "log_prob") == type_.startswith("binary")


SOFTMAX_UNITS = """\
model softmax_units
observed x : categorical(3)[3] from "rows.npz".x
latent   h : binary[2]
param W : real[3, 3, 2]
param b : real[3, 3]
param c : real[2]
E(x, h) = -sum(i, j: W[i, x[i], j] * h[j]) - sum(i: b[i, x[i]]) - c @ h
"""


def test_visible_units_of_several_classes() -> None:
    """A restricted Boltzmann machine with softmax units (Salakhutdinov et al., 2007, Eqs. 1 to 5): all are blocks."""
    found = checked(SOFTMAX_UNITS)
    model = build(found, scale=0.7)
    values = configurations(units_of(graph_of(found)))
    chosen = torch.nn.functional.one_hot(values["x"].long(), 3).float()
    with torch.no_grad():
        energies = -torch.einsum("nik,ikj,nj->n", chosen, model.W, values["h"]) - (chosen * model.b).sum((-1, -2))
        verify_derived(found, model, energies - values["h"] @ model.c)
        stationary(found, model)
    assert all(u.kind == "block" for u in found.plan.samplers[0].updates)


def test_a_classifier_is_an_energy() -> None:
    found = checked(CLASSIFIER)
    model = build(found, scale=0.5)
    values = configurations(units_of(graph_of(found)))
    with torch.no_grad():
        logits = model.energy_net(2 * values["x"] - 1)
        energies = -logits.gather(-1, values["y"].long().unsqueeze(-1)).squeeze(-1)
        verify_derived(found, model, energies)
        stationary(found, model)
        assert torch.allclose(model.p_y(values["x"]).logits, torch.log_softmax(logits, -1), atol=1e-5)


def test_the_chain_reaches_the_models_distribution() -> None:
    """Samples from noise, after many sweeps, against all 2^4 values of x."""
    found = checked(RBM)
    model = build(found, scale=0.3)
    x = configurations((Unit("x", (4,), "observed"),))
    with torch.no_grad():
        probabilities = (-model.free_energy(x["x"]) - model.log_partition()).exp()
        assert probabilities.sum() == pytest.approx(1.0, abs=1e-5)
        drawn, h = model.draw_from_energy(20_000, steps=100)
    verify_frequencies({"x": drawn}, x, probabilities)
    assert h.shape == (20_000, 3)


def test_contrastive_divergence_climbs_the_exact_likelihood() -> None:
    """On data that fills 4 of 16 corners: better than independent units, close to the best."""
    found = checked(RBM)
    model = build(found)
    corners = torch.tensor([[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0]]).float()
    x = corners.repeat(25, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        model.loss(x).backward()
        optimizer.step()
    log_prob = model.log_prob(x).mean().item()
    independent = 4 * torch.tensor(0.5).log()
    assert log_prob > float(independent) + 0.7
    assert log_prob < float(torch.tensor(0.25).log())


def test_the_gradient_is_that_of_the_likelihood() -> None:
    """With exact samples in the chain's place, the loss has the gradient of -log p(x)."""
    found = checked(RBM)
    model = build(found, scale=0.3)
    data = torch.randint(2, (6, 4)).float()
    x = configurations((Unit("x", (4,), "observed"),))["x"]
    (-model.log_prob(data).mean()).backward()
    exact = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    with torch.no_grad():
        probabilities = (-model.free_energy(x) - model.log_partition()).exp()
    loss = model.free_energy(data).mean() - (probabilities * model.free_energy(x)).sum()
    loss.backward()
    for name, p in model.named_parameters():
        assert torch.allclose(p.grad, exact[name], atol=1e-5), name


def test_settling_draws_latents_given_the_data() -> None:
    """deep_boltzmann keeps g in the chain's state: its positive phase draws g given x."""
    found = named("deep_boltzmann")
    model = build(found, scale=0.7)
    row = torch.tensor([1.0, 0.0, 1.0, 1.0])
    g = configurations((Unit("g", (2,), "latent"),))
    with torch.no_grad():
        probabilities = torch.softmax(-model.free_energy(row.expand(4, 4), g["g"]), 0)
        drawn = model.settle(row.expand(20_000, 4))
    verify_frequencies({"g": drawn}, g, probabilities)


def test_langevin_with_small_steps_draws_from_the_energy() -> None:
    """gaussian_rbm with W = 0 is a unit normal around b."""
    found = pipeline.read(
        named("gaussian_rbm").path,
        (),
    )
    text = found.source.text + "train { objective = contrastive_divergence(step_size = 0.01, noise = 0.1414) }\n"
    model = build(checked(text))
    with torch.no_grad():
        model.W.zero_()
        model.b.copy_(torch.tensor([-1.0, 0.0, 1.0, 2.0]))
        x = model.sample(4000)
    assert torch.allclose(x.mean(0), model.b, atol=0.1)
    assert torch.allclose(x.std(0), torch.ones(4), atol=0.1)


@pytest.mark.parametrize("cases", [1, 10, 1000])
def test_a_sweep_element_by_element_is_one_of_conditionals_however_many_values_are_tried_at_once(
    cases: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 3 values of each of 2 elements given another variable, the first before the second: by enumeration."""
    monkeypatch.setattr(chains, "_CASES", cases)
    with seed(0):
        table, kinds = torch.randn(2, 3, 3), torch.tensor([0, 1, 1])
        state = torch.full((3, 2), 4.0)
        swept = torch.stack([gibbs_sites(_of_a_table(table), state, 4, 3, kinds) for _ in range(3000)])
    first, second = (swept - 4).long().unbind(-1)
    for row, kind in enumerate(kinds):
        law = torch.zeros(3, 3)
        law.index_put_((first[:, row], second[:, row]), torch.tensor(1 / 3000), accumulate=True)
        expected = (-table[kind][:, 0]).softmax(0).unsqueeze(-1) * (-table[kind]).softmax(-1)
        assert (law - expected).abs().max() < 5 * 0.5 / 3000**0.5


def _of_a_table(table: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, kind: table[kind, (x[:, 0] - 4).long(), (x[:, 1] - 4).long()]
