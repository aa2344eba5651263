"""What a check concludes from counts, rows and outcomes."""

from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

from evergreen.captures.examples import from_table
from evergreen.contract.schema import Columns, JsonSchema, columns_of
from evergreen.monitoring import reference_profile
from evergreen.monitoring.assessment import EXAMPLES, Window, assess
from evergreen.monitoring.domain_classifier import Separation
from evergreen.monitoring.hourly_counts import Hour, Sampled, _counted
from evergreen.monitoring.report import CheckReport, Performance
from evergreen.registry.manifest import Expected, Manifest
from evergreen.training.train_version import Trained
from tests.support import checks, given
from tests.support.given import NOW

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
ROWS = 2_000
STEADY = checks.performance([])
AWAY = checks.performance([checks.day(0, labelled=0.0)], label_days=-8)  # labels have stayed away


@pytest.fixture(scope="module")
def manifest(trained: Trained) -> Manifest:
    """Return a version whose profiles are of a table that is large enough to compare with."""
    manifest = trained.manifest
    examples = given.quick().examples(given.table(6_000))
    found = from_table(manifest.schema, examples)
    return msgspec.structs.replace(
        manifest, reference=reference_profile.profile(found, manifest.schema)
    )


def columns(schema: JsonSchema, rows: int = ROWS, **changes: Any) -> Columns:
    table = given.table(rows, seed=8).assign(**changes)
    return columns_of(schema, given.features(table))


def hour(manifest: Manifest, rows: int = ROWS, scores: Any = None, **changes: Any) -> Hour:
    """Return a window of traffic like the training data, but for the changes."""
    expected = manifest.expected
    assert expected is not None
    assert expected.scores is not None
    table = given.table(rows, seed=8).assign(**changes)
    found = columns_of(manifest.schema, given.features(table))
    middle = np.resize(manifest_scores(manifest), rows) if scores is None else scores
    return Hour(
        rows=rows,
        versions={manifest.version: rows},
        counts={name: _counted(each, found[name]) for name, each in manifest.reference.items()},
        scores=_counted(expected.scores, middle),
        sample=[
            Sampled(n, given.prediction_id(n), msgspec.Raw(msgspec.json.encode([*row.values()])))
            for n, row in enumerate(given.features(table)[:1_000])
        ],
    )


def manifest_scores(manifest: Manifest) -> Any:
    """Return scores that fall into the bins as those of the holdout did."""
    assert manifest.expected is not None
    profile = manifest.expected.scores
    assert profile is not None
    return np.repeat(np.array(profile.edges), profile.counts[: len(profile.edges or ())])


def conclude(
    manifest: Manifest,
    total: Hour,
    before: CheckReport | None = None,
    *,
    day: int = 0,
    reference: Columns | None = None,
    performance: Performance = STEADY,
    full: bool = True,
) -> CheckReport:
    end = NOW + day * DAY
    return assess(
        manifest,
        Window(end - WEEK, end, total, first=end - WEEK if full else end - DAY),
        reference or {},
        performance,
        last_trained=NOW - 3 * DAY,
        repeat=WEEK,
        before=before,
    )


def kinds(found: CheckReport) -> list[str]:
    return [alarm.kind for alarm in found.alarms]


def test_traffic_like_the_training_data_is_steady(manifest: Manifest) -> None:
    found = conclude(manifest, hour(manifest))

    assert (found.status, found.confirmed, found.alarms) == ("steady", [], [])
    assert [feature.feature for feature in found.features] == list(manifest.reference)
    assert found.prediction is not None
    assert not found.flagged
    assert found.trained_days_ago == 3
    assert found.model_age_days == (NOW - manifest.created) / DAY


def test_drift_takes_two_windows_in_a_row(manifest: Manifest) -> None:
    hot = hour(manifest, temp=100.0)

    first = conclude(manifest, hot, performance=AWAY)
    second = conclude(manifest, hot, first, day=1, performance=AWAY)

    assert (first.status, first.flagged, first.alarms) == ("steady", {"temp"}, [])
    assert (second.status, second.confirmed) == ("drifted", ["temp"])
    (alarm,) = second.alarms
    assert (alarm.kind, alarm.about, alarm.since) == ("drift", ["temp"], NOW + DAY)
    assert second.raised("drift")


@pytest.mark.parametrize("between", ["steady", "another feature", "too few", "another champion",
                                     "long ago"])  # fmt: skip
