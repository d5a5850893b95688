"""Answers in files: what was computed, chunk by chunk."""

from pathlib import Path

import numpy as np

from dgmppl.apply.answers import Answers


def test_arrays_have_whole_texts_and_the_numbers_of_every_chunk(tmp_path: Path) -> None:
    """Texts that agree in their first 64 characters, the longest in a later chunk; whole numbers before others."""
    long = "a" * 80
    chunks = [
        {"t": np.array(["a", None], dtype=object), "x": np.array([[1, 2], [3, 4]])},
        {"t": np.array([long + "b", long + "c"], dtype=object), "x": np.array([[0.5, 1], [2, 3.25]])},
    ]
    Answers(4, lambda: iter(chunks)).write(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert found["t"].tolist() == ["a", "", long + "b", long + "c"]
        assert found["x"].tolist() == [[1, 2], [3, 4], [0.5, 1], [2, 3.25]]
