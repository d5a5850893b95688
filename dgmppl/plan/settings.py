"""The `train { ... }` block: how to fit, checked."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dgmppl.catalogue.training import POSTERIORS, SETTINGS
from dgmppl.diagnostics import Diagnostic, Note, did_you_mean
from dgmppl.graph.scope import Scope
from dgmppl.plan.setting_numbers import called_name
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
from dgmppl.plan.setting_values import read
from dgmppl.plan.setting_values import setting as as_bound
from dgmppl.source import Source, Span
from dgmppl.syntax import tree

__all__ = [
    "DecaySetting",
    "ObjectiveSetting",
    "OptimizerSetting",
    "PathSetting",
    "RampSetting",
    "SplitSetting",
    "TrainSettings",
    "check_settings",
    "check_train",
]


_OPTIMIZER = OptimizerSetting("adamax", 1e-3)


@dataclass(frozen=True)
class TrainSettings:
    """How to fit.

    `batch` counts the rows of a step over all processes, computed in `accumulate` parts by each of them; `clip` bounds
    the norm of the gradient; `lr` is that of `optimizer`, and `adversary_optimizer` defaults to it; `warmup` counts
    steps; `ema` is the decay of the averaged weights. Without `split` a data set keeps its own; without `stream`
    what is large is streamed. `units`: whether networks count in units of the data. `best`: the figure that chooses
    the epoch, "" for that of the whole. `posterior`: what each q reads that is derived; `gradient`: the estimators that
    variables are given; `accept`: warnings that are not told; `stages`: parts of the fit, of which each has up to
    `epochs`, and ends by `patience`.
    """

    epochs: int = 1000
    patience: int = 20
    batch: int = 64
    accumulate: int = 1
    optimizer: OptimizerSetting = _OPTIMIZER
    adversary_optimizer: OptimizerSetting | None = None
    adversary_steps: int = 1
    seed: int = 0
    clip: float | None = None
    warmup: int = 0
    decay: DecaySetting | None = None
    ema: float | None = None
    split: SplitSetting | None = None
    stream: bool | None = None
    units: bool = True
    best: str = ""
    posterior: str = "structured"
    gradient: dict[str, str] = field(default_factory=dict)
    accept: tuple[Accepted, ...] = ()
    stages: tuple[Stage, ...] = ()

    @property
    def most_epochs(self) -> int:
        """How many epochs a fit has at most, over all its stages."""
        return self.epochs * max(1, len(self.stages))


def asks_for_factorised(spec: tree.Spec) -> bool:
    """Whether each q that is derived is to read the data alone."""
    asked = [s.value for s in _all_settings(spec) if s.name == "posterior"]
    return bool(asked) and isinstance(asked[-1], tree.Name) and asked[-1].name == "factorised"


def setting_span(spec: tree.Spec, name: str) -> Span:
    """Where a setting stands that the spec has."""
    return next(s.span for s in _all_settings(spec) if s.name == name)


def _all_settings(spec: tree.Spec) -> list[tree.Setting]:
    return [s for block in spec.statements if isinstance(block, tree.Train) for s in block.settings]


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
                    if setting.name == "q":
                        help_ = f"for latents that have no q: {' or '.join(f'posterior = {p}' for p in POSTERIORS)}"
                    scope.fail("E304", f"`train` has no setting `{setting.name}`", setting.name_span, help=help_)
                if setting.subscripts:
                    help_ = f"{setting.name} = ...; members of a family stand in a record: weight = {{ z[t] = 0.5 }}"
                    scope.fail("E305", f"`{setting.name}` is no family", setting.subscripts[0].span, help=help_)
                if setting.name in seen:
                    scope.fail(
                        "E202",
                        f"`{setting.name}` is set twice",
                        setting.name_span,
                        "set again",
                        notes=(Note(seen[setting.name], "first set here"),),
                    )
                seen[setting.name] = setting.name_span
                settings[setting.name] = read(scope, as_bound(setting, SETTINGS[setting.name]))
    objective = settings.pop("objective", None)
    lr = settings.pop("lr", None)
    found = replace(TrainSettings(), **settings)  # type: ignore[arg-type]
    if isinstance(lr, float):
        if "optimizer" in seen and not seen["lr"].override and _has_rate(spec):
            scope.report(
                "E202",
                "the learning rate is given twice",
                seen["lr"],
                "given again",
                notes=(Note(seen["optimizer"], "first given here"),),
                help="either `optimizer = adamax(1e-3)` or `lr = 1e-3`",
            )
        found = replace(found, optimizer=replace(found.optimizer, lr=lr))
    return found, objective  # type: ignore[return-value]


def _has_rate(spec: tree.Spec) -> bool:
    """Whether the optimiser comes with a learning rate of its own."""
    settings = [s for b in spec.statements if isinstance(b, tree.Train) for s in b.settings if s.name == "optimizer"]
    called = called_name(settings[-1].value) if settings else None
    return called is not None and any(not isinstance(a, tree.Keyword) or a.name == "lr" for a in called[1])
