"""The values that settings of `train { ... }` take: numbers, flags, and names with options, checked one by one.

To add a kind of value: its reader in `READ`, under the kind that `SETTINGS` of `dgmppl.catalogue.training` names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from dgmppl.catalogue.training import (
    DECAYS,
    GAMES,
    OBJECTIVES,
    OPTIMIZERS,
    SPLITS,
    UNBUILT_OBJECTIVES,
    Option,
)
from dgmppl.diagnostics import did_you_mean
from dgmppl.graph.scope import Scope
from dgmppl.source import Span
from dgmppl.syntax import tree


@dataclass(frozen=True)
class OptimizerSetting:
    name: str
    lr: float
    options: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DecaySetting:
    """How the learning rate falls: a name of `DECAYS` with its options."""

    name: str
    options: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SplitSetting:
    """Which rows train, validate and test: sizes below 1 are shares of the rows, others numbers of rows."""

    rule: str
    sizes: tuple[float, float, float]
    seed: int = 0
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class ObjectiveSetting:
    """An objective that the spec asks for by name. `game` is ("", {}) unless a game is named."""

    name: str
    span: Span = field(compare=False, repr=False)
    options: dict[str, float | bool] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    game: str = ""
    penalty: float | None = None


Read = Callable[[Scope, tree.Setting], object]
Called = tuple[str, tuple["tree.Expr | tree.Keyword", ...]]

_WHAT: dict[type, str] = {
    tree.String: "text",
    tree.Boolean: "true or false",
    tree.Record: "a record",
    tree.Learned: "`param`",
    tree.Number: "a number",
    tree.Quotation: "a distribution",
}


def _wrong(scope: Scope, expr: tree.Node, wanted: str, help: str = "") -> NoReturn:
    found = f"`{expr.name}`" if isinstance(expr, tree.Name) else _WHAT.get(type(expr), "something else")
    scope.fail("E305", f"{wanted} is expected", expr.span, f"this is {found}", help=help)


def _unknown(
    scope: Scope, called: Called | None, expr: tree.Expr, what: str, known: Iterable[str], how: str
) -> NoReturn:
    """Reports a name that `known` does not have, or something that is no name."""
    if called is None:
        _wrong(scope, expr, f"{'an' if what[0] in 'aeiou' else 'a'} {what}", how)
    name = expr.target.span if isinstance(expr, tree.Call) else expr.span
    help_ = did_you_mean(called[0], known, f"one of {', '.join(known)}")
    scope.fail("E305", f"unknown {what} `{called[0]}`", name, help=help_)


def _number(scope: Scope, expr: tree.Expr, wanted: str, low: float, strict: bool = False) -> float:
    value = _constant(scope, expr, wanted)
    if value < low or (strict and value == low):
        scope.fail(
            "E305",
            f"{wanted} is {'above' if strict else 'at least'} {low:g}",
            expr.span,
            f"this is {value:g}",
        )
    return value


def _constant(scope: Scope, expr: tree.Expr, wanted: str) -> float:
    if isinstance(expr, (tree.Number, tree.Negate, tree.Binary)):
        return scope.number(expr, {}, wanted)
    if isinstance(expr, tree.Name):
        binding = scope.lookup(expr.name, expr.span, "constant")
        if isinstance(binding, float):
            return binding
    _wrong(scope, expr, f"a number for {wanted}")


def _count(scope: Scope, setting: tree.Setting, low: int = 1) -> int:
    value = _number(scope, setting.value, f"`{setting.name}`", low)
    if not value.is_integer() or value > 1e12:
        most = " up to 10^12" if value > 1e12 else ""
        scope.fail("E305", f"`{setting.name}` is a whole number{most}", setting.value.span, f"this is {value:g}")
    return int(value)


def _seed(scope: Scope, setting: tree.Setting) -> int:
    return _count(scope, setting, 0)


def _positive(scope: Scope, setting: tree.Setting) -> float:
    return _number(scope, setting.value, f"`{setting.name}`", 0.0, strict=True)


def _fraction(scope: Scope, setting: tree.Setting) -> float:
    value = _number(scope, setting.value, f"`{setting.name}`", 0.0, strict=True)
    if value >= 1:
        scope.fail("E305", f"`{setting.name}` is below 1", setting.value.span, f"this is {value:g}", help="ema = 0.999")
    return value


def _flag(scope: Scope, setting: tree.Setting) -> bool:
    if not isinstance(setting.value, tree.Boolean):
        _wrong(scope, setting.value, f"true or false for `{setting.name}`")
    return setting.value.value


def _decay(scope: Scope, setting: tree.Setting) -> DecaySetting:
    called = called_name(setting.value)
    if called is None or called[0] not in DECAYS:
        _unknown(scope, called, setting.value, "decay", DECAYS, "by name: cosine, or steps(30, 0.1)")
    name, options = called[0], _options(scope, called, DECAYS[called[0]])
    required = {"exponential": ("rate",), "steps": ("every", "factor")}.get(name, ())
    for option in required:
        if option not in options:
            signature = f"{name}({', '.join(DECAYS[name])})"
            scope.fail("E305", f"{name} needs `{option}`", setting.value.span, help=signature)
    for option, (value, span) in options.items():
        if option == "every":
            if value < 1 or not value.is_integer():
                scope.fail("E305", "`every` is a whole number of epochs", span, f"this is {value:g}")
        elif value > 1 or (option == "rate" and value == 0):
            scope.fail("E305", f"`{option}` is a factor up to 1", span, f"this is {value:g}")
    return DecaySetting(name, {option: value for option, (value, _) in options.items()})


def _split(scope: Scope, setting: tree.Setting) -> SplitSetting:
    called = called_name(setting.value)
    if called is None or called[0] not in SPLITS:
        _unknown(scope, called, setting.value, "split", SPLITS, "by name: shuffled(0.8, 0.1, 0.1, seed = 1)")
    name, arguments = called
    sizes = [a for a in arguments if not isinstance(a, tree.Keyword)]
    if len(sizes) != 3:
        help_ = f"train, validation and test: {name}(0.8, 0.1, 0.1) or {name}(1000, 350, 447)"
        scope.fail("E305", f"{name} takes three sizes", setting.value.span, f"has {len(sizes)}", help=help_)
    numbers = [_number(scope, a, "the size of a split", 0.0, strict=True) for a in sizes]
    shares = [n for n in numbers if n < 1]
    if not shares:
        for number, argument in zip(numbers, sizes):
            if not number.is_integer():
                scope.fail("E305", "a number of rows is whole", argument.span, f"this is {number:g}")
    elif len(shares) < 3 or sum(shares) > 1 + 1e-9:
        help_ = f"{name}(0.8, 0.1, 0.1)"
        what = "shares are all below 1 and sum to 1 at most"
        scope.fail("E305", what, setting.value.span, f"these sum to {sum(numbers):g}", help=help_)
    keywords = tuple(a for a in arguments if isinstance(a, tree.Keyword))
    options = _options(scope, (name, keywords), SPLITS[name])
    seed, span = options.get("seed", (0.0, setting.value.span))
    if not seed.is_integer():
        scope.fail("E305", "`seed` is a whole number", span, f"this is {seed:g}")
    return SplitSetting(name, (numbers[0], numbers[1], numbers[2]), int(seed), setting.value.span)


def _options(scope: Scope, called: Called, known: tuple[str, ...]) -> dict[str, tuple[float, Span]]:
    """Numbers given by position or name, from 0, with their places."""
    name, arguments = called
    found: dict[str, tuple[float, Span]] = {}
    signature = f"{name} takes {', '.join(known) or 'no options'}"
    for k, argument in enumerate(arguments):
        if isinstance(argument, tree.Keyword):
            option, value = argument.name, argument.value
        elif k < len(known):
            option, value = known[k], argument
        else:
            scope.fail("E305", f"{name} takes no more options", argument.span, help=signature)
        if option not in known:
            help_ = did_you_mean(option, known, signature)
            scope.fail("E305", f"{name} has no option `{option}`", argument.span, help=help_)
        if option in found:
            scope.fail("E305", f"`{option}` is given twice", argument.span, "given again")
        found[option] = (_number(scope, value, f"`{option}`", 0.0), value.span)
    return found


def called_name(expr: tree.Expr) -> tuple[str, tuple[tree.Expr | tree.Keyword, ...]] | None:
    """Name and arguments of `name` or `name(arguments)`."""
    if isinstance(expr, tree.Name):
        return expr.name, ()
    if isinstance(expr, tree.Call) and isinstance(expr.target, tree.Name):
        return expr.target.name, expr.arguments
    return None


def _optimizer(scope: Scope, setting: tree.Setting) -> OptimizerSetting:
    called = called_name(setting.value)
    if called is None or called[0] not in OPTIMIZERS:
        _unknown(scope, called, setting.value, "optimiser", OPTIMIZERS, "with its learning rate: adamax(1e-3)")
    name, arguments = called
    lr, options = 1e-3, {}
    for k, argument in enumerate(arguments):
        if not isinstance(argument, tree.Keyword):
            if k:
                _wrong(scope, argument, "an option by name", f"{name} takes {', '.join(OPTIMIZERS[name])}")
            lr = _number(scope, argument, "a learning rate", 0.0, strict=True)
        elif argument.name not in OPTIMIZERS[name]:
            help_ = did_you_mean(argument.name, OPTIMIZERS[name], f"{name} takes {', '.join(OPTIMIZERS[name])}")
            scope.fail("E305", f"{name} has no option `{argument.name}`", argument.span, help=help_)
        else:
            options[argument.name] = _number(scope, argument.value, f"`{argument.name}`", 0.0)
            if argument.name != "weight_decay" and options[argument.name] >= 1:
                value = f"this is {options[argument.name]:g}"
                scope.fail("E305", f"`{argument.name}` is below 1", argument.value.span, value)
    return OptimizerSetting(name, lr, options)


def _objective(scope: Scope, setting: tree.Setting) -> ObjectiveSetting:
    called = called_name(setting.value)
    if called is None or called[0] not in OBJECTIVES:
        if called is not None and called[0] in UNBUILT_OBJECTIVES:
            scope.fail(
                "E220",
                f"`{called[0]}` is read but cannot be compiled yet",
                setting.value.span,
                "no objective is derived for it",
                help="leave `objective` out: the structure calls for one, which `dgmppl explain` prints",
            )
        _unknown(scope, called, setting.value, "objective", OBJECTIVES, "by name: elbo(beta = 4)")
    name, arguments = called
    known = {o.name: o for o in OBJECTIVES[name]}
    found: dict[str, object] = {}
    for k, argument in enumerate(arguments):
        if isinstance(argument, tree.Keyword):
            option, value = known.get(argument.name), argument.value
        else:
            option, value = (OBJECTIVES[name][0] if k == 0 else None), argument
        if option is None or option.name in found:
            near = argument.name if isinstance(argument, tree.Keyword) else ""
            help_ = did_you_mean(near, known, f"{name} takes {', '.join(known)}")
            if option is not None:
                scope.fail("E305", f"`{option.name}` is given twice", argument.span, "given again")
            what = f"`{near}`" if near else "by position beyond its first"
            scope.fail("E305", f"{name} has no option {what}", argument.span, help=help_)
        found[option.name] = _option(scope, option, value)
    weights: Any = found.pop("weight", {})
    game: Any = found.pop("game", ("", None))
    options: Any = found
    return ObjectiveSetting(name, setting.span, options, weights, game[0], game[1])


def _option(scope: Scope, option: Option, expr: tree.Expr) -> object:
    if option.kind == "flag":
        if not isinstance(expr, tree.Boolean):
            _wrong(scope, expr, f"true or false for `{option.name}`")
        return expr.value
    if option.kind == "weights":
        return _weights(scope, expr)
    if option.kind == "game":
        return _game(scope, expr)
    value = _number(scope, expr, f"`{option.name}`", 0.0, strict=option.kind == "positive")
    if option.kind == "count" and (value < 1 or not value.is_integer()):
        scope.fail("E305", f"`{option.name}` is a whole number of at least 1", expr.span, f"this is {value:g}")
    return int(value) if option.kind == "count" else value


def _weights(scope: Scope, expr: tree.Expr) -> dict[str, float]:
    if not isinstance(expr, tree.Record):
        _wrong(scope, expr, "a record of weights by variable", "weight = { x = 0.01 }")
    found: dict[str, float] = {}
    for s in expr.settings:
        scope.lookup(s.name, s.name_span, "variable")
        found[s.name] = _number(scope, s.value, "a weight", 0.0)
    return found


def _game(scope: Scope, expr: tree.Expr) -> tuple[str, float | None]:
    called = called_name(expr)
    if called is None or called[0] not in GAMES:
        _unknown(scope, called, expr, "game", GAMES, "by name: wasserstein(penalty = 10)")
    penalty = None
    for argument in called[1]:
        value = argument.value if isinstance(argument, tree.Keyword) else argument
        if isinstance(argument, tree.Keyword) and argument.name not in GAMES[called[0]]:
            scope.fail("E305", f"{called[0]} has no option `{argument.name}`", argument.span, help="penalty = 10")
        penalty = _number(scope, value, "`penalty`", 0.0)
    return called[0], penalty


READ: dict[str, Read] = {
    "count": _count,
    "seed": _seed,
    "positive": _positive,
    "optimizer": _optimizer,
    "objective": _objective,
    "decay": _decay,
    "split": _split,
    "fraction": _fraction,
    "flag": _flag,
}
