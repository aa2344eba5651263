"""Days of a comparison as they are drawn, and the product's sequence on many runs at once."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evergreen.rollout import confidence_sequence
from evergreen.rollout.confidence_sequence import radius

Floats = npt.NDArray[np.float64]

ROWS_A_DAY = 900  # as the flights have
ROW_SD = 0.23  # of the paired difference of a row's loss: the median over pairs of their models
DAY_SD = 0.045  # of the mean of a day, of which rows by chance alone would give 0.008
YEAR_DAYS = 365


@dataclass(frozen=True)
class Process:
    """How gains come about: gain of a row = mean + effect of its day + its own noise.

    day_sd: of the days' means, rows' noise included; None without any effect of days. tails: of the
    effects, or of the rows where days have none. memory: correlation of a day with the next.
    """

    name: str
    day_sd: float | None
    tails: str = "normal"
    memory: float = 0.0


PROCESSES = (
    Process("no day effects, normal rows", None),
    Process("no day effects, rows of Student's t, 3 df", None, "t3"),
    Process("no day effects, skewed rows (exponential)", None, "skewed"),
    Process("day effects, normal", DAY_SD),
    Process("day effects, Student's t, 3 df", DAY_SD, "t3"),
    Process("day effects, skewed by -1.4 (gamma)", DAY_SD, "skewed"),
    Process("day effects that last, correlation 0.33", DAY_SD, "normal", 0.33),
)


def gains(
    process: Process, mean: float, shape: tuple[int, int], random: np.random.Generator
) -> Floats:
    """Return the means of days, shape (runs, days), each of 900 rows."""
    noise = ROW_SD / np.sqrt(ROWS_A_DAY)
    found: Floats
    if process.day_sd is None:
        found = mean + noise * _of_rows(process.tails, shape, random)
        return found
    effect = np.sqrt(process.day_sd**2 - noise**2)
    days = _unit(process.tails, shape, random)
    for day in range(1, shape[1] if process.memory else 0):
        fresh = np.sqrt(1 - process.memory**2) * days[:, day]
        days[:, day] = process.memory * days[:, day - 1] + fresh
    found = mean + effect * days + noise * random.normal(size=shape)
    return found


def _unit(tails: str, shape: tuple[int, int], random: np.random.Generator) -> Floats:
    """Return draws of mean 0 and variance 1; the skewed ones lose much on few days."""
    if tails == "t3":
        return np.asarray(random.standard_t(3, shape) / np.sqrt(3))
    if tails == "skewed":
        return np.asarray((2 - random.gamma(2, size=shape)) / np.sqrt(2))
    return random.normal(size=shape)


def _of_rows(tails: str, shape: tuple[int, int], random: np.random.Generator) -> Floats:
    """Return means of 900 rows of mean 0 and variance 1, times the root of 900.

    A sum of exponentials is a gamma, exactly; of Student's t it has no name, so rows are drawn.
    """
    if tails == "skewed":
        sums = random.gamma(ROWS_A_DAY, size=shape)
        return np.asarray((ROWS_A_DAY - sums) / np.sqrt(ROWS_A_DAY))
    if tails == "t3":
        pool = random.standard_t(3, (20_000, ROWS_A_DAY)).sum(axis=1) / np.sqrt(3 * ROWS_A_DAY)
        return np.asarray(random.choice(pool, shape))
    return random.normal(size=shape)


def bounds(values: Floats, alpha: float) -> tuple[Floats, Floats]:
    """Return both ends of the sequence after each day; shape (runs, days), infinite on the first.

    The same as rollout.confidence_sequence.bound of the days so far, as tests show.
    """
    n = np.arange(1, values.shape[1] + 1)
    mean = values.cumsum(axis=1) / n
    spread = np.sqrt(
        np.maximum((values**2).cumsum(axis=1) / n - mean**2, 0) * n / np.maximum(n - 1, 1)
    )
    width = np.maximum(spread, confidence_sequence.LEAST_SPREAD * abs(mean)) * radius(n, alpha)
    width[:, 0] = np.inf
    return mean - width, mean + width


def first(found: npt.NDArray[np.bool_]) -> Floats:
    """Return the day, from 1, on which something is first true in each run; infinity for never."""
    return np.where(found.any(axis=1), found.argmax(axis=1) + 1.0, np.inf)
