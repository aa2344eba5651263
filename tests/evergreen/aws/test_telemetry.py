"""The lines that CloudWatch turns into metrics, as they are written."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from evergreen.aws.telemetry import logger, measure, measure_stack
from evergreen.registry.state import Decision


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "evergreen-prod")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Evergreen")


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what reads the one line that was written, and what it declares as metrics."""

    def read() -> tuple[dict[str, Any], dict[str, Any]]:
        line = json.loads(capsys.readouterr().out)
        (declared,) = line["_aws"]["CloudWatchMetrics"]
        return line, declared

    return read


def test_a_figure_of_an_endpoint_is_a_metric_of_the_stack_and_one_of_the_endpoint(
    written: Any,
) -> None:
    measure("flight-delay", {"version": "v1"}, Predictions=2, UnseenShare=0.5)

    line, declared = written()
    assert declared["Namespace"] == "Evergreen"
    assert declared["Dimensions"] == [["service"], ["service", "endpoint"]]
    assert [metric["Name"] for metric in declared["Metrics"]] == ["Predictions", "UnseenShare"]
    assert (line["service"], line["endpoint"]) == ("evergreen-prod", "flight-delay")
    assert (line["Predictions"], line["UnseenShare"]) == ([2.0], [0.5])


def test_what_else_a_line_says_is_for_readers_and_no_dimension(written: Any) -> None:
    measure("flight-delay", {"version": "v1"}, Predictions=1)

    line, declared = written()
    assert line["version"] == "v1"
    assert not any("version" in names for names in declared["Dimensions"])


def test_a_figure_of_no_endpoint_is_one_metric_of_the_stack(written: Any) -> None:
    measure_stack(ChecksRun=1)

    line, declared = written()
    assert declared["Dimensions"] == [["service"]]
    assert "endpoint" not in line
    assert line["ChecksRun"] == [1.0]


def test_nothing_of_a_line_is_left_for_the_next(written: Any) -> None:
    measure("flight-delay", {"version": "v1"}, Predictions=1)
    written()

    measure_stack(ChecksRun=1)

    line, declared = written()
    assert not {"endpoint", "version", "Predictions"} & set(line)
    assert declared["Dimensions"] == [["service"]]


def test_a_decision_is_logged_as_an_object_of_which_the_dashboard_shows_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    time = datetime(2013, 2, 1, tzinfo=UTC)
    promoted = Decision(
        generation=1, type="promoted", version="v", previous=None, time=time, by="me", reason="so"
    )

    logger.info("decided", extra={"endpoint": "flight-delay", "decision": promoted})

    said = json.loads(stream.getvalue())["decision"]
    assert (said["type"], said["by"], said["time"]) == ("promoted", "me", "2013-02-01T00:00:00Z")
