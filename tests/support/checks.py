"""Reports of checks in the states that a page must show."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from evergreen.monitoring.report import (
    Alarm,
    CalibrationBin,
    CheckReport,
    DayPerformance,
    FeatureDrift,
    Multivariate,
    Performance,
    SlicePerformance,
    TrendDay,
    Violation,
)
from tests.support import given

END = datetime(2013, 3, 17, 5, tzinfo=UTC)
OLD, CHAMPION = given.version(1), given.version(20)
TEXT = {"carrier": 12, "origin": 3, "dest": 30}  # and their categories
NAMES = [*TEXT, "weekday", "hour", "distance", *given.WEATHER]


def feature(name: str, psi: float = 0.01, **more: Any) -> FeatureDrift:
    """Return a feature whose rows have moved to its last bins, by about so much."""
    texts = [f"{name} {chr(65 + n % 26)}{n}" for n in range(TEXT.get(name, 0))]
    numbers = [f"{10 * n} to {10 * n + 10}" for n in range(12)]
    bins = ["≤ 0", *numbers, "> 120", "missing"] if not texts else [*texts, "others", "missing"]
    random, size = np.random.default_rng(len(name)), len(bins)
    reference = random.gamma(3, size=size) * 20_000 / size
    window = reference / 4 * np.exp(np.linspace(-1, 1, size) * np.sqrt(3 * psi))
    plain: dict[str, Any] = {
        "psi": psi,
        "p": 0.62 if psi < 0.1 else 1e-12,
        "delta": 0.02,
        "severity": "major" if psi >= 0.25 else "moderate" if psi >= 0.1 else "none",
        "wasserstein": 0.0 if texts else psi,
        "missing": 0.013,
        "unseen": 0.002 if texts else 0.0,
        "outside": 0.0 if texts else psi / 10,
        "flagged": psi >= 0.25,
        "bins": bins,
        "reference": [int(n) for n in reference],
        "window": [int(n) for n in window],
        "rows": [given.prediction_id(n) for n in range(3)] if psi >= 0.25 else [],
    }
    return FeatureDrift(feature=name, **(plain | more))


def day(number: int, loss: float = 0.5, labelled: float = 0.96, **more: Any) -> DayPerformance:
    """Return what is known of a day, so many before the end, of which a share is labelled."""
    random, rows = np.random.default_rng(number), 900 + 37 * (number % 7)
    known, loss = int(rows * labelled), loss + 0.02 * float(np.sin(number))
    tenths = [CalibrationBin(known // 10, t / 10 + 0.05, t / 11 + 0.04) for t in range(10)]
    carriers = {
        name: SlicePerformance(int(known / (n + 2)), loss + 0.03 * float(random.normal()))
        for n, name in enumerate(["UA", "EV", "AA", "B6"])
    }
    plain: dict[str, Any] = {
        "day": (END - timedelta(days=number)).date(),
        "version": CHAMPION if number < 25 else OLD,
        "captured": rows,
        "labelled": known,
        "loss": loss if known else None,
        "low": loss - 0.03 if known else None,
        "high": loss + 0.03 if known else None,
        "bounded": loss / 3 if known else None,
        "accuracy": 0.78 - (loss - 0.5) if known else None,
        "estimate": 0.79 + 0.01 * float(np.cos(number)),
        "calibration": tenths if known else [],
        "slices": {"carrier": carriers} if known else {},
        "evidence": [],
        "closed": number > 5,
    }
    return DayPerformance(**(plain | more))


def performance(days: list[DayPerformance], **more: Any) -> Performance:
    plain: dict[str, Any] = {
        "status": "steady",
        "expected": 0.151,
        "limit": 0.162,
        "evidence": 0.8,
        "threshold": 1000.0,
        "labels": {"joined": 5200, "waiting": 44, "late": 3, "duplicate": 12, "unknown id": 7},
        "delays": {"<= 1 h": 120, "<= 24 h": 3900, "<= 72 h": 1100, "> 72 h": 80},
    }
    return Performance(days=days, **(plain | more))


def trend(drifted: dict[str, float], first: date) -> list[TrendDay]:
    """Return the checks of two months, in which some features drift from a day on."""
    found = []
    for number in range(59, 0, -1):
        end = END - timedelta(days=number)
        base = dict.fromkeys(NAMES, 0.01 + 0.05 * (number * 7 % 11 == 0))
        moved = {name: psi * 0.8 for name, psi in drifted.items() if end.date() >= first}
        psi = {} if number in {40, 41} else base | moved
        status: Any = "insufficient data" if not psi else "drifted" if moved else "steady"
        alarms: Any = ["drift"] if moved and end.date() > first else []
        found.append(TrendDay(end, CHAMPION if number < 25 else OLD, status, psi, alarms))
    return found


def healthy(**more: Any) -> CheckReport:
    """Return a check that found nothing."""
    plain: dict[str, Any] = {
        "endpoint": given.NAME,
        "version": CHAMPION,
        "start": END - timedelta(days=7),
        "end": END,
        "rows": 6_312,
        "versions": {CHAMPION: 6_000, OLD: 312},
        "set_aside": {},
        "status": "steady",
        "features": [feature(name, 0.005 * n) for n, name in enumerate(NAMES)],
        "prediction": feature("prediction", 0.02),
        "multivariate": Multivariate(auc=0.51, p=0.4, limit=0.58, rows=2_000, flagged=False),
        "violations": [],
        "confirmed": [],
        "alarms": [],
        "performance": performance(
            [day(n, labelled=0.96 if n > 2 else 0.3 * n) for n in range(45, -1, -1)]
        ),
        "trend": trend({}, END.date()),
        "model_age_days": 24.7,
        "trained_days_ago": 1.2,
    }
    return CheckReport(**(plain | more))


def drifted() -> CheckReport:
    """Return a check with every kind of alarm."""
    since = datetime(2013, 3, 12, 5, tzinfo=UTC)
    moved = {"temp": 2.4, "dewp": 1.1}
    found = [feature(name, moved.get(name, 0.12 if name == "humid" else 0.01)) for name in NAMES]
    alarms = [
        alarm("drift", since, ["dewp", "temp", "prediction"]),
        alarm("schema", END, ["carrier"]),
        alarm("performance", datetime(2013, 3, 14, 5, tzinfo=UTC), []),
    ]
    days = [
        day(n, loss=0.5 if n > 8 else 0.75, labelled=min(0.96, 0.3 * n)) for n in range(45, -1, -1)
    ]
    tail = trend(moved, date(2013, 3, 11))
    worse = [
        msgspec.structs.replace(tail[n], alarms=["drift", "performance"]) for n in (-3, -2, -1)
    ]
    return healthy(
        status="drifted",
        features=found,
        prediction=feature("prediction", 0.4),
        multivariate=Multivariate(auc=0.81, p=0.0, limit=0.58, rows=2_000, flagged=True),
        violations=[violation("carrier", "unseen categories", 0.031, 0.001, flagged=True),
                    violation("temp", "outside the range", 0.004, 0.003)],
        confirmed=["all together", "dewp", "prediction", "temp"],
        alarms=alarms,
        set_aside={"not gzip": 2, "unknown version": 1_204},
        performance=performance(days, status="degraded", evidence=26_414.0),
        trend=[*tail[:-3], *worse],
    )  # fmt: skip


def alarm(kind: Any, since: datetime, about: list[str]) -> Alarm:
    return Alarm(kind=kind, since=since, about=about, raised=True, announced=since)


def violation(
    name: str, kind: Any, share: float, bound: float, *, flagged: bool = False
) -> Violation:
    p = 1e-9 if flagged else 0.3
    return Violation(feature=name, kind=kind, share=share, bound=bound, p=p, flagged=flagged)


def no_data() -> CheckReport:
    """Return the first check of an endpoint that nobody has asked anything."""
    return healthy(
        rows=0, versions={}, status="insufficient data", features=[], prediction=None,
        multivariate=None, performance=None, trend=[],
    )  # fmt: skip


def no_labels() -> CheckReport:
    """Return a check of an endpoint that gets requests and no labels."""
    days = [day(n, labelled=0.0) for n in range(45, -1, -1)]
    labels = performance(
        days, status="no labels", labels={"joined": 0}, delays={"<= 1 h": 0}, evidence=1.0
    )
    return healthy(performance=labels)


STATES = {"healthy": healthy, "drifted": drifted, "no data": no_data, "no labels": no_labels}
SECTIONS = [
    "Alarms", "How far each feature moved",
    "Distributions", "Drift by day", "Schema", "All features together",
    "Performance by day", "Calibration", "Performance by slice", "Labels",
    "Accuracy as the scores promise it", "Set aside", "Versions in the window",
]  # fmt: skip
