"""Writes people.csv: 600 people who are not there, drawn with a fixed seed, as a table that somebody may bring.

python examples/people/make_people.py
"""

from __future__ import annotations

import csv
import math
import random
from datetime import date, timedelta
from pathlib import Path

# Its share, and by how much log income and age lie above those of all.
JOBS = {"clerk": (0.40, 0.0, 0), "nurse": (0.25, 0.05, -3), "smith": (0.15, -0.1, 4), "teacher": (0.20, 0.25, 2)}
TODAY = date(2024, 1, 1)


def person(r: random.Random) -> dict[str, object]:
    job = r.choices(list(JOBS), [share for share, _, _ in JOBS.values()])[0]
    _, pay, older = JOBS[job]
    age = r.gauss(42 + older, 9)
    income = math.exp(10.1 + pay + 0.012 * (age - 40) + r.gauss(0, 0.25))
    height = r.gauss(171, 9)
    weight = 72 + 0.8 * (height - 171) + 0.25 * (age - 42) + r.gauss(0, 8)
    return {
        "job": job,
        "born": TODAY - timedelta(days=round(365.25 * age)),
        "income": f"{income:.0f}",
        "height": "" if r.random() < 0.05 else f"{height:.1f}",
        "weight": "" if r.random() < 0.15 else f"{weight:.1f}",
    }


def main() -> None:
    r = random.Random(0)
    people = [person(r) for _ in range(600)]
    with (Path(__file__).parent / "people.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, people[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(people)


if __name__ == "__main__":
    main()
