"""Gaps: cells that rows lack of variables that they have, and what commands say of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from dgmppl.apply.given import Given
from dgmppl.data.checks import Missing
from dgmppl.graph.nodes import Graph
from dgmppl.train.ends import beyond_end
from dgmppl.words import are, counted


def may_lack(graph: Graph) -> tuple[str, ...]:
    """The variables of the data of which rows may lack something: all that are modelled, but for lengths."""
    lengths = {v.length for v in graph.data}
    return tuple(v.name for v in graph.data if v.name not in graph.conditions and v.name not in lengths)


def lacked(graph: Graph, names: Collection[str]) -> dict[str, Missing]:
    """How much of each of these variables may be missing: elements, or of one vector all of it."""
    types = {name: graph[name].type for name in names}
    return {n: "elements" if t.shape and not t.support.event_rank else "rows" for n, t in types.items()}


def count_gaps(graph: Graph, given: Given) -> dict[str, tuple[int, int]]:
    """How many cells of each variable are missing, and how many there are."""
    found = {}
    for name in given.names:
        size = int(np.prod(graph[name].type.shape)) * given.rows
        found[name] = (size if name in given.absent else 0, size)
    for chunk in given.chunks():
        for name, values in chunk.items():
            count, size = found[name]
            missing, length = values.isnan().cpu().numpy(), graph[name].length
            if length in chunk:  # beyond the end of a sequence nothing is missing
                beyond = beyond_end(graph[name], chunk[length].cpu().numpy())
                missing &= ~beyond.reshape(*beyond.shape, *[1] * (missing.ndim - 2))
            found[name] = (count + int(missing.sum()), size)
    return found


def in_part(graph: Graph, given: Given) -> frozenset[str]:
    """The `partial` variables that are missing as a whole or not at all in the model, and of which some row has a
    part."""
    found: set[str] = set()
    whole = [n for n in given.names if graph[n].role == "partial" and not graph[n].elementwise]
    for chunk in given.chunks():
        for name in (n for n in whole if n in chunk and n not in found):
            there = chunk[name].isnan().reshape(len(chunk[name]), -1)
            if bool((there.any(1) & ~there.all(1)).any()):
                found.add(name)
    return frozenset(found)


def told_gaps(cells: Mapping[str, tuple[int, int]], given: Given) -> list[str]:
    """What is missing, in words."""
    found = []
    for name, (count, size) in cells.items():
        if name in given.absent:
            found.append(f"{name} is not there: all of it is imputed")
        elif count:
            found.append(f"{name}: {count:,} of {counted(size, 'cell', ',')} {are(count)} missing")
    return found or ["nothing is missing: the rows are given back as they are"]


__all__ = ["count_gaps", "in_part", "lacked", "may_lack", "told_gaps"]
