"""What is known of a spec before its data are: its statements, and what fits to some data would give."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from dgmppl import pipeline
from dgmppl.data.given import read_given
from dgmppl.diagnostics import SpecError
from dgmppl.plan.figures import likelihood_of
from dgmppl.syntax import tree

TARGET = "y"
"""The variable that `y` is."""


def text_of(spec: str | Path) -> str:
    """The text of a spec, which is a path or the text itself."""
    return pipeline.read(spec, files=False).source.text if isinstance(spec, Path) or "\n" not in spec else spec


@lru_cache(maxsize=64)
def statements_of(text: str) -> tuple[tree.Statement, ...]:
    """The statements of a spec's text.

    Raises:
        SpecError: it is none.
    """
    read = pipeline.read(text, files=False)
    if read.spec is None:
        raise SpecError(read.diagnostics, read.source)
    return read.spec.statements


@lru_cache(maxsize=64)
def supposed(text: str, settings: tuple[str, ...]) -> tuple[str, tuple[int, ...]]:
    """What is known of a spec before its data are.

    Returns:
        How the likelihood that it gives stands to the exact one, if it is fitted to two rows of two numbers; "" where
        it gives none, or cannot be fitted to them. And the shape of a row of its first variable beside y, () where
        that is a number or the data say it.
    """
    read = pipeline.read(text, files=False)
    observed = [s for s in statements_of(text) if isinstance(s, tree.Variable) and s.role != "latent"]
    zeros = np.zeros((2, 2))
    try:
        assert read.spec is not None
        data = {s.name: zeros[:, 0] if not s.type.shape and s.family is None else zeros for s in observed}
        given = read_given(read.spec, read.source, data)
        found = pipeline.check(given.source, None, (*settings, *given.sizes))
    except SpecError:
        return "", ()
    likelihood = likelihood_of(found.plan) if found.plan is not None else None
    names = [s.name for s in observed if s.name != TARGET]
    known = found.graph is not None and names and not given.sizes
    shape = found.graph[names[0]].type.shape if found.graph is not None and known else ()
    return likelihood.relation if likelihood is not None else "", shape


__all__ = ["TARGET", "statements_of", "supposed", "text_of"]
