"""What is coded of a row, and in which order: a plan's sampling program, and its steps from the data to latents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.coding.cells import Cells, Values, bins_of
from dgmppl.coding.laws import draw
from dgmppl.coding.stack import Chooser, CodingError, Popping, Recording, Scattered, Stack
from dgmppl.graph.inverse import MAX_CASES
from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.values import variables
from dgmppl.plan.nodes import Plan, Step
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.draw import CERTAIN, Draw
from dgmppl.plan.rules.forward import SumAlong
from dgmppl.plan.rules.invert import Invert
from dgmppl.plan.rules.marginalise import Marginalise
from dgmppl.plan.rules.observe import Given, GivenSome
from dgmppl.plan.rules.sum_product import SumOut
from dgmppl.plan.rules.sum_under_q import Sum
from dgmppl.runtime import GenerativeModel
from dgmppl.runtime.cases import enumerate_values
from dgmppl.runtime.finite_chains import drawn_by

Row = dict[str, Tensor]
"""Values by variable, rows first."""

_PRIOR_DRAWS = 512


@dataclass(frozen=True)
class Program:
    """How the rows of a model are coded.

    Attributes:
        conditions: variables of the data that nothing models: all of their values are as probable as each other.
        drawn: what the sampling program draws, in order.
        inverted: latents that the data determines.
        inferred: latents that are drawn from their q, in order, with its key.
        summed: latents that are summed out: they are drawn from their posterior.
        chained: a family of latents that is summed out along its index, likewise.
    """

    graph: Graph
    conditions: tuple[str, ...]
    drawn: tuple[str, ...]
    inverted: tuple[str, ...]
    inferred: tuple[tuple[str, str], ...]
    summed: tuple[str, ...]
    chained: tuple[str, ...] = ()

    @property
    def coded(self) -> tuple[str, ...]:
        """All that is coded, in the order in which it is decoded."""
        return (*self.conditions, *self.drawn)

    @property
    def bits_back(self) -> tuple[str, ...]:
        """Latents that are popped before a row is pushed."""
        return (*(name for name, _ in self.inferred), *self.summed, *self.chained)

    def words(self) -> str:
        """How rows are coded, in a line."""
        found = [f.key for n in self.drawn if (f := self.graph.factor("p", n)) is not None]
        how = f"coded by {', '.join(found)}" if found else "coded"
        for name in self.conditions:
            how += f"; all values of {name} alike"
        if self.inverted:
            how += f"; {', '.join(self.inverted)} by inverting the flow"
        if self.inferred:
            how += f"; bits back from {', '.join(key for _, key in self.inferred)}"
        if self.summed or self.chained:
            how += f"; bits back from the exact posterior of {', '.join((*self.summed, *self.chained))}"
        return how


def program_of(graph: Graph, plan: Plan) -> Program:
    """The program of a plan.

    Raises:
        CodingError: where the model gives no probability to its data, or none that could be coded.
    """
    _verify_data(graph)
    forward = plan.generate
    known = {*graph.conditions, *(v for s in forward for v in s.gives)}
    for step in forward:
        if type(step) not in (Given, Draw, Compute):
            raise CodingError(f"to sample, its plan has to {step.words()}: there is no code for what comes so")
    absent = [v.name for v in graph.data if v.name not in known]
    if absent:
        raise CodingError(f"nothing gives `{absent[0]}` a probability")
    drawn = tuple(s.variable for s in forward if type(s) is Draw)
    inverted: list[str] = []
    inferred: list[tuple[str, str]] = []
    summed: list[str] = []
    chained: tuple[str, ...] = ()
    for step in plan.steps:
        if isinstance(step, GivenSome) or type(step) in (Given, Compute):
            continue
        if isinstance(step, Invert) and not step.noisy:
            _verify_before(graph, step, {name for name, _ in inferred} | set(summed))
            inverted += step.gives
        elif (type(step) is Draw and step.estimator != CERTAIN) or (isinstance(step, Sum) and not step.partial):
            _verify_before(graph, step, set(summed))
            inferred.append((step.variable, step.factor))
        elif (isinstance(step, Marginalise) and not step.partial) or isinstance(step, SumOut):
            summed += step.gives
        elif isinstance(step, SumAlong) and _is_coded(graph, step, chained):
            chained = step.gives
        else:
            raise CodingError(f"its plan has to {step.words()}: there is no code for what comes so")
    if chained and (inferred or summed):
        raise CodingError(f"{chained[0]} is summed out along its index beside other latents: it has no code")
    latents = {*inverted, *summed, *chained, *(name for name, _ in inferred)}
    drawn = _with_auxiliary(graph, drawn, latents)
    there = {v.name for v in graph.data} | latents
    hidden = [name for name in drawn if name not in there]
    if hidden:
        raise CodingError(f"the data do not say which value of `{hidden[0]}` they came from, and it has no q")
    defined = [v for v in graph.data if v.name not in (*drawn, *graph.conditions)]
    for v in defined:
        definition = graph.definition(v.name)
        if definition is None or not set(variables(definition.value)) & set(inverted):
            raise CodingError(f"`{v.name}` has no probability of its own: it is a function of latents with no inverse")
    if _cases(graph, summed) > MAX_CASES:
        raise CodingError(f"{', '.join(summed)} take more than {MAX_CASES:,} values together")
    return Program(graph, graph.conditions, drawn, tuple(inverted), tuple(inferred), tuple(summed), chained)


def _is_coded(graph: Graph, step: SumAlong, before: tuple[str, ...]) -> bool:
    """Whether a sum along an index is of one family of single values, from the first position on."""
    return not before and len(step.gives) == 1 and not graph[step.variable].element.shape and not step.chain.backward


def _with_auxiliary(graph: Graph, drawn: tuple[str, ...], latents: set[str]) -> tuple[str, ...]:
    """What is drawn, with latents that the data do not depend on but a q does, each after what its p reads."""
    found = list(drawn)
    while missing := [name for name in sorted(latents.difference(found)) if graph.factor("p", name) is not None]:
        known = {*found, *graph.conditions, *(d.variable for d in graph.definitions)}
        reads = {name: set(graph.factor("p", name).parents) for name in missing}  # type: ignore[union-attr]
        ready = [name for name in missing if set(graph.roots(reads[name])) <= known]
        if not ready:
            raise CodingError(f"`{missing[0]}` depends on what is not known before it")
        found += ready
    return tuple(found)


def _verify_data(graph: Graph) -> None:
    for v in graph.data:
        if not v.type.support.discrete:
            raise CodingError(f"`{v.name}` is {v.type.describe()}: real numbers have densities, and no probabilities")
    for v in graph.data:
        if v.type.support.event_rank:
            raise CodingError(f"`{v.name}` is {v.type.describe()}, whose elements depend on each other in no order")
        if v.role == "partial":
            raise CodingError(f"some rows miss `{v.name}`: which ones is not modelled")
        if v.length:
            raise CodingError(
                f"`{v.name}` goes as far as `{v.length}` says: sequences of different lengths have no code"
            )
    for name in graph.conditions:
        if not graph[name].type.support.finite:
            raise CodingError(f"nothing models `{name}`, and it has no finite number of values")
    if graph.energy is not None:
        raise CodingError("an energy is unnormalised: the probability of a row is not known")
    if graph.shared:
        raise CodingError(f"`{graph.shared[0].name}` is what rows have in common: a row has no probability by itself")


def _verify_before(graph: Graph, step: Step, later: set[str]) -> None:
    waiting = [name for name in graph.roots(step.reads) if name in later]
    if waiting:
        headline = f"{', '.join(step.gives)} depends on {waiting[0]}, which is known only once all else is"
        raise CodingError(headline)


def _cases(graph: Graph, names: Sequence[str]) -> float:
    """How many values these take together."""
    found = 1.0
    for name in names:
        found *= (graph[name].type.support.size or math.inf) ** math.prod(graph[name].type.shape)
    return found


class Coder:
    """Codes rows by a model in double precision."""

    def __init__(self, program: Program, model: GenerativeModel) -> None:
        self.program, self.model, self.graph = program, model, program.graph
        self._bins: dict[str, Cells] = {}
        self._ranges: dict[str, Values] = {}
        continuous = [n for n in program.drawn if not self.graph[n].type.support.discrete]
        if continuous:
            prior = self._prior_draws(continuous)
            self._bins = {name: bins_of(prior[name]) for name in continuous}

    # --- what is coded -------------------------------------------------------------------------------

    @property
    def open(self) -> tuple[str, ...]:
        """What is coded and has no finite range: that of the rows at hand, which has to be told; see `tell`."""
        coded = self.program.coded
        return tuple(n for n in coded if (s := self.graph[n].type.support).discrete and not s.finite)

    def tell(self, ranges: Mapping[str, tuple[int, int]]) -> None:
        """The least value of each open variable, and how many there are from it on."""
        self._ranges = {name: Values(*found) for name, found in ranges.items()}

    def ranges_of(self, rows: Row) -> dict[str, tuple[int, int]]:
        """Those of rows.

        Raises:
            CodingError: where latents take values without end.
        """
        env = self._known(rows) if self.open else rows
        found = {}
        for name in self.open:
            if name not in env:
                raise CodingError(f"`{name}` has no finite number of values")
            low, high = int(env[name].min()), int(env[name].max())
            if high - low >= 2**16:
                raise CodingError(f"the values of `{name}` lie too far from each other: from {low} to {high}")
            found[name] = (low, high - low + 1)
        return found

    def cells(self, name: str) -> Cells:
        """What each element of a variable is one of."""
        support = self.graph[name].type.support
        if name in self._bins:
            return self._bins[name]
        return Values(int(support.low or 0), support.size) if support.size else self._ranges[name]

    @property
    def cells_of_a_row(self) -> int:
        """How many entries the tables of a row have."""
        program = self.program
        found = sum(self._elements(n) * self._size(n) for n in program.coded)
        found += sum(self._elements(n) * self._size(n) for n, _ in program.inferred)
        if program.summed:
            found += int(_cases(self.graph, program.summed)) * sum(
                self._elements(n) * self._size(n) for n in program.drawn
            )
        return found

    @property
    def words_of_a_row(self) -> int:
        """How many words the latents of a row take at most."""
        return sum(self._elements(name) for name in self.program.bits_back)

    def _size(self, name: str) -> int:
        return self.cells(name).size if name not in self.open or name in self._ranges else 256

    def _elements(self, name: str) -> int:
        return math.prod(self.graph[name].type.shape)

    # --- rows ----------------------------------------------------------------------------------------

    def encode(self, rows: Row, stack: Stack) -> None:
        """Puts rows ``(n, ...)`` on a stack, from which it takes the bits of their latents."""
        env = self._known(rows)
        self._infer(env, Scattered(Popping(stack)), None)
        recording = Recording()
        self._generate(env, recording, len(next(iter(rows.values()))))
        recording.push(stack)

    def decode(self, n: int, stack: Stack) -> Row:
        """Takes n rows from a stack, and puts the bits of their latents back."""
        env = self._generate({}, Popping(stack), n)
        recording = Recording()
        found = {v.name: self._value(v.name, env) for v in self.graph.data}
        self._infer({**found, **{u: env[u] for u in self.program.inverted}}, Scattered(recording), env)
        recording.push(stack)
        return found

    def _known(self, rows: Row) -> Row:
        """Rows with what they determine."""
        env = dict(rows)
        if self.program.inverted:
            found = self.model.infer(*(rows[v.name] for v in self.graph.data), mean=True)
            env |= {u: found[u].as_subclass(Tensor) for u in self.program.inverted}
        return env

    def _generate(self, env: Row, chooser: Chooser, n: int) -> Row:
        """The sampling program: what is not in `env` is chosen."""
        known = dict(env)
        found = {k: v for k, v in env.items() if k not in self.program.coded}
        for name in self.program.conditions:
            cells, shape = self.cells(name), (n, *self.graph[name].type.shape)
            this = known.get(name)
            index = None if this is None else cells.index(this).reshape(-1)
            alike = torch.zeros(math.prod(shape), cells.size)
            found[name] = cells.value(chooser.choose(alike, index).reshape(shape))
        for name in self.program.drawn:
            factor = self.graph.factor("p", name)
            assert factor is not None
            found[name] = self._drawn(factor, found, chooser, known.get(name), n)
        return found

    def _infer(self, env: Row, chooser: Chooser, known: Row | None) -> None:
        """The latents of rows: those of `known`, or chosen ones. They are put into `env`."""
        n = len(next(iter(env.values())))
        for name, key in self.program.inferred:
            this = None if known is None else known[name]
            env[name] = self._drawn(self.graph.keyed(key), env, chooser, this, n)
        if self.program.summed:
            self._sum(env, chooser, known, n)
        if self.program.chained:
            self._follow(env, chooser, known)

    def _drawn(self, factor: Factor, env: Row, chooser: Chooser, known: Tensor | None, n: int) -> Tensor:
        law = self._law(factor, env)
        law = law if law.batch_shape == (n,) else law.expand(torch.Size((n,)))
        try:
            return draw(law, self.cells(factor.head), chooser, known)
        except CodingError as error:
            raise CodingError(f"{factor.key}: {error}") from None

    def _sum(self, env: Row, chooser: Chooser, known: Row | None, n: int) -> None:
        """Latents of few values by their exact posterior, ``p(k | x)`` by Bayes' rule over all cases."""
        names = self.program.summed
        values = {name: self._every(name) for name in names}
        grid = torch.cartesian_prod(*(torch.arange(len(v)) for v in values.values())).reshape(-1, len(names))
        cases = {name: v[grid[:, k]] for k, (name, v) in enumerate(values.items())}
        count = len(grid)
        repeated = {name: v.repeat_interleave(count, 0) for name, v in env.items() if self.graph[name].role != "let"}
        repeated |= {name: v.repeat(n, *[1] * (v.dim() - 1)) for name, v in cases.items()}
        total = torch.zeros(n * count)
        for factor in self.graph.factors:
            touched = {factor.head, *self.graph.roots(self.graph.reads(factor))} & set(names)
            if factor.side == "p" and touched and factor.head in self.program.drawn:
                total = total + self._law(factor, repeated).log_prob(repeated[factor.head])
        index = None
        if known is not None:
            same = [(known[m].unsqueeze(1) == v.unsqueeze(0)).reshape(n, count, -1).all(-1) for m, v in cases.items()]
            index = torch.stack(same).all(0).to(torch.uint8).argmax(-1)
        found = chooser.choose(total.reshape(n, count), index)
        env |= {name: v[found] for name, v in cases.items()}

    def _follow(self, env: Row, chooser: Chooser, known: Row | None) -> None:
        """The path of a chain by its exact posterior, as `infer` draws it: backward from the last positions."""
        (name,) = self.program.chained
        cells = self.cells(name)
        path = None if known is None else cells.index(known[name])
        left = self.graph[name].type.shape[0]

        def choose(scores: Tensor) -> Tensor:
            """All positions at once where they do not depend on each other; the last ones together; or one."""
            nonlocal left
            count = 1 if scores.dim() == 3 else round(math.log(scores.shape[-1], cells.size))
            index = path
            if path is not None and scores.dim() == 2:
                index = torch.zeros(len(path), dtype=torch.long)
                for place in range(left - count, left):
                    index = index * cells.size + path[:, place]
            left -= count
            found = chooser.choose(scores.flatten(0, -2), None if index is None else index.reshape(-1))
            return found.reshape(scores.shape[:-1])

        with drawn_by(choose):
            env[name] = self.model.infer(*(env[v.name] for v in self.graph.data))[name]

    def _every(self, name: str) -> Tensor:
        type_ = self.graph[name].type
        return enumerate_values(int(type_.support.low or 0), type_.support.size or 0, type_.shape, torch.empty(0))

    # --- laws ----------------------------------------------------------------------------------------

    def _law(self, factor: Factor, env: Row) -> td.Distribution:
        found: td.Distribution = getattr(self.model, factor.method)(
            *(self._value(name, env) for name in self.graph.reads(factor))
        )
        return found

    def _value(self, name: str, env: Row) -> Tensor:
        """A variable, by its definition where it has no value yet."""
        if name not in env:
            definition = self.graph.definition(name)
            assert definition is not None, name
            reads = [self._value(r, env) for r in variables(definition.value)]
            env[name] = getattr(self.model, f"define_{self.graph[name].ident}")(*reads)
        return env[name]

    def _prior_draws(self, wanted: Sequence[str]) -> Row:
        """Draws of these from the sampling program."""
        n, env = _PRIOR_DRAWS, Row()
        torch.manual_seed(0)
        for name in self.program.conditions:
            cells, shape = self.cells(name), (n, *self.graph[name].type.shape)
            env[name] = cells.value(torch.randint(cells.size, shape))
        drawn = self.program.drawn
        for name in drawn[: 1 + max(drawn.index(w) for w in wanted)]:
            factor = self.graph.factor("p", name)
            assert factor is not None
            law = self._law(factor, env)
            env[name] = law.sample() if law.batch_shape == (n,) else law.sample(torch.Size((n,)))
        return env


__all__ = ["Coder", "Program", "program_of"]
