"""A q that is derived is the statement that its text would be."""

from __future__ import annotations

import pytest

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
    ("head", "parents", "network", "hidden"),
    [
        ("z[0]", (), "mlp", (8, 8)),
        ("z[1]", ("x", "z[-1]", "z[0]"), "mlp", (64,)),
        ("z[-1]", ("x",), "mlp", (256, 128)),
        ("m", ("g",), "linear", ()),
    ],
)
def test_the_statement_is_what_the_text_parses_to(
    head: str, parents: tuple[str, ...], network: str, hidden: tuple[int, ...]
) -> None:
    source = Source("spec.dgm", SPEC)
    spec, _ = parse_spec(source)
    assert spec is not None
    graph, problems = check_graph(spec, source)
    assert graph is not None, problems
    posterior = Posterior(graph[head], tuple(graph[name] for name in parents), network, hidden)
    parsed, _ = parse_spec(Source("derived", f"model m\n{posterior.text()}"))
    assert parsed is not None
    assert parsed.statements == (posterior.statement(Span(0, 1)),)
