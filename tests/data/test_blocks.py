"""Tables as text are read block by block: what comes out is what comes of the whole file at once."""

from __future__ import annotations

import gzip
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dgmppl.data.formats import csv, temporary, text
from dgmppl.data.formats.kinds import Texts
from dgmppl.data.rows import ArrayRows, MappedRows, Origin, PickedRows
from dgmppl.diagnostics import SpecError
from tests.data.support import loaded, message, whole

ROWS = 60


def table(cell: Callable[[int], str], head: str = "a,b", rows: int = ROWS) -> str:
    return head + "\n" + "".join(f"{cell(k)}\n" for k in range(rows))


COLORS = ["red", "dark blue", "é", "NA", '"NA"', '"line\nbreak"', '"a ""quote"", and more"']

CASES = {
    "numbers": ('x : real[2] from "t.csv"', table(lambda k: f"{k / 7},{-k}e1")),
    "numbers of two lengths": ('x : real[2] from "t.csv"', table(lambda k: f'{10**k},"{k}"')),
    "missing": ('partial elementwise x : real[2] from "t.csv"', table(lambda k: f"{k},{'NA' if k % 3 else ' 1 '}")),
    "truth after blanks": ('partial x : binary from "t.csv".a', table(lambda k: f"{'true' if k > 40 else ''},1")),
    "texts after numbers": ('x : real from "t.csv".a', table(lambda k: f"{'x' if k == 40 else k},1")),
    "a text in one of two": ('x : real[2] from "t.csv"', table(lambda k: f"{k},{'x' if k == 50 else 'y'}")),
    "numbers after texts": ('x : categorical(2) from "t.csv".a', table(lambda k: f"{7 if k == 50 else 'x'},1")),
    "texts after truth": ('x : categorical(3) from "t.csv".a', table(lambda k: f"{['true', 'false', 'no'][k // 25]},")),
    "texts after blanks": ('partial x : categorical(2) from "t.csv".a', table(lambda k: f"{' vw'[k // 21]},1")),
    "texts": ('partial x : categorical(6) from "t.csv".a', table(lambda k: f"{COLORS[k % 7]},1")),
    "marks": ('partial x : real from "t.csv".a[missing = ["?", -1]]', table(lambda k: f"{['?', -1, k][k % 3]},1")),
    "dates": ('x : real from dates("t.csv".a)', table(lambda k: f"2024-01-{1 + k % 28:02d},1")),
    "a wrong date": ('x : real from dates("t.csv".a)', table(lambda k: f"2024-{1 + k // 4:02d}-01,1")),
    "chosen": ('x : real from "t.csv".a[where = b in ["u"]]', table(lambda k: f"{k},{'uv'[k % 2]}")),
    "commas": ('x : real from "t.csv".a[decimal = ","]', table(lambda k: f"{k},5;1", "a;b")),
    "points for commas": ('x : real from "t.csv".a', table(lambda k: f"{k},{5 if k > 30 else 0};1", "a;b")),
    "ragged": ('x : real from "t.csv".a', table(lambda k: "1,2,3" if k == 45 else "1,2")),
    "ragged behind a text": ('x : real from "t.csv".a', table(lambda k: "1,2,3" if k == 45 else "x,2" if k else "1,2")),
    "more behind a quote": ('x : real from "t.csv".b', table(lambda k: f'{k},"1"{"2" if k == 45 else ""}')),
    "blank lines": ('x : real from "t.csv".a', table(lambda k: f"{k},1\n" if k % 4 == 0 else f"{k},1")),
    "missing as blank lines": ('partial x : real from "t.csv".a', table(lambda k: f"{k}\n" if k % 4 else f"{k}", "a")),
    "carriage returns": ('x : real[2] from "t.csv"', table(lambda k: f"{k},1").replace("\n", "\r\n")),
    "a mark of order": ('x : real[2] from "t.csv"', "\ufeff" + table(lambda k: f"{k},1")),
    "an infinite number": ('x : real[2] from "t.csv"', table(lambda k: f"{k},{'inf' if k == 33 else 1}")),
    "too many classes": ('x : categorical(9) from "t.csv".a', table(lambda k: f"v{k},1", rows=1010)),
    "tabs": ('x : real[2] from "t.tsv"', table(lambda k: f"{k}\t1", "a\tb")),
}


def outcome(line: str, folder: Path, **options: bool) -> tuple[object, ...]:
    """What is read, with all that is said of it."""
    try:
        found = loaded(line, base=folder, **options)
    except SpecError:
        return (message(line, base=folder, **options),)
    told = [(w.code, w.headline) for w in found.warnings]
    field = found.fields["x"]
    return whole(found).tobytes(), found.fingerprint, field.classes, field.columns, told, dict(found.rule)


