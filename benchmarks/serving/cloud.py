"""S3 and Firehose for the functions: moto's server in a process of its own, with a champion in it.

    with cloud.started(folder) as url: ...

The server shares no interpreter with whoever measures. The champion is trained by the real train
function; its scikit-learn pipeline and the rows to ask for are written to the folder.
"""

import json
import multiprocessing
import random
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import endpoints.flight_delay as flight_delay
from evergreen.serving.model import JOBLIB
from local.cloud import resources
from local.cloud.server import served
from local.plane import stack
from local.plane.plane import Plane
from local.samples import flights
from local.template import load, physical_name, resolve

ENDPOINT = "flight-delay"
CANDIDATE = "logistic-regression"  # alone: what serves it is measured, and not which wins
PIPELINE = "model.joblib"
ROWS = "rows.json"
ROW_COUNT = 1_000
STOP_SECONDS = 10
MONTH = 2  # what is asked: flights of the month after the training data


@contextmanager
def started(folder: Path) -> Iterator[str]:
    """Start the server, train a champion, and yield the server's URL; stop it at the end."""
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe()
    process = context.Process(target=_serve, args=(folder, its))
    process.start()
    its.close()  # ours is then the only other end: each notices when the other is gone
    try:
        try:
            url = ours.recv()
        except EOFError:
            raise SystemExit("the server did not start: its error stands above") from None
        yield url
    finally:
        ours.close()
        process.join(STOP_SECONDS)
        process.kill()


def _serve(folder: Path, its: Connection) -> None:
    """Serve until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever measures
    with served("127.0.0.1") as url:
        prepare(url, folder)
        its.send(url)
        its.poll(None)


def _alone(seed: int) -> dict[str, Any]:
    return {CANDIDATE: flight_delay.candidates(seed)[CANDIDATE]}


def prepare(url: str, folder: Path) -> None:
    """Create what the functions need, train, and write the pipeline and the rows."""
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
    manifest = registry.manifest(ENDPOINT, seen.document.champion) if seen else None
    if manifest is None:
        raise SystemExit(f"no version came of {CANDIDATE}")
    (folder / PIPELINE).write_bytes(registry.artifact(manifest, JOBLIB))
    rows = flights.rows(table, list(manifest.schema["properties"]), MONTH)
    (folder / ROWS).write_text(json.dumps(random.Random(0).sample(rows, ROW_COUNT)))


def variables(translated: dict[str, Any], **parameters: str) -> dict[str, str]:
    """Return the environment that the template gives predict under some parameters."""
    function = resolve(translated, parameters).of_type("AWS::Lambda::Function")["PredictFunction"]
    given = {key: str(value) for key, value in function["Environment"]["Variables"].items()}
    logging_ = function["LoggingConfig"]
    return given | {
        "AWS_LAMBDA_FUNCTION_NAME": physical_name("PredictFunction"),
        "AWS_LAMBDA_LOG_FORMAT": logging_["LogFormat"],
        "AWS_LAMBDA_LOG_LEVEL": logging_["ApplicationLogLevel"],
    }
