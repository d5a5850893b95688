"""Values as Python expressions over tensors whose first axis is the batch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dgmppl.catalogue.functions import FUNCTIONS, STRAIGHT_THROUGH
from dgmppl.catalogue.networks import NETWORKS
from dgmppl.emit.polynomials import polynomial_source
from dgmppl.emit.writer import Writer, tuple_source
from dgmppl.graph.nodes import Graph
from dgmppl.graph.polynomial import polynomial
from dgmppl.graph.values import (
    Apply,
    Bijection,
    Block,
    Chain,
    Constant,
    Declared,
    Element,
    Image,
    IndexSum,
    Learned,
    Module,
    Operation,
    Past,
    Points,
    Use,
    Value,
    walk,
)
from dgmppl.supports import Function, Support, number_text


@dataclass(frozen=True)
class Place:
    """Where an expression is emitted. `spread`: inside a mixture's component, variables get an axis for it."""

    writer: Writer
    graph: Graph
    rename: Mapping[str, str] = field(default_factory=dict)
    spread: bool = False

    def variable(self, name: str) -> str:
        return self.rename.get(name, self.graph[name].ident)


def shape_source(shape: tuple[int, ...]) -> str:
    return tuple_source(shape)


def value_source(value: Value, place: Place) -> str:
    """The expression of a value."""
    return _EMIT[type(value)](value, place)


def _constant(value: Value, place: Place) -> str:
    assert isinstance(value, Constant)
    return number_text(value.number)


def _use(value: Value, place: Place) -> str:
    assert isinstance(value, (Use, Past))
    name = place.variable(value.variable)
    return f"{name}.unsqueeze(1)" if place.spread and value.rows else name


def _declared(value: Value, place: Place) -> str:
    assert isinstance(value, Declared)
    ident = next(p.ident for p in place.graph.parameters if p.name == value.name)
    return f"self.{ident}"


def call_source(function: Function, source: str, writer: Writer) -> str:
    """The call of a function that a support names; one of no name changes nothing."""
    return function.of(source, writer.use(function.name)) if function.name else source


def link_source(raw: str, support: Support, writer: Writer) -> str:
    """A learned value typed like a variable, kept inside the variable's support."""
    return raw if support.link is None else call_source(support.link, raw, writer)


def _learned(value: Value, place: Place) -> str:
    assert isinstance(value, Learned)
    return link_source(f"self.{value.attribute}", value.type.support, place.writer)


def _points(value: Value, place: Place) -> str:
    assert isinstance(value, Points)
    return f"self.{value.attribute}"


# --- networks ------------------------------------------------------------------------------------


def embed_source(value: Value, place: Place, sequence: bool = False) -> str:
    """How a value enters a network: as its support suggests, one vector (or one a position of a sequence)."""
    support, rank = value.type.support, len(value.shape)
    if isinstance(value, Constant):
        return f"self.like.new_tensor([{float(value.number)!r}])"
    source = value_source(value, place)
    source = call_source(support.embedding, source, place.writer)
    if support.width > 1:  # the embedding added an axis
        rank += 1
        if sequence:
            return source
    if sequence:
        return f"{tight_source(source)}.unsqueeze(-1)"
    if rank == 1:
        return source
    return f"{tight_source(source)}.unsqueeze(-1)" if rank == 0 else f"{tight_source(source)}.flatten(-{rank})"


def inputs_source(values: tuple[Value, ...], place: Place) -> str:
    """The inputs of a network as one vector."""
    parts = [embed_source(v, place) for v in values]
    return parts[0] if len(parts) == 1 else f"{place.writer.use('concat')}({', '.join(parts)})"


def _apply(value: Value, place: Place) -> str:
    assert isinstance(value, Apply)
    # Several components from one output need no axis for them in the input.
    inner = replace(place, spread=place.spread and not value.copies)
    past = next((v for v in value.inputs if isinstance(v, Past)), None)
    if past is not None:
        others = tuple(v for v in value.inputs if not isinstance(v, Past))
        arguments = [embed_source(past, inner, sequence=True)]
        arguments += [inputs_source(others, inner)] if others else []
        call = f"self.{value.module.attribute}({', '.join(arguments)})"
        rest = value.shape[1:]
        if not rest:
            return f"{call}.squeeze(-1)"
        return call if len(rest) == 1 else f"{call}.unflatten(-1, {shape_source(rest)})"
    call = f"self.{value.module.attribute}({inputs_source(value.inputs, inner)})"
    shape = (value.copies, *value.shape) if value.copies else value.shape
    if not shape:
        call = f"{call}.squeeze(-1)"
    elif len(shape) > 1:
        call = f"{call}.unflatten(-1, {shape_source(shape)})"
    return link_source(call, value.type.support, place.writer)


def module_source(module: Module, writer: Writer) -> str:
    """The constructor of a network."""
    entry = NETWORKS[module.spec.kind]
    if entry.runtime == "Linear":
        return f"nn.Linear({module.inputs}, {module.outputs})"
    arguments = [str(module.length)] if entry.needs_length else []
    arguments += [str(module.inputs), shape_source(module.spec.hidden), str(module.outputs)]
    arguments += [f"{k}={json.dumps(v)}" for k, v in module.spec.options]
    if module.context:
        arguments.append(f"context={module.context}")
    return f"{writer.use(entry.runtime)}({', '.join(arguments)})"


