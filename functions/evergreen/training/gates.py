"""Whether a candidate may serve: each gate is a function of figures, and says what it saw.

All gates of a version stand in its manifest, in order; the first that is shut is the reason.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evergreen.contract.problem import Bools, Floats
from evergreen.contract.schema import KEPT_TEXT, Columns
from evergreen.monitoring.performance import by_tenth
from evergreen.registry.manifest import Gate

LEVEL = 0.05  # one-sided
RESAMPLES = 2_000
MORE_CALIBRATION_ERROR = 0.05  # than the champion's
MIN_SLICE_ROWS = 100
MIN_SLICE_DAYS = 3  # the bootstrap draws days
MAX_VALUES = 20  # of a field, the most frequent

Days = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Improvement:
    """How much lower a candidate's loss is than the champion's, in the metric's unit per row.

    lower, upper: the ends of the one-sided intervals, of 95 % unless another level was asked for.
    """

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Slice:
    """The rows of the holdout with one value of a field; over: None where they are too few."""

    field: str
    value: str
    rows: int
    loss: float
    champion: float | None = None
    over: Improvement | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether the gates open, and why."""

    passed: bool
    reason: str


def verdict(gates: Sequence[Gate]) -> Verdict:
    """Return the reason of the first gate that is shut, or that for which all are open."""
    shut = [found.said for found in gates if not found.passed]
    reasons = shut or [found.said for found in gates if found.name == "champion"]
    return Verdict(not shut, reasons[0])


def improvement(
    champion: Floats, candidate: Floats, days: Days, seed: int, level: float = LEVEL
) -> Improvement:
    """Compare two models' losses on the same rows by a bootstrap over days.

    champion, candidate: losses, shape (rows,). days: the day of each row. Whole days are drawn, as
    rows of one day rise and fall together: drawing rows would make any difference look certain.
    """
    _, place = np.unique(days, return_inverse=True)
    sums = np.bincount(place, weights=champion - candidate)
    rows = np.bincount(place)
    drawn = np.random.default_rng(seed).integers(len(rows), size=(RESAMPLES, len(rows)))
    means = sums[drawn].sum(axis=1) / rows[drawn].sum(axis=1)
    lower, upper = np.quantile(means, [level, 1 - level])
    return Improvement(float(sums.sum() / rows.sum()), float(lower), float(upper))


def slices_of(
    fields: Columns, candidate: Floats, champion: Floats | None, days: Days, seed: int
) -> list[Slice]:
    """Return the losses by the values of some fields, the most frequent values first.

    fields: by name, the value of each row, shape (rows,). The level of the intervals is divided by
    the number of slices: of twenty that are alike, one looks worse at 5 %.
    """
    parts = [part for name, values in fields.items() for part in parts_of(name, values)]
    large = [rows for _, _, rows in parts if _is_large(days[rows])]
    level = LEVEL / max(len(large), 1)
    found = []
    for name, value, rows in parts:
        own, loss, over = candidate[rows], None, None
        if champion is not None:
            loss = float(champion[rows].mean())
            if _is_large(days[rows]):
                over = improvement(champion[rows], own, days[rows], seed, level)
        found.append(Slice(name, value, int(rows.sum()), float(own.mean()), loss, over))
    return found


def parts_of(name: str, values: npt.NDArray[Any]) -> Iterable[tuple[str, str, Bools]]:
    """Yield the field, a value and which rows have it, for the most frequent values."""
    texts = np.array([str(value)[:KEPT_TEXT] for value in values.tolist()])
    found, counts = np.unique(texts, return_counts=True)
    for place in np.argsort(-counts, kind="stable")[:MAX_VALUES]:
        yield name, str(found[place]), texts == found[place]


def _is_large(days: Days) -> bool:
    return len(days) >= MIN_SLICE_ROWS and len(np.unique(days)) >= MIN_SLICE_DAYS


def calibration_error(scores: Floats, hits: Bools) -> float:
    """Return how far probabilities are from shares: the expected calibration error over tenths.

    scores: probabilities, shape (rows,). hits: whether what each is the probability of came true.

    What calibrated scores would show by chance, sqrt(2 p (1 - p) / (pi rows)) of a tenth, is taken
    off: otherwise a small holdout would look badly calibrated. Source: Naeini et al. 2015.

    >>> round(calibration_error(np.full(1000, 0.75), np.arange(1000) < 250), 2)
    0.49
    """
    rows, told, found = by_tenth(scores, hits)
    chance = np.sqrt(2 * told * (1 - told) / (np.pi * np.maximum(rows, 1)))
    return max(0.0, float(((np.abs(told - found) - chance) * rows).sum() / rows.sum()))


# The gates, in order


