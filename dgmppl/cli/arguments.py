"""Types and options of the command line that several commands share."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[[argparse.Namespace], int]
Add = Callable[[str, Command, str], argparse.ArgumentParser]
"""Registers a command: its name, the function that runs it, and its help. Gives the parser to add arguments to."""

FINE, WRONG, MISUSED, INTERNAL, INTERRUPTED = 0, 1, 2, 3, 130
SIGNALLED = 128  # and the signal's number, as shells have it


def add_spec(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("spec", type=path, metavar="SPEC")
    add_set(sub, "change a setting of the spec, such as train.epochs=5")
    add_allow_python(sub)


def add_set(sub: argparse.ArgumentParser, help_: str) -> None:
    sub.add_argument("--set", action=Assign, default=[], type=assignment, metavar="NAME=VALUE", help=help_)


def add_allow_python(sub: argparse.ArgumentParser) -> None:
    help_ = "import the Python classes that the spec names as networks: code, which does what it likes"
    sub.add_argument("--allow-python", action="store_true", help=help_)


class Assign(argparse.Action):
    """Appends an assignment. Of two to one name neither is chosen in silence."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        before = getattr(namespace, self.dest)
        name = values.partition("=")[0].strip()
        for other in before:
            if other.partition("=")[0].strip() == name:
                raise argparse.ArgumentError(self, f"{name} is set twice, by {other!r} and {values!r}")
        setattr(namespace, self.dest, [*before, values])


def add_run_options(sub: argparse.ArgumentParser) -> None:
    """What is said of a run that a command computes with: where its data lies, the device, whether to import code."""
    add_data_folder(sub)
    add_device(sub, "cpu")
    add_allow_python(sub)


def add_device(sub: argparse.ArgumentParser, default: str | None) -> None:
    sub.add_argument("--device", choices=("auto", "cpu", "cuda"), default=default)


def add_data_folder(sub: argparse.ArgumentParser) -> None:
    help_ = "where the data is that the spec names by relative paths, if it was moved apart from the run"
    sub.add_argument("--data-folder", type=folder, metavar="DIR", help=help_)


def add_units(sub: argparse.ArgumentParser) -> None:
    help_ = "that densities are told in (default data): those of the data, or the model's own, behind transforms"
    sub.add_argument("--units", choices=("data", "model"), default="data", help=help_)


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


def rows_file(text: str) -> str | Path:
    """The path of a file, or with options in brackets, `people.csv[decimal = ","]`."""
    return argument(text) if text.endswith("]") else path(text)


def folder(text: str) -> Path:
    found = path(text)
    if not found.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text}")
    return found


def count(text: str, low: int = 0) -> int:
    if not re.fullmatch(r"[0-9]+", text) or (low and not text.strip("0")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low}")
    if len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text} is too large, whole numbers have up to 18 digits here")
    return int(text)


def positive(text: str) -> int:
    return count(text, 1)


def share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def number(text: str) -> float:
    """Any number."""
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value
