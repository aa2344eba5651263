"""Where Docker does not answer, or its bridge leads nowhere, it is said what is wrong."""

import gc
import json
import os
import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import docker
import pytest

from local.plane import containers
from local.plane.containers import Address
from tests.support.servers import Answered, Asked, listening


def bridge(*networks: dict[str, str]) -> Answered:
    return Answered(json.dumps({"IPAM": {"Config": networks or None}}).encode())


@contextmanager
def daemon(answer: Answered) -> Iterator[None]:
    """Play Docker's daemon, which answers this when asked for its bridge."""

    def answered(asked: Asked) -> Answered:
        if asked.path.endswith("/version"):
            return Answered(
                json.dumps({"ApiVersion": docker.constants.DEFAULT_DOCKER_API_VERSION}).encode()
            )
        assert asked.path.endswith("/networks/bridge"), asked.path
        return answer

    with listening(answered) as address, patch.dict(os.environ, DOCKER_HOST=f"tcp://{address}"):
        yield


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (
            Answered(b'{"message": "network bridge not found"}', 404),
            "Docker has no bridge network:",
        ),
        (bridge(), "Docker's bridge network has no IPv4:"),
        (bridge({"Subnet": "fd00::/64"}), "Docker's bridge network has no IPv4:"),
    ],
    ids=["no bridge", "a bridge without addresses", "IPv6 alone"],
)
def test_a_bridge_that_leads_nowhere_is_what_it_says_is_wrong(
    answer: Answered, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")

    with daemon(answer), pytest.raises(SystemExit) as caught:
        containers.address()

    assert str(caught.value).startswith(wrong)


def unheard(path: Path) -> None:
    """Leave a socket that nobody listens at, as a daemon does that was killed."""
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))
    path.chmod(0o777)


def forbidden(path: Path) -> None:
    unheard(path)
    path.chmod(0)


@contextmanager
def nobody() -> Iterator[None]:
    """Have no right to what is root's, also where root runs the tests."""
    user = os.geteuid()
    os.seteuid(user or 65_534)
    try:
        yield
    finally:
        os.seteuid(user)


def refusal() -> str:
    """Return why there is no client; the sockets that Docker's library leaves open are closed."""
    try:
        containers.client().close()
        return "it answers"
    except SystemExit as error:
        return str(error)
    finally:
        gc.collect()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # see `refusal`
@pytest.mark.parametrize(
    ("leave", "installed", "wrong"),
    [
        (lambda _: None, False, "Docker is not installed: "),
        (lambda _: None, True, "Docker's daemon is not running at DOCKER_HOST=unix:"),
        (unheard, True, "Docker's daemon is not running at DOCKER_HOST=unix:"),
        (forbidden, True, "you may not use Docker's socket: "),
    ],
    ids=["not installed", "no socket", "no daemon", "no right"],
)
def test_where_docker_does_not_answer_it_says_why(
    leave: Callable[[Path], None], installed: bool, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # a socket's path is short
        folder = Path(short)
        folder.chmod(0o755)
        leave(folder / "docker.sock")
        if installed:
            (folder / "docker").touch(0o755)
        monkeypatch.setenv("PATH", short)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{folder / 'docker.sock'}")

        with nobody():
            found = refusal()

    assert found.startswith(wrong)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # see `refusal`
def test_what_else_docker_says_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(lambda _: Answered(b"no", 500)) as address:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{address}")

        found = refusal()

    assert re.match(r"Docker does not answer \(.*500.*\): see", found)


@pytest.mark.parametrize(
    ("system", "networks", "host", "name"),
    [
        ("Linux", [{"Subnet": "172.17.0.0/16"}], "172.17.0.1", "172.17.0.1"),
        ("Linux", [{"Subnet": "fd00::/64"}, {"Subnet": "10.1.0.0/24", "Gateway": "10.1.0.9"}],
         "10.1.0.9", "10.1.0.9"),
        ("Darwin", [], "127.0.0.1", "host.docker.internal"),
        ("Windows", [], "127.0.0.1", "host.docker.internal"),
    ],
)  # fmt: skip
def test_a_server_listens_where_containers_reach_it(
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    networks: list[dict[str, str]],
    host: str,
    name: str,
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)

    with daemon(bridge(*networks)):
        found = containers.address()

    assert found == Address(host, name)
    assert found.seen_by_containers(f"http://{host}:5555") == f"http://{name}:5555"
