"""Draws of what is left out of rows, weighed by what is known of them; their moments as they come."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dgmppl.apply.beliefs import Array, Belief, Beliefs, Classes, Numbers
from dgmppl.apply.scores import Score, choose_score, prediction_reads, with_prediction
from dgmppl.data.fields import Field
from dgmppl.diagnostics import SpecError
from dgmppl.graph.nodes import Variable
from dgmppl.plan.predict import choose_prediction
from dgmppl.runtime.along import Sequence
from dgmppl.runtime.distributions import Independent
from dgmppl.runtime.emitted import emitted
from dgmppl.words import counted

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun

ROUNDS = 4
"""Rounds of draws where a q reads what is left out: in each but the first it reads draws of the one before, taken by
their weights (population Monte Carlo: Cappe et al., 2004)."""

COVERAGE_DRAWS = 200
"""Draws of an exact law that say what share of it lies below a value, where it has no such function."""

MOST_VALUES = 256
"""More values of an element are told by mean and deviation, as numbers are."""


class Drawn:
    """Self-normalised importance sampling: moments of draws, each weighed by p / q."""

    def __init__(self, fitted: FittedRun, names: tuple[str, ...], draws: int, at_once: int) -> None:
        self.graph, self.names = fitted.graph, names
        self.fields = {name: field.in_numbers for name, field in fitted.fields.items()}
        self.made = choose_prediction(self.graph, fitted.plan, names)
        self.score: Score | None = None
        if self.made.alone:
            try:
                self.score = choose_score(fitted.model, fitted.run, names)
            except SpecError:
                self.made = choose_prediction(self.graph, fitted.plan, names, scored=False)
        self.model = with_prediction(fitted.model, fitted.run, self.made)
        self.draws, self.at_once = draws, at_once
        self.exact, self.covers = self._closed() if self.made.exact == names else (False, False)
        self.weighed = 0 if self.exact or not self._weighs() else draws
        self.apart = bool(self.graph.shared)
        self.reads = prediction_reads(self.graph, self.made) | (self.score.reads if self.score else frozenset())
        read = {name for m in self.made.moves if m.drawn[:1] == "q" for name in self._roots(m.drawn)}
        self.reads_left_out = bool(read & set(names)) and not self.exact
        self.notes: tuple[str, ...] = (self._words(),)

    def _closed(self) -> tuple[bool, bool]:
        """Whether each law has its moments, or the probabilities of its elements, in closed form; and whether those of
        numbers also say how probable less than a value is."""
        rows = [self.model.like.new_full((2, *v.type.shape), v.type.feasible) for v in self.graph.data]
        drawn, laws, _ = emitted(self.model).predict(*rows)
        sums = {name: sums_of(self.graph[name], self.fields[name], None) for name in self.names}
        moments = all(
            one.shares_of(laws[name], drawn[name]) is not None
            if isinstance(one, _Shares)
            else self.fields[name].affine and _moments(laws[name], drawn[name]) is not None
            for name, one in sums.items()
        )
        numbers = [name for name, one in sums.items() if isinstance(one, _Numbers)]
        covers = all(below(laws[name], drawn[name], self.graph[name]) is not None for name in numbers)
        return moments, covers

    def _roots(self, key: str) -> tuple[str, ...]:
        return self.graph.roots(self.graph.reads(self.graph.keyed(key)))

    def _weighs(self) -> bool:
        """Whether draws have weights, and not all the same one."""
        return self.made.alone or bool(self.made.evidence) or any(m.weighed for m in self.made.moves)

    def _words(self) -> str:
        told = ", ".join(self.names)
        if self.exact:
            return f"{told}: exactly, by {', '.join(m.drawn for m in self.made.moves)}"
        drawn = ", ".join(m.drawn for m in self.made.moves if m.drawn)
        if not self._weighs():
            return f"{told}: by {counted(self.draws, 'draw')} of {drawn}"
        ratios = [m.weighed if m.some else f"{m.weighed} / {m.drawn}" for m in self.made.moves if m.weighed]
        weighed = ", ".join([*self.made.evidence, *ratios])
        if self.score is not None:
            weighed = self.score.how.removeprefix("exactly, by ").removeprefix("by importance sampling, ")
        return f"{told}: by importance sampling, {counted(self.draws, 'draw')} of {drawn}, weighed by {weighed}"

    def beliefs(self, rows: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> Beliefs:
        n = len(next(iter(rows.values())))
        sums = {name: sums_of(self.graph[name], self.fields[name], truth.get(name)) for name in self.names}
        total = Weights(n)
        stands = self._stand_ins(n)
        rounds = min(ROUNDS, self.draws) if self.reads_left_out else 1
        for k in range(rounds):
            many = self.draws // rounds + (k < self.draws % rounds)
            chosen = _Reservoir(n)
            for count in self._pieces(n, many):
                repeated = {name: v.repeat_interleave(count, 0) for name, v in {**rows, **stands}.items()}
                drawn, laws, log = emitted(self.model).predict(*(repeated[v.name] for v in self.graph.data))
                log = log.double().reshape(n, count)
                if self.score is not None:
                    log = log + self.score.give({**repeated, **drawn}).double().reshape(n, count)
                scale, weights = total.add(log)
                for name, one in sums.items():
                    one.add(drawn[name], laws.get(name), scale, weights)
                if rounds > 1:
                    chosen.add({name: drawn[name].unflatten(0, (n, count)) for name in self.names}, log)
            stands = chosen.values or stands
        effective = None if self.exact else total.effective
        return {name: one.belief(total, effective, self.exact) for name, one in sums.items()}

    def _pieces(self, n: int, many: int) -> list[int]:
        """How many draws of each row are computed at once."""
        if self.exact:  # moments are those of the law; draws say what share of it lies below a value, if it does not
            many = 1 if self.covers else min(many, COVERAGE_DRAWS)
        each = 1 if self.apart else max(1, self.at_once // max(n, 1))
        return [min(each, many - done) for done in range(0, many, each)]

    def _stand_ins(self, n: int) -> dict[str, Tensor]:
        """Values of what is left out, for a q that reads it: draws of the model where it needs no condition."""
        like = self.model.like
        made = {
            v.name: like.new_full((n, *v.type.shape), v.type.feasible)
            for v in (self.graph[name] for name in self.names)
        }
        if self.reads_left_out and not self.graph.asked:
            found = self.model.sample(n)
            found = found if isinstance(found, dict) else {self.names[0]: found}
            made |= {name: found[name] for name in self.names if name in found}
        return made


class Weights:
    """The sum of weights that come in pieces, each relative to the largest so far."""

    def __init__(self, n: int) -> None:
        self.largest = torch.full((n,), -math.inf, dtype=torch.float64)
        self.sum = torch.zeros(n, dtype=torch.float64)
        self.squares = torch.zeros(n, dtype=torch.float64)

    def add(self, log: Tensor) -> tuple[Tensor, Tensor]:
        """What sums so far are to be multiplied with, (n,), and the weights of a piece, (n, draws)."""
        log = log.cpu().nan_to_num(nan=-math.inf, posinf=-math.inf)
        largest = torch.maximum(self.largest, log.amax(-1))
        floor = torch.where(largest.isfinite(), largest, 0.0)
        scale = (self.largest - floor).exp()
        weights = (log - floor.unsqueeze(-1)).exp()
        self.sum = self.sum * scale + weights.sum(-1)
        self.squares = self.squares * scale**2 + weights.square().sum(-1)
        self.largest = largest
        return scale, weights

    @property
    def effective(self) -> Array:
        """(sum w)^2 / sum w^2 (Kong, 1992)."""
        found: Array = (self.sum.square() / self.squares).numpy()
        return found


class _Reservoir:
    """One draw of each row, taken by weight from those that come in pieces."""

    def __init__(self, n: int) -> None:
        self.values: dict[str, Tensor] = {}
        self.log = torch.full((n,), -math.inf, dtype=torch.float64)

    def add(self, drawn: Mapping[str, Tensor], log: Tensor) -> None:
        # The largest of log-weights with Gumbel noise is a draw by the weights.
        noisy = log + -torch.empty_like(log).exponential_().log()
        best, place = noisy.nan_to_num(nan=-math.inf).max(-1)
        taken = {name: v[torch.arange(len(v), device=v.device), place] for name, v in drawn.items()}
        better = best > self.log.to(best)
        if not self.values:
            self.values = taken
        else:
            self.values = {
                name: torch.where(better.reshape(-1, *(1,) * (v.dim() - 1)), v, self.values[name])
                for name, v in taken.items()
            }
        self.log = torch.maximum(self.log.to(best), best)


def sums_of(variable: Variable, field: Field, truth: Tensor | None) -> _Numbers | _Shares:
    size = variable.type.support.size
    if size is not None and size <= MOST_VALUES:
        return _Shares(variable)
    return _Numbers(variable, field, truth)


class _Numbers:
    """Moments in the units of the data, and the share of draws below what is known."""

    def __init__(self, variable: Variable, field: Field, truth: Tensor | None) -> None:
        self.variable, self.field, self.affine = variable, field, field.affine
        self.truth = None if truth is None else truth.double().cpu()
        self.first: Any = 0.0
        self.second: Any = 0.0
        self.below: Any = 0.0
        self.density: Any = 0.0
        self.shift: Array | None = None
        self.law = True

    def add(self, drawn: Tensor, law: Any, scale: Tensor, weights: Tensor) -> None:
        n, count = weights.shape
        values = drawn.double().cpu().numpy()
        moments = _moments(law, drawn) if law is not None and self.affine else None
        if moments is not None:
            mean, deviation = (m.double().cpu().numpy() for m in moments)
            there = np.asarray(self.field.invert(mean))
            spread = np.square(self.field.invert(mean + deviation) - there)
        else:
            there = np.asarray(self.field.invert(values), dtype=np.float64)
            spread = np.zeros_like(there)
        there, spread = (a.reshape(n, count, *a.shape[1:]) for a in (there, spread))
        if self.shift is None:
            self.shift = there.mean(1)  # what is added up are deviations from it, so that squares lose no digits
        away = there - self.shift[:, None]
        self.first = self._sum(self.first, away, scale, weights)
        self.second = self._sum(self.second, spread + away**2, scale, weights)
        if self.truth is not None:
            known = self.truth.repeat_interleave(count, 0).to(drawn)
            share = below(law, known, self.variable) if law is not None else None
            if share is None:
                away = drawn.double().cpu() - self.truth.repeat_interleave(count, 0)
                share = torch.where(away < 0, 1.0, torch.where(away == 0, 0.5, 0.0))
            self.below = self._sum(self.below, share.reshape(n, count, *drawn.shape[1:]).numpy(), scale, weights)
            self.law = self.law and law is not None
            if law is not None:
                density = law.log_prob(known).double().exp().cpu().expand(n * count).reshape(n, count).numpy()
                self.density = self._sum(self.density, density, scale, weights)

    def _sum(self, before: Any, values: Array, scale: Tensor, weights: Tensor) -> Any:
        old = before if isinstance(before, float) else before * _like(scale.numpy(), before)
        return old + (_like(weights.numpy(), values) * values).sum(1)

    def belief(self, total: Weights, effective: Array | None, exact: bool) -> Belief:
        assert self.shift is not None
        whole = _like(total.sum.numpy(), self.first)
        first, second = self.first / whole, self.second / whole
        below = None if self.truth is None else self.below / whole
        with np.errstate(divide="ignore"):
            nll = -np.log(self.density / total.sum.numpy()) if self.truth is not None and self.law else None
        deviation = np.sqrt(np.maximum(second - first**2, 0.0))
        return Numbers(self.shift + first, deviation, below, nll, effective)


class _Shares:
    """The share of each value of each element."""

    def __init__(self, variable: Variable) -> None:
        self.low, self.size = int(variable.type.support.low or 0), variable.type.support.size or 0
        self.found: Any = 0.0

    def add(self, drawn: Tensor, law: Any, scale: Tensor, weights: Tensor) -> None:
        n, count = weights.shape
        of_law = self.shares_of(law, drawn) if law is not None else None
        if of_law is None:
            index = drawn.detach().cpu().reshape(n, count, -1).long() - self.low
            of_law = torch.nn.functional.one_hot(index, self.size)
        shares = torch.einsum("nk,nkev->nev", weights, of_law.reshape(n, count, -1, self.size).double().cpu())
        old = self.found if isinstance(self.found, float) else self.found * _like(scale.numpy(), self.found)
        self.found = old + shares.numpy()

    def shares_of(self, law: Any, drawn: Tensor) -> Tensor | None:
        """The probabilities of the values of each element under a law, (rows, elements, values); None where elements
        depend on each other."""
        each: list[Tensor] = []
        for value in torch.arange(self.low, self.low + self.size).to(drawn):
            log = _log_probs(law, torch.full_like(drawn, value))
            if log is None:
                return None
            each.append(log.exp())
        return torch.stack(each, -1).reshape(len(drawn), -1, self.size)

    def belief(self, total: Weights, effective: Array | None, exact: bool) -> Belief:
        return Classes(self.found / _like(total.sum.numpy(), self.found), effective)


def _like(values: Array, other: Array) -> Array:
    """Values with as many axes as another array has."""
    return values.reshape(*values.shape, *(1,) * (np.ndim(other) - values.ndim))


def below(law: Any, values: Tensor, variable: Variable) -> Tensor | None:
    """How probable less than each of these values is under a law, of its elements apart, (n, *shape) in double
    precision; None where they depend on each other, are counted, or the law has no such function."""
    law = _of_elements(law, values)
    if law is None or variable.type.support.discrete:
        return None
    try:
        found: Tensor = law.cdf(values)
    except NotImplementedError:
        return None
    return found.double().cpu() if found.shape == values.shape else None


def _log_probs(law: Any, values: Tensor) -> Tensor | None:
    """log p of each element, (n, *shape); None where they depend on each other."""
    if _is_sequence(law):
        return law.log_probs(values).expand(values.shape) if values.dim() == 2 else None
    law = _of_elements(law, values)
    return None if law is None else law.log_prob(values)


def _is_sequence(law: Any) -> bool:
    """Whether it is a law of elements along an index that do not depend on each other, in rows that have all."""
    return isinstance(law, Sequence) and law.lag == 0 and law.lengths is None


def _of_elements(law: Any, values: Tensor) -> Any:
    """A law of elements that do not depend on each other, as one of each; None where they do."""
    while isinstance(law, Independent):
        law = law.base_dist
    batch = law.batch_shape
    return None if law.event_shape or values.shape[values.dim() - len(batch) :] != batch else law


def _moments(law: Any, drawn: Tensor) -> tuple[Tensor, Tensor] | None:
    """Mean and deviation of a law, of as many rows as were drawn; None where it has none in closed form."""
    try:
        if _is_sequence(law):
            mean, deviation = law.moments(drawn)
        else:
            mean, deviation = law.mean, law.variance.sqrt()  # that of heavy tails may be infinite
    except (NotImplementedError, AttributeError):
        return None
    if mean.shape != deviation.shape or not mean.isfinite().all() or deviation.isnan().any():
        return None
    return mean.expand(drawn.shape), deviation.expand(drawn.shape)


__all__ = ["Drawn", "Weights", "sums_of"]
