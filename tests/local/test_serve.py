import http.client
import io
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from rich.console import Console

from evergreen.aws.s3 import Store
from evergreen.captures.examples import times_of
from evergreen.contract import endpoint_files
from evergreen.registry.manifest import Manifest
from evergreen.registry.state import Document
from local import serve, template
from local.demo.by_hand import ByHand
from local.demo.life import Step
from local.plane import stack, training_rows
from local.plane.gateway import Answer
from local.plane.plane import Plane
from tests.support import given
from tests.support.servers import running

JSON = {"Content-Type": "application/json"}
EXAMPLE = (template.ROOT / "events" / "bodies" / "flight-delay.json").read_bytes()


@pytest.fixture
def connection(plane: Plane) -> Iterator[http.client.HTTPConnection]:
    with running(serve.Server((serve.HOST, 0), serve.handler_of(plane))) as port:
        client = http.client.HTTPConnection(serve.HOST, port, timeout=30)
        yield client
        client.close()


def test_the_command_of_the_readme_is_answered(
    plane: Plane, connection: http.client.HTTPConnection, quick: None, data: Store
) -> None:
    given.upload(data)
    plane.settle()

    connection.request("POST", "/endpoints/flight-delay/predict", EXAMPLE, JSON)
    answer = connection.getresponse()

    predictions = json.loads(answer.read())["predictions"]
    assert answer.status == 200
    assert [set(prediction) - {"unseen"} for prediction in predictions] == [
        {"id", "label", "score"}
    ] * 2


