"""How a file is read, as the brackets of a spec say it: marks for missing values, rows by a condition, separators."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from dgmppl.data.dates import days_of
from dgmppl.data.forms import Form
from dgmppl.diagnostics import SpecError
from dgmppl.graph.nodes import DataSource
from dgmppl.pipeline import check
from dgmppl.source import Source
from tests.data.support import loaded, message, values, whole

COUNTRIES = ["NA", "ZA", "DE"]


def write(folder: Path, text: str, name: str = "x.csv") -> None:
    (folder / name).write_text(text, encoding="utf-8")


def countries(folder: Path, quote: str = "", name: str = "x.csv") -> np.ndarray:
    rows = "".join(f"{i},{quote}{COUNTRIES[i % 3]}{quote}\n" for i in range(90))
    write(folder, "a,country\n" + rows, name)
    return np.array([["DE", "NA", "ZA"].index(COUNTRIES[i % 3]) for i in range(90)])


# --- missing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ['[missing = ""]', "[missing = []]", '[missing = "?"]', '[missing = ["none", -1]]'])
def test_a_class_may_be_called_as_missing_values_are(option: str, tmp_path: Path) -> None:
    """NA is Namibia."""
    expected = countries(tmp_path)
    found = loaded(f'y : categorical(3) from "x.csv".country{option}', base=tmp_path)
    assert np.array_equal(whole(found, "y"), expected)
    assert found.fields["y"].classes == ("DE", "NA", "ZA")
    assert not found.warnings


def test_a_class_in_quotes_is_a_text(tmp_path: Path) -> None:
    """As R writes it: "NA" is the text, NA a missing value."""
    expected = countries(tmp_path, '"')
    assert np.array_equal(whole(loaded('y : categorical(3) from "x.csv".country', base=tmp_path), "y"), expected)
    write(tmp_path, 'c\n"NA"\nNA\n"DE"\n NA\n""\n', "r.csv")
    found = loaded('partial y : categorical(2) from "r.csv".c', base=tmp_path, split=None)
    assert np.array_equal(whole(found, "y"), [1, np.nan, 0, np.nan, np.nan], equal_nan=True)


def test_a_mark_in_quotes_among_numbers_is_missing_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, 'a,b\n"1","true"\n"NA","NA"\n"3","false"\n"4","true"\n"5","true"\n')
    assert np.isnan(whole(loaded('partial x : real from "x.csv".a', base=tmp_path)))[1]
    assert np.isnan(whole(loaded('partial x : binary from "x.csv".b', base=tmp_path)))[1]


def put(table: pd.DataFrame, path: Path) -> None:
    write = {".csv": partial(table.to_csv, index=False), ".parquet": table.to_parquet, ".feather": table.to_feather}
    write[path.suffix](path)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.feather"])
def test_columns_of_texts_have_the_same_classes(name: str, tmp_path: Path) -> None:
    """Those of all columns, in the order of their letters: no column has all of them, and one has none."""
    columns = {"r0": ["b", "a", None, "b", "a", "b"], "r1": ["c", "c", "b", None, "b", "c"], "r2": [None] * 6}
    table = pd.DataFrame({name: np.array(texts, dtype=object) for name, texts in columns.items()})
    put(table, tmp_path / name)
    splits = loaded(f'partial r : categorical(3)[3] elementwise from "{name}"[r0, r1, r2]', base=tmp_path)
    codes = {"a": 0.0, "b": 1.0, "c": 2.0, None: np.nan}
    expected = np.array([[codes[text] for text in texts] for texts in columns.values()]).T
    np.testing.assert_array_equal(whole(splits, "r"), expected)
    field = splits.fields["r"]
    assert field.classes == ("a", "b", "c")
    assert field.invert(expected[:2]).tolist() == [["b", "c", None], ["a", "c", None]]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.feather"])
def test_texts_beside_numbers_are_no_family(name: str, tmp_path: Path) -> None:
    table = pd.DataFrame({"a": ["x", "y", "x"], "b": [1.0, 2.0, 3.0]})
    put(table, tmp_path / name)
    with pytest.raises(SpecError, match=r"column `a` of .* holds text"):
        loaded(f'r : categorical(4)[2] from "{name}"[b, a]', base=tmp_path)


def test_rows_that_silently_lose_a_class_are_warned_of(tmp_path: Path) -> None:
    countries(tmp_path)
    found = loaded('partial y : categorical(3) from "x.csv".country', base=tmp_path)
    (warning,) = found.warnings
    assert warning.code == "W522"
    assert "`NA` of x.csv is taken for a missing value, and 2 classes are left" in warning.headline
    assert '"x.csv".country[missing = ""]' in warning.help
    (warning,) = loaded('partial y : categorical(3) from "x.csv".country[missing = "NA"]', base=tmp_path).warnings
    assert warning.code == "W526" and "class 2 without a name" in warning.label
    assert not loaded('partial y : categorical(2) from "x.csv".country', base=tmp_path).warnings


def test_categories_that_no_row_has_have_their_names(tmp_path: Path) -> None:
    """One that no row has has a name, which samples of it have; one beyond them is told by its number."""
    kinds = pd.CategoricalDtype(["small", "medium", "large", "huge"], ordered=True)
    pd.DataFrame({"size": pd.Categorical(["large", "small", "medium"] * 20, dtype=kinds)}).to_parquet(
        tmp_path / "t.parquet"
    )
    found = loaded('y : categorical(4) from "t.parquet".size', base=tmp_path)
    assert not [w for w in found.warnings if w.code == "W526"]
    assert list(found.fields["y"].invert(np.arange(4.0))) == ["large", "medium", "small", "huge"]
    found = loaded('y : categorical(6) from "t.parquet".size', base=tmp_path)
    assert [w.label for w in found.warnings if w.code == "W526"] == ["classes 4 to 5 without a name"]
    assert list(found.fields["y"].invert(np.array([3, 5, np.nan]))) == ["huge", "5", None]


def test_marks_of_numbers_and_of_texts(tmp_path: Path) -> None:
    """-1 for no label, as in scikit-learn; marks of one's own among numbers, which take the place of the usual ones."""
    labels = np.arange(90) % 4 - 1.0
    np.savez(tmp_path / "x.npz", y=labels, n=np.array([[1, -9], [-9, 2], [-1, 5], [3, 4], [5, 6]]))
    found = whole(loaded('partial y : categorical(3) from "x.npz".y[missing = -1]', base=tmp_path), "y")
    assert np.array_equal(found, np.where(labels < 0, np.nan, labels), equal_nan=True)
    said = message('partial y : categorical(3) from "x.npz".y', base=tmp_path)
    assert 'where it stands for a missing value: "x.npz".y[missing = -1]' in said
    found = whole(loaded('partial x : real[2] elementwise from "x.npz".n[missing = [-9, -1]]', base=tmp_path))
    assert np.array_equal(np.isnan(found).sum(0), [2, 1])
    write(tmp_path, "a,b\n1,?\n-99,3\n,4\n5,6\n7,8\n")
    found = whole(loaded('partial x : real[2] elementwise from "x.csv"[a, b, missing = ["?", -99]]', base=tmp_path))
    assert np.array_equal(found[:3], [[1, np.nan], [np.nan, 3], [np.nan, 4]], equal_nan=True)
    write(tmp_path, "a\n1\nNA\n3\n4\n5\n")
    assert "`NA`" in message('partial x : real from "x.csv".a[missing = "?"]', base=tmp_path)


