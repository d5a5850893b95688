"""A user's own networks: the classes of Python that a spec names, where they would come from, and their import.

A spec is data. Nothing that it names is imported unless the user allows it, and then only where a model is built.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.graph.configuration import class_path
from dgmppl.protocol import NetworkError, described
from dgmppl.source import Source, Span
from dgmppl.syntax import tree


@dataclass(frozen=True)
class Python:
    """Whether the classes that a spec names may be imported, and the folder that is searched for them before the
    installed packages."""

    allowed: bool = False
    folder: Path = Path()


NO_PYTHON = Python()


def classes_in(spec: tree.Spec) -> dict[str, Span]:
    """The classes that a spec names, `module:Class` each, with the first place of each."""
    found: dict[str, Span] = {}
    for node in _nodes(spec):
        path = class_path(node)
        if path:
            found.setdefault(path, node.span)
    return found


def verify_allowed(spec: tree.Spec, python: Python) -> tuple[Diagnostic, ...]:
    """An error (E225) for each class that a spec names, where importing is not allowed. Nothing is imported."""
    if python.allowed:
        return ()
    return tuple(
        Diagnostic(
            "E225",
            f"this network is Python code: it would import `{path.partition(':')[2]}` from {_place(path, python)}",
            span,
            "not imported",
            help="if you trust that code, --allow-python allows it (in Python: allow_python=True)",
        )
        for path, span in classes_in(spec).items()
    )


def import_classes(paths: Sequence[str], places: dict[str, Span], python: Python, source: Source) -> None:
    """Imports the modules of these classes, which emitted source then names.

    Raises:
        SpecError: importing is not allowed (E225); a module is not there, fails as it is imported, or has no such class
            (E608).
    """
    for path in paths:
        place = places.get(path)
        if not python.allowed:
            raise SpecError([Diagnostic("E225", f"`{path}` is Python code, and not imported", place)], source)
        try:
            _import(path, python)
        except NetworkError as error:
            help_ = "modules are searched in the folder of the spec, then among what is installed or in PYTHONPATH"
            raise SpecError([Diagnostic("E608", str(error), place, "named here", help=help_)], source) from None


def _import(path: str, python: Python) -> None:
    module, _, name = path.partition(":")
    found, loaded = _find(module, python), sys.modules.get(_top(module))
    if found is None and loaded is None:
        raise NetworkError(f"there is no module `{_top(module)}` in {_folder(python)}, and none is installed")
    if loaded is not None and found is not None and not _is_from(loaded, found):
        raise NetworkError(
            f"`{_top(module)}` is in {_origin(found)}, and another module of that name was imported before, from "
            f"{getattr(loaded, '__file__', None) or 'elsewhere'}: a process has one"
        )
    folder = str(python.folder.resolve())
    sys.path.insert(0, folder)
    try:
        imported = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        if os.environ.get("DGMPPL_DEBUG"):
            raise
        raise NetworkError(f"`{module}` fails as it is imported: {described(error)}") from None
    finally:
        sys.path.remove(folder)
    if not hasattr(imported, name):
        raise NetworkError(f"`{module}` has no class `{name}`")


def found_in(paths: Sequence[str], folder: Path) -> bool:
    """Whether a folder has the modules of these classes."""
    importlib.invalidate_caches()
    return all(PathFinder.find_spec(_top(path), [str(folder.resolve())]) is not None for path in paths)


def _find(module: str, python: Python) -> ModuleSpec | None:
    """What the first name of a module stands for. It is looked for, and nothing is run."""
    importlib.invalidate_caches()
    return PathFinder.find_spec(_top(module), [str(python.folder.resolve()), *sys.path])


def _is_from(loaded: object, found: ModuleSpec) -> bool:
    file = getattr(loaded, "__file__", None)
    return file is None or found.origin is None or Path(file).resolve() == Path(found.origin).resolve()


def _place(path: str, python: Python) -> str:
    """Where a class would be imported from, in words."""
    module = path.partition(":")[0]
    found = _find(module, python)
    if found is not None:
        return f"`{module}`, which is {_origin(found)}"
    if _top(module) in sys.modules:
        return f"`{module}`, a module of Python itself"
    return f"`{module}`, which is neither in {_folder(python)} nor installed"


def _origin(found: ModuleSpec) -> str:
    return found.origin or next(iter(found.submodule_search_locations or ()), found.name)


def _folder(python: Python) -> str:
    return "the present folder" if python.folder == Path() else str(python.folder)


def _top(module: str) -> str:
    return module.partition(":")[0].partition(".")[0]


def _nodes(value: object) -> Iterator[tree.Node]:
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, tuple):
            pending += reversed(one)
        elif isinstance(one, tree.Node):
            yield one
            pending += reversed(list(vars(one).values()))


__all__ = [
    "NO_PYTHON",
    "Python",
    "classes_in",
    "found_in",
    "import_classes",
    "verify_allowed",
]
