"""Names in scope while a spec is elaborated, and the numbers that its constants stand for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from dgmppl.catalogue.bijections import BIJECTIONS
from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.catalogue.functions import AXES, FUNCTIONS
from dgmppl.catalogue.networks import NETWORKS
from dgmppl.diagnostics import Diagnostic, Note, did_you_mean
from dgmppl.graph.names import ATTRIBUTES, declared_name, identifier, methods_of, safe_attribute, safe_local
from dgmppl.graph.nodes import Adversary, Fixed, Parameter, Schedule, Variable
from dgmppl.graph.values import At, Bijection, Feature, Module, NetworkSpec, Use, Value
from dgmppl.source import Source, Span
from dgmppl.supports import Type
from dgmppl.syntax import tree

if TYPE_CHECKING:
    from dgmppl.graph.outline import Outline

# Largest family and largest tensor that a model may ask for; far above what a machine would hold.
MAX_MEMBERS = 1000
MAX_LENGTH = 100_000  # of a family that is folded, and of a schedule
MAX_ELEMENTS = 10**9

# Models compute in single precision.
LARGEST = 3.4e38
SMALLEST = 1.2e-38

RESERVED = frozenset(
    {"p", "q", "E", "sum", "param", "uniform", "mixture", "residual", "grid", "quantize", "inverse", "reversible"}
    | {"round", "integrate", "Delta"}
)
KINDS = frozenset({*DISTRIBUTIONS, *NETWORKS, *BIJECTIONS, *FUNCTIONS, *AXES})


class Fail(Exception):
    """Abandons the statement at hand, its mistake having been reported: one mistake, one message."""


@dataclass
class VariableFamily:
    """The members of `z[t in 1..T]` by index."""

    name: str
    index: str
    members: dict[int, Variable] = field(default_factory=dict)

    def member(self, name: str) -> Variable | None:
        """The member of this name, `z[3]`."""
        number = name.removeprefix(f"{self.name}[").removesuffix("]")
        found = self.members.get(int(number)) if number.isdecimal() else None
        return found if found is not None and found.name == name else None


@dataclass
class NamedNet:
    """A network with a name. `weights` are what is random of one that has a prior, p(f) = ...: all its weights as one
    vector, whose size is known once the network is used."""

    specs: tuple[NetworkSpec, ...]
    span: Span
    module: Module | None = None
    weights: Variable | None = None


@dataclass
class NamedFlow:
    statement: tree.Flow
    entered: bool = False  # it is being read
    failed: bool = False  # ... which came to a message
    outline: Outline | None = None
    sized: bool = False  # its shapes are known, from its first use
    bijection: Bijection | None = None


@dataclass
class IndexedFeature:
    """`let h[d] : real[64] = ...`, whose value is worked out where it is first needed."""

    statement: tree.Let
    indices: tuple[str, ...]
    ident: str
    type: Type
    members: range | None = None  # of `h[t in 1..T]`: how far its index goes
    entered: bool = False  # its value is being worked out
    failed: bool = False  # ... which came to a message
    value: Feature | None = None
    whole: Variable | None = None  # its values at all positions, where something reads them together


@dataclass
class Tie:
    """A member of a latent family that is another `variable`, by its statement; `own`: a factor of p is about that
    variable alone."""

    variable: str
    statement: tree.Definition
    own: bool = False


Binding = float | Variable | VariableFamily | Parameter | NamedNet | NamedFlow | IndexedFeature | Adversary
_WHAT = {
    float: "a constant",
    Variable: "a variable",
    VariableFamily: "a family of variables",
    Parameter: "a parameter",
    Fixed: "a fixed tensor",
    Schedule: "a schedule",
    NamedNet: "a network",
    NamedFlow: "a flow",
    IndexedFeature: "a feature with a value at each position",
    Adversary: "an adversary",
}


def _kind(binding: Binding) -> object:
    """What a name was declared as, as far as its uses can tell."""
    return (binding.role, binding.type) if isinstance(binding, Variable) else type(binding)


def describe_binding(binding: Binding) -> str:
    return _WHAT[type(binding)]


class Scope:
    """What the names of one spec mean, and the mistakes found so far."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.diagnostics: list[Diagnostic] = []
        self.names: dict[str, Binding] = {}
        self.places: dict[str, Span] = {}
        self.poisoned: set[str] = set()  # declared by a statement that failed
        self.ambiguous: set[str] = set()  # declared twice, as different things
        self.idents: set[str] = set()
        self.attributes: set[str] = set(ATTRIBUTES)
        self.shared: dict[object, Module] = {}
        self.contexts: dict[str, tuple[Value, str]] = {}
        self.read: set[str] = set()  # schedules of which a number is read
        self.ties: dict[str, dict[int, Tie]] = {}  # members of families that are other variables
        self.declared: dict[str, range] = {}  # the index of each family, with members that are other variables

    # --- mistakes --------------------------------------------------------------------------------

    def report(
        self,
        code: str,
        headline: str,
        span: Span,
        label: str = "",
        *,
        notes: tuple[Note, ...] = (),
        help: str = "",
        severity: str = "error",
    ) -> None:
        self.diagnostics.append(Diagnostic(code, headline, span, label, notes, help, severity))

    def fail(
        self,
        code: str,
        headline: str,
        span: Span,
        label: str = "",
        *,
        notes: tuple[Note, ...] = (),
        help: str = "",
    ) -> NoReturn:
        self.report(code, headline, span, label, notes=notes, help=help)
        raise Fail

    @contextmanager
    def statement(self, *declares: str) -> Iterator[None]:
        """Ends a failed statement quietly; what it would have declared then causes no further message."""
        try:
            yield
        except Fail:
            self.poisoned.update(name for name in declares if name not in self.names)

    # --- names -----------------------------------------------------------------------------------

    def declare(self, name: str, binding: Binding, span: Span) -> None:
        """Adds a name. Reports a name that is taken or reserved (E202, E217)."""
        if name in RESERVED or name in KINDS:
            self.fail(
                "E217",
                f"`{name}` is a word of the language",
                span,
                "cannot be declared",
                help="choose another name",
            )
        if name in self.names:
            if _kind(self.names[name]) != _kind(binding):
                self.ambiguous.add(name)
            self.fail(
                "E202",
                f"`{name}` is declared twice",
                span,
                "declared again",
                notes=(Note(self.places[name], "first declared here"),),
                help="rename one of the two",
            )
        self.names[name] = binding
        self.places[name] = span

    def lookup(self, name: str, span: Span, wanted: str = "name") -> Binding:
        """What a name means. Reports an unknown one (E201) with the nearest known."""
        if name in self.ambiguous:
            raise Fail
        if name in self.names:
            return self.names[name]
        if name in self.poisoned or declared_name(name) in self.poisoned:
            raise Fail
        if name in KINDS:
            help_ = did_you_mean(name, self.names, f"write a {wanted} that is declared")
            self.fail("E217", f"`{name}` is a kind, not a value", span, f"a {wanted} is needed here", help=help_)
        order = ", above the constants that need it" if wanted == "constant" else ""
        self.fail(
            "E201",
            f"unknown {wanted} `{name}`",
            span,
            "not declared",
            help=did_you_mean(name, self.names, f"declare `{name}`{order}"),
        )

    def ident(self, name: str) -> str:
        """A Python identifier for a name, unlike every other one given out."""
        ident = safe_local(identifier(name))
        while ident in self.idents or methods_of(ident) & self.attributes:
            ident += "_"
        self.idents.add(ident)
        self.attributes |= methods_of(ident)
        return ident

    def attribute(self, name: str, own: bool = False) -> str:
        """A name for something the model holds, unlike every other one given out. `own`: the spec's own name."""
        name = safe_attribute(name) if own else name
        candidate, k = name, 2
        while candidate in self.attributes:
            candidate, k = f"{name}_{k}", k + 1
        self.attributes.add(candidate)
        return candidate

    def context_name(self, value: Value, form: str) -> str:
        """The name by which bijections take a value in one form, the same wherever it conditions one so: a variable's
        own, else `context`. A value that is read in several forms has a name for each: as it is ("value"), or embedded
        for a network, as a "vector" or position by position ("grid")."""
        read = value.value if isinstance(value, At) else value
        variable = self.variable(read.variable) if isinstance(read, Use) else None
        base = variable.ident if variable is not None else "context"
        candidate, k = base, 2
        while self.contexts.setdefault(candidate, (value, form)) != (value, form):
            candidate, k = f"{base}_{k}", k + 1
        return candidate

    def variable(self, name: str) -> Variable | None:
        """The variable that the graph has by this name, be it a member of a family."""
        own = self.names.get(name.partition("[")[0])
        own = own.member(name) if isinstance(own, VariableFamily) else own
        if isinstance(own, Variable) and own.name == name:
            return own
        for binding in self.names.values():
            members = binding.members.values() if isinstance(binding, VariableFamily) else (binding,)
            found = next((v for v in members if isinstance(v, Variable) and v.name == name), None)
            if found is not None:
                return found
        return None

    def member_type(self, name: str) -> Type | None:
        """The type of a member of a family."""
        binding = self.names.get(name)
        if isinstance(binding, VariableFamily):
            return next((v.type for v in binding.members.values()), None)
        return binding.element if isinstance(binding, Variable) and binding.along is not None else None

    # --- numbers ---------------------------------------------------------------------------------

    def known_number(self, expr: object) -> float | None:
        """The number that an expression of constants stands for; None where it is none, which is not reported."""
        count = len(self.diagnostics)
        try:
            return float(self.number(expr, {})) if isinstance(expr, tree.Expr) else None
        except Fail:
            del self.diagnostics[count:]
            return None

    def number(self, expr: tree.Expr, env: Mapping[str, int], wanted: str = "a number") -> float:
        """The number that a constant expression stands for. Reports what is none (E210)."""
        value = self._number(expr, env, wanted)
        return self.representable(value, expr.span)

    def representable(self, value: float, span: Span) -> float:
        """The number, if single precision has it: models compute in that. Reports one that is too large (E210)."""
        if not abs(value) <= LARGEST:
            self.fail("E210", f"numbers go up to {LARGEST:.1e} in single precision", span, f"this is {value:g}")
        return value

    def _number(self, expr: tree.Expr, env: Mapping[str, int], wanted: str) -> float:
        if isinstance(expr, tree.Number):
            return expr.value
        if isinstance(expr, tree.Negate):
            return -self._number(expr.operand, env, wanted)
        if isinstance(expr, tree.Name):
            if expr.name in env:
                return float(env[expr.name])
            binding = self.lookup(expr.name, expr.span, "constant")
            if isinstance(binding, float):
                return binding
            self.fail(
                "E210",
                f"{wanted} is expected, `{expr.name}` is {describe_binding(binding)}",
                expr.span,
                "not a constant",
                notes=(Note(self.places[expr.name], "declared here"),),
            )
        if isinstance(expr, tree.Binary) and expr.op in _ARITHMETIC:
            left, right = self._number(expr.left, env, wanted), self._number(expr.right, env, wanted)
            return self.arithmetic(expr, left, right)
        self.fail("E210", f"{wanted} is expected", expr.span, "not a number known at build time")

    def arithmetic(self, expr: tree.Binary, left: float, right: float) -> float:
        """The result of an operation on two numbers. Reports one that has none (E210)."""
        try:
            result = float(_ARITHMETIC[expr.op](left, right))
        except (ZeroDivisionError, OverflowError, TypeError):
            result = math.nan
        if not math.isfinite(result):
            self.fail("E210", "this arithmetic has no result", expr.span, f"{left:g} {expr.op} {right:g}")
        return result

    def integer(self, expr: tree.Expr, env: Mapping[str, int], wanted: str, low: int | None = None) -> int:
        """A whole number, at least `low`. Reports what is none (E210)."""
        value = self.number(expr, env, wanted)
        if not value.is_integer() or (low is not None and value < low):
            least = "" if low is None else f" of at least {low}"
            self.fail("E210", f"{wanted} is a whole number{least}", expr.span, f"this is {value:g}")
        if abs(value) > 1e15:
            self.fail("E216", f"{wanted} is too large", expr.span, f"this is {value:g}")
        return int(value)


_ARITHMETIC = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "^": lambda a, b: a**b,
}
