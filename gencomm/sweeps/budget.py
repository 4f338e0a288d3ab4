"""Equal channel uses: which rate each codec gets over each scheme of a ladder.

With ``budget: {uses_per_pixel: 0.25}`` a codec is listed without its rate, and over every link it
gets the rate that fills the budget::

    bpp = uses_per_pixel x (code rate x bits per symbol)

so that a faster scheme leaves the codec more bits and needs a better channel. ``mcs`` in a link
stands for every scheme of the ladder in turn.

``budget: {uses_per_pixel: 0.25, design: {esno_db: 12}}`` picks one scheme for each codec before the
sweep, the one with the best mean quality at the design point, and runs only that one over the
grid: :mod:`gencomm.sweeps.design`.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict

from channels.link import Link
from channels.spec import Spec, SpecError, parse_spec
from gencomm.codecs.registry import CODECS
from gencomm.sweeps.grid import Number

#: The ladder that ``mcs`` stands for unless a configuration names its own: modulations and rates
#: of IEEE 802.11 and 5G NR, from 2/3 to 20/3 bits per symbol, with the LDPC code of 5G NR.
LADDER = (
    "ldpc(rate=1/3)|qpsk",
    "ldpc(rate=1/2)|qpsk",
    "ldpc(rate=3/4)|qpsk",
    "ldpc(rate=1/2)|qam16",
    "ldpc(rate=3/4)|qam16",
    "ldpc(rate=2/3)|qam64",
    "ldpc(rate=5/6)|qam64",
    "ldpc(rate=3/4)|qam256",
    "ldpc(rate=5/6)|qam256",
)
#: What ``links: mcs`` means.
DEFAULT_MEDIUM = "awgn(esno_db={esno_db})"
_MCS = re.compile(r"^\s*mcs\s*(?:\||$)")


class Budget(BaseModel):
    """Channel uses that every codec may spend.

    Attributes
    ----------
    uses_per_pixel : float
        Complex symbols (bits, over a binary medium) per pixel.
    design : dict of str to float, optional
        A value for every name of the grid that links use: the point at which the scheme of each
        codec is picked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    uses_per_pixel: Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
    design: Annotated[dict[str, Number], Field(min_length=1)] | None = None


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Ladder = Annotated[list[Annotated[str, Strict()]], BeforeValidator(_as_list), Field(min_length=1)]


def has_ladder(template: str) -> bool:
    """Whether a link stands for the schemes of the ladder."""
    return bool(_MCS.match(template))


def rungs(template: str, ladder: tuple[str, ...]) -> list[str]:
    """A link for each scheme: ``mcs|rayleigh|awgn(...)`` with the scheme in the place of mcs."""
    rest = _MCS.sub("", template, count=1).strip() or DEFAULT_MEDIUM
    return [f"{scheme}|{rest}" for scheme in ladder]


def bits_per_use(link: Link) -> float:
    """Information bits per channel use at the nominal code rate."""
    return link.rate * (link.bits_per_symbol or 1)


def at_budget(codec: str, link: Link, budget: Budget) -> Spec:
    """The codec with the rate that fills the budget over this link.

    Raises
    ------
    SpecError
        The codec names a rate already, or can't be told one.
    """
    spec = parse_spec(codec)
    if any(name == "bpp" for name, _ in spec.kwargs):
        raise spec.error("the budget sets the rate of each codec: leave bpp out here")
    bpp = float(f"{budget.uses_per_pixel * bits_per_use(link):.6g}")
    filled = Spec(
        spec.name, spec.args, (*spec.kwargs, ("bpp", bpp)), spec.text, spec.span, spec.spans
    )
    try:
        CODECS.create(filled)
    except SpecError as error:
        raise spec.error(f"over {link.text} the budget leaves {bpp:g} bpp: {error.problem}") from (
            error
        )
    return filled
