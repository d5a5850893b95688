"""Bijections as data: the networks each is configured with, what conditions it, and where it maps to."""

from __future__ import annotations

from dataclasses import dataclass

from dgmppl.supports import POSITIVE, REAL, UNIT, Interval, Support


@dataclass(frozen=True)
class Slot:
    """A network in a bijection's brackets. Its sizes are in halves: `a` of the split goes in, `b` comes out."""

    name: str
    outputs: int  # times the size of the half that is transformed


@dataclass(frozen=True)
class Bijection:
    """`context`: "network" (parentheses are inputs of the slots' networks), "value" (parentheses hold the
    parameters themselves, `values` numbers a feature) or "" (takes none)."""

    name: str
    runtime: str
    slots: tuple[Slot, ...] = ()
    sole: Slot | None = None  # the slot of one network given without a name
    context: str = ""
    values: int = 0
    features: bool = False  # the runtime class wants the number of features
    numbers: tuple[str, ...] = ()  # keyword numbers in the brackets
    domain: Support = REAL
    codomain: Support = REAL
    integers: bool = False  # also maps integers to integers
    rounds: bool = False  # ... by rounding, so the runtime class must be told
    elementwise: bool = False  # each element of the image is a function of that element alone


BIJECTIONS: dict[str, Bijection] = {
    b.name: b
    for b in (
        Bijection(
            "coupling",
            "Coupling",
            slots=(Slot("scale", 1), Slot("shift", 1)),
            sole=Slot("both", 2),
            context="network",
            features=True,
            integers=True,
            rounds=True,
        ),
        Bijection("reverse", "Reverse", integers=True),
        Bijection("permute", "Permute", features=True, numbers=("seed",), integers=True),
        Bijection("householder", "Householder", context="value", values=1, features=True),
        Bijection("affine", "Affine", context="value", values=2, features=True, elementwise=True),
        Bijection("sigmoid", "Sigmoid", codomain=UNIT, elementwise=True),
        Bijection("tanh", "Tanh", codomain=Interval(-1, 1), elementwise=True),
        Bijection("exp", "Exp", codomain=POSITIVE, elementwise=True),
        Bijection("softplus", "Softplus", codomain=POSITIVE, elementwise=True),
    )
}
