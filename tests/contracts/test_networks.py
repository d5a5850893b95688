"""The size of a network is what its class has, for every kind of the catalogue."""

from __future__ import annotations

import pytest

from dgmppl import pipeline, runtime
from dgmppl.catalogue.networks import NETWORKS
from dgmppl.emit.values import module_source
from dgmppl.emit.writer import Writer
from dgmppl.graph.values import Module, NetworkSpec
from dgmppl.source import Source
from tests.contracts.support import build, checked

HIDDEN = ((), (8,), (8, 5, 6))


@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
@pytest.mark.parametrize("kind", NETWORKS)
def test_weights_are_those_of_the_class(kind: str, hidden: tuple[int, ...], context: int) -> None:
    entry = NETWORKS[kind]
    if bool(hidden) and not entry.sizes:
        return
    options = (("kernel", 4),) if any(o.name == "kernel" for o in entry.options) else ()
    length, further = (7, context) if entry.causal else (0, 0)
    module = Module("net", NetworkSpec(kind, hidden, options), 2, 3, length, further)
    built = eval(module_source(module, Writer(Source("net.dgm", ""))), {"rt": runtime, "nn": runtime.networks.nn})
    assert sum(p.numel() for p in built.parameters()) == module.weights


LARGE = 'model large\nobserved x : binary[5] from "rows.npz".x\nobserved y : real[{n}] from "rows.npz".y\n'


def test_a_large_context_of_a_masked_network_is_read_once() -> None:
    """The first layer alone reads it: 13 million weights, and not 1.2 billion."""
    text = LARGE.format(n=200_000) + "p(x[d] | x[<d], y) = Bernoulli(masked[64, 6000](x[<d], y))\n"
    found = pipeline.read(text)
    assert found.ok
    assert found.plan is not None
    assert found.plan.structure.weights == (5 + 200_000 + 1) * 64 + 65 * 6000 + 6001 * 5


@pytest.mark.parametrize("network", ["masked[16, 8]", "causal[16, 8, kernel = 3]", "causal[16](x[<d], y) + linear(y)"])
def test_weights_of_causal_networks_with_a_context(network: str) -> None:
    call = network if "(" in network else f"{network}(x[<d], y)"
    text = LARGE.format(n=9) + f"p(x[d] | x[<d], y) = Bernoulli({call})\n"
    found = checked(text)
    assert found.plan is not None
    assert sum(p.numel() for p in build(found).parameters()) == found.plan.structure.weights
