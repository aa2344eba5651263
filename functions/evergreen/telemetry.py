"""Logs, traces and metrics, the same for every function.

Metrics are counts with the endpoint as their only dimension of ours: each combination of
dimensions is billed as a metric of its own.
"""

from collections.abc import Callable
from typing import Any, cast

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

logger = Logger()
tracer = Tracer()


def observed(handler: Handler) -> Handler:
    """Log and trace a Lambda handler; what it is sent and what it answers stay out of both."""
    traced = tracer.capture_lambda_handler(handler, capture_response=False)
    return cast(Handler, logger.inject_lambda_context(traced, clear_state=True))


def measure(endpoint: str, **counts: float) -> None:
    """Write counts of one endpoint as CloudWatch metrics (EMF on standard output)."""
    metrics = EphemeralMetrics()
    metrics.add_dimension("endpoint", endpoint)
    for name, value in counts.items():
        metrics.add_metric(name, MetricUnit.Count, value)
    metrics.flush_metrics()
