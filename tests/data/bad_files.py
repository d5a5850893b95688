"""Data that cannot be loaded: what lies on the disk, what the spec says of it, and how it is asked for.

A case is a function that writes files into a folder and returns the spec's variables, and options of `load`;
the option `without` names a library that is not there.
"""

from __future__ import annotations

import datetime
import gzip
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
from PIL import Image
from pyarrow import feather, parquet

from dgmppl.plan.settings import SplitSetting
from dgmppl.source import Span
from tests.data.support import write_png_of_16_bits

Case = Callable[[Path], "str | tuple[Any, ...]"]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def rule(name: str, *sizes: float) -> dict[str, SplitSetting]:
    return {"split": SplitSetting(name, (sizes[0], sizes[1], sizes[2]), 0, Span(0, 10))}


# --- numpy ---------------------------------------------------------------------------------------


def npz(folder: Path, **arrays: Any) -> None:
    np.savez(folder / "mine.npz", **arrays)


@case
def npz_not_there(folder: Path) -> str:
    return 'x : real from "mine.npz".x'


@case
def npz_of_another_kind(folder: Path) -> str:
    (folder / "mine.npz").write_text("a,b\n1,2\n")
    return 'x : real from "mine.npz".x'


@case
def npz_cut_off(folder: Path) -> str:
    npz(folder, x=np.arange(1000.0))
    (folder / "mine.npz").write_bytes((folder / "mine.npz").read_bytes()[:500])
    return 'x : real from "mine.npz".x'


@case
def npz_with_a_broken_member(folder: Path) -> str:
    npz(folder, x=np.zeros(1000))
    data = bytearray((folder / "mine.npz").read_bytes())
    data[300:310] = b"0123456789"
    (folder / "mine.npz").write_bytes(data)
    return 'x : real from "mine.npz".x'


@case
def npz_is_a_folder(folder: Path) -> str:
    (folder / "mine.npz").mkdir()
    return 'x : real from "mine.npz".x'


@case
def npz_of_objects(folder: Path) -> str:
    npz(folder, x=np.array([{"a": 1}] * 10, dtype=object))
    return 'x : real from "mine.npz".x'


@case
def npz_of_texts(folder: Path) -> str:
    npz(folder, x=np.array(["a"] * 10))
    return 'x : real from "mine.npz".x'


@case
def npz_array_misspelled(folder: Path) -> str:
    npz(folder, spectra=np.zeros(10))
    return 'x : real from "mine.npz".spectrum'


@case
def npz_shape(folder: Path) -> str:
    npz(folder, x=np.zeros((10, 8, 8)))
    return 'x : real[64] from "mine.npz".x'


@case
def npz_one_hot(folder: Path) -> str:
    npz(folder, y=np.eye(3)[np.arange(10) % 3])
    return 'y : categorical(3) from "mine.npz".y'


@case
def npz_nan(folder: Path) -> str:
    x = np.zeros((10, 4))
    x[7, 2] = np.nan
    npz(folder, x=x)
    return 'x : real[4] from "mine.npz".x'


@case
def npz_too_large_for_single_precision(folder: Path) -> str:
    npz(folder, x=np.array([1.0] * 9 + [1e39]))
    return 'x : real from "mine.npz".x'


@case
def npz_outside_the_interval(folder: Path) -> str:
    npz(folder, x=np.linspace(-1, 1.5, 11))
    return 'x : interval(-1, 1) from "mine.npz".x'


@case
def npz_half_a_class(folder: Path) -> str:
    npz(folder, x=np.arange(10) / 2)
    return 'x : categorical(10) from "mine.npz".x'


@case
def npz_no_probabilities(folder: Path) -> str:
    npz(folder, x=np.full((10, 3), 0.3))
    return 'x : simplex[3] from "mine.npz".x'


@case
def npz_rows_that_do_not_pair_up(folder: Path) -> tuple[str, str]:
    npz(folder, x=np.zeros(20), y=np.zeros(10))
    return 'x : real from "mine.npz".x', 'y : real from "mine.npz".y'


