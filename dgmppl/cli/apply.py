"""Commands that apply a run to rows: encode, ... Each takes --data FILE or --split, and writes what -o names."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dgmppl.cli.arguments import (
    FINE,
    Add,
    add_allow_python,
    add_run_options,
    add_units,
    count,
    path,
    positive,
    rows_file,
    share,
)
from dgmppl.cli.files import print_warning
from dgmppl.cli.paths import (
    add_interpolate,
    add_reconstruct,
    add_traverse,
    interpolated,
    reconstructed,
    traversed,
)
from dgmppl.cli.sampling import add_sample
from dgmppl.words import counted

if TYPE_CHECKING:
    from dgmppl.apply.answers import Answers
    from dgmppl.apply.fitted import FittedRun


def add_commands(add: Add) -> None:
    add_sample(add("sample", _sample, "draw samples from a run's model, in the units of its data"))

    sub = add("encode", _encode, "the latents of rows: means, deviations, draws")
    add_rows(sub)
    sub.add_argument("--draws", type=count, default=0, metavar="N", help="also write so many draws (default none)")
    help_ = "draws that deviations are of, where they have no closed form (default 64)"
    sub.add_argument("--samples", type=positive, default=64, metavar="N", help=help_)
    help_ = "the latents that all rows have in common, in one row, in place of those of each row"
    sub.add_argument("--common", action="store_true", help=help_)
    help_ = "the latents of each group, in a row for each value of this variable, in place of those of each row"
    sub.add_argument("--per", metavar="GROUP", help=help_)

    sub = add("score", _score, "how probable each row is: figures, terms, and which rows are unusual")
    add_rows(sub)
    help_ = "also the importance-weighted bound of K draws (Burda et al., 2016)"
    sub.add_argument("--importance", type=positive, metavar="K", help=help_)
    help_ = "tell rows that score below this share of the validation rows (default 0.01; 0 for none)"
    sub.add_argument("--unusual", type=share, default=0.01, metavar="SHARE", help=help_)
    help_ = "draws that a bound of a row is averaged over (default 16)"
    sub.add_argument("--samples", type=positive, metavar="N", help=help_)
    add_units(sub)

    sub = add("predict", _predict, "what is left out of rows: classes with probabilities, means with deviations")
    add_rows(sub)
    help_ = "predict this variable, or a part of it, `y[3]`, although the rows have it, and say how good that is; may "
    help_ += "be repeated"
    sub.add_argument("--of", action="append", default=[], metavar="NAME", help=help_)
    help_ = "draws of a row, where it takes any (default 1000; 100 for each of few values)"
    sub.add_argument("--draws", type=positive, metavar="N", help=help_)

    sub = add("impute", _impute, "rows with their missing cells filled in")
    add_rows(sub)
    sub.add_argument("--draws", type=count, default=0, metavar="N", help="complete each row so often (default once)")
    sub.add_argument("--deviations", action="store_true", help="also write how sure each filled cell is")
    help_ = "draws that a filled cell is the mean of (default 200)"
    sub.add_argument("--samples", type=positive, default=200, metavar="N", help=help_)
    add_path_commands(add)

    sub = add("compress", _compress, "rows as bits, by the probabilities that the model gives them")
    add_rows(sub, ".dgz")
    help_ = "keep codes in place of the rows: latents of finitely many values, from which p gives rows back"
    sub.add_argument("--lossy", action="store_true", help=help_)

    sub = add("decompress", _decompress, "the rows of a compressed file, bit for bit, or from their codes")
    sub.add_argument("run", type=path, metavar="RUN")
    sub.add_argument("file", type=path, metavar="FILE.dgz")
    sub.add_argument("-o", "--out", type=path, required=True, metavar="FILE", help=".csv, .parquet or .npz")
    sub.set_defaults(device="cpu", data_folder=None)
    add_allow_python(sub)


def add_path_commands(add: Add) -> None:
    sub = add("reconstruct", lambda o: written(o, reconstructed(o, opened(o))), "rows given back through their latents")
    add_rows(sub, ".csv, .parquet, .npz, .png")
    add_reconstruct(sub)
    sub = add("interpolate", lambda o: written(o, interpolated(o, opened(o))), "rows along paths between pairs of rows")
    add_rows(sub, ".csv, .parquet, .npz, .png")
    add_interpolate(sub)
    sub = add("traverse", lambda o: written(o, traversed(o, opened(o))), "rows along one number of a latent")
    add_rows(sub, ".csv, .parquet, .npz, .png")
    add_traverse(sub)


def add_rows(sub: argparse.ArgumentParser, ends: str = ".csv, .parquet or .npz") -> None:
    """What all of these commands take: the run, its rows, where the answers go."""
    sub.add_argument("run", type=path, metavar="RUN")
    kind = sub.add_mutually_exclusive_group()
    help_ = (
        "rows in the data's own units: .csv, .parquet, ...; 'FILE[decimal = \",\"]' says how it is read, as a spec does"
    )
    kind.add_argument("--data", type=rows_file, metavar="FILE", help=help_)
    help_ = "rows of the run's own data (default test)"
    kind.add_argument("--split", choices=("train", "validation", "test"), help=help_)
    sub.add_argument("-o", "--out", type=path, required=True, metavar="FILE", help=ends)
    sub.add_argument("--seed", type=count, default=0, metavar="N")
    add_run_options(sub)


def opened(options: argparse.Namespace) -> FittedRun:
    """The run of a command, and a warning where its fit has not ended."""
    from dgmppl.apply.fitted import open_run
    from dgmppl.train.runs import unfinished

    found = open_run(options.run, options.device, options.allow_python, options.data_folder)
    odd = unfinished(found.run)
    if odd is not None:
        print_warning(odd)
    return found


def chosen(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The rows of a command, and its options of these names, as its function takes them."""
    return {name: getattr(options, name) for name in ("data", "split", *names)}


