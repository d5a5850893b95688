"""The stages in order: text, syntax tree, typed graph, plan, source, module.

Each is a function from one frozen value to the next; nothing here prints. Up to `emit` nothing imports torch.
"""

from __future__ import annotations

import linecache
import math
import re
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.emit.pyro_target import emit_pyro
from dgmppl.emit.torch_target import emit_torch
from dgmppl.emit.writer import Emitted
from dgmppl.graph.elaborate import check_graph
from dgmppl.graph.inverse import derive_posteriors
from dgmppl.graph.nodes import Graph
from dgmppl.graph.units import with_units
from dgmppl.imports import NO_PYTHON, Python, classes_in, import_classes, verify_allowed
from dgmppl.plan.accepted import without_accepted
from dgmppl.plan.cancel import cancel_constants
from dgmppl.plan.choose import check_plan, missing_posteriors
from dgmppl.plan.nodes import Plan
from dgmppl.plan.settings import asks_for_factorised, check_train
from dgmppl.protocol import NetworkError
from dgmppl.source import Source, Span
from dgmppl.syntax import tree
from dgmppl.syntax.ends import first_of, open_ends, rank_of, sources_of
from dgmppl.syntax.override import apply_overrides, name_override
from dgmppl.syntax.parse import parse_spec

if TYPE_CHECKING:
    from dgmppl.runtime import GenerativeModel

TARGETS = {"torch": emit_torch, "pyro": emit_pyro}


@dataclass(frozen=True)
class Checked:
    """A spec after its checks: as far as it came, and what was said about it."""

    source: Source
    path: Path | None
    overrides: tuple[str, ...]
    spec: tree.Spec | None
    graph: Graph | None
    plan: Plan | None
    diagnostics: tuple[Diagnostic, ...]
    python: Python = NO_PYTHON
    completed: tree.Spec | None = None
    """The spec with the posteriors that were derived for it, where it has none of its own."""

    @property
    def ok(self) -> bool:
        return self.plan is not None

    @property
    def folder(self) -> Path:
        """Where relative paths of files start from: the folder that the spec lies in."""
        return self.path.parent if self.path else Path()

    def __repr__(self) -> str:
        from dgmppl.words import counted

        name = self.spec.name if self.spec is not None else "no model"
        errors, warned = len(self.errors), len(self.diagnostics) - len(self.errors)
        found = [counted(number, what) for number, what in ((errors, "error"), (warned, "warning")) if number]
        return f"<spec {name} of {self.source.name}: {', '.join(found) or 'fine'}>"

    def _repr_html_(self) -> str:
        from dgmppl.notebook import spec_html

        return spec_html(self)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.diagnostics if d.severity == "error")


def read(
    spec: str | Path,
    overrides: Sequence[str] = (),
    allow_python: bool = False,
    folder: Path | None = None,
    *,
    files: bool = True,
) -> Checked:
    """Reads and checks a spec, a path or the text itself (which starts with `model`, after comments).

    The headers of the files of fixed tensors are read too, where they are there, unless `files` is false; and so is how
    far an index goes whose end is a name that nothing declares, which counts as an override then.

    A bad spec does not raise: it comes back with its diagnostics. `overrides` are `train.epochs=5` or a
    constant's `T=3`; a single one may stand by itself. With `allow_python` the classes that the spec names may be
    imported when a model is built, from `folder` if they are there, by default the spec's. Raises SpecError (E701,
    E705) for a file that cannot be read, and for an override that is none.
    """
    source, path = _source(spec)
    python = Python(allow_python, folder if folder is not None else path.parent if path else Path())
    found = check(source, path, (overrides,) if isinstance(overrides, str) else tuple(overrides), python)
    return _with_headers(_with_ends(found)) if files else found


def _with_ends(found: Checked) -> Checked:
    """A spec checked with the ends of its ranges and the sizes that data say, where nothing declares them."""
    ends = open_ends(found.spec) if found.spec is not None else {}
    if not ends or found.spec is None:
        return found
    from dgmppl.data.headers import row_shape

    known: list[str] = []
    for name in ends:
        for variable, field, axis in sources_of(found.spec, name):
            shape, first = row_shape(field, found.folder), first_of(found.spec, variable, axis)
            if shape is not None and not field.file and rank_of(variable) == 1:
                shape = (math.prod(shape),)  # a grid of the catalogue is a vector where one is declared
            if shape is not None and len(shape) > axis and first is not None:
                known.append(f"{name}={first + shape[axis] - 1}")
                break
    if known:
        return check(found.source, found.path, (*found.overrides, *known), found.python)
    return found


