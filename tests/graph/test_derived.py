"""A q that is derived is the statement that its text would be."""

from __future__ import annotations

import pytest

from dgmppl import pipeline
from dgmppl.graph.derived import Posterior
from dgmppl.graph.elaborate import check_graph
from dgmppl.source import Source, Span
from dgmppl.syntax.parse import parse_spec

SPEC = """\
model variables
observed x : real[3] from "rows.npz".x
observed g : categorical(3) from "rows.npz".g
latent z[t in -1..1] : positive[2]
latent m : real per g
p(z[t]) = LogNormal(0, 1)
p(m) = Normal(0, 1)
p(x | m, z[-1], z[0], z[1]) = Normal(mlp[4](m, z[-1], z[0], z[1]))
"""


@pytest.mark.parametrize(
    ("head", "parents", "hidden", "inside"),
    [
        ("z[0]", (), (8, 8), ""),
        ("z[1]", ("x", "z[-1]", "z[0]"), (64,), ""),
        ("z[-1]", ("x",), (256, 128), ""),
        ("m", ("g",), (), "linear(g), 0.1 * exp(linear(g))"),
    ],
)
def test_the_statement_is_what_the_text_parses_to(
    head: str, parents: tuple[str, ...], hidden: tuple[int, ...], inside: str
) -> None:
    source = Source("spec.dgm", SPEC)
    spec, _ = parse_spec(source)
    assert spec is not None
    graph, problems = check_graph(spec, source)
    assert graph is not None, problems
    posterior = Posterior(graph[head], tuple(graph[name] for name in parents), hidden, inside)
    parsed, _ = parse_spec(Source("derived", f"model m\n{posterior.text()}"))
    assert parsed is not None
    assert parsed.statements == (posterior.statement(Span(0, 1)),)


def derived(spec: str) -> tuple[str, ...]:
    found = pipeline.read(spec)
    assert found.plan is not None, found.errors
    return found.plan.derived


FACTORISED = """\
model factorised
observed x : real[2] from "rows.npz".x
observed y : real[2] from "rows.npz".y
latent a : real
latent b : real
latent c : real
p(a) = Normal(0, 1)
p(b | a) = Normal(mlp[4](a))
p(c) = Normal(0, 1)
p(x | b) = Normal(mlp[4](b))
p(y | c) = Normal(mlp[4](c))
"""


def test_a_mean_field_reads_the_data_that_it_depends_on_and_no_latent() -> None:
    network = "Normal(mlp[4]"
    expected = (f"q(a | x) = {network}(x))", f"q(b | x) = {network}(x))", f"q(c | y) = {network}(y))")
    assert sorted(derived(FACTORISED + "train { posterior = factorised }")) == sorted(expected)
    assert f"q(a | b) = {network}(b))" in derived(FACTORISED)


GIVEN = "q(a | x) = Normal(mlp[4](x))\nq(b | x) = Normal(mlp[4](x))\nq(c | x) = Normal(mlp[4](x))\n"


def test_a_mean_field_that_is_asked_for_is_no_warning_but_a_remark() -> None:
    told = [d.span.start for d in pipeline.read(FACTORISED + GIVEN).diagnostics if d.code == "W401" and d.span]
    asked = pipeline.read(FACTORISED + GIVEN + "train { posterior = factorised }")
    assert len(told) == 2
    assert [d.span.start for d in asked.diagnostics if d.span] == told[1:]  # that of data: c depends on y
    assert asked.plan is not None and any("factorised" in r.text for r in asked.plan.objective.reasons)


def test_a_warning_is_accepted_by_its_code_and_by_what_it_is_about() -> None:
    def codes(accept: str) -> list[tuple[str, int]]:
        found = pipeline.read(FACTORISED + GIVEN + f"net f = mlp[4]\ntrain {{ accept = {accept} }}")
        lines = (found.source.position(d.span.start)[0] for d in found.diagnostics if d.span)
        return [(d.code, line) for d, line in zip(found.diagnostics, lines, strict=True)]

    assert codes("[W402]") == [("W401", 13), ("W401", 14)]
    assert codes("[W402(f), W401(b)]") == [("W401", 14)]
    assert codes("[W401(b, c), W402(f)]") == []
    assert codes("W401") == [("W402", 15)]
    assert codes("[W401, W402(a), W402(f)]") == [("W402", 16)]


CHAIN = """\
model chain
observed g : categorical(3) from "rows.npz".g
observed x[t in 1..4] : real[2] from "rows.npz".x
latent z[t in 1..4] : real[2]
latent m : real per g
p(z[1]) = Normal(0, 1)
p(z[t] | z[t-1]) = Normal(mlp[4](z[t-1]))
p(m) = Normal(0, 1)
p(x[t] | z[t], m) = Normal(linear(z[t], m))
"""


@pytest.mark.parametrize(
    ("posteriors", "told"),
    [
        ("", []),
        ("q(z[t] | x) = Normal(gru[4](x)[t])\nq(m | g) = Normal(linear(g))", []),
        ("q(z[1] | x) = Normal(mlp[4](x))\nq(z[t] | z[t-1], x[t]) = Normal(mlp[4](z[t-1], x[t]))", []),
        ("q(z[t] | x[t]) = Normal(mlp[4](x[t]))", ["W401"]),
        ("q(z[t] | x[t]) = Normal(mlp[4](x[t]))\ntrain { posterior = factorised }", []),
        ("q(z[1] | x) = Normal(mlp[4](x))\nq(z[t] | z[t-1]) = Normal(mlp[4](z[t-1]))", ["W401"]),
        ("q(m) = Normal(param)", ["W401"]),
        ("q(m) = Normal(param)\ntrain { accept = [W401(m)] }", []),
    ],
)
def test_what_members_and_groups_leave_out_is_told_once(posteriors: str, told: list[str]) -> None:
    assert [d.code for d in pipeline.read(f"{CHAIN}{posteriors}\n").diagnostics] == told


def test_what_rows_share_lets_them_agree() -> None:
    """The topics of all documents, and the shares of each (Blei et al., 2003)."""
    text = """\
model topics
observed w : categorical(6)[10] from "rows.npz".w
latent share : simplex[2]
latent topic : categorical(2)[10]
latent B : real[2, 6] per data
p(B) = Normal(0, 1)
p(share) = Dirichlet(0.5)
p(topic[d] | share) = Categorical(log(share))
p(w[d] | topic[d], B) = Categorical(B[topic[d]])
"""
    assert not pipeline.read(text).diagnostics
