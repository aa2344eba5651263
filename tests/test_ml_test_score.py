"""The page with our ML test score adds up, and what it names is there; and tests of some rows."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

import endpoints
from endpoints import flight_delay
from evergreen.model import REPORT
from evergreen.training import Trained
from local import flights

ROOT = Path(__file__).parent.parent
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
    mixed = features.copy()
    order = np.random.default_rng(0).permutation(len(mixed))
    for name in GROUPS[group]:
        mixed[name] = features[name].to_numpy()[order]

    def loss(rows: pd.DataFrame) -> float:
        fitted = linear().fit(rows[~later], late[~later])
        return float(log_loss(late[later], fitted.predict_proba(rows[later])[:, 1]))

    assert loss(mixed) > loss(features)


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


@pytest.mark.parametrize("name", endpoints.names())
def test_no_endpoint_reads_what_says_who_somebody_is(name: str) -> None:
    fields = endpoints.load(name).row.__struct_fields__

    assert not [field for field in fields if DENIED & set(field.split("_"))]


def test_the_page_of_a_version_compares_rates_between_values_of_the_fairness_fields(
    trained: Trained,
) -> None:
    page = trained.artifacts[REPORT].decode()

    section = page.partition("Fairness")[2].partition("<h2")[0]

    assert "origin" in section
    for value in ("EWR", "JFK", "LGA"):
        assert value in section
