"""Every bijection and transform of the catalogue is compared with another library's, or no library has it."""

from __future__ import annotations

import ast
from pathlib import Path

from dgmppl.catalogue.bijections import BIJECTIONS, TRANSFORMS

NOWHERE = {"VolumePreserving"}
"""What neither zuko, nor Pyro, nor normflows has."""


def imported(path: Path) -> set[str]:
    """The names that a file takes from our runtime."""
    taken = [n for n in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(n, ast.ImportFrom)]
    return {name.name for n in taken if (n.module or "").startswith("dgmppl.runtime") for name in n.names}


def test_what_another_library_has_is_compared_with_it() -> None:
    compared = {name for path in Path(__file__).parent.glob("test_flows_of_*.py") for name in imported(path)}
    every = {kind.runtime for kind in (*BIJECTIONS.values(), *TRANSFORMS.values())}
    assert every - compared == NOWHERE
