"""The values that settings of `train { ... }` take: numbers, flags, and names with options, checked one by one.

To add a kind of value: its reader in `READ`, under the kind that the tables of `dgmppl.catalogue.training` name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from dgmppl.catalogue.signature import Argument, Signature
from dgmppl.catalogue.training import (
    DECAYS,
    ESTIMATORS,
    GAMES,
    OBJECTIVES,
    OPTIMIZERS,
    PATHS,
    POSTERIORS,
    RAMPS,
    SPLITS,
    TARGETS,
    UNBUILT_OBJECTIVES,
)
from dgmppl.diagnostics import did_you_mean
from dgmppl.diagnostics.codes import CODES
from dgmppl.diagnostics.codes_plan import CODES as _OF_SPECS
from dgmppl.graph.binding import Bound, bind
from dgmppl.graph.scope import Scope
from dgmppl.plan.entries import members_of
from dgmppl.plan.setting_types import (
    Accepted,
    DecaySetting,
    ObjectiveSetting,
    OptimizerSetting,
    PathSetting,
    RampSetting,
    SplitSetting,
    Stage,
)
from dgmppl.syntax import tree

Read = Callable[[Scope, Bound], object]
Called = tuple[str, tuple["tree.Expr | tree.Keyword", ...]]

_WHAT: dict[type, str] = {
    tree.String: "text",
    tree.Boolean: "true or false",
    tree.Record: "a record",
    tree.Learned: "`param`",
    tree.Number: "a number",
    tree.Quotation: "a distribution",
    tree.Sizes: "a list",
}


def read(scope: Scope, bound: Bound) -> Any:
    """The value of a setting, or of an option of one, as its kind has it. Reports what it cannot be (E305)."""
    return READ[bound.argument.kind](scope, bound)


def setting(node: tree.Setting, kind: str) -> Bound:
    """A setting as a bound argument."""
    return Bound(Argument(node.name, kind), node.value, node.span)


def _wrong(scope: Scope, expr: tree.Node, wanted: str, help: str = "") -> NoReturn:
    found = f"`{expr.name}`" if isinstance(expr, tree.Name) else _WHAT.get(type(expr), "something else")
    scope.fail("E305", f"{wanted} is expected", expr.span, f"this is {found}", help=help)


def called_name(expr: tree.Expr) -> Called | None:
    """Name and arguments of `name` or `name(arguments)`."""
    if isinstance(expr, tree.Name):
        return expr.name, ()
    if isinstance(expr, tree.Call) and isinstance(expr.target, tree.Name):
        return expr.target.name, expr.arguments
    return None


def _named(
    scope: Scope, expr: tree.Expr, what: str, table: Mapping[str, Signature], how: str
) -> tuple[str, dict[str, Bound]]:
    """A name of a table, with its arguments bound. `how` says how one is written."""
    called = called_name(expr)
    if called is None:
        _wrong(scope, expr, f"{'an' if what[0] in 'aeiou' else 'a'} {what}", how)
    name, arguments = called
    if name not in table:
        place = expr.target.span if isinstance(expr, tree.Call) else expr.span
        help_ = did_you_mean(name, table, f"one of {', '.join(table)}")
        scope.fail("E305", f"unknown {what} `{name}`", place, help=help_)
    return name, dict(bind(scope, table[name], arguments, expr.span, "E305").given)


# --- numbers -------------------------------------------------------------------------------------


def _number(scope: Scope, bound: Bound, low: float = 0.0, strict: bool = False, wanted: str = "") -> float:
    wanted = wanted or f"`{bound.argument.name}`"
    value = _constant(scope, bound.value, wanted)
    if value < low or (strict and value == low):
        relation = "above" if strict else "at least"
        scope.fail("E305", f"{wanted} is {relation} {low:g}", bound.value.span, f"this is {value:g}")
    return value


def _constant(scope: Scope, expr: tree.Expr, wanted: str) -> float:
    if isinstance(expr, (tree.Number, tree.Negate, tree.Binary)):
        return scope.number(expr, {}, wanted)
    if isinstance(expr, tree.Name):
        binding = scope.lookup(expr.name, expr.span, "constant")
        if isinstance(binding, float):
            return binding
    _wrong(scope, expr, f"a number for {wanted}")


def _whole(scope: Scope, bound: Bound, low: int = 1) -> int:
    value = _number(scope, bound, low)
    if not value.is_integer() or value > 1e12:
        most = " up to 10^12" if value > 1e12 else ""
        scope.fail("E305", f"`{bound.argument.name}` is a whole number{most}", bound.value.span, f"this is {value:g}")
    return int(value)


def _seed(scope: Scope, bound: Bound) -> int:
    return _whole(scope, bound, 0)


def _positive(scope: Scope, bound: Bound) -> float:
    wanted = "a learning rate" if bound.argument.name == "lr" else ""
    return _number(scope, bound, strict=True, wanted=wanted)


def _fraction(scope: Scope, bound: Bound) -> float:
    value = _number(scope, bound, strict=True)
    return _below_one(scope, bound, value, "ema = 0.999")


def _momentum(scope: Scope, bound: Bound) -> float:
    return _below_one(scope, bound, _number(scope, bound))


def _below_one(scope: Scope, bound: Bound, value: float, help: str = "") -> float:
    if value >= 1:
        scope.fail("E305", f"`{bound.argument.name}` is below 1", bound.value.span, f"this is {value:g}", help=help)
    return value


def _factor(scope: Scope, bound: Bound, strict: bool = False) -> float:
    value = _number(scope, bound)
    if value > 1 or (strict and value == 0):
        scope.fail("E305", f"`{bound.argument.name}` is a factor up to 1", bound.value.span, f"this is {value:g}")
    return value


def _share(scope: Scope, bound: Bound) -> float:
    value = _number(scope, bound)
    if value > 1:
        scope.fail("E305", f"`{bound.argument.name}` is a share, from 0 to 1", bound.value.span, f"this is {value:g}")
    return value


def _rate(scope: Scope, bound: Bound) -> float:
    return _factor(scope, bound, strict=True)


def _epochs(scope: Scope, bound: Bound) -> float:
    value = _number(scope, bound)
    if value < 1 or not value.is_integer():
        name = bound.argument.name
        scope.fail("E305", f"`{name}` is a whole number of epochs", bound.value.span, f"this is {value:g}")
    return value


def _rows(scope: Scope, bound: Bound) -> float:
    return _number(scope, bound, strict=True, wanted="the size of a split")


def _flag(scope: Scope, bound: Bound) -> bool:
    if not isinstance(bound.value, tree.Boolean):
        _wrong(scope, bound.value, f"true or false for `{bound.argument.name}`")
    return bound.value.value


# --- names with options --------------------------------------------------------------------------


def _decay(scope: Scope, bound: Bound) -> DecaySetting:
    name, given = _named(scope, bound.value, "decay", DECAYS, "by name: cosine, or steps(30, 0.1)")
    return DecaySetting(name, {option: read(scope, b) for option, b in given.items()})


def _split(scope: Scope, bound: Bound) -> SplitSetting:
    name, given = _named(scope, bound.value, "split", SPLITS, "by name: shuffled(0.8, 0.1, 0.1, seed = 1)")
    read_ = {option: read(scope, b) for option, b in given.items()}
    if name == "whole":
        return SplitSetting(name, (1.0, 1.0, 1.0), 0, bound.value.span)
    seed = read_.pop("seed", 0)
    numbers = tuple(read_.values())
    shares = [n for n in numbers if n < 1]
    if not shares:
        for number, part in zip(numbers, read_):
            if not number.is_integer():
                scope.fail("E305", "a number of rows is whole", given[part].span, f"this is {number:g}")
    elif len(shares) < 3 or sum(shares) > 1 + 1e-9:
        help_ = f"{name}(0.8, 0.1, 0.1)"
        what = "shares are all below 1 and sum to 1 at most"
        scope.fail("E305", what, bound.value.span, f"these sum to {sum(numbers):g}", help=help_)
    return SplitSetting(name, (numbers[0], numbers[1], numbers[2]), seed, bound.value.span)


def _optimizer(scope: Scope, bound: Bound) -> OptimizerSetting:
    name, given = _named(scope, bound.value, "optimiser", OPTIMIZERS, "with its learning rate: adamax(1e-3)")
    options = {option: read(scope, b) for option, b in given.items()}
    return OptimizerSetting(name, options.pop("lr", 1e-3), options)


def _objective(scope: Scope, bound: Bound) -> ObjectiveSetting:
    called = called_name(bound.value)
    if called is not None and called[0] in UNBUILT_OBJECTIVES:
        scope.fail(
            "E220",
            f"`{called[0]}` is read but cannot be compiled yet",
            bound.value.span,
            "no objective is derived for it",
            help="leave `objective` out: the structure calls for one, which `dgmppl explain` prints",
        )
    name, given = _named(scope, bound.value, "objective", OBJECTIVES, "by name: elbo(beta = 4)")
    options = {option: read(scope, b) for option, b in given.items()}
    given_weights: dict[str, float | RampSetting | None] = options.pop("weight", {})
    weights = {n: w for n, w in given_weights.items() if w is not None and not isinstance(w, RampSetting)}
    ramps = {n: w for n, w in given_weights.items() if isinstance(w, RampSetting)}
    simple = frozenset(n for n, w in given_weights.items() if w is None)
    beta = options.pop("beta") if isinstance(options.get("beta"), RampSetting) else None
    game: tuple[str, float | None] = options.pop("game", ("", None))
    path: PathSetting = options.pop("path", PathSetting())
    target: str = options.pop("target", "velocity")
    return ObjectiveSetting(name, bound.span, options, weights, game[0], game[1], path, target, simple, beta, ramps)


SIMPLE = "simple"


def _weight(scope: Scope, bound: Bound, wanted: str = "") -> float | RampSetting:
    """A number, or one that changes over the epochs."""
    if not isinstance(bound.value, tree.Call):
        return _number(scope, bound, wanted=wanted)
    name, given = _named(scope, bound.value, "ramp", RAMPS, "a number, or linear(0, 1, epochs = 50)")
    start, end = _number(scope, given["start"]), _number(scope, given["end"])
    return RampSetting(name, start, end, _whole(scope, given["epochs"]) if "epochs" in given else None)


def _weights(scope: Scope, bound: Bound) -> dict[str, float | RampSetting | None]:
    """A weight for each variable; None where it is `simple`."""
    if not isinstance(bound.value, tree.Record):
        _wrong(scope, bound.value, "a record of weights by variable", "weight = { x = 0.01 }")
    found: dict[str, float | RampSetting | None] = {}
    for s in bound.value.settings:
        names = members_of(scope, s.name, s.name_span, s.subscripts)
        again = next((name for name in names if name in found), None)
        if again is not None:
            scope.fail("E305", f"`{again}` is given twice", s.span, "given again")
        plain = isinstance(s.value, tree.Name) and s.value.name == SIMPLE and SIMPLE not in scope.names
        found.update(dict.fromkeys(names, None if plain else _weight(scope, setting(s, "weight"), "a weight")))
    return found


def _game(scope: Scope, bound: Bound) -> tuple[str, float | None]:
    name, given = _named(scope, bound.value, "game", GAMES, "by name: wasserstein(penalty = 10)")
    return name, read(scope, given["penalty"]) if "penalty" in given else None


def _path(scope: Scope, bound: Bound) -> PathSetting:
    name, given = _named(scope, bound.value, "path", PATHS, "by name: variance_preserving(0.1, 20)")
    options = {option: read(scope, b) for option, b in given.items()}
    ends = {"low": 0.1, "high": 20.0, **options}
    if options and ends["high"] <= ends["low"]:
        found = f"from {ends['low']:g} to {ends['high']:g}"
        scope.fail("E305", "`high` is above `low`: noise grows along the path", bound.value.span, found)
    return PathSetting(name, options)


def _target(scope: Scope, bound: Bound) -> str:
    called = called_name(bound.value)
    if called is None or called[1]:
        _wrong(scope, bound.value, "a target", f"one of {', '.join(TARGETS)}")
    if called[0] not in TARGETS:
        help_ = did_you_mean(called[0], TARGETS, f"one of {', '.join(TARGETS)}")
        scope.fail("E305", f"unknown target `{called[0]}`", bound.value.span, help=help_)
    return called[0]


def _posterior(scope: Scope, bound: Bound) -> str:
    if not isinstance(bound.value, tree.Name) or bound.value.name not in POSTERIORS:
        _wrong(scope, bound.value, f"one of {', '.join(POSTERIORS)}")
    return bound.value.name


def _gradient(scope: Scope, bound: Bound) -> dict[str, str]:
    """An estimator for each variable."""
    if not isinstance(bound.value, tree.Record):
        _wrong(scope, bound.value, "a record of estimators by variable", "gradient = { z[t] = by_loss }")
    found: dict[str, str] = {}
    for s in bound.value.settings:
        names = members_of(scope, s.name, s.name_span, s.subscripts)
        again = next((name for name in names if name in found), None)
        if again is not None:
            scope.fail("E305", f"`{again}` is given twice", s.span, "given again")
        if not isinstance(s.value, tree.Name) or s.value.name not in ESTIMATORS:
            _wrong(scope, s.value, f"one of {', '.join(ESTIMATORS)}")
        found.update(dict.fromkeys(names, s.value.name))
    return found


def _figure(scope: Scope, bound: Bound) -> str:
    """The name of a figure, as written: which ones there are is known only with the plan."""
    text = _figure_text(bound.value)
    if text is None:
        _wrong(scope, bound.value, "the name of a figure", "best = error(y), or best = log p(y | x)")
    return text


def _figure_text(expr: tree.Node) -> str | None:
    """`elbo`, `error(y)`, `iwae(10)`, `log p(y | x)` or a text; None for what is no name of a figure."""
    if isinstance(expr, tree.String):
        return expr.value
    if isinstance(expr, tree.Figure):
        factor = expr.factor
        heads, given = map(_plain_names, (factor.heads, factor.given))
        if heads is None or given is None:
            return None
        return f"{expr.name} {factor.side}({heads}{' | ' + given if given else ''})"
    called = called_name(expr) if isinstance(expr, (tree.Name, tree.Call)) else None
    if called is None:
        return None
    inside = _plain_names(called[1])
    return inside if inside is None else f"{called[0]}({inside})" if inside else called[0]


def _plain_names(parts: Sequence[tree.Node]) -> str | None:
    """Names and numbers as they are written, with commas between them."""
    found: list[str] = []
    for part in parts:
        if isinstance(part, tree.Name) or (isinstance(part, tree.Reference) and not (part.subscripts or part.past)):
            found.append(part.name)
        elif isinstance(part, tree.Number):
            found.append(part.text)
        else:
            return None
    return ", ".join(found)


def _accept(scope: Scope, bound: Bound) -> tuple[Accepted, ...]:
    items = bound.value.sizes if isinstance(bound.value, tree.Sizes) else (bound.value,)
    return tuple(accepted for item in items for accepted in _accepted(scope, item))


def _accepted(scope: Scope, item: tree.Expr) -> tuple[Accepted, ...]:
    """`W401`, or `W401(z, w)`."""
    called = called_name(item)
    if called is None:
        _wrong(scope, item, "the code of a warning", "accept = [W402, W401(z)]")
    code, names = called
    warnings = {c: entry for c, entry in CODES.items() if c.startswith("W")}
    if code not in warnings:
        what = "an error, and accepted by nothing" if code in CODES else "no warning"
        scope.fail("E305", f"`{code}` is {what}", item.span, help=did_you_mean(code.upper(), warnings))
    if code not in _OF_SPECS:
        scope.fail("E305", f"{code} is told of data or of a run, and not of a spec", item.span, "not told here")
    found = [_family_or_name(name) for name in names]
    if None in found:
        scope.fail("E305", "a warning is accepted where a variable is declared or modelled", item.span, f"{code}(z)")
    return tuple(Accepted(code, name or "", item.span) for name in found or [""])


def _stages(scope: Scope, bound: Bound) -> tuple[Stage, ...]:
    """`[fit(q(z), p(x)), fit(p(z))]`."""
    usage = "stages = [fit(q(z), p(x)), fit(p(z))]"
    if not isinstance(bound.value, tree.Sizes):
        _wrong(scope, bound.value, "a list of stages", usage)
    found = []
    for item in bound.value.sizes:
        called = called_name(item)
        if called is None or called[0] != "fit" or not called[1]:
            _wrong(scope, item, "a stage, with what it fits,", usage)
        parts = [a for a in called[1] if not isinstance(a, tree.Keyword)]
        options = [a for a in called[1] if isinstance(a, tree.Keyword)]
        lr = None
        for option in options:
            if option.name != "lr" or lr is not None:
                scope.fail("E305", "a stage has one option, `lr`", option.span, f"`{option.name}`", help=usage)
            lr = _positive(scope, Bound(Argument("lr", "positive"), option.value, option.span))
        if not parts:
            _wrong(scope, item, "a stage, with what it fits,", usage)
        found.append(Stage(tuple(_fitted(scope, a, usage) for a in parts), lr, item.span))
    return tuple(found)


def _fitted(scope: Scope, expr: tree.Expr | tree.Keyword, usage: str) -> tuple[str, str]:
    """`z`, or `p(z)` and `q(z)`; of a family `z[t]`."""
    if isinstance(expr, tree.Quotation) and len(expr.heads) == 1:
        return expr.side, expr.heads[0].name
    name = _family_or_name(expr)
    if name is None:
        _wrong(scope, expr, "a variable, or its p or q,", usage)
    return "", name


def _family_or_name(expr: tree.Expr | tree.Keyword) -> str | None:
    """z of `z`, and of a family `z[t]`; None for what is neither."""
    if isinstance(expr, tree.Bracket) and len(expr.items) == 1 and isinstance(expr.items[0], tree.Name):
        return _family_or_name(expr.target)
    return expr.name if isinstance(expr, tree.Name) else None


READ: dict[str, Read] = {
    "count": _whole,
    "seed": _seed,
    "number": _number,
    "positive": _positive,
    "fraction": _fraction,
    "momentum": _momentum,
    "factor": _factor,
    "share": _share,
    "rate": _rate,
    "epochs": _epochs,
    "rows": _rows,
    "flag": _flag,
    "weight": _weight,
    "weights": _weights,
    "game": _game,
    "path": _path,
    "target": _target,
    "optimizer": _optimizer,
    "objective": _objective,
    "decay": _decay,
    "split": _split,
    "figure": _figure,
    "posterior": _posterior,
    "gradient": _gradient,
    "accept": _accept,
    "stages": _stages,
}
