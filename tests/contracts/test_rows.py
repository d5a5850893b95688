"""A parameter has one value for all rows, and so has a feature that is computed from parameters; a variable has one a
row. Models that mix the two, against the same models written with torch alone."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor
from torch import distributions as td

from dgmppl import pipeline
from dgmppl.diagnostics import SpecError
from dgmppl.graph.rows import factor_has_rows
from dgmppl.train.conditions import read_conditions
from tests.contracts.support import build, checked, conditions_of, data_of, graph_of, samples_of, seed, verify_support

SHARED = "param s : real[2]\nlet g : real[2] = exp(s)\n"
POINTS = 'observed x : real[2] from "rows.npz".x\n'
SEQUENCE = 'observed x : integer(0..3)[4] from "rows.npz".x\n'

# What is read here without rows: by a distribution, a network, a component, a bijection, an index, a quoted factor.
SPECS = {
    "root": POINTS + SHARED + "p(x) = Normal(0, g)",
    "chain": POINTS + "param s : real\nlet a : real = exp(s)\nlet b : real = a * 2\np(x) = Normal(a, b)",
    "order": POINTS + "param s : real\nlet b : real = a * 2\nlet a : real = exp(s)\np(x) = Normal(a, b)",
    "mixture": POINTS + SHARED + "p(x) = mixture[3](Normal(param, g))",
    "component": POINTS
    + SHARED
    + "latent z : real[2]\np(z) = Normal(0, 1)\np(x | z) = mixture[3](Normal(linear(z, g), g))\n"
    "q(z | x) = Normal(mlp[4](x))",
    "flow": POINTS + SHARED + "p(x) = Normal(0, g) >> coupling[mlp[4]](g)",
    "sequence": SEQUENCE + SHARED + "p(x[d] | x[<d]) = Categorical(causal[8](x[<d], g))",
    "sequence_given": SEQUENCE
    + 'observed y : real from "rows.npz".y\n'
    + SHARED
    + "p(x[d] | x[<d], y) = Categorical(causal[8](x[<d], g, y))",
    "sum": POINTS + SHARED + "latent c : categorical(3)\np(c) = Categorical(uniform)\np(x | c) = Normal(mlp[4](c, g))\n"
    "q(c | x) = Categorical(mlp[4](x))",
    "element": 'observed x : real from "rows.npz".x\nlatent c : categorical(3)\nparam s : real[3]\n'
    "let g : real[3] = exp(s)\n"
    "let m : real = g[c]\np(c) = Categorical(uniform)\np(x | c) = Normal(m, 1)\nq(c | x) = Categorical(mlp[4](x))",
    "posterior": POINTS
    + SHARED
    + "latent z : real[2]\np(z) = Normal(0, g)\np(x | z) = Normal(mlp[4](z))\nq(z) = Normal(g, g)",
    "residual": POINTS
    + SHARED
    + "latent z : real[2]\np(z) = Normal(g, g)\np(x | z) = Normal(mlp[4](z))\nq(z | x) = residual(p(z), mlp[4](x))",
    "quoted": POINTS + SHARED + "latent z : real[2]\np(z) = mixture[3](q(z | param))\np(x | z) = Normal(mlp[4](z, g))\n"
    "q(z | x) = Normal(mlp[4](x, g))",
    "condition": POINTS + 'observed y : categorical(2) from "rows.npz".y\n' + SHARED + "p(y | x) = Categorical(g)",
    "partial": POINTS
    + 'partial y : categorical(2) from "rows.npz".y\n'
    + SHARED
    + "p(y) = Categorical(g)\np(x | y) = Normal(mlp[4](y, g))\nq(y) = Categorical(g)",
    "game": POINTS + SHARED + "latent z : real[2]\np(z) = Normal(g, g)\nx = mlp[4](z, g)\nadversary D(x) = mlp[4]",
}


def found(name: str):
    return checked(f"model {name}_of_rows\n{SPECS[name]}\n")


@pytest.mark.parametrize("name", SPECS)
def test_rows_are_as_many_as_asked_for(name: str) -> None:
    spec = found(name)
    model, data, n = build(spec), data_of(spec, 6), 6
    loss = model.loss(*data)
    assert loss.shape == ()
    loss.backward()
    if graph_of(spec).adversaries == ():
        assert {t.shape for t in model.terms(*data).values()} == {(n,)}
        assert model.figures(*data)[model.criterion].shape == (n,)
    with seed(0):
        for name, rows in samples_of(spec, model, n, data).items():
            verify_support(graph_of(spec)[name].type, rows, n)


@pytest.mark.parametrize("name", sorted(set(SPECS) - {"partial", "order"}))
def test_a_factor_has_a_batch_axis_if_it_is_said_to(name: str) -> None:
    spec = found(name)
    graph, model, data = graph_of(spec), build(spec), data_of(spec, 6)
    values = {v.name: rows for v, rows in zip(graph.data, data, strict=True)}
    for v in graph.latents:
        values[v.name] = torch.zeros(6, *v.type.shape)
    for d in graph.definitions:
        if graph[d.variable].role == "let":
            method = getattr(model, f"define_{graph[d.variable].ident}")
            names = [*inspect.signature(method).parameters]
            values[d.variable] = method(*(values[n] for n in names))
            assert (values[d.variable].dim() > len(graph[d.variable].type.shape)) == graph[d.variable].rows
    for f in graph.factors:
        method = getattr(model, f.method)
        names = [*inspect.signature(method).parameters]
        batch = method(*(values[n] for n in names)).batch_shape
        assert batch == ((6,) if factor_has_rows(graph, f) else ()), f.key


def test_a_root_that_reads_a_feature_of_parameters() -> None:
    spec = found("root")
    model = build(spec, scale=0.3)
    (x,) = data_of(spec, 6)
    right = td.Normal(0, model.s.exp()).log_prob(x).sum(-1)
    torch.testing.assert_close(model.log_prob(x), right)
    with seed(0):
        drawn = model.sample(20000)
    torch.testing.assert_close(drawn.std(0), model.s.exp().detach(), rtol=0.03, atol=0)
    assert drawn[0].ne(drawn[1]).all()


def test_a_feature_of_parameters_beside_a_sum() -> None:
    spec = found("sum")
    model = build(spec, scale=0.3)
    (x,) = data_of(spec, 6)
    log_q = model.q_c(x).logits
    right = torch.zeros(6)
    for c in range(3):
        log_p = model.p_x(torch.full((6,), float(c)), model.s.exp()).log_prob(x) - torch.tensor(3.0).log()
        right = right + log_q[:, c].exp() * (log_p - log_q[:, c])
    torch.testing.assert_close(model.elbo(x), right)


def test_a_posterior_that_is_the_same_for_all_rows() -> None:
    spec = found("posterior")
    model = build(spec, scale=0.3)
    (x,) = data_of(spec, 6)
    g = model.s.exp()
    right = -td.kl_divergence(td.Normal(g, g), td.Normal(0, g)).sum()
    term = model.terms(x)["-KL(q(z) || p(z))"]
    torch.testing.assert_close(term, right.expand(6))


def test_a_sequence_is_drawn_as_often_as_there_are_rows_of_its_condition() -> None:
    spec = found("sequence_given")
    data = data_of(spec, 6)
    drawn: Tensor = samples_of(spec, build(spec), 6, data)["x"]
    assert list(conditions_of(spec, data)) == ["y"] and drawn.shape == (6, 4)


def test_what_samples_do_not_depend_on_is_not_asked_for() -> None:
    """A condition that only q reads, one that nothing reads, and one that the likelihood reads through a feature."""
    text = """model asked
observed x : real[2] from "rows.npz".x
observed y : real[2] from "rows.npz".y
observed w : real from "rows.npz".w
observed s : real from "rows.npz".s
latent z : real[2]
let h = tanh(s)
p(z) = Normal(0, 1)
p(x | z, s) = Normal(mlp[4](z, h))
q(z | x, y) = Normal(mlp[4](x, y))
"""
    found = pipeline.read(text)
    assert found.ok
    assert (graph_of(found).conditions, graph_of(found).asked) == (("y", "w", "s"), ("s",))
    model = build(found)
    assert model.sample(3, s=0.5).shape == (3, 2)
    assert model.elbo(*data_of(found, 4)).shape == (4,)
    with pytest.raises(SpecError, match="samples of asked do not depend on `y`"):
        read_conditions(["s=1", "y=1,2"], graph_of(found))
