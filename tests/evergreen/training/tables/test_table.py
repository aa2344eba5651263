"""Training files as people have them: each is read as it says, or refused with the way out."""

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from evergreen.contract.errors import DataError
from evergreen.contract.files import Files
from evergreen.training.tables import table, text
from tests.support.files import columns, read

TYPES = {"x": float, "n": int, "b": bool, "t": str, "at": datetime}
HEAD = b"x,n,t\n"
ROWS = HEAD + b"1.5,2,a\n,,\n"
FOUND = {"x": [1.5, None], "n": [2, None], "t": ["a", None]}


def refused(objects: Any, files: Files = Files(), types: dict[str, type] = TYPES) -> str:  # noqa: B008 - read only
    with pytest.raises(DataError) as error:
        columns(objects, types, files)
    return str(error.value)


# The faults of readers that guess


def test_a_column_that_is_whole_for_long_and_then_decimal_is_not_rounded() -> None:
    body = b"x,n\n" + b"1,1\n" * 30_000

    assert columns(body + b"0.4,1\n", TYPES)["x"][-1] == 0.4
    assert "line 30002, column n: a number that is not whole" in refused(body + b"1,7.5\n")


def test_a_column_that_is_empty_for_long_and_then_a_number_or_a_text_is_what_it_is() -> None:
    body = b"x,t,u\n" + b",12,\n" * 30_000 + b"23.5,abc,z\n"

    found = columns(body, TYPES)

    assert (found["x"][-1], found["t"][-1], found["u"][-1]) == (23.5, "abc", "z")
    assert (found["t"][0], found["u"][0]) == ("12", None)


def test_na_is_a_text_where_text_is_wanted_and_missing_elsewhere() -> None:
    found = columns(b'x,n,b,at,t,u\nNA,null,NaN,None,NA,NA\n1,1,1,2025-01-01,"",""\n', TYPES)

    assert [found[name][0] for name in ("x", "n", "b", "at")] == [None] * 4
    assert found["t"] == ["NA", ""]
    assert found["u"] == ["NA", ""]


@pytest.mark.parametrize("time", [b"02/01/2025", b"02/01/2025 03:04", b"2.1.2025"])
def test_a_date_that_may_be_of_january_or_february_is_refused_and_says_how(time: bytes) -> None:
    said = refused(b"at\n2025-01-01\n" + time + b"\n")

    assert said.startswith("training/test/a.csv: line 3, column at: a date or time of another form")
    assert "time_format=" in said
    assert time.decode() not in said


@pytest.mark.parametrize("row", [b"1\n", b"1,2\n", b"1,2,a,\n", b"1,2,a,b\n", b'1,"2,a"\n'])
@pytest.mark.parametrize("before", [0, 5, 30_000])
def test_a_row_of_another_length_is_refused_with_its_line(row: bytes, before: int) -> None:
    said = refused(HEAD + b"1,2,a\n" * before + row + b"1,2,a\n" * 3)

    assert f"line {before + 2} has" in said
    assert "and the line of names has 3" in said


# Dialects


@pytest.mark.parametrize("separator", [b",", b";", b"\t", b"|"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "BOM"])
def test_separator_and_line_ends_are_seen(separator: bytes, end: bytes, mark: bytes) -> None:
    body = mark + ROWS.replace(b",", separator).replace(b"\n", end)

    assert columns(body, TYPES) == FOUND


def test_of_two_separators_the_names_that_are_wanted_tell_the_one() -> None:
    assert columns(b"x;n;a,b,c,d\n1;2;3\n", TYPES) == {"x": [1.0], "n": [2], "a,b,c,d": ["3"]}
    assert "can be split at ',' and at ';'" in refused(b"a;b,c\n1;2,3\n")
    assert columns(b"a;b,c\n1;2,3\n", TYPES, Files(separator=";"))["b,c"] == ["2,3"]


def test_the_line_of_names_of_a_tsv_is_split_at_tabs_alone() -> None:
    assert columns({"a.tsv": b"x\ta,b\n1\t2\n"}, TYPES) == {"x": [1.0], "a,b": ["2"]}


