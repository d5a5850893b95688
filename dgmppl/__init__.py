"""dgmppl: a small declarative language for deep generative models.

    >>> import dgmppl
    >>> model = dgmppl.compile("specs/latent/vae.dgm")      # an nn.Module
    >>> dgmppl.check("specs/latent/vae.dgm")                # its diagnostics, none here
    ()
    >>> run = dgmppl.train("specs/latent/vae.dgm", out="runs/vae", epochs=5)
    >>> run = dgmppl.load("runs/vae")                       # the same: run.model, run.encode(table), ...

A spec says what is random and how it factorises; sizes, objective, estimator and sampler are derived.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgmppl.diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun
    from dgmppl.fitting import resume as resume
    from dgmppl.fitting import train as train
    from dgmppl.notebook import Problems
    from dgmppl.pipeline import Checked
    from dgmppl.runtime import GenerativeModel

__version__ = "0.1.0"
__all__ = ["Diagnostic", "SpecError", "check", "compile", "explain", "load", "read", "resume", "train"]


def __getattr__(name: str) -> Any:
    """`train` and `resume`, from `dgmppl.fitting`: what they need is not imported before that. `dgmppl.train` is also
    the package of that name, which can be called."""
    if name == "train":
        return importlib.import_module("dgmppl.train")
    if name == "resume":
        return importlib.import_module("dgmppl.fitting").resume
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def read(spec: str | Path, overrides: Sequence[str] = (), allow_python: bool = False) -> Checked:
    """A spec (a path, or the text itself), checked: its `graph`, its `plan` and its `diagnostics`, as far as it came.

    Imports no torch. In a notebook it shows its text with what is wrong with it, or with the formula of its objective;
    so do `plan` and `graph`, a formula and a picture.

    Raises:
        SpecError: the file cannot be read, or an override is none.
    """
    from dgmppl import pipeline

    return pipeline.read(spec, overrides, allow_python)


def check(spec: str | Path, overrides: Sequence[str] = (), allow_python: bool = False) -> Problems:
    """What is wrong with a spec (a path, or the text itself): errors and warnings, none when it is fine.

    A tuple of `Diagnostic`; as text (`print`), and in a notebook, it has the lines that they are about, with carets.

    Imports no torch. `overrides` are settings and constants as `--set` takes them: `["train.epochs=5", "T=3"]`, or
    one of them by itself. With `allow_python` the spec may name Python classes as networks; they are not imported here.

    Raises:
        SpecError: the file cannot be read, or an override is none.
    """
    from dgmppl import notebook, pipeline

    found = pipeline.read(spec, overrides, allow_python)
    return notebook.Problems.of(found.diagnostics, found.source)


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
    classes as networks; they are not imported here. In a notebook text stands below the formula of the objective.

    Raises:
        SpecError: the spec is wrong.
        ValueError: an unknown format.
    """
    from dgmppl import forecasts, notebook, pipeline
    from dgmppl.plan.explain import FORMATS, explain_plan

    if format not in FORMATS:
        raise ValueError(f"format is one of {', '.join(FORMATS)}, not {format!r}")
    checked = pipeline.read(spec, overrides, allow_python)
    if checked.plan is None:
        raise SpecError(checked.errors, checked.source)
    text = explain_plan(checked.plan, format, forecasts=forecasts.told(checked))
    return notebook.Explanation.of(text, checked.plan) if format == "text" else text


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
