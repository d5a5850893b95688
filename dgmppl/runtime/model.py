"""The base class of emitted models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Player:
    """One side of a fit: a loss to descend and the parameters it moves, with an optimiser of their own."""

    name: str
    loss: Callable[..., Tensor]
    parameters: list[nn.Parameter]
    adversary: bool = False
    """Whether it plays against the model: it has the optimiser and the steps that are set for adversaries."""


class GenerativeModel(nn.Module):
    """A model whose objective is a sum of named terms.

    An emitted class gives ``terms(*data)`` and ``sample(n)``; a model that is fitted by a game, or whose
    gradient is not that of a sum of terms, gives ``players`` as well.
    """

    data: ClassVar[tuple[str, ...]] = ()
    """Names of the tensors that loss, terms and figures take, in this order; each is batch first."""

    criterion: ClassVar[str | None] = None
    """The figure that validation maximises; None keeps the last weights."""

    weights: ClassVar[dict[str, float]] = {}
    """Factors of the terms, in the loss only; a term that is not named has 1."""

    apart: ClassVar[tuple[str, ...]] = ()
    """Terms of the loss that are no part of the bound, and so of no figure."""

    observer: Callable[[dict[str, Tensor]], None] | None = None
    """Called with the terms of each loss: a fit keeps their course, and names the one that was not finite."""

    # Type checkers let a subclass name its own arguments in place of (*Any, **Any), as emitted classes do.
    def terms(self, *data: Any, **none: Any) -> dict[str, Tensor]:
        """The objective's terms by name, each ``(n,)`` in nats; the objective is their sum."""
        raise NotImplementedError

    def loss(self, *data: Any, **none: Any) -> Tensor:
        """Minus the weighted sum of the terms, averaged over the batch."""
        terms = self.terms(*data)
        if self.observer is not None:
            self.observer(terms)
        weighted = [self.weights[name] * term if name in self.weights else term for name, term in terms.items()]
        return -sum(weighted[1:], weighted[0]).mean()

    def figures(self, *data: Any, **none: Any) -> dict[str, Tensor]:
        """What to report of each example, ``(n,)`` each: here the unweighted sum of the terms.

        A figure may be of some rows only, those that have a partial variable; it is shorter then.
        """
        if self.criterion is None:
            return {}
        terms = [term for name, term in self.terms(*data).items() if name not in self.apart]
        return {self.criterion: sum(terms[1:], terms[0])}

    def elbo(self, *data: Any, **none: Any) -> Tensor:
        """The evidence lower bound, ``(n,)`` nats."""
        return self._figure("elbo", data)

    def log_prob(self, *data: Any, **none: Any) -> Tensor:
        """The exact log-likelihood, ``(n,)`` nats."""
        return self._figure("log_prob", data)

    def _figure(self, name: str, data: tuple[Tensor, ...]) -> Tensor:
        figures = self.figures(*data)
        if name not in figures:
            known = ", ".join(figures) or "none"
            raise NotImplementedError(f"{type(self).__name__} does not give {name!r}; its figures: {known}")
        return figures[name]

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

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        first = next(chain(self.parameters(), self.buffers()), None)
        return torch.device("cpu") if first is None else first.device