DIALECTS: dict[str, tuple[bytes, Files, str, dict[str, list[Any]]]] = {
    # what a file holds, how it is declared, why it is refused without, and what is read
    "another separator": (b"x:t\n1:a\n", Files(separator=":"), "", {"x": [1.0], "t": ["a"]}),
    "a backslash before quotes": (
        b't,x\n"a\\",b\\\\",1\n', Files(escape="\\"), "quote", {"t": ['a",b\\'], "x": [1.0]},
    ),
    "quotes that are characters": (
        b't,x\n5" pipe,1\n', Files(quote=None), "quote", {"t": ['5" pipe'], "x": [1.0]},
    ),
    "a quote that nothing closes": (
        b't,x\n"a,1\n2,3\n', Files(quote=None), "line 2 has a quote",
        {"t": ['"a', "2"], "x": [1.0, 3.0]},
    ),
    "comments": (
        b"# made today\nx,t\n#1,a\n1,#b\n", Files(comment="#"), "line 2 has 2 cells",
        {"x": [1.0], "t": ["#b"]},
    ),
    "spaces after separators": (
        b'x, t\n1, a\n2, "b, c"\n', Files(skip_spaces=True), "skip_spaces",
        {"x": [1.0, 2.0], "t": ["a", "b, c"]},
    ),
    "a decimal comma": (b"x;t\n1,5;a\n", Files(decimal=","), "decimal", {"x": [1.5], "t": ["a"]}),
    "Latin-1": (
        "x,t\n1,Köln\n".encode("cp1252"), Files(encoding="cp1252"), "line 2 is not UTF-8",
        {"x": [1.0], "t": ["Köln"]},
    ),
    "UTF-16": (
        "x,t\n1,Köln\n".encode("utf-16"), Files(encoding="utf-16"), "utf-16",
        {"x": [1.0], "t": ["Köln"]},
    ),
    "other null words": (
        b"x,t\n?,\\N\n", Files(nulls=("?", ""), text_nulls=("\\N", "")), "nulls",
        {"x": [None], "t": [None]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DIALECTS)
def test_a_dialect_is_declared_and_without_that_the_file_is_refused(what: str) -> None:
    body, files, said, found = DIALECTS[what]

    if said:
        assert said in refused(body)
    assert columns(body, TYPES, files) == found


def test_a_text_null_with_quotes_is_a_text() -> None:
    assert columns(b't,x\n"NA",1\nNA,2\n', TYPES, Files(text_nulls=("", "NA")))["t"] == ["NA", None]


def test_what_stands_in_quotes_is_one_cell() -> None:
    body = b't,x\n"a,b",1\n"say ""hi""",2\n"two\r\nlines",3\n"",4\n'

    found = columns(body, TYPES)

    assert found["t"] == ["a,b", 'say "hi"', "two\r\nlines", ""]
    assert refused(body + b"z,?\n").startswith("training/test/a.csv: line 7, column x: ")


REFUSED: dict[str, tuple[bytes, str]] = {
    "a NUL": (b"x,t\n1,a\0\n", "line 2 .*NUL"),
    "a quote within": (b'x,t\n1,a"b"c\n', "line 2 has a quote within a cell"),
    "something behind a quote": (b'x,t\n1,"a"b\n', "line 2 has a quote within a cell"),
    "names that are the same": (b"x,t,x\n1,a,2\n", r"columns \[1, 3\] have the same name"),
    "an empty file": (b"", "it is empty"),
    "a mark alone": (b"\xef\xbb\xbf", "it is empty"),
    "an empty line of names": (b"\nx,t\n", "it is empty, or its first line is"),
    "an empty line that may be a value": (b"t\na\n\nb\n", "line 3 has 0 cells"),
    "half of a character": (b"x,t\n1,\xc3\n", "line 2 is not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_table_is_refused(what: str) -> None:
    body, said = REFUSED[what]
    with pytest.raises(DataError, match=said):
        columns(body, TYPES)


def test_empty_lines_and_columns_without_a_name_are_left_out() -> None:
    assert columns(b",x,,t,\n0,1,,a,\n\n1,2,,b,\n\n", TYPES) == {"x": [1.0, 2.0], "t": ["a", "b"]}


def test_a_line_and_a_quoted_cell_have_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_LINE", 20)

    assert "line 2 has more than 20" in refused(b"t\n" + b"a" * 21)
    assert "line 2 has a quote that does not end" in refused(b't\n"' + b"aa\n" * 30 + b'"\n')


def test_a_table_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_SIZE", 100_000)

    assert columns(b"t\n" + b"abcdefgh\n" * 9_000, TYPES), "one text, and pointers to it"
    body = b"t\n" + b"".join(b"abcd%d\n" % n for n in range(9_000))
    assert "takes up more than 1GB" in refused(body)


# Columns


def test_a_declared_type_comes_before_that_of_the_row() -> None:
    body = b"price,x\n$5,7\n"

    assert "column price" in refused(body, types={"price": float})
    assert columns(body, {"price": str}) == {"price": ["$5"], "x": ["7"]}
    assert 'Files(columns={"price": str})' in refused(body, types={"price": float})


def test_whole_numbers_and_booleans_have_gaps_only_where_there_are_some() -> None:
    found = read(b"n,b,x,t,at\n1,1,1,a,2025-01-01\n", TYPES)
    gaps = read(b"n,b,x,t,at\n1,1,1,a,2025-01-01\n,,,,\n", TYPES)

    assert found
    assert gaps
    kinds = ["int64", "bool", "float64", "str", "datetime64[us, UTC]"]
    assert [str(kind) for kind in found.frame.dtypes] == kinds
    kinds[:2] = ["Int64", "boolean"]
    assert [str(kind) for kind in gaps.frame.dtypes] == kinds


RECKONING: dict[str, Callable[[pd.DataFrame], Any]] = {
    "==": lambda rows: rows["u"] == 1,
    "!=": lambda rows: rows["u"] != 1,
    ">": lambda rows: rows["u"] > 1,
    "between": lambda rows: rows["u"].between(0, 1),
    "+": lambda rows: rows["u"] + rows["u"],
    "text +": lambda rows: "a" + rows["u"],
    "*": lambda rows: rows["u"] * 2,
    "sum": lambda rows: rows["u"].sum(),
    "max": lambda rows: rows["u"].max(),
    "sort": lambda rows: rows.sort_values("u"),
    "a date": lambda rows: rows["u"] == datetime(2025, 1, 1, tzinfo=UTC),
    "a truth value": lambda rows: rows["u"].astype(bool),
    "any": lambda rows: rows["u"].any(),
    "a part of it": lambda rows: rows["u"].str.strip() == 1,
}


@pytest.mark.parametrize("how", RECKONING)
def test_a_column_that_nobody_declares_is_not_reckoned_with(how: str) -> None:
    found = read(b"x,u\n1,1\n2,10\n3,9\n", TYPES)
    assert found

    with pytest.raises(Exception, match=r'the column u .*columns=\{"u": float\}'):
        RECKONING[how](found.frame)


@pytest.mark.parametrize("cell", [b"NA", b'""'])
def test_an_undeclared_label_that_may_be_missing_is_not_taken_for_a_negative(cell: bytes) -> None:
    body = b"x,u\n1,yes\n2," + cell + b"\n3,no\n"
    found = read(body, TYPES)
    nulls = read(body.replace(b'""', b"NA"), TYPES, Files(text_nulls=("", "NA")))
    assert found
    assert nulls

    with pytest.raises(Exception, match=r"the column u .*Files.nulls .*text_nulls"):
        _ = found.frame["u"] == "yes"
    assert (found.frame["u"] == cell.decode().strip('"')).tolist() == [False, True, False]
    assert (nulls.frame["u"].dropna() == "yes").tolist() == [True, False]


def test_a_column_that_nobody_declares_is_text_otherwise() -> None:
    found = read(b"x,u\n1,1\n2,10\n3,\n", TYPES)
    assert found
    column = found.frame["u"]

    assert (column == "1").tolist() == [True, False, False]
    assert column.isin(["10"]).tolist() == [False, True, False]
    assert column.isna().tolist() == [False, False, True]
    assert column[:2].astype(float).tolist() == [1.0, 10.0]
    assert column[:2].str.len().tolist() == [1, 2]


# JSON and Parquet


def lines(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_json_has_an_object_on_each_line_and_types_of_its_own() -> None:
    body = lines(
        {"x": 1, "n": 7.0, "b": True, "t": "NA", "at": "2025-01-01", "k": 2**60, "f": 1, "y": True},
        {"t": None, "x": "2.5", "f": 0.5, "more": [1]},
    )

    found = columns({"a.jsonl": body, "b.NDJSON": b"\n" + lines({"k": 3})}, TYPES)

    assert found["x"] == [1.0, 2.5, None]
    assert found["n"] == [7, None, None]
    assert found["t"] == ["NA", None, None]
    assert found["k"] == [2**60, None, 3]
    assert found["f"] == [1.0, 0.5, None]
    assert found["y"] == [True, None, None]
    assert found["more"] == [None, [1], None]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'[{"x": 1}]', "line 1 is no object"),
        (b'{"x": 1}\n[]', "line 2 is no object"),
        (b'{"x": 1, "x": 2}', "each name once"),
        (b'{"x": NaN}', "without NaN"),
        (b'{"x": 1', "is no JSON"),
        (b'{\n"x": 1}', "line 1 is no JSON"),
        (b'{"x": ' + b"9" * 5_000 + b"}", "is no JSON"),
        (b'{"x": ' * 100_000, "is no JSON"),
        (b'{"x": true}', "line 1, column x: true or false where a number"),
        (b'{"t": 5}', "column t: a number where text"),
        (b'{"n": 7.5}', "column n: a number that is not whole"),
        (b'{"x": [1]}', "column x: a list"),
        (b'{"at": 1735689600}', "column at: a number where a time"),
        (b'{"t": "\\ud800"}', "half of a character"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_json_that_is_not_clear_is_refused(body: bytes, said: str) -> None:
    assert said in refused({"a.json": body})


def parquet(folder: Path, select: str) -> bytes:
    path = folder / "made.parquet"
    with duckdb.connect() as maker:
        maker.execute("SET TimeZone = 'Asia/Tokyo'")
        maker.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("value", "name", "found"),
    [
        ("7::TINYINT", "x", 7.0),
        ("7.25::DECIMAL(38, 2)", "x", 7.25),
        ("'NaN'::DOUBLE", "x", None),
        ("' 7.5 '", "x", 7.5),
        ("9007199254740993::DECIMAL(30, 2)", "n", 9007199254740993),
        ("9223372036854775807::BIGINT", "n", 2**63 - 1),
        ("7.0::DOUBLE", "n", 7),
        ("1::TINYINT", "b", True),
        ("'NA'", "t", "NA"),
        ("'a'::ENUM('a', 'b')", "t", "a"),
        ("DATE '2025-06-01'", "at", datetime(2025, 5, 31, 22)),  # noqa: DTZ001 - in UTC
        ("TIMESTAMP '2025-06-01 12:00'", "at", datetime(2025, 6, 1, 10)),  # noqa: DTZ001
        ("TIMESTAMPTZ '2025-06-01 12:00Z'", "at", datetime(2025, 6, 1, 12)),  # noqa: DTZ001
    ],
)
def test_types_of_parquet_are_converted_as_text_is(
    tmp_path: Path, value: str, name: str, found: Any
) -> None:
    body = parquet(tmp_path, f"SELECT {value} AS {name} UNION ALL SELECT NULL")

    got = columns({"a.PARQUET": body}, TYPES, Files(zone="Europe/Berlin"))[name]

    if name == "at":
        got = [time and time.replace(tzinfo=None) for time in got]
    assert sorted(got, key=str) == sorted([found, None], key=str)


@pytest.mark.parametrize(
    ("value", "name", "said"),
    [
        ("7.5::DOUBLE", "n", "a number that is not whole"),
        ("7.5::DECIMAL(4, 1)", "n", "a number that is not whole"),
        ("18446744073709551615::UBIGINT", "n", "beyond 64 bits"),
        ("'Infinity'::DOUBLE", "x", "infinity"),
        ("true", "x", "true or false"),
        ("7", "t", "a number where text"),
        ("7.5::DECIMAL(4, 1)", "t", "a number where text"),
        ("'a'::BLOB", "t", "bytes"),
        ("[1, 2]", "x", "a list"),
        ("20250101", "at", "a number where a time"),
        ("TIMESTAMP '2025-01-01'", "t", "a time where text"),
        *(
            (value, "at", "outside of the years 1 to 9999")
            for value in (
                "TIMESTAMP '20000-01-01'",
                "TIMESTAMPTZ '20000-01-01 00:00Z'",
                "TIMESTAMP '0044-03-15 (BC)'",
                "TIMESTAMPTZ '0044-03-15 (BC) 00:00Z'",
                "DATE '20000-01-01'",
                "TIMESTAMP_S '20000-01-01'",
                "TIMESTAMP 'infinity'",
                "TIMESTAMPTZ '-infinity'",
            )
        ),
    ],
)
def test_types_of_parquet_that_are_not_wanted_are_refused_with_their_row(
    tmp_path: Path, value: str, name: str, said: str
) -> None:
    body = parquet(tmp_path, f"SELECT {value} AS {name}")

    assert refused({"a.parquet": body}).startswith(f"training/test/a.parquet: row 0, column {name}")
    assert said in refused({"a.parquet": body})


# What pyarrow and polars keep of a table's types; pandas writes by pyarrow.
ARROW = (
    (  # n int64, took duration[s], s string, ms duration[ms], st struct<took: int64>
        "/////2ABAAAQAAAAAAAKAAwABgAFAAgACgAAAAABBAAMAAAACAAIAAAABAAIAAAABAAAAAUAAAD4AAAAtAAA"
        "AIgAAABgAAAABAAAACz///8AAAENFAAAABgAAAAEAAAAAQAAABAAAAACAAAAc3QAAIj///9U////AAABAhAA"
        "AAAYAAAABAAAAAAAAAAEAAAAdG9vawAAAABI////AAAAAUAAAACE////AAABEhAAAAAUAAAABAAAAAAAAAAC"
        "AAAAbXMAANz///+o////AAABBRAAAAAYAAAABAAAAAAAAAABAAAAcwAAAAQABAAEAAAA0P///wAAARIQAAAA"
        "HAAAAAQAAAAAAAAABAAAAHRvb2sAAAYACAAGAAYAAAAAAAAAEAAUAAgABgAHAAwAAAAQABAAAAAAAAECEAAA"
        "ABwAAAAEAAAAAAAAAAEAAABuAAAACAAMAAgABwAIAAAAAAAAAUAAAAAAAAAA"
    ),
    (  # n Int64, took Duration("us")
        "/////6oAAAAEAAAA8v///xQAAAAEAAEAAAAKAAsACAAKAAQA+P///wwAAAAIAAgAAAAEAAIAAAA4AAAABAAA"
        "ALz///8gAAAAEAAAAAgAAAABEgAAAAAAAPr///8CAAYABgAEAAQAAAB0b29rAAAAAOz///84AAAAIAAAABgA"
        "AAABAgAAEAASAAQAEAARAAgAAAAMAAAAAAD0////QAAAAAEAAAAIAAkABAAIAAEAAABuAA=="
    ),
)


def arrow(folder: Path, schema: str, query: str) -> bytes:
    path = folder / "made.parquet"
    options = f"FORMAT parquet, KV_METADATA {{'ARROW:schema': '{schema}'}}"
    with duckdb.connect() as maker:
        maker.execute(f"COPY ({query}) TO '{path}' ({options})")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("schema", "unit"), [(ARROW[0], "s"), (ARROW[1], "us")], ids=["pyarrow", "polars"]
)
def test_durations_that_only_arrow_knows_are_durations_and_no_numbers(
    tmp_path: Path, schema: str, unit: str
) -> None:
    body = arrow(tmp_path, schema, "SELECT 1 AS n, 7 AS took, 'a' AS s, 7 AS ms, {'took': 7} AS st")

    found = read({"a.parquet": body}, {"n": float})

    assert found is not None
    assert found.frame["took"].tolist() == [pd.Timedelta(f"7{unit}")]
    assert found.frame["n"].tolist() == [1.0]
    assert found.frame["ms"].tolist() == [pd.Timedelta(7, "ms") if unit == "s" else 7]
    said = refused({"a.parquet": body}, types={"took": float})
    assert "row 0, column took: a duration where a number" in said
    assert "make it a number of seconds" in said


def test_a_damaged_schema_of_arrow_is_a_refusal(tmp_path: Path) -> None:
    said = refused({"a.parquet": arrow(tmp_path, ARROW[0][:60], "SELECT 1 AS n")})

    assert "cannot be read as Parquet" in said


def test_decimals_of_parquet_have_no_comma(tmp_path: Path) -> None:
    body = parquet(tmp_path, "SELECT 7.25::DECIMAL(9, 2) AS x, '7,5' AS n, NULL::DECIMAL AS y")

    found = columns({"a.parquet": body}, {"x": float, "n": float, "y": float}, Files(decimal=","))

    assert found == {"x": [7.25], "n": [7.5], "y": [None]}


def test_what_nobody_foresaw_in_a_file_is_a_reason_with_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(text, "csv_rows", lambda *_: 1 / 0)

    assert refused(ROWS).startswith("training/test/a.csv: it cannot be read (ZeroDivisionError")


def test_columns_of_parquet_whose_names_differ_in_letters_only_are_refused(tmp_path: Path) -> None:
    body = parquet(tmp_path, "SELECT 1 AS aa, 2 AS bb").replace(b"bb", b"AA")

    assert "have a name that another has" in refused({"a.parquet": body})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "'1'"),
        ("1", "true"),
        ("DATE '2025-01-01'", "'2025-01-01'"),
        ("TIMESTAMP '2025-01-01'", "TIMESTAMPTZ '2025-01-01 12:00Z'"),
    ],
)
def test_parts_whose_columns_are_of_two_kinds_are_refused_unless_declared(
    tmp_path: Path, one: str, other: str
) -> None:
    parts = {
        f"d/{n}.parquet": parquet(tmp_path, f"SELECT {value} AS u")
        for n, value in enumerate([one, other])
    }

    said = refused(parts)

    assert said.startswith(
        "training/test/d/: row 0 of 1.parquet, column u: a value of another kind"
    )
    assert 'Files(columns={"u": float})' in said


