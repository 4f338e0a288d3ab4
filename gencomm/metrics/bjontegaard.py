"""Bjontegaard deltas: what one codec saves against another, over a range of qualities or rates.

G. Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001, draws a
cubic polynomial through four points over the logarithm of the rate. Today's practice are piecewise
cubics: PCHIP in the spreadsheets of JCT-VC and JVET (JCTVC-L1100, JVET-T2010), Akima after
Herglotz et al., "Beyond Bjontegaard", ICIP 2022. The polynomial swings where points are unevenly
spaced; it is here for comparison with old papers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import ArrayLike
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator
from scipy.optimize import brentq

Method = Literal["pchip", "akima", "cubic"]

#: What VCEG-M33 takes, and the fewest points that a curve of either codec may have.
MIN_POINTS = 4


@dataclass(frozen=True)
class Delta:
    """A Bjontegaard delta and what it was averaged over.

    Attributes
    ----------
    value : float
        Of a rate, per cent (negative: bits are saved); of a quality, in its unit.
    low, high : float
        Ends of the interval that both curves cover: of quality for a rate, of rate for a quality.
    """

    value: float
    low: float
    high: float

    def __float__(self) -> float:
        return self.value


def bd_rate(
    anchor_rate: ArrayLike,
    anchor_quality: ArrayLike,
    rate: ArrayLike,
    quality: ArrayLike,
    *,
    method: Method = "pchip",
    rates: tuple[float, float] | None = None,
) -> Delta:
    """Bits that a codec needs more than the anchor at equal quality, in per cent.

    The mean of the difference in log rate over the qualities that both curves cover.

    Parameters
    ----------
    anchor_rate, anchor_quality : float (n,)
        Operating points of the codec compared with, n at least 4, in any order.
    rate, quality : float (m,)
        Those of the codec.
    method : {"pchip", "akima", "cubic"}
        How a curve goes between its points.
    rates : (float, float), optional
        Look only at the parts of both curves between these rates.

    Raises
    ------
    ValueError
        Too few points, a value that is no number, a rate of zero or less, a quality that doesn't
        rise with the rate, or curves that have no quality in common.
    """
    check_options(method, rates)
    anchor, other = _points(anchor_rate, anchor_quality), _points(rate, quality)
    curves = [_Curve(q, r, method) for r, q in (anchor, other)]
    spans = [curve.span(rates) for curve in curves]
    low, high = _overlap(spans, "quality")
    difference = (curves[1].integral(low, high) - curves[0].integral(low, high)) / (high - low)
    return Delta(100 * float(np.expm1(difference)), low, high)


def bd_quality(
    anchor_rate: ArrayLike,
    anchor_quality: ArrayLike,
    rate: ArrayLike,
    quality: ArrayLike,
    *,
    method: Method = "pchip",
    rates: tuple[float, float] | None = None,
) -> Delta:
    """How much better a codec is than the anchor at equal rate, in the quality's unit.

    The mean of the difference over the logarithms of the rates that both curves cover; BD-PSNR
    where the quality is PSNR. Parameters and errors as for :func:`bd_rate`.
    """
    check_options(method, rates)
    anchor, other = _points(anchor_rate, anchor_quality), _points(rate, quality)
    curves = [_Curve(r, q, method) for r, q in (anchor, other)]
    spans = [(r[0], r[-1]) for r, _ in (anchor, other)]
    if rates is not None:
        ends = np.log(rates)
        spans = [(max(low, ends[0]), min(high, ends[1])) for low, high in spans]
    low, high = _overlap(spans, "rate")
    difference = (curves[1].integral(low, high) - curves[0].integral(low, high)) / (high - low)
    return Delta(float(difference), float(np.exp(low)), float(np.exp(high)))


def check_options(method: str, rates: tuple[float, float] | None = None) -> None:
    """Refuse a method that is none, or a band of rates that is none, with a ValueError."""
    if method not in get_args(Method):
        raise ValueError(f"method is one of {', '.join(get_args(Method))}; got {method!r}")
    if rates is not None and not 0 < rates[0] < rates[1]:
        raise ValueError(f"rates go from a lower to a higher one above zero, got {rates}")


def _points(rate: ArrayLike, quality: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Log rates and qualities in order, checked."""
    r, q = np.asarray(rate, np.float64), np.asarray(quality, np.float64)
    if r.ndim != 1 or r.shape != q.shape:
        raise ValueError(f"rates {r.shape} and qualities {q.shape} are no list of points")
    if r.size < MIN_POINTS:
        raise ValueError(f"a curve needs {MIN_POINTS} points, this one has {r.size}")
    if not (np.isfinite(r).all() and np.isfinite(q).all()):
        raise ValueError(f"not all are finite numbers: rates {r}, qualities {q}")
    if r.min() <= 0:
        raise ValueError(f"a rate is above zero, got {r.min():g}")
    order = np.argsort(r, kind="stable")
    r, q = np.log(r[order]), q[order]
    for name, values in (("rate", r), ("quality", q)):
        step = np.diff(values)
        if step.min() <= 0:
            k = int(np.argmin(step))
            raise ValueError(
                f"the {name} doesn't rise from point {k + 1} to {k + 2} in the order of rates "
                f"({np.exp(r[k]):g}, {q[k]:g}) and ({np.exp(r[k + 1]):g}, {q[k + 1]:g}): leave out "
                "points where the codec gains nothing"
            )
    return r, q


def _overlap(spans: list[tuple[float, float]], what: str) -> tuple[float, float]:
    low, high = max(a for a, _ in spans), min(b for _, b in spans)
    if not low < high:
        text = " and ".join(f"{a:g} to {b:g}" for a, b in spans)
        raise ValueError(f"the curves have no {what} in common: {text}")
    return float(low), float(high)


class _Curve:
    """y over x, both ascending."""

    def __init__(self, x: np.ndarray, y: np.ndarray, method: Method):
        self.x, self.y = x, y
        self.function: Callable
        if method == "cubic":
            fit = Polynomial.fit(x, y, 3)  # exact through four points, least squares beyond
            whole = fit.integ()
            self.function, self.integral = fit, lambda a, b: float(whole(b) - whole(a))
        else:
            make = PchipInterpolator if method == "pchip" else Akima1DInterpolator
            piecewise = make(x, y)
            self.function = piecewise
            self.integral = lambda a, b: float(piecewise.integrate(a, b))

    def span(self, rates: tuple[float, float] | None) -> tuple[float, float]:
        """Where x lies for a y (a log rate) within `rates`."""
        low, high = self.x[0], self.x[-1]
        if rates is None:
            return low, high
        ends = np.log(rates)
        if self.y[-1] <= ends[0] or self.y[0] >= ends[1]:
            raise ValueError(
                f"a curve from {np.exp(self.y[0]):g} to {np.exp(self.y[-1]):g} has no rate between "
                f"{rates[0]:g} and {rates[1]:g}"
            )
        return self._where(ends[0], low), self._where(ends[1], high)

    def _where(self, level: float, end: float) -> float:
        """x at which y comes to a level, or `end` where all of the curve is within."""
        first, last = self.function(self.x[0]) - level, self.function(self.x[-1]) - level
        if first >= 0 or last <= 0:
            return float(end)
        root: Any = brentq(lambda x: self.function(x) - level, self.x[0], self.x[-1])
        return float(root)
