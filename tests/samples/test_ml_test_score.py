"""The page with our ML test score adds up, and what it names is there; and tests of some rows."""

import dataclasses
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.metrics import log_loss

from endpoints import air_time, flight_delay, weather_tomorrow
from evergreen.captures.examples import Examples, from_table
from evergreen.contract import endpoint_files
from evergreen.contract.endpoint import Endpoint
from evergreen.contract.rule import Rule, When
from evergreen.contract.schema import JsonSchema
from evergreen.serving import model
from evergreen.serving.model import REPORT, RULE
from evergreen.training.fitting import Request
from evergreen.training.train_version import Trained, train
from local.samples import flights, packaged
from tests.support import given

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "ml-test-score.md"
SECTIONS = ["Data", "Model", "Infrastructure", "Monitoring"]
ROWS = 7  # of each
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
LINK = re.compile(r"\]\(([^)#]+)")


def rows(section: str) -> list[tuple[str, float, str]]:
    """Return the rows of a section: what is asked, the points, and what earns them."""
    text = PAGE.read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [(what, float(points), why) for what, points, why in lines[2:]]


def test_every_row_has_points_that_something_earns() -> None:
    for section in SECTIONS:
        assert len(rows(section)) == ROWS
        for what, points, why in rows(section):
            assert points in (0, 0.5, 1), what
            assert points < 1 or TEST.search(why), f"{what}: a whole point needs an automated test"
            assert points > 0 or "gap" in why, what
            assert not points or TEST.search(why) or LINK.search(why), what


def test_every_test_and_page_that_it_names_is_there() -> None:
    text = PAGE.read_text()

    assert len(TEST.findall(text)) >= 25
    for file, name in TEST.findall(text):
        assert f"def {name}(" in (ROOT / file).read_text(), f"{file}::{name}"
    for link in LINK.findall(text):
        assert (PAGE.parent / link).exists(), link


def test_the_score_is_the_least_of_the_four_sums() -> None:
    sums = {section: sum(points for _, points, _ in rows(section)) for section in SECTIONS}
    said = dict(re.findall(r"^\| (\w+) \| ([\d.]+) of 7 \|$", PAGE.read_text(), re.MULTILINE))

    assert {section: float(points) for section, points in said.items()} == sums
    assert f"The score is **{min(sums.values()):g}**" in PAGE.read_text()
    assert min(sums.values()) > 5


# What some of the rows need


@cache
def asked(month: int, every: int = 1) -> tuple[pd.DataFrame, Any, Any]:
    """Return the flights of a month: features, whether they were late, and days of the month."""
    table = flights.flights()
    table = table[table["month"] == month][::every]
    found = flight_delay.examples(table)
    features = found[list(flight_delay.Flight.__struct_fields__)].astype(
        dict.fromkeys(flight_delay.NUMBERS, "float32")
    )
    return features, found["label"].to_numpy(dtype=bool), table["day"].to_numpy()


def linear() -> Any:
    return flight_delay.candidates(0)["logistic-regression"]


def without(features: pd.DataFrame, group: list[str]) -> pd.DataFrame:
    """Return the features with those of a group taken from other rows."""
    order = np.random.default_rng(0).permutation(len(features))
    return features.assign(**{name: features[name].to_numpy()[order] for name in group})


GROUPS = {
    "airline": ["carrier"],
    "route": ["origin", "dest", "distance"],
    "time": ["weekday", "hour"],
    "weather": ["temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"],
}


def test_the_groups_are_all_of_the_features() -> None:
    named = [name for group in GROUPS.values() for name in group]

    assert sorted(named) == sorted(flight_delay.Flight.__struct_fields__)


@pytest.mark.parametrize("group", GROUPS)
def test_without_a_group_of_features_flights_are_predicted_worse(group: str) -> None:
    """Fitted anew with the values of other flights in its place; the last week is held out."""
    features, late, day = asked(1)
    later = day > 24

    def loss(rows: pd.DataFrame) -> float:
        fitted = linear().fit(rows[~later], late[~later])
        return float(log_loss(late[later], fitted.predict_proba(rows[later])[:, 1]))

    assert loss(without(features, GROUPS[group])) > loss(features)


GROUPS_OF_DAYS = {
    "kind": ["weather"],
    "rain": ["precipitation", "week_precipitation"],
    "temperature": ["temp_max", "temp_min", "warmer", "week_temp"],
    "wind": ["wind"],
}


def test_the_groups_are_all_of_the_features_of_a_day() -> None:
    named = [name for group in GROUPS_OF_DAYS.values() for name in group]

    assert sorted(named) == sorted(weather_tomorrow.Day.__struct_fields__)


@pytest.mark.parametrize("group", GROUPS_OF_DAYS)
def test_without_a_group_of_features_tomorrow_is_predicted_worse(group: str) -> None:
    """By the forest; the newest half year is held out, as by the endpoint's policy."""
    file = packaged.folder("vega_datasets", "_data") / "seattle-weather.csv"
    table = pd.read_csv(file, parse_dates=["date"])  # the reader does so too
    found = weather_tomorrow.examples(table)
    features, labels = found[list(weather_tomorrow.Day.__struct_fields__)], found["label"]
    later = np.arange(len(found)) >= len(found) - weather_tomorrow.endpoint.policy.holdout_days

    def loss(rows: pd.DataFrame) -> float:
        forest = weather_tomorrow.candidates(0)["random-forest"].fit(rows[~later], labels[~later])
        scores = forest.predict_proba(rows[later])
        return float(log_loss(labels[later], scores, labels=forest.classes_))

    assert loss(without(features, GROUPS_OF_DAYS[group])) > loss(features)


