"""Logs and metrics: structured, without bodies, credentials or query strings."""

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger(service="rollcall")
_metrics = Metrics(namespace="Rollcall", service="rollcall")


def count(name: str, **dimensions: str) -> None:
    """Add one to a metric, by CloudWatch's embedded format: a log line, no request."""
    for dimension, value in dimensions.items():
        _metrics.add_dimension(dimension, value)
    _metrics.add_metric(name, MetricUnit.Count, 1)
    _metrics.flush_metrics()
