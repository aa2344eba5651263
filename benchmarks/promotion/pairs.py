"""Pairs of real models, an older and a younger: how their days differ, and who is promoted."""

from collections.abc import Iterator

import numpy as np

from benchmarks.autopilot.histories import LABELS_AFTER
from benchmarks.autopilot.year import FOLLOWING, Replay
from benchmarks.promotion.simulated import MOST, POLICY, bounds
from benchmarks.shown import Goal, Part, first
from evergreen.contract.problem import Bools, Floats

PEEK_ROWS = 50
LEAST_ROWS = 200
AGES = (7, 45)  # days between the trainings of a pair
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
LIKENESS = {  # what is measured of each pair, and its format
    "standard deviation of a day's gain, nats": ".3f",
    "standard deviation of a row's gain, nats": ".3f",
    "design effect: rows that tell as much as one": ".0f",
    "skewness of the days": ".1f",
    "correlation of a day with the next": ".2f",
}


def likeness(replay: Replay) -> Part:
    """Measure how days differ, over the 60 from the training of the younger of each pair on."""
    found = zip(LIKENESS.items(), quantiles(replay), strict=True)
    rows = [[name, *(f"{value:{form}}" for value in values)] for (name, form), values in found]
    remark = (
        f"{len(list(_pairs(replay))):,} pairs of {len(replay.versions)} models of the flights, "
        "7 to 45 days apart in age, over the 60 days after the training of the younger; quantiles "
        "over pairs."
    )
    heads = ["", *(f"{100 * quantile:.0f} %" for quantile in QUANTILES)]
    return Part([("How days of real models differ", remark, heads, rows)])


def quantiles(replay: Replay) -> Floats:
    """Return quantiles over the pairs, shape (LIKENESS, QUANTILES)."""
    found = []
    for younger, older, start, _ in _pairs(replay):
        days = (replay.raw[older] - replay.raw[younger])[start : start + FOLLOWING]
        rows, off = _rows(replay, younger, older, start, FOLLOWING), days - days.mean()
        alike = days.var(ddof=1) / (rows.var() * len(days) / len(rows))
        skewness = (off**3).mean() / off.std() ** 3
        memory = (off[1:] * off[:-1]).mean() / off.var()
        found.append((days.std(ddof=1), rows.std(), alike, skewness, memory))
    return np.asarray(np.quantile(np.array(found), QUANTILES, axis=0).T)


def _rows(replay: Replay, younger: int, older: int, start: int, days: int) -> Floats:
    losses = replay.by_row([older, younger], start, start + days)
    return np.asarray(losses[0] - losses[1])


def _pairs(replay: Replay) -> Iterator[tuple[int, int, int, float]]:
    """Yield younger and older model, the first day to compare on, and what the younger gains."""
    for younger, model in enumerate(replay.versions):
        start = model.made - LABELS_AFTER + 1
        for older in range(younger):
            age = model.made - replay.versions[older].made
            if AGES[0] <= age <= AGES[1] and start + FOLLOWING <= len(replay.rows):
                yield younger, older, start, replay.later_gain(replay.raw, younger, older, start)


def promoted(replay: Replay) -> Part:
    """Say how often the younger of a pair was promoted that was worse over the 60 days."""
    loss, by_row, by_day, allowed = decisions(replay)
    remark = (
        f"The {len(loss)} of these pairs whose younger model was worse over the 60 days. It was "
        f"promoted as superior, within {POLICY.max_shadow_days} days and unless rejected before."
    )
    margin = f"days, as not worse by more than {POLICY.margin:g}, and it was"
    rows = [
        [name, str(found.sum()), f"{found.mean():.1%}", highest]
        for name, found, highest in (
            ("rows as units, a look every 50", by_row, f"{loss[by_row].max(initial=0):.4f}"),
            ("days as units", by_day, f"{loss[by_day].max(initial=0):.4f}"),
            (margin, allowed & (loss > POLICY.margin), ""),
        )
    ]
    heads = ["", "promoted", "share", "highest loss of one, nats per flight"]
    share = float(by_day.mean())
    text = f"promoted wrongly, real flights ({by_row.mean():.0%} by rows)"
    goal = Goal(text, f"{share:.1%}", "≤ 6 %", share <= MOST)
    return Part([("Real models: promoted wrongly", remark, heads, rows)], [goal])


def decisions(replay: Replay) -> tuple[Floats, Bools, Bools, Bools]:
    """Return what each worse model of a pair lost, per flight in nats, and what decided for it.

    A sequence that takes rows for units, with a look every 50; that of days, promoting for
    superiority; and that of days, promoting what is not worse by more than the margin. A model is
    promoted unless it is rejected before, within max_shadow_days.
    """
    found = [pair for pair in _pairs(replay) if pair[-1] < 0]
    end, looks = POLICY.max_shadow_days, slice(LEAST_ROWS - 1, None, PEEK_ROWS)
    gains = [(replay.raw[b] - replay.raw[a])[start : start + end] for a, b, start, _ in found]
    lower, upper = (ends[:, POLICY.shadow_days - 1 :] for ends in bounds(np.array(gains)))
    lost = first(upper < 0)
    by_row = []
    for younger, older, start, _ in found:
        ends = bounds(_rows(replay, younger, older, start, end)[None])
        low, high = (each[:, looks] for each in ends)
        by_row.append(bool(first(low > 0) < first(high < 0)))
    loss = -np.array([gain for *_, gain in found])
    return loss, np.array(by_row), first(lower > 0) < lost, first(lower > -POLICY.margin) < lost