def test_windows_that_do_not_agree_are_no_drift(manifest: Manifest, between: str) -> None:
    hot = hour(manifest, temp=100.0)
    before = conclude(manifest, hot)
    day = 1
    if between == "another champion":
        before = msgspec.structs.replace(before, version=given.version(28))
    elif between == "long ago":
        day = 8
    else:
        calm = {
            "steady": hour(manifest),
            "another feature": hour(manifest, pressure=900.0),
            "too few": hour(manifest, 100, temp=100.0),
        }[between]
        before = conclude(manifest, calm, before, day=1)
        day = 2

    found = conclude(manifest, hot, before, day=day)

    assert (found.status, found.alarms, found.flagged) == ("steady", [], {"temp"})


def test_weekly_checks_whose_windows_touch_are_in_a_row(manifest: Manifest) -> None:
    hot = hour(manifest, temp=100.0)

    assert conclude(manifest, hot, conclude(manifest, hot), day=7).confirmed == ["temp"]


def test_few_rows_are_insufficient_data_however_odd_they_are(manifest: Manifest) -> None:
    found = conclude(manifest, hour(manifest, 199, temp=100.0, carrier="ZZ"))

    assert (found.status, found.features, found.violations) == ("insufficient data", [], [])
    assert (found.prediction, found.multivariate) == (None, None)


def test_nothing_at_all_is_insufficient_data(manifest: Manifest) -> None:
    found = conclude(manifest, Hour())

    assert (found.status, found.rows, found.alarms) == ("insufficient data", 0, [])


def test_a_window_that_began_when_traffic_did_is_not_compared_but_held_to_the_schema(
    manifest: Manifest,
) -> None:
    found = conclude(manifest, hour(manifest, carrier="ZZ"), full=False)

    assert found.status == "insufficient data"
    assert kinds(found) == ["schema"]


def test_scores_that_moved_are_drift_of_the_prediction(manifest: Manifest) -> None:
    sure = hour(manifest, scores=np.full(ROWS, 0.999))

    second = conclude(manifest, sure, conclude(manifest, sure), day=1)

    assert second.confirmed == ["prediction"]
    assert second.prediction is not None
    assert second.prediction.feature == "prediction"
    assert second.raised("drift")


@pytest.mark.parametrize(
    ("last", "rings"), [(15, True), (14, False), (None, False)], ids=["away", "in time", "new"]
)
def test_drift_that_leaves_the_scores_where_they_were_is_an_alarm_where_labels_stay_away(
    manifest: Manifest, last: int | None, rings: bool
) -> None:
    hot, days = hour(manifest, temp=100.0), [checks.day(0, labelled=0.0)]
    if last is not None:
        told = (NOW + DAY - last * DAY).date()
        days.append(msgspec.structs.replace(checks.day(9), day=told))
    known = checks.performance(days, label_days=7)

    first = conclude(manifest, hot)
    second = conclude(manifest, hot, first, day=1, performance=known)

    assert (second.status, second.confirmed) == ("drifted", ["temp"])
    assert second.raised("drift") == rings


def test_a_feature_has_the_influence_that_its_version_was_measured_to_have(
    manifest: Manifest,
) -> None:
    assert manifest.expected is not None
    assert set(manifest.expected.influence) == set(manifest.reference)
    assert max(manifest.expected.influence.values()) > 0

    found = conclude(manifest, hour(manifest))

    assert {each.feature: each.influence for each in found.features} == manifest.expected.influence


def test_a_version_without_expectations_is_checked_without_them(manifest: Manifest) -> None:
    old = msgspec.structs.replace(manifest, expected=None)

    found = conclude(old, msgspec.structs.replace(hour(manifest), scores=[]))

    assert (found.status, found.prediction) == ("steady", None)


# The schema


def test_an_unseen_category_violates_the_schema_at_once(manifest: Manifest) -> None:
    carrier = np.where(np.arange(ROWS) % 10 == 0, "ZZ", "UA")

    found = conclude(manifest, hour(manifest, carrier=carrier))

    assert found.violated == {"carrier"}
    (alarm,) = found.alarms
    assert (alarm.kind, alarm.about, alarm.raised) == ("schema", ["carrier"], True)


def test_values_that_stopped_coming_violate_the_schema(manifest: Manifest) -> None:
    found = conclude(manifest, hour(manifest, temp=np.nan))

    assert found.violated == {"temp"}


def test_rows_that_the_champions_schema_cannot_read_violate_it_and_older_ones_do_not(
    manifest: Manifest,
) -> None:
    plain = hour(manifest)
    for reason, alarms in (("wrong schema", ["schema"]), ("older schema", []), ("unreadable", [])):
        odd = msgspec.structs.replace(plain, set_aside={reason: 300})
        found = conclude(manifest, odd)
        assert kinds(found) == alarms, reason
        assert found.set_aside == {reason: 300}


