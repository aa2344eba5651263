"""One stack for all tests here, deployed to MiniStack once, with a champion trained in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.plane import stack as training
from tests.deploy import emulator as ministack
from tests.deploy.deployment import Stack, deploy, eventually
from tests.deploy.emulator import Emulator
from tests.deploy.names import sitecustomize as sitecustomize  # names under .localhost
from tests.sam.conftest import built  # noqa: F401 - the layers and the image, from the sources of now
from tests.support.given import NAME


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with ministack.started(tmp_path_factory.mktemp("ministack")) as running:
        yield running


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deploy")


@pytest.fixture(scope="session")
def stack(emulator: Emulator, folder: Path) -> Stack:
    """Deploy, upload training data, and return once the version that it makes is champion."""
    deployed = deploy(emulator, "evergreen", folder)
    data = training.training_file(NAME, None, folder)
    for key, part in training.parts(NAME, data).items():
        emulator.client("s3").put_object(
            Bucket=deployed.outputs["DataBucket"], Key=key, Body=part.read_bytes()
        )
    eventually(lambda: f"endpoints/{NAME}.json" in deployed.keys("ArtifactBucket"))
    return deployed
