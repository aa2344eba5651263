"""Runs the template's functions in containers of Lambda's runtime, over a moto that they reach."""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import IO, Any

import boto3
import docker
from botocore.config import Config
from docker.errors import DockerException, NotFound

from local import template
from local.cloud import ports, resources, server
from local.cloud.ports import HOST
from local.plane.plane import Plane
from local.plane.process import Process
from local.template import REGION, ROOT, Template

SAM = ROOT / ".venv" / "bin" / "sam"
BUILT = ROOT / ".aws-sam" / "build" / "template.yaml"
START_SECONDS = 120
STOP_SECONDS = 30
INVOKE_SECONDS = 900
ONCE = Config(read_timeout=INVOKE_SECONDS, retries={"total_max_attempts": 1})


class FunctionError(Exception):
    """What a function raised, as Lambda tells it."""


@dataclass(frozen=True)
class Address:
    """Where this machine listens so that containers can reach it, and what they call that."""

    host: str
    name: str

    def seen_by_containers(self, url: str) -> str:
        return url.replace(self.host, self.name)


def address() -> Address:
    """Return where a server for containers must listen: on Linux, at our end of Docker's bridge.

    Raises SystemExit that says what is wrong with Docker, and the way out.
    """
    with closing(client()) as docker_:
        if platform.system() != "Linux":
            return Address(HOST, "host.docker.internal")  # Docker Desktop leads there
        try:
            networks = docker_.networks.get("bridge").attrs["IPAM"]["Config"] or []
        except NotFound as error:
            way_out = "start its daemon without --bridge=none"
            raise SystemExit(f"Docker has no bridge network: {way_out}") from error
    for network in networks:
        subnet = ip_network(network["Subnet"])
        if subnet.version == 4:  # a fresh engine names no gateway, and takes the first address
            host = network.get("Gateway") or str(next(subnet.hosts()))
            return Address(host, host)
    raise SystemExit("Docker's bridge network has no IPv4: see `docker network inspect bridge`")


def client() -> Any:
    """Return a client of Docker that has had an answer; SystemExit says why there is none."""
    try:
        return docker.from_env()
    except DockerException as error:
        raise SystemExit(_why_silent(error)) from error


def _why_silent(error: BaseException) -> str:
    """Return what is wrong with Docker, of which its library's error is a symptom."""
    cause = error
    while further := cause.__cause__ or cause.__context__:
        cause = further
    match cause:
        case PermissionError():
            way_out = "`sudo usermod -aG docker $USER`, then log in again"
            return f"you may not use Docker's socket: {way_out}"
        case FileNotFoundError() if shutil.which("docker") is None:
            return "Docker is not installed: see https://docs.docker.com/get-docker/"
        case FileNotFoundError() | ConnectionRefusedError():
            where = os.environ.get("DOCKER_HOST")
            at = f" at DOCKER_HOST={where}" if where else ""
            way_out = "`sudo systemctl start docker`, or start Docker Desktop"
            return f"Docker's daemon is not running{at}: {way_out}"
    return f"Docker does not answer ({error}): see `docker info`"


def check_built() -> None:
    """Raise SystemExit that says what to do unless everything is built, from the sources of now."""
    if not BUILT.is_file():
        raise SystemExit("nothing is built yet: run `make build`")
    code = [*(ROOT / "functions").rglob("*.py"), *(ROOT / "layers").rglob("*")]
    newest = max([ROOT / "template.yaml", *code], key=lambda path: path.stat().st_mtime)
    if newest.stat().st_mtime > BUILT.stat().st_mtime:
        changed = newest.relative_to(ROOT)
        raise SystemExit(f"{changed} has changed since the build: run `make build`")


def write_environment(template: Template, file: Path) -> None:
    """Write the variables of each function for --env-vars: sam knows no resource by its name."""
    functions = template.of_type("AWS::Lambda::Function").items()
    variables = {name: found["Environment"]["Variables"] for name, found in functions}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(variables, indent=2) + "\n")


@contextmanager
def deployed(
    environment: Path, log: IO[str] | None = None, port: int = 0, /, **parameters: str
) -> Iterator[Plane]:
    """Deploy the template into a moto that containers reach, and write their `--env-vars`.

    The functions run in this process all the same, until the plane gets another runtime. Raises
    SystemExit where Docker does not answer, nothing is built, or the port is in use.
    """
    check_built()
    where = address()
    with server.served(where.host, port) as url:
        translated, seen = template.translate(), where.seen_by_containers(url)
        here = template.resolve(translated, {**parameters, "AwsEndpointUrl": url})
        there = template.resolve(translated, {**parameters, "AwsEndpointUrl": seen})
        resources.create(here)
        write_environment(there, environment)
        yield Plane(here, log, runtime=Process(log))


@dataclass(frozen=True)
class Containers:
    """Functions behind `sam local start-lambda`."""

    url: str

    @cached_property
    def _client(self) -> Any:
        return boto3.client(
            "lambda",
            endpoint_url=self.url,
            config=ONCE,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # noqa: S106 - nobody's
        )

    def invoke(self, function: str, _: dict[str, Any], event: Any, __: str) -> Any:
        """Invoke a function and wait for its answer; FunctionError with what it raised."""
        answer = self._client.invoke(FunctionName=function, Payload=json.dumps(event).encode())
        body = json.loads(answer["Payload"].read() or b"null")
        if isinstance(body, dict) and {"errorType", "errorMessage"} <= set(body):
            raise FunctionError(f"{body['errorType']}: {body['errorMessage']}")
        return body


@contextmanager
def started(environment: Path, log: IO[str], **parameters: str) -> Iterator[Containers]:
    """Run the functions behind `sam local start-lambda`, until the end of the block."""
    command = [str(SAM), "local", "start-lambda", "--env-vars", str(environment)]
    if overrides := [f"{name}={value}" for name, value in parameters.items()]:
        command += ["--parameter-overrides", *overrides]
    with listening(command, log) as url:
        yield Containers(url)


@contextmanager
def listening(command: list[str], log: IO[str]) -> Iterator[str]:
    """Run `sam local start-lambda` or `start-api` at a free port, and yield its URL."""
    (port,) = ports.free()
    command = [*command, "--host", HOST, "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        ports.wait_for("sam local", process, port, START_SECONDS)
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()  # and sam stops its containers
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:  # as when it was still starting, and had none
            process.kill()
            process.wait()