@case
def npz_too_few_rows(folder: Path) -> str:
    npz(folder, x=np.zeros(2))
    return 'x : real from "mine.npz".x'


@case
def npz_row_missing_in_part(folder: Path) -> str:
    npz(folder, x=np.array([[np.nan, np.nan], [1, np.nan]] * 5))
    return 'partial x : real[2] from "mine.npz".x'


@case
def npy_pickled(folder: Path) -> str:
    (folder / "x.npy").write_bytes(pickle.dumps([1, 2, 3]))
    return 'x : real from "x.npy"'


@case
def npy_of_objects(folder: Path) -> str:
    np.save(folder / "x.npy", np.array([None] * 10), allow_pickle=True)
    return 'x : real from "x.npy"'


@case
def npy_is_an_npz(folder: Path) -> str:
    npz(folder, x=np.zeros(10))
    (folder / "mine.npz").rename(folder / "x.npy")
    return 'x : real from "x.npy"'


@case
def npy_cut_off(folder: Path) -> str:
    np.save(folder / "x.npy", np.zeros(100))
    (folder / "x.npy").write_bytes((folder / "x.npy").read_bytes()[:-10])
    return 'x : real from "x.npy"'


@case
def npy_of_records(folder: Path) -> str:
    np.save(folder / "x.npy", np.zeros(10, dtype=[("a", "f8"), ("b", "i4")]))
    return 'x : real from "x.npy"'


@case
def npy_streamed_by_columns(folder: Path) -> tuple[Any, ...]:
    np.save(folder / "x.npy", np.asfortranarray(np.zeros((10, 3))))
    return 'x : real[3] from "x.npy"', {"stream": True}


# --- tables --------------------------------------------------------------------------------------


def csv(folder: Path, text: str) -> None:
    (folder / "t.csv").write_text(text, encoding="utf-8")


PEOPLE = "name,age,height\nada,36,1.65\nbob,17,1.8\ncyd,52,1.71\ndan,44,1.9\neve,29,1.6\n"


@case
def csv_quote_that_is_never_closed(folder: Path) -> str:
    csv(folder, PEOPLE.replace("cyd", '"cyd'))
    return 'x : real[2] from "t.csv"[age, height]'


@case
def csv_quote_closed_rows_later(folder: Path) -> str:
    csv(folder, PEOPLE.replace("bob", '"bob').replace("eve", '"eve'))
    return 'x : real[2] from "t.csv"[age, height]'


@case
def csv_number_goes_on_behind_its_quotes(folder: Path) -> str:
    csv(folder, PEOPLE.replace("1.65", '"1"65'))
    return 'x : real from "t.csv".height'


@case
def csv_quote_in_the_header(folder: Path) -> str:
    csv(folder, PEOPLE.replace("name", '"name'))
    return 'x : real from "t.csv".age'


@case
def csv_zero_byte(folder: Path) -> str:
    csv(folder, PEOPLE.replace("cyd", "cyd\0"))
    return 'x : real from "t.csv".age'


@case
def csv_rows_end_in_the_middle(folder: Path) -> str:
    csv(folder, PEOPLE.replace("cyd", "c\ryd"))
    return 'x : real from "t.csv".age'


@case
def csv_more_cells(folder: Path) -> str:
    csv(folder, PEOPLE.replace("1.71", "1,71"))
    return 'x : real from "t.csv".age'


@case
def csv_infinite(folder: Path) -> str:
    csv(folder, PEOPLE.replace("1.71", "inf"))
    return 'x : real[2] from "t.csv"[age, height]'


@case
def csv_column_misspelled(folder: Path) -> str:
    csv(folder, PEOPLE)
    return 'x : real from "t.csv".hight'


@case
def csv_not_there_for_two(folder: Path) -> tuple[str, str]:
    return 'x : real from "t.csv".height', 'y : categorical(5) from "t.csv".name'


@case
def csv_without_header(folder: Path) -> str:
    csv(folder, "1,2\n3,4\n")
    return 'x : real[2] from "t.csv"'


