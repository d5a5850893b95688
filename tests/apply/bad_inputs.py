"""Rows, flags and folders that a run cannot be applied to: a command, and what is changed on the disk before it.

A case is a function that edits the folder; what all cases find in it is made by `make_runs`.
"""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from tests.apply.runs import PEOPLE, fit, people
from tests.goldens import Cases

Change = Callable[[Path], None]
CASES: Cases = {}

ALONE = 'model alone\nobserved v : real[3] from "v.npy"\np(v) = Normal(param)\ntrain { epochs = 1 }\n'


def make_runs(folder: Path) -> None:
    """A run `run` of a table with classes, a run `alone` of one array, and rows for both."""
    people(60).to_csv(folder / "people.csv", index=False)
    fit(folder, PEOPLE)
    np.save(folder / "v.npy", np.random.default_rng(0).normal(size=(40, 3)))
    fit(folder, ALONE, "alone")
    others = people(12, seed=1)
    others.to_csv(folder / "others.csv", index=False)
    others.to_parquet(folder / "others.parquet")


def case(command: str) -> Callable[[Change], Change]:
    def add(change: Change) -> Change:
        plain(change.__name__, command, change)
        return change

    return add


def nothing(folder: Path) -> None:
    pass


def plain(name: str, command: str, change: Change = nothing) -> None:
    CASES[name] = (command, lambda folder, _: change(folder))


