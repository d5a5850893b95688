"""What `dgmppl.train` tells of a fit, and whom: functions, and loggers such as a run of W&B or the module of MLflow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from dgmppl.train.history import Epoch


@runtime_checkable
class Logger(Protocol):
    """Takes numbers by name and the step they are of, as a run of W&B does and the module `wandb` with one begun."""

    def log(self, data: dict[str, Any], step: int | None = None) -> object: ...


@runtime_checkable
class MetricsLogger(Protocol):
    """The same under the name that the module `mlflow`, Comet's experiments and Lightning's loggers give it."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> object: ...


Callback: TypeAlias = "Logger | MetricsLogger | Callable[[Epoch], object]"
"""A function is called with each `Epoch`. A logger is given the same as numbers by name, `loss/model`, `term/...`,
`rate/model`, `validation/elbo`, `time/seconds`, at the number of the epoch as the step; and at the end the figures,
`train/elbo` and `test/elbo`, at the last. Names are of letters, digits and `_-./`; what is not finite is left out."""


def tell_epoch(callbacks: Iterable[Callback]) -> Callable[[Epoch], None]:
    """One function that tells all of them of an epoch, in order.

    Raises:
        TypeError: for what is none of the three.
    """
    told = [_of_epoch(callback) for callback in callbacks]

    def tell(epoch: Epoch) -> None:
        for one in told:
            one(epoch)

    return tell


def _of_epoch(callback: Callback) -> Callable[[Epoch], object]:
    log = _log_of(callback)
    if log is not None:
        return lambda epoch: log(_numbers(epoch), epoch.number)
    if not callable(callback):
        expected = "a callback is a function of an epoch, or has `log(dict, step=...)` or `log_metrics(dict, step=...)`"
        raise TypeError(f"{expected}; {type(callback).__name__} is none of them")
    return callback


def _log_of(callback: object) -> Callable[[dict[str, float], int], object] | None:
    """How a logger is given numbers; None for a function."""
    if isinstance(callback, MetricsLogger):
        metrics = callback.log_metrics
        return lambda numbers, step: metrics(numbers, step=step)
    if isinstance(callback, Logger):
        log = callback.log
        return lambda numbers, step: log(numbers, step=step)
    return None


def _numbers(epoch: Epoch) -> dict[str, float]:
    from dgmppl.train.events import scalars

    return dict(scalars(epoch))


def tell_figures(callbacks: Iterable[Callback], figures: Mapping[str, Mapping[str, Any]], step: int) -> None:
    """Gives loggers the figures of a run that has finished; those on the validation rows were told at each epoch."""
    from dgmppl.train.events import tag

    found = {
        f"{split}/{tag(name)}": float(estimate["mean"])
        for split, of in figures.items()
        for name, estimate in of.items()
        if split != "validation" and estimate.get("mean") is not None
    }
    for callback in callbacks:
        log = _log_of(callback)
        if log is not None and found:
            log(found, step)


__all__ = ["Callback", "Logger", "MetricsLogger"]
