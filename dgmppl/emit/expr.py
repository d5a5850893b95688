"""Python expressions as a small tree: what emitted source says on the right of an `=`, with parentheses where
Python's precedence asks for them and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from dgmppl.supports import number_text

# How tightly operators bind, as the table of the Python reference has it.
_SUM, _PRODUCT, _UNARY, _POWER, _ATOM = range(5)
_LEVELS = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "@": _PRODUCT, "**": _POWER}


@dataclass(frozen=True)
class Expr:
    """An expression; `str` prints it."""

    @property
    def level(self) -> int:
        return _ATOM

    def at(self, level: int) -> str:
        """Its source where an operand that binds at least so tightly is expected."""
        return str(self) if self.level >= level else f"({self})"

    def call(self, method: str, *arguments: Expr | int, **named: Expr) -> Call:
        """A method of it: `x.sum(-1)`."""
        return Call(Attribute(self, method), tuple(_expr(a) for a in arguments), tuple(named.items()))

    def __getitem__(self, items: Sequence[Expr | str | int]) -> Index:
        return Index(self, tuple(Name(i) if isinstance(i, str) else _expr(i) for i in items))

    def lifted(self, axes: int) -> Expr:
        """With that many axes of size one at the end: `x[..., None]`."""
        items = ("...", *["None"] * axes)
        return self[items] if axes else self


def _expr(value: Expr | int) -> Expr:
    return value if isinstance(value, Expr) else Number(value)


@dataclass(frozen=True)
class Name(Expr):
    """A name, dotted or not: `x`, `self.W`, `torch.exp`."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Number(Expr):
    """A number; `real` writes whole ones with a point, which makes tensors of real numbers."""

    value: float
    real: bool = False

    @property
    def level(self) -> int:
        return _UNARY if self.value < 0 else _ATOM

    def __str__(self) -> str:
        return repr(float(self.value)) if self.real else number_text(self.value)


@dataclass(frozen=True)
class Text(Expr):
    """A string constant."""

    text: str

    def __str__(self) -> str:
        return json.dumps(self.text, ensure_ascii=False)


@dataclass(frozen=True)
class Tuple(Expr):
    parts: tuple[Expr, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.parts))}{',' if len(self.parts) == 1 else ''})"


@dataclass(frozen=True)
class Attribute(Expr):
    value: Expr
    name: str

    def __str__(self) -> str:
        value = self.value.at(_ATOM)
        return (
            f"({value}).{self.name}" if isinstance(self.value, Number) and value.isdigit() else f"{value}.{self.name}"
        )


@dataclass(frozen=True)
class Call(Expr):
    function: Expr
    arguments: tuple[Expr, ...] = ()
    named: tuple[tuple[str, Expr], ...] = ()

    def __str__(self) -> str:
        inside = [*map(str, self.arguments), *(f"{name}={value}" for name, value in self.named)]
        return f"{self.function.at(_ATOM)}({', '.join(inside)})"


@dataclass(frozen=True)
class Index(Expr):
    value: Expr
    items: tuple[Expr, ...]

    def __str__(self) -> str:
        return f"{self.value.at(_ATOM)}[{', '.join(map(str, self.items))}]"


@dataclass(frozen=True)
class Negative(Expr):
    value: Expr

    @property
    def level(self) -> int:
        return _UNARY

    def __str__(self) -> str:
        return f"-{self.value.at(_UNARY)}"


@dataclass(frozen=True)
class Binary(Expr):
    """`left op right`; operators of one level group to the left, but for powers."""

    op: str
    left: Expr
    right: Expr

    levels: ClassVar[dict[str, int]] = _LEVELS

    @property
    def level(self) -> int:
        return self.levels[self.op]

    def __str__(self) -> str:
        if self.op == "**":
            return f"{self.left.at(_ATOM)} ** {self.right.at(_UNARY)}"
        return f"{self.left.at(self.level)} {self.op} {self.right.at(self.level + 1)}"


def negative(value: Expr) -> Expr:
    """Minus a value; of a product the first factor has the sign: `-a @ b`."""
    if isinstance(value, Binary) and value.level == _PRODUCT:
        return Binary(value.op, negative(value.left), value.right)
    return Negative(value)


def call(function: str, *arguments: Expr | int, **named: Expr) -> Call:
    """A function by its name: `torch.exp(x)`."""
    return Call(Name(function), tuple(_expr(a) for a in arguments), tuple(named.items()))


def sizes(shape: Sequence[int]) -> Tuple:
    """A shape: `(3,)`."""
    return Tuple(tuple(Number(k) for k in shape))


__all__ = [
    "Attribute",
    "Binary",
    "Call",
    "Expr",
    "Index",
    "Name",
    "Negative",
    "Number",
    "Text",
    "Tuple",
    "call",
    "negative",
    "sizes",
]