@case
def csv_of_semicolons(folder: Path) -> str:
    csv(folder, PEOPLE.replace(",", ";"))
    return 'x : real from "t.csv".age[separator = "|"]'


@case
def csv_decimal_commas(folder: Path) -> str:
    csv(folder, "age;size\n1;1,5\n2;2\n")
    return 'x : real from "t.csv".size'


@case
def csv_decimal_commas_everywhere(folder: Path) -> str:
    csv(folder, "age;size\n1;1,5\n2;2,5\n")
    return 'x : real from "t.csv".size'


@case
def csv_decimal_points(folder: Path) -> str:
    csv(folder, "age;size\n1;1,5\n2;2.5\n")
    return 'x : real from "t.csv".size[decimal = ","]'


@case
def csv_no_date(folder: Path) -> str:
    csv(folder, "born\n2001-02-03\n3.2.2001\n")
    return 'x : real from dates("t.csv".born)'


@case
def csv_date_that_is_none(folder: Path) -> str:
    csv(folder, "born\n2001-02-30\n")
    return 'x : real from dates("t.csv".born)'


@case
def csv_class_named_na(folder: Path) -> str:
    csv(folder, "country\n" + "DE\nZA\nNA\n" * 5)
    return 'y : categorical(3) from "t.csv".country'


@case
def csv_no_row_is_chosen(folder: Path) -> str:
    csv(folder, PEOPLE)
    return 'x : real from "t.csv".age[where = age in 1000..]'


@case
def csv_chosen_by_a_text(folder: Path) -> str:
    csv(folder, PEOPLE)
    return 'x : real from "t.csv".age[where = age in ["old"]]'


@case
def csv_chosen_by_what_is_not_there(folder: Path) -> str:
    csv(folder, PEOPLE)
    return 'x : real from "t.csv".age[where = agee in 3..]'


@case
def csv_chosen_rows_streamed(folder: Path) -> tuple[Any, ...]:
    parquet.write_table(pa.table({"age": np.arange(50.0)}), folder / "t.parquet")
    return 'x : real from "t.parquet".age[where = age in 3..]', {"stream": True}


@case
def gz_cut_off(folder: Path) -> str:
    packed = gzip.compress(("age\n" + "12\n" * 5000).encode())
    (folder / "t.csv.gz").write_bytes(packed[:-12])
    return 'x : real from "t.csv.gz".age'


@case
def gz_with_a_wrong_checksum(folder: Path) -> str:
    packed = bytearray(gzip.compress(("age\n" + "12\n" * 5000).encode(), mtime=0))
    packed[-6] ^= 1
    (folder / "t.csv.gz").write_bytes(packed)
    return 'x : real from "t.csv.gz".age'


@case
def gz_that_is_none(folder: Path) -> str:
    (folder / "t.csv.gz").write_text("age\n1\n")
    return 'x : real from "t.csv.gz".age'


@case
def gz_bomb(folder: Path) -> str:
    with gzip.open(folder / "t.csv.gz", "wb", compresslevel=9) as file:
        file.write(b"age\n")
        for _ in range(70):
            file.write(b"1" * 2**20)
    return 'x : real from "t.csv.gz".age'


@case
def feather_cut_off(folder: Path) -> str:
    feather.write_feather(pa.table({"age": np.arange(500.0)}), folder / "t.feather")
    (folder / "t.feather").write_bytes((folder / "t.feather").read_bytes()[:900])
    return 'x : real from "t.feather".age'


@case
def feather_that_is_none(folder: Path) -> str:
    (folder / "t.feather").write_text("age\n1\n")
    return 'x : real from "t.feather".age'


def excel(folder: Path, rows: list[list[Any]], title: str = "people") -> Path:
    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    book.save(folder / "t.xlsx")
    return folder / "t.xlsx"


@case
def excel_not_installed(folder: Path) -> tuple[Any, ...]:
    excel(folder, [["age"], [1]])
    return 'x : real from "t.xlsx".age', {"without": "openpyxl"}


