"""Figures in the units of the data: what fits are compared by, whatever transforms their specs have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from dgmppl.catalogue.figures import Figure
from dgmppl.data.fields import Field
from dgmppl.graph.nodes import Graph
from dgmppl.plan.figures import scored
from dgmppl.plan.nodes import Plan
from dgmppl.runtime.cases import is_missing

Give = Callable[..., Mapping[str, Tensor]]


class DensityUnits:
    """Log-densities of rows, and squares of errors, told in the units of the data.

    Where v = t(u) is what the model has of a value u of the data, log p(u) = log p(v) + log |det dt/du|. Probabilities
    of discrete values have no units, and a variable whose transforms have no inverse stays as the model has it.

    Args:
        graph, plan: of the model.
        fields: what is kept of the data of each variable.
        more: other figures than those of the plan.
        densities: whether densities are told in the units of the data; else errors alone are.
    """

    def __init__(
        self, graph: Graph, plan: Plan, fields: Mapping[str, Field], *more: Figure, densities: bool = True
    ) -> None:
        self.graph, self.fields = graph, fields
        figures = (*plan.figures, *more)
        self.of = {f.name: names for f in figures if densities and (names := self._changed(scored(graph, f)))}
        self.squares = {f.name: names for f in figures if f.kind == "rmse" and (names := self._changed(f.variables))}

    def _changed(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name in self.fields and self.fields[name].rescales)

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables whose densities are told as others in the units of the data."""
        return tuple(dict.fromkeys(name for names in self.of.values() for name in names))

    def log_derivatives(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """log |det dt/du| of each of these variables that rows have, (n,) in double precision."""
        return {name: self._log_derivative(name, rows) for name in self.variables if name in rows}

    def told(self, figures: Mapping[str, Tensor], rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Figures of rows in the units of the data. One that is of the rows alone that have a variable stays so."""
        found = dict(figures)
        for name in self.squares.keys() & found.keys():
            (variable,) = self.squares[name]
            found[name] = found[name].double() * (-2 * self._log_derivative(variable, rows)).exp()
        changes = self.log_derivatives(rows)
        for name in self.of.keys() & found.keys():
            for variable in self.of[name]:
                change = changes[variable]
                if len(found[name]) < len(change):
                    change = change[~is_missing(rows[variable])]
                found[name] = found[name].double() + change
        return found

    def give(self, figures: Give) -> Give:
        """A function that gives figures of the tensors `model.data`, in the units of the data."""
        if not self.of and not self.squares:
            return figures
        names = [v.name for v in self.graph.data]
        return lambda *data: self.told(figures(*data), dict(zip(names, data, strict=True)))

    def _log_derivative(self, name: str, rows: Mapping[str, Tensor]) -> Tensor:
        values = self._there(name, rows)
        constant = self._constants.get(name)
        if constant is None:
            each = torch.from_numpy(self.fields[name].log_derivative(values.cpu().numpy())).to(values.device)
        else:
            each = torch.where(values.isnan(), 0.0, constant.to(values.device))
        return each.reshape(len(each), -1).sum(1)

    def _there(self, name: str, rows: Mapping[str, Tensor]) -> Tensor:
        """The values of a variable, NaN where they have no density: beyond the end, and in rows that miss some."""
        variable, values = self.graph[name], rows[name]
        if variable.length:
            members = torch.tensor(variable.members, device=values.device)
            beyond = members > rows[variable.length].unsqueeze(-1)
            values = values.masked_fill(beyond.reshape(*beyond.shape, *[1] * (values.dim() - 2)), torch.nan)
        elif variable.role == "partial" and not variable.elementwise:
            missing = is_missing(values)
            values = values.masked_fill(missing.reshape(-1, *[1] * (values.dim() - 1)), torch.nan)
        return values

    @cached_property
    def _constants(self) -> dict[str, Tensor]:
        """What does not depend on the values, by variable, (*type.shape)."""
        return {
            name: torch.from_numpy(self.fields[name].log_derivative(np.zeros((1, *self.fields[name].type.shape))))[0]
            for name in {*self.variables, *(v for names in self.squares.values() for v in names)}
            if self.fields[name].affine
        }


__all__ = ["DensityUnits", "Give"]