def test_marks_come_before_transforms(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", y=np.array([1.0, 2.0, 999.0, 3.0, 2.0, 1.0]))
    found = loaded('partial x : real from standardize("x.npz".y[missing = 999])', base=tmp_path, split=None)
    assert found.fields["x"].transforms[0].mean == pytest.approx(1.5)  # of the training rows


def test_what_marks_a_class_in_a_table_is_no_class(tmp_path: Path) -> None:
    table = pd.DataFrame({"c": ["b", "?", "a", "b", None, "a"]})
    table.to_parquet(tmp_path / "x.parquet")
    table.to_feather(tmp_path / "x.feather")
    table.to_excel(tmp_path / "x.xlsx", index=False)
    for name in ("x.parquet", "x.feather", "x.xlsx"):
        found = loaded(f'partial y : categorical(2) from "{name}".c[missing = "?"]', base=tmp_path)
        assert np.array_equal(whole(found, "y"), [1, np.nan, 0, 1, np.nan, 0], equal_nan=True)
        assert found.fields["y"].classes == ("a", "b")


# --- where ---------------------------------------------------------------------------------------

rng = np.random.default_rng(0)
PEOPLE = pd.DataFrame(
    {
        "age": rng.integers(10, 80, 60),
        "job": rng.choice(["cook", "clerk", "NA"], 60),
        "born": pd.date_range("1950-01-01", periods=60, freq="400D").strftime("%Y-%m-%d"),
        "height": rng.normal(170, 10, 60).round(1),
    }
)
PEOPLE.loc[::11, "height"] = np.nan


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    PEOPLE.to_csv(folder / "p.csv", index=False, quoting=2)
    PEOPLE.to_csv(folder / "p.tsv.gz", index=False, sep="\t", quoting=2)
    PEOPLE.to_csv(folder / "q.csv", index=False, sep=";", decimal=",", quoting=2)
    PEOPLE.to_parquet(folder / "p.parquet", row_group_size=7)
    PEOPLE.to_feather(folder / "p.feather")
    PEOPLE.to_excel(folder / "p.xlsx", index=False)
    return folder


TABLES = ("p.csv", "p.tsv.gz", "q.csv", "p.parquet", "p.feather", "p.xlsx")


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    ("where", "query"),
    [
        ("age in 18..65", "18 <= age <= 65"),
        ("age in 30..", "age >= 30"),
        ("age in ..30.5", "age <= 30.5"),
        ("age in [11, 12, 13, 20, 21]", "age in [11, 12, 13, 20, 21]"),
        ('job in ["cook", "clerk", "nobody"]', "job in ['cook', 'clerk']"),
        ('born in "1980-01-01".."1999-12-31"', "'1980-01-01' <= born <= '1999-12-31'"),
        ("height in 165..", "height >= 165"),
        ('[age in 18.., job in ["cook"], height in ..180]', "age >= 18 and job == 'cook' and height <= 180"),
    ],
)
def test_rows_are_those_of_a_query(people: Path, name: str, where: str, query: str) -> None:
    """As pandas gives them, and of every variable the same."""
    decimal = ', decimal = ","' if name == "q.csv" else ""
    asked = f'[missing = "", where = {where}{decimal}]'
    found = loaded(f'x : real from "{name}".age{asked}', f'y : categorical(3) from "{name}".job{asked}', base=people)
    rows = PEOPLE.query(query)
    assert len(rows) >= 5
    assert np.array_equal(whole(found), rows["age"])
    classes = found.fields["y"].classes
    assert [classes[int(code)] for code in whole(found, "y")] == rows["job"].tolist()


