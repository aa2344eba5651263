"""What is read is what was written, whoever wrote it; or it is refused: nothing in between."""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from evergreen.contract.errors import DataError
from evergreen.contract.files import Files
from tests.support.files import columns

pytestmark = pytest.mark.slow

TYPES = {"x": float, "n": int, "b": bool, "t": str, "at": datetime}
NAMES = ["x", "n", "b", "t", "u", "at"]
Row = dict[str, Any]

TEXTS = st.text(st.sampled_from("a1,;|\t\"'\\ #\n\ré😀."), max_size=6) | st.sampled_from(
    ["NA", "null", "NaN", "01", "1,5", "true", "\\N", "=1", "-", "é", '"', "''", 'a"b', "\\", '\\"']
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-99, 99).map(float)
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 - in UTC
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "x": st.none() | FLOATS,
            "n": st.none() | st.integers(-(2**53), 2**53),
            "b": st.none() | st.booleans(),
            "t": st.none() | TEXTS,
            "u": TEXTS,
            "at": st.none() | MOMENTS,
        }
    ),
    min_size=1,
    max_size=6,
)
SQL = '(x DOUBLE, n BIGINT, b BOOL, t TEXT, u TEXT, "at" TIMESTAMP)'
DOUBLED = Files(escape='"')
HERE = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def values(rows: list[Row]) -> list[list[Any]]:
    return [[row[name] for name in NAMES] for row in rows]


def table(rows: list[Row]) -> pd.DataFrame:
    """Return rows as pandas has them, whole numbers and booleans with gaps in its own types."""
    found = pd.DataFrame(rows, columns=NAMES)
    return found.astype({"x": "float64", "n": "Int64", "b": "boolean", "t": object, "u": object})


def same(found: dict[str, list[Any]], rows: list[Row]) -> None:
    """See that what was read are these rows; as for models, an empty text is a missing one."""
    assert set(found) == set(NAMES)
    for name in NAMES:
        meant = [row[name] for row in rows]
        got = found[name]
        if name in ("t", "u"):
            meant, got = (
                [value or "" for value in meant],
                ["" if value is None else value for value in got],
            )
        if name == "at":
            meant = [time and time.replace(tzinfo=UTC) for time in meant]
        assert got == meant, name


