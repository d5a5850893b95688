"""What is coded of a row, and in which order: a plan's sampling program, and its steps from the data to latents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from dgmppl.coding.inverting import Flow, flow_of
from dgmppl.coding.stack import CodingError
from dgmppl.graph.inverse import MAX_CASES
from dgmppl.graph.nodes import Graph
from dgmppl.graph.turns import Turns
from dgmppl.graph.values import variables
from dgmppl.plan.nodes import Plan, Step
from dgmppl.plan.rules.compose import Compose, GoBack
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.draw import CERTAIN, Draw
from dgmppl.plan.rules.enumerate import Enumerate
from dgmppl.plan.rules.filter import IntegrateAlong
from dgmppl.plan.rules.forward import SumAlong
from dgmppl.plan.rules.impute import Impute
from dgmppl.plan.rules.in_turn import DrawInTurn
from dgmppl.plan.rules.integrate import Integrate
from dgmppl.plan.rules.invert import Dequantise, Invert, invert
from dgmppl.plan.rules.marginalise import Marginalise
from dgmppl.plan.rules.observe import Given, GivenSome
from dgmppl.plan.rules.sum_product import SumOut
from dgmppl.plan.rules.sum_under_q import Sum
from dgmppl.words import counted

NORMALISED = "a p of each variable gives rows probabilities: p(x | ...) = ... in place of E(x, ...)"


@dataclass(frozen=True)
class Part:
    """What is drawn at once: a variable, or several along an index, in turn at each position.

    Attributes:
        names: of the variables.
        keys: of their factors.
        turns: how several come in turn.
        certain: whether the law leaves no choice: its value takes no bits, and gives none back.
        composed: whether it is a chain of steps with known numbers.
        flow: of a definition that is read backwards: its latents follow from its value; its value, from them.
    """

    names: tuple[str, ...]
    keys: tuple[str, ...]
    turns: Turns | None = None
    certain: bool = False
    composed: bool = False
    flow: Flow | None = None


@dataclass(frozen=True)
class Program:
    """How the rows of a model are coded.

    Attributes:
        missing: variables of the data of which something may be missing: what is, is coded first.
        conditions: variables of the data that nothing models: all of their values are as probable as each other.
        parts: what the sampling program draws, in order.
        apart: of the missing ones those that integrate to one: only what is there is coded. The others are latents
            where they are missing.
        inferred: latents that are drawn from their q, or follow by an inverse, in order.
        summed: latents that are summed out: they are drawn from their posterior.
        chained: latents that are summed or integrated out one after another, or along an index, likewise.
        gives: what comes back: the data, or what is kept of them.
        lost: variables of the data that are not kept.
        common: latents that rows have in common: what q says of them is known, and is not coded.
        rounded: of latents that are rounded to data as they are, what they are rounded to.
        later: latents that follow by an inverse from what is summed out.
    """

    graph: Graph
    missing: tuple[str, ...]
    conditions: tuple[str, ...]
    parts: tuple[Part, ...]
    apart: tuple[str, ...]
    inferred: tuple[Part, ...]
    summed: tuple[str, ...]
    chained: tuple[str, ...]
    gives: tuple[str, ...]
    lost: tuple[str, ...] = ()
    common: tuple[str, ...] = ()
    rounded: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    later: tuple[str, ...] = ()

    @property
    def drawn(self) -> tuple[str, ...]:
        """All that the sampling program draws."""
        return tuple(name for part in self.parts for name in part.names)

    @property
    def coded(self) -> tuple[str, ...]:
        """All values that are coded, in the order in which they are decoded."""
        return (*self.conditions, *self.drawn)

    @property
    def composed(self) -> tuple[str, ...]:
        """Chains that q composes by steps with known numbers."""
        return tuple(name for part in self.inferred if part.composed for name in part.names)

    @property
    def inverted(self) -> tuple[str, ...]:
        """Latents that follow by an inverse."""
        return tuple(name for part in self.inferred if part.flow is not None for name in part.names)

    @property
    def mapped(self) -> tuple[str, ...]:
        """Latents of which a flow makes others, beside whose values they are coded."""
        flows = (part.flow for part in self.parts if part.flow is not None)
        return tuple(name for flow in flows for name in flow.latents)

    @property
    def noisy(self) -> tuple[str, ...]:
        """Data to which noise is added, of which the bits come back."""
        flows = (part.flow for part in self.inferred if part.flow is not None)
        return tuple(flow.image for flow in flows if flow.rounded)

    @property
    def bits_back(self) -> tuple[str, ...]:
        """Latents that are popped before a row is pushed."""
        drawn = (name for part in self.inferred if not part.certain for name in part.names)
        return (*drawn, *self.noisy, *self.summed, *self.chained)

    def words(self) -> str:
        """How rows are coded, in a line."""
        found = [key for part in self.parts for key in part.keys]
        kept = tuple(name for name in self.gives if self.graph[name].role == "latent")
        how = f"codes {', '.join(kept)}, " if kept else ""
        how += f"coded by {', '.join(found)}" if found else "coded"
        for name in self.conditions:
            how += f"; all values of {name} alike"
        for name in self.missing:
            how += f"; what is missing of {name} by how often it is"
        if self.inverted:
            how += f"; {', '.join(self.inverted)} by inverting the flow"
            how += f", bits back from the noise of {', '.join(self.noisy)}" if self.noisy else ""
        for certain, text in ((True, "what is certain by"), (False, "bits back from")):
            keys = [key for part in self.inferred if part.certain == certain for key in part.keys]
            how += f"; {text} {', '.join(keys)}" if keys else ""
        if self.summed or self.chained:
            how += f"; bits back from the exact posterior of {', '.join((*self.summed, *self.chained))}"
        if self.common:
            few = [name for name in self.common if self.graph[name].type.support.finite]
            at = ", of few values at the most probable one" if few else ""
            names = ", ".join(self.common)
            how += (
                f"; given {names}, which rows have in common, at the mean of q{at}: bits of p given that, not the bound"
            )
        return how


def program_of(graph: Graph, plan: Plan) -> Program:
    """The program of a plan.

    Raises:
        CodingError: where the model gives no probability to its data, or none that could be coded.
    """
    _verify_data(graph)
    known = {*graph.conditions, *(v for s in plan.generate for v in s.gives)}
    absent = [v.name for v in graph.data if v.name not in known]
    if absent:
        raise CodingError(f"nothing gives `{absent[0]}` a probability", f"give it one: p({absent[0]}) = ...")
    found = _Latents(graph, plan)
    for step in _of_rows(graph, plan.steps):
        found.add(step)
    found.verify()
    latents = found.names
    rounded = _rounded(graph, latents)
    parts = tuple(forward(graph, plan.generate, found.flows))
    parts = _with_auxiliary(graph, parts, latents)
    there = {name for part in parts for name in part.names}
    parts = (*parts, *(_mapped(flow) for image, flow in found.flows.items() if image not in there))
    drawn = [name for part in parts for name in part.names]
    there = {v.name for v in graph.data} | latents
    hidden = [name for name in drawn if name not in there]
    if hidden:
        raise CodingError(
            f"the data do not say which value of `{hidden[0]}` they came from, and it has no q",
            f"give it one: q({hidden[0]} | ...) = ...",
        )
    for v in graph.data:
        definition = graph.definition(v.name)
        if v.name in (*drawn, *graph.conditions, *rounded.values()):
            continue
        if definition is None or not set(variables(definition.value)) & set(found.inverted):
            raise CodingError(
                f"`{v.name}` has no probability of its own: it is a function of latents with no inverse",
                f"draw it given what the function says: p({v.name} | ...) = ...",
            )
    if cases(graph, found.summed) > MAX_CASES:
        raise CodingError(
            f"{', '.join(found.summed)} take more than {MAX_CASES:,} values together, each of which is weighed by its "
            "posterior",
            "give one of them a q",
        )
    missing = tuple(v.name for v in graph.data if v.role == "partial")
    return Program(
        graph,
        missing,
        graph.conditions,
        parts,
        tuple(found.apart),
        tuple(found.inferred),
        tuple(found.summed),
        found.chained,
        tuple(v.name for v in graph.data),
        common=in_common(graph),
        rounded=rounded,
        later=tuple(found.later),
    )


def _rounded(graph: Graph, latents: set[str]) -> dict[str, str]:
    """Of latents that are rounded to data as they are, ``x = floor(v)``, what they are rounded to."""
    found = {}
    for v in graph.data:
        definition = graph.definition(v.name)
        inverse = invert(definition.value) if definition is not None else None
        if inverse is not None and inverse.rounded and inverse.direct and inverse.latents[0] in latents:
            found[inverse.latents[0]] = v.name
    return found


def in_common(graph: Graph) -> tuple[str, ...]:
    """The latents that rows have in common."""
    return tuple(v.name for v in graph.shared)


def _of_rows(graph: Graph, steps: Iterable[Step]) -> Iterator[Step]:
    """The steps that give something of rows: not of what these have in common."""
    for step in steps:
        if not all(graph[name].shared for name in step.gives or (step.variable,)):
            yield step


_NONE: Mapping[str, Flow] = MappingProxyType({})


def forward(graph: Graph, steps: Sequence[Step], flows: Mapping[str, Flow] = _NONE) -> Iterator[Part]:
    """What a plan draws of rows to sample, and what of the values of flows follows from it."""
    for step in _of_rows(graph, steps):
        if type(step) is Draw or isinstance(step, GoBack):
            yield Part((step.variable,), (_prior(graph, step.variable),))
        elif isinstance(step, DrawInTurn):
            yield Part(step.gives, step.factor_keys, step.turns)
        elif isinstance(step, Compute) and step.variable in flows:
            yield _mapped(flows[step.variable])
        elif type(step) not in (Given, Compute):
            raise _uncoded(step, "to sample, ")


def _mapped(flow: Flow) -> Part:
    return Part((flow.image,), (), flow=flow)


def _prior(graph: Graph, name: str) -> str:
    factor = graph.factor("p", name)
    assert factor is not None
    return factor.key


def _uncoded(step: Step, when: str = "") -> CodingError:
    return CodingError(
        f"{when}the model has to {step.words()}, and there is no code for what comes so",
        "what is drawn from factors, inverted or summed out has a code; `dgmppl explain` on the spec has all steps",
    )


class _Latents:
    """What the steps of a plan say of latents, and of what is missing."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph, self.plan = graph, plan
        self.apart: list[str] = []
        self.inferred: list[Part] = []
        self.later: list[str] = []
        self.summed: list[str] = []
        self.chained: tuple[str, ...] = ()

    @property
    def inverted(self) -> set[str]:
        return {name for part in self.inferred if part.flow is not None for name in part.names}

    @property
    def flows(self) -> dict[str, Flow]:
        """By what they give, those whose values are coded beside their latents."""
        found = (part.flow for part in self.inferred if part.flow is not None)
        return {flow.image: flow for flow in found if not (flow.exact or flow.direct)}

    @property
    def names(self) -> set[str]:
        return {*self.summed, *self.chained, *(name for part in self.inferred for name in part.names)}

    def add(self, step: Step) -> None:
        """Takes a step in.

        Raises:
            CodingError: where it has no code.
        """
        if isinstance(step, GivenSome):
            self.apart.append(step.variable)
        elif isinstance(step, Invert):
            self._verify_before(step, {*self.chained})
            if {*self.graph.roots(step.reads)} & {*self.summed, *self.later}:
                self.later += step.gives
            flow = flow_of(self.graph, self.plan, step)
            self.inferred.append(Part(step.gives, (), certain=flow.exact, flow=flow))
        elif isinstance(step, DrawInTurn):
            self._verify_before(step, {*self.summed, *self.chained, *self.later})
            self.inferred.append(Part(step.gives, step.factor_keys, step.turns))
        elif type(step) is Draw or isinstance(step, Sum | Impute | Compose):
            self._verify_before(step, {*self.summed, *self.chained, *self.later})
            certain = type(step) is Draw and step.estimator == CERTAIN
            self.inferred.append(Part((step.variable,), (step.factor,), None, certain, isinstance(step, Compose)))
        elif isinstance(step, Enumerate):
            q = self.graph.factor("q", step.variable)
            if q is None:
                name = step.variable
                values = counted(step.values, "value")
                why = f"its bound takes each of the {values} of `{name}`, and nothing says which to draw"
                raise CodingError(why, f"give it a q: q({name} | ...) = ...")
            self.inferred.append(Part((step.variable,), (q.key,)))
        elif isinstance(step, Marginalise):
            self.summed += step.gives
        elif isinstance(step, SumOut | SumAlong | Integrate | IntegrateAlong):
            if isinstance(step, IntegrateAlong) and any(self.graph[name].length for name in step.gives):
                raise CodingError(
                    f"{', '.join(step.gives)} are integrated out along sequences of different lengths",
                    f"give them a q: q({step.gives[0]}[t] | ...) = ...",
                )
            self.chained += step.gives
        elif type(step) not in (Given, Compute, Dequantise):
            raise _uncoded(step)

    def verify(self) -> None:
        """Of latents that are summed out one after another each is drawn by all that is known besides.

        Raises:
            CodingError: where that is drawn in another way than one after another.
        """
        normal = [name for name in self.chained if not self.graph[name].type.support.discrete]
        if normal and self.summed:
            raise CodingError(
                f"{', '.join(normal)} are integrated out, and {', '.join(self.summed)} summed out beside",
                "give one of them a q",
            )
        if self.chained and self.summed:
            self.summed, self.chained = [*self.summed, *self.chained], ()
            if any(self.graph[name].along is not None for name in self.summed):
                raise CodingError(
                    f"{', '.join(self.summed)} are summed out, some along an index and some not, and each depends on "
                    "the values of the others",
                    "give one of them a q",
                )
        turns = next((part for part in self.inferred if part.turns is not None), None)
        if self.chained and turns is not None:
            names, summed = ", ".join(turns.names), ", ".join(self.chained)
            raise CodingError(
                f"{names} are drawn in turn, at each position one after the other, and {summed} summed out given them",
                f"give {summed} a q, or let one of {names} depend on the other alone",
            )

    def _verify_before(self, step: Step, later: set[str]) -> None:
        waiting = [name for name in self.graph.roots(step.reads) if name in later]
        if waiting:
            names = ", ".join(step.gives)
            raise CodingError(f"{names} depends on {waiting[0]}, which is known only once all else is")


