"""Logs and metrics, the same for every function; traces are Lambda's own.

Metrics have two sets of dimensions: the service alone, at which alarms look, since they cannot
name endpoints that do not exist yet, and the service with the endpoint. Each is billed as a metric
of its own, so there is no third.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

logger = Logger(json_default=partial(msgspec.to_builtins, enc_hook=str))  # structs as objects
logging.getLogger("botocore").setLevel(logging.WARNING)  # else each client is announced


def observed(handler: Handler) -> Handler:
    """Let each line that a Lambda handler logs name its invocation."""
    return logger.inject_lambda_context(handler, clear_state=True)


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