@given(
    rows=ROWS,
    separator=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
    floats=st.sampled_from([None, "%.17g", "%.20e"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    index=st.booleans(),
)
def test_csv_of_pandas_is_read_as_it_was_meant(
    rows: list[Row],
    separator: str,
    quoting: int,
    end: str,
    floats: str | None,
    encoding: str,
    index: bool,
) -> None:
    written = table(rows).to_csv(
        sep=separator, quoting=quoting, lineterminator=end, float_format=floats, index=index
    )  # type: ignore[call-overload]

    found = columns(
        written.encode(encoding),
        TYPES,
        Files(escape='"', encoding="utf-16" if encoding == "utf-16" else "utf-8"),
    )

    same(found, rows)


@given(rows=ROWS, separator=st.sampled_from(",;\t|"), force=st.booleans())
@HERE
def test_csv_of_duckdb_is_read_as_it_was_meant(
    rows: list[Row], separator: str, force: bool, tmp_path: Path
) -> None:
    path = tmp_path / "made.csv"
    with duckdb.connect() as maker:
        maker.execute(f"CREATE TABLE made {SQL}")
        maker.executemany("INSERT INTO made VALUES (?, ?, ?, ?, ?, ?)", values(rows))
        quoted = ", FORCE_QUOTE (t, u)" if force else ""
        maker.execute(f"COPY made TO '{path}' (HEADER, DELIMITER '{separator}'{quoted})")

    same(columns(path.read_bytes(), TYPES, DOUBLED), rows)


def spark(rows: list[Row]) -> bytes:
    """Write rows as Spark does: a backslash before quotes, an empty text as two of them."""

    def cell(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, datetime):
            return value.isoformat(timespec="microseconds") + "Z"
        if not isinstance(value, str):
            return str(value).lower()
        if value and not set(value) & set(',"\n\r\\ '):
            return value
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    lines = [NAMES, *([cell(row[name]) for name in NAMES] for row in rows)]
    return "".join(",".join(line) + "\n" for line in lines).encode()


@given(rows=ROWS, cut=st.integers(0, 6))
def test_csv_of_spark_is_read_as_it_was_meant_or_refused_until_its_escape_is_declared(
    rows: list[Row], cut: int
) -> None:
    parts = {"d/0.csv": spark(rows[:cut]), "d/1.csv": b"", "d/2.csv": spark(rows[cut:])}

    same(columns(parts, TYPES, Files(escape="\\")), rows)
    try:
        found = columns(parts, TYPES)
    except DataError as error:
        assert "quote" in str(error)  # noqa: PT017 - either is an answer
    else:
        same(found, rows)


def excel(rows: list[Row]) -> bytes:
    """Write rows as Excel does where a comma is decimal."""

    def cell(value: Any) -> Any:
        if isinstance(value, float):
            return f"{value!r}".replace(".", ",")
        return str(value).upper() if isinstance(value, bool) else value

    file = io.StringIO()
    writer = csv.writer(file, delimiter=";", lineterminator="\r\n")
    writer.writerow(NAMES)
    writer.writerows([cell(row[name]) for name in NAMES] for row in rows)
    return file.getvalue().encode("utf-8-sig")


@given(rows=ROWS)
def test_csv_of_excel_is_read_as_it_was_meant_or_refused_until_its_comma_is_declared(
    rows: list[Row],
) -> None:
    written = excel(rows)

    same(columns(written, TYPES, Files(decimal=",", escape='"')), rows)
    if any("," in f"{row['x']!r}".replace(".", ",") for row in rows if row["x"] is not None):
        with pytest.raises(DataError, match="column x: a number with a comma"):
            columns(written, TYPES, DOUBLED)


@given(rows=ROWS, sparse=st.booleans())
def test_json_lines_are_read_as_they_were_meant(rows: list[Row], sparse: bool) -> None:
    def plain(row: Row) -> Row:
        found = {**row, "at": row["at"] and row["at"].isoformat()}
        return {name: value for name, value in found.items() if value is not None or not sparse}

    written = "".join(json.dumps(plain(row)) + "\n" for row in rows).encode()
    assume(all(any(row[name] is not None for row in rows) or not sparse for name in NAMES))

    same(columns({"a.jsonl": written}, TYPES), rows)


@given(rows=ROWS)
@HERE
def test_parquet_is_read_as_it_was_meant(rows: list[Row], tmp_path: Path) -> None:
    path = tmp_path / "made.parquet"
    with duckdb.connect() as maker:
        maker.execute(f"CREATE TABLE made {SQL}")
        maker.executemany("INSERT INTO made VALUES (?, ?, ?, ?, ?, ?)", values(rows))
        maker.execute(f"COPY made TO '{path}' (FORMAT parquet)")

    same(columns({"a.parquet": path.read_bytes()}, TYPES), rows)


@given(
    rows=ROWS,
    place=st.integers(0, 300),
    odd=st.sampled_from(['"', ",", "\n", ";", "\\", "x", "\0"]),
)
def test_a_character_too_many_never_moves_a_value_to_another_column(
    rows: list[Row], place: int, odd: str
) -> None:
    """It may change the cell that it stands in, or split a row; then it is refused."""
    rows = [{**row, "t": "T", "u": "U", "x": 1.5, "n": 7} for row in rows]
    written = table(rows).to_csv(index=False)
    body = written[:place] + odd + written[place:]

    try:
        found = columns(body.encode(), TYPES)
    except DataError:
        return
    assert set(found) >= {"x", "n", "b", "t", "u"} or place < len(written.partition("\n")[0]) + 1
    for name, letter in (("t", "U"), ("u", "T")):
        assert not any(value is not None and letter in value for value in found.get(name, ()))
