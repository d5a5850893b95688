"""The distributions that latents are drawn from where a model infers them: each q, given the latents before it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, VonMises

from dgmppl.graph.nodes import Graph, Variable
from dgmppl.runtime import Distribution, GenerativeModel, VonMisesFisher


class LawsOfQ:
    """The q's of latents that have one each, with a mean and a deviation in closed form.

    Attributes:
        names: the latents that have such a q.
        alone: those of them whose q reads nothing that is drawn: it is the same in every draw.
    """

    def __init__(
        self, graph: Graph, model: GenerativeModel, names: Collection[str], row: dict[str, Tensor] | None
    ) -> None:
        """As one row shows them; of no row, none."""
        factors = {f.head: f for f in graph.factors if f.side == "q"}
        methods = [f.method for f in factors.values()]
        self.model = model
        self.methods = {n: f.method for n, f in factors.items() if n in names and methods.count(f.method) == 1}
        self.names: tuple[str, ...] = tuple(self.methods)
        self.shared = {n for n in names if graph[n].shared}
        with self.kept(1) as laws:
            drawn = model.infer(*row.values()) if row is not None else {}
        self.names = tuple(n for n in self.names if n in laws and _has_moments(laws[n], graph[n], drawn[n]))
        given = ({*(row or ())} | {graph[n].group for n in self.names}) - {*drawn}  # what a row may miss is drawn there
        self.alone = tuple(n for n in self.names if {*graph.roots(graph.reads(factors[n]))} <= given)

    @contextmanager
    def kept(self, n: int) -> Iterator[dict[str, Distribution]]:
        """Inside, what `infer` draws these latents of n rows from, by name; not of one that it asks twice."""
        found: dict[str, Distribution] = {}
        asked: list[str] = []

        def keeping(name: str, q: Any) -> Any:
            def kept(*args: Any) -> Any:
                law = q(*args)
                asked.append(name)
                if asked.count(name) == 1:
                    same = name not in self.shared and isinstance(law, Distribution) and not law.batch_shape
                    found[name] = law.expand(torch.Size((n,))) if same else law
                else:
                    found.pop(name, None)
                return law

            return kept

        try:
            for name in self.names:
                vars(self.model)[self.methods[name]] = keeping(name, getattr(self.model, self.methods[name]))
            yield found
        finally:
            for name in self.names:
                vars(self.model).pop(self.methods[name], None)


def _has_moments(law: Any, variable: Variable, drawn: Tensor) -> bool:
    """Whether a distribution tells the mean and deviation of each element, or the probability of each value."""
    if not isinstance(law, Distribution):
        return False
    base = law
    while isinstance(base, torch.distributions.Independent):
        base = base.base_dist
    if isinstance(base, Categorical):
        return len(law.event_shape) == 0 and not variable.type.shape
    if not variable.type.support.numeric or isinstance(base, VonMises | VonMisesFisher):
        return False  # of an angle the variance is another thing, of a direction each element's is not known
    try:
        moments = law.mean, law.stddev
    except NotImplementedError:
        return False
    return all(m.shape[m.dim() - len(law.event_shape) :] == law.event_shape and m.isfinite().all() for m in moments)


__all__ = ["LawsOfQ"]
