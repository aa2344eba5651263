"""Logs and metrics, the same for every function; traces are Lambda's own.

Neither quotes a row, a label or a secret: a reason in them is what errors.worded says. Metrics have
two sets of dimensions, each billed: the service alone, at which alarms look, since they cannot name
endpoints that do not exist yet, and the service with the endpoint.
"""

import json
import logging
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from evergreen.contract.errors import unexpected

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

_as_json = partial(  # structs as objects, and all in ASCII: text of others must not end a line
    json.dumps, default=partial(msgspec.to_builtins, enc_hook=str), separators=(",", ":")
)
logger = Logger(json_serializer=_as_json)
logging.getLogger("botocore").setLevel(logging.WARNING)  # else each client is announced


def observed(handler: Handler) -> Handler:
    """Let each line that a Lambda handler logs name its invocation, and no error quote a row."""

    @wraps(handler)
    def guarded(event: dict[str, Any], context: Any) -> dict[str, Any]:
        try:
            return handler(event, context)
        except Exception as error:  # whatever it is, it is raised
            raise unexpected(error) from None

    return logger.inject_lambda_context(guarded, clear_state=True)


def measure(endpoint: str, about: Mapping[str, str] | None = None, /, **counts: float) -> None:
    """Write figures of one endpoint as CloudWatch metrics (EMF, a line on standard output).

    about: what else the line says, for those who read logs.
    """
    metrics = EphemeralMetrics()
    metrics.add_dimensions(service=str(metrics.service), endpoint=endpoint)
    for name, text in (about or {}).items():
        metrics.add_metadata(name, text)
    _write(metrics, counts)


def measure_stack(**counts: float) -> None:
    """Write figures that belong to no endpoint."""
    _write(EphemeralMetrics(), counts)


def _write(metrics: EphemeralMetrics, counts: Mapping[str, float]) -> None:
    for name, value in counts.items():
        metrics.add_metric(name, MetricUnit.Count, value)
    metrics.flush_metrics()  # it adds the set that is the service alone