@case
def excel_that_is_none(folder: Path) -> str:
    (folder / "t.xlsx").write_text("age\n1\n")
    return 'x : real from "t.xlsx".age'


@case
def excel_of_a_zip(folder: Path) -> str:
    with zipfile.ZipFile(folder / "t.xlsx", "w") as archive:
        archive.writestr("t.csv", "age\n1\n")
    return 'x : real from "t.xlsx".age'


@case
def excel_cut_off(folder: Path) -> str:
    path = excel(folder, [["age"], *[[k] for k in range(500)]])
    path.write_bytes(path.read_bytes()[:-200])
    return 'x : real from "t.xlsx".age'


@case
def excel_without_a_part(folder: Path) -> str:
    path = excel(folder, [["age"], *[[k] for k in range(50)]])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content[:200] if "sheet1" in name else content)
    return 'x : real from "t.xlsx".age'


@case
def excel_of_entities(folder: Path) -> str:
    path = excel(folder, [["age"], [1]])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/more.xml", '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')
    return 'x : real from "t.xlsx".age'


@case
def excel_bomb(folder: Path) -> str:
    path = excel(folder, [["age"], [1]])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("xl/more.xml", b" " * (70 * 2**20))
    return 'x : real from "t.xlsx".age'


@case
def excel_formula_that_was_never_computed(folder: Path) -> str:
    excel(folder, [["age", "twice"], [1, 2], [2, "=2*A3"]])
    return 'x : real from "t.xlsx".twice'


@case
def excel_error(folder: Path) -> str:
    excel(folder, [["age"], [1], ["#DIV/0!"]])
    return 'x : real from "t.xlsx".age'


@case
def excel_date_as_number(folder: Path) -> str:
    excel(folder, [["born"], [datetime.date(2020, 1, 2)]])
    return 'x : real from "t.xlsx".born'


@case
def excel_sheet_misspelled(folder: Path) -> str:
    excel(folder, [["age"], [1]])
    return 'x : real from "t.xlsx".age[sheet = "poeple"]'


@case
def excel_text_among_numbers(folder: Path) -> str:
    excel(folder, [["age"], [1], ["two"], [3.5]])
    return 'x : real from "t.xlsx".age'


@case
def csv_ragged(folder: Path) -> str:
    csv(folder, PEOPLE.replace("52,1.71", "52"))
    return 'x : real from "t.csv".age'


@case
def csv_empty_cell(folder: Path) -> str:
    csv(folder, PEOPLE.replace("1.71", ""))
    return 'x : real[2] from "t.csv"[age, height]'


@case
def csv_text_among_numbers(folder: Path) -> str:
    csv(folder, PEOPLE.replace("1.9", "tall"))
    return 'x : real from "t.csv".height'


@case
def csv_digits_that_are_no_number(folder: Path) -> str:
    csv(folder, PEOPLE.replace("1.9", "1_9"))
    return 'x : real from "t.csv".height'


@case
def csv_text_as_numbers(folder: Path) -> str:
    csv(folder, PEOPLE)
    return 'x : real from "t.csv".name'


@case
def csv_text_of_too_many_classes(folder: Path) -> str:
    csv(folder, PEOPLE)
    return 'x : categorical(3) from "t.csv".name'


@case
def csv_text_in_a_vector(folder: Path) -> str:
    csv(folder, PEOPLE)
    return 'x : real[3] from "t.csv"'


@case
def csv_value_outside(folder: Path) -> str:
    csv(folder, PEOPLE)
    return 'x : integer(18..99) from "t.csv".age'


@case
def csv_not_utf_8(folder: Path) -> str:
    (folder / "t.csv").write_bytes("größe,alter\n1,2\n".encode("latin-1"))
    return 'x : real from "t.csv".alter'


@case
def csv_empty(folder: Path) -> str:
    csv(folder, "")
    return 'x : real from "t.csv".age'


