"""The syntax tree: one frozen class a grammar rule, called like it. Spans are ignored in equality.

Reformatting a spec gives an equal tree, so equality is what the formatter is tested by.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lark.ast_utils import Ast

from dgmppl.source import Span


@dataclass(frozen=True)
class Node(Ast):
    """Anything that stands in a spec."""

    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Named(Node):
    """What gives a name to something; `name_span` is where the name stands."""

    name_span: Span = field(compare=False, repr=False, kw_only=True)


# --- expressions ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Name(Node):
    name: str


@dataclass(frozen=True)
class Number(Node):
    value: float
    text: str = field(compare=False)


@dataclass(frozen=True)
class String(Node):
    value: str


@dataclass(frozen=True)
class Boolean(Node):
    value: bool


@dataclass(frozen=True)
class Learned(Node):
    """`param` inside an expression: a learned value, sized by its place."""


@dataclass(frozen=True)
class Binary(Node):
    """`left op right` with op one of + - * / @ ^ >>."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Negate(Node):
    operand: Expr


@dataclass(frozen=True)
class Past(Node):
    """`<d` in brackets: the elements before position d, or `>d`, those after it."""

    index: str
    after: bool = False


@dataclass(frozen=True)
class Keyword(Node):
    """`name = value` inside brackets or parentheses."""

    name: str
    value: Expr


@dataclass(frozen=True)
class Binding(Node):
    """`u in grid(4, 4)`: a mixture's components are indexed by the points u."""

    name: str
    values: Expr


@dataclass(frozen=True)
class Range(Node):
    """`0..7`: from one whole number to another, both included."""

    low: Expr
    high: Expr


@dataclass(frozen=True)
class Sizes(Node):
    """`[4, 4, 8]` among arguments: a shape."""

    sizes: tuple[Expr, ...]


@dataclass(frozen=True)
class Bracket(Node):
    """`target[items]`: configuration after a kind, an index after a variable."""

    target: Expr
    items: tuple[Expr | Keyword | Binding | Past, ...]


@dataclass(frozen=True)
class Call(Node):
    """`target(arguments)`."""

    target: Expr
    arguments: tuple[Expr | Keyword, ...]


@dataclass(frozen=True)
class Summation(Node):
    """`sum(i, j: body)`; without indices the sum over every element, or of one `axis = k`."""

    indices: tuple[str, ...]
    body: Expr
    option: Keyword | None = None


@dataclass(frozen=True)
class Integral(Node):
    """`integrate(t in 0..1: body)`: what a flow moves by, along a time."""

    index: str
    range: Range
    body: Expr
    options: tuple[Keyword, ...] = ()


@dataclass(frozen=True)
class Reference(Node):
    """A variable in a factor's head or among its parents: `x`, `z[t - 1]`, `x[<d]`, `x[<i, <j]`; or several members of
    a family, `z[>l]`, which come `after`, or `z[1..l]`. Of `x[t, <d]` the past is one of the subscripts."""

    name: str
    subscripts: tuple[Expr | Range, ...] = ()
    past: tuple[str, ...] = ()
    after: bool = False


@dataclass(frozen=True)
class Quotation(Node):
    """`q(z | param)`: the distribution of another factor, with these values for its parents."""

    side: str
    heads: tuple[Reference, ...]
    given: tuple[Expr, ...]


@dataclass(frozen=True)
class Figure(Node):
    """`log p(y | x)`: a figure by its name, the logarithm of a factor."""

    name: str
    factor: Quotation


@dataclass(frozen=True)
class Record(Node):
    """`{ x = 0.01 }`."""

    settings: tuple[Setting, ...]


Expr = (
    Name
    | Number
    | String
    | Boolean
    | Learned
    | Binary
    | Negate
    | Bracket
    | Call
    | Summation
    | Integral
    | Quotation
    | Figure
    | Record
    | Range
    | Sizes
)

# --- types and data ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Family(Node):
    """`[t in 1..T]` after a declared name; `others` are the further indices of `[t in 1..T, l in 1..2]`. `places`: of
    the families that this is written out to, the place along each of the others, from 0, and how many there are."""

    index: str
    range: Range
    others: tuple[Family, ...] = ()
    places: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Axis(Family):
    """A family whose members lie along an axis of one variable. The parser makes none: see `dgmppl.graph.folding`."""


