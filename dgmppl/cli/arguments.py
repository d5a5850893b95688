"""Types and options of the command line that several commands share."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path

Command = Callable[[argparse.Namespace], int]
Add = Callable[[str, Command, str], argparse.ArgumentParser]
"""Registers a command: its name, the function that runs it, and its help. Gives the parser to add arguments to."""

FINE, WRONG, MISUSED, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 130
SIGNALLED = 128  # and the signal's number, as shells have it


def add_spec(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("spec", type=path, metavar="SPEC")
    add_set(sub, "change a setting of the spec, such as train.epochs=5")


def add_set(sub: argparse.ArgumentParser, help_: str) -> None:
    sub.add_argument("--set", action="append", default=[], type=assignment, metavar="NAME=VALUE", help=help_)


def add_device(sub: argparse.ArgumentParser, default: str | None) -> None:
    sub.add_argument("--device", choices=("auto", "cpu", "cuda"), default=default)


def add_data_folder(sub: argparse.ArgumentParser) -> None:
    help_ = "where the data is that the spec names by relative paths, if it was moved apart from the run"
    sub.add_argument("--data-folder", type=path, metavar="DIR", help=help_)


def assignment(text: str) -> str:
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=value")
    return text


def argument(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text


def path(text: str) -> Path:
    return Path(argument(text))


def count(text: str, low: int = 0) -> int:
    if not re.fullmatch(r"[0-9]+", text) or (low and not text.strip("0")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low}")
    if len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text} is too large, whole numbers have up to 18 digits here")
    return int(text)


def positive(text: str) -> int:
    return count(text, 1)


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value
