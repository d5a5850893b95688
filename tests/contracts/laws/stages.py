"""Stages of a fit: each moves the weights that it says, and together they move all that are not told to be in none."""

from __future__ import annotations

from dgmppl.pipeline import Checked
from dgmppl.train.stages import StagesOf
from tests.contracts.support import build


def verify_stages(found: Checked) -> str:
    assert found.plan is not None
    settings = found.plan.settings
    if not settings.stages:
        return "none"
    model = build(found)
    learned = {name for name, p in model.named_parameters() if p.requires_grad}
    stages, moved = StagesOf(model, settings), set[str]()
    for number, stage in enumerate(settings.stages):
        stages.begin(number, 0)
        now = {name for name, p in model.named_parameters() if p.requires_grad}
        assert now, f"nothing moves in stage {number + 1}"
        assert {name.partition(".")[0] for name in now} <= set(stage.weights)
        moved |= now
    apart = any(d.code == "W404" and "no stage of the fit" in d.headline for d in found.diagnostics)
    assert (moved != learned) == apart, f"in no stage: {learned - moved}"
    return "compared"
