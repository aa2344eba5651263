"""How the user's training files are written: what a reader would have to guess otherwise."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

TYPES = (float, int, bool, str, datetime)  # that a column may be declared as
SEPARATORS = (",", ";", "\t", "|")  # looked for where none is declared
_NUMBER = re.compile(r"\s*[+-]?[\d.,]*\d[\d.,]*(e[+-]?\d+)?\s*", re.IGNORECASE)
_DIGITS = {1: "wu", 2: "dmyHIMSUWV", 3: "j", 4: "YG", 6: "f"}  # of each directive
_WIDTHS = {f"%{each}": width for width, letters in _DIGITS.items() for each in letters}
_OTHERS = dict.fromkeys(("%a", "%A", "%b", "%B", "%p"), "([a-z]+)")
_OTHERS |= {"%z": r"(?:[+-]\d\d:?\d\d|z)", "%%": "%", " ": r"\s+"}
_NOW = (2031, 12, 30, 23, 58, 59, 123456)  # where a part is left out, `strptime` takes another
_PROBES = [datetime(*_NOW[:parts], tzinfo=UTC) for parts in range(3, 8)]  # type: ignore[arg-type,misc]


@cache
def _shape(time_format: str) -> re.Pattern[str]:
    """Return the pattern of times, whose groups are their parts, without needless zeros."""
    # Digits that touch others have their full width: 1122025 is of January or of December.
    parts, found = ["", *re.findall("%?.", time_format, re.DOTALL), ""], ""
    for before, part, after in zip(parts, parts[1:], parts[2:], strict=False):
        if part not in _WIDTHS:  # KeyError: it is unknown, or not the same everywhere
            found += _OTHERS[part] if part in _OTHERS or part[:1] == "%" else re.escape(part)
        elif any(each in _WIDTHS or each.isdigit() for each in (before, after)):
            found += rf"(\d{{{_WIDTHS[part]}}})"
        else:
            found += r"(\d+?)0*" if part == "%f" else r"0*(\d+)"
    return re.compile(found, re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Files:
    r"""How training files are written, and what their columns hold.

    separator: what stands between the cells of a CSV file; None is the one of `,`, `;`, tab and `|`
        that splits the line of names.
    quote: what stands around a cell with separators or line ends in it; None where a quote is a
        character like others.
    escape: what stands before a quote within a quoted cell: Spark writes a backslash, others the
        quote itself. None is the quote, and a cell that may be of the other kind is refused.
    comment: what a line begins with that is no row.
    encoding: of CSV and JSON, by Python's name; a byte-order mark is not part of the text.
    skip_spaces: whether spaces after a separator are not part of the cell.
    decimal: the decimal separator of numbers, `.` or `,`.
    nulls: words that stand for a missing value, wherever something other than text is wanted.
    text_nulls: cells without quotes that stand for a missing value in every column, also of text.
    columns: the type of a column by its name: float, int, bool, str or datetime. Other columns have
        the type of the field of `row` with their name; what remains in a CSV file arrives as text
        that `examples` cannot reckon with.
    time_format: of every time that is text, as `datetime.strptime` has it; None is ISO 8601. A text
        that could be read in more than one way is refused, and so is a format that names no day.
    zone: IANA name of the zone of times that name none.

    Raises ValueError for what cannot be.

    >>> Files(separator=";", decimal=",", columns={"delay": float}, zone="Europe/Berlin").tz.key
    'Europe/Berlin'
    """

    separator: str | None = None
    quote: str | None = '"'
    escape: str | None = None
    comment: str | None = None
    encoding: str = "utf-8"
    skip_spaces: bool = False
    decimal: str = "."
    nulls: tuple[str, ...] = (
        "", "NA", "N/A", "#N/A", "NaN", "nan", "NaT", "null", "NULL", "None", "<NA>",
    )  # fmt: skip
    text_nulls: tuple[str, ...] = ("",)
    columns: Mapping[str, type] = field(default_factory=dict)
    time_format: str | None = None
    zone: str = "UTC"

    def __post_init__(self) -> None:
        given = [each for each in (self.separator, self.quote, self.escape) if each is not None]
        if any(len(each) != 1 or each in "\r\n\0" for each in given):
            raise ValueError("separator, quote and escape are one character each, or None")
        if self.separator is not None and self.separator in (self.quote, self.escape):
            raise ValueError("the separator is another character than quote and escape")
        if self.comment == "" or self.decimal not in (".", ","):
            raise ValueError('comment needs a character, and decimal is "." or ","')
        for name in ("nulls", "text_nulls"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f'{name} is one text: write ("{getattr(self, name)}",)')
            if any(map(_NUMBER.fullmatch, getattr(self, name))):  # -999 is -999.0 in another file
                said = f"{name} has a number: read it as one and make it missing in `examples`"
                raise ValueError(f'{said}, as by `rows["x"].mask(rows["x"] == -999)`')
        if self.time_format is not None:
            self._check_time_format(self.time_format)
        for name, kind in self.columns.items():
            if kind not in TYPES:
                raise ValueError(f"columns: {name} is none of float, int, bool, str, datetime")
        try:
            "".encode(self.encoding)
        except LookupError as error:
            raise ValueError(f"encoding {self.encoding!r} is not known to Python") from error
        try:
            _ = self.tz
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            said = f"zone {self.zone!r} is no IANA name, such as Europe/Berlin"
            raise ValueError(said) from error

    def _check_time_format(self, time_format: str) -> None:
        try:
            clear = self.time(_PROBES[-1].strftime(time_format)).replace(tzinfo=UTC) in _PROBES
        except Exception:  # `strptime` also raises those of `re`, and warnings
            clear = False
        if not clear or ("%p" in time_format) != ("%I" in time_format):  # beside %H, %p is ignored
            raise ValueError(
                "time_format needs a year, such as %Y, what tells the day, such as %m and %d, %H "
                "where it has %M, and %I together with %p; of zones it takes %z, and nothing twice"
            )

    def time(self, text: str) -> datetime:
        """Return the only time that a text in `time_format` can mean, or raise ValueError."""
        form = self.time_format or ""
        found = datetime.strptime(text, form)  # noqa: DTZ007 - as the file has it
        said, meant = map(_shape(form).fullmatch, (text.lower(), found.strftime(form).lower()))
        if said is None or meant is None or said.groups() != meant.groups():
            raise ValueError("it can be read in more than one way")
        return found

    @property
    def tz(self) -> tzinfo:
        """Return the zone of times that name none."""
        return UTC if self.zone == "UTC" else ZoneInfo(self.zone)


PLAIN = Files()
