"""Draws of what is missing of rows, by each of the ways that `dgmppl.imputations` finds."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from dgmppl.apply import in_common
from dgmppl.apply.drawing import (
    Completion,
    Misfit,
    Values,
    by_row,
    drawn_of,
    finite,
    over,
    repeated,
    rows_of,
    start_of,
    with_weights,
)
from dgmppl.apply.element_chains import Chains, State, scale_reduction
from dgmppl.apply.in_common import GivenCommon, shared_out
from dgmppl.apply.in_order import with_order
from dgmppl.apply.summaries import effective_words
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.graph.names import member_name
from dgmppl.graph.nodes import Graph
from dgmppl.imputations import ByChain, ByWeights, Exactly, Way, both, no_way, ways
from dgmppl.pipeline import Checked
from dgmppl.plan.figures import likelihood_of
from dgmppl.runtime import GenerativeModel
from dgmppl.runtime.emitted import emitted
from dgmppl.words import counted

PARTICLES = 100
"""Draws of the latents of a row in each round."""
OF_PRIOR = 25
"""So many of these are of p, for rows of which q knows nothing (defensive sampling, Hesterberg, 1995)."""
ROUNDS = 10
"""Rounds, of which each proposes by what the one before found; the last half counts."""
CHAINS = 10
"""Chains of a row, or more where a chain would give more draws than `EACH`."""
EACH = 20
LEARNING, BURN_IN = 30, 30
"""Sweeps in which a chain learns the size of its moves, and those in which it forgets its start and what it learned."""


class ExactCompletion(Completion):
    """By `infer` of the model of which elements may be missing."""

    def __init__(
        self, way: Exactly, missing: Collection[str], fitted: GenerativeModel, asked: Collection[str] = ()
    ) -> None:
        super().__init__(way, missing, fitted, asked)
        self.seen, self.model = way.seen, with_weights(way.seen, fitted)
        self.models = (self.model,)
        self.likelihood = likelihood_of(both(way.seen)[1])

    def copies(self, count: int) -> int:
        return count

    def draw(self, rows: Values, count: int) -> dict[str, Tensor]:
        if self.likelihood is not None:
            lost = self.model.figures(*rows_of(self.model, rows))[self.likelihood.name] == -torch.inf
            verify_possible(lost, "what is seen of them has a probability of 0")
        # What rows have in common is drawn anew for some of the draws.
        shared = both(self.seen)[0].shared
        parts = []
        for many in shared_out(count, in_common.COMMON_EXACT) if shared else (count,):
            found = self.model.infer(*rows_of(self.model, repeated(rows, many)))
            parts.append({name: by_row(found[name], many) for name in self.missing})
        return {name: torch.cat([p[name] for p in parts], 1) for name in self.missing}


class WeightedCompletion(Completion):
    """Population Monte Carlo (Cappé et al., 2004): latents are proposed by q of completed rows and weighed by
    p(seen, z) / q(z | completed); by what is drawn of them rows are completed again for the next round.

    The weights are right whatever the rows were completed with, for the completion of a round is known before its
    latents are drawn. Each is drawn from a mixture of q and p (defensive sampling, Hesterberg, 1995): so no weight is
    without bound, whatever q does.
    """

    def __init__(
        self, way: ByWeights, missing: Collection[str], fitted: GenerativeModel, asked: Collection[str] = ()
    ) -> None:
        super().__init__(way, missing, fitted, asked)
        self.latents = way.latents
        self.given: Values | None = None
        self.seen, self.proposal = with_weights(way.seen, fitted), with_weights(way.proposal, fitted)
        self.models = (self.seen, self.proposal)
        likelihood = likelihood_of(both(way.seen)[1])
        assert likelihood is not None
        self.name = likelihood.name
        graph = both(way.proposal)[0]
        self.conditions = both(way.seen)[0].asked
        factors = {n: q.method for n in way.latents if (q := graph.factor("q", n)) is not None}
        self.unseen = way.unseen if self._let_be_given(factors) else ()
        self.filled = [n for n in missing if graph[n].role == "observed"]  # q reads the others as far as they are seen
        self.effective: list[Tensor] = []
        self.beside = sum(graph[name].type.elements for name in way.latents)

    def copies(self, count: int) -> int:
        return max(PARTICLES, count)

    def quality(self) -> str:
        return effective_words(torch.cat(self.effective).cpu().numpy(), PARTICLES * (ROUNDS - ROUNDS // 2))

    def draw(self, rows: Values, count: int) -> dict[str, Tensor]:
        n = len(next(iter(rows.values())))
        many = repeated(rows, PARTICLES)
        whole = start_of(self.fitted, many, self.filled, self.asked)
        kept: list[tuple[dict[str, Tensor], Tensor]] = []
        for k in range(ROUNDS):
            latents, log_q = self._proposed(whole)
            if self.unseen:
                latents, log_q = self._some_of_p(whole, latents)
            ratio = self._density(many, latents) - log_q
            weights = torch.where(ratio.isnan(), -torch.inf, ratio).reshape(n, PARTICLES)
            if k >= ROUNDS // 2:
                kept.append(({m: by_row(v, PARTICLES) for m, v in latents.items()}, weights))
            if self.filled and k < ROUNDS - 1:
                taken = _taken(weights, PARTICLES)
                chosen = {m: _chosen(by_row(v, PARTICLES), taken) for m, v in latents.items()}
                # Where no draw is possible rows stay as they were: latents that are summed out have no posterior there.
                there = (weights > -torch.inf).any(1).repeat_interleave(PARTICLES)
                if bool(there.any()):
                    some, by = ({m: v[there] for m, v in values.items()} for values in (many, chosen))
                    parts = self._completed(some, by)
                    for name in self.filled:
                        whole[name][there] = parts[name]
        logits = torch.cat([w for _, w in kept], 1)
        names = " and ".join(self.latents)
        verify_possible((logits == -torch.inf).all(1), f"no draw of {names} comes to a probability above 0")
        shares = _shares(logits)
        self.effective.append(1 / shares.square().sum(1))
        taken = _taken(logits, count)
        chosen = {m: _chosen(torch.cat([z[m] for z, _ in kept], 1), taken) for m in self.latents}
        found = self._completed(repeated(rows, count), chosen)
        return {name: by_row(found[name], count) for name in self.missing}

    def _proposed(self, whole: Values, given: Values | None = None) -> tuple[dict[str, Tensor], Tensor]:
        """Latents that are drawn from q of whole rows, or those that are given, and log q of them."""
        self.given = given
        latents, ratio = emitted(self.proposal).propose(*rows_of(self.proposal, whole))
        self.given = None
        return latents, self._density(whole, latents) - ratio

    def _some_of_p(self, whole: Values, latents: Values) -> tuple[dict[str, Tensor], Tensor]:
        """Latents of which the last of each row are drawn from p, and the density of the mixture that all are of."""
        n = len(next(iter(whole.values())))
        drawn = drawn_of(self.seen, n, whole, self.conditions)
        of_p = torch.arange(n, device=self.seen.device) % PARTICLES >= PARTICLES - OF_PRIOR
        mixed = {m: torch.where(over(of_p, v), drawn[m], v) for m, v in latents.items()}
        _, log_q = self._proposed(whole, mixed)
        unseen = {m: torch.full_like(v, torch.nan) if m in self.unseen else v for m, v in whole.items()}
        log_p, share = self._density(unseen, mixed), OF_PRIOR / PARTICLES
        return mixed, torch.logaddexp(math.log(1 - share) + finite(log_q), math.log(share) + finite(log_p))

    def _let_be_given(self, methods: Mapping[str, str]) -> bool:
        """Lets `propose` take latents that are given in place of draws, by the methods that give the q of each; false
        where a latent has none."""
        laws = {name: getattr(self.proposal, method, None) for name, method in methods.items()}
        if None in laws.values() or set(laws) != set(self.latents):
            return False
        for name, method in methods.items():
            setattr(self.proposal, method, self._of_given(name, laws[name]))
        return True

    def _of_given(self, name: str, law: Any) -> Any:
        return lambda *read: law(*read) if self.given is None else _Given(law(*read), self.given[name])

    def _density(self, rows: Values, latents: Values) -> Tensor:
        """log p of what is seen of rows, and latents."""
        return self.seen.figures(*rows_of(self.seen, {**rows, **latents}))[self.name]

    def _completed(self, rows: Values, latents: Values) -> dict[str, Tensor]:
        found = self.seen.infer(*rows_of(self.seen, {**rows, **latents}))
        return {name: found[name] for name in self.missing}


class _Given:
    """A distribution of which the next draw is known.

    Args:
        law: the distribution.
        value: the draw.
    """

    def __init__(self, law: Any, value: Tensor) -> None:
        self.law, self.value = law, value

    def rsample(self, *shape: Any) -> Tensor:
        return self.value

    def __getattr__(self, name: str) -> Any:
        return getattr(self.law, name)


class ChainCompletion(Completion):
    """By Markov chains, several of each row."""

    def __init__(self, way: ByChain, missing: Collection[str], fitted: GenerativeModel, of: Graph) -> None:
        """`of`: the graph of the fitted model."""
        super().__init__(way, missing, fitted, of.asked)
        self.graph = of
        self.model = fitted if way.energy is not None else with_weights(way.whole, fitted)
        self.models = (self.model,)
        self.latents, self.energy, self.terms = way.latents, way.energy, way.terms
        graph, plan = both(way.whole)
        likelihood = likelihood_of(plan)
        self.name = likelihood.name if likelihood is not None else ""
        self.bins = way.bins
        moved = (*(n for n in self.missing if n not in self.bins), *self.bins.values(), *self.latents)
        self.supports = {name: graph[name].type.support for name in moved}
        self.beside = sum(graph[name].type.elements for name in self.latents)
        self.accepted: list[Tensor] = []
        self.reduction: list[Tensor] = []

    def copies(self, count: int) -> int:
        return min(count, max(CHAINS, count // EACH))

    def quality(self) -> str:
        found: list[str] = []
        if self.accepted:
            found.append(f"{torch.cat(self.accepted).mean():.0%} of the moves were accepted")
        if self.reduction:
            r = torch.cat(self.reduction)
            worst = torch.quantile(r[r.isfinite()][:1_000_000], 0.95) if r.isfinite().any() else torch.inf
            stuck = int(r.isinf().sum())
            found.append(f"R of the chains is {r.median():.3f} in the median cell, {worst:.3f} in one of twenty")
            found += [f"in {counted(stuck, 'cell')} no chain has moved, and they differ"] if stuck else []
        return "; ".join(found)

    def _possible(self, state: State, chains: int) -> State:
        """The state in which chains that have come to nothing of a probability above 0 go on from others of their row.

        Raises:
            SpecError (E660): where no chain of a row has come to anything else.
        """
        lost = (finite(self.target(state)) == -torch.inf).reshape(-1, chains)
        verify_possible(lost.all(1), f"no chain of {self.told} comes to values of a probability above 0")
        own = torch.arange(chains, device=lost.device).expand_as(lost)
        place = torch.where(lost, lost.long().argmin(1, keepdim=True), own)
        place = (place + chains * torch.arange(len(lost), device=lost.device).unsqueeze(1)).flatten()
        return {name: v[place] for name, v in state.items()}

    def target(self, state: State) -> Tensor:
        if self.energy is not None:
            method, arguments = self.energy
            found: Tensor = -getattr(self.model, method)(*(state[name] for name in arguments))
            return found
        if self.terms:
            terms = self.model.terms(*rows_of(self.model, state))
            return torch.stack([terms[label] for label in self.terms]).sum(0)
        return self.model.figures(*rows_of(self.model, state))[self.name]

    def _inferred(self, state: State) -> State:
        """Latents of completed rows; where these have no probability, as counts that do not add up, those of a row that
        is drawn as a whole."""
        n = len(next(iter(state.values())))
        many = n if self.asked else 1
        drawn = drawn_of(self.fitted, many, {name: v[:many] for name, v in state.items()}, self.asked, self.missing)
        possible = {name: drawn[name].expand_as(v) if name in drawn else v for name, v in state.items()}
        some = self._latents_of(possible)
        smooth = {other: state[name] + 0.5 for name, other in self.bins.items()}
        lost = finite(self.target({**state, **some, **smooth})) == -torch.inf
        if bool(lost.all()):
            return some
        rows = {name: torch.where(over(lost, v), possible[name], v) for name, v in state.items()}
        return self._latents_of(rows)

    def _latents_of(self, rows: Values) -> State:
        """Draws of the latents of whole rows; a family is one of them, whose members `infer` may give one by one."""
        found = self.fitted.infer(*rows_of(self.fitted, rows))
        made = {}
        for name in self.latents:
            members = (
                [found[name]] if name in found else [found[member_name(name, k)] for k in self.graph[name].members]
            )
            made[name] = members[0] if name in found else torch.stack(members, 1)
        return made

    def _in_bins(self, state: State, rows: Values, free: State) -> dict[str, tuple[Tensor, Tensor]]:
        """Puts values before rounding in the place of whole numbers, each free to move in its bin, or where it is
        missing over all of them."""
        bounds = {}
        for name, other in self.bins.items():
            value, gone = state.pop(name), rows[name].isnan()
            free.pop(name, None)
            least, most = self._ends(name)
            low, high = torch.where(gone, least, value), torch.where(gone, most, value) + 1
            state[other], bounds[other] = value + torch.rand_like(value), (low, high)
            free[other] = torch.ones_like(gone)
        return bounds

    def _ends(self, name: str) -> tuple[float, float]:
        """The least and the largest whole number that a variable may be, infinite where it has none."""
        support = self.graph[name].type.support
        return -torch.inf if support.low is None else support.low, torch.inf if support.high is None else support.high

    def _value(self, name: str, state: State, rows: Values) -> Tensor:
        """What is drawn of a variable; of one that is rounded the whole number in whose bin it is."""
        if name not in self.bins:
            return state[name]
        found = state[self.bins[name]].floor().clamp(*self._ends(name))
        return torch.where(rows[name].isnan(), found, rows[name])

    def draw(self, rows: Values, count: int) -> dict[str, Tensor]:
        n = len(next(iter(rows.values())))
        chains = self.copies(count)
        each = -(-count // chains)
        many = repeated(rows, chains)
        state = start_of(self.fitted, many, self.missing, self.asked)
        free = {name: many[name].isnan() for name in self.missing}
        if self.latents:
            state |= self._inferred(state)
            free |= {name: torch.ones_like(state[name], dtype=torch.bool) for name in self.latents}
        bounds = self._in_bins(state, many, free)
        running = Chains(self.target, self.supports, free, bounds, chains)
        state = running.run(state, LEARNING, adapt=True)
        state = running.run(state, BURN_IN, adapt=False)
        state = self._possible(state, chains)
        drawn: dict[str, list[Tensor]] = {name: [] for name in self.missing}
        for _ in range(each):
            state = running.run(state, 2, adapt=False)
            for name in self.missing:
                drawn[name].append(by_row(self._value(name, state, many), chains))
        accepted = running.acceptance()
        if accepted is not None:
            self.accepted.append(accepted)
        together = {name: torch.stack(values, 1) for name, values in drawn.items()}  # (n, each, chains, *shape)
        if each >= 5 and chains > 1:
            for name, values in together.items():
                cells = scale_reduction(values.transpose(0, 2)).reshape(n, -1)
                self.reduction.append(cells[rows[name].isnan().reshape(n, -1)])
        return {name: v.flatten(1, 2)[:, :count] for name, v in together.items()}


def verify_possible(lost: Tensor, why: str) -> None:
    """Refuses rows of which nothing that is tried has a probability above 0 (E660).

    Args:
        lost: which rows, ``(n,)``.
        why: they cannot be.
    """
    if bool(lost.any()):
        headline = f"some rows cannot be completed: {why}"
        help_ = "what is seen of these rows may have none, or leave a single value to what is missing: fill it in"
        raise SpecError([Diagnostic("E660", headline, help=help_)])


def completion(checked: Checked, missing: Collection[str], fitted: GenerativeModel) -> Completion:
    """The best way that the structure and the weights of a fitted model allow.

    Raises:
        SpecError (E660): where there is none.
    """
    graph = both(checked)[0]
    for way in ways(checked, missing):
        try:
            found = _made(way, missing, fitted, graph)
        except Misfit:
            continue
        return GivenCommon(way, found, graph) if way.common else with_order(checked, way, found)
    raise no_way(checked, missing)


def _made(way: Way, missing: Collection[str], fitted: GenerativeModel, graph: Graph) -> Completion:
    asked = graph.asked
    if isinstance(way, Exactly):
        return ExactCompletion(way, missing, fitted, asked)
    if isinstance(way, ByWeights):
        return WeightedCompletion(way, missing, fitted, asked)
    return ChainCompletion(way, missing, fitted, graph)


def _shares(logits: Tensor) -> Tensor:
    """Weights that sum to 1; alike where none is more than 0."""
    lost = (logits == -torch.inf).all(1, keepdim=True)
    return torch.where(lost, 0.0, logits).softmax(1)


def _taken(logits: Tensor, count: int) -> Tensor:
    """Which of the draws of each row are taken, by their weights, (n, count)."""
    return torch.multinomial(_shares(logits), count, replacement=True)


def _chosen(values: Tensor, taken: Tensor) -> Tensor:
    """Of draws (n, many, *shape) those that are taken, (n count, *shape)."""
    rows = torch.arange(len(taken), device=taken.device).unsqueeze(1)
    return values[rows, taken].flatten(0, 1)


__all__ = ["Completion", "completion"]
