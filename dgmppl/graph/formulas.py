"""Bijections that a formula writes: `exp(2 * z + b)` is a bijection of z, `W @ s` one of s, `f(z, g(u))` one of z and
u together, and `x + density` a density moved by x."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dgmppl.catalogue.bijections import BIJECTIONS, FIXED_AFFINE, MATRIX, SCALE, SHIFT
from dgmppl.graph.bijections import codomain
from dgmppl.graph.nodes import Definition, Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.steps import by_value, is_positive
from dgmppl.graph.values import (
    Block,
    Composition,
    Constant,
    Inverse,
    Joined,
    Mapped,
    Operation,
    Reshaped,
    Use,
    Value,
    variables,
)
from dgmppl.source import Span
from dgmppl.supports import POSITIVE, REAL, Support, Type

INVERSES = {"log": "exp"}  # functions that are inverses of bijections of the catalogue


def with_bijections(scope: Scope, graph: Graph) -> Graph:
    """The graph in which definitions have what can be inverted in them as bijections: `floor(exp(2 * z) + 1)` rounds a
    chain of three elementwise ones, of the latent z."""

    def changed(definition: Definition) -> Definition:
        variable = graph[definition.variable]
        if variable.role == "let":
            return definition
        return replace(definition, value=_Reader(scope, graph, variable.ident).rounded(definition.value))

    return replace(graph, definitions=tuple(map(changed, graph.definitions)))


@dataclass(frozen=True)
class _Chain:
    """Bijections of a core (a flow's image, a latent, or several side by side), and the support that they map it to."""

    core: Value
    support: Support
    blocks: tuple[Block | Inverse, ...] = ()

    def then(self, block: Block | Inverse) -> _Chain:
        return replace(self, blocks=(*self.blocks, block), support=codomain(block, self.support))

    def affine(self, span: Span, scale: float, shift: float) -> _Chain | None:
        """`scale v + shift`, as one bijection with the one before where that is of this kind."""
        if not scale:
            return None
        chain, last = self, self.blocks[-1] if self.blocks else None
        if isinstance(last, Block) and last.kind == FIXED_AFFINE:
            before = {"scale": 1.0, "shift": 0.0, **dict(last.numbers)}
            scale, shift = scale * before["scale"], shift + scale * before["shift"]
            chain = _Chain(self.core, self.core.type.support)
            for block in self.blocks[:-1]:
                chain = chain.then(block)
        if (scale, shift) == (1.0, 0.0):
            return chain
        numbers = (("scale", scale),) if not shift else (("scale", scale), ("shift", shift))
        return chain.then(Block(span, FIXED_AFFINE, self.core.shape, numbers=numbers))


@dataclass(frozen=True)
class _Reader:
    """Reads formulas of a graph's latents. What the model holds for them is named after `hint`."""

    scope: Scope
    graph: Graph
    hint: str

    def rounded(self, value: Value) -> Value:
        """A value with what can be inverted in it as bijections, inside `floor(...)` too."""
        if isinstance(value, Operation) and value.op == "floor":
            inner = self.rounded(value.operands[0])
            support = inner.type.support.floored()
            return replace(value, type=Type(support, value.shape), operands=(inner,))
        return self.mapped(value) or value

    def mapped(self, value: Value) -> Value | None:
        """A formula as the image of its core under a bijection; None where it is none."""
        found = self.chain(value)
        if found is None or found.core.shape != value.shape:
            return None
        if not found.blocks:
            return found.core
        name = "scale" if all(isinstance(b, Block) and b.kind == FIXED_AFFINE for b in found.blocks) else "map"
        chain = Composition(value.span, self.scope.attribute(f"{self.hint}_{name}"), found.blocks)
        return Mapped(Type(found.support, value.shape), value.span, chain, found.core)

    def core(self, value: Value) -> Value | None:
        """What a chain starts from: a flow's image, a latent, or parts side by side that are bijections each."""
        if isinstance(value, Mapped):
            return replace(value, value=self.mapped(value.value) or value.value)
        if isinstance(value, Use):
            variable = self.graph[value.variable]
            own = variable.role == "latent" and not variable.shared
            return value if own and not variable.type.support.discrete else None
        if isinstance(value, Reshaped):
            inner = self.mapped(value.value)
            return None if inner is None else replace(value, value=inner)
        if isinstance(value, Joined) and not value.stacked:
            parts = [self.mapped(part) for part in value.parts if part.type.support == value.type.support]
            found = tuple(part for part in parts if part is not None)
            return replace(value, parts=found) if len(found) == len(value.parts) else None
        return None

    def chain(self, value: Value) -> _Chain | None:
        """The bijections that a value is made of, the first one innermost."""
        core = self.core(value)
        if core is not None:
            return _Chain(core, core.type.support)
        if not isinstance(value, Operation):
            return None
        if len(value.operands) == 1:
            return self._function(value)
        if value.op == "@":
            return self._matrix(value)
        if value.op not in ("+", "-", "*", "/"):
            return None
        left, right = (self.chain(operand) for operand in value.operands)
        if (left is None) == (right is None):
            return None
        if left is not None:
            return self._by(left, value.op, value.operands[1], value.span)
        assert right is not None
        if value.op == "/":
            return None
        negated = right.affine(value.span, -1.0, 0.0) if value.op == "-" else right
        op = "+" if value.op == "-" else value.op
        return None if negated is None else self._by(negated, op, value.operands[0], value.span)

    def _function(self, value: Operation) -> _Chain | None:
        inner = self.chain(value.operands[0])
        if inner is None:
            return None
        if value.op == "negate":
            return inner.affine(value.span, -1.0, 0.0)
        if value.op in INVERSES and inner.support == BIJECTIONS[INVERSES[value.op]].codomain:
            return inner.then(Inverse(value.span, Block(value.span, INVERSES[value.op], value.shape)))
        entry = BIJECTIONS.get(value.op)
        if entry is None or not entry.elementwise or inner.support != entry.domain:
            return None
        return inner.then(Block(value.span, entry.name, value.shape))

    def _by(self, chain: _Chain, op: str, by: Value, span: Span) -> _Chain | None:
        """`chain op by`, where that is a bijection: numbers scale and shift, and so do values that are known without
        it."""
        if isinstance(by, Constant):
            if op in "+-":
                return chain.affine(span, 1.0, by.number if op == "+" else -by.number)
            factor = by.number if op == "*" else (1 / by.number if by.number else 0.0)
            return chain.affine(span, factor, 0.0)
        shape = chain.core.shape
        if by.shape != shape or not self._apart(by, chain):
            return None
        if op in "+-" and chain.support == REAL:
            by = by if op == "+" else Operation(Type(REAL, shape), by.span, "negate", (by,))
            return chain.then(by_value(self.scope, SHIFT, by, shape, span))
        if op == "*" and chain.support in (REAL, POSITIVE) and is_positive(by):
            return chain.then(by_value(self.scope, SCALE, by, shape, span))
        return None

    def _matrix(self, value: Operation) -> _Chain | None:
        """`W @ v` and `v @ W` for a square matrix: a bijection wherever its determinant is not 0."""
        for matrix, vector in (value.operands, value.operands[::-1]):
            chain = self.chain(vector)
            if chain is None or chain.support != REAL or matrix.shape != (*vector.shape, *vector.shape):
                continue
            if not self._apart(matrix, chain):
                continue
            block = by_value(self.scope, MATRIX, matrix, vector.shape, value.span)
            return chain.then(replace(block, numbers=(("transposed", 1.0),)) if matrix is value.operands[1] else block)
        return None

    def _apart(self, value: Value, chain: _Chain) -> bool:
        """Whether a value is known without what the chain maps."""
        return not set(self.graph.roots(variables(value))) & set(self.graph.roots(variables(chain.core)))


def shift_by(scope: Scope, value: Value, shape: tuple[int, ...], span: Span, hint: str) -> Composition:
    """The bijection `v + value` of tensors of a shape."""
    if isinstance(value, Constant):
        block = Block(span, FIXED_AFFINE, shape, numbers=(("shift", value.number),))
    else:
        block = by_value(scope, SHIFT, value, shape, span)
    return Composition(span, scope.attribute(f"{hint}_shift"), (block,))
