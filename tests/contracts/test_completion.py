"""`complete` of every composition: with nothing known it draws what `sample` draws, and what is known stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dgmppl.apply.completion import Completion
from tests.contracts.support import (
    COMPOSITIONS,
    build,
    checked,
    conditions_of,
    data_of,
    graph_of,
    name_of,
    samples_of,
    seed,
)

LATENT = [p for p in COMPOSITIONS if "latent" in p.read_text()]


@pytest.mark.parametrize("path", LATENT, ids=name_of)
def test_completion_draws_what_sample_draws_and_keeps_what_is_known(path: Path) -> None:
    found = checked(path)
    graph, rows = graph_of(found), data_of(found, 3)
    model = build(found, scale=0.1).eval()
    complete = Completion(found, model)
    of_ident = {v.ident: v.name for v in graph.data}
    conditions = {of_ident[n]: v for n, v in conditions_of(found, rows).items()}
    with seed(0), model.unchecked():
        drawn = samples_of(found, model, 3, rows)
    with seed(0):
        made = complete(3, conditions)
    for name, values in drawn.items():
        torch.testing.assert_close(made[name], values, equal_nan=True)
    known = {n: made[n] for n in complete.settable}
    again = complete(3, {**conditions, **known}, mean=True)
    for name, values in known.items():
        assert torch.equal(again[name], values)
    for name, values in drawn.items():
        assert again[name].shape == values.shape
