"""Files of random rows in the units of the data, as the transforms of a spec take them, and what is missing of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from dgmppl.pipeline import Checked
from tests.contracts.support import graph_of

Array = NDArray[Any]
Rows = dict[str, Array]


def _dates(days: Array) -> Array:
    """To the second, as tables of text have them."""
    there = np.isfinite(days)
    seconds = np.round(np.where(there, days, 0) * 86400).astype("datetime64[s]")
    return np.where(there, np.datetime_as_string(seconds).astype(object), None)


def days_of(dates: Array) -> Array:
    """Texts of dates as days."""
    return dates.astype("datetime64[s]").astype(np.float64) / 86400


def _parts(total: Array) -> Array:
    """Two numbers that add up to each, whole ones to a whole one."""
    half = np.floor(total / 2) if np.array_equal(total, np.round(total)) else total / 2
    return np.stack([half, total - half], -1)


BACK: dict[str, Callable[..., Array]] = {
    "log": np.exp,
    "logit": lambda v: 1 / (1 + np.exp(-v)),
    "shift": lambda v, by: v - by,
    "scale": lambda v, by: v / by,
    "flatten": lambda v: v.reshape(len(v), 1, v.shape[1]),
    "total": _parts,
    "dates": _dates,
}
"""What comes back through a transform that takes nothing from the data; the others leave values as they are."""


def raw_rows(found: Checked, rows: list[torch.Tensor]) -> Rows:
    """Rows in the units of the data, of which transforms make rows of the model."""
    made = {}
    for v, values in zip(graph_of(found).data, rows, strict=True):
        assert v.data is not None
        made[v.name] = values.double().numpy()
        for name, numbers in reversed(v.data.transforms):
            made[v.name] = BACK.get(name, lambda x, *_: x)(made[v.name], *numbers)
    return made


def _file(found: Checked, rows: Rows) -> Rows:
    """The arrays that rows are read from: members of a family of two indices lie side by side in one, and what is the
    total of a field that another reads has none. Rows that a condition leaves out could be read as nothing."""
    graph, made, where = graph_of(found), dict[str, Array](), False
    sources = [(v, v.data) for v in graph.data if v.data is not None and not v.data.dates]
    for v, data in sources:
        of_it = [(w, of) for w, of in sources if of.field == data.field]
        parts = [rows[w.name] for w, of in of_it if ("total", ()) not in of.transforms] or [rows[v.name]]
        made[data.field] = np.stack(parts, 1 if v.along is None else 2) if data.places else parts[0]
        where = where or bool(data.reading.where)
    return _beside_others(made) if where else made


def _beside_others(rows: Rows) -> Rows:
    """Every third row is one that a condition of `tests.contracts.random_specs.rows` leaves out."""
    count = max(map(len, rows.values()))
    kept = np.arange(count + (count + 1) // 2) % 3 != 0
    made = {name: np.full((len(kept), *values.shape[1:]), 1e6) for name, values in rows.items()}
    for name, values in rows.items():
        made[name][kept] = values
    made["age"] = np.where(kept, 20, np.where(np.arange(len(kept)) % 2, 10, np.nan))
    made["kind"] = np.where(kept, 1, 3)
    return made


def write_files(found: Checked, rows: Rows, folder: Path) -> None:
    """The files that a random spec reads in its folder: arrays by name, and a table for dates."""
    np.savez(folder / "rows.npz", **_file(found, rows))
    dated = {v.name: v.data.reading for v in graph_of(found).data if v.data is not None and v.data.dates}
    if dated:
        table = pd.DataFrame({**{name: rows[name] for name in dated}, "born": "1990-01-01", "country": "DE"})
        if any(reading.where for reading in dated.values()):
            table = pd.concat([pd.DataFrame({"born": ["1970-01-01", ""], "country": ["FR", ""]}), table])
        table.to_csv(folder / "days.csv", index=False)


def is_text(values: Array) -> bool:
    return values.dtype == object


def known(values: Array) -> Array:
    """What is not missing of values in the units of the data."""
    return np.not_equal(values, None) if is_text(values) else np.isfinite(values)
