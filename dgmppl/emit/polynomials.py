"""Sums of products of tensors as source: matrix products where they read well, einsum otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from dgmppl.emit.expr import Attribute, Binary, Expr, Name, Number, Text, Tuple, call, negative, sizes
from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Graph
from dgmppl.graph.polynomial import VALUES, Monomial, Polynomial

_LETTERS = "ijklmopqrstuvwxyzabcdefgh"  # n is the batch


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


def _monomial(
    m: Monomial, free: tuple[str, ...], graph: Graph, writer: Writer, names: Mapping[str, str]
) -> Expr | None:
    """The product of the tensors; None where there are none."""
    tensors: Tensors = []
    for kind, name, indices in m.factors:
        if kind == "param":
            tensor: Expr = Name("self." + next(p.ident for p in graph.parameters if p.name == name))
        elif kind == "ones":
            tensor = call("self.like.new_ones", sizes(graph[name].type.shape))
        else:
            tensor = Name(names.get(name, graph[name].ident))
        if kind == "category":
            tensor = call(writer.use("one_hot"), tensor, graph[name].type.support.size or 0)
        tensors.append(("variable" if kind in VALUES and graph[name].rows else "param", tensor, indices))
    return (_product(tensors, free) or _einsum(tensors, free)) if tensors else None


Tensors = list[tuple[str, Expr, tuple[str, ...]]]


def _product(tensors: Tensors, free: tuple[str, ...]) -> Expr | None:
    """The cases that a person writes with `@` and `*`: vectors, and one matrix between them."""
    variables = [t for t in tensors if t[0] == "variable"]
    params = [t for t in tensors if t[0] == "param"]
    if any(len(set(t[2])) != len(t[2]) for t in tensors):
        return None
    if len(tensors) == 1:
        name, indices = tensors[0][1:]
        if indices == free:
            return name
        if not free and len(indices) == 1:
            return name.call("sum", -1)
        return None
    if len(variables) > 2 or len(params) > 1 or any(len(t[2]) != 1 for t in variables):
        return None
    if len(params) == 1 and len(params[0][2]) == 1 and len(variables) == 1 and not free:
        return Binary("@", variables[0][1], params[0][1]) if variables[0][2] == params[0][2] else None
    if len(params) == 1 and len(params[0][2]) == 2:
        matrix, (row, column) = params[0][1], params[0][2]
        if len(variables) == 1 and len(free) == 1:
            (index,) = variables[0][2]
            if (index, free[0]) == (row, column):
                return Binary("@", variables[0][1], matrix)
            return Binary("@", variables[0][1], Attribute(matrix, "T")) if (index, free[0]) == (column, row) else None
        if len(variables) == 2 and not free:
            by_index = {t[2][0]: t[1] for t in variables}
            if set(by_index) == {row, column}:
                return Binary("*", Binary("@", by_index[row], matrix), by_index[column]).call("sum", -1)
    return None


def _einsum(tensors: Tensors, free: tuple[str, ...]) -> Expr:
    used: dict[str, str] = {}
    for _, _, indices in tensors:
        for i in indices:
            used.setdefault(i, _LETTERS[len(used)])
    for i in free:
        used.setdefault(i, _LETTERS[len(used)])
    inputs = ["".join([*(["n"] if kind == "variable" else []), *(used[i] for i in idx)]) for kind, _, idx in tensors]
    has_batch = any(kind == "variable" for kind, _, _ in tensors)
    out = ("n" if has_batch else "") + "".join(used[i] for i in free)
    return call("torch.einsum", Text(f"{','.join(inputs)}->{out}"), *(t[1] for t in tensors))
