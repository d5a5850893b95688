"""What comes last in the order of an autoregressive density is drawn on in that order: as enumeration of the density
has it, in rows that allow it and only where nothing else depends on it."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dgmppl.diagnostics import Source
from dgmppl.imputations import in_order
from dgmppl.permutations import order_of
from dgmppl.pipeline import check
from tests.apply.imputed import DRAWS, bits, run_of

TWELVE = 'observed x : binary[12] from "d.npz".x\n'
GRID = 'observed x : binary[3, 4] from "d.npz".x\n'
GIVEN = 'observed y : categorical(3) from "d.npz".y\n'
# Each spec, and the order of its elements.
SPECS = {
    "row by row": (TWELVE + "p(x[d] | x[<d]) = Bernoulli(masked[16](x[<d]))", range(12)),
    "backward": (
        TWELVE + "p(x[d] | x[<d], order = reverse) = Bernoulli(causal[8, kernel = 3](x[<d]))",
        range(12)[::-1],
    ),
    "along diagonals": (
        GRID + "p(x[i, j] | x[<i, <j], order = zigzag) = Bernoulli(transformer[8](x[<i, <j]))",
        order_of("zigzag", (3, 4)),
    ),
    "a picture": (GRID + "p(x[i, j] | x[<i, <j]) = Bernoulli(pixelcnn[8, kernel = 3](x[<i, <j]))", range(12)),
    "vectors": (
        'observed x : binary[6, 2] from "d.npz".x\np(x[d] | x[<d]) = Bernoulli(gru[8](x[<d]))',
        range(12),
    ),
    "given a feature of a condition": (
        TWELVE + GIVEN + "let h : real[4] = mlp[4](y)\np(x[d] | x[<d], y) = Bernoulli(masked[16](x[<d], h))",
        range(12),
    ),
    "given what is modelled too": (
        TWELVE + GIVEN + "p(y) = Categorical(param)\np(x[d] | x[<d], y) = Bernoulli(masked[16](x[<d], y))",
        range(12),
    ),
}
GAPS = [0, 3, 5, 11]


@pytest.mark.parametrize("kind", SPECS)
def test_rows_are_as_enumeration_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr("dgmppl.apply.in_order.AT_ONCE", 1)  # row by row
    text, order = SPECS[kind]
    given = {"y": np.arange(30) % 3} if GIVEN in text else {}
    shape = (3, 4) if GRID in text else (6, 2) if "[6, 2]" in text else (12,)
    run = run_of(tmp_path, f"model m\n{text}\n", {"x": bits(30, 12).reshape(-1, *shape), **given}, spread=1.0)
    rows, missing = bits(4, 12, seed=3), [list(order)[-4:], GAPS, list(order)[-2:], list(order)[-3:-1]]
    for row, gone in zip(rows, missing):
        row[gone] = np.nan
    asked = {name: v[1:5] for name, v in given.items()}
    found = run.impute({"x": rows.reshape(-1, *shape), **asked}, draws=DRAWS)
    drawn = found["x"].reshape(4, DRAWS, 12)
    assert any(note.startswith("exact, in the order of p(x") for note in found.notes)
    assert found.notes[-1].startswith("2 rows exactly, in the order of p(x")
    assert "; 2 other rows: R" in found.notes[-1]
    for k, gone in enumerate(missing):
        kept = [d for d in range(12) if d not in gone]
        assert (drawn[k][:, kept] == rows[k][kept]).all()
        expected = by_enumeration(run.model, rows[k], gone, shape, {name: v[k] for name, v in asked.items()})
        codes = (drawn[k][:, gone] @ 2 ** np.arange(len(gone))[::-1]).astype(int)
        frequencies = np.bincount(codes, minlength=len(expected)) / DRAWS
        margin = 5 * np.sqrt(expected * (1 - expected) / DRAWS) + 1e-3 if k in (0, 2) else 0.05
        assert (np.abs(frequencies - expected) < margin).all(), (k, frequencies, expected)


def by_enumeration(
    model: torch.nn.Module,
    row: NDArray[np.float64],
    gone: list[int],
    shape: tuple[int, ...],
    given: dict[str, NDArray[np.int64]],
) -> NDArray[np.float64]:
    """The probability of each way to fill a row of bits."""
    every = torch.tensor(list(itertools.product((0.0, 1.0), repeat=len(gone))))
    whole = torch.tensor(row, dtype=torch.float32).repeat(len(every), 1)
    whole[:, gone] = every
    named = {name: torch.full((len(every),), float(v)) for name, v in given.items()}
    with torch.no_grad():
        terms = model.terms(x=whole.reshape(-1, *shape), **named)  # type: ignore[operator]
    found: NDArray[np.float64] = sum(terms.values()).softmax(0).numpy()
    return found


@pytest.mark.parametrize(
    "others",
    [
        'observed v : real from "d.npz".v\np(v | x) = Normal(linear(x), 1)',
        'observed v : real from "d.npz".v\nlet h : real[4] = mlp[4](x)\np(v | x) = Normal(linear(h), 1)',
        'observed v : real from "d.npz".v\nlatent z : real\np(z | x) = Normal(linear(x), 1)\np(v | z) = Normal(z, 1)',
    ],
    ids=["a reader", "a reader through a feature", "a reader that is latent"],
)
def test_what_something_reads_is_not_drawn_in_order(others: str) -> None:
    text = f"model m\n{TWELVE}p(x[d] | x[<d]) = Bernoulli(masked[16](x[<d]))\n"
    assert len(in_order(check(Source("m.dgm", text)), ["x"])) == 1
    assert not in_order(check(Source("m.dgm", text + others + "\n")), ["x"])
