"""Arguments bound to a signature: by position and name, each once, none missing; with their places in the spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from dgmppl.catalogue.signature import Argument, Signature
from dgmppl.diagnostics import did_you_mean
from dgmppl.graph.scope import Scope
from dgmppl.source import Span
from dgmppl.syntax import tree


@dataclass(frozen=True)
class Bound:
    """The value that a spec gives for an argument; `span` is the whole of it, its name included."""

    argument: Argument
    value: tree.Expr
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Arguments:
    """What is given, by name in the order in which it is written; `many` is what an argument takes of any number."""

    given: Mapping[str, Bound]
    many: tuple[Bound, ...] = ()

    def __getitem__(self, name: str) -> Bound:
        return self.given[name]

    def __contains__(self, name: object) -> bool:
        return name in self.given

    def value(self, name: str) -> tree.Expr | None:
        return self.given[name].value if name in self.given else None


def bind(
    scope: Scope, signature: Signature, items: Sequence[object], span: Span, code: str = "E209", whole: bool = True
) -> Arguments:
    """The arguments that brackets or parentheses hold.

    Reports (E209, or `code`) a name that the signature has not, a value too many, an argument that is given twice, and,
    if `whole`, one that is missing.
    """
    given: dict[str, Bound] = {}
    many: list[Bound] = []
    places, position = signature.places, 0
    for item in items:
        if isinstance(item, tree.Keyword):
            argument, value = _named(scope, signature, item, code), item.value
        elif isinstance(item, (tree.Binding, tree.Past)):
            scope.fail(code, f"{signature.name} takes nothing of this kind", item.span, help=signature.describe())
        else:
            assert isinstance(item, tree.Node)
            value = item  # type: ignore[assignment]
            if position >= len(places):
                _too_many(scope, signature, item, code)
            argument = places[position]
            position += not argument.many
        if argument.many:
            many.append(Bound(argument, value, item.span))
            continue
        if argument.name in given:
            scope.fail(code, f"`{argument.name}` is given twice", item.span, "given again")
        given[argument.name] = Bound(argument, value, item.span)
    found = Arguments(given, tuple(many))
    if whole:
        verify_whole(scope, signature, found, span, code)
    return found


def verify_whole(scope: Scope, signature: Signature, found: Arguments, span: Span, code: str = "E209") -> None:
    """Reports what is missing."""
    missing = [
        a.name for a in signature.arguments if a.required and a.name not in found and not (a.many and found.many)
    ]
    if missing:
        has = f"has {', '.join(found.given)}" if found.given else ""
        help_ = signature.usage or f"{signature.name}({', '.join(a.name for a in signature.arguments)})"
        scope.fail(code, f"{signature.name} needs {', '.join(missing)}", span, has, help=help_)


def _named(scope: Scope, signature: Signature, item: tree.Keyword, code: str) -> Argument:
    if item.name not in signature.names:
        help_ = did_you_mean(item.name, signature.names, signature.describe())
        scope.fail(code, f"{signature.name} has no {signature.noun} `{item.name}`", item.span, help=help_)
    return next(a for a in signature.arguments if a.name == item.name)


def _too_many(scope: Scope, signature: Signature, item: tree.Node, code: str) -> NoReturn:
    by_name = [a.name for a in signature.arguments if a.by == "name"]
    if by_name:
        usage = f"{signature.describe()}, by name: {by_name[0]} = ..."
        scope.fail(code, f"{signature.name} takes no more without a name", item.span, "which is this?", help=usage)
    scope.fail(code, signature.describe(), item.span, "one too many", help=signature.usage)