@pytest.mark.parametrize("packed", [False, True], ids=["", "gz"])
@pytest.mark.parametrize("name", CASES)
def test_blocks_give_what_the_whole_gives(
    name: str, packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, content = CASES[name]
    file = next(f for f in ("t.csv", "t.tsv") if f in line)
    (tmp_path / file).write_bytes(content.encode())
    if packed:
        line = line.replace(file, f"{file}.gz")
        (tmp_path / f"{file}.gz").write_bytes(gzip.compress(content.encode()))
    expected = outcome(line, tmp_path)
    for block, kept in ((16, 0), (40, 10**6)) if not packed else ((100, 0),):
        monkeypatch.setattr(text, "BLOCK", block)
        monkeypatch.setattr(temporary, "KEPT", kept)
        assert outcome(line, tmp_path) == expected


def test_a_streamed_table_has_the_values_of_one_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_text(table(lambda k: f"{k / 3},{COLORS[k % 4]}"))
    lines = 'x : real from standardize("t.csv".a)', 'partial y : categorical(3) from "t.csv".b'
    held = loaded(*lines, base=tmp_path)
    monkeypatch.setattr(temporary, "KEPT", 0)
    monkeypatch.setattr(text, "BLOCK", 50)
    streamed = loaded(*lines, base=tmp_path, stream=True)
    assert streamed.train.streamed
    assert not held.train.streamed
    assert streamed.fingerprint == held.fingerprint
    for name in ("x", "y"):
        assert np.array_equal(whole(streamed, name), whole(held, name), equal_nan=True)


def test_nothing_is_left_of_a_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder shows none while it is used, so that a process that is killed leaves none either."""
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(room))
    monkeypatch.setattr(temporary, "KEPT", 0)
    (tmp_path / "t.csv").write_text(table(lambda k: f"{k},1"))
    found = loaded('x : real[2] from "t.csv"', base=tmp_path, stream=True)
    assert not list(room.iterdir())
    assert whole(found).shape == (ROWS, 2)
    (tmp_path / "t.csv").write_text(table(lambda k: "1,2,3" if k == 50 else "1,2"))
    assert "row 52 has 3 cells" in message('x : real[2] from "t.csv"', base=tmp_path)
    assert not list(room.iterdir())


def test_no_room_for_a_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    monkeypatch.setattr(temporary, "KEPT", 0)
    (tmp_path / "t.csv").write_text(table(lambda k: f"{k},1"))
    said = message('x : real[2] from "t.csv"', base=tmp_path)
    assert "which cannot be written (No such file or directory)" in said
    assert "TMPDIR" in said


def test_a_file_that_is_a_single_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MOST_ROW", 2**20)
    monkeypatch.setattr(text, "BLOCK", 2**16)
    (tmp_path / "t.csv").write_text("a,b\n" + "1," * 2**20 + "\n")
    assert "a line of it takes more than 1 MiB" in message('x : real[2] from "t.csv"', base=tmp_path)


def test_a_row_longer_than_a_block(tmp_path: Path) -> None:
    """It was refused, as one that lies in more than two blocks."""
    (tmp_path / "t.csv").write_text(table(lambda k: f"{'x' * 3_000_000 if k == 2 else 'y'},{k}", rows=9))
    found = loaded('x : real from "t.csv".b', base=tmp_path)
    assert np.array_equal(whole(found), np.arange(9.0))


def test_a_quote_that_is_never_closed_in_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no reason to hold the rest of the file."""
    monkeypatch.setattr(text, "MOST_ROW", 1000)
    (tmp_path / "t.csv").write_text(table(lambda k: f"{k},{chr(34) if k == 5 else ''}x", rows=5000))
    said = message('x : real from "t.csv".a', base=tmp_path)
    assert "row 7 takes more than" in said
    assert "a quote may never be closed" in said


def test_a_file_that_is_changed_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_text(table(lambda k: f"{k},1"))
    before = csv.verify_cells

    def changed(*arguments: object) -> int:
        with path.open("a") as file:
            file.write("7,7\n")
        return before(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(csv, "verify_cells", changed)
    assert "it was changed while it was read" in message('x : real from "t.csv".a', base=tmp_path)


def test_texts_that_are_no_classes_are_not_all_kept() -> None:
    kind = Texts(".", True)
    for first in range(0, 5000, 500):
        cells = pa.array([f"v{first + k}" for k in range(500)])
        kind.values(cells, lambda cells=cells: cells, first)
    assert len(kind.known) == 1001


@pytest.mark.parametrize("cell", ["{0}.25,{0}", '"{0}",red{1}'], ids=["numbers", "texts"])
def test_memory_does_not_grow_with_rows(cell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "BLOCK", 2**12)  # pyarrow reads 32 of them ahead
    monkeypatch.setattr(temporary, "KEPT", 2**15)
    monkeypatch.setattr("dgmppl.data.rows.BLOCK_VALUES", 2**12)
    line = 'x : real[2] from "t.csv"' if "red" not in cell else 'x : categorical(2) from "t.csv".b'
    peaks = []
    for rows in (20_000, 80_000):
        (tmp_path / "t.csv").write_text(table(lambda k: cell.format(k, k % 2), rows=rows))
        pool = pa.proxy_memory_pool(pa.default_memory_pool())
        before = pa.default_memory_pool()
        pa.set_memory_pool(pool)
        tracemalloc.start()
        try:
            loaded(line, base=tmp_path, stream=True)
            peaks.append((pool.max_memory(), tracemalloc.get_traced_memory()[1]))
        finally:
            tracemalloc.stop()
            pa.set_memory_pool(before)
    (arrow_few, python_few), (arrow_many, python_many) = peaks
    assert arrow_many < 1.5 * arrow_few
    assert python_many < 1.5 * python_few + 2**17


def test_of_rows_that_are_no_array_those_picked_are_held_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgmppl.data.rows.BLOCK_VALUES", 10)
    values = np.arange(94.0).reshape(47, 2)
    rows = MappedRows(ArrayRows(values, Origin("here")), lambda block: -block)
    index = np.random.default_rng(0).permutation(47)[:20]
    picked = PickedRows(rows, index)
    assert np.array_equal(picked.read(3, 17), -values[index[3:17]])
    assert picked._array.shape == (20, 2)
    assert picked.number(5) == index[5]