@case
def csv_header_alone(folder: Path) -> str:
    csv(folder, "age,height\n")
    return 'x : real from "t.csv".age'


@case
def csv_name_twice(folder: Path) -> str:
    csv(folder, "age,age\n1,2\n3,4\n")
    return 'x : real from "t.csv".age'


@case
def csv_shape_of_all_columns(folder: Path) -> str:
    csv(folder, "a,b\n1,2\n3,4\n")
    return 'x : real[3] from "t.csv"'


@case
def npz_streamed(folder: Path) -> tuple[Any, ...]:
    np.savez(folder / "x.npz", age=np.arange(50.0))
    return 'x : real from "x.npz".age', {"stream": True}


def table(folder: Path, rows: int = 100, **columns: Any) -> None:
    parquet.write_table(pa.table(columns), folder / "t.parquet", row_group_size=rows)


@case
def parquet_of_another_kind(folder: Path) -> str:
    (folder / "t.parquet").write_text(PEOPLE)
    return 'x : real from "t.parquet".age'


@case
def parquet_cut_off(folder: Path) -> str:
    table(folder, a=np.arange(1000.0))
    (folder / "t.parquet").write_bytes((folder / "t.parquet").read_bytes()[:-20])
    return 'x : real from "t.parquet".a'


@case
def parquet_damaged_inside(folder: Path) -> str:
    table(folder, a=np.random.default_rng(0).random(1000))
    data = bytearray((folder / "t.parquet").read_bytes())
    data[4:60] = b"\xff" * 56
    (folder / "t.parquet").write_bytes(data)
    return 'x : real from "t.parquet".a'


@case
def parquet_missing_value(folder: Path) -> str:
    table(folder, a=[1, 2, None, 4, 5])
    return 'x : integer from "t.parquet".a'


@case
def parquet_lists_of_several_lengths(folder: Path) -> str:
    table(folder, rows=5, v=[[1.0, 2.0]] * 7 + [[3.0]] + [[4.0, 5.0]] * 2)
    return 'x : real[2] from "t.parquet".v'


@case
def parquet_of_days(folder: Path) -> str:
    table(folder, day=np.arange(10).astype("datetime64[D]"))
    return 'x : real from "t.parquet".day'


@case
def parquet_lists_among_columns(folder: Path) -> str:
    table(folder, a=np.arange(10), v=[[1.0, 2.0]] * 10)
    return 'x : real[2] from "t.parquet"[a, v]'


@case
def parquet_too_few_row_groups_to_shuffle(folder: Path) -> tuple[Any, ...]:
    table(folder, a=np.arange(500.0))
    return 'x : real from "t.parquet".a', {"stream": True, **rule("shuffled", 0.6, 0.2, 0.2)}


@case
def parquet_row_group_too_large(folder: Path) -> tuple[Any, ...]:
    table(folder, rows=2**26, a=np.zeros(2**24 + 10, np.int8))
    return 'x : real from "t.parquet".a', {"stream": True}


# --- IDX and images ------------------------------------------------------------------------------


def idx(*sizes: int) -> bytes:
    return struct.pack(f">HBB{len(sizes)}I", 0, 8, len(sizes), *sizes) + bytes(int(np.prod(sizes)))


@case
def idx_of_another_kind(folder: Path) -> str:
    (folder / "x-idx3-ubyte").write_bytes(b"nothing of the kind")
    return 'x : real[2, 2] from "x-idx3-ubyte"'


@case
def idx_cut_off(folder: Path) -> str:
    (folder / "x-idx3-ubyte").write_bytes(idx(10, 2, 2)[:-1])
    return 'x : real[2, 2] from "x-idx3-ubyte"'


@case
def idx_compressed_and_cut_off(folder: Path) -> str:
    (folder / "x-idx3-ubyte.gz").write_bytes(gzip.compress(np.random.default_rng(0).bytes(900), mtime=0)[:-100])
    (folder / "x-idx3-ubyte.gz").write_bytes(gzip.compress(idx(10, 2, 2), mtime=0)[:-12])
    return 'x : real[2, 2] from "x-idx3-ubyte.gz"'


