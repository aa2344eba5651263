"""Fixtures of the tests of monitoring."""

import pytest

from evergreen.registry.manifest import Manifest
from evergreen.training.train_version import Trained
from tests.support.memory import Memory


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture(scope="module")
def manifest(trained: Trained) -> Manifest:
    return trained.manifest
