"""The law of variables of rows that lack more than these, or that have no law to draw from in one go: by draws of all
that is missing given what is seen, as `impute` has them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmppl.apply.beliefs import Array, Belief, Beliefs
from dgmppl.apply.conditionals import DRAWS, Conditional, Normal, conditional, is_normal
from dgmppl.apply.draws import Drawn, Weights, sums_of
from dgmppl.apply.given_latents import given_latents
from dgmppl.apply.imputing import completion
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.words import counted

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun


def conditional_with_gaps(
    fitted: FittedRun,
    names: tuple[str, ...],
    gaps: Collection[str],
    draws: int | None,
    in_part: Collection[str] = (),
) -> WithGaps | Completed:
    """How variables that rows lack follow from what rows have, some of which lack cells of `gaps` too.

    Args:
        in_part: those of them that the model knows as missing as a whole, and of which some rows have a part.

    Raises:
        SpecError: (E660) where the structure gives nothing of the kind.
    """
    try:
        whole = conditional(fitted, names, draws)
    except SpecError as error:
        lengths = {v.length for v in fitted.graph.data}
        if lengths & set(names):
            raise
        try:
            return Completed(fitted, names, gaps, draws)
        except SpecError:
            raise error from None
    if isinstance(whole, Drawn) and whole.weighed:
        whole = given_latents(fitted, names, draws) or whole
    reads = [n for n in gaps if n in whole.reads or n in in_part]
    if not reads:
        return WithGaps(fitted, whole, None, ())
    if is_normal(fitted, (*names, *reads)):
        return WithGaps(fitted, whole, Normal(fitted.model, fitted.graph, fitted.fields, names, tuple(reads)), reads)
    try:
        return WithGaps(fitted, whole, Completed(fitted, names, gaps, draws), reads)
    except SpecError as error:
        told = " and ".join(f"`{name}`" for name in reads)
        headline = f"some rows miss {told}, which other variables are predicted from: {error.diagnostics[0].headline}"
        help_ = f"leave {told} out of all rows, or fill it in"
        raise SpecError([Diagnostic("E660", headline, help=help_)]) from None


class Completed:
    """Moments of draws of what is missing given what is seen."""

    exact = covers = False
    weighed = 0
    reads: frozenset[str] = frozenset()

    def __init__(
        self, fitted: FittedRun, names: tuple[str, ...], gaps: Collection[str], draws: int | None = None
    ) -> None:
        self.graph, self.names, self.like = fitted.graph, names, fitted.model.like
        self.fields = {name: field.in_numbers for name, field in fitted.fields.items()}
        missing = tuple(v.name for v in self.graph.data if v.name in {*names, *gaps})
        self.way = completion(fitted.run.checked, missing, fitted.model)
        self.draws = draws or DRAWS
        self.notes: tuple[str, ...] = (f"{', '.join(names)}: {counted(self.draws, 'draw')}, {self.way.words}",)

    def beliefs(self, rows: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> Beliefs:
        n = len(next(iter(rows.values())))
        whole = {
            v.name: rows[v.name] if v.name in rows else self.like.new_full((n, *v.type.shape), torch.nan)
            for v in self.graph.data
        }
        drawn = self.way.drawn(whole, self.draws)
        total = Weights(n)
        scale, weights = total.add(torch.zeros(n, self.draws, dtype=torch.double))
        found: dict[str, Belief] = {}
        for name in self.names:
            one = sums_of(self.graph[name], self.fields[name], truth.get(name))
            one.add(drawn[name].flatten(0, 1), None, scale, weights)
            found[name] = one.belief(total, None, False)
        return found

    def quality(self) -> str:
        return self.way.quality()


class WithGaps:
    """One way for rows that have what it reads, and another one for those that lack some of it.

    Args:
        whole: of rows that lack nothing of what it reads.
        others: of the rest; None where there are none.
        gaps: the variables of which something may be missing that `whole` reads.
    """

    def __init__(
        self, fitted: FittedRun, whole: Conditional, others: Conditional | None, gaps: Collection[str]
    ) -> None:
        self.graph, self.whole, self.others, self.gaps = fitted.graph, whole, others, gaps
        self.reads: frozenset[str] = frozenset()
        self.exact = all(way.exact for way in (whole, others) if way is not None)
        self.covers = all(way.covers for way in (whole, others) if way is not None)
        self.weighed = whole.weighed
        told = others.notes if others is not None else ()
        self.notes = (*whole.notes, *(f"rows that miss some of {', '.join(gaps)}: {note}" for note in told))

    def beliefs(self, rows: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> Beliefs:
        n = len(next(iter(rows.values())))
        lacking = torch.zeros(n, dtype=torch.bool)
        for name in self.gaps:
            if name in rows:
                lacking |= rows[name].isnan().reshape(n, -1).any(1).cpu()
        parts = []
        for which, way in ((~lacking, self.whole), (lacking, self.others)):
            if way is not None and bool(which.any()):
                some = {name: v[which.to(v.device)] for name, v in rows.items()}
                known = {name: v[which.to(v.device)] for name, v in truth.items()}
                parts.append((which.numpy(), way.beliefs(self._filled(some) if way is self.whole else some, known)))
        found = parts[0][1] if len(parts) == 1 else {name: _joined(name, n, parts) for name in parts[0][1]}
        if self.whole.exact:
            return found
        unknown = np.full(n, np.nan)  # what draws of completed rows are worth
        return {m: one if one.effective is not None else replace(one, effective=unknown) for m, one in found.items()}

    def _filled(self, rows: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Rows with some value in the gaps that nothing reads and that the model does not know of."""
        some = {name: self.graph[name].type.feasible for name in rows if self.graph[name].role == "observed"}
        return {name: torch.where(v.isnan(), some[name], v) if name in some else v for name, v in rows.items()}

    def quality(self) -> str:
        return self.others.quality() if isinstance(self.others, Completed) else ""


def _joined(name: str, n: int, parts: Sequence[tuple[NDArray[np.bool_], Beliefs]]) -> Belief:
    """Beliefs about some rows and about the others as one; NaN stands where only some rows have a number."""
    kind = type(parts[0][1][name])
    made: dict[str, Array] = {}
    for which, beliefs in parts:
        for key, values in vars(beliefs[name]).items():
            if values is not None:
                made.setdefault(key, np.full((n, *values.shape[1:]), np.nan))[which] = values
    return kind(**made)


__all__ = ["Completed", "WithGaps", "conditional_with_gaps"]
