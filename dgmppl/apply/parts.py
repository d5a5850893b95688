"""`predict --of 'y[3]'`: a member of a family, or elements of a vector, given the rest of the row, the others too."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dgmppl.apply.answers import Values
from dgmppl.apply.beliefs import Belief, Classes, Judgement, Numbers
from dgmppl.apply.conditionals import CASE_DRAWS, Enumerated, Normal, in_units, is_normal
from dgmppl.apply.scores import choose_score
from dgmppl.data.fields import Field, element_labels
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.graph.inverse import MAX_CASES
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.words import counted

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun


_NUMBERS = r"\[-?\d+(, ?-?\d+)*\]"


@dataclass(frozen=True)
class Part:
    """Some elements of a variable.

    Attributes:
        name: as it is asked for.
        variable: that it is a part of.
        places: of its elements among those of the variable, all axes as one.
        shape: of the part.
    """

    name: str
    variable: str
    places: tuple[int, ...]
    shape: tuple[int, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """What its elements are called: `y[3]`, or `y[3][0]`, `y[3][1]`."""
        return element_labels(self.name, self.shape)


def part_of(graph: Graph, fields: Mapping[str, Field], text: str) -> Part | None:
    """The part that a name stands for: a column of several that a variable is read from; a member by its number in the
    spec, `y[3]`; an element by its place from 0, `x[2]`, `x[0, 1]`, `y[3][0]`. None where it is the name of none.

    Raises:
        SpecError: (E660) for a number that is none of the variable's.
    """
    for name, field in fields.items():
        if len(field.columns) > 1 and text in field.columns and math.prod(graph[name].type.shape) == len(field.columns):
            return Part(text, name, (field.columns.index(text),))
    name, bracket, rest = text.partition("[")
    if name not in fields or not re.fullmatch(rf"({_NUMBERS})+", bracket + rest):
        return None
    variable = graph[name]
    numbers = [int(number) for number in re.findall(r"-?\d+", rest)]
    if variable.along is not None:
        numbers[0] -= variable.along.start
    shape = variable.type.shape
    if len(numbers) > len(shape) or not all(0 <= n < size for n, size in zip(numbers, shape)):
        first = 0 if variable.along is None else variable.along.start
        ends = ", ".join(f"{first * (not k)} to {first * (not k) + size - 1}" for k, size in enumerate(shape))
        help_ = f"its numbers go from {ends}" if shape else "it is a single number"
        raise SpecError([Diagnostic("E660", f"`{name}` has no element `{text}`", help=help_)])
    places = np.arange(math.prod(shape)).reshape(shape)[tuple(numbers)]
    return Part(text, name, tuple(int(p) for p in places.ravel()), shape[len(numbers) :])


class EnumeratedPart:
    """The law of a part of few values: each of them is tried in the row as it is, and normalised over all."""

    covers = True

    def __init__(self, fitted: FittedRun, part: Part, draws: int | None) -> None:
        self.part, self.variable = part, fitted.graph[part.variable]
        score = choose_score(fitted.model, fitted.run, (part.variable,))
        self.tried = Enumerated(fitted.graph, (), score, draws or CASE_DRAWS)
        self.exact = score.exact
        many = "" if self.exact else f"; {counted(self.tried.draws, 'draw')} for each value"
        self.how = f"{score.how}{many}"

    def beliefs(self, rows: Mapping[str, Tensor], truth: Tensor) -> Classes:
        """Of the part, (n, elements, values)."""
        low, size = int(self.variable.type.support.low or 0), self.variable.type.support.size or 0
        cases = list(product(range(size), repeat=len(self.part.places)))
        joint, effective = self.tried.probabilities(self._filled(rows, low, cases), len(truth))
        index = torch.nn.functional.one_hot(torch.tensor(cases), size).to(joint)
        return Classes(torch.einsum("nc,cev->nev", joint, index).double().cpu().numpy(), effective)

    def _filled(
        self, rows: Mapping[str, Tensor], low: int, cases: list[tuple[int, ...]]
    ) -> Iterator[dict[str, Tensor]]:
        for case in cases:
            yield {**rows, self.part.variable: _with(rows[self.part.variable], self.part, [low + k for k in case])}


class NormalPart:
    """The law of a part in which the log-density of a row is quadratic, the rest of the variable being known."""

    exact = covers = True
    how = "exactly, normal given the rest"

    def __init__(self, fitted: FittedRun, part: Part) -> None:
        self.part, self.field = part, fitted.fields[part.variable]
        self.law = Normal(fitted.model, fitted.graph, fitted.fields, (part.variable,))

    def beliefs(self, rows: Mapping[str, Tensor], truth: Tensor) -> Numbers:
        """Of the part, (n, elements), in the units of the data."""
        name, places, n = self.part.variable, list(self.part.places), len(truth)
        own, covariance = self.law.moments({**rows, name: _with(rows[name], self.part, [math.nan] * len(places))})
        variances = covariance.diagonal(dim1=-2, dim2=-1)
        shape = rows[name].shape
        mean, spread = in_units(
            self.law.fields[name], own.reshape(shape).cpu().numpy(), variances.sqrt().reshape(shape).cpu().numpy()
        )
        centre, block = own[:, places], covariance[:, places][:, :, places]
        below = torch.special.ndtr((truth.double() - centre) / variances[:, places].sqrt())
        law = torch.distributions.MultivariateNormal(centre, block, validate_args=False)
        change = self.field.log_derivative(rows[name].cpu().numpy()).reshape(n, -1)[:, places].sum(1)
        nll = -law.log_prob(truth.double()).cpu().numpy() - change
        return Numbers(
            mean.reshape(n, -1)[:, places], spread.reshape(n, -1)[:, places], below.cpu().numpy(), np.asarray(nll)
        )


def _with(values: Tensor, part: Part, those: list[float] | list[int]) -> Tensor:
    """Values of a variable, (n, *shape), with these in the place of a part."""
    found = values.clone().reshape(len(values), -1)
    found[:, list(part.places)] = torch.tensor(those).to(found)
    return found.reshape(values.shape)


def law_of(fitted: FittedRun, part: Part, draws: int | None) -> EnumeratedPart | NormalPart:
    """How a part follows from the rest of a row.

    Raises:
        SpecError: (E660) where it has neither few values nor a normal law.
    """
    variable, field = fitted.graph[part.variable], fitted.fields[part.variable]
    support, elements = variable.type.support, variable.type.elements
    whole = not support.event_rank and not variable.length and math.prod(field.shape) == elements
    if whole and support.finite and (support.size or 0) ** len(part.places) <= MAX_CASES:
        return EnumeratedPart(fitted, part, draws)
    if whole and field.affine and is_normal(fitted, (part.variable,), part=True):
        return NormalPart(fitted, part)
    headline = f"`{part.name}` cannot be predicted from the rest of `{part.variable}`: it has neither few values nor a "
    headline += "normal law given that"
    help_ = "`dgmppl impute` draws it where its cell is left empty"
    raise SpecError([Diagnostic("E660", headline, help=help_)])


def answered(part: Part, belief: Belief, variable: Variable, field: Field, rows: Tensor) -> dict[str, Values]:
    """What is told of a part: the values, and their deviations or the probabilities of all."""
    n = len(rows)
    shape = (n, *part.shape)
    if isinstance(belief, Numbers):
        mean = field.named(belief.mean.reshape(shape), means=True)
        return {part.name: mean, f"{part.name}_deviation": belief.deviation.reshape(shape)}
    best = np.zeros((n, variable.type.elements))
    best[:] = variable.type.support.feasible()
    best[:, list(part.places)] = belief.best + int(variable.type.support.low or 0)
    told = field.invert(best.reshape(n, *variable.type.shape)).reshape(n, -1)[:, list(part.places)]
    probabilities = belief.probabilities.reshape(*shape, belief.probabilities.shape[-1])
    return {part.name: told.reshape(shape), f"{part.name}_probability": probabilities}


def judge_part(
    judgement: Judgement, part: Part, belief: Belief, fitted: FittedRun, truth: Tensor, rows: Tensor
) -> None:
    """Adds the rows of a chunk that have all of the part."""
    variable, places = fitted.graph[part.variable], list(part.places)
    seen = np.asarray(torch.isfinite(truth).all(1).cpu())
    if not seen.any():
        return
    some = replace(belief, **{name: v[seen] for name, v in vars(belief).items() if v is not None})
    if isinstance(some, Classes):
        low = int(variable.type.support.low or 0)
        judgement.classes(some, truth.cpu().numpy()[seen].astype(np.int64) - low)
        return
    told = fitted.fields[part.variable].in_numbers.invert(rows.cpu().numpy()[seen])
    judgement.numbers(some, np.asarray(told, dtype=np.float64).reshape(int(seen.sum()), -1)[:, places])


__all__ = ["Part", "answered", "judge_part", "law_of", "part_of"]
