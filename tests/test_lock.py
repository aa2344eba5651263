"""What is deployed is what uv.lock says."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UV = ROOT / ".uv" / "bin" / "uv"


@pytest.mark.parametrize("group", ["serving", "training"])
def test_the_requirements_of_a_package_are_the_versions_of_the_lock_file(group: str) -> None:
    exported = subprocess.run(
        [UV, "export", "--frozen", "--quiet", "--no-header", "--only-group", group, "--offline"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    listed = pinned((ROOT / "layers" / group / "requirements.txt").read_text())

    assert listed
    assert listed <= pinned(exported), "run `make lock`"
    assert group == "serving" or listed == pinned(exported), "run `make lock`"


def pinned(requirements: str) -> set[str]:
    return {line.split()[0] for line in requirements.splitlines() if "==" in line}