def _with_progress(rows: int, write: Callable[[Callable[[int, int], None]], None]) -> None:
    """Writes with progress on a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("rows", total=rows)
        write(lambda done, rows: bar.update(task, completed=done))


def written(options: argparse.Namespace, answers: Answers) -> int:
    """Writes answers as they are computed, with progress on a terminal."""
    _with_progress(answers.rows, lambda progress: answers.write(options.out, progress))
    for note in answers.notes:
        print(note, file=sys.stderr)
    print(f"{counted(answers.rows, 'row')} in {options.out}")
    return FINE


def _score(options: argparse.Namespace) -> int:
    answers = opened(options).score(**chosen(options, "importance", "unusual", "samples", "seed", "units"))
    return written(options, answers)


def _predict(options: argparse.Namespace) -> int:
    answers = opened(options).predict(**chosen(options, "of", "draws", "seed"))
    written(options, answers)
    if answers.judged:
        from dgmppl.cli.figures import print_figures
        from dgmppl.report.evaluate import Measured

        name = str(options.data) if options.data is not None else options.split or "test"
        print_figures({name: {key: Measured(*found) for key, found in answers.figures.items()}})
    return FINE


def _encode(options: argparse.Namespace) -> int:
    asked = chosen(options, "draws", "samples", "common", "per", "seed")
    return written(options, opened(options).encode(**asked))


def _sample(options: argparse.Namespace) -> int:
    from dgmppl.cli.sampling import sampled

    return written(options, sampled(options, opened))


def _compress(options: argparse.Namespace) -> int:
    found = opened(options).compress(**chosen(options, "lossy"))
    _with_progress(found.rows, lambda progress: found.write(options.out, progress))
    for note in found.notes:
        print(note, file=sys.stderr)
    initial = f", of which {found.initial // 8:,} for the latents of the first rows" if found.initial else ""
    print(
        f"{counted(found.rows, 'row')} in {options.out}: {counted(found.size, 'byte', ',')}{initial}; "
        f"an ideal code has {found.bits / 8:,.0f}"
    )
    return FINE


def _decompress(options: argparse.Namespace) -> int:
    return written(options, opened(options).decompress(options.file))


def _impute(options: argparse.Namespace) -> int:
    return written(options, opened(options).impute(**chosen(options, "draws", "deviations", "samples", "seed")))
