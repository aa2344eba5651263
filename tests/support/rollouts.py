"""Champions, challengers and a year's days for them, for tests of the rollout."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec

import endpoints.flight_delay as flight_delay
from evergreen.aws.s3 import Store
from evergreen.captures.examples import from_table
from evergreen.contract.schema import schema_of
from evergreen.training.fitting import Request
from evergreen.training.train_version import Trained
from tests.support import given
from tests.support.given import NAME, NOW

DAY = timedelta(days=1)
ROWS = 60  # a day
GOOD, BAD = given.version(2), given.version(1)


def trained_on(lie: bool) -> Trained:
    """Return a version that learnt the flights, or the opposite of them."""
    schema = schema_of(NAME, flight_delay.Flight)
    endpoint = given.quick()
    examples = from_table(schema, endpoint.examples(given.table()))
    if lie:
        examples = replace(examples, labels=~examples.labels)
    request = Request(NAME, "a run", "manual", NOW, 0, "code")
    found: Trained = given.train(request, endpoint, schema, examples, None)
    return found


def days(
    data: Store,
    numbers: Iterable[int],
    *,
    version: str,
    rows: int = ROWS,
    labels: bool = True,
    first: int = 0,
    **capture: Any,
) -> None:
    """Deliver the requests of days after NOW that a version answered, and what came of them.

    first: the number of a day's first request; those of other versions need other numbers.
    """
    for day in numbers:
        at = NOW + day * DAY
        table = given.table(rows, seed=300 + day)
        captures = [
            msgspec.structs.replace(
                given.capture(day * 10_000 + first + n, at, features=row),
                version=version,
                **capture,
            )
            for n, row in enumerate(given.features(table))
        ]
        given.deliver(data, captures, at, f"{version}-{day}")
        late = (table["arr_delay"] > flight_delay.LATE_MINUTES).tolist()
        known = [
            given.label(day * 10_000 + first + n, bool(value), at + timedelta(hours=1))
            for n, value in enumerate(late)
        ]
        if labels:
            given.deliver(data, known, at + timedelta(hours=1), f"{version}-{day}")
