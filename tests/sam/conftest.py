"""Fixtures of the tests that run containers; without Docker they are skipped."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import docker
import pytest
from docker.errors import DockerException

from local.plane.template import ROOT


def docker_answers() -> bool:
    try:
        return bool(docker.from_env().ping())
    except DockerException:
        return False


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """Build the layers and the image, from the sources of now."""
    if not docker_answers():
        pytest.skip("Docker does not answer: start it to run the functions in their containers")
    done = subprocess.run(["make", "build"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IO[str]]:
    with (tmp_path / "lambda.log").open("w+") as file:
        yield file


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    return tmp_path / "env.json"
