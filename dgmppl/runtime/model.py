"""The base class of emitted models."""

from __future__ import annotations

import copy
import functools
import math
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from dgmppl.runtime.chains import weighed_terms
from dgmppl.runtime.ramps import LinearRamp
from dgmppl.runtime.rows import RowsError, bind, check_rows, check_values, read_types
from dgmppl.runtime.weighing import for_a_loss
from dgmppl.words import are, counted

M = TypeVar("M", bound="GenerativeModel")

# The methods that take rows of data, each by position or by name.
_OF_ROWS = ("terms", "loss", "figures", "epoch_figures", "elbo", "log_prob", "infer", "marginals", "reconstruct")


@dataclass(frozen=True)
class Player:
    """A loss to descend and the parameters that it moves, with an optimiser of their own.

    `parameters` are parameters or groups of them with options, as torch's optimisers take them:
    ``[{"params": weights, "weight_decay": 0.01}, {"params": biases, "weight_decay": 0.0}]``.
    """

    name: str
    loss: Callable[..., Tensor]
    parameters: list[nn.Parameter] | list[dict[str, Any]]
    adversary: bool = False
    """Whether it plays against the model: it has the optimiser and the steps that are set for adversaries."""


def _at_the_door(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of rows that takes them by name too and, while `check_rows` is on, holds them against their types."""

    @functools.wraps(method)
    def call(self: GenerativeModel, *data: Any, **named: Any) -> Any:
        options = {"mean": named.pop("mean")} if "mean" in named and "mean" not in self.data else {}
        if named:
            data = tuple(bind(self.data, data, named, method.__name__))
        if not self.check_rows or not self.types or torch.compiler.is_compiling():
            return method(self, *data, **options)
        data = tuple(bind(self.data, data, {}, method.__name__))
        rows = check_rows(read_types(self.types), data, self.like, self.ends)
        with self.unchecked():
            return method(self, *rows, **options)

    return call


def _verify_terms(terms: dict[str, Tensor], n: int) -> None:
    """Refuses a term that is not a number for each of n rows: a sum would broadcast it, and a mean would hide it."""
    for name, term in terms.items():
        if term.shape != (n,):
            raise ValueError(f"{name} has the shape {tuple(term.shape)}, and of {counted(n, 'row')} it is ({n},)")


def _counted(sample: Callable[..., Any]) -> Callable[..., Any]:
    """A `sample` that refuses a number of draws which is no whole number from 0."""

    @functools.wraps(sample)
    def call(self: GenerativeModel, n: int, *values: Any, **conditions: Any) -> Any:
        if not torch.compiler.is_compiling() and not (hasattr(n, "__index__") and operator.index(n) >= 0):
            raise ValueError(f"sample takes a whole number of draws from 0, not {n!r}")
        return sample(self, n, *values, **conditions)

    return call


def _in_weights(method: Callable[..., Any]) -> Callable[..., Any]:
    """A factor, or a method of Pyro's, that takes tensors of whole numbers too: they become the dtype of the weights,
    which networks read."""

    def read(self: GenerativeModel, value: Any) -> Any:
        whole = isinstance(value, Tensor) and not value.is_floating_point()
        return value.to(self.like.dtype) if whole else value

    @functools.wraps(method)
    def call(self: GenerativeModel, *data: Any, **named: Any) -> Any:
        return method(self, *(read(self, v) for v in data), **{k: read(self, v) for k, v in named.items()})

    return call


_CHECKED = {
    **dict.fromkeys(_OF_ROWS, _at_the_door),
    **dict.fromkeys(("model", "guide"), _in_weights),
    "sample": _counted,
}


class GenerativeModel(nn.Module):
    """A model whose objective is a sum of named terms.

    An emitted class gives ``terms(*data)`` and ``sample(n)``; a model that is fitted by a game, or whose
    gradient is not that of a sum of terms, gives ``players`` as well.

    Rows are passed in the order of ``data``, or by name. They are arrays or tensors, batch first, and become the dtype
    of the weights. A shape or a value that is not the declared one raises ``RowsError``, a ValueError; this looks at
    every number, and ``unchecked`` leaves it out.
    """

    data: ClassVar[tuple[str, ...]] = ()
    """Names of the tensors that loss, terms and figures take, in this order; each is batch first."""

    types: ClassVar[dict[str, str]] = {}
    """Their declared types, as the spec writes them; `partial` before one that some rows miss (NaN), and
    `partial elementwise` before one of which elements are missing."""

    ends: ClassVar[dict[str, tuple[str, int]]] = {}
    """For each of them whose first axis goes as far as another one says, row by row, that other one, and the number of
    the first position. What lies beyond is no part of a row, whatever it is."""

    criterion: ClassVar[str | None] = None
    """The figure that validation maximises, or minimises; None keeps the last weights."""

    lower_is_better: ClassVar[bool] = False
    """Whether validation minimises it."""

    squared: ClassVar[tuple[str, ...]] = ()
    """Figures that `figures` gives the squares of, row by row: what is told of rows is the root of their mean."""

    weights: ClassVar[dict[str, float]] = {}
    """Factors of the terms, in the loss only; a term that is not named has 1."""

    ramps: ClassVar[dict[str, tuple[LinearRamp, ...]]] = {}
    """Factors of the terms, in the loss only, that change over the epochs of a fit."""

    epoch: float = math.inf
    """How many epochs of a fit have passed: it is told before each step, and infinite outside of one."""

    samples: ClassVar[int] = 1
    """Draws of the latents in a loss; with more than one its bound is importance-weighted."""

    apart: ClassVar[tuple[str, ...]] = ()
    """Terms of the loss that are no part of the bound, and so of no figure."""

    recipe: ClassVar[tuple[Callable[..., GenerativeModel], tuple[Any, ...]] | None] = None
    """A function that makes a model of this class again, and its arguments. None: its source stands in a file."""

    training_rows: Tensor
    """A buffer of a model whose rows have latents in common: how many rows there are, 0 before a fit; see ``share``."""

    observer: Callable[[dict[str, Tensor]], None] | None = None
    """Called with the terms of each loss: a fit keeps their course, and names the one that was not finite."""

    check_rows: bool = True
    """Whether rows are held against their declared types; see ``unchecked``."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, checked in _CHECKED.items():
            if name in cls.__dict__:
                setattr(cls, name, checked(cls.__dict__[name]))
        for name in [name for name in cls.__dict__ if name.startswith(("p_", "q_"))]:  # the factors
            setattr(cls, name, _in_weights(cls.__dict__[name]))

    # Type checkers let a subclass name its own arguments in place of (*Any, **Any), as emitted classes do.
    def terms(self, *data: Any, **named: Any) -> dict[str, Tensor]:
        """The objective's terms by name, each ``(n,)`` in nats; the objective is their sum."""
        raise NotImplementedError(f"{type(self).__name__} does not give terms; the losses of a game are in `players`")

    def forward(self, *data: Any, **named: Any) -> dict[str, Tensor]:
        """The objective's terms; see ``terms``."""
        return self.terms(*data, **named)

    @_at_the_door
    def loss(self, *data: Any, **named: Any) -> Tensor:
        """Minus the weighted sum of the terms, averaged over the batch."""
        with for_a_loss():
            many = self.samples > 1
            terms = weighed_terms(self.terms, self.samples, self.apart, *data) if many else self.terms(*data)
        _verify_terms(terms, len(data[0]) if data else 0)
        if self.observer is not None:
            self.observer(terms)
        return -self.weighted(terms, self.epoch).mean()

    def weighted(self, terms: dict[str, Tensor], epoch: float = math.inf) -> Tensor:
        """The terms with their weights at an epoch, or in the end, added up, ``(n,)``."""
        weights = {name: self.weight_of(name, epoch) for name in (*self.weights, *self.ramps)}
        weighted = [weights[name] * term if name in weights else term for name, term in terms.items()]
        return sum(weighted[1:], weighted[0])

    def weight_of(self, term: str, epoch: float | None = None) -> float:
        """The factor of a term in the loss, at this epoch where no other is given."""
        at = self.epoch if epoch is None else epoch
        return math.prod((self.weights.get(term, 1.0), *(ramp.at(at) for ramp in self.ramps.get(term, ()))))

    def total(self, terms: dict[str, Tensor], *names: str) -> Tensor:
        """The terms of these names added up without weights, ``(n,)``; without names all that are no terms `apart`."""
        _verify_terms(terms, len(next(iter(terms.values()))))
        chosen = names or [name for name in terms if name not in self.apart]
        return functools.reduce(torch.add, [terms[name] for name in chosen])

    @_at_the_door
    def figures(self, *data: Any, **named: Any) -> dict[str, Tensor]:
        """What to report of each example, ``(n,)`` each: here the unweighted sum of the terms.

        A figure may be of some rows only, those that have a partial variable; it is shorter then.
        """
        if self.criterion is None:
            return {}
        terms = self.terms(*data)
        _verify_terms(terms, len(data[0]) if data else 0)
        return {self.criterion: self.total(terms)}

    def epoch_figures(self, *data: Any, **named: Any) -> dict[str, Tensor]:
        """Those of the figures that are looked at after each epoch: all, where none costs far more than a step."""
        return self.figures(*data, **named)

    @_at_the_door
    def elbo(self, *data: Any, **named: Any) -> Tensor:
        """The evidence lower bound, ``(n,)`` nats."""
        return self._figure("elbo", data)

    @_at_the_door
    def log_prob(self, *data: Any, **named: Any) -> Tensor:
        """The exact log-likelihood, ``(n,)`` nats."""
        return self._figure("log_prob", data)

    def _figure(self, name: str, data: tuple[Tensor, ...]) -> Tensor:
        figures = self.figures(*data)
        if name not in figures:
            known = ", ".join(figures) or "none"
            raise NotImplementedError(f"{type(self).__name__} does not give {name!r}; its figures: {known}")
        return figures[name]

    @_at_the_door
    def infer(self, *data: Any, mean: bool = False, **named: Any) -> dict[str, Tensor]:
        """The value of each latent that the data determines or a q describes, by name, in the order in which they
        become known; and of each partial variable, its own where it is seen.

        Args:
            mean: give the mean of each q in place of a draw; of one over whole numbers or classes, the value that is
                most probable; of what is summed out along an index the most probable path, and of what is missing and
                depends on it at its own position the mean over all paths.
        """
        return {}

    def marginals(self, *data: Any, **named: Any) -> dict[str, torch.distributions.Distribution]:
        """The exact posterior of each latent alone given the data, by name, of those that have one in closed form: what
        is summed or integrated out where nothing is drawn from a q.

        A normal latent's is a normal distribution of its elements one after another, of batch shape ``(n,)``, along an
        index ``(n, T)`` of each member's. That of a latent of few values says which of them it has, in the order in
        which they count up, the last element first.
        """
        return {}

    def share(self, term: Tensor, n: int) -> Tensor:
        """The share of each of n rows in what rows have in common, ``(n,)``: its sum over the number N of all rows.

        So the terms of all rows add up to one divergence. N is ``training_rows``, which a fit sets and which is saved
        with the weights; where it is 0, these n rows are taken to be all.

        Args:
            term: a number, or one for each group.
        """
        return (term.sum() / torch.where(self.training_rows > 0, self.training_rows, n)).expand(n)

    def all_rows(self, n: int) -> int:
        """The number of all rows, of which n are at hand; see ``share``."""
        return int(self.training_rows) or n

    def players(self) -> tuple[Player, ...]:
        """Who is stepped on each batch, in this order."""
        return (Player("model", self.loss, [p for p in self.parameters() if p.requires_grad]),)

    def parameters_without(self, *modules: nn.Module) -> list[nn.Parameter]:
        """The parameters that are in none of these modules."""
        others = {id(p) for module in modules for p in module.parameters()}
        return [p for p in self.parameters() if id(p) not in others]

    def sample(self, n: int, *none: Any, **conditions: Any) -> Tensor | dict[str, Tensor]:
        """n draws of the observed variables: a tensor, or a dict by name when there are several."""
        raise NotImplementedError

    @contextmanager
    def unchecked(self) -> Iterator[None]:
        """Leaves out the look at every row's shape and values, as a fit does, whose rows were checked when read."""
        before = self.check_rows
        self.check_rows = False
        try:
            yield
        finally:
            self.check_rows = before

    def condition(self, name: str, value: Any, n: int) -> Tensor:
        """An observed variable that ``sample`` is given, as n rows: one value for all of them, or a row each.

        Raises:
            RowsError: a shape or a value that is not the declared one.
        """
        (declared,) = (d for d in read_types(self.types) if d.name == name)
        tensor = torch.as_tensor(value, device=self.like.device)
        rank = tensor.dim() - len(declared.shape)
        if rank < 0 or tensor.shape[rank:] != declared.shape or tensor.shape[:rank] not in ((), (1,), (n,)):
            raise RowsError(
                f"{declared}: one value or {counted(n, 'row')} {are(n)} expected, not shape {tuple(tensor.shape)}"
            )
        if self.check_rows:
            check_values(declared, tensor.reshape(-1, *declared.shape))
        return tensor.to(self.like.dtype).expand(n, *declared.shape)

    @property
    def like(self) -> Tensor:
        """An empty tensor of the dtype and on the device of the weights."""
        # `parameters()` keeps account of those that occur twice, which takes longer than all else.
        held = (p for module in self.modules() for p in module._parameters.values() if p is not None)
        first = next(chain(held, self.buffers()), None)
        return torch.empty(0) if first is None else torch.empty(0, dtype=first.dtype, device=first.device)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.like.device

    # A model's class is made from its spec and lives in this process alone: another one makes it again.

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self.recipe is None:
            return super().__reduce_ex__(protocol)
        return *self.recipe, self.__dict__

    def __deepcopy__(self: M, memo: dict[int, Any]) -> M:
        other = type(self).__new__(type(self))
        memo[id(self)] = other
        other.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return other


__all__ = ["GenerativeModel", "Player"]
