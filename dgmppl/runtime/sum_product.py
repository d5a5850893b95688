"""Variables of few values that are summed out one after another: tables of log-densities, by variable elimination.

``sum_{a, b, c} p(a) p(b | a) p(c | b) p(x | c)`` needs no table of all joint values: summing c out of the tables that
speak of it leaves one over b alone (Zhang and Poole, 1994; Koller and Friedman, 2009, Algorithm 9.1). A variable that
has a class at each of many positions, none of which depends on another, is summed out at all of them at once (Obermeyer
et al., 2019, Tensor variable elimination for plated factor graphs).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributions as td

from dgmppl.runtime.cases import enumerate_values
from dgmppl.runtime.choices import chosen, index_of
from dgmppl.runtime.distributions import Categorical
from dgmppl.runtime.preimages import carry


@dataclass(frozen=True)
class Values:
    """The values of a variable: each element is one of low, ..., low + size - 1.

    Args:
        axes: how many of the first axes of its shape are positions, each of which takes values by itself.
    """

    low: float
    size: int
    shape: tuple[int, ...] = ()
    axes: int = 0

    def each(self, like: Tensor) -> Tensor:
        """All values of a position (of the whole where there are none), ``(values, *shape[axes:])``."""
        return enumerate_values(self.low, self.size, self.shape[self.axes :], like)

    def everywhere(self, like: Tensor) -> Tensor:
        """Each of them at every position, ``(values, *shape)``."""
        values = self.each(like)
        positions, behind = self.shape[: self.axes], self.shape[self.axes :]
        return values.reshape(-1, *(1,) * len(positions), *behind).expand(-1, *positions, *behind)

    def at(self, index: Tensor, like: Tensor) -> Tensor:
        """The values with these indices, ``(n, positions)`` to ``(n, *shape)``."""
        return self.each(like)[index].reshape(len(index), *self.shape)


class Table:
    """A factor as a function of the variables ``names`` and of some rows, in that order.

    Args:
        log_density: gives a number of each row, or one for each position, ``(rows, positions)``.
        rows: what else it reads, each ``(n, ...)``.
    """

    def __init__(self, names: tuple[str, ...], log_density: Callable[..., Tensor], *rows: Tensor) -> None:
        self.names, self.log_density, self.rows = names, log_density, rows

    def of(self, variables: Mapping[str, Values], like: Tensor) -> _Log:
        """Its log-density for all values of its variables; one row where it reads none."""
        values = [variables[name].everywhere(like) for name in self.names]
        index = torch.cartesian_prod(*(torch.arange(len(v), device=like.device) for v in values))
        index = index.reshape(-1, len(values))
        cases, n = len(index), len(self.rows[0]) if self.rows else 1
        given = [v[index[:, k]].repeat(n, *(1,) * (v.dim() - 1)) for k, v in enumerate(values)]
        repeated = [carry(r, lambda r: r.repeat_interleave(cases, 0)) for r in self.rows]
        found = self.log_density(*given, *repeated)
        found = found.reshape(n, *(len(v) for v in values), -1).movedim(-1, 1)
        return _Log(self.names, found)


@dataclass(frozen=True)
class _Log:
    """The logarithm of a table: ``(n, positions, *values)`` with an axis for each of `names`."""

    names: tuple[str, ...]
    log: Tensor

    def over(self, names: tuple[str, ...]) -> Tensor:
        """With an axis for each of these, of size 1 where it does not depend on the variable."""
        kept = [name for name in names if name in self.names]
        ordered = self.log.permute(0, 1, *(2 + self.names.index(name) for name in kept))
        sizes = iter(ordered.shape[2:])
        return ordered.reshape(*ordered.shape[:2], *(next(sizes) if name in self.names else 1 for name in names))


class SumProduct:
    """The sum of a product of tables over all values of variables.

    Args:
        variables: in the order in which they are summed out, those with positions first.
        like: a tensor of the dtype and on the device of the values.
        n: how many rows there are.
    """

    def __init__(self, variables: Mapping[str, Values], like: Tensor, n: int, *tables: Table) -> None:
        self.variables, self.like, self.n = variables, like, n
        self.tables = [table.of(variables, like) for table in tables]

    def log_sum(self) -> Tensor:
        """The logarithm of the sum, ``(n,)``."""
        total, _ = self._eliminate(lambda log: torch.logsumexp(log, -1))
        return total

    @torch.no_grad()
    def read(self, mean: bool) -> tuple[Tensor, ...]:
        """A value of each variable given the rows, as ordered: a draw from their joint posterior or, with ``mean``, the
        most probable joint value. What is summed out last is drawn first, and the others given that."""
        _, products = self._eliminate((lambda log: log.amax(-1)) if mean else (lambda log: torch.logsumexp(log, -1)))
        index: dict[str, Tensor] = {}
        for name, product in reversed(products):
            log = product.log.expand(self.n, *product.log.shape[1:])
            for other in product.names[:-1]:  # from the first axis on, which is then gone
                place = index[other].expand(log.shape[:2]).reshape(*log.shape[:2], *(1,) * (log.dim() - 2))
                log = log.take_along_dim(place.expand(*log.shape[:2], 1, *log.shape[3:]), 2).squeeze(2)
            index[name] = chosen(log, mean, lambda known: self._index(name, known[name]))  # noqa: B023
        return tuple(self.variables[name].at(index[name], self.like) for name in self.variables)

    def _index(self, name: str, value: Tensor) -> Tensor:
        """The indices of values ``(n, *shape)`` at each position, ``(n, positions)``."""
        values = self.variables[name].each(self.like)
        return index_of(value.reshape(len(value), -1, *values.shape[1:]), values)

    def marginals(self) -> dict[str, Categorical]:
        """The posterior of each variable alone: which of its values it has, of batch shape ``(n,)`` or, where it has
        positions, ``(n, *positions)``.

        The probability of a value is the derivative of the log-sum by the logarithm of what that value is weighed by
        (Darwiche, 2003, A differential approach to inference in Bayesian networks, section 4).
        """
        with torch.enable_grad():
            weights = {name: self._unweighed(values) for name, values in self.variables.items()}
            more = [_Log((name,), weight) for name, weight in weights.items()]
            total, _ = self._eliminate(lambda log: torch.logsumexp(log, -1), *more)
            found = torch.autograd.grad(total.sum(), list(weights.values()))
        shapes = [(self.n, *v.shape[: v.axes], -1) for v in self.variables.values()]
        return {n: Categorical(probs=f.reshape(shape)) for n, f, shape in zip(weights, found, shapes)}

    def _unweighed(self, values: Values) -> Tensor:
        """The logarithm of a weight of 1 for each of these at each position, ``(n, positions, values)``."""
        positions = math.prod(values.shape[: values.axes])
        return self.like.new_zeros(self.n, positions, len(values.each(self.like))).requires_grad_()

    def _eliminate(self, reduce: Callable[[Tensor], Tensor], *more: _Log) -> tuple[Tensor, list[tuple[str, _Log]]]:
        """Reduces one variable after another, of the tables and `more` of them. Returns what is left, ``(n,)``, and for
        each variable the product of the tables that speak of it, its axis last."""
        tables, products = [*self.tables, *more], []
        for name, values in self.variables.items():
            inside = [t for t in tables if name in t.names]
            others = dict.fromkeys(n for t in inside for n in t.names if n != name)
            names = (*others, name)
            log = sum((t.over(names) for t in inside), self.like.new_zeros(()))
            assert isinstance(log, Tensor)
            products.append((name, _Log(names, log)))
            left = _Log(names[:-1], reduce(log))
            if values.axes and not any(self.variables[n].axes for n in others):
                left = _Log(left.names, left.log.sum(1, keepdim=True))  # the product over the positions
            tables = [t for t in tables if name not in t.names] + [left]
        total = sum((t.log for t in tables), self.like.new_zeros(self.n, 1))
        assert isinstance(total, Tensor)
        return total.squeeze(1), products


def log_prob_at(d: td.Distribution, value: Tensor, axes: int) -> Tensor:
    """The log-density of independent elements at each position along the first axes of an event, ``(n, positions)``."""
    rows = value.dim() - len(d.event_shape)
    while isinstance(d, td.Independent):
        d = d.base_dist
    found = d.log_prob(value)
    behind = tuple(range(rows + axes, found.dim()))
    return (found.sum(behind) if behind else found).flatten(rows)


__all__ = ["SumProduct", "Table", "Values", "log_prob_at"]