@case
def idx_with_a_wrong_checksum(folder: Path) -> str:
    content = bytearray(gzip.compress(idx(10, 2, 2), mtime=0))
    content[-8] ^= 1
    (folder / "x-idx3-ubyte.gz").write_bytes(bytes(content))
    return 'x : real[2, 2] from "x-idx3-ubyte.gz"'


@case
def images_of_a_split_in_two_folders(folder: Path) -> str:
    for split in ("train", "val", "validation"):
        picture(folder / "photos" / split / "a.png", 2, 2)
    return 'x : real[2, 2] from "photos".image'


@case
def images_beside_the_splits(folder: Path) -> str:
    for split in ("train", "test", "extra"):
        picture(folder / "photos" / split / "a.png", 2, 2)
    return 'x : real[2, 2] from "photos".image'


@case
def idx_that_announces_more(folder: Path) -> str:
    (folder / "x-idx3-ubyte.gz").write_bytes(gzip.compress(idx(10, 2, 2)[:-7], mtime=0))
    return 'x : real[2, 2] from "x-idx3-ubyte.gz"'


@case
def mnist_without_labels(folder: Path) -> str:
    (folder / "mnist").mkdir()
    for prefix in ("train", "t10k"):
        (folder / "mnist" / f"{prefix}-images-idx3-ubyte").write_bytes(idx(10, 2, 2))
    return 'y : categorical(10) from "mnist".label'


def picture(path: Path, *size: int, grey: int = 7) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, grey, np.uint8)).save(path)


@case
def folder_not_there(folder: Path) -> str:
    return 'x : real[2, 2] from "photos".image'


@case
def folder_is_a_file(folder: Path) -> str:
    (folder / "photos").write_text("")
    return 'x : real[2, 2] from "photos".image'


@case
def folder_without_images(folder: Path) -> str:
    (folder / "photos").mkdir()
    (folder / "photos" / "a.txt").write_text("")
    return 'x : real[2, 2] from "photos".image'


@case
def folder_with_an_empty_split(folder: Path) -> str:
    picture(folder / "photos" / "train" / "a.png", 2, 2)
    (folder / "photos" / "test").mkdir()
    return 'x : real[2, 2] from "photos".image'


@case
def folders_without_one_for_training(folder: Path) -> str:
    for split in ("valid", "testing"):
        picture(folder / "photos" / split / "cat" / "a.png", 2, 2)
    return 'y : binary from "photos".label'


@case
def folders_of_splits_in_another(folder: Path) -> str:
    for split in ("train", "valid"):
        picture(folder / "photos" / "export" / split / "cat" / "a.png", 2, 2)
    return 'y : binary from "photos".label'


@case
def folders_of_splits_in_classes(folder: Path) -> str:
    for name in ("cat", "dog"):
        for split in ("train", "valid"):
            picture(folder / "photos" / name / split / "a.png", 2, 2)
    return 'y : binary from "photos".label'


@case
def image_beside_the_splits(folder: Path) -> str:
    for name in ("train/a.png", "valid/a.png", "a.png"):
        picture(folder / "photos" / name, 2, 2)
    return 'x : real[2, 2] from "photos".image'


@case
def image_of_16_bits_in_colour(folder: Path) -> str:
    write_png_of_16_bits(folder / "photos" / "a.png", np.full((2, 2, 3), 1000), 2)
    return 'x : real[2, 2, 3] from "photos".image'


@case
def images_of_two_sizes(folder: Path) -> str:
    picture(folder / "photos" / "cat" / "a.png", 2, 3)
    picture(folder / "photos" / "cat" / "b.png", 2, 2)
    return 'x : real[2, 3] from "photos".image'


@case
def images_of_another_shape(folder: Path) -> str:
    for name in "abcde":
        picture(folder / "photos" / f"{name}.png", 2, 3, 3)
    return 'x : real[3, 2] from "photos".image'


