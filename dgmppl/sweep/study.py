"""The study of a sweep, which is Optuna's: who takes which trial, with which values, and what came of it.

A trial's state is in the study; whether the process that runs it is alive is told by the lock in its folder. A trial
that nobody runs any more, its process killed or interrupted, is taken up again under its number and counts once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import optuna
from filelock import FileLock
from optuna.exceptions import StorageInternalError
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from dgmppl.catalogue.figures import Figure
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.sweep.folder import SweepFolder
from dgmppl.sweep.ranges import Choices, Range
from dgmppl.sweep.storage import database_fails, silenced

_STARTS = 3
"""How often a trial is started before it is given up: one that runs out of memory takes its process along."""
_COMPARED = 5
"""Trials that run to their end before any is pruned, or names are weighed."""
_PLACE, _STARTED, _WHY, _IDENTITY = "place", "starts", "why", "identity"
_STATES = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class Row:
    """A trial as it is shown. `state` is "done", "pruned", "failed" or "running"; `values` are as --set takes them."""

    number: int
    state: str
    value: float | None
    values: dict[str, str]
    why: str = ""


@dataclass(frozen=True)
class Trial:
    """A trial that this process has taken, and the lock that says so."""

    trial: optuna.Trial
    values: dict[str, str]
    lock: FileLock
    reported: set[int] = field(default_factory=set)

    @property
    def number(self) -> int:
        return self.trial.number

    @property
    def overrides(self) -> tuple[str, ...]:
        return tuple(f"{name}={value}" for name, value in self.values.items())


class Study:
    """Opens the study of a folder, or begins it.

    Args:
        folder: of the sweep.
        ranges: what is searched.
        storage: where the study is kept.
        figure: what trials are compared by.
        warmup: epochs of a trial before it may be pruned.

    Raises:
        SpecError: E728 when a database has another study of the folder's name; E730 when it fails.
    """

    def __init__(
        self, folder: SweepFolder, ranges: Sequence[Range], storage: BaseStorage, figure: Figure, warmup: int = 1
    ) -> None:
        self.folder = folder
        self.ranges = ranges
        self.figure = figure
        self.lower = figure.lower_is_better
        search = folder.search
        identity = [search.spec_digest, search.figure, *search.ranges, *search.overrides]
        with self._quiet(), folder.locked():
            self._study = optuna.create_study(
                storage=storage,
                study_name=folder.path.resolve().name if search.storage else "sweep",
                direction="minimize" if self.lower else "maximize",
                pruner=_pruner(warmup) if search.prune else NopPruner(),
                load_if_exists=True,
            )
            known = self._study.user_attrs.get(_IDENTITY)
            if known is None:
                self._study.set_user_attr(_IDENTITY, identity)
        if known not in (None, identity):
            headline = f"{search.storage} has a study `{self._study.study_name}` of another spec or other ranges"
            help_ = "a study has the name of its sweep's folder: name another with --out"
            raise SpecError([Diagnostic("E728", headline, help=help_)])

    def take(self, budget: int) -> Trial | None:
        """A trial to run, one that its process left behind or else a new one; None when there is none left."""
        with self._quiet(), self.folder.locked():
            trials = self._study.get_trials(deepcopy=False)
            for frozen in trials:
                if frozen.state == TrialState.RUNNING and self._is_here(frozen):
                    trial = self._take_up(frozen)
                    if trial is not None:
                        return trial
            if len(trials) >= budget:
                return None
            self._study.sampler = _sampler(self.folder.search.seed, len(trials))
            return self._start(self._study.ask())

    def report(self, trial: Trial, epoch: int, value: float) -> bool:
        """Whether the trial is to end here, given its figure after an epoch."""
        if not self.folder.search.prune or epoch in trial.reported or not math.isfinite(value):
            return False
        trial.reported.add(epoch)
        with self._quiet():
            trial.trial.report(value, epoch)
            return trial.trial.should_prune()

    def finish(self, trial: Trial, value: float, why: str = "") -> None:
        self._tell(trial, TrialState.COMPLETE, why, value)

    def prune(self, trial: Trial) -> None:
        self._tell(trial, TrialState.PRUNED)

    def fail(self, trial: Trial, why: str) -> None:
        self._tell(trial, TrialState.FAIL, why)

    def rows(self) -> tuple[Row, ...]:
        """All trials, in the order in which they were taken."""
        with self._quiet():
            return tuple(self._row(frozen) for frozen in self._study.get_trials(deepcopy=False))

    def importances(self) -> dict[str, float]:
        """The share of each name in how far the best trials differ from the others; empty with too few trials.

        Watanabe et al. (2023), PED-ANOVA, as Optuna has it.
        """
        with self._quiet():
            done = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if len(self.ranges) < 2 or len(done) < _COMPARED:
                return {}
            try:
                found = get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator())
            except (ValueError, RuntimeError, ArithmeticError):
                return {}  # all figures alike, say
            return {name: float(share) for name, share in found.items() if math.isfinite(share)}

    def _is_here(self, frozen: FrozenTrial) -> bool:
        """Whether the process of a running trial shares this folder, so that its lock tells if it is alive."""
        return not self.folder.search.storage or frozen.user_attrs.get(_PLACE) == self.folder.id

    def _take_up(self, frozen: FrozenTrial) -> Trial | None:
        """A trial whose process is gone, from now on this one's; None when it is alive, or the trial is given up."""
        lock = self.folder.claim(frozen.number)
        if lock is None:
            return None
        self._study.sampler = _sampler(self.folder.search.seed, frozen.number)
        trial = optuna.Trial(self._study, frozen._trial_id)
        if frozen.user_attrs.get(_STARTED, 0) < _STARTS:
            return self._start(trial, lock, frozen.intermediate_values.keys())
        self.fail(Trial(trial, {}, lock), f"its process ended {_STARTS} times before it did")
        return None

    def _start(self, trial: optuna.Trial, lock: FileLock | None = None, reported: Iterable[int] = ()) -> Trial:
        """The trial with its values drawn, those that were not yet, and its start noted."""
        lock = lock or self.folder.claim(trial.number)
        if lock is None:
            place = self.folder.trial(trial.number)
            headline = f"{place}.lock is held, but the study has no such trial"
            raise SpecError([Diagnostic("E729", headline, help="does another study write to this folder?")])
        trial.set_user_attr(_PLACE, self.folder.id)
        trial.set_user_attr(_STARTED, int(trial.user_attrs.get(_STARTED, 0)) + 1)
        values = {one.name: one.written(_suggest(trial, one)) for one in self.ranges}
        return Trial(trial, values, lock, set(reported))

    def _tell(self, trial: Trial, state: TrialState, why: str = "", value: float | None = None) -> None:
        with self._quiet():
            if why:
                trial.trial.set_user_attr(_WHY, why)
            self._study.tell(trial.trial, value, state=state)
        trial.lock.release()

    def _row(self, frozen: FrozenTrial) -> Row:
        ranges = {one.name: one for one in self.ranges}
        values = {name: ranges[name].written(value) for name, value in frozen.params.items() if name in ranges}
        value = frozen.value if frozen.state in (TrialState.COMPLETE, TrialState.PRUNED) else None
        why = str(frozen.user_attrs.get(_WHY, ""))
        return Row(frozen.number, _STATES.get(frozen.state, "running"), value, values, why)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Around all that Optuna does: silent, and a storage that fails is told as such."""
        try:
            with silenced():
                yield
        except StorageInternalError as error:
            raise database_fails(self.folder.search.storage, error.__cause__ or error) from None
        except OSError as error:
            headline = f"cannot write to {self.folder.path}: {error.strerror or error}"
            raise SpecError([Diagnostic("E607", headline)]) from None


def _suggest(trial: optuna.Trial, one: Range) -> float | str:
    if isinstance(one, Choices):
        return str(trial.suggest_categorical(one.name, one.options))
    if one.whole:
        return trial.suggest_int(one.name, int(one.low), int(one.high), log=one.log)
    return trial.suggest_float(one.name, one.low, one.high, log=one.log)


def _sampler(seed: int, number: int) -> BaseSampler:
    """The sampler of one trial, which draws with numbers of its own.

    So the processes of a sweep draw different values, and one process alone draws the same ones however often it
    was interrupted. Tree-structured Parzen estimators, Bergstra et al. (2011), of all names together; a trial that
    is still running counts as a bad one, which keeps others from its neighbourhood.
    """
    drawn = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
    return TPESampler(seed=drawn, multivariate=True, constant_liar=True)


def _pruner(warmup: int) -> BasePruner:
    """Ends a trial whose best figure so far is worse than the median of the others' at the same epoch."""
    return MedianPruner(n_startup_trials=_COMPARED, n_warmup_steps=warmup)
