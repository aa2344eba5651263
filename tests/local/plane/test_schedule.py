from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.plane.schedule import next_time
from local.template import TemplateError

FRIDAY = datetime(2013, 2, 1, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "zone", "expected"),
    [
        ("cron(0 6 * * ? *)", "UTC", datetime(2013, 2, 2, 6, tzinfo=UTC)),
        ("cron(30 6 * * ? *)", "UTC", datetime(2013, 2, 1, 6, 30, tzinfo=UTC)),
        ("cron(0 6 1 * ? *)", "UTC", datetime(2013, 3, 1, 6, tzinfo=UTC)),
        ("cron(0 6 ? * MON *)", "UTC", datetime(2013, 2, 4, 6, tzinfo=UTC)),
        ("cron(0 6 ? * 1 *)", "UTC", datetime(2013, 2, 3, 6, tzinfo=UTC)),  # Sunday, at Amazon
        ("cron(0 6 ? * 2-6 *)", "UTC", datetime(2013, 2, 4, 6, tzinfo=UTC)),
        ("cron(0 6 * * ? *)", "America/New_York", datetime(2013, 2, 1, 11, tzinfo=UTC)),
        ("rate(1 hour)", "UTC", datetime(2013, 2, 1, 6, 15, tzinfo=UTC)),
        ("rate(2 days)", "UTC", datetime(2013, 2, 2, 5, 15, tzinfo=UTC)),
    ],
)
def test_a_schedule_fires_next_when_amazon_says(
    expression: str, zone: str, expected: datetime
) -> None:
    schedule = {"ScheduleExpression": expression, "ScheduleExpressionTimezone": zone}

    assert next_time(schedule, FRIDAY, datetime(2013, 1, 31, 5, 15, tzinfo=UTC)) == expected


@pytest.mark.parametrize(
    "expression", ["cron(0 6 * * *)", "cron(0 6 * * ? 2013)", "every day", "cron(0 6 ? * 2#1 *)"]
)
def test_an_expression_that_is_not_understood_is_an_error_that_quotes_it(expression: str) -> None:
    with pytest.raises(TemplateError, match=r"cron|every day"):
        next_time({"ScheduleExpression": expression}, FRIDAY, FRIDAY)


@given(st.integers(1, 90), st.integers(0, 10_000))
def test_a_rate_fires_in_equal_steps_from_its_anchor(minutes: int, later: int) -> None:
    schedule = {"ScheduleExpression": f"rate({minutes} minutes)"}
    after = FRIDAY + timedelta(minutes=later)

    found = next_time(schedule, after, FRIDAY)

    assert after < found <= after + timedelta(minutes=minutes)
    assert (found - FRIDAY) % timedelta(minutes=minutes) == timedelta(0)