def test_a_column_of_json_is_of_one_kind_and_a_declared_type_makes_it_so() -> None:
    body = {"a.jsonl": lines({"u": None}, {"u": 1}, {"u": 2.5}, {"u": "3"})}

    assert "line 4 of a.jsonl, column u: a value of another kind" in refused(body)
    assert columns(body, {"u": float})["u"] == [None, 1.0, 2.5, 3.0]
    assert columns({"a.jsonl": lines({"u": 1}, {"u": 2.5})}, {})["u"] == [1.0, 2.5]


def test_names_of_json_that_differ_in_letters_only_are_refused() -> None:
    assert "large or small letters" in refused({"a.jsonl": lines({"i": 1}, {"I": 2})})


@pytest.mark.parametrize(
    ("kind", "value", "way_out"),
    [
        (str, 7, 'Files(columns={"s": int}), and convert it in `examples`, as by .astype(str)'),
        (str, True, 'Files(columns={"s": bool})'),
        (datetime, 7, 'Files(columns={"s": int})'),
        (int, 7.5, 'Files(columns={"s": float})'),
        (float, "$7", 'Files(columns={"s": str}), and convert it in `examples`'),
    ],
)
def test_the_way_out_names_a_type_that_the_column_can_be_read_as(
    kind: type, value: Any, way_out: str
) -> None:
    body = {"a.jsonl": lines({"s": value})}

    assert way_out in refused(body, types={"s": kind})
    assert columns(body, {"s": type(value)})["s"] == [value]