@dataclass(frozen=True)
class Indices(Node):
    """`[d]` after the name of a feature: it has a value at each position."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Type(Node):
    """`integer(0..16)[64]`: support, its arguments, shape."""

    support: str
    arguments: tuple[Expr | Range, ...]
    shape: tuple[Expr, ...]


@dataclass(frozen=True)
class Mark(Node):
    """`"?"` or `-1`, as a cell or a value of a file may be."""

    value: str | float


@dataclass(frozen=True)
class MarkRange(Node):
    """`18..65`, `18..` or `..65`: both ends belong to it."""

    low: Mark | None
    high: Mark | None


@dataclass(frozen=True)
class Condition(Node):
    """`age in 18..65`, `country in ["DE", "NA"]`: of a column."""

    column: str
    values: MarkRange | tuple[Mark, ...]


Entry = Mark | Condition


@dataclass(frozen=True)
class Reading(Node):
    """`missing = ["?", -1]`, `decimal = ","`, `where = age in 18..65`: how a file is read."""

    name: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Field(Node):
    """`digits.image`, `"mine.npz".spectra` (then `file` is true), `"table.csv"[age, height, decimal = ","]`, `"x.npy"`.

    `name` is None, `columns` and `readings` are empty where nothing of the kind is written.
    """

    dataset: str
    name: str | None
    file: bool
    columns: tuple[str, ...] = ()
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True)
class Transformed(Node):
    """`threshold(digits.image, 8)`."""

    name: str
    data: Field | Transformed
    arguments: tuple[Expr, ...]


# --- statements ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Per(Node):
    """`per data`: one for all rows. `per school`: one for each value of that column."""

    name: str


@dataclass(frozen=True)
class Variable(Named):
    role: str
    name: str
    family: Family | None
    type: Type
    elementwise: str | None  # "elementwise", where elements may be missing one by one
    per: Per | None
    data: Field | Transformed | None


@dataclass(frozen=True)
class Param(Named):
    name: str
    type: Type
    value: Expr | None


@dataclass(frozen=True)
class Const(Named):
    name: str
    value: Expr


@dataclass(frozen=True)
class Tensor(Named):
    """`const A : real[8, 8] from "a.npy"`: values that stay what they are."""

    name: str
    type: Type
    data: Field | Transformed


@dataclass(frozen=True)
class Let(Named):
    name: str
    family: Family | Indices | None
    type: Type | None
    value: Expr


@dataclass(frozen=True)
class Net(Named):
    name: str
    value: Expr


@dataclass(frozen=True)
class Flow(Named):
    """`flow NAME = bijection`, or a formula: of its argument, `flow f(u) = 2 * tanh(u)`, or of one element of that,
    `f(u[d])`, at `indices`."""

    name: str
    argument: str | None
    indices: Indices | None
    value: Expr


@dataclass(frozen=True)
class Schedule(Named):
    name: str
    family: Family | None
    value: Expr


@dataclass(frozen=True)
class Factor(Node):
    """`p(heads | parents, options) = value`; `side` is "p" or "q"."""

    side: str
    heads: tuple[Reference, ...]
    parents: tuple[Reference, ...]
    value: Expr
    options: tuple[Keyword, ...] = ()

    @property
    def head_span(self) -> Span:
        """`p(heads | parents)`."""
        return Span(self.span.start, (self.options or self.parents or self.heads)[-1].span.end + 1)


@dataclass(frozen=True)
class Definition(Node):
    """`x = floor(f(u))`: a variable that is a function of others."""

    target: Reference
    value: Expr


@dataclass(frozen=True)
class Energy(Node):
    """`E(arguments) = value`."""

    arguments: tuple[Reference, ...]
    value: Expr

    @property
    def head_span(self) -> Span:
        """`E(arguments)`."""
        return Span(self.span.start, self.arguments[-1].span.end + 1)


@dataclass(frozen=True)
class Adversary(Named):
    name: str
    arguments: tuple[Reference, ...]
    value: Expr


@dataclass(frozen=True)
class Setting(Named):
    """`epochs = 10`, or an entry of a record: `x = 0.01`, `z[t] = 0.5`."""

    name: str
    value: Expr
    subscripts: tuple[Expr | Range, ...] = ()


@dataclass(frozen=True)
class Train(Node):
    settings: tuple[Setting, ...]


Statement = (
    Variable | Param | Const | Tensor | Let | Net | Flow | Schedule | Factor | Definition | Energy | Adversary | Train
)


@dataclass(frozen=True)
class Spec(Named):
    """A whole file."""

    name: str
    statements: tuple[Statement, ...]
