"""What commands do with specs and files: read them with their warnings shown, write text, say what went wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dgmppl.diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    from dgmppl.graph.nodes import Graph
    from dgmppl.pipeline import Checked
    from dgmppl.plan.nodes import Plan


def read(path: Path, overrides: Sequence[str], allow_python: bool = False) -> Checked:
    from dgmppl import pipeline

    return pipeline.read(path, tuple(overrides), allow_python)


def read_good(path: Path, overrides: Sequence[str], allow_python: bool = False) -> tuple[Checked, Graph, Plan]:
    """The checked spec, its warnings shown; raises a SpecError when it has errors."""
    checked = read(path, overrides, allow_python)
    if checked.graph is None or checked.plan is None:
        raise SpecError(checked.diagnostics, checked.source)
    if checked.diagnostics:
        print_diagnostics(checked)
    return checked, checked.graph, checked.plan


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError([Diagnostic("E701", f"cannot read {path}: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise SpecError([Diagnostic("E701", f"cannot read {path}: it is no UTF-8 text")]) from None


def write_text(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> SpecError:
    return SpecError([Diagnostic("E607", f"cannot write {path}: {error.strerror}")])


def print_diagnostics(found: Checked | SpecError) -> None:
    from dgmppl.diagnostics.render import render

    color = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    print(render(found.diagnostics, found.source, "text", color), file=sys.stderr)


def print_warning(found: Diagnostic) -> None:
    """Shows a warning that comes up while a command runs; a terminal that is gone does not end the command."""
    with suppress(OSError):
        print_diagnostics(SpecError([found]))
