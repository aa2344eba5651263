"""How the user's training files are written: what a reader would have to guess otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

TYPES = (float, int, bool, str, datetime)  # that a column may be declared as
SEPARATORS = (",", ";", "\t", "|")  # looked for where none is declared


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
    time_format: of every time that is text, as `datetime.strptime` has it; None is ISO 8601.
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
        dialect = [self.separator, self.quote, self.escape]
        characters = [each for each in dialect if each is not None]
        if any(len(each) != 1 or each in "\r\n\0" for each in characters):
            raise ValueError("separator, quote and escape are one character each, or None")
        if self.separator is not None and self.separator in (self.quote, self.escape):
            raise ValueError("the separator is another character than quote and escape")
        if self.comment == "" or self.decimal not in (".", ","):
            raise ValueError('comment needs a character, and decimal is "." or ","')
        for name in ("nulls", "text_nulls"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f'{name} is one text: write ("{getattr(self, name)}",)')
        format_ = self.time_format or "%Y"
        if "%Z" in format_ or not any(year in format_ for year in ("%Y", "%y", "%G")):
            raise ValueError("time_format needs a year, such as %Y, and of zones only %z")
        for name, kind in self.columns.items():
            if kind not in TYPES:
                raise ValueError(f"columns: {name} is none of float, int, bool, str, datetime")
        try:
            "".encode(self.encoding)
        except LookupError as error:
            raise ValueError(f"encoding {self.encoding!r} is not known to Python") from error
        try:
            if self.zone != "UTC":
                ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f"zone {self.zone!r} is no IANA name, such as Europe/Berlin"
            ) from error

    @property
    def tz(self) -> tzinfo:
        """Return the zone of times that name none."""
        return UTC if self.zone == "UTC" else ZoneInfo(self.zone)


PLAIN = Files()
