"""The `train { ... }` block: how to fit, checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from dgmppl.catalogue.training import GAMES, OBJECTIVES, OPTIMIZERS, SETTINGS, UNBUILT_OBJECTIVES, Option
from dgmppl.diagnostics import Diagnostic, Note, did_you_mean
from dgmppl.graph.scope import Scope
from dgmppl.source import Source, Span
from dgmppl.syntax import tree


@dataclass(frozen=True)
class OptimizerSetting:
    name: str
    lr: float
    options: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ObjectiveSetting:
    """An objective that the spec asks for by name. `game` is ("", {}) unless a game is named."""

    name: str
    span: Span = field(compare=False, repr=False)
    options: dict[str, float | bool] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    game: str = ""
    penalty: float | None = None


@dataclass(frozen=True)
class TrainSettings:
    """How to fit. `clip` bounds the norm of the gradient; `adversary_optimizer` defaults to `optimizer`."""

    epochs: int = 1000
    patience: int = 20
    batch: int = 64
    optimizer: OptimizerSetting = OptimizerSetting("adamax", 1e-3)
    adversary_optimizer: OptimizerSetting | None = None
    adversary_steps: int = 1
    seed: int = 0
    clip: float | None = None


Read = Callable[[Scope, tree.Setting], object]
Called = tuple[str, tuple["tree.Expr | tree.Keyword", ...]]


def check_train(spec: tree.Spec, source: Source) -> tuple[Diagnostic, ...]:
    """What is wrong with the settings of a spec whose graph failed, as far as that can be told without it."""
    scope = Scope(source)
    for statement in spec.statements:
        if isinstance(statement, tree.Const):
            with scope.statement(statement.name):
                scope.names[statement.name] = scope.number(statement.value, {})
        else:
            scope.poisoned.add(getattr(statement, "name", ""))
    scope.diagnostics.clear()
    check_settings(scope, spec)
    return tuple(scope.diagnostics)


def check_settings(scope: Scope, spec: tree.Spec) -> tuple[TrainSettings, ObjectiveSetting | None]:
    """The settings of a spec; E202, E304 and E305 for what they cannot be."""
    settings: dict[str, object] = {}
    seen: dict[str, Span] = {}
    for block in (s for s in spec.statements if isinstance(s, tree.Train)):
        for setting in block.settings:
            with scope.statement():
                if setting.name not in SETTINGS:
                    help_ = did_you_mean(setting.name, SETTINGS, f"one of {', '.join(SETTINGS)}")
                    scope.fail("E304", f"`train` has no setting `{setting.name}`", setting.name_span, help=help_)
                if setting.name in seen:
                    scope.fail(
                        "E202",
                        f"`{setting.name}` is set twice",
                        setting.name_span,
                        "set again",
                        notes=(Note(seen[setting.name], "first set here"),),
                    )
                seen[setting.name] = setting.name_span
                settings[setting.name] = _READ[SETTINGS[setting.name]](scope, setting)
    objective = settings.pop("objective", None)
    return replace(TrainSettings(), **settings), objective  # type: ignore[arg-type, return-value]


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


def _called(expr: tree.Expr) -> tuple[str, tuple[tree.Expr | tree.Keyword, ...]] | None:
    """Name and arguments of `name` or `name(arguments)`."""
    if isinstance(expr, tree.Name):
        return expr.name, ()
    if isinstance(expr, tree.Call) and isinstance(expr.target, tree.Name):
        return expr.target.name, expr.arguments
    return None


def _optimizer(scope: Scope, setting: tree.Setting) -> OptimizerSetting:
    called = _called(setting.value)
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
    called = _called(setting.value)
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
    called = _called(expr)
    if called is None or called[0] not in GAMES:
        _unknown(scope, called, expr, "game", GAMES, "by name: wasserstein(penalty = 10)")
    penalty = None
    for argument in called[1]:
        value = argument.value if isinstance(argument, tree.Keyword) else argument
        if isinstance(argument, tree.Keyword) and argument.name not in GAMES[called[0]]:
            scope.fail("E305", f"{called[0]} has no option `{argument.name}`", argument.span, help="penalty = 10")
        penalty = _number(scope, value, "`penalty`", 0.0)
    return called[0], penalty


_READ: dict[str, Read] = {
    "count": _count,
    "seed": _seed,
    "positive": _positive,
    "optimizer": _optimizer,
    "objective": _objective,
}
