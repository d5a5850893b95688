"""`impute`: rows with what is missing of them filled in, what is seen as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dgmppl.apply.answers import Answers, Chunk, verify_counts
from dgmppl.apply.filled import Completer
from dgmppl.apply.given import Given
from dgmppl.apply.imputing import completion
from dgmppl.apply.originals import lacking_columns, original_of, with_columns
from dgmppl.data.checks import Missing
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.graph.nodes import Graph

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun

SAMPLES = 200
"""Draws that a mean, a most probable value and a deviation are of."""


def impute(
    fitted: FittedRun,
    data: Any = None,
    *,
    split: str | None = None,
    draws: int = 0,
    deviations: bool = False,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Answers:
    """The rows with their missing cells filled in: empty cells, NaN, and variables that are not there at all.

    A cell is filled with the mean of what is drawn for it given all that is seen of its row, and where it has few
    values or classes with the most frequent one. With `draws` each row is completed as often: of a table in rows below
    one another, which the column `draw` numbers; of arrays along an axis behind the rows.

    Args:
        deviations: also give the deviation of what is drawn for a missing cell (`NAME_deviation`), and of one of few
            values how often its value was drawn (`NAME_probability`); NaN where a cell is seen.
        samples: draws that these figures are of.

    Raises:
        SpecError: when the model says nothing of what is missing (E660), or no variable of it is there (E504).
    """
    verify_counts(0, draws=draws)
    verify_counts(samples=samples)
    graph = fitted.graph
    modelled = tuple(v.name for v in graph.data if v.name not in graph.conditions and not _is_length(graph, v.name))
    lacking = lacking_columns(data, fitted.fields) if data is not None else ()
    data = with_columns(data, lacking, fitted.fields)
    given = fitted.rows(data, split, optional=modelled, missing={name: _missing(graph, name) for name in modelled})
    if not given.table.columns:
        names = ", ".join(label for f in fitted.fields.values() for label in f.labels[:8])
        raise SpecError([Diagnostic("E504", f"the data have nothing of what the model is about: {names}")])
    cells = _missing_cells(graph, given)
    missing = tuple(name for name, (count, _) in cells.items() if count)
    way = completion(fitted.run.checked, missing, fitted.model) if missing else None
    notes = [
        *(f"{name} is not there: all of it is imputed" for name in lacking),
        *_told(cells, given),
        *([way.words] if way is not None else []),
    ]
    work = Completer(fitted, given, original_of(data), way, missing, draws, deviations, samples)

    def give() -> Iterator[Chunk]:
        said = len(notes)
        with fitted.computing(seed):
            start = 0
            for chunk in given.chunks():
                yield work.rows(chunk, start)
                start += len(next(iter(chunk.values())))
        if way is not None and said == len(notes) and (quality := way.quality()):
            notes.append(quality)

    tabular = work.original is not None and draws
    index = given.index.repeat(draws) if tabular and given.index is not None else given.index
    rows = given.rows * (draws if tabular else 1)
    return Answers(rows, give, {}, index, notes, None, work.forms, *work.types)


def _is_length(graph: Graph, name: str) -> bool:
    return any(v.length == name for v in graph.data)


def _missing(graph: Graph, name: str) -> Missing:
    type_ = graph[name].type
    return "elements" if type_.shape and not type_.support.event_rank else "rows"


def _missing_cells(graph: Graph, given: Given) -> dict[str, tuple[int, int]]:
    """How many cells of each variable are missing, and how many there are."""
    found = {}
    for name in given.names:
        size = int(np.prod(graph[name].type.shape)) * given.rows
        found[name] = (size if name in given.absent else 0, size)
    for chunk in given.chunks():
        for name, values in chunk.items():
            count, size = found[name]
            found[name] = (count + int(values.isnan().sum()), size)
    return found


def _told(cells: Mapping[str, tuple[int, int]], given: Given) -> list[str]:
    """What is missing, in words."""
    found = []
    for name, (count, size) in cells.items():
        if name in given.absent:
            found.append(f"{name} is not there: all of it is imputed")
        elif count:
            found.append(f"{name}: {count:,} of {size:,} cells are missing")
    return found or ["nothing is missing: the rows are given back as they are"]


__all__ = ["impute"]
