"""What a metric is. A new one needs this page, one class, and one line of the registry."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

#: No decibel value above this leaves a metric, so that identical pictures have a finite one.
#: One sample off by one in a megapixel of colour is 113 dB; nothing lossy comes near 100.
MAX_DB = 100.0


@runtime_checkable
class Metric(Protocol):
    """Original and received values -> one finite number a trial.

    Class attributes
    ----------------
    name : str
        Column name, such as ``ms_ssim``.
    label : str
        For axes: ``MS-SSIM``.
    unit : str
        ``"dB"``, or ``""`` for a pure number.
    higher_is_better : bool
    range : tuple of float
        Least and greatest value there can be.
    modality : str
        What kind of item it measures. A panel has metrics of "image" measure clips frame by frame
        (:mod:`gencomm.metrics.frames`).
    averages : str
        How one number comes from a picture's samples, and that tables average these numbers.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    unit: ClassVar[str]
    higher_is_better: ClassVar[bool]
    range: ClassVar[tuple[float, float]]
    modality: ClassVar[str]
    averages: ClassVar[str]

    def prepare(self, reference: np.ndarray) -> Any:
        """What can be computed once from the original; passed to every `measure`.

        reference : uint8, (height, width, 3), or (height, width) for grey.
        """
        ...

    def measure(self, state: Any, values: np.ndarray) -> np.ndarray:
        """Score a batch: uint8 (trials, *reference.shape) -> float64 (trials,), all finite."""
        ...


def check_reference(reference: np.ndarray) -> np.ndarray:
    """The original with a channel axis: uint8 (height, width, channels)."""
    reference = np.asarray(reference)
    fits = reference.ndim == 2 or (reference.ndim == 3 and reference.shape[2] in (1, 3))
    if reference.dtype != np.uint8 or not fits or reference.size == 0:
        raise ValueError(
            "a picture is uint8 of shape (height, width, 3), or (height, width) for grey; "
            f"got {reference.dtype} of shape {reference.shape}"
        )
    return reference.reshape(*reference.shape[:2], -1)


def check_values(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """A batch with a channel axis, (trials, height, width, channels), or an error."""
    values = np.asarray(values)
    shape = reference.shape
    grey = shape[2] == 1 and values.shape[1:] == shape[:2]
    if values.dtype != np.uint8 or (values.shape[1:] != shape and not grey):
        raise ValueError(
            f"values must be uint8 of shape (trials, {', '.join(map(str, shape))}) as the "
            f"original, got {values.dtype} of shape {values.shape}"
        )
    return np.ascontiguousarray(values).reshape(-1, *shape)


def decibels(similarity: np.ndarray) -> np.ndarray:
    """A similarity such as MS-SSIM in decibels: -10 log10(1 - x), at most `MAX_DB`."""
    distance = 1.0 - np.asarray(similarity, np.float64)
    return -10.0 * np.log10(np.maximum(distance, 10.0 ** (-MAX_DB / 10.0)))