def test_a_fault_is_named_by_its_row_in_the_file(people: Path) -> None:
    first = int(np.flatnonzero(PEOPLE["age"] >= 40)[0])
    said = message('x : interval(0, 39)[1] from "p.csv"[age, missing = "", where = age in 40..]', base=people)
    assert f"row {first + 2}, column `age` of p.csv" in said


def test_rows_of_parts_are_chosen_in_each(tmp_path: Path) -> None:
    arrays = {f"{n}_{s}": np.arange(10.0) * k for n, k in (("x", 2), ("y", 1)) for s in ("train", "validation", "test")}
    np.savez(tmp_path / "x.npz", **arrays)
    found = loaded('x : real from "x.npz".x[where = y in 3..6]', base=tmp_path)
    for _, table in found:
        assert values(table).tolist() == [6, 8, 10, 12]


def test_variables_of_a_file_have_the_same_rows(people: Path) -> None:
    said = message('x : real from "p.csv".age[where = age in 40..]', 'y : real from "p.csv".height', base=people)
    assert "`y` and `x` are observed together, and take other rows of p.csv" in said
    assert "where = age in 40.." in said


# --- separators and decimal marks ----------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["", ".gz"])
def test_the_header_says_what_separates_cells(separator: str, end: str, tmp_path: Path) -> None:
    PEOPLE.to_csv(tmp_path / f"x.csv{end}", sep=separator, index=False)
    found = whole(loaded(f'partial x : real[2] elementwise from "x.csv{end}"[age, height]', base=tmp_path))
    np.testing.assert_allclose(found, PEOPLE[["age", "height"]], rtol=1e-6)


@pytest.mark.parametrize("separator", [",", ";", "\t", ":"])
def test_decimal_commas_by_option(separator: str, tmp_path: Path) -> None:
    PEOPLE.to_csv(tmp_path / "x.csv", sep=separator, decimal=",", index=False)
    shown = {"\t": "tab"}.get(separator, separator)
    asked = "" if separator == "," else f', separator = "{shown}"'
    text = f'partial x : real[2] elementwise from "x.csv"[age, height, decimal = ","{asked}]'
    np.testing.assert_allclose(whole(loaded(text, base=tmp_path)), PEOPLE[["age", "height"]], rtol=1e-6)


def test_a_sheet_by_its_name(tmp_path: Path) -> None:
    with pd.ExcelWriter(tmp_path / "x.xlsx") as book:
        PEOPLE.head(7).to_excel(book, sheet_name="2023", index=False)
        PEOPLE.tail(9).to_excel(book, sheet_name="2024", index=False)
    assert np.array_equal(whole(loaded('x : real from "x.xlsx".age', base=tmp_path)), PEOPLE["age"].head(7))
    found = whole(loaded('x : real from "x.xlsx".age[sheet = "2024"]', base=tmp_path))
    assert np.array_equal(found, PEOPLE["age"].tail(9))


