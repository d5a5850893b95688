"""dgmppl: a small declarative language for deep generative models.

    >>> import dgmppl
    >>> model = dgmppl.compile("specs/latent/vae.dgm")      # an nn.Module
    >>> dgmppl.check("specs/latent/vae.dgm")                # its diagnostics, none here
    ()
    >>> run = dgmppl.load("runs/vae")                       # a run: run.model, run.encode(table), ...

A spec says what is random and how it factorises; sizes, objective, estimator and sampler are derived.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dgmppl.diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun
    from dgmppl.runtime import GenerativeModel

__version__ = "0.1.0"
__all__ = ["Diagnostic", "SpecError", "check", "compile", "explain", "load"]


def check(spec: str | Path, overrides: Sequence[str] = (), allow_python: bool = False) -> tuple[Diagnostic, ...]:
    """What is wrong with a spec (a path, or the text itself): errors and warnings, none when it is fine.

    Imports no torch. `overrides` are settings and constants as `--set` takes them: `["train.epochs=5", "T=3"]`, or
    one of them by itself. With `allow_python` the spec may name Python classes as networks; they are not imported here.

    Raises:
        SpecError: the file cannot be read, or an override is none.
    """
    from dgmppl import pipeline

    return pipeline.read(spec, overrides, allow_python).diagnostics


def compile(
    spec: str | Path, target: str = "torch", overrides: Sequence[str] = (), allow_python: bool = False
) -> GenerativeModel:
    """A spec (a path, or the text itself) as an `nn.Module`, from the source that `dgmppl compile` prints.

    The torch module has `loss`, `elbo` or `log_prob` where they exist, `sample(n, **conditions)`, and a method for
    each factor; the Pyro one has `model` and `guide`. Quantities are in nats, tensors batch first.

    Args:
        target: "torch" or "pyro".
        overrides: settings and constants as `--set` takes them.
        allow_python: import the classes that the spec names as networks, code that runs as any other.

    Raises:
        SpecError: the spec is wrong, or Pyro cannot express the model; its text is the message of the command line.
        ValueError: an unknown target.
    """
    from dgmppl import notebook, pipeline

    if target not in pipeline.TARGETS:
        raise ValueError(f"target is one of {', '.join(pipeline.TARGETS)}, not {target!r}")
    checked = pipeline.read(spec, overrides, allow_python)
    return notebook.with_picture(pipeline.fill(pipeline.build(checked, target), checked), checked)


def explain(spec: str | Path, format: str = "text", overrides: Sequence[str] = (), allow_python: bool = False) -> str:
    """What is derived from a spec, and why: "text", "json" or "latex". With `allow_python` the spec may name Python
    classes as networks; they are not imported here.

    Raises:
        SpecError: the spec is wrong.
        ValueError: an unknown format.
    """
    from dgmppl import forecasts, pipeline
    from dgmppl.plan.explain import FORMATS, explain_plan

    if format not in FORMATS:
        raise ValueError(f"format is one of {', '.join(FORMATS)}, not {format!r}")
    checked = pipeline.read(spec, overrides, allow_python)
    if checked.plan is None:
        raise SpecError(checked.errors, checked.source)
    return explain_plan(checked.plan, format, forecasts=forecasts.told(checked))


def load(
    run: str | Path, device: str = "cpu", allow_python: bool = False, data_folder: str | Path | None = None
) -> FittedRun:
    """A run folder with its model and its data: `run.encode(table)`, ...; `run.model` is the trained `nn.Module`.

    Its spec is compiled anew: no code of the folder is run.

    Args:
        device: "cpu", "cuda" or "auto".
        allow_python: import the classes that the spec names as networks, code that runs as any other.
        data_folder: where the data of the fit is now, if it was moved apart from the run.

    Raises:
        SpecError: the folder is no run, or its weights do not fit its spec.
    """
    from dgmppl import notebook
    from dgmppl.apply.fitted import open_run

    found = open_run(Path(run), device, allow_python, Path(data_folder) if data_folder is not None else None)
    notebook.with_picture(found.model, found.run.checked)
    return found
