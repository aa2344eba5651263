"""What one check of an endpoint found, as it is written to drift/{endpoint}/{time}.json.

A check carries what the one before it knew: the days of performance that can no longer change, the
trend, and the alarms that go on. So the newest report tells the whole story, and nothing else has
to be read to show it.
"""

from datetime import date, datetime
from typing import Any, Literal

import msgspec

from evergreen.contract.problem import Answer
from evergreen.registry.recalibration import Tally

Status = Literal["insufficient data", "steady", "drifted"]
Severity = Literal["none", "moderate", "major"]
Outcome = Literal["no labels", "steady", "degraded"]
ViolationKind = Literal["missing values", "unseen categories", "outside the range", "wrong schema"]
AlarmKind = Literal["drift", "schema", "performance"]
Outcomes = list[tuple[Answer, float]]  # labels, and the number of rows with each

MODERATE, MAJOR = 0.1, 0.25  # corrected PSI, nats
MIN_ROWS = 200  # of a window; below, the answer is "insufficient data"


def severity(psi: float) -> Severity:
    """Return what a corrected PSI is called."""
    return "major" if psi >= MAJOR else "moderate" if psi >= MODERATE else "none"


TOGETHER = "all together"  # what is flagged where no feature is, and yet they go together otherwise


class FeatureDrift(msgspec.Struct, frozen=True, kw_only=True):
    """How one feature of a window compares with the reference.

    p: chance of such a divergence if the true one were `delta`. psi: corrected for its bias, in
        nats. wasserstein: of numbers, in standard deviations of the reference; 0 for text.
    missing, unseen, outside: shares of the window's rows without a value, with a category that the
        reference does not have, beyond what its weeks bring of such, and with a number beyond its
        smallest and largest.
    flagged: significant among all features, and major.
    bins: what each bin holds, for people, none of a sensitive field; reference, window: rows per
        bin, the same bins.
    rows: ids of predictions in the bin that grew the most, as examples.
    influence: how far scores move on average where the feature is shuffled; None if not measured.
    """

    feature: str
    p: float
    psi: float
    delta: float
    severity: Severity
    wasserstein: float
    missing: float
    unseen: float
    outside: float
    flagged: bool
    bins: list[str]
    reference: list[int]
    window: list[int]
    rows: list[str] = []
    influence: float | None = None


