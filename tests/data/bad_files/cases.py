"""How a case is written: a function that writes files into a folder and says what a spec says of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dgmppl.plan.settings import SplitSetting
from dgmppl.source import Span

Case = Callable[[Path], "str | tuple[Any, ...]"]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def rule(name: str, *sizes: float) -> dict[str, SplitSetting]:
    return {"split": SplitSetting(name, (sizes[0], sizes[1], sizes[2]), 0, Span(0, 10))}
