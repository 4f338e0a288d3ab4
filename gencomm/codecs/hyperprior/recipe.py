"""How the hyperprior is trained: as `cae` is, with a conditional model that learns faster."""

from __future__ import annotations

from gencomm.codecs.cae.recipe import DATA, LAMBDAS, CAERecipe
from gencomm.codecs.hyperprior.network import Hyperprior

CARD = f"""
A hyperprior in two levels after Balle et al. (2018), Minnen et al. (2018) and Hu et al. (2020):
the transforms of `cae`, latents at 1/16 and 1/8 of the resolution, and small networks that give
the mean and the scale of each group of latents from those decoded before it. One network for all
rates, by gain vectors. Trained on rate + lambda x mean squared error. The file holds all networks
and gains in half precision, and the entropy coder's tables in integers; the networks of the
conditional model run in integers made of their half-precision weights.
{DATA}"""


class HyperpriorRecipe(CAERecipe):
    """As `CAERecipe`, with the conditional model's matrices among those that are orthogonalised."""

    card = CARD
    names = ("hyperprior", "hyperprior_ms_ssim")
    #: The conditional model can be trained from little: it takes larger steps.
    factors = {"linear": 0.2, "rate": 5.0, "context": 2.0}  # noqa: RUF012

    def __init__(self, distortion: str = "mse"):
        super().__init__(distortion)

    def network(self) -> Hyperprior:
        """A fresh network."""
        return Hyperprior(LAMBDAS)

    def group_of(self, name: str, dimensions: int) -> str:
        """Matrices of the conditional model are a group of their own."""
        parts = name.split(".")
        if parts[0] == "context" and dimensions == 4 and not {"linear", "out"} & set(parts):
            return "context"
        if parts[0] == "context" and parts[1] != "log_base":
            return "rest"
        return super().group_of(name, dimensions)


recipe = HyperpriorRecipe
