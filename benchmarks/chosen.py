"""The choice of what a benchmark measures, `--only vae,rbm`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable


def only(names: Iterable[str]) -> Callable[[str], list[str]]:
    """The type of an argument that names some of these, separated by commas; an unknown one is refused."""
    known = list(names)

    def read(text: str) -> list[str]:
        found = text.split(",")
        unknown = [name for name in found if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)} among {', '.join(known)}")
        return found

    return read
