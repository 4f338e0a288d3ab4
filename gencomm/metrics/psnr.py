"""Peak signal-to-noise ratio over all samples of a picture."""

from __future__ import annotations

import numpy as np

from gencomm.metrics import _kernels
from gencomm.metrics.base import MAX_DB, check_reference, check_values

PEAK = 255.0


class PSNR:
    """10 log10(255^2 / MSE), with the mean squared error over all samples of all channels.

    Identical pictures, and any above it, have `MAX_DB` (100 dB). The least value is 0 dB.
    """

    name = "psnr"
    label = "PSNR"
    unit = "dB"
    higher_is_better = True
    range = (0.0, MAX_DB)
    modality = "image"
    averages = "MSE over the samples of R, G and B of a picture; tables average the dB"

    def prepare(self, reference: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(check_reference(reference))

    def measure(self, state: np.ndarray, values: np.ndarray) -> np.ndarray:
        values = check_values(values, state)
        flat = state.ravel()
        errors = np.array(
            [_kernels.squared_error(flat, value.ravel()) for value in values], np.float64
        )
        floor = PEAK**2 / 10.0 ** (MAX_DB / 10.0)
        return 10.0 * np.log10(PEAK**2 / np.maximum(errors / flat.size, floor))
