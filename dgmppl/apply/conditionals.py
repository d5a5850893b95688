"""The law of variables of a row given the others: by enumeration, as a normal one, else by draws that are weighed."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count, product
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from dgmppl import pipeline
from dgmppl.apply.beliefs import Array, Belief, Beliefs, Classes, Numbers, weighed
from dgmppl.apply.draws import Drawn
from dgmppl.apply.scores import Score, choose_score, whole_of
from dgmppl.data.fields import Field
from dgmppl.graph.inverse import MAX_CASES, joint_values
from dgmppl.graph.values import variables
from dgmppl.plan.figures import likelihood_of
from dgmppl.plan.predict import determined
from dgmppl.plan.rules.exact import Exact
from dgmppl.plan.rules.filter import IntegrateAlong
from dgmppl.plan.rules.integrate import Integrate
from dgmppl.runtime import GenerativeModel
from dgmppl.source import Source
from dgmppl.syntax import tree
from dgmppl.syntax.parse import parse_spec
from dgmppl.words import counted

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun
    from dgmppl.graph.nodes import Graph, Variable

AT_ONCE, VALUES_AT_ONCE = 20_000, 2**21
"""Rows that a model computes at once, and values of theirs: memory does not grow with the number of draws."""

DRAWS = 1000
"""Draws of a row, unless it is said."""

CASE_DRAWS = 100
"""Draws of a row for each value that is enumerated, unless it is said."""

_NORMAL = 200
"""More elements are drawn: a Hessian of them takes as many backward passes."""

_NODES = 48
"""Of Gauss-Hermite quadrature: the moments of exp(u) are right to 1e-10 for deviations of u up to 3."""


class Conditional(Protocol):
    """Gives the beliefs about the variables that it was made for."""

    exact: bool
    covers: bool
    """Whether an exact law of numbers says how probable less than a value is; else draws of it do."""
    weighed: int
    """Draws of each row that are weighed, whose effective sample size its beliefs have; 0 where there are none."""

    notes: tuple[str, ...]
    reads: frozenset[str]
    """The data that has to be there in a row, without gaps."""

    def beliefs(self, rows: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> Beliefs:
        """Of rows that lack these variables, and their values where they are known, NaN in the rows where not."""


def conditional(fitted: FittedRun, names: tuple[str, ...], draws: int | None) -> Conditional:
    """How variables that rows lack follow from what they have.

    Raises:
        SpecError: (E660) where the structure gives nothing of the kind.
    """
    graph = fitted.graph
    if math.prod(joint_values(graph[name]) for name in names) <= MAX_CASES:
        score = choose_score(fitted.model, fitted.run, names)
        return Enumerated(graph, names, score, draws or CASE_DRAWS)
    if is_normal(fitted, names):
        return Normal(fitted.model, graph, fitted.fields, names)
    return Drawn(fitted, names, draws or DRAWS, at_once(graph))


def at_once(graph: Graph) -> int:
    """How many rows are computed at once."""
    return min(AT_ONCE, VALUES_AT_ONCE // max(1, sum(v.type.elements for v in graph.data)))


class Enumerated:
    """Few values: each of them is tried, and what a row's log-density is with it is normalised over all."""

    covers = True

    def __init__(self, graph: Graph, names: tuple[str, ...], score: Score, draws: int) -> None:
        self.graph, self.names, self.score, self.exact, self.reads = graph, names, score, score.exact, score.reads
        self.draws = 1 if score.exact else draws
        self.cases = [list(_values(graph[name])) for name in names]
        self.weighed = 0 if score.exact else draws * math.prod(map(len, self.cases))
        told = ", ".join(names)
        many = "" if score.exact else f"; {counted(draws, 'draw')} for each value"
        self.notes: tuple[str, ...] = (f"{told}: {score.how}{many}",)

    def beliefs(self, rows: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> Beliefs:
        n = len(next(iter(rows.values())))
        joint, effective = self.probabilities(self._filled(rows, n), n)
        shape = [len(values) for values in self.cases]
        joint = joint.reshape(n, *shape)
        found: dict[str, Belief] = {}
        for k, name in enumerate(self.names):
            others = [1 + j for j in range(len(shape)) if j != k]
            own = joint.sum(others) if others else joint
            found[name] = Classes(_by_element(self.graph[name], self.cases[k], own), effective)
        return found

    def _filled(self, rows: Mapping[str, Tensor], n: int) -> Iterator[dict[str, Tensor]]:
        """The rows with each of the values."""
        like = next(iter(rows.values()))
        for case in product(*self.cases):
            values = zip(self.names, case, strict=True)
            yield {**rows, **{name: value.to(like).expand(n, *value.shape) for name, value in values}}

    def probabilities(self, cases: Iterable[Mapping[str, Tensor]], n: int) -> tuple[Tensor, Array | None]:
        """How probable n rows are with each of some values, (n, cases), together 1; and their effective sample size."""
        logs, squares = [], []
        for filled in cases:
            log, square = weighed(self._weights(filled, n))
            logs.append(log - math.log(self.draws))
            squares.append(square)
        total = torch.stack(logs, -1)
        if self.exact:
            return total.softmax(-1), None
        both = 2 * (total + math.log(self.draws)).logsumexp(-1) - torch.stack(squares, -1).logsumexp(-1)
        return total.softmax(-1), both.exp().cpu().numpy()

    def _weights(self, rows: Mapping[str, Tensor], n: int) -> Iterator[Tensor]:
        """Logarithms of weights, (n, draws), in pieces."""
        each = 1 if self.score.apart else max(1, at_once(self.graph) // max(n, 1))
        done = 0
        while done < self.draws:
            count = min(each, self.draws - done)
            repeated = {name: v.repeat_interleave(count, 0) for name, v in rows.items()} if count > 1 else rows
            yield self.score.give(repeated).double().reshape(n, count)
            done += count


def _values(variable: Variable) -> Iterator[Tensor]:
    """All values of a variable, of its type's shape each."""
    low, size, shape = int(variable.type.support.low or 0), variable.type.support.size or 0, variable.type.shape
    for value in product(range(low, low + size), repeat=variable.type.elements):
        yield torch.tensor(value, dtype=torch.get_default_dtype()).reshape(shape)


def _by_element(variable: Variable, cases: list[Tensor], joint: Tensor) -> Array:
    """The probabilities of the values of each element, (n, elements, values), of those of all values, (n, cases)."""
    low, size = variable.type.support.low or 0, variable.type.support.size or 0
    index = torch.stack([case.reshape(-1) for case in cases]) - low  # (cases, elements)
    one_hot = torch.nn.functional.one_hot(index.long(), size).to(joint)
    found = torch.einsum("nc,cev->nev", joint, one_hot)
    values: Array = found.double().cpu().numpy()
    return values


def is_normal(fitted: FittedRun, names: tuple[str, ...], part: bool = False) -> bool:
    """Whether the log-density of a row is exact, and quadratic in these variables: were they latent, they would be
    integrated out. `part`: also where their own factors are all that is about them."""
    graph, checked = fitted.graph, fitted.run.checked
    likelihood = likelihood_of(fitted.plan)
    sizes = sum(graph[name].type.elements for name in names)
    if likelihood is None or likelihood.kind != "log_prob" or sizes > _NORMAL or checked.spec is None:
        return False
    if any(graph[name].length or graph.factor("p", name) is None for name in names):
        return False
    told: tuple[tree.Statement, ...] = tuple(
        replace(s, role="latent", data=None, elementwise=None)
        if isinstance(s, tree.Variable) and s.name in names
        else s
        for s in checked.spec.statements
        if not isinstance(s, tree.Train)
    )
    told = (*told, *(s for name in _ends(fitted, names, part) for s in _stand_in(graph, name)))
    found = pipeline.check_beside(checked, replace(checked.spec, statements=told))
    steps = found.plan.steps if found.plan is not None else ()
    integrated = {name for s in steps if isinstance(s, (Integrate, IntegrateAlong)) for name in s.variables}
    others = [s for s in steps if isinstance(s, Exact) and not isinstance(s, (Integrate, IntegrateAlong))]
    return set(names) <= integrated and not others and not any(s.repeats for s in steps)


def _ends(fitted: FittedRun, names: tuple[str, ...], part: bool) -> tuple[str, ...]:
    """Those of these variables that no data depend on: as latents they would not be integrated out, but left as they
    are. One whose own factor gives its law from the rest of a row is none where other data are left."""
    graph = fitted.graph
    terms = [graph.reads(f) for f in graph.factors if f.side == "p"] + [variables(d.value) for d in graph.definitions]
    read = {root for term in terms for root in graph.roots(term)}
    known = determined(graph, fitted.plan, names)[0] if set(names) < {v.name for v in graph.data} else set[str]()
    own = {f.head for f in graph.factors if f.side == "p" and set(graph.roots(graph.reads(f))) <= known}
    return tuple(n for n in names if n not in read and (part or not (known and n in own)))


def _stand_in(graph: Graph, of: str) -> Sequence[tree.Statement]:
    """Data that depend on a variable, which is normal given them where it is normal at all."""
    taken = {v.name for v in graph.variables}
    name = next(n for n in (f"given_{of}{k or ''}" for k in count()) if n not in taken)
    mean = f"sum({of})" if graph[of].type.shape else of
    told = f'observed {name} : real from "rows.npy"\np({name} | {of}) = Normal({mean}, 1)'
    variable = graph[of]
    if variable.along is not None and not variable.length:
        letter, first = variable.along.letter, variable.along.start
        mean = f"sum({of}[{letter}])" if variable.element.shape else f"{of}[{letter}]"
        told = f'observed {name}[{letter} in {first}..{first + variable.type.shape[0] - 1}] : real from "rows.npy"\n'
        told += f"p({name}[{letter}] | {of}[{letter}]) = Normal({mean}, 1)"
    spec, _ = parse_spec(Source("rows.dgm", f"model stand_in\n{told}\n"))
    return spec.statements if spec is not None else ()


class Normal:
    """A joint density that is normal in the variables: their mean is where its gradient is 0, their precision minus its
    Hessian. Both are exact from one Newton step, in double precision.

    Args:
        gaps: other variables that it is normal in with these, of which a row may lack elements (NaN).
    """

    exact = covers = True
    weighed = 0

    def __init__(
        self,
        model: GenerativeModel,
        graph: Graph,
        fields: Mapping[str, Field],
        names: tuple[str, ...],
        gaps: tuple[str, ...] = (),
    ) -> None:
        self.model = copy.deepcopy(model).double().eval()
        self.graph, self.names, self.gaps = graph, names, gaps
        self.fields = {name: field.in_numbers for name, field in fields.items()}
        self.reads = whole_of(graph)
        self.notes: tuple[str, ...] = (f"{', '.join(names)}: exactly, normal given the rest",)

    def moments(self, rows: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The means of all elements of the variables and those with gaps, (n, elements), and their covariances. What of
        them is in a row stands."""
        n = len(next(iter(rows.values())))
        moved = (*self.names, *self.gaps)
        shapes = [self.graph[name].type.shape for name in moved]
        sizes = [math.prod(shape) for shape in shapes]
        known = {name: v.double() for name, v in rows.items()}
        like = next(iter(known.values()))
        start = [
            known[m].reshape(n, -1) if m in known else like.new_full((n, size), torch.nan)
            for m, size in zip(moved, sizes, strict=True)
        ]
        lacking = torch.cat(start, -1).isnan()
        with torch.enable_grad(), self.model.unchecked():
            at = torch.cat(start, -1).nan_to_num(nan=0.0).requires_grad_()
            parts = zip(moved, at.split(sizes, -1), shapes)
            filled = {**known, **{name: part.reshape(n, *shape) for name, part, shape in parts}}
            log = self.model.figures(*(filled[v.name] for v in self.graph.data))["log_prob"]
            (gradient,) = torch.autograd.grad(log.sum(), at, create_graph=True)
            hessian = [torch.autograd.grad(g.sum(), at, retain_graph=True)[0] for g in gradient.unbind(-1)]
        # What is seen stands: the precision given it is the block of what is missing.
        block = lacking.unsqueeze(-1) & lacking.unsqueeze(-2)
        precision = torch.where(block, -torch.stack(hessian, -2).detach(), torch.eye(sum(sizes)).to(at))
        root = torch.linalg.cholesky(precision)
        slope = torch.where(lacking, gradient.detach(), 0.0)
        mean = at.detach() + torch.cholesky_solve(slope.unsqueeze(-1), root).squeeze(-1)
        return mean, torch.cholesky_inverse(root)

    def beliefs(self, rows: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> Beliefs:
        n = len(next(iter(rows.values())))
        shapes = [self.graph[name].type.shape for name in (*self.names, *self.gaps)]
        sizes = [math.prod(shape) for shape in shapes]
        mean, covariance = self.moments(rows)
        deviation = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
        blocks = np.cumsum([0, *sizes])
        found: dict[str, Belief] = {}
        for name, shape, a, b in zip(self.names, shapes, blocks, blocks[1:], strict=False):
            own, spread = mean[:, a:b].reshape(n, *shape), deviation[:, a:b].reshape(n, *shape)
            below = nll = None
            if name in truth:
                away = truth[name].double() - own
                below = torch.special.ndtr(away / spread).cpu().numpy()
                part = torch.distributions.MultivariateNormal(
                    mean[:, a:b], covariance[:, a:b, a:b], validate_args=False
                )
                nll = -part.log_prob(truth[name].double().reshape(n, -1)).cpu().numpy()
            given = in_units(self.fields[name], own.cpu().numpy(), spread.cpu().numpy())
            found[name] = Numbers(*given, below, nll)
        return found


def in_units(field: Field, mean: Array, deviation: Array) -> tuple[Array, Array]:
    """The means and deviations in the units of the data of elements that are normal in those of the model: by
    Gauss-Hermite quadrature where a transform is not affine, as of exp(u) behind `log`."""
    there = field.invert(mean)
    if field.affine:
        return there, np.abs(field.invert(mean + deviation) - there)
    first, second = np.zeros_like(there), np.zeros_like(there)
    for node, weight in zip(*np.polynomial.hermite_e.hermegauss(_NODES), strict=True):
        # Differences from the median, which do not cancel where the deviation is small.
        away = field.invert(mean + node * deviation) - there
        first += weight / math.sqrt(2 * math.pi) * away
        second += weight / math.sqrt(2 * math.pi) * away**2
    return there + first, np.sqrt(np.maximum(second - first**2, 0))


__all__ = ["DRAWS", "Conditional", "Enumerated", "Normal", "conditional", "in_units", "is_normal"]
