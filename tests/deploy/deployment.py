"""Deploys the built template to MiniStack with `sam deploy`, and finds what came of it."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.auth import SigV4Auth
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session
from samcli.yamlhelper import yaml_dump, yaml_parse

from cli.api import Api
from local import template
from local.plane import containers
from local.template import REGION, ROOT
from tests.deploy.changes import IMAGE, changed
from tests.deploy.emulator import Emulator

BUILT_IMAGE = "compactfunction:training"
NAMES = ROOT / "tests" / "deploy" / "names"
WAIT_SECONDS = 180
ROOT_KEY = Credentials("test", "test")


@dataclass(frozen=True)
class Stack:
    """A stack that was deployed."""

    emulator: Emulator
    name: str

    @cached_property
    def outputs(self) -> dict[str, str]:
        (found,) = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        return {one["OutputKey"]: one["OutputValue"] for one in found["Outputs"]}

    @cached_property
    def resources(self) -> dict[str, str]:
        found = self._cloudformation.describe_stack_resources(StackName=self.name)
        return {
            one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found["StackResources"]
        }

    @cached_property
    def _cloudformation(self) -> Any:
        return self.emulator.client("cloudformation")

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Return what lies in a bucket of the outputs."""
        listed = self.emulator.client("s3").list_objects_v2(
            Bucket=self.outputs[bucket], Prefix=prefix
        )
        return [one["Key"] for one in listed.get("Contents", [])]

    def api(self, credentials: Credentials = ROOT_KEY) -> Api:
        """Return its API as one identity sees it, root where none is named."""
        ca: Any = str(self.emulator.certificate)  # which its stubs do not know
        trusted = URLLib3Session(verify=ca, timeout=90)
        signature = SigV4Auth(credentials, "execute-api", REGION)
        return Api(self.outputs["ApiUrl"], "signed", trusted, signature)

    def run(self, *command: str, **credentials: str) -> subprocess.CompletedProcess[str]:
        """Run one of the project's commands against the stack, as root or as who is named."""
        return subprocess.run(
            [str(ROOT / ".venv" / "bin" / command[0]), *command[1:]],
            cwd=ROOT, capture_output=True, text=True, timeout=300,
            env=self.emulator.environment | credentials
            | {"PYTHONPATH": f"{NAMES}:functions:.", "EVERGREEN_URL": self.outputs["ApiUrl"]},
        )  # fmt: skip


def deploy(emulator: Emulator, name: str, folder: Path, **literals: str) -> Stack:
    """Deploy what was built, with the changes for MiniStack, and other literals of Globals."""
    subprocess.run(["docker", "tag", BUILT_IMAGE, IMAGE], check=True, capture_output=True)
    written = changed(yaml_parse(containers.BUILT.read_text()), template.translate())
    written["Globals"]["Function"]["Environment"]["Variables"].update(literals)
    file = containers.BUILT.with_name("ministack.yaml")  # its paths are relative to that folder
    file.write_text(yaml_dump(written))
    configuration = folder / "samconfig.toml"
    configuration.write_text("version = 0.1\n")  # ours would have sam make image repositories
    done = subprocess.run(
        [str(containers.SAM), "deploy", "--template-file", str(file),
         "--config-file", str(configuration), "--stack-name", name, "--region", REGION,
         "--capabilities", "CAPABILITY_IAM", "--resolve-s3", "--s3-prefix", name,
         "--image-repository", IMAGE.partition(":")[0], "--no-confirm-changeset",
         "--no-progressbar"],
        cwd=ROOT, capture_output=True, text=True,
        env=emulator.environment | {"SAM_CLI_TELEMETRY": "0"},
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return Stack(emulator, name)


def eventually[Found](look: Callable[[], Found]) -> Found:
    """Return the first answer that is something, of what happens in other processes."""
    until = time.monotonic() + WAIT_SECONDS
    while not (found := look()):
        assert time.monotonic() < until, f"nothing after {WAIT_SECONDS} s"
        time.sleep(0.5)
    return found
