"""Commands that say how good runs are: figures of one, its page, several side by side."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dgmppl.cli.arguments import (
    FINE,
    Add,
    add_run_options,
    add_units,
    count,
    path,
    positive,
    rows_file,
)
from dgmppl.cli.files import print_warning
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.words import counted

if TYPE_CHECKING:
    from dgmppl.catalogue.figures import Figure
    from dgmppl.report.evaluate import Evaluation, Measured
    from dgmppl.report.histogram import Scores


def add_commands(add: Add) -> None:
    sub = add("evaluate", _evaluate, "figures of a run's model on each split of its data")
    sub.add_argument("run", type=path, metavar="RUN")
    sub.add_argument("--samples", type=positive, default=1, metavar="N", help="draws an example (default 1)")
    sub.add_argument(
        "--importance", type=positive, metavar="K", help="also give the importance-weighted bound with K samples"
    )
    sub.add_argument(
        "--measures",
        action="store_true",
        default=None,
        help="also compare samples with the rows: MMD, precision, recall (unasked where there is no likelihood)",
    )
    sub.add_argument(
        "--split",
        action="append",
        default=[],
        choices=("train", "validation", "test"),
        help="only this split; may be repeated",
    )
    sub.add_argument(
        "--data",
        action="append",
        default=[],
        type=rows_file,
        metavar="FILE",
        help="other rows in place of the splits; of several sets, the others are told from the first (AUROC)",
    )
    sub.add_argument("--seed", type=count, default=0, metavar="N")
    add_units(sub)
    help_ = "draw how the likelihoods of rows lie in each set, .svg or .png"
    sub.add_argument("--plot", type=path, metavar="FILE", help=help_)
    sub.add_argument("--format", choices=("text", "json"), default="text")
    add_run_options(sub)

    sub = add("compare", _compare, "several runs side by side: figures, settings that differ, curves")
    sub.add_argument("runs", nargs="+", type=path, metavar="RUN")
    sub.add_argument("-o", "--out", type=path, metavar="FILE", help="also write a page (.html) or curves (.png)")
    sub.add_argument("--format", choices=("text", "json"), default="text")

    sub = add("report", _report, "write a run's report.html anew")
    sub.add_argument("run", type=path, metavar="RUN")
    add_run_options(sub)


def _evaluate(options: argparse.Namespace) -> int:
    from rich.console import Console

    from dgmppl.report.evaluate import evaluate
    from dgmppl.report.histogram import as_text, verify_plot, write_plot
    from dgmppl.train.folder import finite_only

    compared: list[tuple[Figure, Mapping[str, Scores]]] = []
    if options.plot is not None:
        verify_plot(options.plot)
    with Console(stderr=True).status("") as status:
        found = evaluate(
            options.run,
            samples=options.samples,
            seed=options.seed,
            device=options.device,
            splits=options.split,
            importance=options.importance,
            measures=options.measures,
            progress=status.update,
            warn=print_warning,
            data_folder=options.data_folder,
            allow_python=options.allow_python,
            data=options.data,
            units=options.units,
            scored=(lambda *of: compared.append(of)) if options.data or options.plot is not None else None,
        )
    if options.format == "json":
        data = {split: {name: figure.as_data() for name, figure in of.items()} for split, of in found.items()}
        print(json.dumps(finite_only(data), indent=2))
    else:
        print_figures(found)
        for figure, scores in compared if options.data else ():
            print("\n".join(as_text(scores, figure.name)))
    if options.plot is not None:
        if not compared:
            headline = f"{options.run} has no likelihood of a row, nor a bound of it: there is nothing to draw"
            raise SpecError([Diagnostic("E660", headline, help="leave --plot out")])
        ((figure, scores),) = compared
        write_plot(scores, figure.name, figure.unit, options.plot)
        print(f"written to {options.plot}", file=sys.stderr)
    return FINE


def print_figures(found: Evaluation) -> None:
    """A line for each split and figure: the mean, its standard error, its unit, and how many rows it is over."""
    from dgmppl.report.charts import mean_and_error

    rows: list[Sequence[str]] = []
    notes: dict[str, None] = {}
    for split, of in found.items():
        for name, found_one in of.items():
            estimate, figure = found_one.estimate, found_one.figure
            mean, error = mean_and_error(estimate.mean, estimate.standard_error)
            unit = "" if figure.names_unit else figure.unit
            rows.append((split, name, _ascii(mean), _ascii(error), unit, counted(estimate.rows, "row")))
            notes |= dict.fromkeys(_notes(found_one))
    if not rows:
        print("no figures: this kind of model gives its samples no probability that could be scored")
        return
    widths = [max(len(row[k]) for row in rows) for k in range(6)]
    for row in rows:
        cells = [c.rjust(w) if k == 2 else c.ljust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))]
        print("  ".join(cells).rstrip())
    for note in notes:
        print(note)


def _ascii(text: str) -> str:
    """Numbers with the hyphen that programs read."""
    return text.replace("−", "-")


def _notes(found: Measured) -> list[str]:
    if found.over == "rows":
        return []
    return [f"measures: means over {found.over}, ± the standard error of that mean; the rows are the same throughout"]


def _compare(options: argparse.Namespace) -> int:
    from dgmppl.report.compare import compare, verify_out, write_comparison

    if options.out is not None:
        verify_out(options.out)
    found = compare(options.runs)
    if options.out is not None:
        write_comparison(found, options.out)
    if options.format == "json":
        print(json.dumps(found.as_data(), indent=2))
        return FINE
    _print_comparison(found)
    if options.out is not None:
        print(f"written to {options.out}", file=sys.stderr)
    return FINE


def _print_comparison(found: object) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dgmppl.report.compare import Comparison, figure_rows

    assert isinstance(found, Comparison)
    console = Console(highlight=False)
    if not console.is_terminal:
        # What is piped is not to be cut at the width of a terminal that is not there.
        console = Console(highlight=False, width=28 + 24 * (len(found.runs) + 1), no_color=True)
    facts = [(name, *values.values()) for name, values in found.facts() if any(values.values())]
    differences = [(name, *values.values()) for name, values in found.differences()]
    for title, rows in (("figures", figure_rows(found)), ("runs", facts), ("differences", differences)):
        if not rows:
            continue
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column(title, style="dim", overflow="fold")
        for key in found.runs:
            table.add_column(Text(key), justify="right", overflow="fold")
        for row in rows:
            table.add_row(*(Text(_ascii(cell)) for cell in row))
        console.print(table)
    if not differences:
        console.print("no setting differs")
    for remark in found.remarks:
        console.print(Text(remark))


def _report(options: argparse.Namespace) -> int:
    from dgmppl.report.page import report_run

    out, missing = report_run(options.run, options.device, options.data_folder, options.allow_python)
    for what in missing:
        print(f"left out: {what}", file=sys.stderr)
    print(out)
    return FINE
