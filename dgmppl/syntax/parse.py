"""Text to syntax tree. Only shapes it: nothing is checked here that the grammar does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, v_args
from lark.exceptions import VisitError
from lark.tree import Meta
from lark.visitors import Transformer_NonRecursive

from dgmppl.diagnostics import Diagnostic
from dgmppl.source import Source, Span
from dgmppl.syntax import tree
from dgmppl.syntax.limits import verify_depth, verify_size
from dgmppl.syntax.messages import describe_syntax_error
from dgmppl.syntax.scan import PAIRS, Failure, balance, scan

MAX_ERRORS = 100
_MODEL = re.compile(r"model\b")

# The file lies beside the package in a checkout and inside it once installed.
_PLACES = (
    Path(__file__).parents[1] / "grammar" / "dgm.lark",
    Path(__file__).parents[2] / "grammar" / "dgm.lark",
)


@cache
def grammar() -> Lark:
    """The LALR(1) parser of `grammar/dgm.lark`."""
    text = next(p for p in _PLACES if p.is_file()).read_text(encoding="utf-8")
    return Lark(text, parser="lalr", start=["start", "expr"], propagate_positions=True, maybe_placeholders=True)


def parse_spec(source: Source) -> tuple[tree.Spec | None, tuple[Diagnostic, ...]]:
    """The syntax tree of a whole file, or every syntax error in it that no other one caused."""
    return _parse(source, "start")


def parse_expression(source: Source) -> tuple[tree.Expr | None, tuple[Diagnostic, ...]]:
    """The tree of a single expression, as `--set name=expression` takes it."""
    return _parse(source, "expr")


def spec_tokens(source: Source) -> list[Token]:
    """The tokens of a text that parses, in order: what the formatter lays out."""
    result = scan(grammar(), source.text, "start")
    return [] if isinstance(result, Failure) else result[1]


def _parse(source: Source, start: str) -> tuple[Any, tuple[Diagnostic, ...]]:
    too_large = verify_size(source)
    if too_large:
        return None, too_large
    result = scan(grammar(), source.text, start)
    if isinstance(result, Failure):
        return None, _every_error(source, result)
    too_deep = verify_depth(result[0])
    if too_deep:
        return None, too_deep
    try:
        return _Builder().transform(result[0]), ()
    except VisitError as error:
        raise error.orig_exc from error


def _every_error(source: Source, failure: Failure) -> tuple[Diagnostic, ...]:
    """The first error and those that show when reading is taken up again at the next statement."""
    found: list[Diagnostic] = []
    begin, owed = -1, 0
    headed = failure.before is not None  # whether the `model` line was read
    while len(found) < MAX_ERRORS:
        diagnostic, resume = describe_syntax_error(failure)
        if not headed and failure.word == "model" and "ROLE" in failure.accepts:
            resume = failure.start  # the one `model` line, behind what should not stand before it
        elif owed and failure.word in PAIRS.values() and not failure.opened:
            owed -= 1  # closes what was opened in the part that an earlier error made us skip
        else:
            found.append(diagnostic)
        if resume is None or resume <= begin:
            break
        owed += balance(source.text[failure.start : resume]) + (0 if failure.abandoned else len(failure.opened))
        owed, begin = max(owed, 0), resume
        late = not headed and _MODEL.match(source.text, begin) is not None
        again = scan(grammar(), source.text, "start", begin, not late)
        headed = headed or late
        if not isinstance(again, Failure):
            break
        failure = again
    return tuple(found)


def _span(meta: Meta) -> Span:
    return Span(meta.start_pos, meta.end_pos) if not meta.empty else Span(0, 0)


def _token_span(token: Token) -> Span:
    return Span(token.start_pos or 0, token.end_pos or 0)


def _unquoted(token: Token) -> str:
    return str(token)[1:-1] if token.type == "STRING" else str(token)


def _sequence(_: Any, meta: Meta, *children: Any) -> tuple[Any, ...]:
    return tuple(c for c in children if c is not None)


def _binary(op: str) -> Callable[..., tree.Binary]:
    def build(_: Any, meta: Meta, left: tree.Expr, right: tree.Expr) -> tree.Binary:
        return tree.Binary(_span(meta), op, left, right)

    return build


@v_args(meta=True, inline=True)
class _Builder(Transformer_NonRecursive[Token, Any]):
    def start(self, meta: Meta, name: Token, *statements: tree.Statement) -> tree.Spec:
        return tree.Spec(Span(0, meta.end_pos), str(name), statements, _token_span(name))

    def model(self, meta: Meta, name: Token) -> Token:
        return name

    # declarations
    def variable(self, meta, role, name, family, type_, data=None):  # type: ignore[no-untyped-def]
        return tree.Variable(_span(meta), str(role), str(name), family, type_, data, _token_span(name))

    def param(self, meta, name, type_, value):  # type: ignore[no-untyped-def]
        return tree.Param(_span(meta), str(name), type_, value, _token_span(name))

    def const(self, meta, name, value):  # type: ignore[no-untyped-def]
        return tree.Const(_span(meta), str(name), value, _token_span(name))

    def let(self, meta, name, family, type_, value):  # type: ignore[no-untyped-def]
        return tree.Let(_span(meta), str(name), family, type_, value, _token_span(name))

    def net(self, meta, name, value):  # type: ignore[no-untyped-def]
        return tree.Net(_span(meta), str(name), value, _token_span(name))

    def flow(self, meta, name, value):  # type: ignore[no-untyped-def]
        return tree.Flow(_span(meta), str(name), value, _token_span(name))

    def schedule(self, meta, name, family, value):  # type: ignore[no-untyped-def]
        return tree.Schedule(_span(meta), str(name), family, value, _token_span(name))

    def family(self, meta, name, range_):  # type: ignore[no-untyped-def]
        return tree.Family(_span(meta), str(name), range_)

    def range(self, meta, low, high):  # type: ignore[no-untyped-def]
        return tree.Range(_span(meta), low, high)

    def type(self, meta, name, arguments, shape):  # type: ignore[no-untyped-def]
        return tree.Type(_span(meta), str(name), arguments or (), shape or ())

    def field(self, meta, dataset, inside):  # type: ignore[no-untyped-def]
        columns = inside if isinstance(inside, tuple) else ()
        name = None if inside is None or columns else _unquoted(inside)
        return tree.Field(_span(meta), _unquoted(dataset), name, dataset.type == "STRING", columns)

    def columns(self, meta, *names):  # type: ignore[no-untyped-def]
        return tuple(_unquoted(name) for name in names)

    def transformed(self, meta, name, data, *arguments):  # type: ignore[no-untyped-def]
        return tree.Transform(_span(meta), str(name), data, tuple(a for a in arguments if a is not None))

    # what the model says
    def factor(self, meta, side, heads, parents, value):  # type: ignore[no-untyped-def]
        last = (parents or heads)[-1].span.end
        head = Span(side.start_pos, last + 1)
        return tree.Factor(_span(meta), str(side), heads, parents or (), value, head)

    def reference(self, meta, name, inside):  # type: ignore[no-untyped-def]
        past = inside.index if isinstance(inside, tree.Past) else None
        subscripts = inside if isinstance(inside, tuple) else ()
        return tree.Reference(_span(meta), str(name), subscripts, past)

    def past(self, meta, name):  # type: ignore[no-untyped-def]
        return tree.Past(_span(meta), str(name))

    def definition(self, meta, target, value):  # type: ignore[no-untyped-def]
        return tree.Definition(_span(meta), target, value)

    def energy(self, meta, arguments, value):  # type: ignore[no-untyped-def]
        start = meta.start_pos
        return tree.Energy(_span(meta), arguments, value, Span(start, arguments[-1].span.end + 1))

    def adversary(self, meta, name, arguments, value):  # type: ignore[no-untyped-def]
        return tree.Adversary(_span(meta), str(name), arguments, value, _token_span(name))

    def train(self, meta, record):  # type: ignore[no-untyped-def]
        return tree.Train(_span(meta), record.settings)

    def setting(self, meta, name, value):  # type: ignore[no-untyped-def]
        return tree.Setting(_span(meta), str(name), value, _token_span(name))

    # expressions
    def negate(self, meta, operand):  # type: ignore[no-untyped-def]
        return tree.Negate(_span(meta), operand)

    def bracket(self, meta, target, items):  # type: ignore[no-untyped-def]
        return tree.Bracket(_span(meta), target, items or ())

    def call(self, meta, target, arguments):  # type: ignore[no-untyped-def]
        return tree.Call(_span(meta), target, arguments or ())

    def keyword(self, meta, name, value):  # type: ignore[no-untyped-def]
        return tree.Keyword(_span(meta), str(name), value)

    def binding(self, meta, name, values):  # type: ignore[no-untyped-def]
        return tree.Binding(_span(meta), str(name), values)

    def name(self, meta, name):  # type: ignore[no-untyped-def]
        return tree.Name(_span(meta), str(name))

    def number(self, meta, text):  # type: ignore[no-untyped-def]
        return tree.Number(_span(meta), float(text), str(text))

    def string(self, meta, text):  # type: ignore[no-untyped-def]
        return tree.String(_span(meta), str(text)[1:-1])

    def boolean(self, meta, text):  # type: ignore[no-untyped-def]
        return tree.Boolean(_span(meta), str(text) == "true")

    def learned(self, meta):  # type: ignore[no-untyped-def]
        return tree.Learned(_span(meta))

    def summation(self, meta, indices, body):  # type: ignore[no-untyped-def]
        return tree.Summation(_span(meta), indices, body)

    def total(self, meta, body):  # type: ignore[no-untyped-def]
        return tree.Summation(_span(meta), (), body)

    def quotation(self, meta, side, heads, given):  # type: ignore[no-untyped-def]
        return tree.Quotation(_span(meta), str(side), heads, given or ())

    def record(self, meta, *settings):  # type: ignore[no-untyped-def]
        return tree.Record(_span(meta), tuple(s for s in settings if s is not None))

    def sum_indices(self, meta, *names):  # type: ignore[no-untyped-def]
        return tuple(str(n) for n in names)

    type_args = dims = heads = parents = subscripts = items = arguments = quoted = given = _sequence
    add, subtract, multiply, divide = _binary("+"), _binary("-"), _binary("*"), _binary("/")
    matmul, power, compose = _binary("@"), _binary("^"), _binary(">>")