def test_numbers_outside_the_range_of_training_violate_nothing(manifest: Manifest) -> None:
    found = conclude(manifest, hour(manifest, temp=139.0))

    (outside,) = [v for v in found.violations if v.feature == "temp"]
    assert (outside.kind, outside.share) == ("outside the range", 1.0)
    assert (found.violated, kinds(found)) == (set(), [])


# Performance


def test_a_degraded_performance_raises_its_alarm_once_and_again_after_the_cooldown(
    manifest: Manifest,
) -> None:
    worse = checks.performance([], status="degraded")
    before, raised = None, []
    for day in range(16):
        before = conclude(manifest, hour(manifest, 50), before, day=day, performance=worse)
        raised += [day] if before.raised("performance") else []

    assert raised == [0, 7, 14]
    assert before is not None
    assert before.alarms[0].since == NOW


@pytest.mark.parametrize("status", ["no labels", "steady"])
def test_a_performance_that_is_not_degraded_raises_nothing(manifest: Manifest, status: str) -> None:
    found = conclude(manifest, Hour(), performance=checks.performance([], status=status))

    assert found.alarms == []


# All features together


def separated(auc: float, p: float) -> Any:
    return lambda *_: Separation(auc, p, ROWS)


@pytest.mark.parametrize(
    ("auc", "p", "expected", "flagged"),
    [(0.70, 1e-9, 0.6, True), (0.70, 1e-9, 0.8, False), (0.56, 1e-9, 0.5, True),
     (0.54, 1e-9, 0.5, False), (0.70, 0.02, 0.6, False)],
)  # fmt: skip
def test_what_a_classifier_may_find_is_what_it_found_among_the_training_data(
    manifest: Manifest,
    monkeypatch: pytest.MonkeyPatch,
    auc: float,
    p: float,
    expected: float,
    flagged: bool,
) -> None:
    monkeypatch.setattr("evergreen.monitoring.assessment.separation", separated(auc, p))
    assert manifest.expected is not None
    limits: Expected = msgspec.structs.replace(manifest.expected, auc=expected)
    version = msgspec.structs.replace(manifest, expected=limits)

    found = conclude(version, hour(manifest), reference=columns(manifest.schema, 300))

    assert found.multivariate is not None
    assert found.multivariate.flagged is flagged
    assert ("all together" in found.flagged) is flagged


def as_temp_goes(table: Any) -> Any:
    """Return the values of humid in the order of temp: each as frequent as it was."""
    return np.sort(table["humid"])[table["temp"].argsort().argsort()]


def test_rows_of_the_sample_are_compared_with_rows_of_the_training_data(manifest: Manifest) -> None:
    reference = columns(manifest.schema, 2_000)

    same = conclude(manifest, hour(manifest), reference=reference)
    other = conclude(manifest, hour(manifest, humid=as_temp_goes), reference=reference)

    assert same.multivariate is not None
    assert other.multivariate is not None
    assert not same.multivariate.flagged
    assert other.multivariate.auc > 0.8


# Examples


def test_a_feature_that_moved_names_predictions_in_the_bin_that_grew(manifest: Manifest) -> None:
    hot = np.where(np.arange(ROWS) % 3 == 0, 100.0, 40.0)

    found = conclude(manifest, hour(manifest, temp=hot))

    moved = {feature.feature: feature for feature in found.features}
    assert len(moved["temp"].rows) == EXAMPLES
    assert moved["hour"].rows == []
    numbers = [int(row.partition("-")[0], 16) for row in moved["temp"].rows]
    assert len({n % 3 == 0 for n in numbers}) == 1


def test_a_classifier_is_not_asked_where_a_feature_has_moved_by_itself(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evergreen.monitoring.assessment.separation", separated(0.9, 1e-9))
    reference = columns(manifest.schema, 300)

    found = conclude(manifest, hour(manifest, temp=99.0), reference=reference)

    assert found.multivariate is None
    assert "temp" in found.flagged


def test_what_a_feature_and_a_classifier_find_in_turn_is_one_alarm_that_goes_on(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evergreen.monitoring.assessment.separation", separated(0.9, 1e-9))
    reference = columns(manifest.schema, 300)
    found = None
    for day, total in enumerate([hour(manifest), hour(manifest, temp=99.0), hour(manifest)]):
        found = conclude(manifest, total, found, day=day, reference=reference, performance=AWAY)
        assert found.confirmed == (["all together"] if day else [])

    assert found is not None
    assert [alarm.since for alarm in found.alarms] == [NOW + DAY]
