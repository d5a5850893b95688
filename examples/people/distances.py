"""How near a synthetic table comes to the real one: each column, and each pair of them.

    python examples/people/distances.py people.csv synthetic.csv

A column of texts: the total variation of its classes, half the sum of what their shares differ by. A column of
numbers or dates: the Kolmogorov-Smirnov distance, the most that its distribution functions differ by. A pair of
numbers: what their correlation differs by; of texts and numbers: what the correlation of a number with each class
differs by, at most. In brackets the same between two halves of the real table, at random: what chance alone does to
so few rows. Rows that miss a cell are left out of what needs it.
"""

from __future__ import annotations

import sys
from itertools import combinations

import numpy as np
import pandas as pd

Columns = dict[str, pd.Series]


def read(path: str) -> pd.DataFrame:
    """A table with dates as days."""
    table = pd.read_csv(path)
    for name in table.columns:
        if not pd.api.types.is_numeric_dtype(table[name]):
            days = pd.to_datetime(table[name], format="%Y-%m-%d", errors="coerce")
            if days.notna().all():
                table[name] = (days - pd.Timestamp("1970-01-01")).dt.days
    return table


def total_variation(a: pd.Series, b: pd.Series) -> float:
    shares = pd.concat([a.value_counts(normalize=True), b.value_counts(normalize=True)], axis=1).fillna(0.0)
    return float((shares.iloc[:, 0] - shares.iloc[:, 1]).abs().sum() / 2)


def kolmogorov_smirnov(a: pd.Series, b: pd.Series) -> float:
    a, b = np.sort(a.dropna()), np.sort(b.dropna())
    both = np.concatenate([a, b])
    shares = [np.searchsorted(x, both, side="right") / len(x) for x in (a, b)]
    return float(np.abs(shares[0] - shares[1]).max())


def of_column(a: pd.Series, b: pd.Series) -> float:
    return kolmogorov_smirnov(a, b) if pd.api.types.is_numeric_dtype(a) else total_variation(a, b)


def numbers(column: pd.Series) -> pd.DataFrame:
    """A column as numbers: a text is one for each class, whether it is that."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_frame()
    return pd.get_dummies(column).astype(float)


def of_pair(a: pd.DataFrame, b: pd.DataFrame, x: str, y: str) -> float:
    differences = []
    for i in numbers(a[x]):
        for j in numbers(a[y]):
            found = [numbers(t[x])[i].corr(numbers(t[y])[j]) for t in (a, b)]
            differences.append(abs(found[0] - found[1]))
    return float(max(differences))


def main(real: str, synthetic: str) -> None:
    table, made = read(real), read(synthetic)
    mixed = table.sample(frac=1, random_state=0)
    halves = mixed.iloc[: len(mixed) // 2], mixed.iloc[len(mixed) // 2 :]
    for name in table.columns:
        by_chance = of_column(halves[0][name], halves[1][name])
        print(f"{name:<20} {of_column(table[name], made[name]):.3f} ({by_chance:.3f})")
    for x, y in combinations(table.columns, 2):
        by_chance = of_pair(*halves, x, y)
        print(f"{f'{x}, {y}':<20} {of_pair(table, made, x, y):.3f} ({by_chance:.3f})")


if __name__ == "__main__":
    main(*sys.argv[1:])
