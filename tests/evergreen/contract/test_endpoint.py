"""The contract of a file in endpoints/."""

import dataclasses
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from msgspec import Meta
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from evergreen.contract.endpoint import Endpoint, Policy
from evergreen.contract.endpoint_checks import check_endpoint, faults_of_policy
from evergreen.contract.errors import EndpointFileError


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """A valid row."""

    x: Annotated[float, Meta(description="a number")]
    y: Annotated[float, Meta(description="another")] | None = None


GOOD = Endpoint(
    row=Row,
    examples=lambda table: table,
    candidates=lambda _: {"linear": LogisticRegression()},
    target="something happens",
)


def described(**fields: Any) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        "Row",
        [(name, Annotated[kind, Meta(description="x")]) for name, kind in fields.items()],
        forbid_unknown_fields=True,
    )


def test_a_good_endpoint_passes() -> None:
    check_endpoint("good", GOOD)
    check_endpoint("sliced", dataclasses.replace(GOOD, slices=("y", "x")))


class Lax(msgspec.Struct):
    """A row that takes unknown fields."""

    x: Annotated[float, Meta(description="a number")]


class Silent(msgspec.Struct, forbid_unknown_fields=True):
    """A row whose field says nothing."""

    x: float


class Shown(msgspec.Struct, forbid_unknown_fields=True):
    """A row with an example."""

    x: Annotated[float, Meta(description="a number", examples=[31.5])] | None = None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"row": dict}, "subclass of msgspec.Struct"),
        ({"row": Lax}, "forbid_unknown_fields"),
        ({"row": Silent}, "field `x` has no description"),
        ({"row": described(x=list[int])}, "field `x`"),
        ({"row": described(label=float)}, "field `label`"),
        ({"row": described(time=float)}, "field `time`"),
        ({"target": ""}, "target"),
        ({"candidates": lambda _: {}}, "no pipeline"),
        ({"candidates": lambda _: {"r": LinearRegression()}}, "candidate 'r'"),
        ({"policy": Policy(schedule="hourly")}, "hourly"),  # type: ignore[arg-type]
        ({"policy": Policy(holdout_days=0)}, "holdout_days"),
        ({"policy": Policy(min_rows=0)}, "min_rows"),
        ({"policy": Policy(drift_window_days=0)}, "drift_window_days"),
        ({"policy": Policy(cooldown_days=0)}, "cooldown_days"),
        ({"policy": Policy(label_days=0)}, "label_days"),
        ({"slices": ("x", "z")}, "slices: 'z' is not a field"),
        ({"policy": Policy(windows_days=())}, "windows_days"),
        ({"policy": Policy(windows_days=(None, 0))}, "windows_days"),
        ({"policy": Policy(margin=-0.1)}, "margin"),
        ({"candidates": lambda _: [LogisticRegression()]}, "no pipeline by its name"),
        ({"candidates": {"it": LogisticRegression()}}, "must be a function of a seed"),
        ({"examples": None}, "must be a function from a table"),
        ({"slices": None}, "TypeError"),
        ({"search": {"linear": {"C": None}}}, "TypeError"),
        ({"problem": []}, "TypeError"),
        ({"policy": {"margin": 1}}, "must be a Policy"),
        ({"sensitive": {"z": "why"}}, "sensitive: 'z' is not a field"),
        ({"sensitive": {"x": " "}}, "sensitive: 'x' needs a reason"),
        ({"sensitive": ("x",)}, "`sensitive` needs a reason for each field"),
        ({"sensitive": {"x": "why"}, "slices": ("x",)}, "slices: 'x' is sensitive"),
        ({"sensitive": {"x": "why"}, "fairness": ("x",)}, "fairness: 'x' is sensitive"),
        ({"sensitive": {"x": "why"}, "row": Shown}, "field `x` is sensitive: its examples"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, str) else "",
)
def test_a_breach_of_the_contract_is_named_with_its_file(
    changes: dict[str, Any], message: str
) -> None:
    broken = dataclasses.replace(GOOD, **changes)

    with pytest.raises(EndpointFileError, match=message) as raised:
        check_endpoint("my-endpoint", broken)

    assert str(raised.value).startswith("endpoints/my_endpoint.py: ")


@pytest.mark.parametrize("thing", [None, "endpoint", Endpoint])
def test_a_file_without_an_endpoint_is_told_what_to_define(thing: object) -> None:
    with pytest.raises(EndpointFileError, match=r"endpoint = Endpoint\(\.\.\.\)"):
        check_endpoint("good", thing)


