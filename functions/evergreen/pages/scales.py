"""Scales of charts: where a number stands, which round numbers are named, and how."""

import math
from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

STEPS = (1, 2, 2.5, 5, 10, 20)
DAYS = (1, 2, *(7 * 2**power for power in range(20)))
HUGE = 1e300  # differences of larger numbers may be infinite


class Scale(NamedTuple):
    """A straight line from numbers to units of a viewBox, on which `low` stands at `start`.

    names: of some numbers.
    """

    low: float
    high: float
    start: float
    end: float
    names: dict[float, str]

    def at(self, number: float) -> float:
        """Return where a number stands, in whole tenths."""
        share = (number - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1) + 0.0

    @property
    def marks(self) -> list[tuple[float, str]]:
        """Return where the names stand."""
        return [(self.at(number), name) for number, name in self.names.items()]


def finite(numbers: Iterable[float | None]) -> list[float]:
    """Return the numbers that a chart can show."""
    return [number for number in numbers if number is not None and abs(number) < HUGE]


def ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Return round numbers at equal distances, the first at most `low`, the last at least `high`.

    There are 4 to 7; from 0 and with most=4 there are 3 or 4. A range of no width is widened.

    >>> ticks(0.47, 0.61)
    [0.45, 0.5, 0.55, 0.6, 0.65]
    >>> ticks(0, 71, most=4), ticks(-2, -2)
    ([0.0, 25.0, 50.0, 75.0], [-2.1, -2.05, -2.0, -1.95, -1.9])
    """
    size = max(abs(low), abs(high))
    if high - low <= max(1e-6 * size, 1 / HUGE):
        low, high = low - (size / 20 or 0.05), high + (size / 20 or 0.05)
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (power * each for each in STEPS):
        first, last = math.floor(round(low / step, 6)), math.ceil(round(high / step, 6))
        if last - first < most:
            break
    return [float(f"{place * step:.12g}") for place in range(first, last + 1)]


def numbers(named: Sequence[float], start: float, end: float, unit: str = "") -> Scale:
    """Return the scale from the first of some numbers to the last, all named alike.

    >>> numbers([0, 2.5, 5], 200, 0, "%").marks
    [(200.0, '0.0%'), (100.0, '2.5%'), (0.0, '5.0%')]
    """
    texts = [f"{number:.8g}" for number in named]
    if not any("e" in text for text in texts):
        decimals = max(len(text.partition(".")[2]) for text in texts)
        texts = [f"{number:,.{decimals}f}" for number in named]
    signed = [text.replace("-", "\N{MINUS SIGN}") + unit for text in texts]
    return Scale(named[0], named[-1], start, end, dict(zip(named, signed, strict=True)))


def rows(names: Sequence[str], start: float, size: float) -> Scale:
    """Return the scale of rows by number, each of a size, and named."""
    return Scale(-0.5, len(names) - 0.5, start, start + size * len(names), dict(enumerate(names)))


def days(first: date, last: date, start: float, end: float) -> Scale:
    """Return the scale of days by ordinal, of which the last and 2 to 6 before it are named.

    >>> list(days(date(2013, 3, 1), date(2013, 3, 31), 0, 100).names.values())
    ['3 Mar', '10 Mar', '17 Mar', '24 Mar', '31 Mar']
    """
    ordinals = range(first.toordinal(), last.toordinal() + 1)
    step = next(step for step in DAYS if len(ordinals) <= 7 * step)
    named = [date.fromordinal(ordinal) for ordinal in ordinals[::-1][::step][::-1]]
    names = {float(day.toordinal()): f"{day.day} {day:%b}" for day in named}
    return Scale(ordinals[0] - 0.5, ordinals[-1] + 0.5, start, end, names)
