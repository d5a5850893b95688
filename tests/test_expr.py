"""Emitted expressions against Python's own parser: what is printed parses to the tree that was built, and `ast`
would print it with the same parentheses."""

from __future__ import annotations

import ast

from hypothesis import given, settings
from hypothesis import strategies as st

from dgmppl.emit.expr import Attribute, Binary, Call, Expr, Index, Name, Negative, Number, Text, Tuple, negative

OPERATORS = {"+": ast.Add, "-": ast.Sub, "*": ast.Mult, "/": ast.Div, "@": ast.MatMult, "**": ast.Pow}
LEAVES = st.sampled_from([Name("x"), Name("self.W"), Number(2), Number(-1.5), Number(3, real=True), Text("i,j->")])


def grown(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    return st.one_of(
        st.builds(Binary, st.sampled_from(sorted(OPERATORS)), inner, inner),
        st.builds(Negative, inner),
        st.builds(Attribute, inner, st.just("mT")),
        st.builds(lambda f, a: Call(f, (a,), (("dim", a),)), inner, inner),
        st.builds(lambda v, i: Index(v, (Name("..."), i)), inner, inner),
        st.builds(lambda a: Tuple((a,)), inner),
    )


def built(e: Expr) -> ast.expr:
    """The same expression as Python's tree, by the meaning of each class."""
    load = ast.Load()
    if isinstance(e, Binary):
        return ast.BinOp(built(e.left), OPERATORS[e.op](), built(e.right))
    if isinstance(e, Negative):
        return ast.UnaryOp(ast.USub(), built(e.value))
    if isinstance(e, Attribute):
        return ast.Attribute(built(e.value), e.name, load)
    if isinstance(e, Call):
        return ast.Call(
            built(e.function), [built(a) for a in e.arguments], [ast.keyword(n, built(v)) for n, v in e.named]
        )
    if isinstance(e, Index):
        return ast.Subscript(built(e.value), ast.Tuple([built(i) for i in e.items], load), load)
    if isinstance(e, Tuple):
        return ast.Tuple([built(p) for p in e.parts], load)
    return ast.parse(str(e), mode="eval").body


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.recursive(LEAVES, grown, max_leaves=8))
def test_what_is_printed_is_what_was_built(e: Expr) -> None:
    parsed = ast.parse(str(e), mode="eval").body
    assert ast.dump(parsed) == ast.dump(built(e))


def test_parentheses_stand_where_they_are_needed() -> None:
    a, b, c = Name("a"), Name("b"), Name("c")
    assert str(Binary("*", Binary("+", a, b), c)) == "(a + b) * c"
    assert str(Binary("-", Binary("-", a, b), c)) == "a - b - c"
    assert str(Binary("-", a, Binary("-", b, c))) == "a - (b - c)"
    assert str(Binary("@", a, b).call("sum", -1)) == "(a @ b).sum(-1)"
    assert str(negative(Binary("@", a, b))) == "-a @ b"
    assert str(Negative(Binary("@", a, b))) == "-(a @ b)"
    assert str(Binary("**", Negative(a), Number(2))) == "(-a) ** 2"
    assert str(Number(-2).call("exp")) == "(-2).exp()"
    assert str(a.lifted(2)) == "a[..., None, None]"