def _with_auxiliary(graph: Graph, parts: tuple[Part, ...], latents: Iterable[str]) -> tuple[Part, ...]:
    """What is drawn, with latents that the data do not depend on but a q does, each after what its p reads."""
    found = list(parts)
    there = {name for part in parts for name in part.names}
    while missing := [name for name in sorted({*latents} - there) if graph.factor("p", name) is not None]:
        known = {*there, *graph.conditions, *in_common(graph), *(d.variable for d in graph.definitions)}
        reads = {name: set(graph.factor("p", name).parents) for name in missing}  # type: ignore[union-attr]
        ready = [name for name in missing if set(graph.roots(reads[name])) <= known]
        if not ready:
            raise CodingError(f"`{missing[0]}` depends on what is not known before it")
        found += [Part((name,), (_prior(graph, name),)) for name in ready]
        there |= {*ready}
    return tuple(found)


def _verify_data(graph: Graph) -> None:
    for v in graph.data:
        if not v.type.support.discrete:
            raise CodingError(
                f"`{v.name}` is {v.type.describe()}: real numbers have densities, and no probabilities",
                f"whole numbers have them: `{v.name} : integer(a..b)`; --lossy keeps latents of finitely many values",
            )
    for v in graph.data:
        if v.role == "partial" and v.name in graph.conditions:
            raise CodingError(f"some rows miss `{v.name}`, and nothing models it")
    if graph.energy is not None:
        raise CodingError("an energy is unnormalised: the probability of a row is not known", NORMALISED)


def cases(graph: Graph, names: Sequence[str]) -> float:
    """How many values these take together."""
    found = 1.0
    for name in names:
        found *= (graph[name].type.support.size or math.inf) ** math.prod(graph[name].type.shape)
    return found


__all__ = ["Part", "Program", "cases", "forward", "in_common", "program_of"]