def test_without_the_route_the_time_in_the_air_is_predicted_worse() -> None:
    """Of the other features of air-time this does not hold: docs/ml-test-score.md."""
    table = flights.flights()
    table = table[(table["month"] == 1) & table["air_time"].notna()]
    found, later = air_time.examples(table), table["day"].to_numpy() > 24
    features, minutes = found[list(air_time.Flight.__struct_fields__)], found["label"]

    def error(rows: pd.DataFrame) -> float:
        fitted = air_time.candidates(0)["ridge"].fit(rows[~later], minutes[~later])
        return float(np.abs(fitted.predict(rows[later]) - minutes[later]).mean())

    assert error(without(features, ["origin", "dest", "distance"])) > 2 * error(features)


def test_models_that_are_better_on_the_holdout_are_better_in_the_month_after() -> None:
    """Ten models, from ones that hardly learn to one that learns its rows by heart."""
    features, late, day = asked(1)
    later = day > 24
    next_month, truth, _ = asked(2)
    found = flight_delay.candidates(0)
    models = [
        clone(found["logistic-regression"]).set_params(logisticregression__C=strength)
        for strength in (1e-5, 1e-4, 1e-3, 0.01, 0.1)
    ] + [
        clone(found["hist-gradient-boosting"]).set_params(
            histgradientboostingclassifier__learning_rate=rate,
            histgradientboostingclassifier__max_iter=10,
        )
        for rate in (0.02, 0.05, 0.15, 0.5, 1.0)
    ]

    offline, online = [], []
    for each in models:
        each.fit(features[~later], late[~later])
        offline.append(log_loss(late[later], each.predict_proba(features[later])[:, 1]))
        online.append(log_loss(truth, each.predict_proba(next_month)[:, 1]))

    assert spearmanr(offline, online).statistic > 0.5


def test_a_model_of_january_is_worse_than_a_constant_by_july() -> None:
    """What staleness costs: the curve of level 1 in the README, at both of its ends."""
    features, late, _ = asked(1)
    fitted = linear().fit(features, late)

    def worse(month: int) -> float:
        rows, truth, _ = asked(month, every=5)
        constant = np.full(len(truth), truth.mean())
        return float(log_loss(truth, fitted.predict_proba(rows)[:, 1]) - log_loss(truth, constant))

    assert worse(2) < 0
    assert worse(7) > 0.1


DENIED = {  # what none of these problems may be decided by
    "name", "email", "mail", "phone", "address", "birth", "age", "gender", "sex", "race",
    "religion", "nationality", "health", "income", "ip", "user", "passenger", "customer", "token",
}  # fmt: skip


@pytest.mark.parametrize("name", endpoint_files.names())
def test_no_endpoint_reads_what_says_who_somebody_is(name: str) -> None:
    fields = endpoint_files.load(name).row.__struct_fields__

    assert not [field for field in fields if DENIED & set(field.split("_"))]


def test_the_page_of_a_version_compares_rates_between_values_of_the_fairness_fields(
    trained: Trained,
) -> None:
    page = trained.artifacts[REPORT].decode()

    section = page.partition("Fairness")[2].partition("<h2")[0]

    assert "origin" in section
    for value in ("EWR", "JFK", "LGA"):
        assert value in section


def test_the_gate_looks_at_every_group_that_an_endpoint_names_for_fairness() -> None:
    named = {name: endpoint_files.load(name) for name in endpoint_files.names()}

    assert named[given.NAME].fairness
    for name, endpoint in named.items():
        assert set(endpoint.fairness) <= set(endpoint.slices), (
            f"{name}: name in `slices` too what `fairness` names, or the gate does not see it"
        )


HERE, ELSEWHERE = ("origin", "==", "EWR"), ("origin", "!=", "EWR")
LATE = [
    (("hour", ">=", 14), ("distance", "<", 1350)),
    (("hour", "<", 14), ("distance", ">=", 1350)),
]  # no tree of two questions finds this


def groups_apart(schema: JsonSchema) -> Examples:
    """Return flights of which nine in ten follow LATE, at each airport alike."""
    table = given.table(3_000)
    follow = np.random.default_rng(0).uniform(size=len(table)) < 0.9
    late = ((table["hour"] >= 14) ^ (table["distance"] >= 1350)) == follow
    found: Examples = from_table(
        schema, flight_delay.examples(table.assign(arr_delay=np.where(late, 30.0, -5.0)))
    )
    return found


def of_rule(
    schema: JsonSchema, endpoint: Endpoint, place: Any, champion: model.Model | None
) -> Trained:
    """Train a version that knows when flights from some place are late, and of others nothing."""
    rule = Rule(*[When(place, *conditions) for conditions in LATE], When(place))
    alone = dataclasses.replace(endpoint, candidates=lambda _: {"rule": rule}, search={})
    request = Request(given.NAME, "a run", "manual", given.NOW, 0, "code")
    found: Trained = train(request, alone, schema, groups_apart(schema), champion)
    return found


def test_a_version_that_is_better_but_surely_worse_in_a_group_for_fairness_is_refused(
    schema: JsonSchema,
) -> None:
    endpoint = flight_delay.endpoint
    assert endpoint.fairness == ("origin",)
    first = of_rule(schema, endpoint, HERE, None)
    champion = model.load(first.manifest, first.artifacts[RULE])

    found = of_rule(schema, endpoint, ELSEWHERE, champion)

    improvement = found.manifest.metrics.improvement
    assert improvement is not None
    assert improvement > 0.05
    assert not found.verdict.passed
    assert found.verdict.reason.startswith("origin EWR is worse than the champion")
    shut = [gate.name for gate in found.manifest.metrics.gates if not gate.passed]
    assert shut == ["slices"]
