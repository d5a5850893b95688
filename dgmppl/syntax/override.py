"""Overrides from outside a spec: `train.epochs=5` and `T=3` as if the spec had said so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from dgmppl.diagnostics import Diagnostic, SpecError, did_you_mean
from dgmppl.source import Source, Span
from dgmppl.syntax import tree
from dgmppl.syntax.ends import open_ends
from dgmppl.syntax.parse import parse_expression


def apply_overrides(spec: tree.Spec, overrides: tuple[str, ...]) -> tree.Spec:
    """The spec with these settings and constants in place of its own. Raises SpecError (E705) for what is none.

    A value takes the place of the one it replaces, so that a message about it points at that line; the place
    remembers the override.
    """
    for override in overrides:
        name, equals, text = override.partition("=")
        name = name.strip()
        value, _ = parse_expression(Source("--set", text.strip()))
        if not equals or value is None:
            raise SpecError(
                [
                    Diagnostic(
                        "E705",
                        f"cannot read the override `{override}`",
                        help="--set train.epochs=5, or --set T=3 for a constant",
                    )
                ]
            )
        put = _setting if name.startswith("train.") else _constant
        spec = put(spec, name, value, f"{name}={text.strip()}")
    return spec


Moved = TypeVar("Moved", bound=tree.Node)


def moved(value: Moved, span: Span) -> Moved:
    """A piece of a tree with every place in it moved to `span`."""
    changed = {k: span if isinstance(v, Span) else _moved_part(v, span) for k, v in vars(value).items()}
    return replace(value, **changed)


def _moved_part(part: Any, span: Span) -> Any:
    if isinstance(part, tuple):
        return tuple(_moved_part(p, span) for p in part)
    return moved(part, span) if isinstance(part, tree.Node) else part


def name_override(found: Diagnostic) -> Diagnostic:
    """The diagnostic, its label naming the override that it is about if there is one."""
    if found.span is None or not found.span.override:
        return found
    origin = f"from --set {found.span.override}"
    return replace(found, label=f"{found.label}, {origin}" if found.label else origin)


def _setting(spec: tree.Spec, name: str, value: tree.Expr, override: str) -> tree.Spec:
    name = name.removeprefix("train.")
    blocks = [s for s in spec.statements if isinstance(s, tree.Train)]
    old = [(b, s) for b in blocks for s in b.settings if s.name == name]
    if old:
        block, setting = old[-1]
        new = replace(setting, value=moved(value, replace(setting.value.span, override=override)))
        changed = replace(block, settings=tuple(new if s is setting else s for s in block.settings))
        return replace(spec, statements=tuple(changed if s is block else s for s in spec.statements))
    place = replace(spec.name_span, override=override)
    setting = tree.Setting(place, name, moved(value, place), name_span=place)
    return replace(spec, statements=(*spec.statements, tree.Train(place, (setting,))))


def _constant(spec: tree.Spec, name: str, value: tree.Expr, override: str) -> tree.Spec:
    constants = {s.name: s for s in spec.statements if isinstance(s, tree.Const)}
    end = open_ends(spec).get(name)
    if name not in constants and end is not None:  # what data would say
        place = replace(end.span, override=override)
        return replace(
            spec, statements=(tree.Const(place, name, moved(value, place), name_span=place), *spec.statements)
        )
    if name not in constants:
        help_ = did_you_mean(name, constants, "settings are written train.name: --set train.epochs=5")
        raise SpecError([Diagnostic("E705", f"the spec has no constant `{name}`", help=help_)])
    old = constants[name]
    new = replace(old, value=moved(value, replace(old.value.span, override=override)))
    return replace(spec, statements=tuple(new if s is old else s for s in spec.statements))
