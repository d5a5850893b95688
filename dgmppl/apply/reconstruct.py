"""`reconstruct`: rows given back through their latents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from dgmppl.apply.answers import Answers, Chunk
from dgmppl.apply.pictures import BackPictures
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.emit.inference import inferred_of, reconstructed_of
from dgmppl.train.units import DataUnits

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun


def reconstruct(
    fitted: FittedRun, data: Any = None, *, split: str | None = None, draw: bool = False, seed: int = 0
) -> Answers:
    """Rows as `reconstruct` of the model gives them back, in the units of the data: the mean of p given the means of
    the latents, of few values the most probable one; or with `draw` a draw of p given one of the latents. What does not
    depend on the latents is as it is in the row.

    Raises:
        SpecError: when no latents of a row are known (E660), or the rows are not as the run's types have them.
    """
    given = fitted.rows(data, split)
    model, told = fitted.model, DataUnits(fitted.graph, given.told)
    give: Any = getattr(model, "reconstruct", None)
    if give is None:
        headline = f"{fitted.path} gives no row back: nothing of its data depends on latents that follow from a row"
        raise SpecError([Diagnostic("E660", headline, help="`dgmppl sample` draws rows")])
    names = list(given.names)
    graph, plan = fitted.graph, fitted.plan
    again = (*graph.conditions, *reconstructed_of(graph, plan, inferred_of(graph, plan)))
    kept = [name for name in names if name not in again]
    notes = [f"{', '.join(kept)}: as in the rows, without a latent to depend on"] if kept else []

    same = [n for n in names if (n in graph.conditions or n in kept) and not graph[n].length]
    columns = {name: told.labels(name) for name in names}
    forms = {**told.forms(names, not draw), **{name: given.form(name) for name in same}}

    def chunks() -> Iterator[Chunk]:
        start = 0
        with fitted.computing(seed):
            for chunk in given.chunks():
                stop = start + len(next(iter(chunk.values())))
                found = give(*chunk.values(), mean=not draw)
                back = told.every({name: found.get(name, chunk[name]).cpu().numpy() for name in names}, not draw)
                # To the last digit, which the model's single precision does not have.
                as_given = {name: given.as_given(name, start, stop) for name in same}
                yield {**back, **{n: given.form(n).told(v) for n, v in as_given.items() if v is not None}}
                start = stop

    answers = Answers(given.rows, chunks, columns, given.index, (*told.stays, *notes), forms=forms)

    def originals() -> dict[str, Any]:
        chunks = [told.every({n: v.cpu().numpy() for n, v in chunk.items()}) for chunk in given.chunks()]
        return {name: np.concatenate([c[name] for c in chunks]) for name in names}

    return answers.drawn_by(BackPictures(told, originals))


__all__ = ["reconstruct"]
