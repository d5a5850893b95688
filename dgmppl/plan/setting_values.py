"""The values that settings of `train { ... }` take: names with options, and a reader for each kind of value.

To add a kind of value: its reader in `READ`, under the kind that the tables of `dgmppl.catalogue.training` name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dgmppl.catalogue.signature import Argument, Signature
from dgmppl.catalogue.training import (
    DECAYS,
    GAMES,
    OBJECTIVES,
    OPTIMIZERS,
    PATHS,
    RAMPS,
    SPLITS,
    TARGETS,
    UNBUILT_OBJECTIVES,
)
from dgmppl.diagnostics import did_you_mean
from dgmppl.graph.binding import Bound, bind
from dgmppl.graph.scope import Scope
from dgmppl.plan.entries import members_of
from dgmppl.plan.setting_names import NAMES
from dgmppl.plan.setting_numbers import NUMBERS, Read, called_name, read_number, read_whole, wrong
from dgmppl.plan.setting_types import (
    DecaySetting,
    ObjectiveSetting,
    OptimizerSetting,
    PathSetting,
    RampSetting,
    SplitSetting,
)
from dgmppl.syntax import tree


def read(scope: Scope, bound: Bound) -> Any:
    """The value of a setting, or of an option of one, as its kind has it. Reports what it cannot be (E305)."""
    return READ[bound.argument.kind](scope, bound)


def setting(node: tree.Setting, kind: str) -> Bound:
    """A setting as a bound argument."""
    return Bound(Argument(node.name, kind), node.value, node.span)


def _named(
    scope: Scope, expr: tree.Expr, what: str, table: Mapping[str, Signature], how: str
) -> tuple[str, dict[str, Bound]]:
    """A name of a table, with its arguments bound. `how` says how one is written."""
    called = called_name(expr)
    if called is None:
        wrong(scope, expr, f"{'an' if what[0] in 'aeiou' else 'a'} {what}", how)
    name, arguments = called
    if name not in table:
        place = expr.target.span if isinstance(expr, tree.Call) else expr.span
        help_ = did_you_mean(name, table, f"one of {', '.join(table)}")
        scope.fail("E305", f"unknown {what} `{name}`", place, help=help_)
    return name, dict(bind(scope, table[name], arguments, expr.span, "E305").given)


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
        return read_number(scope, bound, wanted=wanted)
    name, given = _named(scope, bound.value, "ramp", RAMPS, "a number, or linear(0, 1, epochs = 50)")
    start, end = read_number(scope, given["start"]), read_number(scope, given["end"])
    return RampSetting(name, start, end, read_whole(scope, given["epochs"]) if "epochs" in given else None)


def _weights(scope: Scope, bound: Bound) -> dict[str, float | RampSetting | None]:
    """A weight for each variable; None where it is `simple`."""
    if not isinstance(bound.value, tree.Record):
        wrong(scope, bound.value, "a record of weights by variable", "weight = { x = 0.01 }")
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
        wrong(scope, bound.value, "a target", f"one of {', '.join(TARGETS)}")
    if called[0] not in TARGETS:
        help_ = did_you_mean(called[0], TARGETS, f"one of {', '.join(TARGETS)}")
        scope.fail("E305", f"unknown target `{called[0]}`", bound.value.span, help=help_)
    return called[0]


READ: dict[str, Read] = {
    **NUMBERS,
    "weight": _weight,
    "weights": _weights,
    "game": _game,
    "path": _path,
    "target": _target,
    "optimizer": _optimizer,
    "objective": _objective,
    "decay": _decay,
    "split": _split,
    **NAMES,
}
