"""MiniStack, an emulator of AWS that nobody here wrote, on this machine alone, over TLS, with IAM.

It listens on 127.0.0.1. Containers cannot reach that, so what arrives at our end of Docker's bridge
is handed on to it for as long as it runs.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.cloud import ports
from local.cloud.ports import HOST
from local.plane import containers
from local.template import REGION, ROOT

MINISTACK = ROOT / ".ministack" / "bin" / "ministack"
INSIDE = "host.docker.internal"  # what MiniStack tells containers to call
NAMES = f"DNS:localhost,DNS:*.execute-api.localhost,DNS:{INSIDE},IP:{HOST}"
START_SECONDS = 60
PATIENT = Config(read_timeout=900, retries={"total_max_attempts": 1})


@dataclass(frozen=True)
class Emulator:
    """Where it answers, and what a command needs in its environment to ask it and not AWS."""

    port: int
    certificate: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def log(self) -> Path:
        return self.certificate.with_name("ministack.log")

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return kept | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CA_BUNDLE": str(self.certificate),
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",  # its root, who may do everything
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_MAX_ATTEMPTS": "1",
        }

    def client(self, service: str) -> Any:
        """Return a client of a service, as root."""
        made: Any = boto3.client  # of any service, by a name that is not written here
        return made(
            service,
            endpoint_url=self.url,
            verify=str(self.certificate),
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - nobody's
            config=PATIENT,
        )


@contextmanager
def started(folder: Path) -> Iterator[Emulator]:
    """Run MiniStack with a certificate of its own, until the end of the block."""
    (port,) = ports.free()
    emulator = Emulator(port, folder / "certificate.pem")
    key = certify(emulator.certificate)
    (folder / "state").mkdir()
    environment = emulator.environment | {
        "AUTH": "true",  # policies are enforced
        "USE_SSL": "1",
        "MINISTACK_SSL_CERT": str(emulator.certificate),
        "MINISTACK_SSL_KEY": str(key),
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "localhost",
        "MINISTACK_REGION": REGION,
        "LAMBDA_EXECUTOR": "docker",  # in Lambda's own runtime, those of zip files too
        "LAMBDA_STRICT": "1",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "TMPDIR": str(folder / "state"),
    }
    with emulator.log.open("w") as log:
        process = subprocess.Popen([str(MINISTACK)], env=environment, stdout=log, stderr=log)
    try:
        ports.wait_for("MiniStack", process, port, START_SECONDS)
        with reached_by_containers(port):
            yield emulator
    finally:
        process.kill()  # asked to end, it waits for its containers, and leaves them running
        process.wait()
        remove_containers(port)


def remove_containers(port: int) -> None:
    with closing(containers.client()) as docker:
        for one in docker.containers.list(all=True, filters={"label": "ministack=lambda"}):
            if one.labels["ministack.instance"].endswith(f":{port}"):
                one.remove(force=True)


def certify(certificate: Path) -> Path:
    """Write a certificate for every name by which it is asked, and return its key."""
    key = certificate.with_name("key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=ministack",
         "-addext", f"subjectAltName={NAMES}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return key


@contextmanager
def reached_by_containers(port: int) -> Iterator[None]:
    """Hand on what containers send to this port of the bridge to the same port of 127.0.0.1."""
    where = containers.address().host
    if where == HOST:
        yield  # Docker Desktop leads there by itself
        return
    command = [sys.executable, "-m", "tests.deploy.forward", where, str(port)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield
    finally:
        process.terminate()
        process.wait()
