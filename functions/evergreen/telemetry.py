"""Logs and metrics, the same for every function; traces are Lambda's own.

Metrics are counts with the endpoint as their only dimension of ours: each combination of
dimensions is billed as a metric of its own.
"""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

logger = Logger()


def observed(handler: Handler) -> Handler:
    """Let each line that a Lambda handler logs name its invocation."""
    return logger.inject_lambda_context(handler, clear_state=True)


def measure(endpoint: str, **counts: float) -> None:
    """Write counts of one endpoint as CloudWatch metrics (EMF on standard output)."""
    metrics = EphemeralMetrics()
    metrics.add_dimension("endpoint", endpoint)
    for name, value in counts.items():
        metrics.add_metric(name, MetricUnit.Count, value)
    metrics.flush_metrics()