@pytest.mark.parametrize(
    ("schedule", "days"), [("daily", 365), ("weekly", 52), ("monthly", 12), ("never", 0)]
)
def test_a_schedule_is_due_as_often_as_it_says(schedule: Any, days: int) -> None:
    policy = Policy(schedule=schedule)
    start = datetime(2013, 1, 1, 6, tzinfo=UTC)

    assert sum(policy.is_due(start + timedelta(days=day)) for day in range(365)) == days


@hypothesis_given(hours=st.integers(0, 10**5), zone=st.integers(-12, 14))
def test_what_is_due_does_not_depend_on_the_zone_of_the_slot(hours: int, zone: int) -> None:
    slot = datetime(2013, 1, 1, tzinfo=UTC) + timedelta(hours=hours)

    for schedule in ("daily", "weekly", "monthly", "never"):
        policy = Policy(schedule=schedule)
        assert policy.is_due(slot) is policy.is_due(
            slot.astimezone(timezone(timedelta(hours=zone)))
        )


def test_an_endpoint_has_candidates_that_say_what_its_problem_asks() -> None:
    regression: dict[str, Any] = {
        "problem": "regression",
        "candidates": lambda _: {"linear": LinearRegression()},
    }

    check_endpoint("good", dataclasses.replace(GOOD, problem="multiclass"))
    check_endpoint("good", dataclasses.replace(GOOD, **regression))
    with pytest.raises(
        EndpointFileError, match="'linear' is a regressor, and multiclass asks for a classifier"
    ):
        check_endpoint("bad", dataclasses.replace(GOOD, **regression | {"problem": "multiclass"}))
    with pytest.raises(EndpointFileError, match="problem 'ranking' is none of"):
        check_endpoint("bad", dataclasses.replace(GOOD, problem="ranking"))  # type: ignore[arg-type]


def test_all_breaches_are_named_together() -> None:
    broken = dataclasses.replace(
        GOOD,
        row=described(x=list[int], label=float, y=dict[str, int]),
        target="",
        policy=Policy(alpha=0.7, schedule="hourly", margin="a"),  # type: ignore[arg-type]
        problem="ranking",  # type: ignore[arg-type]
        candidates=lambda _: {},
    )

    with pytest.raises(EndpointFileError) as raised:
        check_endpoint("bad", broken)

    lines = str(raised.value).splitlines()
    assert len(lines) == 8
    assert all(line.startswith("endpoints/bad.py: ") for line in lines)


class OfNoLibrary:
    """An estimator that does not say what it is."""

    def fit(self, *_: Any) -> "OfNoLibrary":
        return self


def test_what_a_candidate_can_do_only_once_it_is_fitted_is_not_asked_before() -> None:
    both = [("one", LogisticRegression()), ("two", DecisionTreeClassifier())]
    late = {
        "stacked": StackingClassifier(both),
        "voting": VotingClassifier(both),
        "support": SVC(),
        "search": GridSearchCV(LogisticRegression(), {"C": [1.0]}),
        "own": OfNoLibrary(),
    }

    check_endpoint("good", dataclasses.replace(GOOD, candidates=lambda _: late))


@pytest.mark.parametrize("thing", [LogisticRegression, "model", None])
def test_what_is_no_estimator_is_named(thing: object) -> None:
    with pytest.raises(EndpointFileError, match="candidate 'it' must be an estimator with fit"):
        check_endpoint("bad", dataclasses.replace(GOOD, candidates=lambda _: {"it": thing}))


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Policy)])
@pytest.mark.parametrize(
    "value", ["a", [], {}, object(), True, math.nan], ids=lambda value: type(value).__name__
)
def test_a_policy_of_odd_types_is_refused_and_nothing_else(field: str, value: Any) -> None:
    found = list(faults_of_policy(Policy(**{field: value})))

    if field in ("capture_batch", "recalibrate") and value is True:
        return  # the one that they may be
    assert found
    assert field in found[0].message


def test_an_error_in_candidates_is_named() -> None:
    def candidates(_: int) -> dict[str, Any]:
        raise NameError("name 'LogisticRegresion' is not defined")

    with pytest.raises(EndpointFileError, match="`candidates` raised NameError: name 'Log"):
        check_endpoint("bad", dataclasses.replace(GOOD, candidates=candidates))