def fit(loss: float, constant: float, simple: float, over: Improvement, metric: str) -> Gate:
    """A model must beat a constant, and a tree of two questions must not surely be better.

    over: the improvement over the tree; a few days of holdout often put it ahead by chance.
    """
    figures = {"loss": loss, "constant": constant, "simple": simple, "upper": over.upper}
    passed = loss < constant and over.upper >= 0
    if passed:
        said = f", a constant's {constant:.4f}, a simple tree's {simple:.4f}"
    elif not loss < constant:
        said = f" does not beat the constant's {constant:.4f}"
    else:
        said = f" is surely worse than the {simple:.4f} of a simple tree"
    return Gate(name="fit", passed=passed, said=f"{metric} {loss:.4f}{said}", figures=figures)


def another(same: bool) -> Gate:
    """A version that is the champion's bytes would only be another name for it."""
    said = "it is the same model as the champion, byte for byte" if same else "it is another model"
    return Gate(name="another model", passed=not same, said=said)


def champion(over: Improvement | None, margin: float, alone: str, away: str | None = None) -> Gate:
    """A version may be worse than the champion by the margin at most.

    over: None where there is nothing to compare with, and `alone` says why. away: why it is not the
    champion's service that it was compared with, but the rule that answers in its place.
    """
    if over is None:
        return Gate(name="champion", passed=True, said=alone)
    passed = over.lower >= -margin
    within = f" over the champion, within the margin of {margin}"
    said = within if passed else f", may be worse than the champion by more than {margin}"
    said = f"improvement {over.mean:+.4f}, at least {over.lower:+.4f}{said}"
    said += f", as it answers now: {away}" if away else ""
    figures = {"mean": over.mean, "lower": over.lower, "margin": margin}
    return Gate(name="champion", passed=passed, said=said, figures=figures)


def slices(found: Sequence[Slice], margin: float) -> Gate:
    """No slice may surely be worse than the champion by more than the margin."""
    compared = [(part, part.over) for part in found if part.over]
    if not compared:
        alone = "nothing to compare: no champion, or no slice with enough rows"
        return Gate(name="slices", passed=True, said=alone)
    part, over = min(compared, key=lambda pair: pair[1].upper)
    worst, passed = f"{part.field} {part.value}", over.upper >= -margin
    figures = {
        "slices": len(compared), "worst": worst, "rows": part.rows,
        "mean": over.mean, "upper": over.upper, "margin": margin,
    }  # fmt: skip
    who = f"none of {len(compared)} slices is surely" if passed else f"{worst} is"
    said = f"{who} worse than the champion by more than {margin:g}"
    if not passed:
        said += f": improvement {over.mean:+.4f}, at most {over.upper:+.4f}, in {part.rows:,} rows"
    return Gate(name="slices", passed=passed, said=said, figures=figures)


def calibration(own: float | None, champion: float | None, limit: float) -> Gate:
    """Probabilities must be near to shares, and not much farther off than the champion's.

    own, champion: calibration errors, None where there is none. A champion over the limit, as in a
    season that neither has seen, does not shut out a candidate that is no worse.
    """
    if own is None:
        return Gate(name="calibration", passed=True, said="a regression has no probabilities")
    figures = {"error": own, "champion": champion, "limit": limit}
    bound = limit
    if champion is not None:
        bound = min(max(limit, champion), champion + MORE_CALIBRATION_ERROR)
    passed = own <= bound
    said = f"calibration error {own:.3f}, {'within' if passed else 'over'} the limit of {bound:.3f}"
    return Gate(name="calibration", passed=passed, said=said, figures=figures)


def twin(difference: float | None, rows: int, tolerance: float) -> Gate:
    """A twin must answer as its pipeline does; difference: None where there is no twin."""
    if difference is None:
        return Gate(name="twin", passed=True, said="it serves without an ONNX twin")
    figures = {"difference": difference, "tolerance": tolerance, "rows": rows}
    said = f"differs from scikit-learn by at most {difference:.2g} in {rows:,} rows"
    return Gate(name="twin", passed=difference <= tolerance, said=said, figures=figures)


def golden(fault: str | None, rows: int) -> Gate:
    """What was written down must load and answer the golden rows; fault: why it does not."""
    said = fault or f"loaded from its bytes, it answers {rows} golden rows as in training"
    return Gate(name="golden rows", passed=fault is None, said=said, figures={"rows": rows})


def size(artifacts: int, limit_mb: float) -> Gate:
    """All artifacts of a version together must not be too large; in bytes and megabytes."""
    megabytes = artifacts / 1e6
    passed = megabytes <= limit_mb
    said = f"{megabytes:.1f} MB, {'within' if passed else 'over'} policy.max_artifact_mb={limit_mb}"
    figures = {"megabytes": round(megabytes, 3), "limit": limit_mb}
    return Gate(name="size", passed=passed, said=said, figures=figures)


def latency(milliseconds: float | None, limit: int) -> Gate:
    """A row must be scored in time; milliseconds: None where another service is asked.

    The time that passed stands nowhere: the same training on the same data writes the same bytes.
    """
    if milliseconds is None:
        return Gate(name="latency", passed=True, said="not measured: it asks another service")
    passed = milliseconds <= limit
    takes = "is scored within" if passed else "takes more to score than"
    said = f"a row {takes} policy.max_latency_ms={limit}"
    return Gate(name="latency", passed=passed, said=said, figures={"limit": limit})
