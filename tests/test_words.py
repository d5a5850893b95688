"""Messages count: "1 row", and never "1 rows"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import dgmppl
from dgmppl.words import are, counted, plural

NOUNS = """axis bit byte cell channel character class column dimension draw element epoch file kind label latent level
member number parameter parent part position row sample set step time trial value variable weight"""
BEHIND = re.compile(rf" ((more|training|validation|test) )?({'|'.join(plural(noun) for noun in NOUNS.split())})\b")
TEXTS = {"present", "extent", "axes", "indices", "name", "self.name", "field.flow", "wanted", "many", "values.strip()"}
TEXTS |= {"out_channels", "colours", "self.rate", "support.shortest", "_extent(elements.extent)"}
"""Values that are no numbers, or more than 1."""


def counts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Values of f-strings that a plural follows, and that may be 1: no constants, and no branch for 1 beside them."""
    branches = {id(part) for node in ast.walk(tree) if isinstance(node, ast.IfExp) for part in (node.body, node.orelse)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr) or id(node) in branches:
            continue
        for value, behind in zip(node.values, node.values[1:]):
            if isinstance(value, ast.FormattedValue) and isinstance(behind, ast.Constant):
                text = ast.unparse(value.value)
                named = text in TEXTS or text.rpartition(".")[2].isupper() or "describe" in text
                if BEHIND.match(str(behind.value)) and not named:
                    yield node.lineno, text


def test_what_messages_count_they_count_with_one_function() -> None:
    found = []
    for path in sorted(Path(dgmppl.__file__).parent.rglob("*.py")):
        found += [f"{path}:{line}: {text}" for line, text in counts(ast.parse(path.read_text(encoding="utf-8")))]
    assert not found, "\n".join(found)


def test_a_count_without_it_is_found() -> None:
    assert [*counts(ast.parse("f'{n} rows of {counted(n, 1)} and {MOST} rows'"))] == [(1, "n")]


@pytest.mark.parametrize(
    ("number", "noun", "form", "expected"),
    [
        (1, "row", "", "1 row"),
        (0, "row", "", "0 rows"),
        (2000, "class", ",", "2,000 classes"),
        (3, "axis", "", "3 axes"),
        (2, "epoch", "", "2 epochs"),
    ],
)
def test_counted(number: int, noun: str, form: str, expected: str) -> None:
    assert counted(number, noun, form) == expected
    assert are(number) == ("is" if number == 1 else "are")
