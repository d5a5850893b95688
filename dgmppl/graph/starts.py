"""Where a `param` inside an expression starts: at a normal draw of deviation 1, but for those that are named here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING

from dgmppl.graph.derived import starts_narrow
from dgmppl.graph.units import counted, laws_of
from dgmppl.graph.values import Learned

if TYPE_CHECKING:
    from dgmppl.graph.nodes import Graph


class Start(Enum):
    """The first value of a learned one, before the link of its place."""

    DRAWN = "a normal draw of deviation 1"
    ZERO = "0"
    NEAR_ZERO = "a normal draw of deviation 0.01"
    NARROW = "what `positive` makes 0.1"


def starts(graph: Graph) -> Mapping[Learned, Start]:
    """The learned values that start elsewhere than at a draw of deviation 1.

    What is counted in units of the data starts in their middle. The q of what rows have in common starts at a scale of
    0.7, and that of what is positive near 0 and narrow: a wide one draws scales s near 0, whose gradients are large and
    rare, as the density of a row has 1 / s^2. Places of what is real stay drawn, as those of components of a mixture:
    at 0 elements of a matrix would be alike, and the matrix have no inverse.
    """
    return dict(_starts(graph))


def _starts(graph: Graph) -> Iterator[tuple[Learned, Start]]:
    for factor in graph.factors:
        in_common = factor.side == "q" and graph[factor.head].shared
        for law in laws_of(factor.density):
            values = {name: v for name, v in law.arguments if isinstance(v, Learned) and not v.copies}
            if graph.unit_of(factor.head) is not None:
                yield from ((values[name], Start.ZERO) for name in counted(law) if name in values)
            elif in_common and {"loc", "scale"} <= dict(law.arguments).keys():
                narrow = starts_narrow(graph[factor.head])
                near = {"loc": Start.NEAR_ZERO, "scale": Start.NARROW} if narrow else {"scale": Start.ZERO}
                yield from ((values[name], start) for name, start in near.items() if name in values)
