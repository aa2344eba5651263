import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from evergreen.aws.s3 import Store
from local import serve
from local.plane.plane import Plane
from local.samples import flights
from local.template import ROOT
from tests.support import given

EXAMPLE = (ROOT / serve.EXAMPLE).read_bytes()


@pytest.fixture
def connection(plane: Plane) -> Iterator[http.client.HTTPConnection]:
    server = serve.Server((serve.HOST, 0), serve.handler_of(plane))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    client = http.client.HTTPConnection(serve.HOST, server.server_port, timeout=30)
    yield client
    client.close()
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_command_of_the_readme_is_answered(
    plane: Plane, connection: http.client.HTTPConnection, quick: None, data: Store
) -> None:
    given.upload(data)
    plane.settle()

    connection.request(
        "POST", "/endpoints/flight-delay/predict", EXAMPLE, {"Content-Type": "application/json"}
    )
    answer = connection.getresponse()

    predictions = json.loads(answer.read())["predictions"]
    assert answer.status == 200
    assert [set(prediction) - {"unseen"} for prediction in predictions] == [
        {"id", "label", "score"}
    ] * 2


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


def test_data_that_no_model_comes_of_ends_with_the_reason(
    plane: Plane, quick: None, tmp_path: Path
) -> None:
    file = tmp_path / "few.csv"
    file.write_bytes(given.csv(given.table(50)))

    with pytest.raises(SystemExit, match="50 labelled rows are fewer"):
        serve.train(plane, given.NAME, file, tmp_path, Console(quiet=True))


def test_january_moves_by_whole_weeks_to_those_before_today() -> None:
    table = pd.DataFrame(
        {"month": [1, 1, 2], "time_hour": [f"2013-{day}T10:00:00Z" for day in MOVED]}
    )
    now = datetime(2026, 11, 23, 16, tzinfo=UTC)

    times = pd.to_datetime(flights.moved(table, now)["time_hour"])

    assert times.dt.day_of_week.tolist() == [1, 3]  # a Tuesday and a Thursday, as in 2013
    assert times.dt.hour.tolist() == [10, 10]
    assert timedelta(0) <= now - times.max() < timedelta(weeks=1)


MOVED = ("01-01", "01-31", "02-01")
