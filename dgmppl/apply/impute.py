"""`impute`: rows with what is missing of them filled in, what is seen as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dgmppl.apply.answers import Answers, Chunk, verify_counts
from dgmppl.apply.data_files import COMMAS, file_given
from dgmppl.apply.filled import Completer
from dgmppl.apply.gaps import count_gaps, lacked, may_lack, told_gaps
from dgmppl.apply.imputing import completion
from dgmppl.apply.originals import lacking_columns, original_of, with_columns
from dgmppl.diagnostics import Diagnostic, SpecError

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
    modelled = may_lack(graph)
    lacking = lacking_columns(data, fitted.fields) if data is not None else ()
    file = file_given(data)
    data = with_columns(data, lacking, fitted.fields)
    given = fitted.rows(data, split, optional=modelled, missing=lacked(graph, modelled))
    if not given.table.columns:
        names = ", ".join(label for f in fitted.fields.values() for label in f.labels[:8])
        raise SpecError([Diagnostic("E504", f"the data have nothing of what the model is about: {names}")])
    cells = count_gaps(graph, given)
    missing = tuple(name for name, (count, _) in cells.items() if count)
    way = completion(fitted.run.checked, missing, fitted.model) if missing else None
    notes = [
        *(f"{name} is not there: all of it is imputed" for name in lacking),
        *told_gaps(cells, given),
        *([way.words] if way is not None else []),
    ]
    original = original_of(data, next(iter(given.originals.values()), None))
    work = Completer(fitted, given, original, way, missing, draws, deviations, samples)

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
    marks = COMMAS if file is None else file.marks(field.source.reading for field in fitted.fields.values())
    return Answers(rows, give, {}, index, notes, None, work.forms, *work.types, marks)


__all__ = ["impute"]