@case
def image_cut_off(folder: Path) -> str:
    for name in "abcde":
        picture(folder / "photos" / f"{name}.png", 50, 50)
    (folder / "photos" / "c.png").write_bytes((folder / "photos" / "c.png").read_bytes()[:70])
    return 'x : real[50, 50] from "photos".image'


@case
def image_that_is_none(folder: Path) -> str:
    picture(folder / "photos" / "a.png", 2, 2)
    (folder / "photos" / "b.png").write_text("<html>404</html>")
    return 'x : real[2, 2] from "photos".image'


@case
def image_that_fills_the_memory(folder: Path) -> str:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    (folder / "photos").mkdir()
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")
    (folder / "photos" / "a.png").write_bytes(data)
    return 'x : real[2, 2] from "photos".image'


@case
def image_without_label(folder: Path) -> str:
    picture(folder / "photos" / "cat" / "a.png", 2, 2)
    picture(folder / "photos" / "b.png", 2, 2)
    return 'y : categorical(2) from "photos".label'


@case
def image_labels_as_numbers(folder: Path) -> str:
    for name in "abc":
        picture(folder / "photos" / name / "1.png", 2, 2)
    return 'y : categorical(2) from "photos".label'


@case
def image_value_outside(folder: Path) -> str:
    for i, name in enumerate("abcde"):
        picture(folder / "photos" / f"{name}.png", 2, 2, grey=i)
    return 'x : integer(0..3)[2, 2] from "photos".image'


# --- libraries -----------------------------------------------------------------------------------


@case
def hugging_face_not_installed(folder: Path) -> tuple[Any, ...]:
    return 'x : real from "hf:glue".x', {"without": "datasets"}


@case
def hugging_face_folder_not_there(folder: Path) -> str:
    return 'x : real from "hf:./saved".x'


@case
def torchvision_not_installed(folder: Path) -> tuple[Any, ...]:
    return 'x : integer(0..255)[28, 28] from "torchvision:MNIST".image', {"without": "torchvision"}


# --- splits and transforms -----------------------------------------------------------------------


@case
def split_of_too_many_rows(folder: Path) -> tuple[Any, ...]:
    npz(folder, x=np.zeros(100))
    return 'x : real from "mine.npz".x', rule("ordered", 80, 20, 20)


@case
def split_into_shares_of_nothing(folder: Path) -> tuple[Any, ...]:
    npz(folder, x=np.zeros(10))
    return 'x : real from "mine.npz".x', rule("ordered", 0.9, 0.05, 0.05)


@case
def split_of_data_that_is_split(folder: Path) -> tuple[Any, ...]:
    npz(folder, x_train=np.zeros(10), x_validation=np.zeros(3), x_test=np.zeros(3))
    return 'x : real from "mine.npz".x', rule("shuffled", 0.8, 0.1, 0.1)


@case
def split_of_other_test_rows(folder: Path) -> tuple[Any, ...]:
    npz(folder, x_train=np.zeros(100), x_test=np.zeros(30))
    return 'x : real from "mine.npz".x', rule("ordered", 80, 20, 20)


@case
def rescale_of_one_value(folder: Path) -> str:
    npz(folder, x=np.ones(10))
    return 'x : interval(-1, 1) from rescale("mine.npz".x, -1, 1)'


@case
def labels_for_more_rows_than_there_are(folder: Path) -> str:
    npz(folder, y=np.arange(100) % 3)
    return 'partial y : categorical(3) from labelled("mine.npz".y, 61)'


@case
def more_than_all_is_missing(folder: Path) -> str:
    return "partial x : real[13] elementwise from standardize(missing(wine.data, 1.2))"


@case
def npz_element_of_another_kind(folder: Path) -> str:
    npz(folder, x=np.array([[0, np.nan], [1, 1], [np.nan, 0.5], [0, 1], [1, 0]]))
    return 'partial x : binary[2] elementwise from "mine.npz".x'


@case
def labels_for_fewer_rows_than_classes(folder: Path) -> str:
    return "partial y : categorical(10) from labelled(digits.label, 9)"
