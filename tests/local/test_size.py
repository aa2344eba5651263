"""make size counts what Lambda unpacks, and fails above the budget."""

import os
import subprocess
from pathlib import Path

import pytest

from local.template import ROOT

MIB = 1024 * 1024


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """Stand for a build and for Docker, which says its arguments."""
    folder = tmp_path / ".aws-sam" / "build"
    for name, size in (("PredictFunction", MIB), ("OnnxLayer", 109 * MIB), ("SklearnLayer", 1)):
        (folder / name / "python").mkdir(parents=True)
        with (folder / name / "python" / "file").open("wb") as file:
            file.truncate(size)
    (folder / "template.yaml").write_text("      ImageUri: train:training\n" * 2)
    (tmp_path / "docker").write_text("#!/bin/sh\necho $*\n")
    (tmp_path / "docker").chmod(0o755)
    return folder


def size(built: Path) -> subprocess.CompletedProcess[str]:
    place = built.parent.parent
    path = f"{place}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["make", "-f", str(ROOT / "Makefile"), "size"], cwd=place, env=os.environ | {"PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_within_its_budget_a_build_passes_and_a_link_counts_as_itself(built: Path) -> None:
    (built / "OnnxLayer" / "link").symlink_to(built / "OnnxLayer" / "python" / "file")

    done = size(built)

    assert done.returncode == 0, done.stderr
    assert "predict + OnnxLayer: 110 MiB unzipped; our budget is 110" in done.stdout
    assert "image inspect train:training --format" in done.stdout


def test_above_its_budget_a_build_fails_and_says_which(built: Path) -> None:
    (built / "OnnxLayer" / "more").write_text("x")

    done = size(built)

    assert done.returncode
    assert "above the budget: predict + OnnxLayer" in done.stdout


@pytest.mark.parametrize("missing", ["OnnxLayer", ""])
def test_without_a_build_it_says_what_to_do(built: Path, missing: str) -> None:
    (built / missing).rename(built.parent / "elsewhere")

    assert "run make build" in size(built).stdout
