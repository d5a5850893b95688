"""Models follow their weights: on torch's meta device any tensor made on the CPU would be an error."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dgmppl import pipeline

# torch has no shape-only version of the sampler of Gamma, which these draw from.
UNKNOWN_TO_META = (
    "counts",
    "heavy_tails",
    "topics",
    "bounded_flows",
    "likelihoods",
    "derived_posterior",
    "proportions",
    "partial_imputed",
    "partial_leaves",
    "residual_of_classes",
    "scale_mixture",
)
ALL = sorted(Path("specs").rglob("*.dgm")) + sorted(Path("tests/contracts/specs").glob("*.dgm"))
SPECS = [path for path in ALL if path.stem not in UNKNOWN_TO_META]


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_nothing_is_left_on_the_cpu(path: Path) -> None:
    checked = pipeline.read(path)
    assert checked.graph is not None and checked.plan is not None
    model = pipeline.build(checked).to("meta")
    data = [torch.zeros(5, *v.type.shape, device="meta") for v in checked.graph.data]
    for player in model.players():
        player.loss(*data).backward(inputs=player.parameters)
    # Which rows an error is of depends on values, and there are none.
    for figure in model.figures(*data).values() if not checked.graph.partial else ():
        assert figure.device.type == "meta" and figure.shape == (5,)
    given = {v.ident: torch.zeros(v.type.shape) for v in checked.graph.observed if v.name in checked.plan.conditions}
    if checked.plan.samplers:  # fewer sweeps than sample() takes
        drawn = model.draw_from_energy(3, steps=2)
        assert all(value.device.type == "meta" and len(value) == 3 for value in drawn)
        return
    drawn = model.sample(3, **given)
    for value in drawn.values() if isinstance(drawn, dict) else [drawn]:
        assert value.device.type == "meta" and len(value) == 3
