"""Times and dates, all in UTC."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import msgspec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Moment = Annotated[datetime, msgspec.Meta(tz=True)]  # in a message: refused without a zone


def time_of(text: str) -> datetime:
    """Return a time that an event names, in UTC; one without a zone is meant so."""
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def days_of(start: datetime, end: datetime) -> list[date]:
    """Return the UTC dates that [start, end) touches."""
    first, last = start.astimezone(UTC).date(), (end - timedelta.resolution).astimezone(UTC).date()
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def midnight(day: date) -> datetime:
    """Return the beginning of a UTC date."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def microseconds(time: datetime) -> int:
    """Return the microseconds since 1970 of a time, exactly."""
    return (time - EPOCH) // timedelta.resolution


def moment(microseconds: int) -> datetime:
    """Return the time of `microseconds`."""
    return EPOCH + timedelta(microseconds=microseconds)