# --- arithmetic ----------------------------------------------------------------------------------


def tight_source(source: str) -> str:
    """In parentheses unless it binds at least as tightly as a call."""
    depth = 0
    for k, c in enumerate(source):
        depth += (c in "([") - (c in ")]")
        if depth == 0 and c in " -" and not (c == "-" and source[max(0, k - 1)] == "e"):
            return f"({source})"
    return source


def _operation(value: Value, place: Place) -> str:
    assert isinstance(value, Operation)
    rank = len(value.shape)
    if value.op == "@":
        return _matmul(value, place)
    if value.op == "sum":
        operand = value.operands[0]
        axes = ", ".join(str(-k) for k in range(len(operand.shape), 0, -1))
        source = value_source(operand, place)
        return f"{tight_source(source)}.sum(({axes},))" if operand.shape else source
    operands = value.operands
    if value.op == STRAIGHT_THROUGH:
        (rounded,) = operands
        assert isinstance(rounded, Operation)
        operands = rounded.operands
        place.writer.use("straight_through_floor")
    parts = []
    for operand in operands:
        source = value_source(operand, place)
        lift = rank - len(operand.shape)
        if lift and operand.rows:
            source = f"{tight_source(source)}[(..., {', '.join(['None'] * lift)})]"
        parts.append(source)
    if value.op == "negate":
        return f"-{tight_source(parts[0])}"
    if value.op in FUNCTIONS:
        return FUNCTIONS[value.op][0].format(f"self.like.new_tensor({parts[0]})" if value.constant else parts[0])
    op = "**" if value.op == "^" else value.op
    return f"{tight_source(parts[0])} {op} {tight_source(parts[1])}"


def _matmul(value: Operation, place: Place) -> str:
    """The last axis of the left with the first of the right; the batch axes stay in front."""
    left, right = value.operands
    a, b = tight_source(value_source(left, place)), tight_source(value_source(right, place))
    ranks = (len(left.shape), len(right.shape))
    if left.rows and right.rows and ranks == (1, 1):
        return f"({a} * {b}).sum(-1)"
    if max(ranks) > 2 or (left.rows and right.rows):
        letters = "ijklmopq"
        x = letters[: ranks[0]]
        y = x[-1] + letters[ranks[0] : ranks[0] + ranks[1] - 1]
        return f'torch.einsum("...{x},...{y}->...{x[:-1]}{y[1:]}", {a}, {b})'
    if right.rows and ranks[1] == 1:  # a batch of vectors stands on the left of a matrix
        return f"{b} @ {a}.mT" if ranks[0] == 2 else f"{b} @ {a}"
    return f"{a} @ {b}"


def _element(value: Value, place: Place) -> str:
    assert isinstance(value, Element)
    base = tight_source(value_source(value.value, place))
    picked = [value_source(i, place) if isinstance(i, Value) else str(i) for i in value.index]
    if not any(isinstance(i, Value) for i in value.index):
        return f"{base}[..., {', '.join(picked)}]"
    long = [f"{p}.long()" if isinstance(i, Value) else p for p, i in zip(picked, value.index)]
    if not value.value.rows:
        return f"{base}[{', '.join(long)}]"
    if not any(isinstance(i, Value) and i.rows for i in value.index):
        return f"{base}[..., {', '.join(long)}]"
    if len(picked) == 1:
        return f"{base}.gather(-1, {long[0]}.unsqueeze(-1)).squeeze(-1)"
    return f"{base}[torch.arange({base}.shape[0]), {', '.join(long)}]"


def _index_sum(value: Value, place: Place) -> str:
    form = polynomial(value, ())
    assert form is not None  # elaboration lets no other sum over indices pass
    return polynomial_source(form, place.graph, place.writer, place.rename)


def _image(value: Value, place: Place) -> str:
    assert isinstance(value, Image)
    return f"{bijection_source(value.bijection, place)}({value_source(value.value, place)})"


# --- bijections ----------------------------------------------------------------------------------


def bijection_source(bijection: Bijection, place: Place) -> str:
    """A bijection that the model holds, with everything by name that it is conditioned on."""
    assert isinstance(bijection, Chain)
    given: dict[str, str] = {}
    for t in (t for t in walk(bijection) if isinstance(t, Block)):
        for name, value in t.context:
            given[name] = value_source(value, place) if t.direct else embed_source(value, place)
    arguments = ", ".join(f"{name}={source}" for name, source in given.items())
    return f"self.{bijection.attribute}.given({arguments})" if given else f"self.{bijection.attribute}"


_EMIT = {
    Constant: _constant,
    Use: _use,
    Past: _use,
    Declared: _declared,
    Learned: _learned,
    Points: _points,
    Apply: _apply,
    Operation: _operation,
    Element: _element,
    IndexSum: _index_sum,
    Image: _image,
}
