"""Signatures as data: what networks, bijections, distributions, settings and transforms take, by position and name.

How a spec's arguments are bound to one is in `dgmppl.graph.binding`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Argument:
    """One argument.

    Attributes:
        name: how a spec names it.
        kind: what it holds; the reader of that kind checks the value.
        required: whether it must be given.
        by: "either", or only by "position" or by "name".
        many: takes every further value that stands without a name.
    """

    name: str
    kind: str = "number"
    required: bool = False
    by: str = "either"
    many: bool = False


@dataclass(frozen=True)
class Signature:
    """The arguments of `name`, those by position in order. `noun` is what messages call one, `usage` an example."""

    name: str
    arguments: tuple[Argument, ...] = ()
    noun: str = "option"
    usage: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What may stand before `=`."""
        return tuple(a.name for a in self.arguments if a.by != "position" and not a.many)

    @property
    def places(self) -> tuple[Argument, ...]:
        """What values without a name are, in order."""
        return tuple(a for a in self.arguments if a.by != "name")

    def describe(self) -> str:
        """`adam takes lr, beta1, beta2`."""
        return f"{self.name} takes {', '.join(a.name for a in self.arguments) or f'no {self.noun}s'}"