# --- dates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_dates_are_days_and_come_back_as_texts(people: Path, name: str) -> None:
    found = loaded(f'x : real from dates("{name}".born)', base=people)
    days = (pd.to_datetime(PEOPLE["born"]) - pd.Timestamp(0)).dt.days
    assert np.array_equal(whole(found), days)
    assert found.fields["x"].invert(whole(found)).tolist() == PEOPLE["born"].tolist()


def test_times_of_tables_and_texts_are_the_same(tmp_path: Path) -> None:
    """To the second; texts with different offsets in UTC. A missing one stays so."""
    expected = ["2024-02-29 23:59:59", None, "1969-12-31 12:00:00", "2001-09-09 01:46:40", "0099-01-02 00:00:00"]
    times = np.array([text or "NaT" for text in expected], dtype="datetime64[us]")
    texts = ["2024-03-01T01:59:59+02:00", "", "1969-12-31T12:00Z", "2001-09-09 01:46:40.000", "0099-01-02"]
    write(tmp_path, "t,k\n" + "".join(f"{text},1\n" for text in texts))
    pd.DataFrame({"t": times}).to_feather(tmp_path / "x.feather")
    zone = pa.array(times).cast(pa.timestamp("us", "Europe/Paris"))
    parquet.write_table(pa.table({"t": zone}), tmp_path / "x.parquet")
    late = pd.DataFrame({"t": times[[0, 1, 3, 0, 0]]})  # the days of a workbook begin in 1900
    late.to_excel(tmp_path / "x.xlsx", index=False)
    for name in ("x.csv", "x.feather", "x.parquet", "x.xlsx"):
        found = loaded(f'partial x : real from dates("{name}".t)', base=tmp_path)
        if name == "x.xlsx":
            expected = [expected[k] for k in (0, 1, 3, 0, 0)]
        days = np.array([np.nan if text is None else days_of(text) for text in expected])
        np.testing.assert_allclose(whole(found), days, rtol=1e-7)
        forms = {"x.csv": Form("time text", zone="+00:00"), "x.parquet": Form("time", zone="Europe/Paris")}
        assert found.fields["x"].form == forms.get(name, Form("time"))
        told = found.fields["x"].invert(days)
        told = told if name == "x.csv" else [str(t) if t else None for t in told.astype("datetime64[s]").astype(object)]
        end = "+00:00" if name == "x.csv" else ""
        assert [*told] == [f"{text}{end}" if text else None for text in expected]


def test_dates_in_a_vector_have_their_columns(people: Path) -> None:
    found = loaded('x : real[2] from dates("p.parquet"[born, born2])', base=_two_dates(people))
    assert found.fields["x"].labels == ("born", "born2")
    assert found.fields["x"].invert(whole(found))[0].tolist() == ["1950-01-01", "1950-01-02"]


def _two_dates(people: Path) -> Path:
    folder = people / "two"
    folder.mkdir()
    born = pd.to_datetime(PEOPLE["born"])
    table = pd.DataFrame({"born": PEOPLE["born"], "born2": (born + pd.Timedelta(days=1)).dt.date})
    table.to_parquet(folder / "p.parquet")
    return folder


def test_a_source_is_written_as_it_was_read() -> None:
    """In reports and drawings."""
    for text in (
        '"x.csv".country[missing = ""]',
        '"x.csv"[a, "b c", missing = ["?", -1], where = [age in 18..65, c in ["x", 2]], decimal = ","]',
        '"x.xlsx".a[where = born in "2020-01-01".., sheet = "one"]',
        '"x.csv".a[missing = [], separator = ";"]',
    ):
        assert _source(text).text == text


def _source(text: str) -> DataSource:
    size = "[2]" if '[a, "b c"' in text else ""
    found = check(Source("s.dgm", f"model m\nobserved x : real{size} from {text}\np(x) = Normal(param, 1)\n"))
    assert found.graph is not None
    source = found.graph.observed[0].data
    assert source is not None
    return source


def test_other_files_keep_all_of_their_rows() -> None:
    """What a run is applied to is read as its own data were, whatever separates its cells."""
    source = _source('"x.csv".a[missing = "?", where = a in 1..2, separator = ";", decimal = ","]')
    others = source.reading.of_others()
    assert (others.missing, others.where, others.separator, others.decimal) == (("?",), (), "", ",")
