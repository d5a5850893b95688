"""Commands on specs: check, fmt, explain, data, graph, compile. None of them waits for torch."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dgmppl.cli.arguments import FINE, MISUSED, WRONG, Add, add_allow_python, add_set, add_spec, argument, path
from dgmppl.cli.files import cannot_write, print_diagnostics, read, read_good, read_text, write_text
from dgmppl.diagnostics import SpecError
from dgmppl.source import Source

if TYPE_CHECKING:
    from dgmppl.pipeline import Checked


def add_commands(add: Add) -> None:
    sub = add("check", _check, "say what is wrong with specs")
    sub.add_argument("specs", nargs="+", type=path, metavar="SPEC")
    add_set(sub, "change a setting of the specs")
    add_allow_python(sub)
    sub.add_argument("--format", choices=("text", "json"), default="text")

    sub = add("fmt", _fmt, "write specs in canonical form, in place")
    sub.add_argument("specs", nargs="+", type=path, metavar="SPEC")
    sub.add_argument("--check", action="store_true", help="only name the files that would change")

    sub = add("explain", _explain, "say what is derived from a spec and why, or what a code such as E203 means")
    sub.add_argument("what", type=argument, metavar="SPEC|CODE")
    add_set(sub, "change a setting of the spec")
    add_allow_python(sub)
    sub.add_argument("--format", choices=("text", "json", "latex"), default="text")
    add_members(sub)

    sub = add("data", _data, "say what a fit will see of a spec's data: sizes, ranges, classes of each split")
    add_spec(sub)
    sub.add_argument("--format", choices=("text", "json"), default="text")

    sub = add("graph", _graph, "draw a spec's graph")
    add_spec(sub)
    sub.add_argument("-o", "--out", type=path, required=True, metavar="FILE", help=".svg, .png, .pdf or .dot")
    add_members(sub)

    sub = add("compile", _compile, "print the Python module that a spec compiles to")
    add_spec(sub)
    sub.add_argument("--target", choices=("torch", "pyro"), default="torch")
    sub.add_argument("-o", "--out", type=path, metavar="FILE", help="write to a file instead")


def add_members(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--members", action="store_true", help="name the members of families one by one")


def _check(options: argparse.Namespace) -> int:
    checked = [_read_or_error(path, options.set, options.allow_python) for path in options.specs]
    if options.format == "json":
        from dgmppl.diagnostics.render import render

        found = [json.loads(render(c.diagnostics, c.source, "json")) for c in checked]
        print(json.dumps([diagnostic for one in found for diagnostic in one], indent=2))
    else:
        for one in checked:
            if one.diagnostics:
                print_diagnostics(one)
            if not isinstance(one, SpecError) and one.ok:
                print(f"{one.source.name}: fine")
    if any(isinstance(c, SpecError) for c in checked):
        return MISUSED
    return WRONG if any(d.severity == "error" for c in checked for d in c.diagnostics) else FINE


def _read_or_error(path: Path, overrides: Sequence[str], allow_python: bool) -> Checked | SpecError:
    """A file that cannot be read keeps no other from being checked."""
    try:
        return read(path, overrides, allow_python)
    except SpecError as error:
        return SpecError(error.diagnostics, error.source or Source(str(path), ""))


def _fmt(options: argparse.Namespace) -> int:
    from dgmppl.syntax.format import format_spec

    status = FINE
    for file in options.specs:
        text = read_text(file)
        formatted = format_spec(text.removeprefix("\ufeff"), str(file))
        if formatted == text:
            continue
        if options.check:
            print(f"{file}: not in canonical form")
            status = WRONG
        else:
            write_text(file, formatted)
            print(f"{file}: reformatted")
    return status


def _explain(options: argparse.Namespace) -> int:
    if re.fullmatch(r"[A-Za-z]\d{3}", options.what):
        from dgmppl.diagnostics.codes import explain_code

        print(explain_code(options.what.upper(), options.format))
        return FINE
    from dgmppl.forecasts import told
    from dgmppl.plan.explain import explain_plan

    checked, _, plan = read_good(Path(options.what), options.set, options.allow_python)
    print(explain_plan(plan, options.format, options.members, told(checked)))
    return FINE


def _data(options: argparse.Namespace) -> int:
    from dgmppl.data.describe import as_data, as_text, describe
    from dgmppl.data.load import load_data

    checked, _, plan = read_good(options.spec, options.set, options.allow_python)
    summary = describe(plan.model, load_data(checked, checked.folder))
    print(as_text(summary) if options.format == "text" else json.dumps(as_data(summary), indent=2))
    if summary.warnings:
        print_diagnostics(SpecError(summary.warnings, checked.source))
    return FINE


def _graph(options: argparse.Namespace) -> int:
    _, graph, _ = read_good(options.spec, options.set, options.allow_python)
    from dgmppl.picture.graph import render

    try:
        render(graph, options.out, options.members)
    except OSError as error:
        raise cannot_write(options.out, error) from None
    return FINE


def _compile(options: argparse.Namespace) -> int:
    from dgmppl import pipeline

    text = pipeline.emit(read_good(options.spec, options.set, options.allow_python)[0], options.target).text
    if options.out is None:
        print(text, end="")
    else:
        write_text(options.out, text)
    return FINE
