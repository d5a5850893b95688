"""Rows completed: what is seen as it was given, what is missing as it is drawn, both in the units of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmppl.apply.answers import Chunk
from dgmppl.apply.drawing import Completion
from dgmppl.apply.given import Given
from dgmppl.apply.originals import Original, ordered
from dgmppl.apply.summaries import Summary, summary_of
from dgmppl.data.fields import Field, element_labels
from dgmppl.data.forms import Form
from dgmppl.train.ends import beyond_end

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun

Values = NDArray[Any]
AT_ONCE = 2**22
"""So many drawn numbers are at hand at once."""


@dataclass(frozen=True)
class Completer:
    """How rows are completed.

    Attributes:
        original: the table that they are; None where they are arrays, or the run's own.
        way: how what is missing is drawn; None where nothing is.
        missing: the variables of which something is missing in some row.
        draws: how often a row is completed, 0 for once by a mean; `deviations` are of as many as `samples` says.
    """

    fitted: FittedRun
    given: Given
    original: Original | None
    way: Completion | None
    missing: tuple[str, ...]
    draws: int
    deviations: bool
    samples: int

    def rows(self, chunk: Mapping[str, Tensor], start: int) -> Chunk:
        """Some rows, the first of which is this one, completed."""
        n = len(next(iter(chunk.values())))
        summaries = self._summaries(chunk, n)
        beyond = {name: self._beyond(name, chunk) for name in self.given.names}
        values, beside = dict[str, Values](), dict[str, Values]()
        for name in self.given.names:
            seen = self._seen(name, chunk, start, n)
            whole = self._form(name).told(self._completed(seen, summaries.get(name), beyond[name]))
            if self.original is None or name in self.missing or self.fitted.fields[name].invertible:
                values |= self._columns(name, whole)  # a total of columns is in them
            if self.deviations and name in self.missing:
                kind = "probability" if _is_few(self.fitted.fields[name]) else "deviation"
                spread = self._columns(name, self._spread(seen, summaries.get(name), beyond[name]))
                beside |= {f"{label}_{kind}": v for label, v in spread.items()}
        return {**self._in_order(values, start, n), **beside, **self._numbers(n)}

    def _form(self, name: str) -> Form:
        """What the values of a variable are: as the rows have them, else as the data of the fit."""
        form = self.given.form(name)
        return form if name not in self.missing else replace(self.fitted.fields[name], data_form=form).form

    @property
    def forms(self) -> dict[str, Form]:
        """What the values of each array are, or of each column of a table."""
        found: dict[str, Form] = {}
        for name in self.given.names:
            form, field = self._form(name), self.fitted.fields[name]
            labels = (name,) if self.original is None else self._labels(name, _shape(field))
            found |= dict.fromkeys(labels if form.kind else (), form)
        return {**(self.original.forms if self.original is not None else {}), **found}

    @property
    def types(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The types of columns in a file and in a DataFrame: as they were, where what fills a column has the same."""
        if self.original is None:
            return {}, {}
        filled = {c: name for name, rows in self.given.originals.items() for c in rows.origin.columns}
        filled = {c: name for c, name in filled.items() if name in self.missing}
        forms = self.forms
        kept = {n: d for n, d in self.original.types.items() if n not in filled or str(d) in ("float", "double")}
        dtypes = {
            name: dtype
            for name, dtype in self.original.dtypes.items()
            if name not in filled or name in forms or dtype.kind == "f" or hasattr(dtype, "categories")
        }
        return kept, dtypes

    def _in_order(self, values: dict[str, Values], start: int, n: int) -> dict[str, Values]:
        """Columns in the order of the table, with those that the model does not read."""
        if self.original is None:
            return values
        originals = self.given.originals
        read = {c: name for name, rows in originals.items() for c in rows.origin.columns}
        found = {}
        for name in self.original.columns:
            as_it_was = read.get(name) not in self.missing and self.original.typed
            if name not in read or name not in values or as_it_was:
                found[name] = self._stacked(self.original.read(name, start, start + n))
            elif name in values:
                found[name] = values[name]
        more = {name: v for name, v in values.items() if name not in found}
        whole = {**found, **more}
        return {name: whole[name] for name in ordered([*found], [*more], self.fitted.fields)}

    def _numbers(self, n: int) -> dict[str, Values]:
        """The column that numbers draws."""
        return {"draw": np.tile(np.arange(self.draws), n)} if self.original is not None and self.draws else {}

    def _stacked(self, values: Values) -> Values:
        return np.repeat(values, self.draws, axis=0) if self.draws else values

    def _summaries(self, chunk: Mapping[str, Tensor], n: int) -> dict[str, Summary]:
        """What is drawn for each variable of which something is missing, in the rows that miss something."""
        if self.way is None:
            return {}
        graph, like = self.fitted.graph, self.fitted.model.like
        rows = {
            name: chunk[name] if name in chunk else like.new_full((n, *graph[name].type.shape), torch.nan)
            for name in self.given.names
        }
        lacking = torch.stack([rows[name].isnan().reshape(n, -1).any(1) for name in self.missing]).any(0)
        which = lacking.nonzero().flatten()
        count = max(self.draws, self.samples if self.deviations or not self.draws else 0)
        width = sum(int(np.prod(rows[name].shape[1:])) for name in self.missing)
        parts = []
        for some in which.split(max(AT_ONCE // (max(width, 1) * count), 1)):
            if len(some):
                drawn = self.way.drawn({name: v[some] for name, v in rows.items()}, count)
                parts.append({name: self._summary(name, v) for name, v in drawn.items()})
        at = which.cpu().numpy()
        return {name: Summary.together([p[name] for p in parts], at) for name in self.missing if parts}

    def _summary(self, name: str, drawn: Tensor) -> Summary:
        return summary_of(drawn.cpu().numpy(), self.fitted.fields[name], self.draws, self.deviations)

    def _seen(self, name: str, chunk: Mapping[str, Tensor], start: int, n: int) -> Values:
        """A variable as it was given, where it can be told in the units of the data; else as the model has it."""
        field, values = self.fitted.fields[name], self.given.as_given(name, start, start + n)
        if values is not None:
            whole = values.dtype.kind in "biu" and name in self.missing
            return values.astype(np.float64) if whole else values
        if name in chunk:
            return field.invert(chunk[name].cpu().numpy())
        empty = np.full((n, *_shape(field)), np.nan)
        return field.named(empty) if field.invertible else empty

    def _beyond(self, name: str, chunk: Mapping[str, Tensor]) -> NDArray[np.bool_] | None:
        """Which members of a sequence lie beyond the ends of rows, (n, members): nothing is missing there."""
        variable = self.fitted.graph[name]
        return beyond_end(variable, chunk[variable.length].cpu().numpy()) if variable.length in chunk else None

    def _completed(self, seen: Values, summary: Summary | None, beyond: NDArray[np.bool_] | None) -> Values:
        """A variable with what is missing of it filled in, (n, *shape), with draws (n, draws, *shape)."""
        whole = np.repeat(seen[:, None], self.draws, axis=1) if self.draws else seen.copy()
        if summary is not None:
            drawn = np.zeros(whole.shape, dtype=summary.values.dtype)
            drawn[summary.rows] = summary.values
            beyond = beyond[:, None] if self.draws and beyond is not None else beyond
            gap = _gaps(whole, beyond)
            whole[gap] = drawn[gap].astype(whole.dtype)
        return whole

    def _spread(self, seen: Values, summary: Summary | None, beyond: NDArray[np.bool_] | None) -> Values:
        """Deviations of the missing cells, NaN for those that are seen."""
        found = np.full(seen.shape, np.nan)
        if summary is not None and summary.spread is not None:
            found[summary.rows] = summary.spread
            found[~_gaps(seen, beyond)] = np.nan
        return np.repeat(found[:, None], self.draws, axis=1) if self.draws else found

    def _columns(self, name: str, values: Values) -> dict[str, Values]:
        """A variable as columns of a table, or as one array."""
        if self.original is None:
            return {name: values}
        shape = values.shape[2:] if self.draws else values.shape[1:]
        values = values.reshape(-1, *shape)
        labels = self._labels(name, shape)
        if len(labels) == 1 and int(np.prod(shape)) > 1:
            return {labels[0]: values}
        flat = values.reshape(len(values), -1)
        return {label: flat[:, k] for k, label in enumerate(labels)}

    def _labels(self, name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
        """The columns of a table that a variable is in: one for each element, or one of lists."""
        field, rows = self.fitted.fields[name], self.given.originals.get(name)
        labels = rows.origin.columns if rows is not None and field.invertible else field.labels
        size = int(np.prod(shape))
        return labels if len(labels) in (1, size) else element_labels(name, shape)


def _is_few(field: Field) -> bool:
    return field.type.support.size is not None and field.type.support.discrete


def _shape(field: Field) -> tuple[int, ...]:
    return tuple(field.shape if field.invertible else field.type.shape)


def _gaps(values: Values, beyond: NDArray[np.bool_] | None) -> Values:
    """Which cells are missing, of those that are not beyond the end of a sequence."""
    lacks = _lacks(values)
    return lacks if beyond is None else lacks & ~beyond.reshape(*beyond.shape, *[1] * (lacks.ndim - beyond.ndim))


def _lacks(values: Values) -> Values:
    """Which cells are missing."""
    if values.dtype == object:
        return np.frompyfunc(lambda v: v is None, 1, 1)(values).astype(bool)
    return np.asarray(np.isnan(values)) if values.dtype.kind in "fM" else np.zeros(values.shape, dtype=bool)


__all__ = ["Completer"]
