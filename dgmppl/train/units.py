"""The units of the data: what a run's model gives, as its data have it and with their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.fields import Field, element_labels
from dgmppl.data.forms import NUMBERS, Form
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.graph.names import member_name
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.supports import REAL, Interval, Support, Type
from dgmppl.train.ends import with_ends
from dgmppl.train.pictures import Shown

Values = NDArray[Any]


def in_units_of_data(units: str) -> bool:
    """Whether units are those of the "data"; else those of the "model".

    Raises:
        SpecError: (E713) when they are neither.
    """
    if units not in ("data", "model"):
        raise SpecError([Diagnostic("E713", f"units are those of the data or of the model, not {units}")])
    return units == "data"


class DataUnits:
    """Values of a model in the units of its data, classes as texts.

    Args:
        graph: whose variables they are.
        fields: what is kept of the data of each variable; those of other variables stay as they are.
    """

    def __init__(self, graph: Graph, fields: Mapping[str, Field]) -> None:
        self.graph, self.fields = graph, fields

    def of(self, name: str, values: Values, means: bool = False) -> Values:
        """Values of a variable, (n, *shape of the model) to (n, *shape of the data); or means of such."""
        field = self._field(name)
        return values if field is None else field.invert(values, means)

    def every(self, found: Mapping[str, Values], means: bool = False) -> dict[str, Values]:
        """Values of several variables of the same rows: nan beyond the end of a sequence whose length is among them."""
        return {name: self.of(name, values, means) for name, values in with_ends(found, self.graph).items()}

    def forms(self, names: Iterable[str], means: bool = False) -> dict[str, Form]:
        """What the values of these variables are that `every` gives."""
        fields = {name: self._field(name) for name in names}
        known = {name: NUMBERS if field is None else field.form for name, field in fields.items()}
        return {name: form for name, form in known.items() if form.kind and not (means and form.kind == "whole")}

    def labels(self, name: str) -> tuple[str, ...]:
        """What the elements of a row are called: columns of the data, `x[0, 1]`, or `z[3][1]` of the member 3."""
        field = self._field(name)
        return labels_of(self.graph[name]) if field is None else field.labels

    def shown(self, name: str) -> Shown:
        """How values are shown that `of` gave."""
        field, declared = self._field(name), self.graph[name].type
        if field is None:
            return Shown(declared)
        named = self.labels(name) if field.columns else ()
        return Shown(data_type(field), named, field.classes, field.dates, field.form.names)

    def _field(self, name: str) -> Field | None:
        """The field of a variable; None where there is none, or where a family has other members than the data."""
        field = self.fields.get(name)
        return field if field is not None and field.type.shape == self.graph[name].type.shape else None

    @property
    def stays(self) -> tuple[str, ...]:
        """What is told as the model has it, in words: transforms of the spec that have no inverse."""
        return tuple(
            f"{name} is as the model has it: {', '.join(field.transform_names)} has no inverse"
            for name, field in self.fields.items()
            if not field.invertible
        )


class ModelUnits(DataUnits):
    """Values as the model has them, with names of elements alone."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph, {})


def labels_of(variable: Variable) -> tuple[str, ...]:
    """The names of a variable's elements as a table has them: `z[0]`, and `z[3][0]` of the member 3 of a family."""
    if variable.along is None:
        return element_labels(variable.name, variable.type.shape)
    members = (member_name(variable.name, number) for number in variable.members)
    return tuple(label for name in members for label in element_labels(name, variable.element.shape))


def data_type(field: Field) -> Type:
    """The type of values in the units of the data."""
    if not field.invertible:
        return field.type
    numbers = field.in_numbers
    declared, shape = field.type.support, field.shape

    def ends(value: float) -> Values:
        return numbers.invert(np.full((1, *field.type.shape), value))

    bounds = [value for value in (declared.low, declared.high) if value is not None]
    same = all(np.allclose(ends(value), value) for value in (field.type.feasible, *bounds))
    support: Support = declared
    if not same and len(bounds) == 2:
        reached = np.concatenate([ends(value) for value in bounds])
        low, high = float(reached.min()), float(reached.max())
        support = Interval(low, high) if low < high else REAL
    elif not same:
        support = REAL
    return Type(support, shape)


__all__ = ["DataUnits", "ModelUnits", "data_type", "in_units_of_data", "labels_of"]
