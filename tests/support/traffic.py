"""Traffic to an endpoint that has a champion, and the checks of it, for tests of what they find."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from evergreen.aws.s3 import Store
from evergreen.captures.records import Capture
from evergreen.monitoring.earlier_checks import key_of
from evergreen.monitoring.report import CheckReport
from evergreen.registry.manifest import Manifest
from evergreen.training.train_version import Trained
from local.plane.plane import Plane
from tests.support import given
from tests.support.given import NAME, NOW
from tests.support.registries import registry_of

Announced = Callable[[], list[tuple[str, dict[str, Any]]]]
Check = Callable[..., Any]
DAY = timedelta(days=1)
SLOT = NOW + 7 * DAY


def promoted(artifacts: Store, trained: Trained, version: str = "") -> Manifest:
    """Make a version the champion."""
    registry = registry_of(artifacts)
    manifest = msgspec.structs.replace(trained.manifest, version=version or given.version(1))
    registry.write_version(manifest, trained.artifacts)
    seen = registry.document(NAME)
    document = given.document(manifest.version, seen.document if seen else None)
    registry.write_document(document, seen)
    return manifest


def requests(
    data: Store,
    days: range,
    *,
    rows: int = 300,
    version: str = given.version(1),
    scores: Callable[[int], float] = lambda n: n % 10 / 10,
    **changes: Any,
) -> None:
    """Deliver captures of days after NOW, like the training data but for the changes.

    changes: a value of all rows, or a function of the number of a row.
    """
    for day in days:
        at = NOW + day * DAY
        features = given.features(given.table(rows, seed=80 + day))
        captures: list[Capture] = [
            msgspec.structs.replace(
                given.capture(day * 10_000 + n, at, features=row | _of_row(changes, n)),
                version=version,
                score=scores(n),
            )
            for n, row in enumerate(features)
        ]
        given.deliver(data, captures, at, f"{day}")


def _of_row(changes: Mapping[str, Any], number: int) -> dict[str, Any]:
    return {name: each(number) if callable(each) else each for name, each in changes.items()}


def outcomes(data: Store, days: range, rows: int, true: Callable[[int], bool]) -> None:
    """Deliver the labels of requests, an hour after them."""
    for day in days:
        at = NOW + day * DAY + timedelta(hours=1)
        labels = [given.label(day * 10_000 + n, true(n), at) for n in range(rows)]
        given.deliver(data, labels, at, f"{day}")


def compact(plane: Plane) -> None:
    """Compact what has arrived in the hours that are over."""
    plane.invoke("CompactFunction", {"hour": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"})


def stored_report(data: Store, end: datetime) -> CheckReport:
    """Return the report of a check, as it was written."""
    stored = data.get(key_of(NAME, end))
    assert stored is not None
    return msgspec.json.decode(stored.body, type=CheckReport)