def write(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(people(12, seed=1)).to_csv(folder / "others.csv", index=False)


# --- tables ---------------------------------------------------------------------------------------


@case("encode run --data others.csv -o z.csv")
def a_column_is_missing(folder: Path) -> None:
    write(folder, lambda t: t.drop(columns="size"))


@case("encode run --data others.csv -o z.csv")
def a_column_of_several_is_missing(folder: Path) -> None:
    write(folder, lambda t: t.drop(columns="height"))


@case("impute run --data others.csv -o z.csv")
def text_in_utf_16(folder: Path) -> None:
    people(12, seed=1).to_csv(folder / "others.csv", index=False, encoding="utf-16")


@case("score run --data others.csv -o z.csv")
def decimal_commas(folder: Path) -> None:
    people(12, seed=1).to_csv(folder / "others.csv", index=False, sep=";", decimal=",")


plain("an_option_that_is_none", """score run --data 'others.csv[decimals = ","]' -o z.csv""")
plain("an_option_of_other_files", """score run --data 'others.parquet[decimal = ","]' -o z.csv""")
plain("brackets_that_are_no_options", "score run --data 'others.csv[decimal: comma]' -o z.csv")
plain("columns_in_brackets", "score run --data 'others.csv[height]' -o z.csv")
plain("where_nothing_is_left", "score run --data 'others.csv[where = height in 900..]' -o z.csv")


@case("score run --data others.csv -o z.csv")
def a_column_has_another_name(folder: Path) -> None:
    write(folder, lambda t: t.rename(columns={"size": "Size"}))


@case("encode run --data others.csv -o z.csv")
def a_class_is_unknown(folder: Path) -> None:
    write(folder, lambda t: t.assign(size=["giant", *t["size"][1:]]))


@case("encode run --data others.csv -o z.csv")
def classes_are_numbers(folder: Path) -> None:
    write(folder, lambda t: t.assign(size=range(12)))


@case("score run --data others.csv -o z.csv")
def a_number_is_text(folder: Path) -> None:
    write(folder, lambda t: t.assign(weight=["heavy", *t["weight"][1:]]))


@case("score run --data others.csv -o z.csv")
def a_cell_is_empty(folder: Path) -> None:
    write(folder, lambda t: t.assign(weight=t["weight"].where(t.index != 4)))


@case("score run --data others.csv -o z.csv")
def a_class_is_empty(folder: Path) -> None:
    write(folder, lambda t: t.assign(size=t["size"].where(t.index != 4)))


@case("score run --data others.csv -o z.csv")
def a_number_is_infinite(folder: Path) -> None:
    write(folder, lambda t: t.assign(weight=t["weight"].where(t.index != 2, np.inf)))


@case("score run --data others.csv -o z.csv")
def a_number_is_too_large(folder: Path) -> None:
    write(folder, lambda t: t.assign(weight=t["weight"].where(t.index != 2, 1e60)))


@case("score run --data others.csv -o z.csv")
def rows_of_different_lengths(folder: Path) -> None:
    (folder / "others.csv").write_text("height,weight,size\n170,60,tall\n170,60\n")


@case("score run --data others.csv -o z.csv")
def an_empty_file(folder: Path) -> None:
    (folder / "others.csv").write_text("")


@case("score run --data others.csv -o z.csv")
def a_header_alone(folder: Path) -> None:
    (folder / "others.csv").write_text("height,weight,size\n")


@case("score run --data others.csv -o z.csv")
def no_header(folder: Path) -> None:
    (folder / "others.csv").write_text("170,60,1\n171,61,2\n")


@case("score run --data others.csv -o z.csv")
def no_text(folder: Path) -> None:
    (folder / "others.csv").write_bytes(b"height,weight,size\n\xff\xfe170,60,tall\n")


@case("score run --data others.csv -o z.csv")
def a_quote_without_end(folder: Path) -> None:
    (folder / "others.csv").write_text('height,weight,size\n170,60,"tall\n171,61,short\n')


@case("score run --data others.csv -o z.csv")
def a_column_twice(folder: Path) -> None:
    (folder / "others.csv").write_text("height,weight,size,size\n170,60,tall,short\n")


@case("score run --data others.parquet -o z.csv")
def parquet_cut_off(folder: Path) -> None:
    (folder / "others.parquet").write_bytes((folder / "others.parquet").read_bytes()[:200])


@case("score run --data others.parquet -o z.csv")
def parquet_that_is_a_pickle(folder: Path) -> None:
    (folder / "others.parquet").write_bytes(pickle.dumps([1, 2, 3]))


@case("score run --data others.parquet -o z.csv")
def parquet_of_other_types(folder: Path) -> None:
    people(5).assign(weight=[[1.0]] * 5).to_parquet(folder / "others.parquet")


# --- arrays ---------------------------------------------------------------------------------------


@case("score alone --data w.npy -o z.csv")
def rows_of_another_size(folder: Path) -> None:
    np.save(folder / "w.npy", np.zeros((5, 4)))


@case("score alone --data w.npy -o z.csv")
def one_row_without_an_axis(folder: Path) -> None:
    np.save(folder / "w.npy", np.zeros(3))


@case("score alone --data w.npy -o z.csv")
def objects(folder: Path) -> None:
    np.save(folder / "w.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


@case("score alone --data w.npz -o z.csv")
def an_array_of_another_name(folder: Path) -> None:
    np.savez(folder / "w.npz", rows=np.zeros((5, 3)))


@case("score alone --data w.npz -o z.csv")
def arrays_cut_off(folder: Path) -> None:
    np.savez(folder / "w.npz", v=np.zeros((500, 3)))
    (folder / "w.npz").write_bytes((folder / "w.npz").read_bytes()[:300])


@case("score run --data w.npz -o z.csv")
def texts_that_are_damaged(folder: Path) -> None:
    np.savez(folder / "w.npz", x=np.zeros((500, 2)), size=np.array(["tall"] * 500))
    content = bytearray((folder / "w.npz").read_bytes())
    content[9000] ^= 255
    (folder / "w.npz").write_bytes(bytes(content))


@case("score alone --data w.npy -o z.csv")
def a_row_is_not_finite(folder: Path) -> None:
    np.save(folder / "w.npy", np.where(np.arange(15).reshape(5, 3) == 7, np.nan, 1.0))


@case("score alone --data w.npy -o z.csv")
def complex_numbers(folder: Path) -> None:
    np.save(folder / "w.npy", np.zeros((5, 3), dtype=complex))


@case("score run --data w.npz -o z.csv")
def arrays_of_different_rows(folder: Path) -> None:
    np.savez(folder / "w.npz", x=np.zeros((5, 2)), size=np.zeros(4))


# --- files and flags ------------------------------------------------------------------------------


plain("a_file_that_is_not_there", "encode run --data nowhere.csv -o z.csv")
plain("a_file_of_no_format", "encode run --data others.doc -o z.csv", lambda f: (f / "others.doc").touch())
plain("a_folder_in_place_of_a_file", "encode run --data others -o z.csv", lambda f: (f / "others").mkdir())
plain("answers_of_no_format", "encode run --data others.csv -o z.doc")
plain("answers_in_no_folder", "encode run --data others.csv -o nowhere/z.csv")
plain("answers_in_place_of_a_folder", "encode run --data others.csv -o here.csv", lambda f: (f / "here.csv").mkdir())
plain("no_answers", "encode run --data others.csv")
plain("a_file_and_a_split", "encode run --data others.csv --split test -o z.csv")
plain("an_unknown_split", "encode run --split dev -o z.csv")
plain("draws_below_none", "encode run --draws -1 -o z.csv")
plain("a_share_above_one", "score run --unusual 1.5 -o z.csv")
plain("importance_of_an_exact_model", "score alone --importance 5 -o z.csv")
plain("latents_of_a_model_without_any", "encode alone -o z.csv")
plain("no_run", "score others.csv -o z.csv")
plain("a_run_that_is_not_there", "score nowhere -o z.csv")
plain("evaluate_a_file_that_is_not_there", "evaluate run --data nowhere.csv")


@case("score run --data others.csv -o z.csv")
def a_run_without_weights(folder: Path) -> None:
    for file in (folder / "run").glob("*.safetensors"):
        file.unlink()


@case("score run -o z.csv")
def the_data_of_the_fit_is_gone(folder: Path) -> None:
    (folder / "people.csv").unlink()
    path = folder / "run" / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "data_folder": "/nowhere"}))


