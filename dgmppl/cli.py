"""The command line: thin commands over `dgmppl.pipeline` and `dgmppl.train.runs`.

Exit status: 0 fine, 1 the spec or its data is wrong, 2 the command was misused, 3 an error of dgmppl itself.
Each command imports what it needs when it runs, so that `dgmppl check` never waits for torch.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.source import Source

if TYPE_CHECKING:
    from dgmppl.graph.nodes import Graph
    from dgmppl.pipeline import Checked
    from dgmppl.plan.nodes import Plan

FINE, WRONG, MISUSED, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit status."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except SpecError as error:
        _print_diagnostics(error)
        return MISUSED if all(d.code.startswith("E7") for d in error.diagnostics) else WRONG
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, `head` say, has seen enough; stop Python from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except Exception as error:
        if os.environ.get("DGMPPL_DEBUG"):
            raise
        kind = type(error).__name__
        print(
            f"dgmppl: internal error ({kind}: {error}). This is a mistake in dgmppl, not in your spec; "
            "DGMPPL_DEBUG=1 shows where it happened.",
            file=sys.stderr,
        )
        return INTERNAL


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dgmppl", description="Deep generative models from a spec.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], help_: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help_, description=help_)
        sub.set_defaults(command=command)
        return sub

    def add_spec(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("spec", type=_path, metavar="SPEC")
        add_set(sub, "change a setting of the spec, such as train.epochs=5")

    def add_set(sub: argparse.ArgumentParser, help_: str) -> None:
        sub.add_argument("--set", action="append", default=[], type=_assignment, metavar="NAME=VALUE", help=help_)

    def add_device(sub: argparse.ArgumentParser, default: str) -> None:
        sub.add_argument("--device", choices=("auto", "cpu", "cuda"), default=default)

    sub = add("check", _check, "say what is wrong with specs")
    sub.add_argument("specs", nargs="+", type=_path, metavar="SPEC")
    add_set(sub, "change a setting of the specs")
    sub.add_argument("--format", choices=("text", "json"), default="text")

    sub = add("fmt", _fmt, "write specs in canonical form, in place")
    sub.add_argument("specs", nargs="+", type=_path, metavar="SPEC")
    sub.add_argument("--check", action="store_true", help="only name the files that would change")

    sub = add("explain", _explain, "say what is derived from a spec and why, or what a code such as E203 means")
    sub.add_argument("what", type=_argument, metavar="SPEC|CODE")
    add_set(sub, "change a setting of the spec")
    sub.add_argument("--format", choices=("text", "json", "latex"), default="text")

    sub = add("graph", _graph, "draw a spec's graph")
    add_spec(sub)
    sub.add_argument("-o", "--out", type=_path, required=True, metavar="FILE", help=".svg, .png, .pdf or .dot")

    sub = add("compile", _compile, "print the Python module that a spec compiles to")
    add_spec(sub)
    sub.add_argument("--target", choices=("torch", "pyro"), default="torch")
    sub.add_argument("-o", "--out", type=_path, metavar="FILE", help="write to a file instead")

    sub = add("train", _train, "fit a spec to its data and leave a run folder")
    add_spec(sub)
    sub.add_argument("--out", type=_path, required=True, metavar="RUN", help="the folder to write")
    sub.add_argument("--seed", type=_count, metavar="N", help="short for --set train.seed=N")
    sub.add_argument("--overwrite", action="store_true", help="replace RUN if it holds a run")
    add_device(sub, "auto")

    sub = add("sample", _sample, "draw samples from a run's model")
    sub.add_argument("run", type=_path, metavar="RUN")
    sub.add_argument("-n", type=_positive, default=64, metavar="N", help="how many (default 64)")
    sub.add_argument("-o", "--out", type=_path, required=True, metavar="FILE", help=".png or .npz")
    sub.add_argument("--seed", type=_count, default=0, metavar="N")
    add_set(sub, "the value of a condition, such as y=3")
    add_device(sub, "cpu")

    sub = add("evaluate", _evaluate, "figures of a run's model on each split of its data")
    sub.add_argument("run", type=_path, metavar="RUN")
    sub.add_argument("--samples", type=_positive, default=1, metavar="N", help="draws an example (default 1)")
    sub.add_argument("--seed", type=_count, default=0, metavar="N")
    sub.add_argument("--format", choices=("text", "json"), default="text")
    add_device(sub, "cpu")
    return parser


def _assignment(text: str) -> str:
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=value")
    return text


def _argument(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text


def _path(text: str) -> Path:
    return Path(_argument(text))


def _count(text: str, low: int = 0) -> int:
    if not re.fullmatch(r"[0-9]+", text) or (low and not text.strip("0")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low}")
    if len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text} is too large, whole numbers have up to 18 digits here")
    return int(text)


def _positive(text: str) -> int:
    return _count(text, 1)


def _check(options: argparse.Namespace) -> int:
    checked = [_read_or_error(path, options.set) for path in options.specs]
    if options.format == "json":
        from dgmppl.diagnostics.render import render

        found = [json.loads(render(c.diagnostics, c.source, "json")) for c in checked]
        print(json.dumps([diagnostic for one in found for diagnostic in one], indent=2))
    else:
        for one in checked:
            if one.diagnostics:
                _print_diagnostics(one)
            if not isinstance(one, SpecError) and one.ok:
                print(f"{one.source.name}: fine")
    if any(isinstance(c, SpecError) for c in checked):
        return MISUSED
    return WRONG if any(d.severity == "error" for c in checked for d in c.diagnostics) else FINE


def _read_or_error(path: Path, overrides: Sequence[str]) -> Checked | SpecError:
    """A file that cannot be read keeps no other from being checked."""
    try:
        return _read(path, overrides)
    except SpecError as error:
        return SpecError(error.diagnostics, error.source or Source(str(path), ""))


def _fmt(options: argparse.Namespace) -> int:
    from dgmppl.syntax.format import format_spec

    status = FINE
    for path in options.specs:
        text = _read_text(path)
        formatted = format_spec(text.removeprefix("\ufeff"), str(path))
        if formatted == text:
            continue
        if options.check:
            print(f"{path}: not in canonical form")
            status = WRONG
        else:
            _write_text(path, formatted)
            print(f"{path}: reformatted")
    return status


def _explain(options: argparse.Namespace) -> int:
    if re.fullmatch(r"[A-Za-z]\d{3}", options.what):
        from dgmppl.diagnostics.codes import explain_code

        print(explain_code(options.what.upper(), options.format))
        return FINE
    from dgmppl.plan.explain import explain_plan

    _, _, plan = _read_good(Path(options.what), options.set)
    print(explain_plan(plan, options.format))
    return FINE


def _graph(options: argparse.Namespace) -> int:
    _, graph, _ = _read_good(options.spec, options.set)
    from dgmppl.graph.picture import render

    try:
        render(graph, options.out)
    except OSError as error:
        raise _cannot_write(options.out, error) from None
    return FINE


def _compile(options: argparse.Namespace) -> int:
    from dgmppl import pipeline

    text = pipeline.emit(_read_good(options.spec, options.set)[0], options.target).text
    if options.out is None:
        print(text, end="")
    else:
        _write_text(options.out, text)
    return FINE


def _train(options: argparse.Namespace) -> int:
    overrides = [*options.set, *([] if options.seed is None else [f"train.seed={options.seed}"])]
    checked, _, plan = _read_good(options.spec, overrides)
    from dgmppl.train.progress import show_progress
    from dgmppl.train.runs import train_spec

    with show_progress(plan.settings.epochs) as report:
        _, run = train_spec(
            checked,
            options.out,
            device=options.device,
            overwrite=options.overwrite,
            report=report,
        )
    record = run.record
    kept = f"weights of epoch {record['best_epoch']} of {record['epochs']}"
    interrupted = ", interrupted" if record["stopped"] == "interrupted" else ""
    print(f"{record['model']}: {kept}, {record['seconds']:.0f} s on {record['device']}{interrupted}")
    _print_figures(record["figures"])
    print(f"results in {options.out}, samples in {options.out / 'samples.png'}")
    return FINE


def _sample(options: argparse.Namespace) -> int:
    from dgmppl.train.runs import sample_run

    sample_run(
        options.run,
        options.n,
        options.out,
        seed=options.seed,
        conditions=options.set,
        device=options.device,
    )
    return FINE


def _evaluate(options: argparse.Namespace) -> int:
    from dgmppl.train.contents import figures_as_data
    from dgmppl.train.folder import finite_only
    from dgmppl.train.runs import evaluate_run

    found = evaluate_run(options.run, samples=options.samples, seed=options.seed, device=options.device)
    figures = finite_only(figures_as_data(found))
    if options.format == "json":
        print(json.dumps(figures, indent=2))
    else:
        _print_figures(figures)
    return FINE


def _print_figures(figures: dict[str, dict[str, dict[str, float | None]]]) -> None:
    """A line for each split and figure; the mean and its standard error over the rows."""
    if not any(figures.values()):
        print("no figures: this kind of model gives its samples no probability that could be scored")
    for split, found in figures.items():
        for name, estimate in found.items():
            mean, error = (
                "not finite" if value is None else f"{value:.3f}"
                for value in (estimate["mean"], estimate["standard_error"])
            )
            print(f"{split:<12}{name:<16}{mean:>12} ± {error:<10} {estimate['rows']} rows")


def _read(path: Path, overrides: Sequence[str]) -> Checked:
    from dgmppl import pipeline

    return pipeline.read(path, tuple(overrides))


def _read_good(path: Path, overrides: Sequence[str]) -> tuple[Checked, Graph, Plan]:
    """The checked spec, its warnings shown; raises a SpecError when it has errors."""
    checked = _read(path, overrides)
    if checked.graph is None or checked.plan is None:
        raise SpecError(checked.diagnostics, checked.source)
    if checked.diagnostics:
        _print_diagnostics(checked)
    return checked, checked.graph, checked.plan


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SpecError([Diagnostic("E701", f"cannot read {path}: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise SpecError([Diagnostic("E701", f"cannot read {path}: it is no UTF-8 text")]) from None


def _write_text(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _cannot_write(path, error) from None


def _cannot_write(path: Path, error: OSError) -> SpecError:
    return SpecError([Diagnostic("E607", f"cannot write {path}: {error.strerror}")])


def _print_diagnostics(found: Checked | SpecError) -> None:
    from dgmppl.diagnostics.render import render

    color = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    print(render(found.diagnostics, found.source, "text", color), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
