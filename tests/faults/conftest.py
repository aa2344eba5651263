"""Fixtures of the tests that break something on purpose."""

from collections.abc import Iterator

import pytest

from evergreen.aws.s3 import Store
from evergreen.training import train_version
from local.plane.plane import Plane
from local.template import Template
from tests.faults.wire import Wire, tapped
from tests.faults.world import World
from tests.support.registries import registry_of
from tests.support.traffic import Announced


@pytest.fixture
def wire(aws: None) -> Iterator[Wire]:
    with tapped() as found:
        yield found


@pytest.fixture
def world(
    plane: Plane, template: Template, artifacts: Store, announced: Announced, wire: Wire
) -> World:
    return World(template, registry_of(artifacts), announced, wire)


@pytest.fixture
def remembered(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train the same thing once: the same request gives the same version, and it takes a while."""
    known: dict[str, train_version.Trained] = {}
    train = train_version.train

    def remember(request, endpoint, schema, examples, champion):  # type: ignore[no-untyped-def]
        data, best = examples and examples.sha256(), champion and champion.manifest.version
        key = f"{request} {data} {best}"
        if key not in known:
            known[key] = train(request, endpoint, schema, examples, champion)
        return known[key]

    monkeypatch.setattr(train_version, "train", remember)
