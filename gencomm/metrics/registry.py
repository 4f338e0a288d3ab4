"""The metrics by name. To add a built-in one: its file, and one line here."""

from __future__ import annotations

from channels.registry import Registry
from channels.spec import Spec
from gencomm.metrics.base import Metric

METRICS = Registry(
    "gencomm.metrics",
    {
        "psnr": "gencomm.metrics.psnr:PSNR",
        "ssim": "gencomm.metrics.ssim:SSIM",
        "ms_ssim": "gencomm.metrics.ssim:MSSSIM",
        "lpips": "gencomm.metrics.lpips:LPIPS",
        "identity": "gencomm.metrics.identity:Identity",
        "identity_distance": "gencomm.metrics.identity:IdentityDistance",
        "frozen": "gencomm.metrics.temporal:Frozen",
        "lost": "gencomm.metrics.temporal:Lost",
        "flicker": "gencomm.metrics.temporal:Flicker",
        "recovery": "gencomm.metrics.temporal:Recovery",
    },
    "metric",
)


def make_metric(spec: str | Spec) -> Metric:
    """Build the metric that a spec such as ``ms_ssim`` describes."""
    return METRICS.create(spec)
