"""`dgmppl.train` and `dgmppl.resume`: what the command `train` does, said in Python."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgmppl import notebook, pipeline
from dgmppl.apply.fitted import FittedRun
from dgmppl.callbacks import Callback, tell_epoch, tell_figures
from dgmppl.catalogue.training import SETTINGS
from dgmppl.data.given import Given, read_given
from dgmppl.diagnostics import Diagnostic, SpecError, did_you_mean
from dgmppl.diagnostics.render import render
from dgmppl.lifecycle import ComputeOptions, RunCallbacks, resume_run, train_spec
from dgmppl.pipeline import Checked
from dgmppl.syntax import tree
from dgmppl.syntax.ends import open_ends
from dgmppl.train.runs import Run

if TYPE_CHECKING:
    from dgmppl.runtime import GenerativeModel


def train(
    spec: str | Path,
    *,
    data: Any = None,
    out: str | Path | None = None,
    callbacks: Iterable[Callback] = (),
    overrides: Sequence[str] = (),
    overwrite: bool = False,
    device: str = "auto",
    precision: str = "32",
    compile: bool = False,
    checkpoint_every: float = 30.0,
    progress: bool = True,
    allow_python: bool = False,
    **settings: Any,
) -> FittedRun:
    """Fits a spec (a path, or the text itself) to its data, or to `data`; the run, opened, as `dgmppl.load` gives it.

        run = dgmppl.train("specs/latent/vae.dgm", out="runs/vae", epochs=5, H=32)
        run = dgmppl.train(text, data=table, lr=3e-4, callbacks=[wandb.init()])

    Args:
        data: takes the place of what the spec reads: a DataFrame, arrays by variable or column, or one array where the
            spec has one variable; see `dgmppl.data.given`. The spec's transforms and its split are for them, sizes that
            it does not declare, as D of `observed x : real[D]`, are theirs, and it need not say `from`. The run keeps
            them, in `data.parquet`.
        out: the folder of the run; None: a temporary one, which lasts as long as what is returned, without pictures.
        callbacks: functions of each epoch, and loggers; see `dgmppl.callbacks`.
        overrides: settings and constants as `--set` takes them, as `["train.epochs=5"]`.
        overwrite: replace `out` if it holds a run.
        device: "auto", "cpu" or "cuda".
        precision: "32", "bf16" or "16", that of the networks.
        compile: have torch compile the networks.
        checkpoint_every: seconds between checkpoints.
        progress: show it on standard error.
        allow_python: import the classes that the spec names as networks, code that runs as any other.
        settings: those of `train { ... }` by name, and constants of the spec: numbers, booleans, or texts as a spec has
            them, `split="shuffled(0.8, 0.1, 0.1)"`.

    Raises:
        SpecError: the spec is wrong, the data do not fit it, `out` is taken, or the fit fails.
        KeyboardInterrupt: it was interrupted; `dgmppl.resume` goes on with what is in `out`.
    """
    callbacks = tuple(callbacks)
    told = tell_epoch(callbacks)
    overrides = (overrides,) if isinstance(overrides, str) else tuple(overrides)
    overrides = (*overrides, *_as_overrides(spec, settings))
    given = None
    if data is None:
        checked = pipeline.read(spec, overrides, allow_python)
    else:
        read = pipeline.read(spec, overrides, allow_python, files=False)
        if read.spec is None:
            raise SpecError(read.diagnostics, read.source)
        given = read_given(read.spec, read.source, data)
        checked = pipeline.check(given.source, read.path, (*overrides, *given.sizes), read.python)
    if checked.plan is None:
        raise _error(SpecError(checked.diagnostics, checked.source), given)
    _warn(checked, given)
    temporary = tempfile.TemporaryDirectory(prefix="dgmppl-") if out is None else None
    place = Path(temporary.name) / "run" if temporary is not None else Path(str(out))
    compute = ComputeOptions(device, 1, precision, compile)
    with ExitStack() as stack:
        watching = _callbacks(stack, told, checked, checkpoint_every, progress, pictures=temporary is None)
        table = None if given is None else given.table
        if given is not None:
            watching = replace(watching, on_warning=lambda found: _warn_of(given.told(found)))
        try:
            model, run = train_spec(checked, place, compute, watching, overwrite=overwrite, table=table)
        except SpecError as error:
            raise _error(error, given) from None
    return _opened(model, run, callbacks, temporary)


def resume(
    run: str | Path,
    *,
    callbacks: Iterable[Callback] = (),
    data_folder: str | Path | None = None,
    device: str | None = None,
    checkpoint_every: float = 30.0,
    progress: bool = True,
    allow_python: bool = False,
    **settings: Any,
) -> FittedRun:
    """Goes on with a run that was killed or interrupted, to the bits of one that was not; one that has finished is
    opened as it is, or with a larger `epochs` or `patience` lengthened.

    Args:
        run: its folder.
        callbacks: as `train` has them.
        data_folder: where the data of the fit is now, if it was moved apart from the run.
        device: another one than before.
        settings: `epochs` and `patience`.

    Raises:
        SpecError: it is no run, or its spec, settings or data changed since; another process works on it.
        KeyboardInterrupt: it was interrupted again.
    """
    callbacks, path = tuple(callbacks), Path(run)
    told = tell_epoch(callbacks)
    overrides = tuple(f"train.{name}={_as_text(name, value)}" for name, value in settings.items())
    how = {"device": device} if device is not None else {}
    folder = Path(data_folder) if data_folder is not None else None
    with ExitStack() as stack:
        from dgmppl.lifecycle import read_run_spec

        checked = read_run_spec(path, overrides, allow_python)
        watching = _callbacks(stack, told, checked, checkpoint_every, progress)
        model, found = resume_run(path, how, watching, overrides, None, folder, allow_python)
    return _opened(model, found, callbacks, None, folder)


def _as_overrides(spec: str | Path, settings: dict[str, Any]) -> tuple[str, ...]:
    """Settings and constants by name, as `--set` takes them."""
    found = []
    constants: set[str] | None = None
    if "devices" in settings:
        headline = "several devices are several processes, and Python has one: a fit from here is on one device"
        help_ = "`dgmppl train SPEC --out RUN --devices 2`, and then dgmppl.load"
        raise SpecError([Diagnostic("E705", headline, help=help_)])
    for name, value in settings.items():
        if name not in SETTINGS and constants is None:
            read = pipeline.read(spec, files=False).spec
            named = () if read is None else (s.name for s in read.statements if isinstance(s, tree.Const))
            constants = {*named, *(open_ends(read) if read is not None else ())}
        if (name not in SETTINGS and constants and name not in constants) or constants == set():
            help_ = did_you_mean(name, [*SETTINGS, *(constants or ())], f"settings are {', '.join(SETTINGS)}")
            raise SpecError([Diagnostic("E705", f"there is no setting or constant `{name}`", help=help_)])
        text = _as_text(name, value)
        found.append(f"train.{name}={text}" if name in SETTINGS else f"{name}={text}")
    return tuple(found)


def _as_text(name: str, value: Any) -> str:
    """A value as a spec writes it."""
    if isinstance(value, str):
        return value
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, bool):
        return str(plain).lower()
    if isinstance(plain, int | float):
        return repr(plain)
    help_ = 'a number, a boolean, or a text as a spec has it, "shuffled(0.8, 0.1, 0.1)"'
    raise SpecError([Diagnostic("E705", f"`{name}` cannot be {type(value).__name__}", help=help_)])


def _callbacks(
    stack: ExitStack, told: Any, checked: Checked, every: float, progress: bool, pictures: bool = True
) -> RunCallbacks:
    """What a run tells of its fit: progress first, then the callbacks."""
    if not progress or checked.plan is None:
        return RunCallbacks(told, on_warning=_warn_of, checkpoint_every=every, pictures=pictures)
    from dgmppl.train.progress import show_progress

    shown = stack.enter_context(show_progress(checked.plan.settings.epochs))

    def on_epoch(epoch: Any) -> None:
        shown.on_epoch(epoch)
        told(epoch)

    return RunCallbacks(
        on_epoch, shown.on_step, _warn_of, on_closing=shown.on_closing, checkpoint_every=every, pictures=pictures
    )


def _error(error: SpecError, given: Given | None) -> SpecError:
    """An error of a fit, about what it was given."""
    return error if given is None else given.error(error)


def _warn(checked: Checked, given: Given | None = None) -> None:
    """Warnings about a spec, with their places."""
    if checked.diagnostics:
        found = _error(SpecError(checked.diagnostics, checked.source), given)
        warnings.warn(render(found.diagnostics, found.source), UserWarning, stacklevel=3)


def _warn_of(found: Diagnostic) -> None:
    warnings.warn(render([found], None), UserWarning, stacklevel=2)


def _opened(
    model: GenerativeModel,
    run: Run,
    callbacks: tuple[Callback, ...],
    temporary: tempfile.TemporaryDirectory[str] | None,
    data_folder: Path | None = None,
) -> FittedRun:
    """What a fit left, opened."""
    if run.record["state"] == "interrupted":
        raise KeyboardInterrupt(f"interrupted; dgmppl.resume({str(run.path)!r}) goes on")
    found = FittedRun(notebook.with_picture(model.eval(), run.checked), run, data_folder, temporary)
    tell_figures(callbacks, found.figures, int(run.record.get("epochs", 0)))
    return found
