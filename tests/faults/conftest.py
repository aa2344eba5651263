"""Fixtures of the tests that break something on purpose."""

from collections.abc import Iterator

import pytest

from evergreen.aws.s3 import Store
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
