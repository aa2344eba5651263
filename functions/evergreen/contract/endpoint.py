"""The contract of a file in endpoints/: what a data scientist writes, and nothing else.

A file `endpoints/flight_delay.py` defines one object named `endpoint`; its name in the API is
`flight-delay`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from evergreen.contract.files import PLAIN, Files
from evergreen.contract.problem import Kind
from evergreen.contract.rule import Rule

RULES = (  # fields of a policy that decisions on versions are made by
    "promotion", "margin", "alpha", "shadow_days", "max_shadow_days", "canary", "canary_days",
    "canary_rows", "watch_days", "watch_min_days", "label_days", "max_latency_ms", "recalibrate",
)  # fmt: skip
Whole = Annotated[int, Meta(ge=1)]
Least = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(gt=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """When to retrain, and what a candidate must show to be promoted.

    Days and counts are at least 1, shares and margins at least 0, unless a line says otherwise.

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
    max_duplicates: the share of rows, equal in label and time too, beyond which a file was uploaded
        twice; max_label_shift: how far (PSI, nats) the labels since the champion's may be from its.
    slice_margin: as `margin`, for each value of a field of `slices`; None is four times `margin`.
    max_calibration_error: how far scores may be from shares, unless the champion's are too.
    max_artifact_mb: the size of all files of a version.
    candidate_seconds: how long a fit of a candidate may take; more is left out.
    search_seconds: how long a training may look for the parameters in `search`; 0 does not.
    new_labels: as many new labels as this share of what the last training learnt from, and at least
        a thousand, ask for a training; None never does.
    promotion: `superior` promotes a challenger that is better beyond chance, `not worse` one that
        is not worse by more than `margin`, `expected regret` one by which little of `margin`, which
        must be above 0, is expected to be lost. alpha: the chance of promoting wrongly in the
        first two, however often it is looked at; between 0 and 0.5.
    shadow_days: labelled days that a comparison needs at least, and max_shadow_days, after which it
        is inconclusive; not fewer than shadow_days.
    canary: the shares of the requests that a challenger gets in turn, rising between 0 and 1, each
        for canary_days and at least canary_rows rows; these two may be 0.
    watch_days: how long the previous champion is compared with a new one, and may come back, by
        the comparison of watch_min_days or more.
    max_latency_ms: the time in which a candidate must score a row, and that a canary may exceed in
        1 % of its rows.
    recalibrate: whether, from level 3 on, scores are answered as what outcomes have shown them to
        mean by now; of binary problems.
    capture_batch: whether predictions of batches are recorded as those of requests are.

    A value out of its range is no error here: `check_endpoint` raises EndpointFileError for it.

    >>> Policy(schedule="weekly", windows_days=(None, 90), canary=(0.1, 0.5)).holdout_days
    7
    """

    schedule: Literal["daily", "weekly", "monthly", "never"] = "monthly"
    holdout_days: Whole = 7
    windows_days: Annotated[tuple[Whole | None, ...], Meta(min_length=1)] = (None, 60)
    margin: Least = 0.01
    min_rows: Whole = 1_000
    drift_window_days: Whole = 7
    cooldown_days: Whole = 7
    label_days: Whole = 7
    max_duplicates: Least = 0.2
    max_label_shift: Least = 1.0
    slice_margin: Least | None = None
    max_calibration_error: Least = 0.1
    max_artifact_mb: Least = 100.0
    candidate_seconds: Annotated[float, Meta(ge=1)] = 120.0
    search_seconds: Least = 0.0
    new_labels: Least | None = 0.2
    promotion: Literal["superior", "not worse", "expected regret"] = "not worse"
    alpha: Annotated[float, Meta(gt=0, lt=0.5)] = 0.05
    shadow_days: Whole = 10
    max_shadow_days: Whole = 21
    canary: Annotated[tuple[Share, ...], Meta(min_length=1)] = (0.05, 0.25, 0.5)
    canary_days: Least = 1.0
    canary_rows: Annotated[int, Meta(ge=0)] = 50
    watch_days: Whole = 14
    watch_min_days: Whole = 5
    max_latency_ms: Whole = 500
    recalibrate: bool = True
    capture_batch: bool = False

    @property
    def history(self) -> timedelta | None:
        """Return how far back a training reads, or None for everything.

        >>> Policy(windows_days=(180, 60), holdout_days=7).history.days
        194
        """
        longest = max((math.inf if days is None else days) for days in self.windows_days)
        # Labels come late, so the holdout may end days before the training.
        return None if longest == math.inf else timedelta(days=longest + 2 * self.holdout_days)

    @property
    def rules(self) -> dict[str, Any]:
        """Return the part that decisions on versions are made by, as it stands in a decision."""
        return {name: getattr(self, name) for name in RULES}

    def is_due(self, slot: datetime) -> bool:
        """Say whether the daily tick at `slot` (UTC) is one that retrains.

        >>> Policy(schedule="monthly").is_due(datetime(2013, 3, 1, 6, tzinfo=UTC))
        True
        """
        day = slot.astimezone(UTC)
        due = {"daily": True, "weekly": day.weekday() == 0, "monthly": day.day == 1}
        return due.get(self.schedule, False)  # `never`


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One prediction problem.

    row: the request row; a field's type, range and description become the schema that callers see.
    examples: turns a table of the user's training data (a pandas DataFrame) into one with a column
        per field of `row`, a column `label` and a column `time` (UTC): when the prediction would
        have been asked for.
    problem: what a label is: true or false (`binary`), one of three texts or more (`multiclass`),
        or a number (`regression`).
    candidates: given a seed, returns the unfitted scikit-learn pipelines by name. They get a
        DataFrame with the fields of `row`: numbers as float32 with NaN where missing, text with ""
        where missing.
    target: what `label` says, for people.
    slices: fields of `row` by whose values performance is shown, and candidates are compared,
        separately.
    fairness: fields of `row` between whose values a version's card compares rates.
    rule: what answers when no model can be loaded; None is the constant, `Rule()`.
    search: for candidates by name, the values that parameters may have, by their names in
        `pipeline.get_params()`; see policy.search_seconds.
    files: how training files are written, and which types their columns have; see `Files`.

    sensitive: why a field says something about a person, by its name; its values stay out of logs,
        pages and examples, and out of what a version keeps (docs/personal-data.md).

    What breaks the contract is no error here: `check_endpoint` raises EndpointFileError for it.

    >>> from typing import Annotated
    >>> from evergreen import Endpoint, Policy
    >>> from msgspec import Meta
    >>> from sklearn.linear_model import LogisticRegression
    >>> class Loan(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    ...     euros: Annotated[float, Meta(ge=0, le=1e6, description="what is asked for")]
    >>> endpoint = Endpoint(
    ...     row=Loan,
    ...     target="is paid back",
    ...     examples=lambda table: table.rename(columns={"paid": "label", "asked": "time"}),
    ...     candidates=lambda seed: {"logistic": LogisticRegression(random_state=seed)},
    ...     policy=Policy(label_days=90),
    ... )
    >>> from evergreen.contract.endpoint_checks import check_endpoint
    >>> check_endpoint("loan", endpoint)
    """

    row: type[msgspec.Struct]
    examples: Callable[[Any], Any]
    candidates: Callable[[int], Mapping[str, Any]]
    target: str
    problem: Kind = "binary"
    policy: Policy = Policy()
    slices: tuple[str, ...] = ()
    rule: Rule | None = None
    fairness: tuple[str, ...] = ()
    search: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)
    files: Files = PLAIN
    sensitive: Mapping[str, str] = field(default_factory=dict)
