"""Sums of products of tensors as source: matrix products where they read well, einsum otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Graph
from dgmppl.graph.polynomial import VALUES, Monomial, Polynomial
from dgmppl.supports import number_text

_LETTERS = "ijklmopqrstuvwxyzabcdefgh"  # n is the batch


def polynomial_source(form: Polynomial, graph: Graph, writer: Writer, rename: Mapping[str, str] | None = None) -> str:
    """The expression of a polynomial: shape (n, *free axes), or the free axes alone where it reads no variable."""
    if not form.terms:
        return "self.like.new_zeros(())"
    names = rename or {}
    parts: list[str] = []
    for monomial in form.terms:
        c = monomial.coefficient
        body = _monomial(monomial, form.free, graph, writer, names)
        size = "" if abs(c) == 1 or not body else f"{number_text(abs(c))} * "
        text = f"{size}{body}" if body else number_text(abs(c))
        sign = "-" if c < 0 else "+"
        parts.append((f"-{text}" if c < 0 else text) if not parts else f"{sign} {text}")
    return " ".join(parts)


def _monomial(m: Monomial, free: tuple[str, ...], graph: Graph, writer: Writer, names: Mapping[str, str]) -> str:
    tensors: Tensors = []
    for kind, name, indices in m.factors:
        if kind == "param":
            source = "self." + next(p.ident for p in graph.parameters if p.name == name)
        elif kind == "ones":
            shape = graph[name].type.shape
            source = f"self.like.new_ones(({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''}))"
        else:
            source = names.get(name, graph[name].ident)
        if kind == "category":
            source = f"{writer.use('one_hot')}({source}, {graph[name].type.support.size})"
        tensors.append(("variable" if kind in VALUES and graph[name].rows else "param", source, indices))
    if not tensors:
        return ""
    return _product(tensors, free) or _einsum(tensors, free)


Tensors = list[tuple[str, str, tuple[str, ...]]]


def _product(tensors: Tensors, free: tuple[str, ...]) -> str | None:
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
            return f"{name}.sum(-1)"
        return None
    if len(variables) > 2 or len(params) > 1 or any(len(t[2]) != 1 for t in variables):
        return None
    if len(params) == 1 and len(params[0][2]) == 1 and len(variables) == 1 and not free:
        return f"{variables[0][1]} @ {params[0][1]}" if variables[0][2] == params[0][2] else None
    if len(params) == 1 and len(params[0][2]) == 2:
        matrix, (row, column) = params[0][1], params[0][2]
        if len(variables) == 1 and len(free) == 1:
            (index,) = variables[0][2]
            if (index, free[0]) == (row, column):
                return f"{variables[0][1]} @ {matrix}"
            return f"{variables[0][1]} @ {matrix}.T" if (index, free[0]) == (column, row) else None
        if len(variables) == 2 and not free:
            by_index = {t[2][0]: t[1] for t in variables}
            if set(by_index) == {row, column}:
                return f"(({by_index[row]} @ {matrix}) * {by_index[column]}).sum(-1)"
    return None


def _einsum(tensors: Tensors, free: tuple[str, ...]) -> str:
    used: dict[str, str] = {}
    for _, _, indices in tensors:
        for i in indices:
            used.setdefault(i, _LETTERS[len(used)])
    for i in free:
        used.setdefault(i, _LETTERS[len(used)])
    inputs = ["".join([*(["n"] if kind == "variable" else []), *(used[i] for i in idx)]) for kind, _, idx in tensors]
    has_batch = any(kind == "variable" for kind, _, _ in tensors)
    out = ("n" if has_batch else "") + "".join(used[i] for i in free)
    return f'torch.einsum("{",".join(inputs)}->{out}", {", ".join(t[1] for t in tensors)})'
