"""When EventBridge Scheduler would fire."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim

from local.template import TemplateError

_UNITS = {"minute": 1, "hour": 60, "day": 1440}


def next_time(schedule: dict[str, Any], after: datetime, anchor: datetime) -> datetime:
    """Return the first time after `after` (UTC) at which a schedule fires.

    schedule: the properties of an AWS::Scheduler::Schedule. anchor: when it was created, and a rate
    counts from. Raises TemplateError for an expression that is not understood.
    """
    expression = schedule["ScheduleExpression"]
    zone = ZoneInfo(schedule.get("ScheduleExpressionTimezone", "UTC"))
    if match := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression):
        step = timedelta(minutes=int(match[1]) * _UNITS[match[2]])
        return anchor + step * ((after - anchor) // step + 1)
    if match := re.fullmatch(r"cron\((.+)\)", expression):
        return next(CronSim(_unix(match[1]), after.astimezone(zone))).astimezone(UTC)
    raise TemplateError(f"{expression} is not a schedule that is known here")


def _unix(expression: str) -> str:
    """Turn Amazon's six fields into the five of cron; there Sunday is 0, here it is 1."""
    fields = expression.split()
    if len(fields) != 6 or fields[5] != "*":
        raise TemplateError(f"cron({expression}) needs six fields, the last of them *")
    weekday = fields[4].replace("?", "*")
    if not re.fullmatch(r"[\d,*-]+|[A-Z,-]+", weekday):
        raise TemplateError(f"cron({expression}): the weekday {weekday} is not understood")
    weekday = re.sub(r"\d", lambda match: str(int(match[0]) - 1), weekday)
    return " ".join([*fields[:2], fields[2].replace("?", "*"), fields[3], weekday])
