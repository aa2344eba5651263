"""How often performance alarms begin where nothing became worse, and how soon where something did.

A year is simulated by counts: 36 kinds of rows, whose outcomes are binomial given the day's effect.
The champion scores as well as anybody could who does not know the day. Labels take two days.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit
from scipy.stats import chi2, norm
from scipy.stats import t as student

from benchmarks.shown import Goal, Part, first, median
from evergreen.contract.problem import Bools, Floats
from evergreen.monitoring.ecusum import comparisons
from evergreen.monitoring.ecusum import days as by_day
from evergreen.monitoring.ecusum import rows as by_row
from evergreen.monitoring.performance import CAUTION, LEVEL
from evergreen.monitoring.recalibrate import _fitted

EACH = 25  # rows of a kind, a day
HOLDOUT, YEAR, LAG, TRAILING = 28, 365, 2, comparisons.TRAILING  # days
ONSET = HOLDOUT + 120
BASE = -1.3  # logit of the base rate
STRENGTHS = {"weak": 0.6, "strong": 1.2}  # standard deviation of the true logits
GOALS = {"calm": 0.01, "days": 0.01, "ar3": 0.1, "ar6": 0.25, "skew": 0.1, "week": 0.01}
FAULTS = {
    "double": "rate doubled", "shift": "logits + 0.5", "0.1": "10 % of scores random",
    "0.5": "50 %", "1": "all", "drop": "a feature gone",
}  # fmt: skip
FACTORS = (1.0, 1.5, 2.0, 2.5, 3.0)
HEADS = ["model", "years", "Brier score", "half of the skill", "recalibrated", "any"]
_GRID = norm.ppf((np.arange(6) + 0.5) / 6)
ONE, OTHER = (each.ravel() for each in np.meshgrid(_GRID, _GRID))
ROWS = EACH * len(ONE)


def effects(world: str, years: int, days: int, random: np.random.Generator) -> Floats:
    """Return what each day adds to all logits, shape (years, days)."""
    found = random.standard_normal((years, days))
    if world in ("calm", "week", "season"):
        at = np.arange(days) + random.integers(7, size=(years, 1)) * (world == "week")
        swing = {"week": 0.5 * np.sqrt(2) * np.cos(2 * np.pi * at / 7),
                 "season": 0.6 * np.sin(2 * np.pi * at / YEAR)}  # fmt: skip
        return 0.1 * found if world == "calm" else np.asarray(0.3 * found + swing[world])
    if world == "skew":  # 1.4
        return np.asarray(0.5 * (random.gamma(2.0, 1.0, found.shape) - 2) / np.sqrt(2))
    alike = {"ar3": 0.34, "ar6": 0.6}.get(world, 0.0)
    for day in range(1, days):
        found[:, day] = alike * found[:, day - 1] + np.sqrt(1 - alike**2) * found[:, day]
    return 0.5 * found


class Years(NamedTuple):
    """Differences from a constant and a line, shape (days, years), and the evidence by row.

    evidence: by row, for the holdout's limit and a design effect of 1, shape (days, years, bets).
    similarity: that the holdout shows, shape (years,).
    """

    skill: Floats
    line: Floats
    evidence: Floats
    similarity: Floats

    def alarms(self) -> dict[str, Bools]:
        """Return whether each alarm is on, shape (days after the holdout, years)."""
        found = {"Brier score": self.by_row(by_row.ALIKE)}
        for about, series in ((comparisons.SKILL, self.skill), (comparisons.LINE, self.line)):
            found[about] = _by_day(series, comparisons.THRESHOLDS[about])
        return found | {"any": np.any(list(found.values()), axis=0)}

    def by_row(self, factor: float) -> Bools:
        """Return whether the alarm of the Brier score is on; factor: times as alike as shown."""
        effect = (1 + (ROWS - 1) * factor * self.similarity)[:, None]
        wealth, on, found = np.zeros(self.evidence.shape[1:]), np.zeros(len(effect), bool), []
        for day in self.evidence[HOLDOUT:] / effect:  # a day's best suffix is taken for 0
            wealth = np.minimum(np.maximum(wealth + day, np.maximum(day, 0)), by_row.CAP)
            on = by_day.rings(on, np.exp(wealth).mean(axis=1), by_row.THRESHOLD, by_row.OVER)
            found.append(on)
        return np.array(found)


def _by_day(series: Floats, threshold: float) -> Bools:
    wealth, on, found = by_day.START, np.zeros(series.shape[1], bool), []
    for day in range(HOLDOUT, len(series)):
        worth = by_day.bet(series[: day + 1])
        assert worth is not None  # for the type checker
        wealth = by_day.accumulate(wealth, worth, threshold)
        on = by_day.rings(on, by_day.e_value(wealth), threshold)
        found.append(on)
    return np.array(found)


def simulate(world: str, spread: float, years: int, fault: str = "") -> Years:
    """Simulate years of a world; spread: of the true logits. A fault begins on day ONSET."""
    random, days = np.random.default_rng((8, 0)), HOLDOUT + YEAR
    true = BASE + spread * np.sqrt(0.5) * (ONE + OTHER)
    usual = effects("days" if world == "season" else world, 400, 60, random).ravel()[:4_000]
    plain, without = _champion(expit(true + usual[:, None]).mean(axis=0))
    logit = np.tile(plain, (days, 1))
    logit[ONSET:] = without if fault == "drop" else plain + 0.5 * (fault == "shift")
    effect = effects(world, years, days, random)
    effect[:, ONSET:] += 1.07 * (fault == "double")
    came = random.binomial(EACH, expit(true + effect[..., None])).astype(np.float64)
    if fault[:1] in ("0", "1"):
        share, late = float(fault), came[:, ONSET:]
        came[:, ONSET:] = (1 - share) * late + share * late.mean(axis=-1, keepdims=True)
    loss, rate = _loss(came, logit), came.mean(axis=-1) / EACH
    sums = np.concatenate([np.zeros((years, 1)), rate.cumsum(axis=1)], axis=1)
    known = np.maximum(np.arange(days) - LAG + 1, 1)
    begin = np.maximum(known - TRAILING, 0)
    constant = _entropy(rate, (sums[:, known] - sums[:, begin]) / (known - begin))
    held = rate[:, :HOLDOUT]
    skill = (_entropy(held, held.mean(axis=1, keepdims=True)) - loss[:, :HOLDOUT]).mean(axis=1)
    lined = loss - _line(came, logit, loss) - comparisons.MARGIN
    differences = (loss - constant).T + np.maximum(skill, 0) / 2
    return Years(differences, lined.T, *_rows(came, expit(logit)))


def _champion(chances: Floats) -> tuple[Floats, Floats]:
    """Return the logits of a logistic regression on both features, and without the second."""
    rows, weights = np.column_stack([np.ones_like(ONE), ONE, OTHER]), np.array([BASE, 0.0, 0.0])
    for _ in range(20):
        found = expit(rows @ weights)
        curve = (rows * (found * (1 - found))[:, None]).T @ rows
        weights = weights + np.linalg.solve(curve, rows.T @ (chances - found))
    return rows @ weights, rows[:, :2] @ weights[:2]


def _loss(came: Floats, logit: Floats) -> Floats:
    return np.asarray((EACH * np.logaddexp(0, logit) - came * logit).sum(axis=-1) / ROWS)


def _entropy(rate: Floats, told: Floats) -> Floats:
    return np.asarray(-rate * np.log(told) - (1 - rate) * np.log1p(-told))


def _line(came: Floats, logit: Floats, loss: Floats) -> Floats:
    """Return the loss of each day by the line that was fitted on the four weeks known then."""
    found = loss.copy()
    for day in range(7, loss.shape[1]):
        last, pooled = day - LAG + 1, []
        begin = max(last - TRAILING, 0)
        for start, stop in ((begin, min(last, ONSET)), (max(begin, ONSET), last)):
            if stop > start:
                true = came[:, start:stop].sum(axis=1)
                rows = np.full_like(true, EACH * (stop - start))
                pooled.append(np.stack([rows, true, rows * logit[start]], axis=1))
        line = _fitted(np.concatenate(pooled, axis=2), slope=True)
        found[:, day] = _loss(came[:, day], line[:, :1] + line[:, 1:] * logit[day])
    return found


def _rows(came: Floats, chance: Floats) -> tuple[Floats, Floats]:
    """Return evidence by day and bet, and the similarity, as performance.expected has them."""
    false, true = chance**2, (1 - chance) ** 2

    def mean(of_false: Floats, of_true: Floats) -> Floats:
        return np.asarray(((EACH - came) * of_false + came * of_true).sum(axis=-1) / ROWS)

    brier, square = (each[:, :HOLDOUT] for each in (mean(false, true), mean(false**2, true**2)))
    usual, rows = brier.mean(axis=1), ROWS * HOLDOUT
    spread = square.mean(axis=1) - usual**2
    off = (((brier - usual[:, None]) * ROWS) ** 2).sum(axis=1) * HOLDOUT / (HOLDOUT - 1)
    effect = np.maximum(off / (spread * rows**2 / (rows - 1)), 1)
    upper = usual + student.ppf(1 - LEVEL, HOLDOUT - 1) * np.sqrt(effect * spread / (rows - 1))
    cautious = effect * (HOLDOUT - 1) / chi2.ppf(CAUTION, HOLDOUT - 1)
    fair = [each / upper[:, None, None] - 1 for each in (false, true)]
    bets = [ROWS * mean(*(np.log1p(stake * each) for each in fair)) for stake in by_row.BETS]
    return np.array(bets).transpose(2, 1, 0), np.clip((cautious - 1) / (ROWS - 1), 0, 1)


def begun(on: Bools) -> float:
    """Return how many alarms begin in a year, of those on by day and year."""
    return float((np.diff(on.astype(np.int8), axis=0, prepend=0) > 0).sum() / on.shape[1])


def _delay(on: Bools) -> str:
    """Return the median days from the fault to an alarm, of years without one before it."""
    at = ONSET - HOLDOUT
    return median(first(on[at:, ~on[at - 1]].T))


def quiet(years: int) -> Part:
    """Count the alarms of years in which the champion keeps its skill, by world and strength."""
    rows, goals, factors = [], [], []
    for world in (*GOALS, "season"):
        worst, by_factor = 0.0, np.zeros(len(FACTORS))
        for strength, spread in STRENGTHS.items():
            found = simulate(world, spread, years)
            each = [begun(on) for on in found.alarms().values()]
            rows.append([world, strength, f"{years:,}", *(f"{one:.3f}" for one in each)])
            worst = max(worst, each[-1])
            old = [begun(found.by_row(factor)) for factor in FACTORS]
            by_factor = np.maximum(by_factor, old)
        if world in GOALS:
            text, limit = f"false performance alarms a year, {world}", GOALS[world]
            goals.append(Goal(text, f"{worst:.3f}", f"≤ {limit}", worst <= limit))
        factors.append([world, *(f"{one:.3f}" for one in by_factor)])
    for strength, spread in STRENGTHS.items():
        found = simulate("days", spread, max(years // 10, 1), "double")
        late = [_delay(found.by_row(factor)) for factor in FACTORS]
        factors.append([f"days until the rate doubled is found, {strength}", *late])
    remark = (
        "Alarms begun in a year, all of them false: 900 rows a day, a holdout of 28 days. What "
        "days add to the logits: hardly any (calm), normal with 0.5, autocorrelated by 0.34 and "
        "0.6, skewed by 1.4, and weekly. In the last the base rate swings through the year by 0.6: "
        "a model that does not know it loses its skill, and these alarms are true."
    )
    chosen = f"Alarms a year by how much more alike days are taken for; {by_row.ALIKE:g} is used."
    heads = ["world, worse model", *(f"× {factor:g}" for factor in FACTORS)]
    return Part([
        ("Performance: false alarms", remark, ["world", *HEADS], rows),
        ("Performance: the Brier score's design effect", chosen, heads, factors),
    ], goals)  # fmt: skip


def faults(years: int) -> Part:
    """Measure the days from a fault to each alarm, in a world whose days differ."""
    rows = []
    for fault, name in FAULTS.items():
        for strength, spread in STRENGTHS.items():
            on = simulate("days", spread, years, fault).alarms()
            rows.append([name, strength, f"{years:,}", *map(_delay, on.values())])
    remark = "Median days, after those that labels take; days differ by 0.5 on the logit scale."
    return Part([("Performance: days until an alarm", remark, ["fault", *HEADS], rows)])
