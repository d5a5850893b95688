"""The factors of a model, given what is known of rows: their laws, definitions and inverses, and cases of latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.coding.common import of_rows, values_in_common
from dgmppl.coding.gaps import missing, of_elements
from dgmppl.coding.inverting import Flow
from dgmppl.coding.program import Part, Program
from dgmppl.graph.nodes import Factor
from dgmppl.graph.values import variables
from dgmppl.runtime import GenerativeModel
from dgmppl.runtime.along import Sequence as Along
from dgmppl.runtime.cases import enumerate_values
from dgmppl.runtime.distributions import Delta
from dgmppl.runtime.missing import log_prob_where

Row = dict[str, Tensor]
"""Values by variable, rows first; NaN where one is missing."""


class Factors:
    """The factors of a model that rows are coded by. `env` is what is known of rows; features that are computed on the
    way are put into it."""

    def __init__(self, program: Program, model: GenerativeModel) -> None:
        self.program, self.model, self.graph = program, model, program.graph

    @cached_property
    def common(self) -> Row:
        """What rows have in common, as a value of it for each group where it has one."""
        return values_in_common(self.graph, self.model)

    def law(self, factor: Factor, env: Row) -> td.Distribution:
        """The distribution of a factor, given what it reads."""
        found: td.Distribution = getattr(self.model, factor.method)(
            *(self.value(name, env) for name in self.graph.reads(factor))
        )
        return found

    def function(self, factor: Factor, part: Part, env: Row) -> Callable[..., Along]:
        """The law of one of several that are drawn in turn, as a function of all of them."""
        outside = {k: v for k, v in self.given(env).items() if k not in part.names}

        def law(*given: Tensor) -> Along:
            found = self.law(factor, {**outside, **dict(zip(part.names, given))})
            assert isinstance(found, Along)
            return found

        return law

    def log_prob(self, factor: Factor, env: Row) -> Tensor:
        """log p of what there is of a variable."""
        name, law = factor.head, self.law(factor, env)
        if name not in self.program.apart:
            return law.log_prob(env[name])
        there = ~of_elements(self.graph[name], missing(self.graph[name], env[name]))
        value = env[name].masked_fill(~there, self.graph[name].type.feasible)
        if self.graph[name].elementwise:
            return log_prob_where(law, value, there)
        return torch.where(there.reshape(len(there), -1).any(-1), law.log_prob(value), 0.0)

    def value(self, name: str, env: Row) -> Tensor:
        """A variable, by its definition where it has no value yet."""
        if name not in env:
            definition = self.graph.definition(name)
            assert definition is not None, name
            reads = [self.value(r, env) for r in variables(definition.value)]
            env[name] = getattr(self.model, f"define_{self.graph[name].ident}")(*reads)
        return env[name]

    def given(self, env: Row) -> Row:
        """What is known without the features that follow from it."""
        features = {d.variable for d in self.graph.definitions if self.graph[d.variable].role == "let"}
        return {name: v for name, v in env.items() if name not in features}

    def known(self, rows: Row) -> Row:
        """Rows with what they determine, and what they have in common."""
        env = {**rows, **of_rows(self.graph, self.common, rows)}
        for part in self.program.inferred:
            reads = part.flow.reads if part.flow is not None else self.graph.reads(self.graph.keyed(part.keys[0]))
            if not part.certain or not {*self.graph.roots(reads)} <= {*env}:
                continue
            if part.flow is not None:
                self.invert(part.flow, env)
            else:
                env[part.names[0]] = self.law(self.graph.keyed(part.keys[0]), env).mean
        return env

    def invert(self, flow: Flow, env: Row) -> Tensor | None:
        """Puts the latents of a value into `env` as the inverse has them. Its ``log |det J|``, ``(n,)``; None for whole
        numbers, which have none."""
        value = self.image(flow, env)
        if flow.direct:
            env[flow.latents[0]] = value
            return torch.zeros(len(value))
        latents, log_det = flow.backward(self.model, value, self.others(flow, env))
        env |= dict(zip(flow.latents, latents))
        return None if flow.exact else log_det

    def image(self, flow: Flow, env: Row) -> Tensor:
        """The value of a definition that is read backwards, before it is rounded."""
        return env[flow.before] if flow.rounded else self.value(flow.image, env)

    def others(self, flow: Flow, env: Row) -> list[Tensor]:
        """What else such a definition reads."""
        return [self.value(name, env) for name in flow.others]

    def cases(self, env: Row) -> tuple[Row, Row]:
        """Each joint value of what is summed out, ``(cases, ...)``; and rows with each of them, the cases last."""
        n = len(next(iter(env.values())))
        values = {name: self.every(name) for name in self.program.summed}
        grid = torch.cartesian_prod(*(torch.arange(len(v)) for v in values.values())).reshape(-1, len(values))
        every = {name: v[grid[:, k]] for k, (name, v) in enumerate(values.items())}
        given, common = self.given(env).items(), {v.name for v in self.graph.variables if not v.rows}
        rows = {name: v.repeat_interleave(len(grid), 0) if name not in common else v for name, v in given}
        return every, rows | {name: v.repeat(n, *[1] * (v.dim() - 1)) for name, v in every.items()}

    def every(self, name: str) -> Tensor:
        """Each value of a variable of finitely many, ``(values, *shape)``."""
        type_ = self.graph[name].type
        return enumerate_values(int(type_.support.low or 0), type_.support.size or 0, type_.shape, torch.empty(0))

    @contextmanager
    def fixed(self, env: Row) -> Iterator[None]:
        """Inside, each q is certain of what was inferred by it."""
        methods = {}
        for name, value in self.common.items():
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


__all__ = ["Factors", "Row"]
