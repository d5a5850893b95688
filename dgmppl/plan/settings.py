"""The `train { ... }` block: how to fit, checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from dgmppl.catalogue.training import GAMES, OBJECTIVES, OPTIMIZERS, SETTINGS, UNBUILT_OBJECTIVES, Option
from dgmppl.diagnostics import Note, did_you_mean
from dgmppl.graph.scope import Scope
from dgmppl.source import Span
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


def _wrong(scope: Scope, expr: tree.Node, wanted: str, help: str = "") -> None:
    scope.fail("E305", f"{wanted} is expected", expr.span, "found this", help=help)


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
    if isinstance(expr, tree.Name) and isinstance(scope.names.get(expr.name), float):
        return scope.number(expr, {}, wanted)
    _wrong(scope, expr, wanted)
    raise AssertionError


def _count(scope: Scope, setting: tree.Setting, low: int = 1) -> int:
    value = _number(scope, setting.value, f"`{setting.name}`", low)
    if not value.is_integer() or value > 1e12:
        scope.fail("E305", f"`{setting.name}` is a whole number", setting.value.span, f"this is {value:g}")
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
        near = did_you_mean(called[0] if called else "", OPTIMIZERS, f"one of {', '.join(OPTIMIZERS)}")
        _wrong(scope, setting.value, "an optimiser with its learning rate", f"{near}: adamax(1e-3)")
        raise AssertionError
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
                scope.fail("E305", f"`{argument.name}` is below 1", argument.value.span)
    return OptimizerSetting(name, lr, options)


def _objective(scope: Scope, setting: tree.Setting) -> ObjectiveSetting:
    called = _called(setting.value)
    if called is None or called[0] not in OBJECTIVES:
        if called is not None and called[0] in UNBUILT_OBJECTIVES:
            scope.fail("E220", f"`{called[0]}` is read but cannot be compiled yet", setting.value.span)
        near = did_you_mean(called[0] if called else "", OBJECTIVES, f"one of {', '.join(OBJECTIVES)}")
        _wrong(scope, setting.value, "an objective", near)
        raise AssertionError
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
            scope.fail("E305", f"{name} has no such option", argument.span, help=help_)
        found[option.name] = _option(scope, option, value)
    weights: Any = found.pop("weight", {})
    game: Any = found.pop("game", ("", None))
    options: Any = found
    return ObjectiveSetting(name, setting.span, options, weights, game[0], game[1])


def _option(scope: Scope, option: Option, expr: tree.Expr) -> object:
    if option.kind == "flag":
        if not isinstance(expr, tree.Boolean):
            _wrong(scope, expr, f"`{option.name}` is true or false, and one of them")
        return expr.value  # type: ignore[union-attr]
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
        _wrong(scope, expr, "weights by variable", "weight = { x = 0.01 }")
        raise AssertionError
    found: dict[str, float] = {}
    for s in expr.settings:
        if s.name not in scope.names:
            scope.fail(
                "E201",
                f"unknown variable `{s.name}`",
                s.name_span,
                help=did_you_mean(s.name, scope.names, "weights are by variable"),
            )
        found[s.name] = _number(scope, s.value, "a weight", 0.0)
    return found


def _game(scope: Scope, expr: tree.Expr) -> tuple[str, float | None]:
    called = _called(expr)
    if called is None or called[0] not in GAMES:
        _wrong(
            scope,
            expr,
            "a game",
            did_you_mean(called[0] if called else "", GAMES, f"one of {', '.join(GAMES)}"),
        )
        raise AssertionError
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
