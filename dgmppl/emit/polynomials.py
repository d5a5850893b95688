"""Sums of products of tensors as source: matrix products where they read well, einsum otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dgmppl.emit.expr import Attribute, Binary, Expr, Name, Number, Text, Tuple, call, negative, sizes
from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Graph
from dgmppl.graph.polynomial import Monomial, Polynomial, Window

_LETTERS = "ijklmopqrstuvwxyzabcdefghABCDEFGHIJKLMNOPQRSTUVWXYZ"  # n is the batch


def polynomial_source(form: Polynomial, graph: Graph, writer: Writer) -> str:
    """The source of a polynomial."""
    return str(polynomial_expr(form, graph, writer))


def polynomial_expr(form: Polynomial, graph: Graph, writer: Writer, rename: Mapping[str, str] | None = None) -> Expr:
    """The expression of a polynomial: shape (n, *free axes), or the free axes alone where it reads no variable."""
    total: Expr | None = None
    for monomial in form.terms:
        c = monomial.coefficient
        term = _scaled(abs(c), _monomial(monomial, form.free, graph, writer, rename or {}))
        signed = negative(term) if c < 0 else term
        total = signed if total is None else Binary("-" if c < 0 else "+", total, term)
    return total or call("self.like.new_zeros", Tuple(()))


def _scaled(number: float, body: Expr | None) -> Expr:
    """A multiple; of a product its first factor: `2 * a @ b`."""
    if body is None:
        return Number(number)
    if number == 1:
        return body
    if isinstance(body, Binary):
        return Binary(body.op, _scaled(number, body.left), body.right)
    return Binary("*", Number(number), body)


@dataclass(frozen=True)
class _Tensor:
    """A factor of a product, with a letter for each of its axes. The batch is before them where it has `rows`."""

    expr: Expr
    letters: tuple[str, ...]
    rows: bool = False

    def read(self, window: Window) -> _Tensor:
        """What of it a window shows: a slice of an axis, or an element."""
        if window.axis not in self.letters:
            return self
        item = _slice(window.start, window.count, window.size) if window.index else str(window.start)
        items = [item if letter == window.axis else ":" for letter in self.letters]
        while items[-1] == ":":
            items.pop()
        named = (window.index if letter == window.axis else letter for letter in self.letters)
        letters = tuple(letter for letter in named if letter)
        return replace(self, expr=self.expr[(":", *items) if self.rows else items], letters=letters)


def _slice(start: int, count: int, size: int) -> str:
    """`1:7`, or `1:` to the end of an axis."""
    return f"{start or ''}:{start + count if start + count < size else ''}"


def _monomial(
    m: Monomial, free: tuple[str, ...], graph: Graph, writer: Writer, names: Mapping[str, str]
) -> Expr | None:
    """The product of the tensors; None where there are none."""
    tensors = [_tensor(factor, graph, writer, names) for factor in m.factors]
    for window in m.windows:
        others = {letter for w in m.windows if w != window for letter in (w.axis, w.index)}
        if window.axis in free or window.axis in others:
            tensors.append(_indicator(window))
        else:
            tensors = [tensor.read(window) for tensor in tensors]
    return (_product(tensors, free) or _einsum(tensors, free)) if tensors else None


def _tensor(
    factor: tuple[str, str, tuple[str, ...]], graph: Graph, writer: Writer, names: Mapping[str, str]
) -> _Tensor:
    kind, name, letters = factor
    if kind == "param":
        return _Tensor(Name("self." + next(p.ident for p in graph.parameters if p.name == name)), letters)
    type_ = graph[name].type
    values = type_.support.positions or 0
    if kind == "ones":
        shape = (*type_.shape, values) if len(letters) > len(type_.shape) else type_.shape
        return _Tensor(call("self.like.new_ones", sizes(shape)), letters)
    found: Expr = Name(names.get(name, graph[name].ident))
    if kind == "category":
        found = call(writer.use("one_hot"), found, values)
    return _Tensor(found, letters, graph[name].rows)


def _indicator(window: Window) -> _Tensor:
    """A window as the tensor that it is in a product: rows of the identity."""
    identity = call("torch.eye", window.size).call("to", Name("self.like"))
    if not window.index:
        return _Tensor(identity[[window.start]], (window.axis,))
    item = _slice(window.start, window.count, window.size)
    return _Tensor(identity if item == ":" else identity[[item]], (window.index, window.axis))


def _product(tensors: list[_Tensor], free: tuple[str, ...]) -> Expr | None:
    """The cases that a person writes with `@` and `*`: vectors, and one matrix between them."""
    variables = [t for t in tensors if t.rows]
    params = [t for t in tensors if not t.rows]
    if any(len(set(t.letters)) != len(t.letters) for t in tensors):
        return None
    if len(tensors) == 1:
        (only,) = tensors
        if only.letters == free:
            return only.expr
        if not free and len(only.letters) == 1:
            return only.expr.call("sum", -1)
        return None
    if len(tensors) == 2 and not free and not any(t.letters for t in tensors):
        return Binary("*", tensors[0].expr, tensors[1].expr)
    if len(variables) > 2 or len(params) > 1 or any(len(t.letters) != 1 for t in variables):
        return None
    if len(variables) == 2 and not params and not free and variables[0].letters == variables[1].letters:
        return Binary("*", variables[0].expr, variables[1].expr).call("sum", -1)
    if len(params) == 1 and len(params[0].letters) == 1 and len(variables) == 1 and not free:
        same = variables[0].letters == params[0].letters
        return Binary("@", variables[0].expr, params[0].expr) if same else None
    if len(params) == 1 and len(params[0].letters) == 2:
        matrix, (row, column) = params[0].expr, params[0].letters
        if len(variables) == 1 and len(free) == 1:
            (index,) = variables[0].letters
            if (index, free[0]) == (row, column):
                return Binary("@", variables[0].expr, matrix)
            turned = Binary("@", variables[0].expr, Attribute(matrix, "T"))
            return turned if (index, free[0]) == (column, row) else None
        if len(variables) == 2 and not free:
            by_index = {t.letters[0]: t.expr for t in variables}
            if set(by_index) == {row, column}:
                return Binary("*", Binary("@", by_index[row], matrix), by_index[column]).call("sum", -1)
    return None


def _einsum(tensors: list[_Tensor], free: tuple[str, ...]) -> Expr:
    used: dict[str, str] = {}
    for letter in (letter for letters in (*(t.letters for t in tensors), free) for letter in letters):
        used.setdefault(letter, _LETTERS[len(used)])
    inputs = ["n" * t.rows + "".join(used[i] for i in t.letters) for t in tensors]
    out = "n" * any(t.rows for t in tensors) + "".join(used[i] for i in free)
    return call("torch.einsum", Text(f"{','.join(inputs)}->{out}"), *(t.expr for t in tensors))
