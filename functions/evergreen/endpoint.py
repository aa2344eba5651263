"""The contract of a file in endpoints/: what a data scientist writes, and nothing else.

A file `endpoints/flight_delay.py` defines one object named `endpoint`; its name in the API is
`flight-delay`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from evergreen.errors import EndpointFileError
from evergreen.schema import schema_of

SCHEDULES = ("daily", "weekly", "monthly", "never")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """When to retrain, and what a candidate must show to be promoted.

    schedule: `monthly` retrains on the 1st, `weekly` on Mondays, by UTC date.
    holdout_days: the newest days of data, which no candidate fits and all are compared on.
    windows_days: how much history the candidates fit; each pipeline is fitted on each window, and
        None is everything.
    margin: how much worse in the metric (nats for log-loss) the lower 95 % bound of the improvement
        over the champion may be.
    min_rows: fewer rows than this to fit, or a tenth of it per class, are too few to train on.
    drift_window_days: how much traffic a drift check compares with the training data.
    cooldown_days: a drift does not retrain sooner than this after the last training; an alarm that
        goes on is announced again after as long.
    label_days: how long after the end of its day a prediction's label may come and still count in
        the performance of that day. Shorter finds a bad model sooner; too short forgets labels.
    """

    schedule: Literal["daily", "weekly", "monthly", "never"] = "monthly"
    holdout_days: int = 7
    windows_days: tuple[int | None, ...] = (None, 60)
    margin: float = 0.005
    min_rows: int = 1_000
    drift_window_days: int = 7
    cooldown_days: int = 7
    label_days: int = 7

    @property
    def history(self) -> timedelta | None:
        """Return how far back a training reads, or None for everything.

        >>> Policy(windows_days=(180, 60), holdout_days=7).history.days
        194
        """
        longest = max((math.inf if days is None else days) for days in self.windows_days)
        # Labels come late, so the holdout may end days before the training.
        return None if longest == math.inf else timedelta(days=longest + 2 * self.holdout_days)

    def is_due(self, slot: datetime) -> bool:
        """Say whether the daily tick at `slot` (UTC) is one that retrains.

        >>> Policy(schedule="monthly").is_due(datetime(2013, 3, 1, 6, tzinfo=UTC))
        True
        """
        day = slot.astimezone(UTC)
        return {
            "daily": True,
            "weekly": day.weekday() == 0,
            "monthly": day.day == 1,
            "never": False,
        }[self.schedule]


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One prediction problem.

    row: the request row; a field's type, range and description become the schema that callers see.
    examples: turns a table of the user's training data (a pandas DataFrame) into one with a column
        per field of `row`, a boolean column `label` and a column `time` (UTC): when the prediction
        would have been asked for.
    candidates: given a seed, returns the unfitted scikit-learn pipelines by name. They get a
        DataFrame with the fields of `row`: numbers as float32 with NaN where missing, text with ""
        where missing.
    target: what `label` says, for people.
    slices: fields of `row` by whose values performance is shown separately.
    """

    row: type[msgspec.Struct]
    examples: Callable[[Any], Any]
    candidates: Callable[[int], Mapping[str, Any]]
    target: str
    policy: Policy = Policy()
    slices: tuple[str, ...] = ()


def check_endpoint(name: str, endpoint: object) -> None:
    """Raise EndpointFileError for the first way in which an endpoint breaks the contract."""
    if not isinstance(endpoint, Endpoint):
        raise EndpointFileError(name, "define `endpoint = Endpoint(...)` at the top level")
    if not (isinstance(endpoint.row, type) and issubclass(endpoint.row, msgspec.Struct)):
        raise EndpointFileError(name, "`row` must be a subclass of msgspec.Struct")
    if not endpoint.row.__struct_config__.forbid_unknown_fields:
        raise EndpointFileError(
            name, "`row` needs forbid_unknown_fields=True, or typos pass unseen"
        )
    if not endpoint.target:
        raise EndpointFileError(name, "`target` must say what is predicted")
    schema = schema_of(name, endpoint.row)
    for field, spec in schema["properties"].items():
        if not any(part.get("description") for part in (spec, *spec.get("anyOf", ()))):
            raise EndpointFileError(name, f"field `{field}` has no description")
        if field in ("label", "time"):
            raise EndpointFileError(name, f"field `{field}` has a name that `examples` needs")
    if isinstance(endpoint.slices, str):
        raise EndpointFileError(name, f'slices is a text: write ("{endpoint.slices}",)')
    if unknown := [field for field in endpoint.slices if field not in schema["properties"]]:
        fields = ", ".join(schema["properties"])
        raise EndpointFileError(
            name, f"slices: {unknown[0]!r} is not a field of `row`, which has {fields}"
        )
    _check_policy(name, endpoint.policy)
    candidates = endpoint.candidates(0)
    if not candidates:
        raise EndpointFileError(name, "`candidates` returned no pipeline")
    for candidate, pipeline in candidates.items():
        if not (hasattr(pipeline, "fit") and hasattr(pipeline, "predict_proba")):
            raise EndpointFileError(
                name, f"candidate {candidate!r} must have fit and predict_proba (a classifier)"
            )


def _check_policy(name: str, policy: Policy) -> None:
    if policy.schedule not in SCHEDULES:
        raise EndpointFileError(name, f"schedule {policy.schedule!r} is none of {SCHEDULES}")
    for field in ("holdout_days", "min_rows", "drift_window_days", "cooldown_days", "label_days"):
        if getattr(policy, field) < 1:
            raise EndpointFileError(name, f"policy.{field} must be at least 1")
    if not policy.windows_days or any(d is not None and d < 1 for d in policy.windows_days):
        raise EndpointFileError(
            name, "policy.windows_days needs windows of at least 1 day, or None"
        )
    if policy.margin < 0:
        raise EndpointFileError(name, "policy.margin must not be negative")
