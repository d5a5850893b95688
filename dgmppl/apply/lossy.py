"""Rows given back from their codes, latents of finitely many values, and how far off they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from dgmppl.apply.answers import Chunk, Values
from dgmppl.coding.codes import program_of_codes
from dgmppl.coding.program import Program
from dgmppl.coding.stack import CodingError
from dgmppl.runtime import GenerativeModel
from dgmppl.train.units import DataUnits

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun

Row = dict[str, Tensor]
Losses = dict[str, float]
"""Of each variable that is lost the mean square of what it is off by, or of classes the share that are others."""


def lossy_program(fitted: FittedRun) -> Program:
    """What is coded of the rows of a run where their codes are kept.

    Raises:
        CodingError: where the model has none.
    """
    program = program_of_codes(fitted.graph, fitted.plan, fitted.inferred)
    unset = [name for name in fitted.inferred if name not in fitted.completion.settable]
    if unset:
        raise CodingError(f"`{unset[0]}` is not drawn by itself, so that nothing gives a row back from it alone")
    return program


def codes_of(program: Program, model: GenerativeModel, rows: Row) -> Row:
    """What is kept of rows: the most probable codes, and what does not depend on them."""
    found = model.infer(*rows.values(), mean=True)
    return {name: rows[name] if name in rows else found[name].as_subclass(Tensor) for name in program.gives}


def given_back(fitted: FittedRun, kept: Row) -> Chunk:
    """Rows from what was kept of them, in the units of the data: means of p, of few values the most probable one."""
    return DataUnits(fitted.graph, fitted.fields).every(_completed(fitted, kept), True)


def _completed(fitted: FittedRun, kept: Row) -> Chunk:
    """The same in the units of the model."""
    like = fitted.model.like
    known = {name: v.to(like) for name, v in kept.items()}
    with fitted.computing(0):
        made = {**known, **fitted.completion(len(next(iter(known.values()))), known, True)}
    return {n: made[n].double().cpu().numpy() for n in fitted.fields}


def losses(fitted: FittedRun, program: Program, rows: Row, kept: Row) -> Losses:
    """How far rows that are given back are off, in the units of the data."""
    # Of dates in days.
    units = DataUnits(fitted.graph, {n: f if f.classes else f.in_numbers for n, f in fitted.fields.items()})
    back = units.every(_completed(fitted, kept), True)
    first = units.every({name: v.cpu().numpy() for name, v in rows.items()}, True)
    return {name: _loss(fitted, name, first[name], back[name]) for name in program.lost}


def _loss(fitted: FittedRun, name: str, first: Values, second: Values) -> float:
    """The mean of the rows, each of its elements: of a sequence as far as it goes."""
    texts = first.dtype.kind == "O"
    other = texts or not fitted.graph[name].type.support.numeric
    off = (first != second).astype(np.float64) if other else np.square(first.astype(np.float64) - second)
    if not fitted.graph[name].length:
        return float(off.mean())
    there = np.array([v is not None for v in first.flat]) if texts else np.isfinite(first.astype(np.float64))
    within = there.reshape(len(first), -1)
    return float((np.where(within, off.reshape(within.shape), 0.0).sum(1) / within.sum(1)).mean())


def told_losses(fitted: FittedRun, found: Losses) -> tuple[str, ...]:
    """Losses in words."""
    return tuple(_told(fitted, name, loss) for name, loss in found.items())


def _told(fitted: FittedRun, name: str, loss: float) -> str:
    if fitted.fields[name].classes or not fitted.graph[name].type.support.numeric:
        return f"{name} is not kept: it is given back from its codes, {loss:.1%} of it as another class"
    return f"{name} is not kept: it is given back from its codes, off by {loss**0.5:.4g} (root of the mean square)"


def mean_losses(sums: list[tuple[int, Losses]]) -> Losses:
    """Those of all rows, of those of some."""
    rows = sum(n for n, _ in sums)
    names = sums[0][1] if sums else {}
    return {name: sum(n * found[name] for n, found in sums) / max(rows, 1) for name in names}


__all__ = ["Losses", "codes_of", "given_back", "losses", "lossy_program", "mean_losses", "told_losses"]
