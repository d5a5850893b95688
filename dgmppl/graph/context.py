"""Where an expression stands, as far as elaborating it needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dgmppl.graph.values import Points


@dataclass(frozen=True)
class Context:
    """`hint` names what the model will hold for this expression; `env` gives family indices their numbers.

    `past` is the variable whose past may be read, with the indices of its elements. Inside a mixture's component
    `copies` counts the components, or `points` names the grid point that stands for one. `sums` gives summation
    indices their ranges.
    `each`: how many of the last axes that are expected here are no axes of the variable but hold what an element has,
    such as the parameters of its distribution. `site` identifies the statement, so that instances of a family can
    share a network.
    """

    hint: str
    env: Mapping[str, int] = field(default_factory=dict)
    past: tuple[str, tuple[str, ...]] | None = None
    copies: int = 0
    each: int = 0
    points: tuple[tuple[str, Points], ...] = ()
    sums: Mapping[str, int] = field(default_factory=dict)
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def positions(self) -> int:
        """How many axes the elements that are modelled one after another lie along; 0 where none are."""
        return len(self.past[1]) if self.past else 0
