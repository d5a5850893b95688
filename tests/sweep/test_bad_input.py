"""What is wrong with a sweep, beside its message in `golden/`, and that the disk stays as it was.

After a change of wording, `BLESS=1 pytest tests/sweep/test_bad_input.py` rewrites the messages; read the difference.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from dgmppl.cli import main
from dgmppl.sweep.run import check_sweep, open_sweep

from .support import GAN, SPEC, tree

GOLDEN = Path(__file__).parent / "golden"
USUAL = "small.dgm --over H=2..8 --out s"


def _sweep(folder: Path) -> None:
    open_sweep(check_sweep(Path("small.dgm"), ["H=2..8"]), folder / "s")


def _file(folder: Path) -> None:
    (folder / "s").write_text("notes")


def _other_files(folder: Path) -> None:
    (folder / "s").mkdir()
    (folder / "s" / "notes.txt").write_text("mine")


def _changed_spec(folder: Path) -> None:
    _sweep(folder)
    (folder / "small.dgm").write_text(SPEC.replace("batch = 500", "batch = 100"))


def _edited(**entries: object) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        _sweep(folder)
        path = folder / "s" / "sweep.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))

    return prepare


def _cut_record(folder: Path) -> None:
    _sweep(folder)
    path = folder / "s" / "sweep.json"
    path.write_text(path.read_text()[:100])


def _journal(text: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        _sweep(folder)
        (folder / "s" / "journal.log").write_text(text)

    return prepare


def _no_database(folder: Path) -> None:
    (folder / "study.db").write_text("this is no database, but a text that is longer than a header")


def _bad_spec(folder: Path) -> None:
    (folder / "small.dgm").write_text(SPEC.replace("mlp[H](z)", "mlp[H](y)"))


def _no_data(folder: Path) -> None:
    (folder / "small.dgm").write_text(SPEC.replace("moons.point", '"rows.npz".x'))


def _nothing(folder: Path) -> None:
    pass


CASES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "range_without_name": ("small.dgm --over 2..8 --out s", _nothing),
    "range_of_words": ("small.dgm --over H=few..many --out s", _nothing),
    "range_infinite": ("small.dgm --over train.clip=1..1e999 --out s", _nothing),
    "range_too_large": ("small.dgm --over train.seed=0..99999999999999999 --out s", _nothing),
    "range_of_one_value": ("small.dgm --over train.batch=64 --out s", _nothing),
    "range_backwards": ("small.dgm --over H=8..2 --out s", _nothing),
    "range_twice_the_same": ("small.dgm --over 'H=2|4|2' --out s", _nothing),
    "range_with_empty_choice": ("small.dgm --over 'H=2||4' --out s", _nothing),
    "log_from_zero": ("small.dgm --over 'train.clip=log(0..1)' --out s", _nothing),
    "log_unclosed": ("small.dgm --over 'train.clip=log(1..2' --out s", _nothing),
    "name_twice": ("small.dgm --over H=2..8 --over H=3..9 --out s", _nothing),
    "name_set_too": ("small.dgm --over H=2..8 --set H=3 --out s", _nothing),
    "name_unknown_constant": ("small.dgm --over K=2..8 --out s", _nothing),
    "name_unknown_setting": ("small.dgm --over train.bach=2..8 --out s", _nothing),
    "value_below": ("small.dgm --over H=0..8 --out s", _nothing),
    "value_unknown_choice": ("small.dgm --over 'train.optimizer=adam(1e-3) | adm(1e-3)' --out s", _nothing),
    "several_mistakes": ("small.dgm --over H=9..8 --over K= --over 'train.clip=log(-1..1)' --out s", _nothing),
    "spec_wrong": (USUAL, _bad_spec),
    "spec_missing": ("none.dgm --over H=2..8 --out s", _nothing),
    "set_wrong": (f"{USUAL} --set train.epochs=0", _nothing),
    "data_missing": (USUAL, _no_data),
    "figure_unknown": (f"{USUAL} --by elba", _nothing),
    "no_criterion": ("game.dgm --over train.batch=50..500 --out s", _nothing),
    "out_is_a_file": (USUAL, _file),
    "out_holds_other_files": (USUAL, _other_files),
    "out_below_a_file": ("small.dgm --over H=2..8 --out small.dgm/s", _nothing),
    "other_ranges": ("small.dgm --over H=2..9 --out s", _sweep),
    "other_spec": (USUAL, _changed_spec),
    "other_settings": (f"{USUAL} --set train.epochs=2", _sweep),
    "other_seed": (f"{USUAL} --seed 1", _sweep),
    "other_figure": (f"{USUAL} --by precision", _sweep),
    "other_pruning": (f"{USUAL} --no-prune", _sweep),
    "other_storage": (f"{USUAL} --storage sqlite:///study.db", _sweep),
    "record_cut": (USUAL, _cut_record),
    "record_of_another_kind": (USUAL, _edited(kind="dgmppl run")),
    "record_newer": (USUAL, _edited(format=2)),
    "record_edited": (USUAL, _edited(ranges="H=2..8")),
    "journal_no_json": (USUAL, _journal("H = 3\nH = 4\n")),
    "journal_of_something_else": (USUAL, _journal('{"op_code": 4}\n{"op_code": 5}\n')),
    "storage_no_url": (f"{USUAL} --storage study.db", _nothing),
    "storage_unknown": (f"{USUAL} --storage redis://localhost", _nothing),
    "storage_no_database": (f"{USUAL} --storage sqlite:///study.db", _no_database),
    "storage_not_there": (f"{USUAL} --storage sqlite:///none/study.db", _nothing),
}


@pytest.mark.parametrize("name", CASES)
def test_the_message_is_the_golden_one_and_the_disk_unchanged(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bless: bool
) -> None:
    arguments, prepare = CASES[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.dgm").write_text(SPEC)
    (tmp_path / "game.dgm").write_text(GAN)
    prepare(tmp_path)
    before = tree(tmp_path)
    status = main(["sweep", *shlex.split(arguments)])
    printed = capsys.readouterr()
    assert tree(tmp_path) == before
    assert printed.out == ""
    assert status == (2 if "error[E7" in printed.err else 1)
    said = printed.err.replace(str(tmp_path), "FOLDER")
    path = GOLDEN / f"{name}.txt"
    if bless:
        path.write_text(said, encoding="utf-8")
    assert said == path.read_text(encoding="utf-8"), "bless it if the new one is better"


def test_every_message_has_its_case() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)