def _with_headers(found: Checked) -> Checked:
    """A checked spec, or what is wrong with the files of its fixed tensors as far as their headers say it."""
    if found.graph is None or not found.graph.fixed:
        return found
    from dgmppl.data.tensors import verify_headers

    wrong = tuple(verify_headers(found.graph.fixed, found.folder))
    if not wrong:
        return found
    return replace(found, graph=None, plan=None, diagnostics=(*found.diagnostics, *wrong))


def check(
    source: Source, path: Path | None = None, overrides: tuple[str, ...] = (), python: Python = NO_PYTHON
) -> Checked:
    """The stages up to the plan, in order; the first that fails ends it. Nothing that a spec names is imported."""

    spec, problems = parse_spec(source)
    if spec is None:
        return Checked(source, path, overrides, None, None, None, tuple(_hinted(d, source) for d in problems), python)
    return check_tree(apply_overrides(spec, overrides), source, path, overrides, python, problems)


def check_tree(
    spec: tree.Spec,
    source: Source,
    path: Path | None = None,
    overrides: tuple[str, ...] = (),
    python: Python = NO_PYTHON,
    problems: tuple[Diagnostic, ...] = (),
) -> Checked:
    """The stages from the typed graph up to the plan, of a spec that was read."""

    def result(graph: Graph | None, plan: Plan | None, found: tuple[Diagnostic, ...]) -> Checked:
        told = tuple(_hinted(d, source) for d in _once(found))
        if plan is not None:
            told = without_accepted(told, spec, plan.settings.accept)
        return Checked(source, path, overrides, spec, graph, plan, told, python, completed)

    completed = spec
    refused = verify_allowed(spec, python)
    graph, found = check_graph(spec, source)
    problems += (*refused, *found)
    if refused:
        return result(None, None, problems)
    if graph is None:
        return result(None, None, problems + check_train(spec, source))
    missing, through = missing_posteriors(graph, spec)
    derived: tuple[str, ...] = ()
    if missing:
        completed, derived = derive_posteriors(spec, graph, missing, through, asks_for_factorised(spec))
        whole, _ = check_graph(completed, source)
        graph = whole or graph
    graph = cancel_constants(graph, spec)
    plan, found = check_plan(graph, spec, derived)
    graph = with_units(graph, plan.units) if plan is not None else graph
    return result(graph, plan, problems + found)


def check_beside(checked: Checked, spec: tree.Spec) -> Checked:
    """The stages up to the plan of another spec about the same data, whose model takes weights of the same fit. It
    counts in the units that this fit has of them, whatever its own statements and settings are."""
    found = check_tree(spec, checked.source, checked.path, (), checked.python)
    if found.graph is None or checked.graph is None:
        return found
    return replace(found, graph=with_units(found.graph, checked.graph.units))


