"""Rows of text files: of CSV by one dialect, and of JSON with an object on each line.

What is declared, or shows in the line of names, is then checked in every row.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TextIO

from evergreen.contract.errors import DataError
from evergreen.contract.files import Files

MAX_CHARACTERS = 400_000_000  # of a file, once it is unpacked
MAX_LINE = 2_000_000  # characters, also of a row with line ends in its cells
MAX_COLUMNS = 10_000
_ODD = re.compile("[\udc80-\udcff]")  # bytes that are not of the encoding

Refuse = Callable[[int, str], None]  # told the line of a row, and why it is none
Records = Iterator[tuple[int, str]]  # texts, and the line in which each begins
Rows = Iterator[tuple[int, Sequence[Any]]]  # the line in which each begins, and its cells


class OpenQuoteError(DataError):
    """A quote that is opened does not end."""


def _lines(file: TextIO, encoding: str) -> Records:
    """Yield the lines of a file with their numbers; file: opened with `surrogateescape`."""
    size = number = 0
    while line := file.readline(MAX_LINE + 1):
        number, size = number + 1, size + len(line)
        if len(line) > MAX_LINE:
            raise DataError(f"line {number} has more than {MAX_LINE:,} characters")
        if size > MAX_CHARACTERS:
            said = f"it has more than {MAX_CHARACTERS:,} characters once unpacked"
            raise DataError(f"{said}: upload it in parts, or as Parquet")
        if "\0" in line or (not line.isascii() and _ODD.search(line)):
            said = f"line {number} is not {encoding.upper()}, or holds a NUL character"
            named = 'name its encoding, as in Files(encoding="cp1252") or "utf-16"'
            raise DataError(f"{said}: write the file as UTF-8, or {named}")
        yield number, line.removeprefix("\ufeff") if number == 1 else line  # a mark, and no text


def json_rows(opened: Callable[[], TextIO], files: Files) -> tuple[list[str], Rows]:
    """Return the names in any object, in order, and the rows; what an object lacks is missing."""
    names = dict.fromkeys(name for _, found in _objects(opened(), files) for name in found)
    _check_width(len(names))
    if len({name.lower() for name in names}) < len(names):
        said = "some of its names differ in large or small letters only: write each in one way"
        raise DataError(said)
    rows = ((line, [*map(found.get, names)]) for line, found in _objects(opened(), files))
    return list(names), rows


def _objects(file: TextIO, files: Files) -> Iterator[tuple[int, dict[str, Any]]]:
    decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)
    for line, text in _lines(file, files.encoding):
        try:
            found = decoder.decode(text) if text.strip() else None
        except (ValueError, RecursionError) as error:
            said = f"line {line} is no JSON with each name once and without NaN"
            way_out = 'as pandas does by to_json(orient="records", lines=True)'
            raise DataError(f"{said}: write an object on each line, {way_out}") from error
        if not text.strip():
            continue
        if not isinstance(found, dict):
            raise DataError(f"line {line} is no object of JSON: write one on each line")
        yield line, found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_number(_: str) -> None:
    raise ValueError("NaN and Infinity are no JSON")


def csv_rows(
    file: TextIO,
    files: Files,
    separators: Sequence[str],
    wanted: Collection[str],
    refuse: Refuse | None = None,
) -> tuple[list[str], Rows]:
    """Return the names in the first line, and the rows; a column without a name is left out.

    separators: what may stand between cells. wanted: names that tell the right one. refuse: called
    for a row that is none, which is left out; where there is no such function, it is an error.
    """
    records = _records(_lines(file, files.encoding), files)
    line, head = next(records, (0, ""))
    if not head:
        raise DataError("it is empty, or its first line is: begin it with the names of its columns")
    dialect, cells = _dialect(line, head, files, separators, wanted)
    named = [place for place, name in enumerate(cells) if name]
    names = [str(cells[place]) for place in named]
    _check_width(len(cells))
    if names != [name.strip() for name in names]:
        said = f"line {line}: a column has a name with a space before or after it"
        way_out = "set Files(skip_spaces=True) where a space follows each separator"
        raise DataError(f"{said}: take it away, or {way_out}")
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        places = [place + 1 for place in named if cells[place] == twice[0]]
        raise DataError(f"line {line}: its columns {places} have the same name: give each its own")
    return names, _checked(records, dialect, len(cells), named, refuse)


def _check_width(columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise DataError(f"it has more than {MAX_COLUMNS:,} columns: upload it with fewer")


def _checked(
    records: Records, dialect: "_Dialect", width: int, named: list[int], refuse: Refuse | None
) -> Rows:
    """Yield the rows of a file, each of which has as many cells as the line of names."""
    for line, record in records:
        if not record and width > 1:
            continue  # an empty line
        try:
            cells = dialect.cells(line, record) if record else []
            if len(cells) != width:
                said = f"line {line} has {len(cells)} cells, and the line of names has {width}"
                mark = repr(dialect.separator)
                raise DataError(f"{said}: a cell with {mark} or a line end in it needs quotes")
        except DataError as error:
            if refuse is None:
                raise
            refuse(line, str(error).removeprefix(f"line {line} "))
            continue
        yield line, cells if len(named) == width else [cells[place] for place in named]


def _records(lines: Records, files: Files) -> Records:
    """Yield records with the line that each begins in: a quote that is open takes the next in."""
    held: list[str] = []
    begun = size = 0
    is_open = False
    for number, line in lines:
        if not is_open:
            if files.comment is not None and line.startswith(files.comment):
                continue
            if files.quote is None or files.quote not in line:
                yield number, line.rstrip("\r\n")
                continue
            begun, size = number, 0
        held.append(line)
        size += len(line)
        if files.quote is not None and files.quote in line:
            text = line
            if files.escape not in (None, files.quote):  # a quote after it neither opens nor closes
                text = re.sub(re.escape(files.escape) + ".", "", line)
            is_open ^= text.count(files.quote) % 2 == 1
        if not is_open:
            yield begun, "".join(held).rstrip("\r\n")
            held.clear()
        elif size > MAX_LINE:
            break
    if is_open:
        said = f"line {begun} has a quote that does not end: close it"
        way_out = "set Files(quote=None) where quotes are characters like others"
        raise OpenQuoteError(f"{said}, or {way_out}")


def _dialect(
    line: int, head: str, files: Files, separators: Sequence[str], wanted: Collection[str]
) -> tuple["_Dialect", list[str | None]]:
    """Return how a file is split, and its first line so split."""
    splits, faults = {}, []
    for dialect in (_Dialect(files, separator) for separator in separators):
        try:
            splits[dialect] = dialect.cells(line, head)
        except DataError as error:
            faults.append(error)
    if not splits:
        raise faults[0]
    found = {each: len(set(wanted) & set(cells)) for each, cells in splits.items() if cells[1:]}
    best = [each for each, hits in found.items() if hits == max(found.values())]
    if len(best) > 1:
        marks = (
            f"line {line} can be split at {' and at '.join(repr(each.separator) for each in best)}"
        )
        raise DataError(f'{marks}: say at which, as in Files(separator=";")')
    chosen = next(iter(best or splits))
    return chosen, splits[chosen]


@dataclass(frozen=True, eq=False)
class _Dialect:
    """How the records of one file are split."""

    files: Files
    separator: str

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], re.Pattern[str]]:
        """Return those of a cell with what follows it, and of a quote as it stands within one."""
        separator, quote = re.escape(self.separator), re.escape(self.files.quote or "")
        before = re.escape(self.files.escape or "") or quote
        spaces = " *+" if self.files.skip_spaces else ""
        within = f"{before}([{quote}{before}])"
        return re.compile(
            f"{spaces}(?:{quote}((?:[^{quote}{before}]++|{before}[{quote}{before}])*+){quote}"
            f"|([^{quote}{separator}]*+))({separator}|\\Z)"
        ), re.compile(within)

    def cells(self, line: int, record: str) -> list[str | None]:
        """Return the cells of a record, None where one stands for a missing value."""
        files, nulls = self.files, self.files.text_nulls
        if files.quote is None or files.quote not in record:
            found = record.split(self.separator)
            if files.skip_spaces:
                found = [cell.lstrip(" ") for cell in found]
            return [None if cell in nulls else cell for cell in found]
        cells: list[str | None] = []
        place, (cell, within) = 0, self._patterns
        while match := cell.match(record, place):
            quoted, bare, end = match.groups()
            if quoted is None:
                cells.append(None if bare in nulls else bare)
            elif files.escape is None and "\\\\" in quoted:
                raise DataError(
                    f"line {line} has two backslashes in a quoted cell: set "
                    r'Files(escape="\\") where they stand for one, as Spark writes it, and '
                    "Files(escape='\"') where they are two"
                )
            else:
                cells.append(within.sub(r"\1", quoted))
            place = match.end()
            if not end:
                return cells
        raise DataError(
            f"line {line} has a quote within a cell, or something between a quote and a "
            "separator: set Files(quote=None) where quotes are characters like others, and "
            r'Files(escape="\\") where a backslash stands before them'
        )
