"""starter/ is what a copy takes: every file of the repository is in it, or is known not to be."""

import re
import subprocess

import pytest

from local.template import ROOT

LEFT_OUT = (  # of the template's own repository, by how their paths begin
    ".ci/", "README.md", "benchmarks/", "copier.yml", "events/bodies/flight-delay.json",
    "functions/endpoints/air_time.py", "functions/endpoints/flight_delay.py",
    "functions/endpoints/weather_tomorrow.py", "starter/", "tests/",
)  # fmt: skip
OF_ITS_OWN = {".gitignore", "project.mk", "samconfig.toml"}  # which starter/ has in another form
MARKS = re.compile(rb"\{@")


def tracked() -> list[str]:
    asked = ["git", "-c", "safe.directory=*", "ls-files"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("these files are of no git repository")
    return done.stdout.splitlines()


def test_every_file_is_in_a_copy_or_left_out_on_purpose() -> None:
    missing = [
        path
        for path in tracked()
        if not path.startswith(LEFT_OUT) and not (ROOT / "starter" / path).exists()
    ]

    assert set(missing) == OF_ITS_OWN
    assert all((ROOT / "starter" / f"{name}.tmpl").is_file() for name in OF_ITS_OWN)


def test_every_link_leads_to_the_file_of_the_same_place() -> None:
    links = [path for path in (ROOT / "starter").rglob("*") if path.is_symlink()]

    assert links
    for link in links:
        assert link.resolve() == ROOT / link.relative_to(ROOT / "starter"), link


def test_no_file_of_the_machinery_holds_a_mark_that_copier_would_replace() -> None:
    rendered = [path for path in tracked() if path.startswith(("functions/", "local/", "cli/"))]

    assert not [path for path in rendered if MARKS.search((ROOT / path).read_bytes())]
    assert not [path for path in rendered if path.endswith(".tmpl")]
