"""`encode`: the latents of rows, level by level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dgmppl.apply.answers import Answers, Chunk, verify_counts
from dgmppl.apply.given import Given as Rows
from dgmppl.apply.in_common import LatentsGivenCommon
from dgmppl.apply.q_laws import LawsOfQ
from dgmppl.coding.common import of_own_group
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.emit.inference import inferred_of, marginals_of
from dgmppl.emit.steps import needed_steps
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.plan.nodes import Plan
from dgmppl.plan.rules.compute import Compute
from dgmppl.plan.rules.invert import Invert
from dgmppl.plan.rules.observe import Given
from dgmppl.runtime import Distribution
from dgmppl.runtime.cases import enumerate_values
from dgmppl.train.units import DataUnits, labels_of

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun

Moments = dict[str, tuple[Tensor, Tensor, Tensor]]
"""Of each latent its mean, its spread and the draws that are kept, (draws, n, *shape)."""


def encode(
    fitted: FittedRun,
    data: Any = None,
    *,
    split: str | None = None,
    draws: int = 0,
    samples: int = 64,
    common: bool = False,
    per: str | None = None,
    seed: int = 0,
) -> Answers:
    """The latents of rows in the order in which they become known: each level of a hierarchy, all members of a family.

    For each latent z: `z`, the mean of its posterior (of q given the means of the latents before it, or what the data
    determine; the most probable value of a class); `z_deviation`, its standard deviation, or of a class
    `z_probability`, the probability of this value: exact where its posterior has a closed form
    (`GenerativeModel.marginals`) or the data determine it, and of q where that reads nothing that is drawn and has them
    in closed form; where either is so given other latents, mixed over as many draws of these as `samples` says, by the
    law of total variance; and otherwise of as many draws; a note tells. With `draws` as many of them, `z_draws`, (rows,
    draws, *shape). Of what each group has a row has that of its own group. Beyond the end of a sequence stands NaN.

    Args:
        common: the latents that all rows have in common, in a single row, in place of those of each row.
        per: the latents of each group, in place of those of each row: a row for each value of this variable.

    Raises:
        SpecError: when the model has no such latents (E660), or the rows are not as the run's types have them.
    """
    verify_counts(0, draws=draws)
    verify_counts(samples=samples)
    graph = fitted.graph
    found = [n for n in inferred_of(graph, fitted.plan) if graph[n].role == "latent"]
    whose = _whose(graph, found)
    asked = EVERY_ROW if common else per
    if common and per is not None:
        raise SpecError([Diagnostic("E713", f"--common is of all rows and --per {per} of a group, and both are given")])
    ours = whose.get(asked, []) if asked is not None else [n for n in found if n not in whose.get(EVERY_ROW, [])]
    if not ours:
        raise SpecError([_none(fitted, whose, asked)])
    given = fitted.rows(data, split)
    determined = _determined(graph, fitted.plan, ours)
    laws = _laws_of_q(fitted, given, ours)
    told = {*marginals_of(graph, fitted.plan), *laws.alone}
    estimated = [] if determined else [n for n in ours if n not in told]
    mixed = LatentsGivenCommon(fitted.run.checked, fitted.model) if set(estimated) & set(whose.get(None, [])) else None
    mixable = [n for n in estimated if mixed is not None and n in mixed.names]
    count = 1 if determined else max(draws, samples if estimated else 0)

    def of(chunk: dict[str, Tensor]) -> Chunk:
        answers: dict[str, NDArray[Any]] = {}
        for name, parts in _moments(fitted, chunk, ours, count, draws, laws, mixed).items():
            mean, spread, kept = (
                _of_rows(v, graph, graph[name], chunk, axis, per is not None) for v, axis in zip(parts, (0, 0, 1))
            )
            answers[name] = mean
            answers[f"{name}_{_spread_of(graph[name])}"] = spread
            if draws:
                answers[f"{name}_draws"] = np.moveaxis(kept, 0, 1)
        return answers

    columns = {n: labels_of(graph[n]) for n in ours}
    more: dict[str, tuple[str, ...]] = {}
    for n, labels in columns.items():
        spread = _spread_of(graph[n])
        more[f"{n}_{spread}"] = tuple(f"{label}_{spread}" for label in labels)
        more[f"{n}_draws"] = tuple(f"{label}_draws[{k}]" for k in range(draws) for label in labels)
    beside = [n for n in found if n not in ours]
    notes: tuple[str, ...] = (
        (f"{', '.join(beside)}: the same for all rows, see --common",) if beside and asked is None else ()
    )
    for names, of_what in ((mixable, f"exact given {_listed(mixed)}, over "), (estimated, "of ")):
        spreads = ", ".join(f"{n}_{_spread_of(graph[n])}" for n in names if names is mixable or n not in mixable)
        if spreads:
            draws_ = f"{count} draws of it" if names is mixable else f"{count} draws"
            notes += (f"{spreads}: {of_what}{draws_}, see --samples",)
    if asked is None:
        return fitted.answers(given, of, {**columns, **more}, seed, notes)
    groups: dict[str, Any] = {}
    if per is not None:
        groups[per] = DataUnits(graph, fitted.fields).of(per, _groups_of(graph, per).numpy())

    def once() -> Any:
        with fitted.computing(seed):
            yield {**groups, **of({n: v[:1] for n, v in next(given.chunks(1)).items()})}

    return Answers(max([1, *map(len, groups.values())]), once, {**columns, **more}, notes=notes)


EVERY_ROW = ""
"""In place of a group: what all rows have in common."""


def _whose(graph: Graph, names: list[str]) -> dict[str | None, list[str]]:
    """Latents by what has one of its own: a row (None), the groups that a variable says, all rows together."""
    whose: dict[str | None, list[str]] = {}
    for v in (graph[n] for n in names):
        whose.setdefault(v.group or (None if v.rows else EVERY_ROW), []).append(v.name)
    return whose


def _groups_of(graph: Graph, group: str) -> Tensor:
    support = graph[group].type.support
    return (support.low or 0.0) + torch.arange(support.size or 0)


def _none(fitted: FittedRun, whose: dict[str | None, list[str]], asked: str | None) -> Diagnostic:
    """Why there is nothing to encode rows, groups, or all rows together as."""
    if whose:
        told = "; ".join(
            f"{', '.join(names)}: "
            + {None: "one a row", EVERY_ROW: "what all rows have in common, --common"}.get(of, f"--per {of}")
            for of, names in whose.items()
        )
        missing = {None: "no latents of its rows", EVERY_ROW: "no latents that all rows have in common"}
        headline = missing.get(asked, f"no latents of each {asked}")
        return Diagnostic("E660", f"{fitted.path} has {headline}", help=f"it has {told}")
    headline = f"{fitted.path} has no latents: there is nothing to encode rows as"
    if any(v.role == "latent" for v in fitted.graph.variables):
        headline = f"{fitted.path} has no latents that follow from a row: nothing is drawn or inverted to them"
    return Diagnostic("E660", headline, help="`dgmppl score` gives its log-probabilities")


def _determined(graph: Graph, plan: Plan, names: list[str]) -> bool:
    """Whether the data determine these latents, by the inverses of flows and functions."""
    steps = needed_steps(plan.steps, names)
    if not set(names) <= {name for s in steps for name in s.gives}:
        return False  # it has a conditional under an energy
    return all(isinstance(s, (Given, Compute, Invert)) for s in steps)


def _spread_of(variable: Variable) -> str:
    return "deviation" if variable.type.support.numeric else "probability"


def _listed(mixed: LatentsGivenCommon | None) -> str:
    return ", ".join(mixed.common) if mixed is not None else ""


def _moments(
    fitted: FittedRun,
    chunk: dict[str, Tensor],
    names: list[str],
    count: int,
    draws: int,
    of_q: LawsOfQ,
    mixed: LatentsGivenCommon | None = None,
) -> Moments:
    """Means, spreads and draws. Sums are of differences to the first draw: of draws that are all the same it is 0.

    Of what has moments in closed form given other latents, by its q or, given what rows have in common, by its exact
    posterior, they are of its means, and of its variances: with draws w of those,
    ``Var[z] = E[Var[z | w]] + Var[E[z | w]]``.
    """
    rows = tuple(chunk.values())
    with of_q.kept(len(rows[0])) as given:
        means = fitted.model.infer(*rows, mean=True)
    exact = {**{n: given[n] for n in of_q.alone}, **fitted.model.marginals(*rows)}
    first: dict[str, Tensor] = {}
    sums = {n: torch.zeros_like(means[n], dtype=torch.float64) for n in names}
    squares = {n: torch.zeros_like(s) for n, s in sums.items()}
    kept: dict[str, list[Tensor]] = {n: [] for n in names}
    inside = {n: torch.zeros_like(s) for n, s in sums.items()}
    for k in range(count):
        with of_q.kept(len(rows[0])) as given:
            drawn = fitted.model.infer(*rows)
        laws = {**given, **(mixed.marginals(chunk, drawn) if mixed is not None and mixed.names else {})}
        for n in names:
            kept[n] += [drawn[n]] if k < draws else []
            variable = fitted.graph[n]
            if not variable.type.support.numeric:
                same = drawn[n] == means[n] if n not in laws else _exact_spread(laws[n], variable, means[n])
                sums[n] += same.double()
                continue
            value = drawn[n].double()
            if n in laws:
                value = _exact_mean(laws[n], variable, means[n]).double()
                inside[n] += _exact_spread(laws[n], variable, means[n]).double() ** 2
            away = value - first.setdefault(n, value)
            sums[n] += away
            squares[n] += away**2
    found: Moments = {}
    for n in names:
        if n in exact:
            spread = _exact_spread(exact[n], fitted.graph[n], means[n])
        else:
            share = sums[n] / count
            variance = (squares[n] / count - share**2).clamp(min=0) + inside[n] / count
            spread = variance.sqrt() if fitted.graph[n].type.support.numeric else share
        repeated = kept[n] * draws if count == 1 else kept[n]
        found[n] = means[n], spread.to(means[n].dtype), torch.stack(repeated[:draws]) if draws else means[n][None]
    return found


def _laws_of_q(fitted: FittedRun, given: Rows, names: list[str]) -> LawsOfQ:
    with fitted.computing(0):
        return LawsOfQ(fitted.graph, fitted.model, names, next(given.chunks(1), None))


def _exact_mean(law: Distribution, variable: Variable, value: Tensor) -> Tensor:
    """The mean of each element of what is numeric, of the shape of `value`."""
    support = variable.type.support
    if not isinstance(law, torch.distributions.Categorical):
        return law.mean.reshape(value.shape)
    assert support.size is not None
    inside = value.shape[len(law.batch_shape) :]
    each = enumerate_values(support.low or 0.0, support.size, tuple(inside), value)
    return (law.probs.reshape(*law.batch_shape, -1, *(1,) * len(inside)) * each).sum(len(law.batch_shape))


def _exact_spread(law: Distribution, variable: Variable, value: Tensor) -> Tensor:
    """The standard deviation of each element or, of what is not numeric, the probability that it has this value."""
    support = variable.type.support
    if not isinstance(law, torch.distributions.Categorical):
        return law.stddev.expand(value.shape) if law.event_shape == value.shape[1:] else law.stddev.reshape(value.shape)
    assert support.size is not None
    inside = value.shape[len(law.batch_shape) :]
    each = enumerate_values(support.low or 0.0, support.size, tuple(inside), value)
    if support.numeric:
        probs = law.probs.reshape(*law.batch_shape, -1, *(1,) * len(inside))
        mean = (probs * each).sum(len(law.batch_shape), keepdim=True)
        return (probs * (each - mean) ** 2).sum(len(law.batch_shape)).sqrt()
    same = (value.unsqueeze(len(law.batch_shape)) == each).to(law.probs)
    return (law.probs.reshape(*law.batch_shape, -1, *(1,) * len(inside)) * same).sum(len(law.batch_shape))


def _of_rows(
    values: Tensor, graph: Graph, variable: Variable, chunk: dict[str, Tensor], axis: int, every: bool
) -> NDArray[Any]:
    """Values with an axis of rows: of groups that of each row's own, or `every` group's, of what is in common a single
    one; NaN beyond the end of a sequence."""
    if every:
        return values.detach().cpu().numpy()
    if variable.group is not None:
        values = of_own_group(values, graph[variable.group], chunk[variable.group], axis)
    elif not variable.rows:
        values = values.unsqueeze(axis)
    if variable.length and variable.length in chunk:
        numbers = torch.tensor(list(variable.members), device=values.device)
        beyond = numbers[None] > chunk[variable.length][:, None]
        shape = (*beyond.shape, *[1] * (values.dim() - axis - 2))
        values = values.masked_fill(beyond.reshape(shape), float("nan"))
    return values.detach().cpu().numpy()


__all__ = ["encode"]
