"""The workflows that a user's repository runs; GitHub itself is the only one that can try them."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS: dict[str, dict[Any, Any]] = {
    file.name: yaml.safe_load(file.read_text()) for file in sorted(FOLDER.glob("*.yml"))
}
ON = True  # what YAML makes of the key `on`
JOBS = {
    f"{name}/{job}": spec
    for name, workflow in WORKFLOWS.items()
    for job, spec in workflow["jobs"].items()
}
STEPS = [step for job in JOBS.values() for step in job.get("steps", [])]
SCRIPTS = [step["run"] for step in STEPS if "run" in step]
ACTIONS = [step["uses"] for step in STEPS if "uses" in step]


def called(job: dict[str, Any]) -> dict[str, Any] | None:
    """Return the workflow that a job is, if it is one."""
    return WORKFLOWS[Path(job["uses"]).name] if "uses" in job else None


def goes_to_aws(job: dict[str, Any]) -> bool:
    if workflow := called(job):
        return any(goes_to_aws(inner) for inner in workflow["jobs"].values())
    return any("configure-aws-credentials@" in step.get("uses", "") for step in job["steps"])


def attests(job: dict[str, Any]) -> bool:
    return any("attest-build-provenance@" in step.get("uses", "") for step in job.get("steps", ()))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_only_read_stores_no_key_and_ends_at_the_first_error(name: str) -> None:
    text = (FOLDER / name).read_text()

    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    assert "secrets" not in text
    assert not re.search("access-key", text, re.IGNORECASE)
    if "run:" in text:
        assert WORKFLOWS[name]["defaults"]["run"]["shell"] == "bash"  # with pipefail


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_only_a_job_that_goes_to_aws_or_attests_may_ask_for_a_token_and_every_job_ends(
    job: dict[str, Any],
) -> None:
    needs = goes_to_aws(job) or attests(job)
    assert (job.get("permissions", {}).get("id-token") == "write") == needs
    assert "uses" in job or job["timeout-minutes"] <= 60


def test_the_job_that_deploys_belongs_to_an_environment_and_runs_once_at_a_time() -> None:
    (job,) = [job for job in JOBS.values() if goes_to_aws(job) and "steps" in job]

    assert job["environment"] == "${{ inputs.environment }}"
    assert job["concurrency"]["group"] == "deploy-${{ inputs.environment }}"
    assert not job["concurrency"]["cancel-in-progress"]


def test_a_change_is_checked_tested_built_deployed_and_asked_in_this_order() -> None:
    order = ["make check", "make test", "make build", "sam deploy", "make smoke"]

    found = [next(i for i, script in enumerate(SCRIPTS) if what in script) for what in order]

    assert found == sorted(found)


def test_ci_starts_everything_that_measures_and_ends_with_the_tests() -> None:
    measuring = re.findall(r"(?m)^(bench[a-z-]*|load):", (ROOT / "Makefile").read_text())
    started = [line.partition(" #")[0] for line in (ROOT / ".ci" / "run").read_text().splitlines()]
    quick = {f"make {target} QUICK=1" for target in measuring} | {"make demo MONTHS=1"}

    assert set(measuring) == {
        "bench", "bench-autopilot", "bench-drift", "bench-promotion", "bench-scale", "load",
    }  # fmt: skip
    assert quick <= set(started)
    assert started.index("make test-sam") < started.index("make load QUICK=1"), "it needs a build"
    assert started[-1] == "make test"


def test_main_goes_to_staging_after_the_checks_and_to_prod_after_staging() -> None:
    jobs = WORKFLOWS["deploy.yml"]["jobs"]
    known = set(tomllib.loads((ROOT / "samconfig.toml").read_text()))

    assert WORKFLOWS["deploy.yml"][ON]["push"]["branches"] == ["main"]
    assert called(jobs["check"]) == WORKFLOWS["check.yml"]
    assert jobs["staging"]["needs"] == "check"
    assert jobs["prod"]["needs"] == "staging"
    assert all(jobs[name]["with"]["environment"] == name for name in ("staging", "prod"))
    assert {"staging", "prod"} <= known


def test_a_pull_request_is_checked_and_never_deployed() -> None:
    asked = {name for name, workflow in WORKFLOWS.items() if "pull_request" in workflow[ON]}

    assert asked == {"check.yml"}
    assert not any(goes_to_aws(job) for job in WORKFLOWS["check.yml"]["jobs"].values())
    assert not any("pull_request_target" in workflow[ON] for workflow in WORKFLOWS.values())


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_is_a_commit_with_its_version_beside_it(action: str) -> None:
    written = "".join(file.read_text() for file in FOLDER.glob("*.yml"))

    assert re.search(rf"uses: {re.escape(action)} # v\d+\.\d+\.\d+\n", written)
    assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action)


def test_one_version_of_each_action_is_used_everywhere() -> None:
    assert len(set(ACTIONS)) == len({action.partition("@")[0] for action in ACTIONS})


def test_what_is_released_is_checked_before_and_says_what_is_in_it_and_who_built_it() -> None:
    jobs = WORKFLOWS["release.yml"]["jobs"]
    release = jobs["release"]

    assert called(jobs["check"]) == WORKFLOWS["check.yml"]
    assert release["needs"] == "check"
    assert attests(release)
    assert any("make release sbom" in step.get("run", "") for step in release["steps"])


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_bash_of_targets_that_exist_and_gets_values_by_its_environment(
    script: str,
) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert "${{" not in script  # it would become part of the program
    assert set(re.findall(r"\bmake ([a-z]+)", script)) <= targets
    subprocess.run(["/bin/bash", "-n", "-c", script], check=True)


@pytest.mark.parametrize(
    ("said", "code", "expected", "forgiven"),
    [
        ("[]", 0, 0, ""),
        ("Error: The input stack x does not exist on Cloudformation", 1, 0, "ALLOW_NO_CHAMPION=1"),
        ("Error: outputs do not exist for the input stack x", 1, 1, ""),
        ("Error: Unable to locate credentials", 1, 1, ""),
    ],
)
def test_a_missing_champion_is_forgiven_only_at_the_first_deployment(
    tmp_path: Path, said: str, code: int, expected: int, forgiven: str
) -> None:
    (script,) = [script for script in SCRIPTS if "ALLOW_NO_CHAMPION" in script]
    sam = tmp_path / ".venv" / "bin" / "sam"
    sam.parent.mkdir(parents=True)
    sam.write_text(f"#!/bin/bash\necho '{said}' >&2\nexit {code}\n")
    sam.chmod(0o755)
    environment = tmp_path / "environment"
    environment.touch()

    ended = subprocess.run(
        ["/bin/bash", "-eo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={"CONFIG_ENV": "staging", "GITHUB_ENV": str(environment)},
        check=False,
    )

    assert ended.returncode == expected
    assert environment.read_text().strip() == forgiven
