"""Values as the types of the contract: what is clear is taken, and everything else is refused."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.captures.conversion import UnfitError, cells, convert, listed
from evergreen.contract.files import PLAIN, Files

BERLIN = Files(zone="Europe/Berlin")


def one(value: Any, kind: type, files: Files = PLAIN) -> Any:
    return convert([None, value, None], kind, files)[1]


def at(*parts: Any) -> datetime:
    return datetime(*parts)  # noqa: DTZ001 - in UTC, as `convert` returns it


TAKEN: list[tuple[type, Any, Any]] = [
    (float, "7", 7.0), (float, "-7.50", -7.5), (float, "+.5", 0.5), (float, "1.", 1.0),
    (float, "2.5e3", 2500.0), (float, "1E-3", 0.001), (float, " 5\t", 5.0), (float, "007", 7.0),
    (float, 7, 7.0), (float, Decimal("7.25"), 7.25), (float, 2.5, 2.5),
    (int, "7", 7), (int, "7.0", 7), (int, "1e3", 1000), (int, "-0", 0), (int, 7.0, 7),
    (int, "9007199254740993", 9007199254740993), (int, Decimal("7.00"), 7),
    (int, 2**63 - 1, 2**63 - 1),
    (bool, "true", True), (bool, "FALSE", False), (bool, "1", True), (bool, "0.0", False),
    (bool, True, True), (bool, 0, False), (bool, 1.0, True),
    (str, "NA", "NA"), (str, "", ""), (str, " x ", " x "), (str, "01", "01"), (str, "null", "null"),
    (datetime, "2025-01-31", at(2025, 1, 31)),
    (datetime, "2025-01-31 12:00", at(2025, 1, 31, 12)),
    (datetime, "2025-01-31T12:00:00Z", at(2025, 1, 31, 12)),
    (datetime, "2025-01-31T12:00:00.1234567+02:00", at(2025, 1, 31, 10, 0, 0, 123456)),
    (datetime, "2025-01-31 12:00:00+00", at(2025, 1, 31, 12)),
    (datetime, at(2025, 1, 31, 12).replace(tzinfo=UTC), at(2025, 1, 31, 12)),
    (datetime, date(2025, 1, 31), at(2025, 1, 31)),
    *((kind, word, None) for kind in (float, int, bool, datetime) for word in Files.nulls),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "found"), TAKEN)
def test_what_is_clear_is_taken_for_what_it_is(kind: type, value: Any, found: Any) -> None:
    got = one(value, kind)

    assert got == found
    assert found is None or type(got) is type(found)


COMMA, MARKS, WORD, DIGITS = (
    "a number with a comma",
    "marks between",
    "text where",
    "text with digits",
)
REFUSED: list[tuple[type, Any, str]] = [
    *((kind, value, said) for kind in (float, int) for value, said in (
        ("1,5", COMMA), ("1.234,5", COMMA), ("1,234.5", MARKS), ("1 234", MARKS),
        ("1\xa0234", MARKS),
        ("1_000", MARKS), ("1'000", MARKS), ("12%", "a percentage"), ("12.5 %", "a percentage"),
        ("$5", DIGITS), ("5 EUR", DIGITS), ("0x10", DIGITS), ("(5)", DIGITS), ("inf", "infinity"),
        ("-Infinity", "infinity"), ("1e400", "beyond"), ("9" * 5_000, "beyond"), ("true", WORD),
        ("-", WORD), ("?", WORD), ("na", WORD), ("٣", "a number"),
        (True, "true or false where"), (at(2025, 1, 1), "a time where"), (b"7", "bytes"),
        (float("inf"), "infinity"), ([7], "a list"), (timedelta(1), "a duration"),
        (1j, "a complex"),
    )),
    (int, "7.5", "not whole"), (int, 7.5, "not whole"), (int, ".5", "not whole"),
    (int, Decimal("7.5"), "not whole"), (int, "9223372036854775808", "beyond"),
    (int, 2**64, "beyond"),
    (int, "1e999999999", "beyond"), (int, "1e-999999999", "not whole"),
    (bool, "yes", WORD), (bool, "t", WORD), (bool, "2", "a number"), (bool, 2, "a number"),
    (bool, "01", "a number"), (bool, 0.5, "a number"),
    (str, 7, "a number"), (str, 7.5, "a number"), (str, True, "true or false where"),
    (str, date(2025, 1, 1), "a date"), (str, at(2025, 1, 1), "a time"), (str, b"a", "bytes"),
    (str, "\ud800", "half of a character"), (str, {}, "an object"),
    *((datetime, value, "another form") for value in (
        "02/01/2025", "2.1.2025", "2025/01/02", "1-2-25", "2025-1-2", "2025-13-01", "2025-02-29",
        "2025-01-01 24:00", "2025-01-01T25:00", "2025-01-01 01:00 +01:00", "02/01/2025 03:04")),
    (datetime, "20250131", "a number"), (datetime, "1735689600", "a number"),
    (datetime, 20250131, "a number"),
    (datetime, "2025-W05-5", DIGITS), (datetime, "12:00", DIGITS), (datetime, "yesterday", WORD),
    (datetime, "0001-01-01T00:00+02:00", "another form"), (datetime, True, "true or false where"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "said"), REFUSED, ids=lambda each: repr(each)[:30])
def test_what_is_not_clear_is_refused_by_its_kind(kind: type, value: Any, said: str) -> None:
    with pytest.raises(UnfitError, match=said) as refused:
        one(value, kind)

    assert refused.value.place == 1


@pytest.mark.parametrize("text", ["SECRET", "77 SECRET", "SECRET,5", "SECRET%", "1/2/SECRET"])
@pytest.mark.parametrize("kind", [float, int, bool, datetime])
def test_a_reason_does_not_hold_the_value(kind: type, text: str) -> None:
    with pytest.raises(UnfitError) as refused:
        one(text, kind)

    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("text", ["1.5", "1.5e3", "1.000,5", "-7."])
def test_a_point_where_a_comma_is_declared_is_named(text: str) -> None:
    with pytest.raises(UnfitError, match=r'a number with a point where .*decimal=","\) says'):
        convert([text], float, Files(decimal=","))


def test_a_nan_that_signals_is_refused_where_it_stands() -> None:
    column = pd.Series([1.5, None, Decimal("sNaN"), pd.NA], dtype=object)

    with pytest.raises(UnfitError, match="infinity where a number") as refused:
        convert(cells(column), float, Files())

    assert refused.value.place == 2


def test_a_decimal_comma_is_one_where_it_is_declared() -> None:
    comma = Files(decimal=",")

    assert convert(["1,5", "-7", ",5"], float, comma) == [1.5, -7.0, 0.5]
    assert convert(["7,0"], int, comma) == [7]
    for odd in ("1.5", "1.234,5", "1,2,3"):
        with pytest.raises(UnfitError):
            one(odd, float, comma)


def test_a_time_without_a_zone_is_of_the_declared_one() -> None:
    assert one("2025-06-01 12:00", datetime, BERLIN) == at(2025, 6, 1, 10)
    assert one("2025-01-01", datetime, BERLIN) == at(2024, 12, 31, 23)
    assert one("2025-06-01 12:00Z", datetime, BERLIN) == at(2025, 6, 1, 12)
    assert one(date(2025, 6, 1), datetime, BERLIN) == at(2025, 5, 31, 22)


@pytest.mark.parametrize(
    "time", ["2025-03-30T02:30:00", "2025-10-26T02:30:00"], ids=["gap", "twice"]
)
def test_a_time_that_the_clocks_skip_or_repeat_is_refused(time: str) -> None:
    with pytest.raises(UnfitError, match="skip or repeat"):
        one(time, datetime, BERLIN)

    assert one(f"{time}+01:00", datetime, BERLIN)


def test_a_stated_format_is_the_only_one() -> None:
    stated = Files(time_format="%d/%m/%Y %H:%M")

    assert one("02/01/2025 03:04", datetime, stated) == at(2025, 1, 2, 3, 4)
    for odd in ("2025-01-02", "01/13/2025 00:00", "02/01/2025"):
        with pytest.raises(UnfitError):
            one(odd, datetime, stated)


@pytest.mark.parametrize(
    ("time_format", "texts"),
    [
        ("%d%m%Y", ["1032025", "1122025", "0132025"]),
        ("%Y%m%d", ["2025123", "202511"]),
        ("%Y%m%d%H%M", ["202512314", "20251231401"]),
        ("%d/%m/%Y %H%M", ["1/3/2025 930", "01/03/2025 130"]),
        ("%Y%m%d%H%M%S%f", ["2025010111234567"]),
        ("%Y-%j", ["2025-366", "2025-000"]),
        ("%G-W%V-%u", ["2025-W53-1"]),
        ("%Y-%m-%d %j", ["2025-01-31 032"]),
        ("%a, %d %b %Y", ["Mon, 03 Jan 2025"]),
        ("%Y-%m-%d", ["٢٠٢٥-01-01"]),
    ],
)
def test_a_text_that_strptime_guesses_at_is_refused(time_format: str, texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(UnfitError):
            one(text, datetime, Files(time_format=time_format))


DAYS = [
    ("%Y", "%m", "%d"), ("%y", "%b", "%d"), ("%A", "%d", "%B", "%Y"), ("%Y", "%j"),
    ("%a", "%Y", "%m", "%d", "%j"), ("%G", "%V", "%u"), ("%Y", "%U", "%w"), ("%W", "%Y", "%A"),
]  # fmt: skip
CLOCKS = [
    (), ("%H",), ("%H", "%M"), ("%I", "%M", "%p"), ("%H", "%M", "%S"), ("%H", "%M", "%S", "%f"),
    ("%I", "%H", "%p"),
]  # fmt: skip


@given(
    st.sampled_from(DAYS).flatmap(st.permutations),
    st.sampled_from(CLOCKS),
    st.sampled_from(["", "%z", " %z"]),
    st.lists(st.sampled_from(["", "-", "/", ". ", "T", "%%", "0"]), min_size=10, max_size=10),
    st.datetimes(datetime(1969, 1, 1), datetime(2068, 12, 31)),  # noqa: DTZ001 - in UTC
)
def test_a_time_is_the_same_however_it_is_written(
    day: list[str], clock: tuple[str, ...], zone: str, between: list[str], time: datetime
) -> None:
    written = "".join(map("".join, zip([*day, *clock], between, strict=False))) + zone
    time = datetime(*time.timetuple()[: 3 + min(3, len({*clock} - {"%p"}))])  # type: ignore[arg-type]  # noqa: DTZ001
    if "%f" in clock:
        time = time.replace(microsecond=time.second * 10_001)
    if "%I" in clock and "%H" in clock:
        time = time.replace(minute=0)

    text = time.replace(tzinfo=UTC).strftime(written)

    assert one(text, datetime, Files(time_format=written)) == time
    assert one(text.lower(), datetime, Files(time_format=written)) == time


@pytest.mark.parametrize(
    ("time_format", "text", "found"),
    [
        ("%d/%m/%Y %H%M", "1/3/2025 0930", at(2025, 3, 1, 9, 30)),
        ("%d%b%Y", "1JAN2025", at(2025, 1, 1)),
        ("%Y-%m-%d %H:%M:%S.%f", "2025-01-01 00:00:00.050", at(2025, 1, 1, 0, 0, 0, 50_000)),
        ("%m/%d/%y %I:%M %p", "1/2/25 9:05 pm", at(2025, 1, 2, 21, 5)),
        ("%b %d %Y %H%M%S%z", "Jan 2 2025 010203+01:00", at(2025, 1, 2, 0, 2, 3)),
        ("%Y-%m-%dT%H:%M:%S%z", "2025-01-02T01:02:03Z", at(2025, 1, 2, 1, 2, 3)),
    ],
)
def test_zeros_that_nothing_depends_on_may_be_left_out(
    time_format: str, text: str, found: datetime
) -> None:
    assert one(text, datetime, Files(time_format=time_format)) == found


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_the_same_however_it_is_written(number: float) -> None:
    texts = [repr(number), f"{number:.17g}", f"{number:.17e}", f"  {number!r}"]

    assert convert(texts, float, Files()) == [number] * 4


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_whole_number_is_exact(number: int) -> None:
    assert convert([str(number), f"{number}.0", number], int, Files()) == [number] * 3


@given(st.text() | st.from_regex(r"[-+0-9.,_ eE%x]{1,12}", fullmatch=True))
def test_a_text_that_is_taken_for_a_number_is_one_to_python_too(text: str) -> None:
    try:
        found = one(text, float)
    except UnfitError:
        return
    assert found is None or found == float(text)


COLUMNS: dict[str, tuple[pd.Series, type, list[Any]]] = {
    "Int64": (pd.Series([1, None, 3], dtype="Int64"), int, [1, None, 3]),
    "Float64": (pd.Series([1.5, None], dtype="Float64"), float, [1.5, None]),
    "float32": (pd.Series([1.5, np.nan], dtype="float32"), float, [1.5, None]),
    "floats that are whole": (pd.Series([1.0, np.nan]), int, [1, None]),
    "int8 as numbers": (pd.Series([1, 2], dtype="int8"), float, [1.0, 2.0]),
    "int64 that no float has": (pd.Series([2**63 - 1, 2**53 + 1]), int, [2**63 - 1, 2**53 + 1]),
    "boolean": (pd.Series([True, None], dtype="boolean"), bool, [True, None]),
    "bool": (pd.Series([True, False]), bool, [True, False]),
    "numbers as booleans": (pd.Series([1.0, np.nan, 0.0]), bool, [True, None, False]),
    "str": (pd.Series(["a", None], dtype="str"), str, ["a", None]),
    "string": (pd.Series(["a", pd.NA], dtype="string"), str, ["a", None]),
    "category": (pd.Series(["a", None, "a"], dtype="category"), str, ["a", None, "a"]),
    "category of numbers": (pd.Series([2, None], dtype="category"), int, [2, None]),
    "sparse": (pd.Series([0.0, 1.0], dtype="Sparse[float]"), float, [0.0, 1.0]),
    "decimals": (pd.Series([Decimal("1.5"), Decimal("NaN")]), float, [1.5, None]),
    "scalars of numpy": (
        pd.Series([np.int8(1), np.float32(2.5), None], dtype=object), float, [1.0, 2.5, None],
    ),
    "text as numbers": (pd.Series(["1", "NA"]), int, [1, None]),
    "dates": (
        pd.Series([date(2025, 1, 1), None], dtype=object), datetime, [at(2025, 1, 1), None],
    ),
    "naive times": (
        pd.to_datetime(pd.Series(["2025-01-01T01", None])), datetime, [at(2025, 1, 1, 1), None],
    ),
    "times of a zone": (
        pd.to_datetime(pd.Series(["2025-01-01T01", None])).dt.tz_localize("Asia/Tokyo"),
        datetime, [at(2024, 12, 31, 16), None],
    ),
    "times of numpy": (
        pd.Series([np.datetime64("2025-01-01", "ns"), pd.NaT], dtype=object), datetime,
        [at(2025, 1, 1), None],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", COLUMNS)
def test_what_pandas_and_numpy_hold_is_taken(what: str) -> None:
    column, kind, found = COLUMNS[what]

    assert convert(cells(column), kind, Files()) == found


@pytest.mark.parametrize(
    ("values", "kind", "place"),
    [
        (np.array([1.0, 7.5]), int, 1),
        (np.array([1.0, np.inf]), float, 1),
        (np.array([2**63], dtype=np.uint64), int, 0),
        (np.array([1.0, 2.0]), str, 0),
        (np.array([1.0, 2.0]), datetime, 0),
    ],
)
def test_numbers_that_do_not_fit_are_refused_with_their_place(
    values: Any, kind: type, place: int
) -> None:
    with pytest.raises(UnfitError) as refused:
        convert(values, kind, Files())

    assert refused.value.place == place


def test_the_nearest_columns_stand_first() -> None:
    said = listed(["id", "Dew_Point", "temp", "due points"], ["dew_point"], {"temp"})

    assert said == "the columns are Dew_Point, 'due points', id, temp"


def test_what_may_be_a_row_in_place_of_names_is_counted_only() -> None:
    said = listed(["Jane", "Doe", "42"], ["label", "time"], {"age", "label", "time"})

    assert "3 columns" in said
    assert "Jane" not in said


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"separator": ";;"}, "one character"),
        ({"separator": '"'}, "another character"),
        ({"quote": "\n"}, "one character"),
        ({"decimal": ";"}, "decimal"),
        ({"comment": ""}, "comment"),
        *(
            ({name: ("", each)}, f"{name} has a number")
            for name in ("nulls", "text_nulls")
            for each in ("-999", "9999.0", "1e3", "-9,5", "0")
        ),
        ({"nulls": "NA"}, 'write \\("NA",\\)'),
        ({"columns": {"x": "float"}}, "columns: x is none of float"),
        ({"encoding": "utf-99"}, "encoding"),
        ({"encoding": "rot13"}, "encoding"),
        ({"zone": "Berlin"}, "zone"),
        ({"zone": "../etc/passwd"}, "zone"),
        *(
            ({"time_format": each}, "needs a year")
            for each in (
                "%d.%m.%Y %Z",
                "%m/%d/%Y %H:%M %p",
                "%m/%d/%Y %I:%M",
                "%H:%M",
                "%d.%m.",
                "%Y",
                "%Y-%m",
                "%Y %d",
                "%Y-W%W",
                "%A %Y",
                "%U %Y",
                "%Y-%m-%d %M",
                "%Y-%m-%d %H:%S",
                "%Y-%m-%d %Q",
                "%Y-%m-%d %",
                "%Y-%m-%d %d",
                "%c",
                "%x",
                "",
                "today",
            )
        ),
    ],
)
def test_settings_that_cannot_be_are_refused_at_once(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Files(**settings)
