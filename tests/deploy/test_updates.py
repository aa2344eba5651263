"""A second stack beside the first: updated, so that it serves by a new version, and destroyed."""

from pathlib import Path
from typing import Any

import pytest

from tests.deploy.deployment import Stack, deploy
from tests.deploy.emulator import Emulator

OTHER = "evergreen-other"
LIVE = {"Qualifier": "live"}


@pytest.fixture(scope="module")
def other(emulator: Emulator, folder: Path) -> Stack:
    return deploy(emulator, OTHER, folder)


def served(stack: Stack) -> dict[str, Any]:
    """Return what the alias that requests go to stands for."""
    name = stack.resources["PredictFunction"]
    found: dict[str, Any] = stack.emulator.client("lambda").get_function_configuration(
        FunctionName=name, Qualifier="live"
    )
    return found


def test_an_update_publishes_a_version_and_moves_the_alias(other: Stack, folder: Path) -> None:
    before = served(other)

    deploy(other.emulator, OTHER, folder, PUBLISHED_SHA256="of other layers")

    after = served(other)
    variables = after["Environment"]["Variables"]
    assert int(after["Version"]) == int(before["Version"]) + 1
    assert variables["PUBLISHED_SHA256"] == "of other layers"
    assert before["Environment"]["Variables"]["PUBLISHED_SHA256"] != "of other layers"


def test_what_is_destroyed_leaves_what_the_template_retains(other: Stack) -> None:
    bucket, key = other.outputs["ArtifactBucket"], other.outputs["ManifestKey"]

    done = other.run("python", "-m", "local.destroy", "--stack", OTHER, "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{OTHER} is deleted." in done.stdout
    assert other.emulator.client("s3").head_bucket(Bucket=bucket)
    assert other.emulator.client("kms").describe_key(KeyId=key)["KeyMetadata"]["Enabled"]