# Folders


def test_the_files_of_a_folder_are_one_table_and_rows_keep_their_places() -> None:
    parts = {
        "d/part-0.csv": ROWS,
        "d/part-1.csv": b"",
        "d/part-2.csv": HEAD,
        "d/part-3.CSV.GZ": gzip.compress(b"n,t,x\n3,c,2\n"),
    }

    found = read(parts, TYPES)

    assert found
    assert found.frame["n"].tolist() == [2, pd.NA, 3]
    assert found.frame.index.tolist() == [0, 1, 2]
    assert [found.place(row) for row in range(3)] == [
        "line 2 of part-0.csv", "line 3 of part-0.csv", "line 2 of part-3.CSV.GZ",
    ]  # fmt: skip


def test_a_part_with_other_columns_is_refused_by_its_name() -> None:
    said = refused({"d/0.csv": ROWS, "d/1.csv": b"x,n,u\n1,2,a\n"})

    assert said.startswith("training/test/d/1.csv: its columns are not those of the first")


@pytest.mark.parametrize("place", [0, 1])
def test_a_part_without_rows_must_name_the_same_columns(place: int) -> None:
    parts = [ROWS, b"x,n,u\n"]

    said = refused({"d/0.csv": parts[place], "d/1.csv": parts[1 - place]})

    assert said.startswith("training/test/d/1.csv: its columns are not those of the first")


def test_a_packed_part_of_nothing_is_a_part_without_rows() -> None:
    nothing = gzip.compress(b"")

    assert columns({"d/0.csv.gz": nothing, "d/1.csv": ROWS}, TYPES) == FOUND
    assert "it is empty" in refused({"a.jsonl.gz": nothing})


@pytest.mark.parametrize("name", ["a.xlsx", "a.csv.zip", "a", "a.txt", "a.parquet.gz"])
def test_another_ending_is_refused_with_those_that_are_read(name: str) -> None:
    said = refused({name: b"PK"})

    assert ".parquet, .csv, .csv.gz, .tsv" in said
