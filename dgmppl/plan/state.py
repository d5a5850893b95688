"""The state of elimination, which the rules share: what is known by now, and through which steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

from dgmppl.graph.affine import normal_along
from dgmppl.graph.chains import looks_near
from dgmppl.graph.independence import told_in_part
from dgmppl.graph.inverse import MAX_CASES, joint_values
from dgmppl.graph.nodes import Definition, Factor, Graph, Variable
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Delta, Sequence, variables
from dgmppl.plan.nodes import Reason, Step
from dgmppl.plan.sampler import Sampler
from dgmppl.plan.settings import ObjectiveSetting, TrainSettings
from dgmppl.source import Span
from dgmppl.supports import REAL


@dataclass
class Elimination:
    """What has become known so far, and how.

    Args:
        needed: variables that the data leaves open and that need a value on its side.
        judged: arguments of adversaries, which are compared by samples.
        asked, settings: what `train { ... }` says.
        implicit: definitions of what is known that cannot be read backwards: their variables have no density.
        assumed: latents that are taken for known, as if they had a q.
        sampler: that of the energy, once it is known what is left to it.
    """

    scope: Scope
    graph: Graph
    needed: frozenset[str]
    judged: frozenset[str] = frozenset()
    asked: ObjectiveSetting | None = None
    settings: TrainSettings = field(default_factory=TrainSettings)
    steps: list[Step] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    implicit: list[Definition] = field(default_factory=list)
    assumed: set[str] = field(default_factory=set)
    sampler: Sampler | None = None

    def add(self, step: Step) -> None:
        self.steps.append(step)
        self.known.update(step.gives)

    @property
    def readable(self) -> set[str]:
        """What a q and a feature may read by now: what is known, and what is seen of variables in part."""
        return self.known | {v.name for v in self.graph.partial if v.elementwise}

    def line(self, span: Span) -> int:
        """The line of the spec at which something stands."""
        return self.scope.source.position(span.start)[0]

    def reason(self, text: str, span: Span) -> Reason:
        return Reason(text, self.line(span))

    @property
    def failed(self) -> bool:
        return any(d.severity == "error" for d in self.scope.diagnostics)

    def step_of(self, name: str) -> Step | None:
        """The step that gives a variable its value."""
        return next((s for s in self.steps if name in s.gives), None)

    def position(self, name: str) -> int:
        """The place of that step; before all of them where nothing gives it."""
        return next((k for k, s in enumerate(self.steps) if name in s.gives), -1)

    @property
    def open(self) -> list[Variable]:
        """What needs a value and has none yet, in an order that does not depend on that of the statements."""
        found = [v for v in self.graph.inferred if v.name in self.needed and v.name not in self.known]
        return sorted(found, key=lambda v: (v.family or v.name, v.index or 0))

    @cached_property
    def readings(self) -> tuple[tuple[Factor, frozenset[str]], ...]:
        """The factors, each with all that it speaks of: its variable and, through features, what its density reads."""
        graph = self.graph
        return tuple((f, frozenset((f.head, *graph.roots(graph.reads(f))))) for f in graph.factors)

    @cached_property
    def normal(self) -> frozenset[str]:
        """The real latents that are normal, and on which all that depends on them depends by a normal density with an
        affine mean, if all other variables are known. Of partial variables it is what is missing that is latent."""
        graph = self.graph
        wrong = {name for f, read in self.readings for name in read if not self._is_normal(f, name)}
        defined = (d for d in graph.definitions if graph[d.variable].role != "let")
        wrong |= {name for d in defined for name in (d.variable, *graph.roots(variables(d.value)))}
        modelled = {f.head for f in graph.factors if f.side == "p"}
        open_ = (*graph.latents, *(v for v in graph.partial if v.along is None))
        real = (v for v in open_ if v.type.support == REAL and not v.shared)
        return frozenset(v.name for v in real if v.name in modelled - wrong)

    @cached_property
    def normal_along(self) -> frozenset[str]:
        """The same of families along an index: each member is normal, and so is all that reads a few neighbours. Of
        partial ones it is what is missing that is latent."""
        graph = self.graph
        open_ = (*graph.latents, *graph.partial)
        families = (v for v in open_ if v.along is not None and v.type.support == REAL and not v.shared)
        found = frozenset(v.name for v in families if graph.factor("p", v.name) is not None)
        while True:
            kept = frozenset(n for n in found if all(self._is_normal_along(f, n, found) for f, _ in self.readings))
            if kept == found:
                return found
            found = kept

    def _is_normal_along(self, factor: Factor, name: str, families: frozenset[str]) -> bool:
        graph = self.graph
        if name not in (factor.head, *graph.roots(graph.reads(factor))):
            return True
        if factor.side == "q":  # of data it reads what is seen
            return factor.head == name or graph[name].elementwise
        names = frozenset({name})
        told = factor.head in families or told_in_part(graph, factor)  # else it is given a value by a q
        return told and looks_near(graph, factor, name) and normal_along(graph, factor, names)

    def _is_normal(self, factor: Factor, name: str) -> bool:
        if factor.side == "q":
            return factor.head == name or self.graph[name].elementwise  # which can be left out, or reads what is seen
        if isinstance(factor.density, Sequence):
            told = factor.head in self.normal_along or told_in_part(self.graph, factor)
            if name == factor.head or self.graph[name].along is not None or not told:
                return False
        return normal_along(self.graph, factor, frozenset({name}))

    def may_be_taken_out(self, variable: Variable) -> bool:
        """Whether a variable has values that the data lack and that only p speaks of: it is latent, elements of it are
        missing, or rows miss it as a whole, and no q reads it and none is to be fitted to it by `classify`."""
        graph, name = self.graph, variable.name
        if variable.shared or graph.factor("q", name) is not None:
            return False
        if variable.role == "latent" or variable.elementwise:
            return True
        read = any(f.side == "q" and name in read for f, read in self.readings)
        return variable.role == "partial" and not read and not self.classified

    @property
    def classified(self) -> bool:
        """Whether `classify` asks for a q of what is missing in some rows."""
        return self.asked is not None and bool(self.asked.options.get("classify"))

    def posteriors(self) -> list[Factor]:
        """The q that give values or weigh them, in the order of the steps."""
        keys = [key for s in self.steps for key in s.comes_from]
        return [f for f in map(self.graph.keyed, keys) if f.side == "q"]

    def summed(self) -> list[str]:
        """Variables that take each of their values."""
        return [s.variable for s in self.steps if s.repeats or s.enumerates]

    def can_sum(self, variable: Variable) -> bool:
        """Whether the values of a variable, in each case of the sums so far, are few enough."""
        before = math.prod(joint_values(self.graph[name]) for name in self.summed())
        return self.few(variable) and before * joint_values(variable) <= MAX_CASES

    def few(self, variable: Variable) -> bool:
        """Whether a variable takes few values in each row. What an adversary judges is drawn, and never summed; what
        rows have in common is no variable of a row; what a q gives with certainty has one value."""
        q = self.graph.factor("q", variable.name)
        open_ = variable.name not in self.judged and not (q is not None and isinstance(q.density, Delta))
        return open_ and not variable.shared and not variable.length and joint_values(variable) <= MAX_CASES

    def repeated(self) -> frozenset[str]:
        """What is known only for each value of a sum, the summed variables included."""
        first = next((k for k, s in enumerate(self.steps) if s.repeats), len(self.steps))
        return frozenset(name for s in self.steps[first:] for name in s.gives)

    def members(self) -> tuple[str, ...]:
        """The variables of the energy."""
        return self.graph.energy.arguments if self.graph.energy is not None else ()
