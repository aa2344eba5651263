"""The workflows that a user's repository runs; GitHub itself is the only one that can try them."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WORKFLOWS: dict[str, dict[Any, Any]] = {
    file.name: yaml.safe_load(file.read_text()) for file in FILES
}
ON = True  # what YAML makes of the key `on`
JOBS = {
    (name, job): spec
    for name, workflow in WORKFLOWS.items()
    for job, spec in workflow["jobs"].items()
}
STEPS = [(name, step) for (name, _), job in JOBS.items() for step in job.get("steps", [])]
SCRIPTS = [(name, step["run"]) for name, step in STEPS if "run" in step]
ACTIONS = [(name, step["uses"]) for name, step in STEPS if "uses" in step]


def takes_a_token(job: dict[str, Any]) -> bool:
    return bool(job.get("permissions", {}).get("id-token") == "write")


def called(job: dict[str, Any]) -> dict[str, Any] | None:
    """Return the workflow that a job is, if it is one."""
    return WORKFLOWS[Path(job["uses"]).name] if "uses" in job else None


def goes_to_aws(job: dict[str, Any]) -> bool:
    if workflow := called(job):
        return any(goes_to_aws(inner) for inner in workflow["jobs"].values())
    return any("configure-aws-credentials@" in step.get("uses", "") for step in job["steps"])


def test_there_is_one_workflow_for_checking_and_one_for_deploying() -> None:
    assert {"check.yml", "deploy.yml"} <= set(WORKFLOWS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_key_is_stored(file: Path) -> None:
    text = file.read_text()

    assert "secrets" not in text
    assert not re.search("access-key", text, re.IGNORECASE)


@pytest.mark.parametrize("job", JOBS.values(), ids=map("/".join, JOBS))
def test_only_a_job_that_goes_to_aws_may_ask_for_a_token(job: dict[str, Any]) -> None:
    assert takes_a_token(job) == goes_to_aws(job)


@pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=WORKFLOWS)
def test_a_workflow_itself_may_only_read(workflow: dict[Any, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}


def test_the_job_that_deploys_belongs_to_an_environment_and_runs_once_at_a_time() -> None:
    deploying = [job for job in JOBS.values() if goes_to_aws(job) and "steps" in job]

    assert deploying
    for job in deploying:
        assert job["environment"] == "${{ inputs.environment }}"
        assert job["concurrency"]["group"] == "deploy-${{ inputs.environment }}"
        assert not job["concurrency"]["cancel-in-progress"]


@pytest.mark.parametrize(("workflow", "script"), SCRIPTS)
def test_every_make_target_that_is_run_exists(workflow: str, script: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"\bmake ([a-z]+)", script)) <= targets


def test_a_change_is_checked_tested_built_deployed_and_asked_in_this_order() -> None:
    done = [step["run"] for file in ("check.yml", "deploy-to.yml") for step in steps_of(file)]
    order = ["make check", "make test", "make build", "sam deploy", "make smoke"]

    found = [next(i for i, script in enumerate(done) if what in script) for what in order]

    assert found == sorted(found)


def steps_of(file: str) -> list[dict[str, Any]]:
    return [step for name, step in STEPS if name == file and "run" in step]


def test_prod_comes_after_staging_and_staging_after_the_checks() -> None:
    jobs = WORKFLOWS["deploy.yml"]["jobs"]

    assert jobs["staging"]["needs"] == "check"
    assert jobs["prod"]["needs"] == "staging"
    assert called(jobs["check"]) == WORKFLOWS["check.yml"]
    assert WORKFLOWS["deploy.yml"][ON]["push"]["branches"] == ["main"]


def test_a_pull_request_is_checked_and_never_deployed() -> None:
    asked = {name for name, workflow in WORKFLOWS.items() if "pull_request" in workflow[ON]}

    assert asked == {"check.yml"}
    assert not any(goes_to_aws(job) for job in WORKFLOWS["check.yml"]["jobs"].values())
    assert not any("pull_request_target" in workflow[ON] for workflow in WORKFLOWS.values())


def test_every_environment_that_is_deployed_is_one_of_samconfig() -> None:
    known = set(tomllib.loads((ROOT / "samconfig.toml").read_text()))
    named = {job["with"]["environment"] for job in JOBS.values() if "with" in job}

    assert named == {"staging", "prod"}
    assert named <= known


@pytest.mark.parametrize(("workflow", "action"), ACTIONS)
def test_every_action_has_a_version(workflow: str, action: str) -> None:
    assert re.fullmatch(r"[\w/-]+@(v\d+|[0-9a-f]{40})", action)


@pytest.mark.parametrize("job", JOBS.values(), ids=map("/".join, JOBS))
def test_a_job_that_runs_ends_by_itself(job: dict[str, Any]) -> None:
    assert "uses" in job or job["timeout-minutes"] <= 60


@pytest.mark.parametrize(("workflow", "script"), SCRIPTS)
def test_a_script_is_bash_and_gets_values_by_its_environment(workflow: str, script: str) -> None:
    assert "${{" not in script  # it would become part of the program
    subprocess.run(["/bin/bash", "-n", "-c", script], check=True)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_scripts_end_at_the_first_error_also_within_a_pipe(name: str) -> None:
    if steps_of(name):
        assert WORKFLOWS[name]["defaults"]["run"]["shell"] == "bash"


# The step that decides whether a missing champion is forgiven, run with a sam of our own


def step(name: str) -> str:
    (script,) = [step["run"] for step in steps_of("deploy-to.yml") if step.get("name") == name]
    return str(script)


@pytest.mark.parametrize(
    ("said", "code", "expected", "forgiven"),
    [
        ("[]", 0, 0, ""),
        (
            "Error: The input stack x does not exist on Cloudformation",
            1,
            0,
            "ALLOW_NO_CHAMPION=1\n",
        ),
        ("Error: outputs do not exist for the input stack x", 1, 1, ""),
        ("Error: Unable to locate credentials", 1, 1, ""),
    ],
)
def test_a_missing_champion_is_forgiven_only_at_the_first_deployment(
    tmp_path: Path, said: str, code: int, expected: int, forgiven: str
) -> None:
    sam = tmp_path / ".venv" / "bin" / "sam"
    sam.parent.mkdir(parents=True)
    sam.write_text(f"#!/bin/bash\necho '{said}' >&2\nexit {code}\n")
    sam.chmod(0o755)
    environment = tmp_path / "environment"
    environment.touch()

    ended = subprocess.run(
        ["/bin/bash", "-eo", "pipefail", "-c", step("See whether this is the first deployment")],
        cwd=tmp_path,
        env={"CONFIG_ENV": "staging", "GITHUB_ENV": str(environment)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == expected
    assert environment.read_text() == forgiven
    assert ("::error::" in ended.stdout) == bool(expected)
