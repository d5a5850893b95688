"""What a support is: a set of values, with all that the rest of the compiler asks of it.

Nothing outside this package asks which support it has before it: whatever differs from support to support is a
property or a method here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[Any]
    Mask = NDArray[np.bool_]


def number_text(value: float) -> str:
    """A number as a person would write it: 16 and not 16.0."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


@dataclass(frozen=True)
class Function:
    """A function of the runtime, and the numbers that follow its input: `rescale(x, 0, 16)`."""

    name: str
    arguments: tuple[float, ...] = ()

    def of(self, source: str, name: str) -> str:
        """The call on an expression, the function being known as `name` there."""
        return f"{name}({', '.join([source, *map(number_text, self.arguments)])})"


@dataclass(frozen=True)
class Form:
    """A line of the reference: how a support is written, which values it has, how they enter a network."""

    text: str
    values: str
    enters: str = "itself"
    finite: bool = False


@dataclass(frozen=True)
class Noise:
    """Noise over a support, where a Markov chain starts.

    `kind` is one of `dgmppl.runtime.chains`: "normal" and "exponential" are standard, "uniform" and "integers" lie
    from `low` to `high`.
    """

    kind: str
    low: float | None = None
    high: float | None = None


class Domain:
    """The values that a distribution gives a probability: a support, or any of several."""

    def same_values_as(self, support: Support) -> bool:
        """Whether these are all the values of a support, and no others."""
        raise NotImplementedError

    def reaches_outside(self, support: Support) -> bool:
        """Whether a density here can serve on a support although some of its mass is outside it."""
        return False

    def domain_text(self) -> str:
        """The values in words, as an adjective: `positive`, `finite`."""
        raise NotImplementedError

    def written(self) -> tuple[str, ...]:
        """The supports as the reference writes them: `integer(a..b)`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Support(Domain):
    """A set of values, of one element or (`event_rank` 1) of a vector.

    `low` and `high` bound it where it is bounded; `size` counts it where it is finite, and then its values are the
    whole numbers from `low` to `high`. A subclass is an entry of `dgmppl.supports.SUPPORTS`; it overrides what
    differs from the real numbers.
    """

    low: float | None = None
    high: float | None = None
    size: int | None = None

    # --- as a spec writes it ---------------------------------------------------------------------
    word: ClassVar[str]  # "integer"
    arguments: ClassVar[str] = ""  # what follows it in parentheses: "", "range", "ends", "count"
    bare: ClassVar[bool] = True  # whether it may stand without arguments
    forms: ClassVar[tuple[Form, ...]]  # lines of the reference

    # --- what it is ------------------------------------------------------------------------------
    event_rank: ClassVar[int] = 0  # axes that one value has: 1 for vectors, whose elements depend on each other
    moves: ClassVar[str] = ""  # how a Markov chain moves a whole vector: a name of `dgmppl.apply.element_chains`
    chart: ClassVar[str] = ""  # coordinates of a whole vector, as it is coded: a name of `dgmppl.coding.charts`
    shortest: ClassVar[int] = 1  # how many numbers a vector has at least
    discrete: ClassVar[bool] = False
    integral: ClassVar[bool] = False  # whole numbers that add up, and so more than names of classes
    shiftable: ClassVar[bool] = False  # a rounded shift maps its values to its values, one to one
    numeric: ClassVar[bool] = True  # values are numbers, and not names of classes
    open: ClassVar[bool] = False  # whether the ends of its range are no values
    convex: ClassVar[bool] = True  # whether what lies between two of its values is one, rounded where it is discrete
    takes_text: ClassVar[bool] = False  # texts in data stand for the values 0, 1, ...
    smooth: ClassVar[bool] = True  # an energy has a gradient in each element: Langevin dynamics can draw it
    # The distribution of one element under an energy that is linear in it (in its indicator, for classes).
    conditional: ClassVar[str] = ""
    # What a q that nobody wrote is: a distribution of the catalogue with these very values. "" where there is none.
    posterior: ClassVar[str] = ""
    condition: ClassVar[str] = ""  # what it demands of a parameter, after its name: "> 0"
    landing: ClassVar[str] = "give it a distribution instead: p(... | ...) = ..."  # how a definition comes to lie here

    @property
    def finite(self) -> bool:
        return self.size is not None

    @property
    def ends(self) -> tuple[float, float]:
        """Between which numbers each element of a value lies."""
        return (-math.inf if self.low is None else self.low), (math.inf if self.high is None else self.high)

    @property
    def bounded(self) -> bool:
        return self.low is not None and self.high is not None

    @classmethod
    def of(cls, *numbers: float) -> Support:
        """The support with these arguments.

        Raises:
            ValueError: they make none.
        """
        return cls()

    @property
    def positions(self) -> int | None:
        """How many positions its values pick, as indices from 0; None where they are no indices."""
        return None if self.high is None or self.size is None or (self.low or 0.0) < 0 else int(self.high) + 1

    def describe(self) -> str:
        """The text that a spec writes."""
        return self.word

    def free(self, length: int) -> int:
        """How many of so many numbers along the last axis can be chosen: in so many its densities are."""
        return length

    # --- values ----------------------------------------------------------------------------------

    @property
    def expected(self) -> str:
        """What a message expects of a value."""
        return f"expected a value in {self.describe()}"

    def contains(self, values: Values) -> Mask:
        """Which of the numbers `(..., *event)` are values; of vectors, one answer each. Numbers are finite."""
        return values == values

    def faults(self, values: Values) -> tuple[tuple[Mask, str], ...]:
        """Which numbers are wrong, with what was expected of them; the most telling comes first."""
        return ((~self.contains(values), self.expected),)

    def feasible(self, length: int = 1) -> float:
        """A number that every element may be, where a value is missing; `length` is that of a vector."""
        return 0.0 if self.low is None else self.low

    def values(self) -> tuple[float, ...]:
        """All values, where there are finitely many."""
        return tuple((self.low or 0.0) + k for k in range(self.size or 0))

    def holds(self, other: Support) -> bool:
        """Whether every value of another support is a value of this one."""
        return self == other

    def same_values_as(self, support: Support) -> bool:
        return self == support

    def domain_text(self) -> str:
        return self.describe()

    def written(self) -> tuple[str, ...]:
        return (self.describe(),)

    # --- what makes values of it -----------------------------------------------------------------

    def within(self, low: float | None, high: float | None) -> bool:
        """Whether all values lie from `low` to `high`; None leaves that side open."""
        above = low is None or (self.low is not None and low <= self.low)
        return above and (high is None or (self.high is not None and self.high <= high))

    def lands(self, found: Support) -> bool:
        """Whether a definition with values in `found` defines a variable of this support: it lies in it where
        values are continuous; where they are rounded it reaches all of them."""
        return self == found

    def floored(self) -> Support:
        """The support of `floor(v)` for v in the interior of this one."""
        from dgmppl.supports.whole import Integers

        return Integers()

    def averaged(self) -> Support:
        """The support of a mean of its values, of one element each: its convex hull."""
        from dgmppl.supports.continuous import Interval, Real, Unit

        if not self.discrete:
            return self
        if self.low is None or self.high is None:
            return Real()
        return Unit() if (self.low, self.high) == (0.0, 1.0) else Interval(self.low, self.high)

    def summed(self) -> Support:
        """The support of a sum of its values."""
        from dgmppl.supports.continuous import Real

        return Real()

    def affine(self, scale: float, shift: float) -> Support:
        """The support of `scale v + shift`, for a scale that is not 0."""
        from dgmppl.supports.continuous import Real

        return Real()

    def transform(self, found: Support | None = None) -> str:
        """A transform of data that brings values here (from another support where that is known); "" for none."""
        return ""

    @property
    def draws_may_leave(self) -> bool:
        """Whether a density on all real numbers may serve here, its draws clamped."""
        return False

    # --- networks, samplers ----------------------------------------------------------------------

    @property
    def link(self) -> Function | None:
        """What brings unconstrained numbers into the support, or for whole numbers into its convex hull.

        The function of no name leaves them alone; None: there is none.
        """
        return Function("")

    @property
    def embedding(self) -> Function:
        """How a value enters a network; the function of no name leaves it as it is."""
        return Function("")

    @property
    def width(self) -> int:
        """Features of an element that enters a network: more than one are an axis that the embedding adds."""
        return 1

    @property
    def noise(self) -> Noise | None:
        """Where a Markov chain over an element starts; None where no sampler of an energy draws it."""
        return Noise("normal")

    @property
    def clamp(self) -> tuple[float | None, float | None]:
        """The ends that a sampler keeps a value between; None leaves that side open."""
        return self.low, self.high


class AnyFinite(Domain):
    """Every finite support: a probability for each of its values."""

    def same_values_as(self, support: Support) -> bool:
        return support.finite

    def domain_text(self) -> str:
        return "finite"

    def written(self) -> tuple[str, ...]:
        from dgmppl.supports import SUPPORTS

        return tuple(form.text for s in SUPPORTS.values() for form in s.forms if form.finite)


class AnyIntegers(Domain):
    """The whole numbers, or those of a range, on which what lies beyond its ends counts as these."""

    def same_values_as(self, support: Support) -> bool:
        return support.shiftable

    def domain_text(self) -> str:
        return "integer"

    def written(self) -> tuple[str, ...]:
        return ("integer", "integer(a..b)")


@dataclass(frozen=True)
class Every(Domain):
    """A support with any arguments: `ordinal(K)` for every K."""

    kind: type[Support]

    def same_values_as(self, support: Support) -> bool:
        return type(support) is self.kind

    def domain_text(self) -> str:
        return self.kind.word

    def written(self) -> tuple[str, ...]:
        return tuple(form.text for form in self.kind.forms)
