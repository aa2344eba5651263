"""What a check concludes from counts, rows and outcomes: a function of its arguments."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import numpy as np

from evergreen.contract.schema import Columns, columns_of
from evergreen.monitoring import drift, reference_profile, report
from evergreen.monitoring.domain_classifier import MIN_AUC, P, separation
from evergreen.monitoring.earlier_checks import alarm, trend
from evergreen.monitoring.hourly_counts import Hour
from evergreen.monitoring.report import TOGETHER, AlarmKind, CheckReport, FeatureDrift, Performance
from evergreen.registry.manifest import Manifest

EXAMPLES = 5  # ids shown of the rows that moved
DAY = timedelta(days=1)
PATIENCE = timedelta(days=7)  # after policy.label_days, until drift of features alone is an alarm


@dataclass(frozen=True)
class Window:
    """The time that a check is about, its hours as one, and the hour of its first prediction."""

    start: datetime
    end: datetime
    total: Hour
    first: datetime | None


def assess(
    manifest: Manifest,
    window: Window,
    reference: Columns,
    performance: Performance,
    *,
    last_trained: datetime,
    repeat: timedelta,
    before: CheckReport | None,
) -> CheckReport:
    """Conclude from the predictions of a window, and from what became of them.

    reference: rows of the training data. last_trained: the time of the newest version. repeat:
    after which an alarm that goes on is announced again. before: the check before this one.
    """
    total, end = window.total, window.end
    fields = list(manifest.schema["properties"])
    rows = (dict(zip(fields, msgspec.json.decode(row.values), strict=True)) for row in total.sample)
    sample = columns_of(manifest.schema, list(rows))
    counts = {name: np.array(each, dtype=np.float64) for name, each in total.counts.items()}
    known = before.began if before and before.rows else None  # after silence it begins anew
    began = min((at for at in (window.first, known) if at), default=None)
    full = began is not None and began <= window.start + DAY
    features = drift.compare(manifest.reference, counts) if full and counts else None
    moved = any(feature.flagged for feature in features or ())
    misfits = total.set_aside.get("wrong schema", 0)
    found = CheckReport(
        endpoint=manifest.endpoint,
        version=manifest.version,
        start=window.start,
        end=end,
        rows=total.rows,
        versions=total.versions,
        set_aside=total.set_aside,
        status="insufficient data" if features is None else "steady",
        features=[_told(feature, manifest, total, sample) for feature in features or ()],
        prediction=None if features is None else _prediction(manifest, total),
        multivariate=None if features is None or moved else _together(manifest, sample, reference),
        violations=drift.violations(manifest.reference, counts, misfits),
        confirmed=[],
        alarms=[],
        performance=performance,
        trend=trend(before),
        began=began,
        model_age_days=(end - manifest.created) / DAY,
        trained_days_ago=(end - last_trained) / DAY,
    )
    return _with_alarms(found, performance, before, repeat)


def _with_alarms(
    found: CheckReport, performance: Performance, before: CheckReport | None, repeat: timedelta
) -> CheckReport:
    """Confirm what the check before found of the same champion, and raise alarms."""
    same = before if before and before.version == found.version else None
    recent = same if same and same.end >= found.start else None
    confirmed = _confirmed(found, recent) if recent else []
    # Where labels have stayed away, features are all there is to judge by.
    began = (found.began or found.end).date()
    last = max((day.day for day in performance.days if day.labelled), default=began)
    unlabelled = found.end.date() - last > timedelta(days=performance.label_days) + PATIENCE
    matters = "prediction" in confirmed or found.prediction is None or unlabelled
    worse = performance.about or [performance.bounded_metric]
    about: dict[AlarmKind, list[str]] = {
        "drift": confirmed if matters else [],
        "schema": sorted(found.violated),
        "performance": worse if performance.status == "degraded" else [],
    }
    found_alarms = (
        alarm(*each, end=found.end, before=recent, repeat=repeat) for each in about.items()
    )
    status = "drifted" if confirmed else found.status
    alarms = list(filter(None, found_alarms))
    return msgspec.structs.replace(found, status=status, confirmed=confirmed, alarms=alarms)


def _confirmed(found: CheckReport, recent: CheckReport) -> list[str]:
    """Return what two checks flagged: the same, or the classifier of one and anything of the other.

    For a classifier is asked only where no feature is flagged, and would have found those too.
    """
    now, then = found.flagged, recent.flagged
    same = sorted(now & then)
    return same or ([TOGETHER] if now and then and TOGETHER in now | then else [])


def _prediction(manifest: Manifest, total: Hour) -> FeatureDrift | None:
    """Compare the scores with those on the holdout, which the model had not seen either."""
    expected = manifest.expected.scores if manifest.expected else None
    if expected is None or not total.scores:
        return None
    scores = np.array(total.scores, dtype=np.float64)
    found = drift.compare({"prediction": expected}, {"prediction": scores})
    return found[0] if found else None


def _together(
    manifest: Manifest, sample: Columns, reference: Columns
) -> report.Multivariate | None:
    """Ask a classifier; what it may find is what it found between holdout and fitted rows."""
    found = separation(reference, sample) if reference else None
    if found is None:
        return None
    auc, p = found.auc, found.p
    limit = max(MIN_AUC, manifest.expected.auc if manifest.expected else 0.0)
    flagged = p < P and auc >= limit
    return report.Multivariate(auc=auc, p=p, limit=limit, rows=found.rows, flagged=flagged)


def _told(feature: FeatureDrift, manifest: Manifest, total: Hour, sample: Columns) -> FeatureDrift:
    """Say how much scores hang on a feature, and name predictions in the bin that grew the most."""
    known = manifest.expected.influence if manifest.expected else {}
    feature = msgspec.structs.replace(feature, influence=known.get(feature.feature))
    if feature.severity == "none" or not feature.bins:
        return feature
    now, was = (np.array(rows) / max(sum(rows), 1) for rows in (feature.window, feature.reference))
    profile, values = manifest.reference[feature.feature], sample[feature.feature]
    there = reference_profile.pooled_places(profile, values) == np.argmax(now - was)
    ids = [row.id for row, inside in zip(total.sample, there, strict=True) if inside]
    return msgspec.structs.replace(feature, rows=ids[:EXAMPLES])
