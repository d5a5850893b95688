"""Every parameter is taught, or a diagnostic names it."""

from __future__ import annotations

import re

import torch

from dgmppl import pipeline
from dgmppl.pipeline import Checked
from tests.contracts.support import build, data_of


def untaught(found: Checked) -> set[int]:
    """Lines of the spec that a diagnostic names as not taught (W404), or as not used (W402)."""
    text = found.source.text
    told = [d for d in found.diagnostics if d.code in ("W402", "W404")]
    spans = [s for d in told for s in (d.span, *(n.span for n in d.notes)) if s]
    return {line for s in spans for line in range(text.count("\n", 0, s.start) + 1, text.count("\n", 0, s.end) + 2)}


def missed(found: Checked, steps: int = 6) -> tuple[str, ...]:
    """Parameters that no player's loss gives a gradient within a few steps, from near where they start or, as a hinge
    is straight there and the slopes of whole numbers may cancel, far from it."""
    missing = _missed(found, steps, 0.02)
    if missing:
        missing &= _missed(found, steps, 1.0)
    return tuple(sorted(missing))


def _missed(found: Checked, steps: int, scale: float) -> set[str]:
    model, data = build(found, scale=scale), data_of(found)
    players = [p for p in model.players() if p.parameters]
    optimizers = [torch.optim.Adam(p.parameters, lr=1e-2) for p in players]
    missing = dict(model.named_parameters())
    for _ in range(steps):
        for player, optimizer in zip(players, optimizers, strict=True):
            optimizer.zero_grad(set_to_none=True)
            loss = player.loss(*data)
            assert loss.isfinite(), f"the loss of the {player.name} is {float(loss)}"
            loss.backward()
            own = {id(p) for p in player.parameters}
            for name, p in list(missing.items()):
                if id(p) in own and p.grad is not None and bool((p.grad != 0).any()):
                    del missing[name]
            optimizer.step()
        if not missing:
            break
    return set(missing)


def unreached(found: Checked) -> list[str]:
    """Those of them that no diagnostic names."""
    missing, known = missed(found), untaught(found)
    if not known:
        return list(missing)
    emitted = pipeline.emit(found)
    lines = emitted.text.splitlines()

    def line(name: str) -> int | None:
        held = re.compile(rf"\s*self\.{re.escape(name.split('.')[0])} = ")
        return next((at for text, at in zip(lines, emitted.lines, strict=False) if held.match(text)), None)

    return sorted(name for name in missing if line(name) not in known)
