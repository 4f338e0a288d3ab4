"""A distance between two sets of features, cheap enough to watch a generator by."""

from __future__ import annotations

from torch import Tensor


def kernel_distance(x: Tensor, y: Tensor) -> Tensor:
    """Squared maximum mean discrepancy with the kernel (x.y / d + 1)**3, without bias.

    Binkowski, Sutherland, Arbel, Gretton 2018, "Demystifying MMD GANs", section 3.2 and equation 4.
    Published figures come from `gencomm.analysis.realism`, with features that nothing here is
    trained on; this one tells a run's evaluations apart.

    Parameters
    ----------
    x, y : float (n, d), (m, d)
        Two or more rows each.

    Returns
    -------
    float64 scalar; about 0 for sets of one law, by chance below.
    """
    x, y = x.double(), y.double()
    width = x.shape[1]

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.mT / width + 1) ** 3

    def among(a: Tensor) -> Tensor:
        whole = kernel(a, a)
        return (whole.sum() - whole.diagonal().sum()) / (len(a) * (len(a) - 1))

    return among(x) + among(y) - 2 * kernel(x, y).mean()
