"""Metrics: how near a received value is to the original."""

from gencomm.metrics.base import Metric, decibels
from gencomm.metrics.panel import Panel
from gencomm.metrics.registry import METRICS, make_metric

__all__ = ["METRICS", "Metric", "Panel", "decibels", "make_metric"]