def test_the_command_that_is_shown_has_rows_that_the_champion_takes(
    plane: Plane, champion: Manifest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(serve, "BUILD", tmp_path)
    monkeypatch.setattr(template, "ROOT", tmp_path)

    said = serve.example(8_000, "flight-delay")

    body = (tmp_path / said.partition("-d @")[2]).read_bytes()
    answer = plane.request("POST", "/endpoints/flight-delay/predict", body, JSON)
    assert answer.status == 200
    assert len(answer.json()["predictions"]) == 2


def test_a_body_over_the_limit_of_the_gateway_is_refused_without_being_read(
    connection: http.client.HTTPConnection,
) -> None:
    connection.putrequest("POST", "/endpoints/flight-delay/predict")
    connection.putheader("Content-Length", str(serve.MAX_BYTES + 1))
    connection.endheaders()

    assert connection.getresponse().status == 413


@pytest.mark.parametrize("length", ["-1", "many", "1e3"])
def test_a_length_that_is_not_one_is_refused(
    connection: http.client.HTTPConnection, length: str
) -> None:
    connection.putrequest("POST", "/endpoints/flight-delay/predict")
    connection.putheader("Content-Length", length)
    connection.endheaders()

    assert connection.getresponse().status == 411


def test_one_connection_serves_many_requests(connection: http.client.HTTPConnection) -> None:
    for method, path, status in (("GET", "/endpoints", 200), ("DELETE", "/endpoints", 404)):
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()

        assert answer.status == status


def test_a_crowd_that_connects_at_once_is_let_in_before_anybody_is_answered(plane: Plane) -> None:
    with serve.Server((serve.HOST, 0), serve.handler_of(plane)) as server, ExitStack() as crowd:
        address = (serve.HOST, server.server_port)

        for _ in range(100):  # with the backlog of http.server all but a few would wait in vain
            crowd.enter_context(socket.create_connection(address, timeout=2))


def test_what_was_recorded_is_kept_in_a_folder(plane: Plane, data: Store, tmp_path: Path) -> None:
    data.put("captures/2026/11/23/16/some", b"a capture")
    data.put("labels/2026/11/23/16/some", b"a label")
    data.put("training/flight-delay/some.csv", b"not asked for")

    serve.keep(tmp_path)

    kept = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {str(file.relative_to(tmp_path)): file.read_bytes() for file in kept} == {
        "captures/2026/11/23/16/some": b"a capture",
        "labels/2026/11/23/16/some": b"a label",
    }


def moments(table: pd.DataFrame) -> npt.NDArray[np.datetime64]:
    return np.sort(times_of(table.rename(columns={"time_hour": "time"})))


def test_the_first_part_trains_a_champion_and_all_of_it_a_candidate(
    plane: Plane, quick: None, tmp_path: Path
) -> None:
    table, file = given.table(), tmp_path / "all.csv"
    file.write_bytes(given.csv(table))
    console = Console(record=True, file=io.StringIO(), width=200)

    serve.train(plane, given.NAME, file, moments(table), console)

    champion, candidate = (
        stack.registry().manifest(given.NAME, version)
        for version, status in document().statuses.items()
        if status in ("champion", "candidate")
    )
    assert champion
    assert candidate
    assert champion.lineage.data_rows < candidate.lineage.data_rows == len(table)
    assert champion.lineage.data_end < datetime(2013, 1, 26, tzinfo=UTC)
    assert f"A candidate waits beside it: {candidate.version}" in console.export_text()


def document() -> Document:
    seen = stack.registry().document(given.NAME)
    assert seen
    return seen.document


def test_data_that_no_model_comes_of_ends_with_the_reason(
    plane: Plane, quick: None, tmp_path: Path
) -> None:
    table, file = given.table(50), tmp_path / "few.csv"
    file.write_bytes(given.csv(table))
    console = Console(record=True, file=io.StringIO(), width=200)

    with pytest.raises(SystemExit, match="50 labelled rows are fewer"):
        serve.train(plane, given.NAME, file, moments(table), console)

    assert "The first part alone makes no model:" in console.export_text()


def test_the_later_rows_of_the_first_file_are_hidden_and_those_of_other_files_are_not() -> None:
    table = given.table()
    start = datetime(2013, 1, 20, tzinfo=UTC)

    with training_rows.hidden(given.NAME, start):
        examples = endpoint_files.load(given.NAME).examples
        for _ in range(2):
            assert examples(table)["time"].max() < "2013-01-20"
        assert len(examples(table.tail(50))) == 50
        assert examples(table)["time"].max() < "2013-01-20"

    assert len(endpoint_files.load(given.NAME).examples(table)) == len(table)


# What this machine alone has


def local(by_hand: ByHand, body: bytes = b"", path: str = "/local/clock", **headers: str) -> Answer:
    method = "POST" if path == "/local/clock" else "PUT"
    return by_hand.answer(method, path, {"Host": "127.0.0.1:8000"} | headers, body)


def test_a_clock_that_is_moved_fires_schedules_and_goes_no_further(by_hand: ByHand) -> None:
    before = datetime.now(UTC)

    answer = local(by_hand, b'{"seconds": 64800}')  # to six in the morning

    assert answer.status == 200
    assert datetime.now(UTC) == before + timedelta(hours=18)
    assert by_hand.replayed.plane.account["processed"] >= 18


@pytest.mark.parametrize(
    ("body", "path", "headers", "status", "said"),
    [
        (b'{"seconds": -1}', "/local/clock", {}, 400, "forward"),
        (b'{"seconds": 86401}', "/local/clock", {}, 400, "a day at once at most"),
        (b'{"seconds": 1e999}', "/local/clock", {}, 400, ""),
        (b'{"hours": 1}', "/local/clock", {}, 400, "hours"),
        (b"{", "/local/clock", {}, 400, ""),
        (b"{}", "/local/clock", {"Host": "evil.example"}, 403, "programs on this machine"),
        (b"{}", "/local/clock", {"Host": "127.0.0.1.evil.example"}, 403, "programs"),
        (b"{}", "/local/clock", {"Origin": "http://127.0.0.1:8000"}, 403, "programs"),
        (b"a,b", "/local/training/flight-delay/a.csv", {"origin": "null"}, 403, "programs"),
        (b"a,b", "/local/training/flight/a.csv", {}, 404, "no endpoint here, only air-time"),
        (b"a,b", "/local/training/flight-delay/../a.csv", {}, 404, "no such route"),
    ],
)
def test_what_this_machine_alone_has_is_refused_to_others(
    by_hand: ByHand, data: Store, body: bytes, path: str, headers: dict[str, str], status: int,
    said: str,
) -> None:  # fmt: skip
    before = datetime.now(UTC)

    answer = local(by_hand, body, path, **headers)

    assert (answer.status, datetime.now(UTC)) == (status, before)
    assert said in answer.json()["error"]["message"]
    assert not list(data.keys("training/"))


def test_rows_are_asked_for_as_the_clock_gets_there_and_their_labels_reported(
    champion: Manifest, by_hand: ByHand, data: Store
) -> None:
    row, at = given.row(), datetime.now(UTC)
    times = [at + timedelta(hours=hours) for hours in (1, 2, 30)]
    steps = [
        Step(time, time + timedelta(hours=3), time.date(), [row], np.array([True]))
        for time in times
    ]
    life = ByHand(by_hand.replayed, iter(steps), lambda _: None)

    asked = [local(life, b'{"seconds": %d}' % seconds).json() for seconds in (7_200, 3_600, 7_200)]

    assert [each["next_rows"] for each in asked] == [f"{times[2]:%Y-%m-%dT%H:%M:%SZ}"] * 3
    assert life.replayed.answered == 2
    assert life.replayed.labels == 2
    assert len(list(data.keys("captures/"))) == 2


# How it begins and ends


def test_a_port_that_is_taken_is_named_before_anything_is_trained() -> None:
    with (
        serve.listening(0) as taken,
        pytest.raises(SystemExit, match=f"port {taken.server_port} cannot be used"),
    ):
        serve.listening(taken.server_port)


@pytest.mark.slow
@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGTERM] * 2, [signal.SIGINT]])
def test_a_signal_ends_it_also_while_a_training_goes_on(signals: list[signal.Signals]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True, cwd=template.ROOT
    ) as process:
        assert process.stdout
        assert any("fitting" in line for line in process.stdout)
        for each in signals:
            process.send_signal(each)

        assert process.wait(20) == 0

        assert "Stopped." in process.stdout.read()  # which ends as no child of it has it open


ENDLESS = """
import multiprocessing, sys, time
from types import SimpleNamespace
from rich.console import Console
from evergreen.training import isolation
from local import serve

def pass_by():
    with life._lock:
        isolation.run(lambda: (print("fitting", flush=True), time.sleep(60)), 60)

life = serve.ByHand(SimpleNamespace(hearing=[]), iter(()), print)
life.pass_by, serve.TICK_SECONDS, serve.PATIENCE_SECONDS = pass_by, 0.0, 0.1
serve.until_stopped(life, serve.listening(0), Console(file=sys.stdout), None)
"""


def test_the_api_is_shown_on_this_machine_and_asks_no_other(url: str) -> None:
    there = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    found = {}
    for path in ("/docs", "/docs/swagger-ui.js", "/docs/swagger-ui.css", "/docs/start.js"):
        there.request("GET", path)
        answer = there.getresponse()
        found[path] = answer.read().decode()
        assert answer.status == 200
        assert "default-src 'self'" in (answer.getheader("content-security-policy") or "")
    there.request("GET", "/docs/other")
    assert there.getresponse().status == 404
    there.close()

    assert "://" not in found["/docs"]
    assert all(f'"{path}"' in found["/docs"] for path in list(found)[1:])
    assert len(found["/docs/swagger-ui.js"]) > 500_000
    assert '"/openapi.json"' in found["/docs/start.js"]
