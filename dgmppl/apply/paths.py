"""`interpolate` and `traverse`: rows along paths of latents, between two rows or along one number of a latent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dgmppl.apply.answers import Answers, Chunk
from dgmppl.apply.given import CHUNK, Given
from dgmppl.apply.pictures import PathPictures
from dgmppl.diagnostics import Diagnostic, SpecError, did_you_mean
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.graph.values import Parametric
from dgmppl.train.conditions import read_conditions
from dgmppl.train.units import DataUnits, labels_of
from dgmppl.words import are, counted

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun

PAIRS = 8
"""Pairs of rows of a split between which paths lead, where nothing else is asked for."""

Rows = dict[str, Tensor]


def interpolate(
    fitted: FittedRun,
    data: Any = None,
    *,
    split: str | None = None,
    pairs: int | None = None,
    steps: int = 9,
    spherical: bool = False,
    draw: bool = False,
    seed: int = 0,
) -> Answers:
    """Rows along paths between pairs of rows, the first and the second, the third and the fourth, ..., each given back
    from latents between those of its ends. A path starts and ends with the rows as `reconstruct` gives them back:
    exactly with the rows themselves where latents follow by the inverse of a flow.

    Numbers move along a straight line, classes and whole numbers change in the middle, and so do other variables of the
    row, such as conditions; directions move on their sphere.

    Args:
        pairs: how many, all of `data` or 8 of a split.
        steps: rows of a path, both ends included.
        spherical: latents of a normal prior move along a great circle, so that their length stays what the prior has
            (White, 2016, Sampling generative networks, section 2.2; Shoemake, 1985).
        draw: draws of p in place of its means.

    Raises:
        SpecError: no latents that follow from a row can be set (E660), or rows are not in pairs (E713).
    """
    graph, given = fitted.graph, fitted.rows(data, split)
    told = DataUnits(graph, given.told)
    count = given.rows // 2 if pairs is None else pairs
    count = min(count, PAIRS) if pairs is None and data is None else count
    if steps < 2 or count < 1 or 2 * count > given.rows or (pairs is None and data is not None and given.rows % 2):
        headline = f"a path leads from one row to the next, and {counted(given.rows, 'row')} {are(given.rows)} given"
        headline = headline if pairs is None else f"{headline}, not {2 * count}"
        raise SpecError([Diagnostic("E713", headline if steps > 1 else "a path has 2 rows or more: its ends")])
    latents = _known(fitted)
    round_ = tuple(n for n in latents if not graph[n].type.support.convex or (spherical and _is_normal(graph, n)))
    if spherical and not round_:
        headline = f"no latent of {graph.name} has a normal prior of its own, along whose great circles it could move"
        raise SpecError([Diagnostic("E660", headline, help="leave --spherical out: a straight line is for any latent")])
    told_shares = np.linspace(0, 1, steps)
    shares = torch.from_numpy(told_shares).to(fitted.model.like)

    def between(first: Rows, second: Rows) -> Rows:
        """All values along the paths, (paths * steps, ...)."""
        return {n: _path(first[n], second[n], shares, graph[n], n in round_, n in latents).flatten(0, 1) for n in first}

    def give() -> Iterator[Chunk]:
        pair = 0
        with fitted.computing(seed):
            for ends in _limited(given, 2 * count, max(1, CHUNK // steps) * 2):
                found = _inferred(fitted, ends, latents, draw)
                common = {n: v for n, v in found.items() if graph[n].shared}
                own = {n: v for n, v in found.items() if n not in common}
                path = between({n: v[::2] for n, v in own.items()}, {n: v[1::2] for n, v in own.items()})
                number = np.arange(pair, pair + len(next(iter(ends.values()))) // 2)
                pair += len(number)
                rows = told.every(_completed(fitted, len(number) * steps, {**path, **common}, not draw), not draw)
                yield {
                    names[0]: number.repeat(steps),
                    names[1]: np.tile(told_shares, len(number)),
                    **rows,
                }

    names = _free(graph, "pair", "share")
    columns = {n: told.labels(n) for n in given.names}
    how = [f"{n}: along a great circle" for n in round_]
    how += [f"{n}: along a straight line" for n in latents if n not in round_ and graph[n].type.support.smooth]
    pictures = PathPictures(told, steps, (names[0],), names[1], "from one row to the other")
    return Answers(count * steps, give, columns, None, (*how, *told.stays), pictures, told.forms(columns, not draw))


def traverse(
    fitted: FittedRun,
    latent: str | Sequence[str],
    data: Any = None,
    *,
    split: str | None = None,
    rows: int = 1,
    low: float | None = None,
    high: float | None = None,
    steps: int = 9,
    conditions: Mapping[str, Any] | Sequence[str] = (),
    draw: bool = False,
    seed: int = 0,
) -> Answers:
    """Rows along one number of a latent, `z[3]`, `z[2][3]` of a level; all in turn of a latent that is named whole.

    The others are at the means of their q for the first `rows` of the rows that are given; or, where none are, at the
    means of p. Those that depend on the latent under p follow it, at their means; what is above or beside it stays.

    Args:
        low, high: where the path starts and ends: -3 and 3, or the ends of the support; of a class all of its values
            where nothing is said.
        conditions: values of conditions, in the units of the data, where no rows are given.

    Raises:
        SpecError: there is no such latent, or it cannot be set (E660), or to no such value (E713).
    """
    graph = fitted.graph
    from dgmppl.apply.sample import condition_texts

    turned = [t for name in ([latent] if isinstance(latent, str) else latent) for t in _elements(fitted, name)]
    values = {t: _values(graph[t[0]], t[2], low, high, steps) for t in turned}
    if len({len(v) for v in values.values()}) > 1:
        raise SpecError([Diagnostic("E713", "these latents have not as many values: turn them one by one")])
    count = len(next(iter(values.values())))
    given = fitted.rows(data, split) if data is not None or split is not None else None
    told = DataUnits(graph, fitted.fields if given is None else given.told)
    set_ = (
        read_conditions([] if given else condition_texts(conditions), graph, fitted.fields, (), True)
        if not given
        else {}
    )
    starts = min(rows, given.rows) if given is not None else 1
    names = _free(graph, "row", "latent", "value")

    def give() -> Iterator[Chunk]:
        row = 0
        with fitted.computing(seed):
            for base in _bases(fitted, given, starts, set_, draw, max(1, CHUNK // (count * len(turned)))):
                held = {n: v for n, v in base.items() if not graph[n].shared}
                common = {n: v for n, v in base.items() if graph[n].shared}
                size = len(next(iter(held.values()), torch.empty(1)))
                for k in range(size):
                    for name, index, label in turned:
                        path = torch.tensor(values[name, index, label], device=fitted.model.device)
                        known = {n: v[k : k + 1].repeat_interleave(count, 0) for n, v in held.items()}
                        below = {n for n in known if n != name and name in graph.sources({n}, prior=True)}
                        known = {n: v for n, v in known.items() if n not in below or n in graph.conditions}
                        moved = known[name].reshape(count, -1).clone()
                        moved[:, index] = path
                        known[name] = moved.reshape(known[name].shape)
                        found = told.every(_completed(fitted, count, {**known, **common}, not draw), not draw)
                        label_ = np.full(count, label, dtype=object)
                        yield {
                            names[0]: np.full(count, row),
                            names[1]: label_,
                            names[2]: path.double().numpy(),
                            **found,
                        }
                    row += 1

    columns = {v.name: told.labels(v.name) for v in graph.data}
    label = turned[0][2] if len(turned) == 1 else "value"
    forms = told.forms(columns, not draw)
    pictures = PathPictures(told, count, names[:2] if starts > 1 else names[1:2], names[2], label)
    return Answers(starts * len(turned) * count, give, columns, None, told.stays, pictures, forms)


def _free(graph: Graph, *names: str) -> tuple[str, ...]:
    """Names of columns that no variable has."""
    taken = {v.name for v in graph.variables}
    return tuple(f"{name}_" if name in taken else name for name in names)


def _known(fitted: FittedRun) -> tuple[str, ...]:
    """The latents of a row that follow from it and can be set."""
    found = fitted.inferred
    settable = fitted.completion.settable
    if not found or any(n not in settable for n in found):
        graph = fitted.graph
        why = f"{found[-1]} is not drawn by itself" if found else "no latents of a row follow from it"
        headline = f"between rows of {graph.name} there is no path: {why}"
        raise SpecError([Diagnostic("E660", headline, help="`dgmppl explain` says how its latents are drawn")])
    return found


def _inferred(fitted: FittedRun, chunk: Rows, latents: Sequence[str], draw: bool) -> Rows:
    """The means of the latents of rows, and what of the data does not follow from them: with its means where it is
    missing, or with draws."""
    graph = fitted.graph
    kept = {n: v for n, v in chunk.items() if not graph.sources({n}) & {*latents}}
    found = fitted.model.infer(*chunk.values(), mean=True)
    drawn = draw and any(bool(v.isnan().any()) for v in kept.values())
    completed = fitted.model.infer(*chunk.values(), mean=False) if drawn else found
    kept = {n: completed.get(n, v) for n, v in kept.items()}
    return {**kept, **{n: found[n] for n in found if n in latents or graph[n].shared}}


def _completed(fitted: FittedRun, n: int, known: Rows, mean: bool) -> dict[str, Any]:
    """The data of rows, as arrays."""
    made = {**known, **fitted.completion(n, known, mean)}
    return {v.name: made[v.name].cpu().numpy() for v in fitted.graph.data if v.name in made}


def _limited(given: Given, rows: int, size: int) -> Iterator[Rows]:
    """The first rows, up to `size` at a time."""
    left = rows
    for chunk in islice(given.chunks(size), -(-rows // size)):
        yield {name: v[:left] for name, v in chunk.items()}
        left -= size


def _bases(
    fitted: FittedRun, given: Given | None, rows: int, set_: Mapping[str, Any], draw: bool, size: int
) -> Iterator[Rows]:
    """What is known before a latent is turned: of rows their latents, or the means of p, and conditions."""
    graph = fitted.graph
    if given is not None:
        for chunk in _limited(given, rows, size):
            yield _inferred(fitted, chunk, _known(fitted), draw)
        return
    asked = {n: torch.from_numpy(v).to(fitted.model.device) for n, v in set_.items()}
    means = fitted.completion(1, asked, True)
    yield {**asked, **{n: v for n, v in means.items() if graph[n].role == "latent"}}


def _path(first: Tensor, second: Tensor, shares: Tensor, variable: Variable, great: bool, moves: bool) -> Tensor:
    """From one value to another, (n, steps, *shape)."""
    a, b = first.unsqueeze(1), second.unsqueeze(1)
    t = shares.reshape(1, -1, *(1,) * (first.dim() - 1))
    if not moves or variable.type.support.discrete:
        return torch.where(t < 0.5, a, b)
    if not great:
        return torch.lerp(a, b, t)
    return slerp(first, second, shares)


def slerp(first: Tensor, second: Tensor, shares: Tensor) -> Tensor:
    """``(sin((1-t) w) a + sin(t w) b) / sin(w)``, w the angle of a and b; along a straight line where they have one
    direction (Shoemake, 1985, Animating rotation with quaternion curves, Eq. for Slerp). (n, d) to (n, steps, d)."""
    a, b = first.double().flatten(1).unsqueeze(1), second.double().flatten(1).unsqueeze(1)
    t = shares.double().reshape(1, -1, 1)
    cosine = torch.cosine_similarity(a, b, dim=-1).clamp(-1, 1).unsqueeze(-1)
    angle = torch.arccos(cosine)
    small = torch.sin(angle) < 1e-6
    sine = torch.where(small, 1.0, torch.sin(angle))
    path = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / sine
    path = torch.where(small, torch.lerp(a, b, t), path)
    return path.reshape(len(first), len(shares), *first.shape[1:]).to(first.dtype)


def _is_normal(graph: Graph, name: str) -> bool:
    """Whether the prior of a latent is a normal that depends on nothing."""
    factor = graph.factor("p", name)
    density = factor.density if factor is not None else None
    return factor is not None and not factor.parents and isinstance(density, Parametric) and density.kind == "Normal"


Element = tuple[str, int, str]
"""A latent, the number of one of its elements, and what that is called."""


def _elements(fitted: FittedRun, name: str) -> list[Element]:
    """The elements of latents that a name stands for: `z[3]`, or all of `z`."""
    graph, settable = fitted.graph, fitted.completion.settable
    name = re.sub(r"\s+", "", name)
    latents = [v for v in graph.variables if v.role == "latent"]
    every = {label.replace(" ", ""): (v.name, k, label) for v in latents for k, label in enumerate(labels_of(v))}
    whole = {v.name.replace(" ", ""): v for v in latents}
    if name in every:
        found = [every[name]]
    elif name in whole:
        found = [e for e in every.values() if e[0] == whole[name].name]
    else:
        known = ", ".join(
            v.name if len(labels_of(v)) == 1 else f"{labels_of(v)[0]} to {labels_of(v)[-1]}" for v in latents
        )
        help_ = did_you_mean(name, [*every, *whole], f"its latents: {known}" if known else "it has none")
        raise SpecError([Diagnostic("E660", f"{graph.name} has no latent `{name}`", help=help_)])
    variable = graph[found[0][0]]
    if variable.name not in settable or variable.shared or variable.type.support.event_rank:
        why = "it is not drawn by itself"
        why = "rows have it in common" if variable.shared else why
        why = "its elements depend on each other" if variable.type.support.event_rank else why
        raise SpecError([Diagnostic("E660", f"`{name}` of {graph.name} cannot be turned: {why}")])
    return found


def _values(variable: Variable, label: str, low: float | None, high: float | None, steps: int) -> list[float]:
    """The values that a number of a latent takes in turn."""
    support = variable.type.support
    if low is None and high is None and support.finite:
        return [float(v) for v in support.values()]
    start = low if low is not None else support.low if support.low is not None else -3.0
    end = high if high is not None else support.high if support.high is not None else 3.0
    found = np.linspace(start, end, steps)
    if support.discrete:
        found = np.unique(np.round(found))
    inside = support.contains(found) if not support.event_rank else np.ones(len(found), dtype=bool)
    if not inside.all() or steps < 1:
        headline = f"`{label}` is {support.describe()}, and {found[~inside][0]:g} is no value of it"
        raise SpecError([Diagnostic("E713", headline, help="--from and --to say where a path starts and ends")])
    return [float(v) for v in found]


__all__ = ["interpolate", "slerp", "traverse"]
