"""Reads the conditions of `dgmppl sample --set y=3`: values of observed variables that nothing models."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.checks import find_problem
from dgmppl.data.dates import EXAMPLE, days_of
from dgmppl.data.fields import Field
from dgmppl.diagnostics import Diagnostic, SpecError, did_you_mean
from dgmppl.graph.nodes import Graph
from dgmppl.words import counted


def read_conditions(
    texts: Sequence[str],
    graph: Graph,
    fields: Mapping[str, Field] | None = None,
    known: Collection[str] = (),
    in_data: bool = False,
) -> dict[str, NDArray[np.float32]]:
    """For each condition of the graph an array (1, *shape) of the values given as `name=value,value,...`.

    Args:
        fields: what a run keeps of the data of a variable. A class may be given as its text.
        known: conditions whose values are known otherwise.
        in_data: values are in the units of the data, and not in those of the model.

    Raises:
        SpecError: for a name that is no condition, a value outside its type, or a condition without a value.
    """
    given: dict[str, NDArray[np.float32]] = {}
    for text in texts:
        name, _, values = text.partition("=")
        name = name.strip()
        if name not in graph.asked:
            known = ", ".join(graph.asked) or "it has none"
            help_ = did_you_mean(name, graph.asked, f"conditions of the model: {known}")
            if name in graph.conditions:
                raise _error("E706", f"samples of {graph.name} do not depend on `{name}`", help_)
            raise _error("E706", f"`{name}` is not a condition of {graph.name}", help_)
        field = (fields or {}).get(name)
        known_texts = list(field.classes or field.form.names) if field is not None else []
        if values.strip() in known_texts:
            values = str(known_texts.index(values.strip()))
        given[name] = _read_values(name, values, graph, known_texts, field if in_data else None)
    missing = [name for name in graph.asked if name not in (*given, *known)]
    if missing:
        types = ", ".join(f"{name} : {graph[name].type.describe()}" for name in missing)
        sets = " ".join(f"--set {name}=..." for name in missing)
        help_ = f"give {'a value' if len(missing) == 1 else 'values'} with {sets}, or rows of conditions with --data"
        raise _error("E706", f"{graph.name} is conditional on {types}", help_)
    return given


def conditions_as_given(texts: Sequence[str], fields: Mapping[str, Field]) -> dict[str, NDArray[Any]]:
    """For each `name=value,value,...` that `read_conditions` takes in the units of the data an array (1, *shape of the
    data) of the values as they are given, classes as texts; none of a variable whose transforms have no inverse."""
    found = {}
    for text in texts:
        name, _, values = text.partition("=")
        field = fields[name.strip()]
        if not field.invertible:
            continue
        words = list(field.classes or field.form.names)
        if values.strip() in words:
            values = str(words.index(values.strip()))
        read = days_of if field.dates else float
        row = np.array([read(value) for value in values.split(",")]).reshape(1, *field.shape)
        found[name.strip()] = field.as_given(row)
    return found


def _read_values(
    name: str, text: str, graph: Graph, classes: Sequence[str], field: Field | None
) -> NDArray[np.float32]:
    declared = graph[name].type
    is_declared = f"`{name}` is declared {declared.describe()}"
    its_classes = f"its classes: {', '.join(classes)}" if classes else ""
    try:
        number = days_of if field is not None and field.dates else float
        values = np.array([number(value) for value in text.split(",")])
    except ValueError:
        help_ = (
            f"values are dates: {EXAMPLE}"
            if field is not None and field.dates
            else did_you_mean(text.strip(), classes, its_classes or "values are numbers")
        )
        raise _error("E706", f"{is_declared}, but --set gives {text!r}", help_) from None
    if values.size != declared.elements:
        raise _error("E706", f"{is_declared}, but --set gives {counted(values.size, 'value')}, not {declared.elements}")
    row = values.reshape(1, *declared.shape)
    if field is not None and field.invertible and field.transforms:
        row = field.apply(values.reshape(1, *field.shape))
    problem = find_problem(row, declared.support)
    if problem is not None:
        _, _, found, expected = problem
        raise _error("E706", f"{is_declared}, but --set gives {found}: {expected}", its_classes)
    return row.astype(np.float32)


def _error(code: str, headline: str, help_: str = "") -> SpecError:
    return SpecError([Diagnostic(code, headline, help=help_)])