def _once(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """The diagnostics with a warning told once where a statement stands for several members of a family."""
    kept: dict[object, list[Diagnostic]] = {}
    for k, d in enumerate(found):
        of_family = (d.code, d.span, _MEMBER.sub("[]", d.headline))
        kept.setdefault(of_family if d.severity == "warning" and d.span else k, []).append(d)
    return [
        d if not more else replace(d, label=f"{d.label}, and {len(more)} more like it") for d, *more in kept.values()
    ]


_MEMBER = re.compile(r"\[[^\[\]]+\]")


def _hinted(found: Diagnostic, source: Source) -> Diagnostic:
    """The diagnostic with what holds wherever it comes from: an override is named, quotes do not belong there."""
    quoted = _QUOTED.fullmatch(source.text[found.span.start : found.span.end]) if found.span else None
    if quoted and not (found.span and found.span.override):
        found = replace(found, help=f"names and numbers are written without quotes: `{quoted[1]}`")
    return name_override(found)


_QUOTED = re.compile(r'"([A-Za-z]\w*|[0-9.]+)"', re.ASCII)


def emit(checked: Checked, target: str = "torch") -> Emitted:
    """The Python source of a checked spec. Raises SpecError for a bad spec, and where Pyro cannot express it."""
    if checked.graph is None or checked.plan is None:
        raise SpecError(checked.errors, checked.source)
    return TARGETS[target](checked.graph, checked.plan)


def build(checked: Checked, target: str = "torch") -> GenerativeModel:
    """The model itself: the emitted source, run. Only names and numbers that the checks let through reach it, and
    classes of the user's own where they are allowed.

    Raises:
        SpecError: a bad spec, and a class that is not allowed (E225) or does not keep to the protocol (E608).
    """
    emitted = emit(checked, target)
    if emitted.classes and checked.spec is not None:
        import_classes(emitted.classes, classes_in(checked.spec), checked.python, checked.source)
    name = f"dgmppl.compiled.{emitted.class_name}_{next(_numbers)}"
    module = types.ModuleType(name)
    file = f"<{name}>"
    linecache.cache[file] = (len(emitted.text), None, emitted.text.splitlines(keepends=True), file)
    _compiled[file] = emitted
    sys.modules[name] = module
    exec(compile(emitted.text, file, "exec"), module.__dict__)
    made: type[GenerativeModel] = getattr(module, emitted.class_name)
    made.recipe = build_text, (checked.source.name, checked.source.text, checked.overrides, target, checked.python)
    try:
        return made()
    except NetworkError as error:
        raise _misfit(error, checked) from None


def fill(model: GenerativeModel, checked: Checked, folder: Path | None = None) -> GenerativeModel:
    """The model with the values of its fixed tensors, from their files; relative paths start from `folder`, else from
    that of the spec. Raises SpecError for a file that is not what the spec declares."""
    if checked.graph is not None and checked.graph.fixed:
        import torch

        from dgmppl.data.tensors import read_tensors

        try:
            found = read_tensors(checked.graph.fixed, checked.folder if folder is None else folder)
        except SpecError as error:
            raise SpecError(error.diagnostics, checked.source) from None
        for name, values in found.items():
            model.get_buffer(name).copy_(torch.from_numpy(values))
    return model


def _misfit(error: NetworkError, checked: Checked) -> SpecError:
    """What is wrong with a user's own network, at its line."""
    place = locate(error, checked)
    span = place.span if place is not None else None
    help_ = "Class(inputs, outputs, **options), shapes channels last, and forward from (N, *inputs) to (N, *outputs)"
    return SpecError([Diagnostic("E608", str(error), span, "built here", help=help_)], checked.source)


def build_text(
    name: str, text: str, overrides: tuple[str, ...], target: str, python: Python = NO_PYTHON
) -> GenerativeModel:
    """The model of a spec's text, what pickle calls for one whose state it has: the class is made in every process
    anew."""
    return build(check(Source(name, text), None, overrides, python), target)


_compiled: dict[str, Emitted] = {}
_numbers = iter(range(10**9))


def locate(error: BaseException, checked: Checked) -> Diagnostic | None:
    """The spec's line at which emitted code raised an error, as a diagnostic (E601); None if it did not."""
    line: int | None = None
    traceback = error.__traceback__
    while traceback is not None:
        emitted = _compiled.get(traceback.tb_frame.f_code.co_filename)
        if emitted is not None:
            line = next((at for at in reversed(emitted.lines[: traceback.tb_lineno]) if at is not None), line)
        traceback = traceback.tb_next
    if line is None:
        return None
    text = checked.source.line(line)
    start = sum(len(t) + 1 for t in checked.source.text.split("\n")[: line - 1])
    indent = len(text) - len(text.lstrip())
    message = str(error).split("\n")[0] or type(error).__name__
    return Diagnostic(
        "E601",
        f"this failed while it ran: {message}",
        Span(start + indent, start + len(text.rstrip())),
        "here",
        help="values reach this line that it cannot take, or dgmppl is at fault; `dgmppl compile` prints the source",
    )


def _source(spec: str | Path) -> tuple[Source, Path | None]:
    if isinstance(spec, str) and _is_text(spec):
        return Source("spec.dgm", spec), None
    path = Path(spec)
    try:
        return Source(str(path), path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")), path
    except UnicodeDecodeError as error:
        raise SpecError(
            [Diagnostic("E701", f"{path} is not UTF-8 text (byte {error.start})", help="save it as UTF-8")]
        ) from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise SpecError(
            [Diagnostic("E701", f"cannot read {path}: {why}", help="give the path of a .dgm file")]
        ) from None


def _is_text(spec: str) -> bool:
    """Whether a string is a spec itself, and not the path of one."""
    return "\n" in spec or spec.lstrip().startswith("model ")
