"""What is told of rows beside them, ranges and what is missing; and the cells of each variable that follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dgmppl.coding.cells import Cells, Fine, Values
from dgmppl.coding.charts import cells_of
from dgmppl.coding.common import of_rows
from dgmppl.coding.factors import Factors, Row
from dgmppl.coding.gaps import elements, gaps, missing
from dgmppl.coding.layout import fine_bins_of, steps_of
from dgmppl.coding.program import cases
from dgmppl.coding.stack import CodingError
from dgmppl.runtime.along import in_turn

_DRAWS = 512

WIDE = 2**16
"""Of a range of more values that of the rows is told, for each value has an entry in the table of an element."""

MOST_VALUES = 2**20
"""More have no table: none of its 2^24ths would be left to tell probable values from others."""


class SideInformation:
    """What whoever decodes rows is told beforehand, as whole numbers.

    Attributes:
        shares: of each variable that may be missing, the share of rows in which each part of it is, ``(gaps,)``.
    """

    def __init__(self, factors: Factors) -> None:
        self.factors, self.program, self.graph = factors, factors.program, factors.graph
        self._cells: dict[str, Cells] = {}
        self.shares: dict[str, Tensor] = {}

    @property
    def open(self) -> tuple[str, ...]:
        """What is coded and has no finite range, or one of very many values: that of the rows at hand has to be told.

        Probabilities are then those given that range, so that rows take no more than -log2 p.
        """
        coded = dict.fromkeys((*self.program.coded, *self.program.rounded.values()))
        discrete = (n for n in coded if self.graph[n].type.support.discrete)
        return tuple(n for n in discrete if not 0 < (self.graph[n].type.support.size or 0) <= WIDE)

    @property
    def count(self) -> int:
        """How many whole numbers are told."""
        return 2 * len(self.open) + sum(gaps(self.graph[name]) for name in self.program.missing)

    def tell(self, told: Sequence[int], rows: int) -> None:
        """Takes what `of` says of so many rows."""
        numbers = iter(told)
        self._cells = {name: Values(next(numbers), next(numbers)) for name in self.open}
        self.shares = {
            name: torch.tensor([next(numbers) for _ in range(gaps(self.graph[name]))]) / max(rows, 1)
            for name in self.program.missing
        }
        drawn = (n for n in self.program.drawn if n not in self.program.rounded)
        continuous = [n for n in drawn if not self.graph[n].type.support.discrete]
        if continuous:
            draws = self._draws(continuous)
            mapped, types = {*self.program.mapped}, {n: self.graph[n].type.support.chart for n in continuous}
            self._cells |= {
                n: fine_bins_of(draws[n]) if n in mapped else cells_of(draws[n], types[n]) for n in continuous
            }

    def of(self, rows: Row) -> tuple[int, ...]:
        """The least value of each open variable of rows, and how many there are from it on; how many of each element
        that may be missing are.

        Raises:
            CodingError: where latents take values without end.
        """
        env = self.factors.known(rows) if self.open else rows
        for part in self.program.inferred:
            if part.flow is not None and part.flow.exact and {*part.names} & {*self.open} - {*env}:
                # Behind what is summed out it is one of those of all cases.
                self.factors.invert(part.flow, every := self.factors.cases(env)[1])
                env = {**env, **{name: every[name] for name in part.names}}
        found: list[int] = []
        for name in self.open:
            if name not in env:
                raise CodingError(
                    f"`{name}` is {self.graph[name].type.describe()} and no data: nothing says which values it has",
                    f"give it a range: `{name} : integer(a..b)`",
                )
            there = env[name][~env[name].isnan()]
            low, high = (int(there.min()), int(there.max())) if len(there) else (0, 0)
            if high - low >= MOST_VALUES:
                raise CodingError(
                    f"the values of `{name}` go from {low} to {high}: a table has {MOST_VALUES:,} entries at most",
                    "leave out the rows that are far from the others, or count in larger units",
                )
            found += [low, high - low + 1]
        for name in self.program.missing:
            found += missing(self.graph[name], rows[name]).sum(0).tolist()
        return tuple(found)

    def cells(self, name: str) -> Cells:
        """What each element of a variable is one of."""
        if name in self.program.rounded:
            return self.steps(self.program.rounded[name])
        support = self.graph[name].type.support
        if name in self._cells or not support.size:
            return self._cells[name]
        return Values(int(support.low or 0), support.size)

    def steps(self, name: str) -> Fine:
        """Of a variable that is rounded, what it is one of before."""
        cells = self.cells(name)
        assert isinstance(cells, Values)
        return steps_of(cells)

    def under_q(self, name: str, env: Row) -> Cells:
        """Those that a q draws among: of what is rounded to data, those that are rounded to these."""
        cells = self.cells(name)
        return cells.rounded_to(env[self.program.rounded[name]]) if isinstance(cells, Fine) else cells

    @property
    def cells_of_a_row(self) -> int:
        """How many entries the tables of a row have."""
        program = self.program
        inferred = [n for part in program.inferred for n in part.names]
        found = sum(elements(self.graph[n]) * self.cells(n).size for n in (*program.coded, *inferred))
        if program.summed:
            found += int(cases(self.graph, program.summed)) * sum(
                elements(self.graph[n]) * self.cells(n).size for n in program.drawn
            )
        return found

    @property
    def words_of_a_row(self) -> int:
        """How many words the latents of a row take at most."""
        continuous = {n for n in self.program.bits_back if not self.graph[n].type.support.discrete}
        # A flow takes noise as well, under q and again under p.
        return sum(elements(self.graph[name]) * (3 if name in continuous else 1) for name in self.program.bits_back)

    def _draws(self, wanted: Sequence[str]) -> Row:
        """Draws of these from the sampling program; NaN beyond the ends of sequences. Of a chain that q composes those
        of q, given such rows: what p gives after many steps is not where a latent of the data lies before p is fitted.
        """
        n, env = _DRAWS, Row()
        torch.manual_seed(0)
        for name in self.program.conditions:
            cells, shape = self.cells(name), (n, *self.graph[name].type.shape)
            env[name] = cells.value(torch.randint(cells.size, shape))
        env |= of_rows(self.graph, self.factors.common, env)
        left = set(wanted) if not self.program.composed else {*self.program.drawn}
        for part in self.program.parts:
            if not left:
                break
            left -= {*part.names}
            if part.flow is not None:
                self.factors.value(part.flow.image, env)
                continue
            factors = [self.graph.keyed(key) for key in part.keys]
            if part.turns is None:
                law = self.factors.law(factors[0], env)
                env[part.names[0]] = law.sample() if law.batch_shape == (n,) else law.sample(torch.Size((n,)))
            else:
                shapes = [self.graph[name].type.shape for name in part.names]
                functions = [self.factors.function(f, part, env) for f in factors]
                found = in_turn(functions, shapes, n, torch.empty(0), None, part.turns.backward)
                env |= dict(zip(part.names, found))
        if self.program.composed:
            found = self.factors.model.infer(*(self.factors.value(v.name, env) for v in self.graph.data))
            env |= {name: found[name] for name in self.program.composed}
        return {name: self._ended(name, env) for name in wanted}

    def _ended(self, name: str, env: Mapping[str, Tensor]) -> Tensor:
        """Values with NaN beyond the ends of sequences."""
        variable = self.graph[name]
        if not variable.length:
            return env[name]
        beyond = torch.tensor(list(variable.members)) > env[variable.length][:, None]
        return env[name].masked_fill(beyond.reshape(*beyond.shape, *[1] * (env[name].dim() - 2)), torch.nan)


__all__ = ["SideInformation"]
