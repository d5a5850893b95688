"""`dgmppl sample`: its options, and what they ask of a run."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from dgmppl.cli.arguments import (
    Assign,
    add_run_options,
    add_set,
    assignment,
    count,
    number,
    path,
    positive,
    rows_file,
    share,
)
from dgmppl.diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    from dgmppl.apply.answers import Answers
    from dgmppl.apply.fitted import FittedRun


def add_sample(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("run", type=path, metavar="RUN")
    help_ = "how many (default 64; of each row of --data or --given, default 1)"
    sub.add_argument("-n", type=positive, metavar="N", help=help_)
    help_ = ".csv, .parquet, .npz, .png; a name without an end: a folder of images"
    sub.add_argument("-o", "--out", type=path, required=True, metavar="FILE", help=help_)
    sub.add_argument("--seed", type=count, default=0, metavar="N")
    add_set(sub, "the value of a condition, such as y=3, or its class as text")
    kind = sub.add_mutually_exclusive_group()
    kind.add_argument("--data", type=rows_file, metavar="FILE", help="rows of conditions, in the units of the data")
    kind.add_argument("--split", choices=("train", "validation", "test"), help="conditions of the run's own rows")
    sub.add_argument("--latents", action="store_true", help="also write the latents that the samples come from")
    help_ = "of what is written and given (default data): those of the data, or the model's own, behind transforms"
    sub.add_argument("--units", choices=("data", "model"), default="data", help=help_)
    help_ = "a .npy or .npz file of what is known of rows: the first members of sequences, or any part of other "
    help_ += "variables, of which what is NaN is drawn; may be repeated"
    sub.add_argument("--given", type=assignment, action=Assign, default=[], metavar="NAME=FILE", help=help_)
    help_ = "go on up to this member (default: the last of the data)"
    sub.add_argument("--until", type=positive, metavar="N", help=help_)
    help_ = "go back along a chain of latents, or along a flow, in so many steps (default: in all of them)"
    sub.add_argument("--steps", type=positive, metavar="N", help=help_)
    help_ = "of these steps: 1, or 0 for none (default: 1 of a chain, 0 of a flow)"
    sub.add_argument("--noise", type=share, metavar="X", help=help_)
    help_ = "how far to lead away from samples without what `drop` leaves out (default 0)"
    sub.add_argument("--guidance", type=number, metavar="W", help=help_)
    add_run_options(sub)


def sampled(options: argparse.Namespace, opened: Callable[[argparse.Namespace], FittedRun]) -> Answers:
    """The samples that the options ask for."""
    if options.until is not None and not options.given:
        headline = "--until says how far sequences go on, and none is given"
        raise SpecError([Diagnostic("E713", headline, help="--given x=FILE has first members")])
    return opened(options).sample(
        options.n,
        options.data,
        split=options.split,
        conditions=options.set,
        latents=options.latents,
        units=options.units,
        given=options.given,
        until=options.until,
        ways={"steps": options.steps, "noise": options.noise, "guidance": options.guidance},
        seed=options.seed,
    )


__all__ = ["add_sample", "sampled"]
