"""Latents of few values along an index: sums over all their paths, the most probable one, draws, and marginals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dgmppl.runtime.along import Sequence
from dgmppl.runtime.choices import chosen, index_of
from dgmppl.runtime.distributions import Categorical, Distribution
from dgmppl.runtime.lengths import within


@dataclass(frozen=True)
class Link:
    """A density along the index of a chain that reads some of its members.

    Args:
        value: what it is a density of: a tensor ``(n, T, ...)``, or the name of one of the latents.
        law: the density, from a value of each latent of `reads` but its own ``(m, T, ...)`` and from `given`, as many
            rows of each.
        reads: how far from a position the first and the last member lie that it reads, of each latent.
        given: what it depends on besides, ``(n, ...)`` each.
        own: whether elements of a tensor depend on others of it.
        alike: whether what a mean is multiplied with, where it is affine in the latents, and the deviation are the same
            in all rows.
    """

    value: Tensor | str
    law: Callable[..., Sequence]
    reads: Mapping[str, tuple[int, int]]
    given: tuple[Tensor, ...] = ()
    own: bool = False
    alike: bool = False


class FiniteChain:
    """Latents of few values along an index, of which each density reads a few neighbours.

    With c_t the values of all latents at t together, one of C, and psi_t the product of the densities at t,

        alpha_t(c_t) = sum over c_(t-1) of alpha_(t-1)(c_(t-1)) psi_t(c_(t-1), c_t)

    in logarithms, and the sum over all paths is that of alpha_T (Rabiner, 1989, Eqs. 19 to 21); where a density looks
    further back, alpha is a table of as many positions. The densities are read off for all positions at once, at paths
    that repeat so many values as a density looks at: each row of values then stands at some positions of some path.

    Args:
        length: how many positions there are, T.
        states: of each latent, the values that a member takes, ``(values, ...)``.
        links: the densities, of the latents and of what depends on them.
        lengths: how many members each row has, ``(n,)``, where that differs. Those beyond go on by the law of the
            latents, which sums to 1; of a path that is read they are the first value.
        backward: whether densities look at members after theirs: all is then done from the last position to the first.
        seen: of latents of which some members are known, those, ``(n, T, ...)``, NaN where they are not. Paths that do
            not agree with them are left out.
    """

    def __init__(
        self,
        length: int,
        states: Mapping[str, Tensor],
        *links: Link,
        lengths: Tensor | None = None,
        backward: bool = False,
        seen: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.length, self.states, self.lengths, self.backward = length, dict(states), lengths, backward
        self.device = next(iter(self.states.values())).device
        sizes = [len(values) for values in self.states.values()]
        self.parts = dict(zip(self.states, self._digits(sizes).unbind(1)))
        """Of each latent, which of its values it has in each of the values of all."""
        tables = [self._table(link) for link in links]
        self.lag = max(t.dim() for t in tables) - 3
        narrow = [t for t in tables if t.dim() == 3]
        unary: Tensor = sum(narrow[1:], narrow[0]) if narrow else tables[0].new_zeros(1, 1, 1)
        wide = [t.reshape(*t.shape[:2], *(1,) * (self.lag + 3 - t.dim()), *t.shape[2:]) for t in tables if t.dim() > 3]
        self.wide: Tensor | None = sum(wide[1:], wide[0]) if wide else None
        known = [self._agreeing(name, value) for name, value in (seen or {}).items()]
        self.rows = max(len(t) for t in (*tables, *known))
        self.unary = unary.expand(self.rows, length, self.count)
        for agrees in known:
            self.unary = torch.where(agrees, self.unary, -torch.inf)

    def _agreeing(self, name: str, seen: Tensor) -> Tensor:
        """Which of the values of all agree at each position with what is known of a latent, ``(n, T, C)``."""
        whole = seen if self.lengths is None else within(seen, self.lengths, seen.dim() - 2, torch.nan)
        value = self._in_order(whole).unsqueeze(2)
        agrees = (value == self.states[name][self.parts[name]]) | value.isnan()
        return agrees.flatten(3).all(-1) if agrees.dim() > 3 else agrees

    @property
    def count(self) -> int:
        """How many values all latents at a position take together, C."""
        return len(next(iter(self.parts.values())))

    def log_sum(self) -> Tensor:
        """The logarithm of the sum over all paths, ``(n,)`` nats."""
        if self.wide is None:
            return self.unary.logsumexp(-1).sum(-1)
        last: Tensor = _LastMessage.apply(self.wide, self.unary, self.lag)
        return last.flatten(1).logsumexp(-1)

    @torch.no_grad()
    def read(self, mean: bool) -> tuple[Tensor, ...]:
        """A value of each latent ``(n, T, ...)``: their most probable path with `mean` (Viterbi, 1967), else a draw
        from their posterior, backward from the last position."""
        wide, unary = self._ended()
        path = chosen(unary, mean, self._known_path) if wide is None else self._path(wide, unary, mean)
        path = self._in_order(path)
        return tuple(values[self.parts[name][path]] for name, values in self.states.items())

    def probabilities(self) -> dict[str, Tensor]:
        """The posterior probability of each value of each member of each latent, ``(n, T, values)``."""
        found = self._posterior()
        return {
            name: found @ torch.nn.functional.one_hot(self.parts[name], len(values)).to(found)
            for name, values in self.states.items()
        }

    def expected(
        self, names: tuple[str, ...], mean: Callable[..., Tensor], given: tuple[Tensor, ...], start: int = 0
    ) -> Tensor:
        """What is missing (NaN) of a value along the index by its posterior mean, ``(n, T', ...)``: at each position
        ``sum over c of p(c | data) E[x | c]``, with c the values of these latents there.

        Args:
            mean: its mean given a value of each of these latents ``(m, T, ...)`` and `given`, as many rows of each.
            given: what else it depends on, ``(n, ...)`` each, itself last.
            start: the position of its first element, from 0.
        """
        digits = self._digits([len(self.states[n]) for n in names])
        count, n = len(digits), len(given[0])
        paths = (self.states[name][digits[:, k]].unsqueeze(1) for k, name in enumerate(names))
        paths = (p.expand(-1, self.length, *p.shape[2:]).repeat(n, *(1,) * (p.dim() - 1)) for p in paths)
        means = mean(*paths, *(g.repeat_interleave(count, 0) for g in given))
        means = means.reshape(n, count, *means.shape[1:])
        posterior = self._posterior()
        weights = posterior @ torch.nn.functional.one_hot(self._joint(list(names)), count).to(posterior)
        weights = weights.narrow(1, start, means.shape[2]).mT
        found = (weights.reshape(*weights.shape, *(1,) * (means.dim() - 3)) * means).sum(1)
        return torch.where(given[-1].isnan(), found, given[-1])

    def _posterior(self) -> Tensor:
        """The posterior probability of each of the values of all at each position, ``(n, T, C)``: the gradient of the
        log sum in what each value counts there (Eisner, 2016)."""
        with torch.enable_grad():
            unary = self.unary.detach().requires_grad_()
            chain = object.__new__(FiniteChain)
            chain.__dict__ = {**self.__dict__, "unary": unary}
            (found,) = torch.autograd.grad(chain.log_sum().sum(), unary)
        return self._in_order(found)

    def _in_order(self, found: Tensor) -> Tensor:
        """What stands along the positions from where the sums begin, ``(n, T, ...)``, from the first position on."""
        return found.flip(1) if self.backward else found

    def marginals(self) -> dict[str, Distribution]:
        """The posterior of each member of each latent alone, of batch shape ``(n, T)``: which of its values it has."""
        return {name: Categorical(probs=probs) for name, probs in self.probabilities().items()}

    def _ended(self) -> tuple[Tensor | None, Tensor]:
        """The tables, with nothing but the first value beyond the end of each row: which of several ways a path might
        go on there says nothing about the path."""
        if self.lengths is None:
            return self.wide, self.unary
        first = torch.arange(self.count, device=self.device).eq(0).to(self.unary).log()
        beyond = torch.arange(self.length, device=self.device) >= self.lengths.unsqueeze(-1)
        unary = torch.where(beyond.unsqueeze(-1), first, self.unary)
        if self.wide is None:
            return None, unary
        return torch.where(beyond.reshape(*beyond.shape, *(1,) * (self.lag + 1)), 0.0, self.wide), unary

    def _path(self, wide: Tensor, unary: Tensor, mean: bool) -> Tensor:
        """Which of the values of all each row has at each position, ``(n, T)``."""
        messages = _messages(wide, unary, self.lag, torch.amax if mean else torch.logsumexp)
        last, rows = messages[-1], torch.arange(self.rows, device=wide.device)
        axes = last.dim() - 1

        def known_last(known: Mapping[str, Tensor]) -> Tensor:
            places = self._known_path(known)[:, self.length - axes :]
            return (places * last.shape[-1] ** torch.arange(axes - 1, -1, -1, device=places.device)).sum(-1)

        case = chosen(last.flatten(1), mean, known_last)
        path: list[Tensor] = []
        for size in reversed(last.shape[1:]):
            path.insert(0, case % size)
            case = case // size
        psi = wide.expand(self.rows, -1, *(last.shape[-1],) * (self.lag + 1)).unbind(1)
        for t in reversed(range(self.lag, self.length)):
            behind = path[: self.lag]
            scores = _given(messages[t - 1], rows, behind[:-1]) + _given(psi[t], rows, behind)
            path.insert(0, chosen(scores, mean, lambda known: self._known_path(known)[:, t - self.lag]))  # noqa: B023
        return torch.stack(path, 1)

    def _known_path(self, known: Mapping[str, Tensor]) -> Tensor:
        """Which of the values of all each position has, in the order of the sums, of values of each latent."""
        sizes = [len(values) for values in self.states.values()]
        found = torch.zeros(1, dtype=torch.long, device=self.device)
        for (name, values), size in zip(self.states.items(), sizes):
            found = found * size + index_of(self._in_order(known[name]), values)
        return found

    def _table(self, link: Link) -> Tensor:
        """The logarithm of a density for the values of all latents at the positions that it looks at, the first that is
        summed out first: ``(n or 1, T, C, ..., C)``, of size 1 where it does not look."""
        names = list(link.reads)
        first = min((a for a, _ in link.reads.values()), default=0)
        last = max((b for _, b in link.reads.values()), default=-1)
        span = last - first + 1 if names else 0
        digits = self._digits([len(self.states[n]) for n in names])
        few = len(digits)
        found = self._logs(link, names, digits, span)
        found = found.reshape(*found.shape[:2], *[few] * span, *found.shape[3:])
        if span > 1:
            found = _turned(found, first, span)
        if self.backward:
            rest = range(2 + span, found.dim())
            found = found.flip(1).permute(0, 1, *reversed(range(2, 2 + span)), *rest)
            first, last = -last, -first
        if few < self.count:
            joint = self._joint(names)
            for axis in range(2, 2 + span):
                found = found.index_select(axis, joint)
        for _ in range(last + 1, 0) if names else ():  # positions in between
            found = found.unsqueeze(2 + span)
        if not isinstance(link.value, str):
            return found if last == 0 else found.unsqueeze(-1)
        if len(self.states) == 1:
            return found
        part = self.parts[link.value]
        if names and last == 0:  # others of the chain at this position
            return found[..., torch.arange(len(part), device=part.device), part]
        return found.index_select(-1, part)

    def _joint(self, names: list[str]) -> Tensor:
        """Which of the values of these latents each of the values of all has."""
        found = torch.zeros(self.count, dtype=torch.long, device=self.device)
        for name in names:
            found = found * len(self.states[name]) + self.parts[name]
        return found

    def _logs(self, link: Link, names: list[str], digits: Tensor, span: int) -> Tensor:
        """The logarithm of a density at every position, ``(n or 1, T, paths)``, and of a latent's for each of its
        values, on a last axis."""
        each = {n: self.states[n][digits[:, k]] for k, n in enumerate(names)}
        if span == 1:  # a path for each case, which stays there
            count = len(digits)
            paths = {n: v.unsqueeze(1).expand(-1, self.length, *v.shape[1:]) for n, v in each.items()}
        else:
            every = self._digits([len(digits)] * span)
            path = every[:, torch.arange(self.length) % span] if span else every.new_zeros(1, self.length)
            count, paths = len(path), {n: v[path] for n, v in each.items()}
        rows, given = 1, link.given
        if given or link.own:
            rows = len(given[0]) if given else len(link.value)
            paths = {n: p.repeat(rows, *(1,) * (p.dim() - 1)) for n, p in paths.items()}
            given = tuple(g.repeat_interleave(count, 0) for g in given)
        law = link.law(*(p for n, p in paths.items() if n != link.value), *given)
        if isinstance(link.value, str):
            states = self.states[link.value]
            values = states[:, None, None].expand(-1, 1, self.length, *states.shape[1:])
            logs = law.endless().log_probs(values, paths.get(link.value, values[0]))
            logs = logs.expand(-1, rows * count, -1).reshape(len(states), rows, count, -1)
            return logs.permute(1, 3, 2, 0)
        if rows > 1 or given or link.own:
            logs = law.log_probs(link.value.repeat_interleave(count, 0)).reshape(rows, count, -1)
        else:
            logs = law.log_probs(link.value.unsqueeze(1))
        return logs.expand(-1, count, -1).mT

    def _digits(self, sizes: list[int]) -> Tensor:
        """All rows of numbers below these sizes, ``(product, len(sizes))``."""
        if not sizes:
            return torch.zeros(1, 0, dtype=torch.long, device=self.device)
        each = (torch.arange(size, device=self.device) for size in sizes)
        return torch.cartesian_prod(*each).reshape(-1, len(sizes))


def _messages(wide: Tensor, unary: Tensor, lag: int, reduce: Callable[[Tensor, int], Tensor]) -> list[Tensor]:
    """alpha at each position, with an axis for each of the last positions that are looked back at."""
    alpha, found = unary.new_zeros(1), []
    by_time = (table.movedim(1, 0).contiguous().unbind() for table in (wide, unary))
    for t, (psi, here) in enumerate(zip(*by_time)):
        alpha = alpha.unsqueeze(-1) + _beginning(psi, lag - t)
        if t >= lag:
            alpha = reduce(alpha, 1)
        alpha = alpha + _along_last(here, alpha.dim())
        found.append(alpha)
    return found


def _beginning(psi: Tensor, missing: int) -> Tensor:
    """A table without the axes of so many positions that would lie before the first: nothing depends on them."""
    for _ in range(missing):
        psi = psi.select(1, 0)
    return psi


def _along_last(here: Tensor, axes: int) -> Tensor:
    """A table ``(n, C)`` with axes in between."""
    return here.reshape(len(here), *(1,) * (axes - 2), -1) if axes > 2 else here


class _LastMessage(torch.autograd.Function):
    """alpha of the last position. Where a gradient is wanted the posterior of each position given the next is kept,
    through which it goes back: three operations for each position, where autograd would record a dozen."""

    @staticmethod
    def forward(ctx: Any, wide: Tensor, unary: Tensor, lag: int) -> Tensor:
        if not any(ctx.needs_input_grad):
            return _messages(wide, unary, lag, torch.logsumexp)[-1]
        weights: list[Tensor] = []

        def reduce(total: Tensor, axis: int) -> Tensor:
            # Where nothing leads to a case, all is -inf: its weights are 0, and the sum stays -inf.
            top = total.amax(axis, keepdim=True).clamp_min_(torch.finfo(total.dtype).min)
            weight = total.sub_(top).exp_()
            whole = weight.sum(axis, keepdim=True)
            weights.append(weight.div_(whole.clamp_min(torch.finfo(total.dtype).tiny)))
            return whole.log_().add_(top).squeeze(axis)

        last = _messages(wide, unary, lag, reduce)[-1]
        ctx.save_for_backward(*weights)
        ctx.lag, ctx.shapes = lag, (wide.shape, unary.shape)
        return last

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, None]:
        (slope,), (of_wide, of_unary) = slopes, ctx.shapes
        one = torch.Size((of_wide[0], *of_wide[2:]))
        found: list[Tensor] = []
        rows: list[Tensor] = []
        for weight in reversed(ctx.saved_tensors):
            rows.append(slope.flatten(1, -2).sum(1) if slope.dim() > 2 else slope)
            share = weight * slope.unsqueeze(1)
            found.append(share.sum_to_size(one))
            slope = share.sum(-1)
        for t in reversed(range(ctx.lag)):
            rows.append(slope.flatten(1, -2).sum(1) if slope.dim() > 2 else slope)
            first = slope.new_zeros(one)
            part = _beginning(first, ctx.lag - t)
            part.copy_(slope.sum_to_size(part.shape))
            found.append(first)
            slope = slope.sum(-1)
        return torch.stack(found[::-1], 1), torch.stack(rows[::-1], 1).expand(of_unary), None


def _turned(table: Tensor, first: int, span: int) -> Tensor:
    """A table ``(n, T, ...)`` with an axis for each number of a path's period, with one for each position that is
    looked at instead: the first of them at t has the number ``(t + first) mod span``."""
    rest = list(range(2 + span, table.dim()))
    numbers = (torch.arange(table.shape[1], device=table.device) + first) % span
    found = table
    for r in range(1, span):
        turned = table.permute(0, 1, *(2 + (r + i) % span for i in range(span)), *rest)
        there = (numbers == r).reshape(1, -1, *(1,) * (table.dim() - 2))
        found = torch.where(there, turned, found)
    return found


def _given(table: Tensor, rows: Tensor, behind: list[Tensor]) -> Tensor:
    """A table ``(n, C, ..., C)`` of each row where all cases but the first are known, ``(n, C)``."""
    index: tuple[Tensor | slice, ...] = (rows, slice(None), *behind)
    return table[index]


__all__ = ["FiniteChain", "Link"]
