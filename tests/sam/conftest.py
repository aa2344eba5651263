"""Fixtures of the tests that run containers; without Docker they are skipped."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from local.plane import containers
from local.template import ROOT


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """Build the layers and the image, from the sources of now."""
    try:
        containers.address()
    except SystemExit as error:
        pytest.skip(str(error))
    done = subprocess.run(["make", "build"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IO[str]]:
    with (tmp_path / "lambda.log").open("w+") as file:
        yield file


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    return tmp_path / "env.json"
