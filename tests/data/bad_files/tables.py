"""Tables that cannot be loaded: .csv, .parquet, .xlsx and their columns."""

from __future__ import annotations

import datetime
import gzip
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
from pyarrow import feather, parquet

from tests.data.bad_files.cases import case, rule


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
