"""Which rows and which values there are of the data of a random spec."""

from __future__ import annotations

import re

from tests.contracts.random_specs.draft import Draft

WHERE = (
    "age in 18..65",
    "age in 18..",
    "age in [20, 30]",
    "[age in ..65, kind in [1, 2]]",
)
"""Conditions on columns that the file has beside those that are read."""

_FIELD = re.compile(r'("rows\.npz"\.\w+)(?:\[(missing = \[[^]]*\])\])?')


def rows_told(d: Draft) -> list[str]:
    """The statements: now and then with a condition on the rows of their file, and more values that are missing."""
    told = [_missing(s) if " elementwise from " in s and d.rows.random() < 0.2 else s for s in d.statements]
    if d.rows.random() >= 0.1:
        return told
    where = d.rows.choice(WHERE)
    return [_FIELD.sub(lambda f: f"{f[1]}[{f[2] + ', ' if f[2] else ''}where = {where}]", s) for s in told]


def _missing(statement: str) -> str:
    return re.sub(r" from (.*)$", r" from missing(\1, 0.2)", statement)
