"""Rows on a stack: a model's sampling program, drawn backward to put rows on it, and forward to take them off."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.coding.cells import Bins, Cells, Fine, Intervals, Values, fine_bins_of, steps_of
from dgmppl.coding.charts import cells_of
from dgmppl.coding.common import of_rows, values_in_common
from dgmppl.coding.inverting import Flow
from dgmppl.coding.laws import draw, draw_in_turn
from dgmppl.coding.mapped import Mapped, noise
from dgmppl.coding.program import Part, Program, cases
from dgmppl.coding.stack import Chooser, CodingError, Popping, Recording, Scattered, Stack
from dgmppl.graph.nodes import Factor
from dgmppl.graph.values import variables
from dgmppl.runtime import GenerativeModel
from dgmppl.runtime.affine_means import root_of
from dgmppl.runtime.along import Sequence as Along
from dgmppl.runtime.along import in_turn
from dgmppl.runtime.cases import enumerate_values
from dgmppl.runtime.choices import SideBySide, chosen_by
from dgmppl.runtime.distributions import Delta
from dgmppl.runtime.functions import dequantised_to
from dgmppl.runtime.missing import log_prob_where

Row = dict[str, Tensor]
"""Values by variable, rows first; NaN where one is missing."""

_DRAWS = 512

WIDE = 2**16
"""Of a range of more values that of the rows is told, for each value has an entry in the table of an element."""

MOST_VALUES = 2**20
"""More have no table: none of its 2^24ths would be left to tell probable values from others."""


class Coder:
    """Codes rows by a model in double precision."""

    def __init__(self, program: Program, model: GenerativeModel) -> None:
        self.program, self.model, self.graph = program, model, program.graph
        self._cells: dict[str, Cells] = {}
        self._shares: dict[str, Tensor] = {}

    @cached_property
    def _common(self) -> Row:
        """What rows have in common, as a value of it for each group where it has one."""
        return values_in_common(self.graph, self.model)

    # --- what is told of rows before they are coded ---------------------------------------------------

    @property
    def open(self) -> tuple[str, ...]:
        """What is coded and has no finite range, or one of very many values: that of the rows at hand has to be told.

        Probabilities are then those given that range, so that rows take no more than -log2 p.
        """
        coded = dict.fromkeys((*self.program.coded, *self.program.rounded.values()))
        discrete = (n for n in coded if self.graph[n].type.support.discrete)
        return tuple(n for n in discrete if not 0 < (self.graph[n].type.support.size or 0) <= WIDE)

    @property
    def told(self) -> int:
        """How many whole numbers are told."""
        return 2 * len(self.open) + sum(self._gaps(name) for name in self.program.missing)

    def tell(self, told: Sequence[int], rows: int) -> None:
        """What `told_of` says of so many rows."""
        numbers = iter(told)
        self._cells = {name: Values(next(numbers), next(numbers)) for name in self.open}
        self._shares = {
            name: torch.tensor([next(numbers) for _ in range(self._gaps(name))]) / max(rows, 1)
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

    def told_of(self, rows: Row) -> tuple[int, ...]:
        """The least value of each open variable of rows, and how many there are from it on; how many of each element
        that may be missing are.

        Raises:
            CodingError: where latents take values without end.
        """
        env = self._known(rows) if self.open else rows
        for part in self.program.inferred:
            if part.flow is not None and part.flow.exact and {*part.names} & {*self.open} - {*env}:
                # Behind what is summed out it is one of those of all cases.
                self._invert(part.flow, every := self._cases(env)[1], None, None)
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
            found += self._missing(name, rows[name]).sum(0).tolist()
        return tuple(found)

    def cells(self, name: str) -> Cells:
        """What each element of a variable is one of."""
        if name in self.program.rounded:
            return self._steps(self.program.rounded[name])
        support = self.graph[name].type.support
        if name in self._cells or not support.size:
            return self._cells[name]
        return Values(int(support.low or 0), support.size)

    def _steps(self, name: str) -> Fine:
        """Of a variable that is rounded, what it is one of before."""
        cells = self.cells(name)
        assert isinstance(cells, Values)
        return steps_of(cells)

    def _under_q(self, name: str, env: Row) -> Cells:
        """Those that a q draws among: of what is rounded to data, those that are rounded to these."""
        cells = self.cells(name)
        return cells.rounded_to(env[self.program.rounded[name]]) if isinstance(cells, Fine) else cells

    @property
    def cells_of_a_row(self) -> int:
        """How many entries the tables of a row have."""
        program = self.program
        inferred = [n for part in program.inferred for n in part.names]
        found = sum(self._elements(n) * self.cells(n).size for n in (*program.coded, *inferred))
        if program.summed:
            found += int(cases(self.graph, program.summed)) * sum(
                self._elements(n) * self.cells(n).size for n in program.drawn
            )
        return found

    @property
    def words_of_a_row(self) -> int:
        """How many words the latents of a row take at most."""
        continuous = {n for n in self.program.bits_back if not self.graph[n].type.support.discrete}
        # A flow takes noise as well, under q and again under p.
        return sum(self._elements(name) * (3 if name in continuous else 1) for name in self.program.bits_back)

    def _elements(self, name: str) -> int:
        return math.prod(self.graph[name].type.shape)

    def _gaps(self, name: str) -> int:
        """How many parts of a variable may be missing, each by itself."""
        return self._elements(name) if self.graph[name].elementwise else 1

    def _missing(self, name: str, value: Tensor) -> Tensor:
        """Which of these are, ``(n, gaps)``."""
        found = value.isnan().reshape(len(value), -1)
        return found if self.graph[name].elementwise else found.any(-1, keepdim=True)

    def _of_elements(self, name: str, missing: Tensor) -> Tensor:
        """Whether each element is missing, ``(n, *shape)``."""
        return missing.expand(-1, self._elements(name)).reshape(len(missing), *self.graph[name].type.shape)

    # --- rows ----------------------------------------------------------------------------------------

    def encode(self, rows: Row, stack: Stack) -> None:
        """Puts rows ``(n, ...)`` on a stack, from which it takes the bits of their latents."""
        gaps = {name: self._missing(name, rows[name]) for name in self.program.missing}
        env = self._known(rows)
        self._infer(env, Scattered(Popping(stack)), None)
        recording = Recording()
        self._generate(env, gaps, recording, len(next(iter(rows.values()))))
        recording.push(stack)

    def decode(self, n: int, stack: Stack) -> Row:
        """Takes n rows from a stack, and puts the bits of their latents back."""
        env, gaps = self._generate({}, {}, Popping(stack), n)
        recording = Recording()
        found = {name: self._value(name, env) for name in self.program.gives}
        found |= {m: found[m].masked_fill(self._of_elements(m, gap), torch.nan) for m, gap in gaps.items()}
        # A copy: what is inferred of a row is put beside it.
        for part in self.program.inferred:
            for name in part.names:
                self._value(name, env)
        self._infer({**found, **of_rows(self.graph, self._common, found)}, Scattered(recording), env)
        recording.push(stack)
        return found

    def _known(self, rows: Row) -> Row:
        """Rows with what they determine, and what they have in common."""
        env = {**rows, **of_rows(self.graph, self._common, rows)}
        for part in self.program.inferred:
            reads = part.flow.reads if part.flow is not None else self.graph.reads(self.graph.keyed(part.keys[0]))
            if not part.certain or not {*self.graph.roots(reads)} <= {*env}:
                continue
            if part.flow is not None:
                self._invert(part.flow, env, None, None)
            else:
                env[part.names[0]] = self._law(self.graph.keyed(part.keys[0]), env).mean
        return env

    def _generate(self, env: Row, gaps: Row, chooser: Chooser, n: int) -> tuple[Row, Row]:
        """The sampling program, with what is missing before it: what is not known is chosen."""
        gaps = {name: self._gap(name, gaps.get(name), chooser, n) for name in self.program.missing}
        known = dict(env)
        found = {k: v for k, v in env.items() if k not in self.program.coded}
        for name in self.program.conditions:
            cells, shape = self.cells(name), (n, *self.graph[name].type.shape)
            this = known.get(name)
            index = None if this is None else cells.index(this).reshape(-1)
            alike = torch.zeros(math.prod(shape), cells.size)
            found[name] = cells.value(chooser.choose(alike, index).reshape(shape))
        found |= of_rows(self.graph, self._common, found)
        seen = {name: ~self._of_elements(name, gaps[name]) for name in self.program.apart}
        for part in self.program.parts:
            if part.flow is not None:
                self._map(part.flow, found, chooser, known)
            else:
                self._draw(part, found, chooser, known, n, seen)
        return found, gaps

    def _gap(self, name: str, known: Tensor | None, chooser: Chooser, n: int) -> Tensor:
        """What is missing of a variable, ``(n, gaps)``, by the share of rows in which it is."""
        share = self._shares[name].expand(n, -1)
        table = torch.stack([1 - share, share], -1).log().flatten(0, 1)
        found = chooser.choose(table, None if known is None else known.long().reshape(-1))
        return found.reshape(n, -1).bool()

    def _infer(self, env: Row, chooser: Chooser, known: Row | None) -> None:
        """The latents of rows: those of `known`, or chosen ones. They are put into `env`."""
        n = len(next(iter(env.values())))
        for part in self.program.inferred:
            if part.flow is not None:
                self._undo(part.flow, env, chooser, known)
                continue
            rows = {name: env[name] for name in part.names if name in self.program.missing}
            where = {name: v.isnan() for name, v in rows.items()}
            self._draw(part, env, chooser, known or {}, n, where, lambda name: self._under_q(name, env))
            for name, value in rows.items():
                env[name] = torch.where(value.isnan(), env[name], value)
        if self.program.summed:
            self._sum(env, chooser, known, n)
        if self.program.chained:
            self._follow(env, chooser, known)
        for part in self.program.inferred:
            if part.flow is not None and {*part.names} & {*self.program.later}:
                self._invert(part.flow, env, chooser, known)

    def _draw(
        self,
        part: Part,
        env: Row,
        chooser: Chooser,
        known: Row,
        n: int,
        where: Row,
        cells: Callable[[str], Cells] | None = None,
    ) -> None:
        """Puts values of a part into `env`: known ones, or chosen ones. `where`: the elements that there are of each
        variable, where that is not all of them. `cells`: what elements are one of, where it is not as `cells` says."""
        cells = cells or self.cells
        factors = [self.graph.keyed(key) for key in part.keys]
        try:
            if part.turns is None:
                (name,) = part.names
                law = self._law(factors[0], env)
                law = law if law.batch_shape == (n,) else law.expand(torch.Size((n,)))
                env[name] = draw(law, cells(name), chooser, known.get(name), where.get(name))
                return
            found = draw_in_turn(
                [self._function(f, part, env) for f in factors],
                [(n, *self.graph[name].type.shape) for name in part.names],
                [cells(name) for name in part.names],
                chooser,
                [known.get(name) for name in part.names],
                part.turns.backward,
            )
            env |= dict(zip(part.names, found))
        except CodingError as error:
            raise CodingError(f"{' '.join(part.keys)}: {error}", error.help) from None

    def _sum(self, env: Row, chooser: Chooser, known: Row | None, n: int) -> None:
        """Latents of few values by their exact posterior, ``p(k | x)`` by Bayes' rule over all cases."""
        names = self.program.summed
        every, repeated = self._cases(env)
        count = len(next(iter(every.values())))
        total = torch.zeros(n, count)
        for name in names:
            if name in env:  # of which something is seen
                seen = env[name].unsqueeze(1)
                agrees = ((seen == every[name]) | seen.isnan()).reshape(n, count, -1).all(-1)
                total = total.masked_fill(~agrees, -torch.inf)
        for part in self.program.inferred:
            if part.flow is not None and {*part.names} & {*self.program.later}:
                log_det = self._invert(part.flow, repeated, None, None)
                total = total if log_det is None else total + log_det.reshape(n, count)
        for factor in self.graph.factors:
            reads = {factor.head, *self.graph.roots(self.graph.reads(factor))}
            touched = reads & {*names, *self.program.later}
            if factor.side == "p" and touched and factor.head in self.program.drawn:
                total = total + self._log_prob(factor, repeated).reshape(n, count)
        index = None
        if known is not None:
            same = [(known[m].unsqueeze(1) == v.unsqueeze(0)).reshape(n, count, -1).all(-1) for m, v in every.items()]
            index = torch.stack(same).all(0).to(torch.uint8).argmax(-1)
        found = chooser.choose(total, index)
        env |= {name: v[found] for name, v in every.items()}

    def _cases(self, env: Row) -> tuple[Row, Row]:
        """Each joint value of what is summed out, ``(cases, ...)``; and rows with each of them, the cases last."""
        n = len(next(iter(env.values())))
        values = {name: self._every(name) for name in self.program.summed}
        grid = torch.cartesian_prod(*(torch.arange(len(v)) for v in values.values())).reshape(-1, len(values))
        every = {name: v[grid[:, k]] for k, (name, v) in enumerate(values.items())}
        given, common = self._given(env).items(), {v.name for v in self.graph.variables if not v.rows}
        rows = {name: v.repeat_interleave(len(grid), 0) if name not in common else v for name, v in given}
        return every, rows | {name: v.repeat(n, *[1] * (v.dim() - 1)) for name, v in every.items()}

    def _log_prob(self, factor: Factor, env: Row) -> Tensor:
        """log p of what there is of a variable."""
        name, law = factor.head, self._law(factor, env)
        if name not in self.program.apart:
            return law.log_prob(env[name])
        there = ~self._of_elements(name, self._missing(name, env[name]))
        value = env[name].masked_fill(~there, self.graph[name].type.feasible)
        if self.graph[name].elementwise:
            return log_prob_where(law, value, there)
        return torch.where(there.reshape(len(there), -1).any(-1), law.log_prob(value), 0.0)

    def _follow(self, env: Row, chooser: Chooser, known: Row | None) -> None:
        """Latents that are summed or integrated out one after another, or along an index, by their exact posterior, as
        `infer` draws them: each given those that it has drawn before."""

        def choose(scores: Tensor, of: Callable[[Mapping[str, Tensor]], Tensor]) -> Tensor:
            index = None if known is None else of(known).expand(scores.shape[:-1]).reshape(-1)
            return chooser.choose(scores.flatten(0, -2), index).reshape(scores.shape[:-1])

        def draw_normal(mean: Tensor, root: Tensor, side_by_side: SideBySide) -> Tensor:
            """Of latents that are integrated out."""
            bins = {self.graph[m].ident: self.cells(m) for m in self.program.chained}
            loc, scale = (
                side_by_side({m: getattr(of, part).unsqueeze(0) for m, of in bins.items() if isinstance(of, Bins)})[0]
                for part in ("loc", "scale")
            )
            this = None
            if known is not None:
                this = side_by_side({self.graph[m].ident: known[m] for m in self.program.chained})
            law = td.MultivariateNormal(mean, scale_tril=root_of(root @ root.mT), validate_args=False)
            return draw(law.expand(torch.Size([n])), Bins(loc, scale), chooser, this)

        n = len(next(iter(env.values())))
        noisy = [env[part.flow.before] for part in self.program.inferred if part.flow is not None and part.flow.rounded]
        with chosen_by(choose, draw_normal), dequantised_to(noisy), self._fixed(env):
            found = self.model.infer(*(env[v.name] for v in self.graph.data))
        env |= {name: found[name] for name in self.program.chained}

    @contextmanager
    def _fixed(self, env: Row) -> Iterator[None]:
        """Inside, each q is certain of what was inferred by it."""
        methods = {}
        for name, value in self._common.items():
            q, group = self.graph.factor("q", name), self.graph[name].group
            if q is not None:
                methods[q.method] = Delta(value).to_event(value.dim() - (group is not None))
        for part in self.program.inferred:
            for key in part.keys:
                factor = self.graph.keyed(key)
                value = env[factor.head]
                methods[factor.method] = Delta(value).to_event(value.dim() - 1)
        try:
            for method, law in methods.items():
                vars(self.model)[method] = lambda *_, law=law: law
            yield
        finally:
            for method in methods:
                del vars(self.model)[method]

    def _every(self, name: str) -> Tensor:
        type_ = self.graph[name].type
        return enumerate_values(int(type_.support.low or 0), type_.support.size or 0, type_.shape, torch.empty(0))

    # --- definitions that are read backwards ---------------------------------------------------------

    def _undo(self, flow: Flow, env: Row, chooser: Chooser, known: Row | None) -> None:
        """The noise of what is rounded; and the latents, where they do not depend on what is summed out."""
        if flow.rounded:
            steps = self._steps(flow.image).rounded_to(env[flow.image])
            this = None if known is None else known[flow.latents[0] if flow.direct else flow.before]
            env[flow.before] = noise(steps, env[flow.image].shape, chooser, this)
        if not {*flow.latents} & {*self.program.later}:
            self._invert(flow, env, chooser, known)

    def _invert(self, flow: Flow, env: Row, chooser: Chooser | None, known: Row | None) -> Tensor | None:
        """Puts the latents of a value into `env`: real ones by local bits back, where they are chosen. Without a
        chooser they are as the inverse has them, and its ``log |det J|`` is given; None for whole numbers."""
        value = env[flow.before] if flow.rounded else self._value(flow.image, env)
        if flow.direct:
            env[flow.latents[0]] = value
            return torch.zeros(len(value))
        if flow.exact or chooser is None:
            latents, log_det = flow.backward(self.model, value, self._others(flow, env))
            env |= dict(zip(flow.latents, latents))
            return None if flow.exact else log_det
        env |= self._mapped(flow, env).latents(value, chooser, known)
        return None

    def _map(self, flow: Flow, env: Row, chooser: Chooser, known: Row) -> None:
        """Puts the value of latents into `env`."""
        env[flow.before] = self._mapped(flow, env).value(env, chooser, known.get(flow.before))
        if flow.rounded:
            env[flow.image] = env[flow.before].floor()

    def _mapped(self, flow: Flow, env: Row) -> Mapped:
        image = self._steps(flow.image) if flow.rounded else self.cells(flow.image)
        assert isinstance(image, Intervals)
        return Mapped(flow, self.model, self._others(flow, env), [self.cells(n) for n in flow.latents], image)

    def _others(self, flow: Flow, env: Row) -> list[Tensor]:
        return [self._value(name, env) for name in flow.others]

    # --- laws ----------------------------------------------------------------------------------------

    def _law(self, factor: Factor, env: Row) -> td.Distribution:
        found: td.Distribution = getattr(self.model, factor.method)(
            *(self._value(name, env) for name in self.graph.reads(factor))
        )
        return found

    def _function(self, factor: Factor, part: Part, env: Row) -> Callable[..., Along]:
        """The law of one of several that are drawn in turn, as a function of all of them."""
        outside = {k: v for k, v in self._given(env).items() if k not in part.names}

        def law(*given: Tensor) -> Along:
            found = self._law(factor, {**outside, **dict(zip(part.names, given))})
            assert isinstance(found, Along)
            return found

        return law

    def _given(self, env: Row) -> Row:
        """What is known without the features that follow from it."""
        features = {d.variable for d in self.graph.definitions if self.graph[d.variable].role == "let"}
        return {name: v for name, v in env.items() if name not in features}

    def _value(self, name: str, env: Row) -> Tensor:
        """A variable, by its definition where it has no value yet."""
        if name not in env:
            definition = self.graph.definition(name)
            assert definition is not None, name
            reads = [self._value(r, env) for r in variables(definition.value)]
            env[name] = getattr(self.model, f"define_{self.graph[name].ident}")(*reads)
        return env[name]

    def _draws(self, wanted: Sequence[str]) -> Row:
        """Draws of these from the sampling program; NaN beyond the ends of sequences. Of a chain that q composes those
        of q, given such rows: what p gives after many steps is not where a latent of the data lies before p is fitted.
        """
        n, env = _DRAWS, Row()
        torch.manual_seed(0)
        for name in self.program.conditions:
            cells, shape = self.cells(name), (n, *self.graph[name].type.shape)
            env[name] = cells.value(torch.randint(cells.size, shape))
        env |= of_rows(self.graph, self._common, env)
        left = set(wanted) if not self.program.composed else {*self.program.drawn}
        for part in self.program.parts:
            if not left:
                break
            left -= {*part.names}
            if part.flow is not None:
                self._value(part.flow.image, env)
                continue
            factors = [self.graph.keyed(key) for key in part.keys]
            if part.turns is None:
                law = self._law(factors[0], env)
                env[part.names[0]] = law.sample() if law.batch_shape == (n,) else law.sample(torch.Size((n,)))
            else:
                shapes = [self.graph[name].type.shape for name in part.names]
                functions = [self._function(f, part, env) for f in factors]
                found = in_turn(functions, shapes, n, torch.empty(0), None, part.turns.backward)
                env |= dict(zip(part.names, found))
        if self.program.composed:
            found = self.model.infer(*(self._value(v.name, env) for v in self.graph.data))
            env |= {name: found[name] for name in self.program.composed}
        return {name: self._ended(name, env) for name in wanted}

    def _ended(self, name: str, env: Mapping[str, Tensor]) -> Tensor:
        variable = self.graph[name]
        if not variable.length:
            return env[name]
        beyond = torch.tensor(list(variable.members)) > env[variable.length][:, None]
        return env[name].masked_fill(beyond.reshape(*beyond.shape, *[1] * (env[name].dim() - 2)), torch.nan)


__all__ = ["Coder", "Row"]
