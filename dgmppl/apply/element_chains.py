"""Markov chains that move some elements of rows by a density of whole rows that is known up to a factor.

Elements of few values are drawn from their exact conditional, one after another (Gibbs sampling, Geman and Geman,
1984). Continuous ones move together by Hamiltonian Monte Carlo (Neal, 2011), in coordinates without bounds, the
logarithm of what is positive, and in units of how far apart the chains of a row start, or between mirrors where their
bounds differ from element to element. Other whole numbers, and vectors of a support of their own, take steps that are
accepted or not (Metropolis et al., 1953): of shares two exchange some, a direction turns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.distributions import Transform, biject_to, constraints

from dgmppl.supports import Support

LEAPFROGS = 10
WANTED = {"hamiltonian": 0.8, "steps": 0.44}
"""The shares of moves that are accepted where their size is right."""
AT_ONCE = 2**22
"""So many numbers are in a state that is evaluated at once."""

State = dict[str, Tensor]
Target = Callable[[State], Tensor]
End = Tensor | float | None


@dataclass
class Chains:
    """Chains, one for each row of a state, and how large their moves are.

    Args:
        target: the logarithm of the density of each row of a state, (n,), up to a constant of the row.
        supports: of the variables that are moved.
        free: which elements of each of them move, (n, *shape).
        bounds: of continuous ones, between what each element lies, (n, *shape) each, where that is not their support.
        of_a_row: so many chains, side by side, are of the same row.
    """

    target: Target
    supports: Mapping[str, Support]
    free: State
    bounds: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    of_a_row: int = 1
    sizes: dict[str, Tensor] = field(default_factory=dict)
    accepted: dict[str, list[Tensor]] = field(default_factory=lambda: {"hamiltonian": [], "steps": []})
    units: State = field(default_factory=dict)
    swept: int = 0

    def run(self, state: State, sweeps: int, adapt: bool) -> State:
        """The state after so many sweeps; the sizes of moves are learned in them where `adapt` says so.

        They then depend on where the chains are, so that draws have the law only after sweeps that learn nothing.
        """
        names = [n for n in self.supports if bool(self.free[n].any())]
        smooth = [n for n in names if not self.supports[n].discrete and not self.supports[n].event_rank]
        for _ in range(sweeps):
            self.swept += adapt
            if smooth:
                state = self._hamiltonian(state, smooth, adapt)
            for name in names:
                support = self.supports[name]
                if support.event_rank:
                    state = self._vectors(state, name, support, adapt)
                elif support.size is not None and support.discrete:
                    state = self._gibbs(state, name, support)
                elif support.discrete:
                    state = self._steps(state, name, support, adapt)
        return state

    def acceptance(self) -> Tensor | None:
        """The share of the moves of each row that were accepted while nothing was learned; None without such moves."""
        kept = [*self.accepted["hamiltonian"], *self.accepted["steps"]]
        return torch.stack(kept).mean(0) if kept else None

    def _gibbs(self, state: State, name: str, support: Support) -> State:
        """Each free element of a variable of few values given all others."""
        values = (support.low or 0.0) + torch.arange(support.size or 0, device=state[name].device)
        flat, free = _flat(state[name]).clone(), _flat(self.free[name])
        shape = state[name].shape
        width = sum(v[0].numel() for v in state.values())
        many = max(AT_ONCE // (width * len(values)), 1)
        for place in free.any(0).nonzero().flatten().tolist():
            for rows in free[:, place].nonzero().flatten().split(many):
                tried = {n: v[rows].repeat_interleave(len(values), 0) for n, v in state.items()}
                whole = flat[rows].repeat_interleave(len(values), 0)
                whole[:, place] = values.to(flat.dtype).repeat(len(rows))
                tried[name] = whole.reshape(-1, *shape[1:])
                logits = _finite(self.target(tried)).reshape(len(rows), -1)
                lost = (logits == -torch.inf).all(1, keepdim=True)  # nowhere near what could be: any value
                logits = torch.where(lost, 0.0, logits)
                flat[rows, place] = values.to(flat.dtype)[torch.distributions.Categorical(logits=logits).sample()]
        return {**state, name: flat.reshape(shape)}

    def _steps(self, state: State, name: str, support: Support, adapt: bool) -> State:
        """Each free element of a variable of whole numbers takes a step up or down, of a geometric length."""
        size = self.sizes.setdefault(name, state[name].new_full((len(state[name]),), 2.0))
        free, shape = _flat(self.free[name]), state[name].shape
        now = _finite(self.target(state))
        for place in free.any(0).nonzero().flatten().tolist():
            flat = _flat(state[name]).clone()
            length = 1 + (torch.empty_like(size).exponential_() * size).floor()
            flat[:, place] += torch.where(free[:, place], length * _sign(size), 0.0)
            inside = torch.ones_like(size, dtype=torch.bool)
            if support.low is not None:
                inside = flat[:, place] >= support.low
            if support.high is not None:
                inside &= flat[:, place] <= support.high
            flat[:, place] = torch.where(inside, flat[:, place], _flat(state[name])[:, place])
            then = torch.where(inside, _finite(self.target({**state, name: flat.reshape(shape)})), -torch.inf)
            state, now, size = self._taken(state, name, flat.reshape(shape), now, then, size, free[:, place], adapt)
        self.sizes[name] = size
        return state

    def _vectors(self, state: State, name: str, support: Support, adapt: bool) -> State:
        """Each vector that is free takes as many steps as it has numbers, whose density is the same there and back."""
        size = self.sizes.setdefault(name, state[name].new_full((len(state[name]),), 0.2))
        shape = state[name].shape
        free = self.free[name].reshape(len(size), -1, shape[-1]).any(-1)
        now, step = _finite(self.target(state)), VECTORS[support.moves]
        for place in range(free.shape[1]):
            for _ in range(shape[-1]):
                vectors = state[name].reshape(len(size), -1, shape[-1]).clone()
                moved = step(vectors[:, place], size)
                vectors[:, place] = torch.where(free[:, place : place + 1], moved, vectors[:, place])
                tried = vectors.reshape(shape)
                then = _finite(self.target({**state, name: tried}))
                state, now, size = self._taken(state, name, tried, now, then, size, free[:, place], adapt)
        self.sizes[name] = size
        return state

    def _taken(
        self,
        state: State,
        name: str,
        tried: Tensor,
        now: Tensor,
        then: Tensor,
        size: Tensor,
        free: Tensor,
        adapt: bool,
    ) -> tuple[State, Tensor, Tensor]:
        """The state in which a variable has the value tried where that is taken (Metropolis et al., 1953), its
        log-density, and the size of the next step; `now` and `then` are the log-densities before and with it."""
        taken = torch.rand_like(size).log() < then - now
        chance = torch.where(free, (then - now).exp().clamp(max=1), WANTED["steps"])
        size = self._learned("steps", size, chance, adapt)
        state = {**state, name: torch.where(_over(taken, state[name]), tried, state[name])}
        return state, torch.where(taken, then, now), size

    def _hamiltonian(self, state: State, names: list[str], adapt: bool) -> State:
        """The free elements of continuous variables move together along a path of constant energy, nearly."""
        first = state[names[0]]
        size = self.sizes.setdefault("", first.new_full((len(first),), 0.1))
        step = size * (0.8 + 0.4 * torch.rand_like(size))  # of different lengths: no path closes upon itself
        places = {n: self._place(n, state[n]) for n in names}
        units = {n: self._unit(n, places[n]) for n in names}
        momenta = {n: torch.randn_like(state[n]) * self.free[n] for n in names}
        before, slope = self._slope(state, places)
        start = before - _kinetic(momenta)
        for _ in range(LEAPFROGS):
            momenta = {n: m + 0.5 * _over(step, m) * units[n] * slope[n] for n, m in momenta.items()}
            places = {n: places[n] + _over(step, m) * units[n] * m for n, m in momenta.items()}
            for n in names:
                if n in self.bounds:
                    places[n], momenta[n] = _reflected(places[n], momenta[n], *self.bounds[n])
            after, slope = self._slope(state, places)
            momenta = {n: m + 0.5 * _over(step, m) * units[n] * slope[n] for n, m in momenta.items()}
        change = _finite(after - _kinetic(momenta)) - start
        taken = torch.rand_like(size).log() < change
        self.sizes[""] = self._learned("hamiltonian", size, change.exp().clamp(max=1), adapt)
        moved = self._moved(state, places)
        kept = {n: torch.where(_over(taken, state[n]), moved[n], state[n]) for n in names}
        return {**state, **kept}

    def _chart(self, name: str) -> Transform:
        """The map from coordinates without bounds to the values of a variable."""
        low, high = self.supports[name].low, self.supports[name].high
        if name in self.bounds or (low is None and high is None):
            return biject_to(constraints.real)
        return biject_to(constraints.greater_than(low) if high is None else constraints.interval(low, high))

    def _place(self, name: str, values: Tensor) -> Tensor:
        """The coordinates of values; 0 of elements that are held."""
        low, high = self.supports[name].low, self.supports[name].high
        if low is not None and high is None and name not in self.bounds:
            values = values.clamp(min=low + torch.finfo(values.dtype).tiny)  # a draw may have been rounded to the end
        return torch.where(self.free[name], self._chart(name).inv(values), 0.0)

    def _moved(self, state: State, places: State) -> State:
        """The state with the values of these coordinates; elements that are held keep every bit."""
        values = {n: torch.where(self.free[n], self._chart(n)(u), state[n]) for n, u in places.items()}
        return {**state, **values}

    def _unit(self, name: str, places: Tensor) -> Tensor:
        """The scale of each element, (*shape): how far apart the chains of a row start, of all rows together."""
        if name not in self.units:
            free = self.free[name]
            together = self.of_a_row if self.of_a_row > 1 else len(places)
            by_row = places.reshape(-1, together, *places.shape[1:])
            square = (by_row - by_row.mean(1, keepdim=True)).square().reshape(places.shape)
            unit = (torch.where(free, square, 0.0).sum(0) / free.sum(0).clamp(min=1)).sqrt()
            known = (unit > 0) & unit.isfinite() & (name not in self.bounds)
            self.units[name] = torch.where(known, unit, 1.0)
        return self.units[name]

    def _slope(self, state: State, places: State) -> tuple[Tensor, State]:
        """The log-density of coordinates in each row, and its gradient in the free elements."""
        with torch.enable_grad():
            inputs = {n: u.detach().requires_grad_() for n, u in places.items()}
            values = self._moved(state, inputs)
            found = self.target(values)
            for n, u in inputs.items():
                stretch = self._chart(n).log_abs_det_jacobian(u, values[n])
                found = found + _flat(torch.where(self.free[n], stretch, 0.0)).sum(1)
            slopes = torch.autograd.grad(found.sum(), list(inputs.values()), allow_unused=True, materialize_grads=True)
        free = (torch.where(self.free[n], s.nan_to_num(0, 0, 0), 0.0) for n, s in zip(places, slopes))
        return _finite(found.detach()), dict(zip(places, free))

    def _learned(self, kind: str, size: Tensor, chance: Tensor, adapt: bool) -> Tensor:
        """The size of moves that are accepted as often as is best (Robbins and Monro, 1951), for all chains of a row.

        Of one alone it would grow in a tail until nothing leads back from there.
        """
        if not adapt:
            self.accepted[kind].append(chance)
            return size
        chance = chance.reshape(-1, self.of_a_row).mean(1).repeat_interleave(self.of_a_row)
        return (size * torch.exp((chance - WANTED[kind]) / self.swept**0.5)).clamp(1e-6, 1e6)


def scale_reduction(draws: Tensor) -> Tensor:
    """The factor by which the spread of chains could shrink if they went on, R (Gelman and Rubin, 1992): near 1 where
    they agree. Draws are (chains, draws, ...), and so are axes behind them those of the result."""
    many = draws.shape[1]
    within = draws.var(1).mean(0)
    between = many * draws.mean(1).var(0)
    pooled = (many - 1) / many * within + between / many
    return torch.where(within > 0, (pooled / within).sqrt(), torch.where(between > 0, torch.inf, 1.0))


def _finite(numbers: Tensor) -> Tensor:
    """Log-densities, of which one that is no number is that of what cannot be."""
    return torch.where(numbers.isnan(), -torch.inf, numbers)


def _flat(values: Tensor) -> Tensor:
    """Rows of vectors, (n, elements)."""
    return values.reshape(len(values), -1)


def _kinetic(momenta: State) -> Tensor:
    return torch.stack([0.5 * _flat(m.square()).sum(1) for m in momenta.values()]).sum(0)


def _sign(like: Tensor) -> Tensor:
    return torch.where(torch.rand_like(like) < 0.5, -1.0, 1.0)


def _over(rows: Tensor, value: Tensor) -> Tensor:
    """A number of each row with axes for the elements of a row."""
    return rows.reshape(-1, *(1,) * (value.dim() - 1))


def _reflected(x: Tensor, momentum: Tensor, low: End, high: End) -> tuple[Tensor, Tensor]:
    """Places behind a bound as those before a mirror there, which turns the momentum. None, or an infinite number, is
    no bound."""
    if low is None and high is None:
        return x, momentum
    low = torch.as_tensor(-torch.inf if low is None else low).to(x)
    high = torch.as_tensor(torch.inf if high is None else high).to(x)
    width = high - low
    bounded = width.isfinite()
    # Between two of them a place is folded; where there is one, at it.
    base, span = torch.where(bounded, low, 0.0), torch.where(bounded, width, 1.0)
    phase = (x - base).remainder(2 * span)
    folded = base + span - (phase - span).abs()
    once = torch.where(x < low, 2 * low - x, torch.where(x > high, 2 * high - x, x))
    turned = torch.where(bounded, phase > span, (x < low) | (x > high))
    return torch.where(bounded, folded, once), torch.where(turned, -momentum, momentum)


def _exchanged(shares: Tensor, size: Tensor) -> Tensor:
    """Shares, (n, k), of which two, at random, have another part of what they have together."""
    n, k = shares.shape
    rows = torch.arange(n, device=shares.device)
    one = torch.randint(k, (n,), device=shares.device)
    other = (one + torch.randint(1, k, (n,), device=shares.device)) % k if k > 1 else one
    both = (shares[rows, one] + shares[rows, other]).clamp(min=torch.finfo(shares.dtype).tiny)
    part, _ = _reflected(shares[rows, one] + size * torch.randn_like(size), size, 0.0, both)
    moved = shares.clone()
    moved[rows, other] = both - part
    moved[rows, one] = part
    return moved if k > 1 else shares


def _turned(directions: Tensor, size: Tensor) -> Tensor:
    """Directions, (n, k), that noise turns; how probable a turn is depends on its angle alone."""
    return torch.nn.functional.normalize(directions + size.unsqueeze(-1) * torch.randn_like(directions), dim=-1)


VECTORS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"exchanged": _exchanged, "turned": _turned}
"""How the vectors of a support are moved, by the name that it has for that."""

__all__ = ["Chains", "State", "Target", "scale_reduction"]
