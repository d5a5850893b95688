"""Draws from a model as arrays by variable, and rows of data picked to be compared with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmppl.graph.nodes import Graph
from dgmppl.runtime import GenerativeModel
from dgmppl.train.figures import CHUNK, Rows, chunks_of

Arrays = dict[str, NDArray[np.float32]]


def draw(model: GenerativeModel, graph: Graph, n: int, rows: Mapping[str, NDArray[np.float32]]) -> Arrays:
    """n samples as arrays by variable, given values of the conditions in `rows`, repeated to n."""
    given = {
        graph[name].ident: torch.from_numpy(np.resize(rows[name], (n, *rows[name].shape[1:]))).to(model.device)
        for name in graph.conditions
    }
    with torch.no_grad():
        drawn: Any = model.sample(n, **given)
    if isinstance(drawn, Tensor):
        drawn = {next(v.name for v in graph.observed if v.name not in graph.conditions): drawn}
    return {name: values.detach().cpu().numpy() for name, values in drawn.items()}


def pick_rows(model: GenerativeModel, data: Sequence[Tensor] | Rows, most: int, seed: int = 0) -> Arrays:
    """Up to `most` rows of a split, drawn without replacement, in one pass over it; `seed` says which."""
    order = np.random.default_rng(seed)
    kept: list[NDArray[np.float32]] = []
    keys = np.empty(0)
    for chunk in chunks_of(data, CHUNK):
        found = [tensor.detach().cpu().numpy() for tensor in chunk]
        keys = np.concatenate([keys, order.random(len(found[0]))])
        kept = [np.concatenate(pair) for pair in zip(kept, found, strict=True)] if kept else found
        if len(keys) > most:
            best = np.sort(np.argpartition(keys, most - 1)[:most])
            keys, kept = keys[best], [values[best] for values in kept]
    return dict(zip(model.data, kept, strict=True))
