"""What goes wrong, on data that are otherwise steady: days until it is mended, and its cost."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from benchmarks.autopilot.histories import LABELS_AFTER, History, history
from benchmarks.autopilot.versions import Matrix, mornings, trained
from benchmarks.autopilot.year import Course, Replay, hindsight
from benchmarks.shown import Part

ON = "work"
SINCE = 200  # the day on which something begins to go wrong
MENDED = 0.02  # nats over the best version of each day, on the mean of a week
MOST = "AGEP"  # the field that tells most
Bools = npt.NDArray[np.bool_]
Fault = Callable[[History, Bools, np.random.Generator], History]


def _doubled(past: History, rows: Bools, random: np.random.Generator) -> History:
    return _thinned(past, np.where(rows, 1.0, 0.5), random)


def _season(past: History, _: Bools, random: np.random.Generator) -> History:
    share = np.maximum(0, np.sin((past.day - SINCE) * 2 * np.pi / 180)) / 2
    return _thinned(past, np.where(past.day < SINCE, 0.5, 0.5 + share), random)


def _thinned(past: History, share: npt.NDArray[np.float64], random: np.random.Generator) -> History:
    """Let only a share of what was labelled true stay so."""
    return replace(past, label=past.label & (random.random(len(past.label)) < share))


def _random(share: float, past: History, rows: Bools, random: np.random.Generator) -> History:
    """Give a share of the rows the fields of others, which makes their scores random."""
    hit = np.flatnonzero(rows & (random.random(len(rows)) < share))
    table = past.rows.copy()
    table.iloc[hit] = past.rows.iloc[random.permutation(hit)].to_numpy()
    return replace(_thinned(past, np.full(len(rows), 0.5), random), rows=table)


def _gone(past: History, rows: Bools, random: np.random.Generator) -> History:
    table = past.rows.copy()
    table.loc[rows, MOST] = np.float32(0)
    return replace(_thinned(past, np.full(len(rows), 0.5), random), rows=table)


def _for_a_day(past: History, _: Bools, random: np.random.Generator) -> History:
    return _random(1.0, past, past.day == SINCE, random)


# What goes wrong, and the days after which labels are known, and of the rows one in so many.
FAULTS: dict[str, tuple[Fault, int, int]] = {
    "the rate of true labels doubles": (_doubled, LABELS_AFTER, 1),
    "… labels come after a fortnight": (_doubled, 16, 1),
    "… half of the labels never come": (_doubled, LABELS_AFTER, 2),
    "… 50 rows a day": (_doubled, LABELS_AFTER, 4),
    "the rate follows a season": (_season, LABELS_AFTER, 1),
    "10 % of the scores are random": (partial(_random, 0.1), LABELS_AFTER, 1),
    "50 %": (partial(_random, 0.5), LABELS_AFTER, 1),
    "all": (partial(_random, 1.0), LABELS_AFTER, 1),
    "for a day, all": (_for_a_day, LABELS_AFTER, 1),
    "the field that tells most is 0": (_gone, LABELS_AFTER, 1),
}


def part(levels: dict[str, Callable[[Replay], Course]]) -> Part:
    """Return what each fault does at each level."""
    rows = [[name, *said(replayed(name), levels)] for name in FAULTS]
    remark = (
        f"On the data set {ON}, of whose true labels half were made false; boosting alone, which "
        "learns anew every two weeks. Days until a week's mean loss is within "
        f"{MENDED} of the best version's, known in hindsight, and in brackets what was lost over "
        "it, in nats per row times days."
    )
    return Part([("What goes wrong", remark, ["from one day on", *levels], rows)])


def replayed(name: str) -> Replay:
    """Fit the versions of a year in which something goes wrong."""
    fault, lag, every = FAULTS[name]
    past = history(ON, every)
    past = fault(past, past.day >= SINCE, np.random.default_rng(7))
    past = replace(
        past, candidates=lambda seed: {"boosting": history(ON).candidates(seed)["boosting"]}
    )
    made = [trained(past, 0, lag, day) for day in mornings(past, 0)]
    versions, scores = zip(*made, strict=True)
    return Replay(Matrix(past, list(versions), np.stack(scores)), lag)


def said(replay: Replay, levels: dict[str, Callable[[Replay], Course]]) -> list[str]:
    """Return, for each level, the days until the loss is mended, and what was lost."""
    best, found = hindsight(replay).served, []
    for year in levels.values():
        over = (year(replay).served - best)[SINCE:]
        week = np.convolve(over, np.full(7, 1 / 7), "valid")
        broken = np.flatnonzero(week > MENDED)
        mended = np.flatnonzero(week[broken[0] :] <= MENDED) if len(broken) else [0]
        days = f"{broken[0] + mended[0] if len(broken) else 0}" if len(mended) else "never"
        found.append(f"{days} ({over.sum():.1f})")
    return found
