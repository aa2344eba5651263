"""Columns of which nothing drifts, as rows; the rival's environment draws the same from here."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

NORMAL, LOGNORMAL, CAUCHY, POISSON = "normal", "lognormal", "Cauchy", "Poisson"
CATEGORIES, MISSING = "five categories", "normal, 10 % missing"
KINDS = (NORMAL, LOGNORMAL, CAUCHY, POISSON, CATEGORIES, MISSING)
POISSON_MEAN = 4.0
CATEGORY_SHARES = (0.5, 0.25, 0.15, 0.08, 0.02)
MISSING_SHARE = 0.1

Draw = tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]


def column(kind: str, rows: int, random: np.random.Generator) -> npt.NDArray[np.generic]:
    """Return one column, shape (rows,): float32 with NaN where missing, or text."""
    if kind == CATEGORIES:
        return np.array(list("abcde"))[random.choice(5, size=rows, p=CATEGORY_SHARES)]
    if kind == POISSON:
        return random.poisson(POISSON_MEAN, rows).astype(np.float32)
    if kind == CAUCHY:
        return random.standard_cauchy(rows).astype(np.float32)
    values = random.normal(size=rows)
    if kind == LOGNORMAL:
        values = np.exp(values)
    if kind == MISSING:
        values[random.random(rows) < MISSING_SHARE] = np.nan
    return values.astype(np.float32)


def draws(kinds: Iterable[str], reference: int, rows: int, seed: int) -> list[Draw]:
    """Return a reference and a window of each kind, of so many rows; the same for each seed."""
    random = np.random.default_rng((seed, reference, rows))
    return [(column(kind, reference, random), column(kind, rows, random)) for kind in kinds]


def mixed(count: int) -> list[str]:
    """Return so many kinds, each in its turn."""
    return [KINDS[n % len(KINDS)] for n in range(count)]


def raced(count: int) -> list[str]:
    """Return the kinds of the race against the rival: three quarters numbers, one categories."""
    return [CATEGORIES if n % 4 == 3 else NORMAL for n in range(count)]
