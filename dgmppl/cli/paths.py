"""`dgmppl reconstruct`, `interpolate`, `traverse`: their options, and what they ask of a run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from dgmppl.cli.arguments import add_set, argument, number, positive

if TYPE_CHECKING:
    from dgmppl.apply.answers import Answers
    from dgmppl.apply.fitted import FittedRun


def add_reconstruct(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--draw", action="store_true", help="draw the latents and the rows, in place of their means")


def reconstructed(options: argparse.Namespace, run: FittedRun) -> Answers:
    return run.reconstruct(options.data, split=options.split, draw=options.draw, seed=options.seed)


def add_interpolate(sub: argparse.ArgumentParser) -> None:
    help_ = "how many pairs of rows, one after another (default: all of --data, 8 of a split)"
    sub.add_argument("--pairs", type=positive, metavar="N", help=help_)
    _add_steps(sub, "rows of a path, both ends included (default 9)")
    help_ = "along great circles, where a latent has a normal prior (default: along straight lines)"
    sub.add_argument("--spherical", action="store_true", help=help_)


def interpolated(options: argparse.Namespace, run: FittedRun) -> Answers:
    return run.interpolate(
        options.data,
        split=options.split,
        pairs=options.pairs,
        steps=options.steps,
        spherical=options.spherical,
        draw=options.draw,
        seed=options.seed,
    )


def add_traverse(sub: argparse.ArgumentParser) -> None:
    help_ = "the number of a latent that is turned, z[3], z[2][3]; all in turn of z; may be repeated"
    sub.add_argument("--latent", type=argument, action="append", required=True, metavar="NAME", help=help_)
    help_ = "where the path starts (default -3, the end of the support, or all values of a class)"
    sub.add_argument("--from", dest="low", type=number, metavar="X", help=help_)
    sub.add_argument("--to", dest="high", type=number, metavar="X", help="where it ends")
    _add_steps(sub, "rows of a path (default 9)")
    help_ = "the first so many of --data or --split (default 1); without either, the means of p"
    sub.add_argument("--rows", type=positive, default=1, metavar="N", help=help_)
    add_set(sub, "the value of a condition, where no rows are named")


def traversed(options: argparse.Namespace, run: FittedRun) -> Answers:
    return run.traverse(
        options.latent,
        options.data,
        split=options.split,
        rows=options.rows,
        low=options.low,
        high=options.high,
        steps=options.steps,
        conditions=options.set,
        draw=options.draw,
        seed=options.seed,
    )


def _add_steps(sub: argparse.ArgumentParser, help_: str) -> None:
    sub.add_argument("--steps", type=positive, default=9, metavar="N", help=help_)
    sub.add_argument("--draw", action="store_true", help="draw the rows, in place of their means")