class Multivariate(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a classifier can tell rows of the window from rows of the reference.

    auc: of the better of two classifiers on rows that it has not seen; 0.5 is chance. limit: what
    it may be without being drift, as the reference's own weeks differ too. p: Mann-Whitney.
    """

    auc: float
    p: float
    limit: float
    rows: int
    flagged: bool


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A share of rows that the reference never had; `bound` is the most that it may have had.

    feature: "" where the row as a whole does not fit the schema.
    p: chance of so many rows if the true share were the bound (exact binomial).
    """

    feature: str
    kind: ViolationKind
    share: float
    bound: float
    p: float
    flagged: bool


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm that goes on.

    since: the end of the first window that showed it. about: the features it is for. raised:
    whether this check announced it on the bus; announced: the end of the window when that was last.
    """

    kind: AlarmKind
    since: datetime
    about: list[str]
    raised: bool
    announced: datetime


class SlicePerformance(msgspec.Struct, frozen=True):
    """The labelled predictions of a day with one value of a field; loss is their mean metric."""

    rows: int
    loss: float


class CalibrationBin(msgspec.Struct, frozen=True):
    """Labelled predictions with scores in one tenth: their number, mean score, and share of true.

    Of multiclass, true is an answer that was right.
    """

    rows: int
    score: float
    positive: float


class DayPerformance(msgspec.Struct, frozen=True, kw_only=True):
    """The predictions that one version made on one UTC day.

    loss, low, high: mean of the metric and its 95 % interval; None without labels. bounded: mean
    bounded loss. accuracy: None of a regression, as is estimate: accuracy as the scores themselves
    promise it, from all predictions, labelled or not.
    evidence: what the day adds to the e-CUSUM of each bet (see evergreen.monitoring.ecusum.rows).
    closed: the labels of this day have all had their time; it will not be computed again.
    outcomes: of a regression, of some quantiles. tally: of a binary problem. Old days have neither.
    constant: the loss of the best constant of the four weeks that were known on that day. raw: that
        of the scores before recalibration; line, mixed: that of the line of four weeks, and of the
        mixture that a recalibration would have served. None where it is not known.
    bets: what a closed day adds to each of `Performance.watches`.
    """

    day: date
    version: str
    captured: int
    labelled: int
    loss: float | None
    low: float | None
    high: float | None
    bounded: float | None = msgspec.field(name="brier")  # as binary problems had it at first
    accuracy: float | None
    estimate: float | None
    calibration: list[CalibrationBin]
    slices: dict[str, dict[str, SlicePerformance]]
    evidence: list[tuple[float, float]]
    closed: bool
    outcomes: Outcomes = []
    tally: Tally | None = None
    constant: float | None = None
    raw: float | None = None
    line: float | None = None
    mixed: float | None = None
    bets: list[float | None] = []


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """An e-CUSUM over days, its evidence, and whether it is on: from `threshold` on, down to 1."""

    about: str
    evidence: float
    threshold: float
    on: bool


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the predictions, as far as labels tell.

    metric: the loss of the days; bounded_metric: that of the alarm (see contract.problem).
    expected, limit: the bounded loss of the champion on its holdout, and the end of its interval
        above which it is degraded; None where the manifest has none. evidence: e-value against "no
        worse than the limit"; `threshold` raises the alarm.
    days: oldest first, one entry per day and version. labels: counts of the labels of open days,
        by what became of them. delays: labels by the hours from prediction to label ("<= 24").
    watches: the e-CUSUMs over days. about: of what the alarm tells, if it is on.
    promised, constant: the loss of the champion on its holdout, and of a constant there.
    line: intercept and slope of the champion's scores on the logit scale by now; 0 and 1 are right.
    label_days: how long labels may take.
    """

    status: Outcome
    expected: float | None
    limit: float | None
    evidence: float
    threshold: float
    days: list[DayPerformance]
    labels: dict[str, int]
    delays: dict[str, int]
    metric: str = "log-loss"
    bounded_metric: str = "Brier score"
    watches: list[Watch] = []
    about: list[str] = []
    promised: float | None = None
    constant: float | None = None
    line: tuple[float, float] | None = None
    label_days: int = 7

    @property
    def last_closed(self) -> DayPerformance | None:
        """Return the last closed day, if any day has labels: an endpoint may never get any."""
        known = any(day.labelled for day in self.days)
        return next((day for day in reversed(self.days) if known and day.closed), None)


class TrendDay(msgspec.Struct, frozen=True):
    """What an earlier check found, in short; psi by feature."""

    end: datetime
    version: str
    status: Status
    psi: dict[str, float]
    alarms: list[AlarmKind]


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """One check of one endpoint.

    start, end: the window of predictions. rows: distinct ones in it that the champion's schema can
        read; versions: by the version that made them. set_aside: records that were not counted, by
        the reason why.
    confirmed: features (and "prediction", "all together") that this check and the one before it
        flagged, against the same champion. multivariate: None where rows are too few to compare,
        or a feature is flagged.
    began: the hour of the first prediction that any check has seen; a window that began before is
        not full, and not compared: a weekend is unlike a week, and has not drifted.
    recorded: the share of keys whose predictions are recorded, by the parameter CaptureShare.
    model_age_days: since the champion was trained; trained_days_ago: since the last version was.
    """

    endpoint: str
    version: str
    start: datetime
    end: datetime
    rows: int
    versions: dict[str, int]
    set_aside: dict[str, int]
    status: Status
    features: list[FeatureDrift]
    prediction: FeatureDrift | None
    multivariate: Multivariate | None
    violations: list[Violation]
    confirmed: list[str]
    alarms: list[Alarm]
    performance: Performance | None
    trend: list[TrendDay]
    model_age_days: float
    trained_days_ago: float
    began: datetime | None = None
    recorded: float = 1.0

    @property
    def compared(self) -> list[FeatureDrift]:
        """Return the features, and the prediction last."""
        return [*self.features, *([self.prediction] if self.prediction else [])]

    @property
    def flagged(self) -> set[str]:
        """Return what this check flagged as drift."""
        together = {TOGETHER} if self.multivariate and self.multivariate.flagged else set()
        return {each.feature for each in self.compared if each.flagged} | together

    @property
    def violated(self) -> set[str]:
        """Return the features in which this check found the schema violated."""
        return {v.feature or v.kind for v in self.violations if v.flagged}

    def raised(self, kind: AlarmKind) -> bool:
        """Say whether this check announced an alarm of a kind."""
        return any(alarm.kind == kind and alarm.raised for alarm in self.alarms)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a report."""
    return msgspec.json.schema(CheckReport)
