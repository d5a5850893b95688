"""Bijections as data: the networks each is configured with, what conditions it, and where it maps to."""

from __future__ import annotations

from dataclasses import dataclass

from dgmppl.catalogue.signature import Argument, Signature
from dgmppl.supports import POSITIVE, REAL, UNIT, Interval, Support


@dataclass(frozen=True)
class Slot:
    """A network in a bijection's brackets. Its sizes are in halves: `a` of the split goes in, `b` comes out."""

    name: str
    outputs: int  # times the size of the half that is transformed


@dataclass(frozen=True)
class BijectionKind:
    """A bijection that a spec may name.

    `context`: "network" (parentheses are inputs of the slots' networks), "value" (parentheses hold the
    parameters themselves, `learned` numbers an element) or "" (takes none).
    """

    name: str
    runtime: str
    slots: tuple[Slot, ...] = ()
    sole: Slot | None = None  # the slot of one network given without a name
    context: str = ""
    learned: int = 0  # parameters an element, learned where nothing conditions it
    sized: bool = False  # the runtime class wants the shape of what it maps
    numbers: tuple[str, ...] = ()  # keyword numbers in the brackets
    domain: Support = REAL
    codomain: Support = REAL
    integers: bool = False  # also maps integers to integers
    rounds: bool = False  # ... by rounding, so the runtime class must be told
    elementwise: bool = False  # each element of the image is a function of that element alone
    moves: bool = False  # only changes the order of the elements

    @property
    def signature(self) -> Signature:
        """What its brackets hold."""
        sole = (Argument(self.sole.name, "network", by="position"),) if self.sole else ()
        named = (Argument(s.name, "network", by="name") for s in self.slots)
        numbers = (Argument(n, "seed", by="name") for n in self.numbers)
        return Signature(self.name, (*sole, *named, *numbers), usage=f"{self.name}[mlp[64]]" if sole else "")

    def slot(self, name: str) -> Slot:
        """The network by this name."""
        return next(s for s in (*self.slots, self.sole) if s is not None and s.name == name)


BIJECTIONS: dict[str, BijectionKind] = {
    b.name: b
    for b in (
        BijectionKind(
            "coupling",
            "Coupling",
            slots=(Slot("scale", 1), Slot("shift", 1)),
            sole=Slot("both", 2),
            context="network",
            sized=True,
            integers=True,
            rounds=True,
        ),
        BijectionKind("reverse", "Reverse", integers=True, moves=True),
        BijectionKind("permute", "Permute", sized=True, numbers=("seed",), integers=True, moves=True),
        BijectionKind("householder", "Householder", context="value", learned=1, sized=True),
        BijectionKind("affine", "Affine", context="value", learned=2, sized=True, elementwise=True),
        BijectionKind("sigmoid", "Sigmoid", codomain=UNIT, elementwise=True),
        BijectionKind("tanh", "Tanh", codomain=Interval(-1, 1), elementwise=True),
        BijectionKind("exp", "Exp", codomain=POSITIVE, elementwise=True),
        BijectionKind("softplus", "Softplus", codomain=POSITIVE, elementwise=True),
    )
}

# Bijections that a formula writes: `2 * f(u) + 1` (the numbers `scale` and `shift`), `x + density` and
# `s * z` (by a value).
ARITHMETIC: dict[str, BijectionKind] = {
    b.name: b
    for b in (
        BijectionKind("scale and shift", "FixedAffine", numbers=("scale", "shift"), elementwise=True),
        BijectionKind("shift by a value", "Shift", context="value", elementwise=True),
        BijectionKind("scale by a value", "Scale", context="value", elementwise=True),
    )
}
FIXED_AFFINE, SHIFT, SCALE = ARITHMETIC

ENTRIES: dict[str, BijectionKind] = {**BIJECTIONS, **ARITHMETIC}
