"""`sample`: draws of a run's model in the units of its data, by themselves, or for rows of conditions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from dgmppl.apply.answers import Answers, Chunk, verify_counts
from dgmppl.apply.given import CHUNK, Given
from dgmppl.apply.pictures import SamplePictures
from dgmppl.data.forms import Form
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.graph.nodes import Graph
from dgmppl.plan.forecast import indices
from dgmppl.train.conditions import conditions_as_given, read_conditions
from dgmppl.train.contents import Arrays
from dgmppl.train.ends import with_ends
from dgmppl.train.pasts import applied, index_of, read_arrays
from dgmppl.train.runs import continued, draw, load_run, verify_ways
from dgmppl.train.units import DataUnits, ModelUnits, in_units_of_data

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun


def sample(
    fitted: FittedRun,
    n: int | None = None,
    data: Any = None,
    *,
    split: str | None = None,
    conditions: Mapping[str, Any] | Sequence[str] = (),
    latents: bool = False,
    units: str = "data",
    given: Mapping[str, Any] | Sequence[str] = (),
    until: int | None = None,
    ways: Mapping[str, float | None] | None = None,
    seed: int = 0,
    **named: Any,
) -> Answers:
    """Draws of the data's variables, with their conditions; by name, in the units of the data: `run.sample(100)`.

    Args:
        n: how many; of each row that is given, which are 64, or 1 of each row.
        data: rows of conditions: a file, a DataFrame, arrays; or those of a `split`.
        conditions: values of conditions that all draws have in common, in the units of the data, classes as texts: by
            name, or as texts `name=value`; also as arguments of their own, `run.sample(100, y="clerk")`.
        latents: give the latents that the draws came from as well.
        units: "data", or "model" for the values as the model has them.
        given: what is known of rows, arrays by name or texts `name=file`: the first members of sequences, with which
            the draws begin, up to the member `until`; or any part of other variables, and of sequences with gaps, of
            which what is NaN, and what is behind, is drawn given all that is there, as `impute` draws it.
        ways: `steps`, `noise`, `guidance`: how to draw, where the model has such ways.

    Raises:
        SpecError: a condition is missing or outside its type (E706), the model has no such ways (E707), or what is
            given does not fit.
    """
    graph = fitted.graph
    verify_counts(n=n, until=until)
    conditions = {**conditions, **named} if isinstance(conditions, Mapping) else conditions or named
    in_data = in_units_of_data(units)
    asked = {name: value for name, value in (ways or {}).items() if value is not None}
    verify_ways(graph, fitted.plan, asked)
    parts = read_arrays(given, graph, fitted.fields, in_data)
    goes_on = any(graph[name].along in indices(graph) for name in parts)
    gaps = goes_on and until is None and any(_has_gap(fitted, name, v) for name, v in parts.items())
    if not goes_on and until is not None and parts:
        index_of([*parts], graph)  # says that nothing goes on
    if gaps or not goes_on:
        parts, goes_on = {n: _as_long_as_data(fitted, n, v) for n, v in parts.items()}, False
    arrays = {n: applied(fitted.fields[n], v) for n, v in parts.items()} if in_data and goes_on else parts
    rows = _rows(fitted, data, split, conditions)
    known = {*arrays, *(rows.table.columns if rows is not None else ())}
    values = _conditions(fitted, conditions, known, in_data)
    if parts:
        _verify_plain(rows, split, latents)
    if parts and not goes_on and not gaps and indices(graph):
        index_of([*parts], graph)  # says what is missing of the sequences
    if parts and not goes_on:
        return _clamped(fitted, parts, values, n or 1, in_data, seed)
    if parts:
        with fitted.computing(seed):
            found, whole, how = continued(fitted.model, fitted.run.checked, arrays, values, n or 1, until)
        told = DataUnits(whole, fitted.fields) if in_data else ModelUnits(whole)
        found = {
            **{name: np.resize(v, (len(next(iter(found.values()))), *v.shape[1:])) for name, v in values.items()},
            **found,
        }
        return _answers(told, lambda: iter([told.every(found)]), len(next(iter(found.values()))), list(found), how)
    told = DataUnits(graph, fitted.fields) if in_data else ModelUnits(graph)
    said = conditions_as_given(condition_texts(conditions), fitted.fields) if in_data else {}
    latent_names = _latents(fitted) if latents else ()

    def give() -> Iterator[Chunk]:
        with fitted.computing(seed):
            for count, these, as_given in _batches(graph, rows, values, n):
                found = told.every(_drawn(fitted, count, these, asked, latent_names))
                again = {**{n: np.resize(v, (count, *v.shape[1:])) for n, v in said.items()}, **as_given}
                yield {**found, **again} if in_data else found

    count = (n or 64) if rows is None else rows.rows * (n or 1)
    names = [v.name for v in graph.data if v.name not in graph.conditions or v.name in {*values, *known}]
    index = None if rows is None or rows.index is None else rows.index.repeat(n or 1)
    notes = told.stays if in_data else ()
    answers = _answers(told, give, count, [*names, *latent_names], notes, index)
    return answers if rows is None or not in_data else replace(answers, forms={**answers.forms, **_forms(graph, rows)})


def _clamped(
    fitted: FittedRun, parts: Mapping[str, NDArray[Any]], values: Arrays, each: int, in_data: bool, seed: int
) -> Answers:
    """So many draws of each row of which parts are known: those stay as they are."""
    from dgmppl.apply.impute import impute

    if not in_data:
        headline = "what is given of a row is in the units of the data, and so is what is drawn for it"
        raise SpecError([Diagnostic("E713", headline, help="leave --units out")])
    told = DataUnits(fitted.graph, fitted.fields)
    rows = len(next(iter(parts.values())))
    common = {name: told.of(name, v).repeat(rows, 0) for name, v in values.items()}
    whole = {name: fitted.fields[name].named(v) for name, v in parts.items()}
    found = impute(fitted, {**common, **whole}, draws=each, seed=seed)

    def give() -> Iterator[Chunk]:
        for chunk in found.give():
            yield {name: v.reshape(-1, *v.shape[2:]) for name, v in chunk.items()}

    columns = {name: told.labels(name) for name in fitted.fields}
    return replace(found, rows=rows * each, give=give, columns=columns, pictures=SamplePictures(told))


def _has_gap(fitted: FittedRun, name: str, values: NDArray[Any]) -> bool:
    """Whether members of a family are missing before others that are there."""
    if fitted.graph[name].along is None or values.ndim < 2 or not values.size or values.dtype.kind != "f":
        return False
    gone = np.isnan(values).reshape(*values.shape[:2], -1)
    behind = np.cumsum(gone.any(-1), 1) > 0
    return bool((behind & ~gone.all(-1)).any())


def _as_long_as_data(fitted: FittedRun, name: str, values: NDArray[Any]) -> NDArray[Any]:
    """The first members of a family with those behind them, which are missing; others as they are."""
    variable, shape = fitted.graph[name], fitted.fields[name].shape
    if variable.along is None or variable.length or values.ndim != 1 + len(shape) or values.shape[2:] != shape[1:]:
        return values
    if values.shape[1] >= shape[0] or name in fitted.graph.conditions:
        return values
    whole = np.full((len(values), *shape), np.nan)
    whole[:, : values.shape[1]] = values
    return whole


def _answers(
    told: DataUnits, give: Any, rows: int, names: Sequence[str], notes: Sequence[str] = (), index: Any = None
) -> Answers:
    columns = {name: told.labels(name) for name in names}
    return Answers(rows, give, columns, index, tuple(notes), SamplePictures(told), told.forms(names))


def _rows(
    fitted: FittedRun, data: Any, split: str | None, conditions: Mapping[str, Any] | Sequence[str]
) -> Given | None:
    """The rows of conditions; None where none are given."""
    graph = fitted.graph
    if data is None and split is None:
        return None
    if not graph.asked:
        headline = f"samples of {graph.name} depend on no row: it has no conditions"
        raise SpecError([Diagnostic("E713", headline, help="-n says how many are drawn")])
    once = {c.partition("=")[0].strip() if isinstance(c, str) else c for c in conditions}
    optional = tuple(v.name for v in graph.data if v.name not in graph.asked or v.name in once)
    return fitted.rows(data, split, optional=optional, missing=dict.fromkeys(optional, "elements"))


def _conditions(
    fitted: FittedRun, conditions: Mapping[str, Any] | Sequence[str], known: set[str], in_data: bool
) -> Arrays:
    return read_conditions(condition_texts(conditions), fitted.graph, fitted.fields, known, in_data)


def condition_texts(conditions: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """Conditions as the command line has them, `name=value`."""
    return [_text(*item) for item in conditions.items()] if isinstance(conditions, Mapping) else [*conditions]


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return f"{name}={value}"
    return f"{name}={','.join(repr(float(v)) for v in np.asarray(value).ravel())}"


def _latents(fitted: FittedRun) -> tuple[str, ...]:
    """The latents that samples come from, in the order in which they are drawn."""
    graph = fitted.graph
    made = dict.fromkeys(name for step in fitted.plan.generate for name in step.gives)
    found = tuple(name for name in made if graph[name].role == "latent" and not graph[name].shared)
    if not found:
        headline = f"samples of {graph.name} come from no latents that could be kept"
        raise SpecError([Diagnostic("E660", headline, help="leave --latents out")])
    return found


def _verify_plain(rows: Given | None, split: str | None, latents: bool) -> None:
    if rows is not None or latents:
        told = "--latents" if rows is None else "--data" if split is None else "--split"
        raise SpecError([Diagnostic("E713", f"{told} and --given do not go together", help=f"leave {told} out")])


def _forms(graph: Graph, rows: Given) -> dict[str, Form]:
    """What the conditions of rows are."""
    return {name: rows.form(name) for name in rows.table.columns if name in graph.conditions}


def _batches(
    graph: Graph, rows: Given | None, values: Arrays, n: int | None
) -> Iterator[tuple[int, Arrays, dict[str, NDArray[Any]]]]:
    """How many draws are made at once, all that is known of them, and what rows give of that, as it was given. What
    rows have in common is drawn once."""
    shared = bool(graph.shared)
    if rows is None:
        left = 64 if n is None else n
        while left:
            count = left if shared else min(left, CHUNK)
            yield count, {name: np.resize(v, (count, *v.shape[1:])) for name, v in values.items()}, {}
            left -= count
        return
    each, start = n or 1, 0
    for chunk in rows.chunks(rows.rows if shared else max(1, CHUNK // each)):
        found = {name: v.cpu().numpy().repeat(each, 0) for name, v in chunk.items()}
        count = len(next(iter(found.values())))
        kept = {name: v for name, v in found.items() if name in graph.conditions}
        stop = start + count // each
        as_given = {name: rows.as_given(name, start, stop) for name in kept}
        start = stop
        told = {name: rows.form(name).told(v).repeat(each, 0) for name, v in as_given.items() if v is not None}
        yield count, {**{name: np.resize(v, (count, *v.shape[1:])) for name, v in values.items()}, **kept}, told


def _drawn(
    fitted: FittedRun, count: int, known: Arrays, ways: Mapping[str, Any], latents: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Draws with what is known of them, in the order of the data, and their latents."""
    graph = fitted.graph
    if latents:
        asked = {name: torch.from_numpy(known[name]).to(fitted.model.device) for name in graph.asked}
        every = {n: v.cpu().numpy() for n, v in fitted.completion(count, asked, **ways).items()}
        found = {v.name: every[v.name] for v in graph.data if v.name not in graph.conditions}
    else:
        every, found = {}, draw(fitted.model, graph, count, known, ways)
    whole = {**known, **with_ends(found, graph, known)}
    return {**{v.name: whole[v.name] for v in graph.data if v.name in whole}, **{n: every[n] for n in latents}}


def sample_run(
    path: Path,
    n: int | None,
    out: Path,
    *,
    seed: int = 0,
    conditions: Sequence[str] = (),
    device: str = "cpu",
    allow_python: bool = False,
    ways: Mapping[str, float | None] | None = None,
    given: Sequence[str] = (),
    last: int | None = None,
) -> Answers:
    """Draws samples of a run's model to a file; see `sample`, `dgmppl.apply.answers.Answers.write`."""
    from dgmppl.apply.fitted import FittedRun

    fitted = FittedRun(*load_run(path, device, allow_python))
    found = sample(fitted, n, conditions=conditions, given=given, until=last, ways=ways, seed=seed)
    found.write(out)
    return found


__all__ = ["condition_texts", "sample", "sample_run"]
