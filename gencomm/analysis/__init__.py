"""From rows to tables: curves with intervals, resilience, paired comparisons.

Rows and cells are the DataFrames of `gencomm.load_run` and `gencomm.load_cells`; columns that are
not needed do no harm, so frames from elsewhere serve as well.

How things are averaged
-----------------------
A quality is the mean over an item's trials, then the mean over items: every item counts the same
however many trials it got. PSNR is averaged in dB. Trials without a picture count with the quality
of the concealment; their share is a quantity of its own, the outage rate.

Intervals of quality are bootstrapped by item (trials on one item are not independent of each
other): whole items are drawn with all their trials. Intervals of a rate are Wilson's.

Where most trials of a cell would be hit by nothing, a sweep draws hits only, and their rows carry
the probability of a hit as ``weight``. Everything here is a mean over all noise: such rows are
taken through :func:`over_all_noise` first, and intervals shrink by the weight.
"""

from gencomm.analysis.bd import bd, bd_items, quality_scale, readable_bd
from gencomm.analysis.bootstrap import Bootstrap
from gencomm.analysis.columns import axes, metrics_of, series_labels, series_of
from gencomm.analysis.curves import curves
from gencomm.analysis.envelope import cliffs, envelope
from gencomm.analysis.paired import paired
from gencomm.analysis.ratios import resilience_ratios
from gencomm.analysis.resilience import readable, resilience
from gencomm.analysis.weighting import over_all_noise

__all__ = [
    "Bootstrap",
    "axes",
    "bd",
    "bd_items",
    "cliffs",
    "curves",
    "envelope",
    "metrics_of",
    "over_all_noise",
    "paired",
    "quality_scale",
    "readable",
    "readable_bd",
    "resilience",
    "resilience_ratios",
    "series_labels",
    "series_of",
]
