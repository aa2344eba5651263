"""What CloudWatch makes of an alarm's data, by its documentation; no emulator evaluates alarms so.

Source: "Configuring how CloudWatch alarms treat missing data", and "Evaluating an alarm", in the
user guide of Amazon CloudWatch, as of 2025.
"""

import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any

EXTRA = 3  # data points that it looks further back for than it needs; it does not say how many
OPERATORS = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
}

Points = Sequence[float | None]  # one for each period, None where nothing was written


def states(alarm: Mapping[str, Any], points: Points) -> list[str]:
    """Return the state of an alarm after each of the periods, which began with OK."""
    found = ["OK"]
    for end in range(1, len(points) + 1):
        found.append(_state(alarm, points[:end], found[-1]))
    return found[1:]


def _state(alarm: Mapping[str, Any], points: Points, before: str) -> str:
    needed = alarm["EvaluationPeriods"]
    written = [p for p in points[-(needed + EXTRA) :] if p is not None]
    treated, missing = alarm["TreatMissingData"], max(0, needed - len(written))
    if not written and treated == "ignore":
        return before
    breaches = OPERATORS[alarm["ComparisonOperator"]]
    breaching = sum(breaches(p, float(alarm["Threshold"])) for p in written[-needed:])
    if treated == "breaching":
        breaching += missing
    return "ALARM" if breaching >= alarm.get("DatapointsToAlarm", needed) else "OK"


def expressed(alarm: Mapping[str, Any], metrics: Mapping[str, float | None]) -> float | None:
    """Return what an alarm's expression makes of its metrics, by their ids, in one period.

    Raises ValueError for an expression of another kind than the template's.
    """
    (text,) = (each["Expression"] for each in alarm["Metrics"] if "Expression" in each)
    if found := re.fullmatch(r"(SUM|MAX)\(FILL\(METRICS\(\), 0\)\)", text):
        filled = [value or 0 for value in metrics.values()]
        if all(value is None for value in metrics.values()):
            return None  # FILL fills the gaps of a metric that was written at all
        return float(sum(filled) if found[1] == "SUM" else max(filled))
    if found := re.fullmatch(r"100 \* (\w+) / (\w+)", text):
        part, whole = metrics[found[1]], metrics[found[2]]
        return None if part is None or not whole else 100 * part / whole
    raise ValueError(f"{text} is not evaluated here")
