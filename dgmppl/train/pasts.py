"""Reads what is known of sequences: `dgmppl sample --given x=walks.npz`, the first members of each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.checks import find_problem
from dgmppl.data.dates import EXAMPLE
from dgmppl.data.fields import Field
from dgmppl.data.formats.columns import array_days
from dgmppl.data.rows import BadCell
from dgmppl.diagnostics import Diagnostic, SpecError, did_you_mean
from dgmppl.graph.nodes import Along, Graph, Variable
from dgmppl.plan.forecast import Forecast, indices
from dgmppl.words import are, counted

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Past:
    """What is known of rows: `values` of each variable ``(rows, *shape)``, of families up to their member `last`,
    ``(rows,)``, and something of the support beyond."""

    values: Mapping[str, Values]
    last: NDArray[np.int64]


def read_arrays(
    given: Mapping[str, Any] | Sequence[str], graph: Graph, fields: Mapping[str, Field], in_data: bool = True
) -> dict[str, NDArray[np.generic]]:
    """The arrays that are given, or that `name=file` names, by variable; texts of classes as their numbers, dates as
    days.

    Args:
        fields: what a run keeps of the data of each variable.
        in_data: values are in the units of the data, and not in those of the model, which has no dates.

    Raises:
        SpecError (E715): for a name that is no variable of the data, or a file without such an array.
    """
    found: dict[str, NDArray[np.generic]] = {}
    names = [v.name for v in graph.data]
    pairs = [*given.items()] if isinstance(given, Mapping) else [text.partition("=")[::2] for text in given]
    for name, place in ((str(name).strip(), place) for name, place in pairs):
        if name not in names:
            help_ = did_you_mean(name, names, f"its data: {', '.join(names)}")
            raise _error(f"`{name}` is no variable of the data of {graph.name}", help_)
        if isinstance(place, str | Path):
            where = str(place).strip()
            found[name] = _numbers(fields[name], _read(graph[name], Path(where)), where, in_data)
        else:
            found[name] = _numbers(fields[name], np.asarray(place), "what is given", in_data)
    return found


def _numbers(field: Field, array: NDArray[Any], where: str, in_data: bool) -> NDArray[np.generic]:
    """An array as numbers: of classes those that their texts stand for, of dates the days."""
    dates = field.dates and in_data
    if dates and array.dtype.kind in "OUM":
        try:
            return array_days(array, field.name)[0]
        except BadCell as error:
            raise _error(f"`{field.name}` in {where} holds values that are no dates: {error}") from None
    if array.dtype.kind in "OU":
        numbers = {"": np.nan, **{text: float(k) for k, text in enumerate(field.classes)}}
        texts = ["" if v is None or v != v else v for v in array.ravel().tolist()]
        if all(isinstance(text, str) and text in numbers for text in texts):
            array = np.array([numbers[text] for text in texts]).reshape(array.shape)
    if array.dtype.kind not in "fiub" or not array.ndim:
        known = f"its classes: {', '.join(field.classes)}" if field.classes else ""
        raise _error(f"`{field.name}` in {where} holds no numbers", f"its dates: {EXAMPLE}" if dates else known)
    return array


def applied(field: Field, array: NDArray[np.generic]) -> NDArray[np.generic]:
    """The first members of rows as the model has them: transforms know those that are not there as missing."""
    shape = field.shape
    if not field.transforms or not field.invertible or array.ndim != 1 + len(shape) or array.shape[2:] != shape[1:]:
        return array
    members = array.shape[1] if shape else 0
    if shape and members > shape[0]:
        return array
    if not shape:
        return field.apply(array.astype(np.float64))
    whole = np.full((len(array), *shape), np.nan)
    whole[:, :members] = array
    found = field.apply(whole)
    return found[:, :members] if found.shape[1:] == shape else found


def index_of(names: Sequence[str], graph: Graph) -> Along:
    """The index along which the families go on of which something is given.

    Raises:
        SpecError (E715): for none, or several.
    """
    known = indices(graph)
    found = [a for a in known if any((v := graph[n].along) and v.letter == a.letter for n in names)]
    if not known:
        raise _error(f"{graph.name} has no observed sequence that goes on", "--set gives a value to a condition")
    if len(found) != 1:
        families = [v.name for v in graph.observed if v.along in known and v.name not in graph.conditions]
        given = f"of {', '.join(f'`{name}`' for name in families)} nothing is given" if not found else "of two indices"
        raise _error(f"{graph.name} goes on along one index: {given}", f"--given {families[0]}=FILE")
    return found[0]


def read_past(
    arrays: Mapping[str, NDArray[np.generic]],
    set_: Mapping[str, Values],
    graph: Graph,
    forecast: Forecast,
    longer: Graph | None = None,
) -> Past:
    """What is known of rows, held against the types of the spec; of what is known as a whole those of a `longer` one.

    Args:
        arrays: ``(rows, members, ...)`` of families, of which nan may stand behind the last that is known of a row.
        set_: values of conditions, one for all rows.

    Raises:
        SpecError (E715): for what is missing, of another shape, outside its type, or too long.
    """
    missing = [name for name in forecast.given if name not in {*arrays, *set_}]
    if missing:
        types = ", ".join(f"{name} : {graph[name].type.describe()}" for name in missing)
        help_ = f"give its values with {' '.join(f'--given {name}=FILE' for name in missing)}"
        raise _error(f"how {', '.join(forecast.families)} goes on depends on {types}", help_)
    counts = {name: len(values) for name, values in arrays.items()}
    if len(set(counts.values())) > 1:
        each = ", ".join(f"{count} of `{name}`" for name, count in counts.items())
        raise _error(f"there are as many rows of each variable: found {each}")
    rows = next(iter(counts.values()))
    if not rows:
        raise _error("no row is given")
    whole = longer or graph
    values = {name: np.repeat(_whole(whole[name], v), rows, 0) for name, v in set_.items() if name in forecast.whole}
    lasts: dict[str, NDArray[np.int64]] = {}
    for name in forecast.families:
        values[name], lasts[name] = _begun(graph[name], arrays[name])
    for name in forecast.whole:
        if name in arrays:
            values[name] = _whole(whole[name], arrays[name])
    last, end = _agreed(graph, forecast, values, lasts), whole[forecast.families[0]].members[-1]
    if (row := _where(last > end)) is not None:
        raise _error(f"row {row} is given up to {forecast.along.letter} = {last[row]}, and --until is {end}")
    return Past(values, last)


def _read(variable: Variable, place: Path) -> NDArray[np.generic]:
    name = variable.name
    try:
        loaded = np.load(place, allow_pickle=False)
    except FileNotFoundError:
        raise _error(f"there is no file {place}", f"--given {name}=FILE reads a .npy or .npz file") from None
    except (OSError, ValueError, EOFError):
        raise _error(f"{place} is no array", f"--given {name}=FILE reads a .npy or .npz file of numbers") from None
    if isinstance(loaded, np.ndarray):
        array = loaded
    else:
        with loaded:
            field = variable.data.field if variable.data is not None else ""
            only = loaded.files if len(loaded.files) == 1 else []
            key = next((key for key in (name, field, *only) if key in loaded.files), None)
            if key is None:
                headline = f"{place} has no array `{name}`: it has {', '.join(loaded.files) or 'none'}"
                raise _error(headline, f"an array called {name} is looked for, or the only one")
            try:
                array = loaded[key]
            except ValueError:
                raise _error(f"`{key}` in {place} is no array of numbers") from None
    return np.asarray(array)


def _begun(variable: Variable, array: NDArray[np.generic]) -> tuple[Values, NDArray[np.int64]]:
    """The values of a family, and the number of the last member that is given of each row."""
    length, element = variable.type.shape[0], variable.type.shape[1:]
    declared = f"`{variable.name}` is declared {variable.type.describe()}"
    if array.ndim != 2 + len(element) or array.shape[2:] != element:
        expected = ", ".join(["rows", "members", *map(str, element)])
        raise _error(f"{declared}, and {list(array.shape)} is given", f"an array [{expected}] has its first members")
    if not array.shape[1]:
        raise _error(f"no member of `{variable.name}` is given", "sample without --given draws rows from their start")
    if array.shape[1] > length:
        headline = (
            f"`{variable.name}` has {counted(length, 'member')}, and {array.shape[1]} {are(array.shape[1])} given"
        )
        raise _error(headline, f"at most {length - 1} leave something to be drawn")
    numbers = array.astype(float)
    gone = np.isnan(numbers).reshape(*array.shape[:2], -1)
    counts = (~gone.any(-1)).cumprod(1).sum(1)
    beyond = np.arange(array.shape[1]) >= counts[:, None]
    if not gone[beyond].all():
        row = int(np.nonzero((beyond[..., None] & ~gone).any((1, 2)))[0][0])
        member = variable.members[int(counts[row])]
        headline = f"row {row} of `{variable.name}` has nan at {member}, and numbers behind"
        raise _error(
            headline,
            "nan stands behind the last member that is given; gaps are drawn as well where --until is left out",
        )
    known = np.where(gone.reshape(array.shape), variable.type.feasible, numbers)
    _verify(variable, known)
    whole = np.full((len(array), *variable.type.shape), variable.type.feasible, np.float32)
    whole[:, : array.shape[1]] = known
    return whole, counts + variable.members.start - 1


def _whole(variable: Variable, array: NDArray[Any]) -> Values:
    if array.shape[1:] != variable.type.shape:
        headline = f"`{variable.name}` is declared {variable.type.describe()}, and {list(array.shape)} is given"
        expected = ", ".join(["rows", *map(str, variable.type.shape)])
        raise _error(headline, f"it is given whole: an array [{expected}]")
    found = array.astype(float)
    if variable.length:  # what lies beyond an end is no part of a row
        found = np.where(np.isnan(found), variable.type.feasible, found)
    _verify(variable, found)
    return found.astype(np.float32)


def _verify(variable: Variable, values: NDArray[np.float64]) -> None:
    problem = find_problem(values, variable.type.support)
    if problem is not None:
        row, _, value, expected = problem
        raise _error(f"`{variable.name}` is declared {variable.type.describe()}, and row {row} has {value}: {expected}")


def _agreed(
    graph: Graph, forecast: Forecast, values: Mapping[str, Values], lasts: Mapping[str, NDArray[np.int64]]
) -> NDArray[np.int64]:
    """The number of the last member that is given of each row, in which all families agree."""
    letter = forecast.along.letter
    (first, last), *others = lasts.items()
    for name, other in others:
        if (row := _where(other != last)) is not None:
            headline = f"row {row} has `{first}` up to {letter} = {last[row]} and `{name}` up to {other[row]}"
            raise _error(headline, "what is given ends at the same place")
    start = max(v.members.start for v in graph.variables if v.along is not None and v.along.letter == letter)
    if (row := _where(last < start)) is not None:
        raise _error(f"row {row} has no member up to {letter} = {start}", "`sample` without --given draws whole rows")
    if forecast.along.length:
        ends = values[forecast.along.length]
        if (row := _where(last > ends)) is not None:
            length = forecast.along.length
            raise _error(f"row {row} ends at {length} = {ends[row]:g}, and is given up to {letter} = {last[row]}")
    return last


def _where(wrong: NDArray[np.bool_]) -> int | None:
    return int(np.argmax(wrong)) if wrong.any() else None


def _error(headline: str, help_: str = "") -> SpecError:
    return SpecError([Diagnostic("E715", headline, help=help_)])


__all__ = ["Past", "applied", "index_of", "read_arrays", "read_past"]
