"""Variables and statements of a random spec while it is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

T = TypeVar("T")


# support -> what stands around a field that a variable of it is read from
BEHIND: dict[str, tuple[str, ...]] = {
    "real": (
        "log({})",
        "logit({})",
        "shift({}, -1.5)",
        "scale({}, 0.01)",
        "standardize(log(shift({}, 1)))",
        "standardize({})",
    ),
    "positive": ("scale({}, 0.01)", "shift({}, 1)"),
    "unit": ("clip({}, 0, 1)", "scale(clip({}, 0, 10), 0.1)"),
    "interval": ("clip({}, LOW, HIGH)", "rescale(log({}), NEAR_LOW, NEAR_HIGH)"),
    "binary": ("threshold({}, 0.5)",),
    "categorical": ("shift({}, -1)",),
    "ordinal": ("shift({}, -1)", "clip({}, 0, 2)"),
    "integer": ("shift({}, -1)", "scale({}, 10)"),
    "natural": ("shift({}, -1)",),
    "simplex": ("closure({})", "closure(clip({}, 0.001, 1))"),
}


ALONE = {
    "real": ("total({})", "standardize(dates(DAYS))", "dates(DAYS)"),
    "positive": ("total({})",),
    "natural": ("total({})",),
}
"""What stands around a field of single numbers, or in its place."""

BORN = ("", '[where = born in "1980-01-01"..]', '[where = country in ["DE", "NA"]]')

INTERVALS = ("interval(0, 3)", "interval(-1, 3)", "interval(-200, -100)", "interval(0.25, 0.5)")
"""In the place of `interval(-1, 1)`, now and then."""

LABELS = ("binary", "categorical(3)", "ordinal(3)", "integer(0..2)")
"""Supports of which so many rows keep their label."""


@dataclass(frozen=True)
class Unit:
    """A variable of a random spec: its name, its support and shape as they are written, its role, and what has one of
    it each: "" for a row, "data", or a column of groups."""

    name: str
    support: str
    shape: tuple[int, ...] = ()
    role: str = "latent"
    per: str = ""

    @property
    def type(self) -> str:
        return self.support + (f"[{', '.join(map(str, self.shape))}]" if self.shape else "")

    @property
    def vector(self) -> bool:
        return len(self.shape) == 1

    @property
    def real(self) -> bool:
        return self.support == "real"


class Draft:
    """A spec while it is written: statements so far, and what has a name in it."""

    def __init__(self, number: int) -> None:
        self.random = Random(number)
        self.files = Random(number + 10**6)  # apart, so that a file changes nothing else
        self.gaps = Random(number + 2 * 10**6)  # and what is missing of the data
        self.sources = Random(number + 3 * 10**6)  # and how they are read
        self.scales = Random(number + 4 * 10**6)  # and in which units networks have them
        self.options = Random(number + 5 * 10**6)  # and what else networks are told
        self.shares = Random(number + 6 * 10**6)  # and where probabilities stand in the place of logits
        self.rows = Random(number + 7 * 10**6)  # and what else is told of the rows of data
        self.supports = Random(number + 8 * 10**6)  # and where supports are less usual
        self.fits = Random(number + 9 * 10**6)  # and how it is fitted
        self.born = self.rows.choice(BORN)  # and which rows of dates
        self.statements: list[str] = []
        self.shared: dict[tuple[object, ...], str] = {}
        self.counts: dict[str, int] = {}
        self.causes: list[Unit] = []  # what the likelihood reads beside its latents
        self.data: list[Unit] = []  # observed and partial variables that a factor models
        self.drawn: list[Unit] = []  # latents with a density, those nearest to the data first
        self.settings: dict[str, str] = {}  # of `train`, by name
        self.features = 0  # of the vector that a flow maps

    def choose(self, options: Sequence[T]) -> T:
        return self.random.choice(options)

    def often(self, share: float) -> bool:
        return self.random.random() < share

    def say(self, statement: str) -> None:
        self.statements.append(statement)

    def told(self, network: str, *options: str) -> str:
        """A network in brackets, now and then with one more option: `mlp[4]` as `mlp[4, dropout = 0.2]`."""
        return (
            network.replace("]", f", {self.options.choice(options)}]", 1) if self.options.random() < 0.15 else network
        )

    def name(self, stem: str) -> str:
        """A name that is not taken: `W`, `W2`, `W3`."""
        self.counts[stem] = self.counts.get(stem, 0) + 1
        return stem if self.counts[stem] == 1 else f"{stem}{self.counts[stem]}"

    def unit(self, stem: str, support: str, shape: tuple[int, ...] = (), role: str = "latent", per: str = "") -> Unit:
        """Declares a variable."""
        found = Unit(self.name(stem), support, shape, role, per)
        source = "" if role == "latent" else f" from {self.source(found)}"
        elementwise = role == "partial" and shape and support not in ("simplex", "sphere") and self.gaps.random() < 0.5
        how = " elementwise" if elementwise else f" per {per}" if per else ""
        self.say(f"{role} {found.name} : {found.type}{how}{source}")
        return found

    def source(self, unit: Unit) -> str:
        """Where a variable of the data is read from, now and then behind a transform, or with what marks its gaps."""
        found = f'"rows.npz".{unit.name}'
        if unit.role == "partial" and self.sources.random() < 0.3:
            found += "[missing = [-9, -1]]"
        if self.sources.random() < 0.25:
            wrap = self.sources.choice(BEHIND.get(unit.support.partition("(")[0], ("{}",)))
            low, _, high = unit.support.partition("(")[2].rstrip(")").partition(", ")
            found = wrap.format(found)
            if unit.support.startswith("interval"):  # the ends themselves are not reached by all densities
                near = (f"{0.9 * float(a) + 0.1 * float(b):g}" for a, b in ((low, high), (high, low)))
                for name, number in zip(("NEAR_LOW", "NEAR_HIGH", "LOW", "HIGH"), (*near, low, high), strict=True):
                    found = found.replace(name, number)
        elif unit.support in ALONE and not unit.shape and "[" not in found and self.rows.random() < 0.12:
            days = f'"days.csv".{unit.name}{self.born}'
            found = self.rows.choice(ALONE[unit.support]).format(found).replace("DAYS", days)
        if unit.vector and self.rows.random() < 0.08:
            found = f"flatten({found})" if self.rows.random() < 0.5 else _inside(found, "flatten({})")
        if unit.role == "partial" and unit.support in LABELS and not unit.shape and self.sources.random() < 0.2:
            found = f"labelled({found}, 4)"
        return found

    def bounded(self, support: str) -> str:
        """A range of real numbers, now and then another than the usual."""
        other = support == "interval(-1, 1)" and self.supports.random() < 0.5
        return self.supports.choice(INTERVALS) if other else support

    def classes(self, support: str) -> str:
        """Classes of a latent, now and then in order."""
        ordered = support == "categorical(3)" and self.supports.random() < 0.3
        return "ordinal(3)" if ordered else support

    def open(self, unit: Unit, share: float = 0.15) -> None:
        """Lets elements of a variable of the data be missing, now and then."""
        declared = f"observed {unit.name} : {unit.type} from"
        if unit.shape and unit.support not in ("simplex", "sphere") and self.gaps.random() < share:
            at = next(k for k, s in enumerate(self.statements) if s.startswith(declared))
            self.statements[at] = self.statements[at].replace(
                declared, f"partial {unit.name} : {unit.type} elementwise from"
            )

    def param(self, *shape: int) -> str:
        """A learned tensor, now and then one of fixed values."""
        name = self.name("w")
        type_ = "real" + (f"[{', '.join(map(str, shape))}]" if shape else "")
        fixed = self.files.random() < 0.15
        self.say(f'const {name} : {type_} from "{name}.npy"' if fixed else f"param {name} : {type_} = normal(0.5)")
        return name

    def head(self, side: str, head: str, given: Sequence[str]) -> str:
        return f"{side}({head} | {', '.join(given)})" if given else f"{side}({head})"


def _inside(source: str, wrap: str) -> str:
    """A source with something more around its field, inside of all that stands there."""
    return re.sub(r'"rows\.npz"\.\w+(\[missing = [^]]*\]\])?', lambda field: wrap.format(field[0]), source)


def names(units: Sequence[Unit]) -> str:
    return ", ".join(u.name for u in units)