def edit(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    path = folder / "run" / "run.json"
    record = json.loads(path.read_text())
    change(record["data"]["fields"])
    path.write_text(json.dumps(record))


@case("score run --data others.csv -o z.csv")
def a_record_without_a_field(folder: Path) -> None:
    edit(folder, lambda fields: fields.pop("y"))


@case("score run --data others.csv -o z.csv")
def a_record_with_other_transforms(folder: Path) -> None:
    edit(folder, lambda fields: fields["x"].update(transforms=[]))  # type: ignore[attr-defined]


@case("score run --data others.csv -o z.csv")
def a_record_with_a_mean_of_text(folder: Path) -> None:
    edit(folder, lambda fields: fields["x"]["transforms"][0].update(mean=["a", "b"]))  # type: ignore[index]


@case("score run --data others.csv -o z.csv")
def a_record_with_a_mean_of_another_size(folder: Path) -> None:
    edit(folder, lambda fields: fields["x"]["transforms"][0].update(mean=[1.0, 2.0, 3.0]))  # type: ignore[index]


@case("score run --data others.csv -o z.csv")
def a_record_with_a_deviation_of_nothing(folder: Path) -> None:
    edit(folder, lambda fields: fields["x"]["transforms"][0].update(deviation=[0.0, 1.0]))  # type: ignore[index]


@case("score run --data others.csv -o z.csv")
def a_record_with_more_classes(folder: Path) -> None:
    edit(folder, lambda fields: fields["y"].update(classes=["a", "b", "c", "d"]))  # type: ignore[attr-defined]


@case("score run --data others.csv.gz -o z.csv")
def damaged_gzip(folder: Path) -> None:
    content = gzip.compress((folder / "others.csv").read_bytes())
    (folder / "others.csv.gz").write_bytes(content[: len(content) // 2])


# --- compressed rows ------------------------------------------------------------------------------


@case("compress run -o rows.dgz")
def real_numbers_have_no_code(folder: Path) -> None:
    pass


@case("compress run --lossy -o rows.dgz")
def latents_that_are_no_codes(folder: Path) -> None:
    pass


@case("compress alone --lossy -o rows.dgz")
def rows_without_codes(folder: Path) -> None:
    pass


@case("decompress run others.csv -o rows.csv")
def rows_that_are_not_compressed(folder: Path) -> None:
    pass
