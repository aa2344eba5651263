"""Logs and metrics, the same for every function; traces are Lambda's own.

Metrics are counts with the endpoint as their only dimension of ours: each combination of
dimensions is billed as a metric of its own.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

logger = Logger()
logging.getLogger("botocore").setLevel(logging.WARNING)  # else each client is announced


def observed(handler: Handler) -> Handler:
    """Let each line that a Lambda handler logs name its invocation."""
    return logger.inject_lambda_context(handler, clear_state=True)


def measure(endpoint: str, about: Mapping[str, str] | None = None, /, **counts: float) -> None:
    """Write counts of one endpoint as CloudWatch metrics (EMF, a line on standard output).

    about: what else the line says, for those who read logs.
    """
    metrics = EphemeralMetrics()
    metrics.add_dimension("endpoint", endpoint)
    for name, text in (about or {}).items():
        metrics.add_metadata(name, text)
    for name, value in counts.items():
        metrics.add_metric(name, MetricUnit.Count, value)
    metrics.flush_metrics()
