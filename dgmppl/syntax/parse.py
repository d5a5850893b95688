"""Text to syntax tree. Only shapes it: nothing is checked here that the grammar does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from lark import Lark, Token, v_args
from lark.ast_utils import create_transformer
from lark.exceptions import VisitError
from lark.tree import Meta
from lark.visitors import Transformer, Transformer_NonRecursive

from dgmppl.diagnostics import Diagnostic
from dgmppl.source import Source, Span
from dgmppl.syntax import tree
from dgmppl.syntax.limits import LISTS, verify_depth, verify_size
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
    return Lark(text, parser="lalr", start=["start", "value"], propagate_positions=True, maybe_placeholders=True)


def parse_spec(source: Source) -> tuple[tree.Spec | None, tuple[Diagnostic, ...]]:
    """The syntax tree of a whole file, or every syntax error in it that no other one caused."""
    return _parse(source, "start")


def parse_expression(source: Source) -> tuple[tree.Expr | None, tuple[Diagnostic, ...]]:
    """The tree of a single value, as `--set name=value` takes it."""
    return _parse(source, "value")


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
        return _builder().transform(result[0]), ()
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


def _span(place: Meta | Token) -> Span:
    return Span(place.start_pos or 0, place.end_pos or 0)


def _text(child: Any) -> Any:
    """The text of a token, a string without its quotes; anything else as it is."""
    if not isinstance(child, Token):
        return child
    return str(child)[1:-1] if child.type == "STRING" else str(child)


def _field(dataset: Token, name: Token | None, inside: tuple[str | tree.Reading, ...] | None) -> tuple[Any, ...]:
    columns = tuple(c for c in inside or () if not isinstance(c, tree.Reading))
    return (
        dataset,
        name,
        dataset.type == "STRING",
        columns,
        tuple(r for r in inside or () if isinstance(r, tree.Reading)),
    )


def _reading(
    name: Token, found: tree.Mark | tree.Condition | tuple[tree.Mark | tree.Condition, ...]
) -> tuple[Any, ...]:
    return name, found if isinstance(found, tuple) else (found,)


def _mark(value: Token) -> tuple[Any, ...]:
    return (value if value.type == "STRING" else float(value),)


def _reference(name: Token, inside: tuple[tree.Expr | tree.Past, ...] | None) -> tuple[Any, ...]:
    apart = any(not isinstance(item, tree.Past) for item in inside or ())
    past = tuple(item.index for item in inside or () if isinstance(item, tree.Past) and not apart)
    after = any(item.after for item in inside or () if isinstance(item, tree.Past))
    return (name, (), past, after) if past else (name, inside or ())


def _indices(*names: Token) -> tuple[Any, ...]:
    return (tuple(map(str, names)),)


def _family(index: Token, range_: tree.Range, *more: Any) -> tuple[Any, ...]:
    others = (tree.Family(r.span, str(letter), r) for letter, r in zip(more[::2], more[1::2]))
    return index, range_, tuple(others)


def _factor(
    side: Token, heads: tuple[Any, ...], behind: tuple[tree.Reference | tree.Keyword, ...], value: tree.Expr
) -> tuple[Any, ...]:
    parents = tuple(p for p in behind if isinstance(p, tree.Reference))
    return side, heads, parents, value, tuple(p for p in behind if isinstance(p, tree.Keyword))


# The fields of a class whose rule has other children than these.
_FIELDS: dict[type[tree.Node], Callable[..., tuple[Any, ...]]] = {
    tree.Boolean: lambda text: (text == "true",),
    tree.Factor: _factor,
    tree.Family: _family,
    tree.Field: _field,
    tree.Indices: _indices,
    tree.Mark: _mark,
    tree.Reading: _reading,
    tree.Integral: lambda index, range_, body, *options: (index, range_, body, options),
    tree.Number: lambda text: (float(text), text),
    tree.Reference: _reference,
    tree.Setting: lambda name, subscripts, value: (name, value, subscripts or ()),
}


def _made_by_rule(inline: bool, meta: bool) -> Callable[[type[tree.Node]], Any]:
    """How `create_transformer` calls a class of the tree: with its span and its fields."""

    def decorate(cls: type[tree.Node]) -> Any:
        make: Callable[..., tree.Node] = cls
        fields = _FIELDS.get(cls)
        named = issubclass(cls, tree.Named)

        def build(_: Any, rule: str, children: list[Any], meta: Meta) -> tree.Node:
            values = map(_text, fields(*children) if fields else children)
            if not named:
                return make(_span(meta), *values)
            name = next(c for c in children if isinstance(c, Token) and c.type == "NAME")
            return make(_span(meta), *values, name_span=_span(name))

        return v_args(wrapper=build)(cls)

    return decorate


def _sequence(children: list[Any]) -> tuple[Any, ...]:
    return tuple(map(_text, children))


def _binary(op: str) -> Callable[..., tree.Binary]:
    def build(_: Any, meta: Meta, left: tree.Expr, right: tree.Expr) -> tree.Binary:
        return tree.Binary(_span(meta), op, left, right)

    return build


@v_args(meta=True, inline=True)
class _Builder(Transformer_NonRecursive[Token, Any]):
    """The rules that have not the name of their class."""

    def start(self, meta: Meta, name: Token, *statements: tree.Statement) -> tree.Spec:
        return tree.Spec(Span(0, meta.end_pos), str(name), statements, name_span=_span(name))

    def model(self, meta: Meta, name: Token) -> Token:
        return name

    def total(self, meta: Meta, body: tree.Expr, option: tree.Keyword | None) -> tree.Summation:
        return tree.Summation(_span(meta), (), body, option)

    def future(self, meta: Meta, index: Token) -> tree.Past:
        return tree.Past(_span(meta), str(index), True)

    def negative(self, meta: Meta, number: Token) -> tree.Mark:
        return tree.Mark(_span(meta), -float(number))

    def mark_up_to(self, meta: Meta, high: tree.Mark) -> tree.MarkRange:
        return tree.MarkRange(_span(meta), None, high)

    def shape(self, meta: Meta, sizes: tuple[tree.Expr, ...]) -> tree.Sizes:
        return tree.Sizes(_span(meta), sizes)

    add, subtract, multiply, divide = _binary("+"), _binary("-"), _binary("*"), _binary("/")
    matmul, power, compose = _binary("@"), _binary("^"), _binary(">>")


@cache
def _builder() -> Transformer[Token, Any]:
    """From Lark's tree to ours: a rule makes the class of its name, a list of the grammar a tuple.

    So no class is called like a method of Lark's: `Transform` would take the place of `transform`.
    """
    builder = create_transformer(tree, _Builder(visit_tokens=False), _made_by_rule)
    for rule in LISTS:
        setattr(builder, rule, _sequence)
    return builder
