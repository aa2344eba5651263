"""S3 and Firehose for the functions: moto's server, with a champion in it.

    with cloud.started() as (url, rows): ...

It answers in a thread of whoever measures, who waits meanwhile. The champion is trained by the real
train function.
"""

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import endpoints.flight_delay as flight_delay
from benchmarks.shown import BUILD
from evergreen.serving.model import JOBLIB
from local.cloud import resources
from local.cloud.server import served
from local.plane import stack
from local.plane.plane import Plane
from local.samples import flights
from local.template import load, physical_name, resolve

ENDPOINT = "flight-delay"
CANDIDATE = "logistic-regression"  # alone: what serves it is measured, and not which wins
PIPELINE = BUILD / "model.joblib"
ROW_COUNT = 1_000
MONTH = 2  # what is asked: flights of the month after the training data


def _alone(seed: int) -> dict[str, Any]:
    return {CANDIDATE: flight_delay.candidates(seed)[CANDIDATE]}


@contextmanager
def started() -> Iterator[tuple[str, list[Any]]]:
    """Create what the functions need, train, and write the pipeline; yield the URL and rows."""
    with served("127.0.0.1") as url:
        template = load({"AwsEndpointUrl": url})
        for bucket in template.of_type("AWS::S3::Bucket").values():
            bucket.pop("NotificationConfiguration", None)  # nobody listens, and moto takes its time
        resources.create(template)
        table = flights.flights()
        with tempfile.TemporaryDirectory() as scratch:
            file = flights.january(table, Path(scratch))
            stack.data().put(f"training/{ENDPOINT}/{file.name}", file.read_bytes())
        alone = replace(flight_delay.endpoint, candidates=_alone, search={})
        with patch.object(flight_delay, "endpoint", alone):
            Plane(template).invoke("TrainFunction", {"endpoint": ENDPOINT})
        registry = stack.registry()
        seen = registry.document(ENDPOINT)
        if seen is None:
            raise SystemExit(f"no version came of {CANDIDATE}")
        manifest = registry.known(ENDPOINT, seen.document.champion)
        PIPELINE.write_bytes(registry.artifact(manifest, JOBLIB))
        rows = flights.rows(table, list(manifest.schema["properties"]), MONTH)
        yield url, random.Random(0).sample(rows, ROW_COUNT)


def variables(translated: dict[str, Any], **parameters: str) -> dict[str, str]:
    """Return the environment that the template gives predict under some parameters."""
    function = resolve(translated, parameters).of_type("AWS::Lambda::Function")["PredictFunction"]
    given = {key: str(value) for key, value in function["Environment"]["Variables"].items()}
    return given | {
        "AWS_LAMBDA_FUNCTION_NAME": physical_name("PredictFunction"),
        "AWS_LAMBDA_LOG_FORMAT": function["LoggingConfig"]["LogFormat"],
        "AWS_LAMBDA_LOG_LEVEL": function["LoggingConfig"]["ApplicationLogLevel"],
    }
