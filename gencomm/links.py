"""Error rates of links over a range of signal-to-noise ratios: the work behind `gencomm link`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import channels.recording
from channels.finite_blocklength import required_ebno_db, shannon_ebno_db
from channels.link import Link
from channels.recording import Recording
from channels.simulate import ErrorRates, default_block_bits, simulate
from channels.spec import SpecError, parse_chain

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: Steps in dB between the points of a curve whose range nobody gave.
STEP_DB = {"uncoded": 1.0, "coded": 0.25}
#: Widest range that such a curve may take.
SPAN_DB = 40.0
#: Payload bits that a recording has by default, and at least in each of its transmissions.
RECORDED_BITS = 1e7
RECORDED_BLOCK = 100_000
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")


@dataclass
class LinkCurves:
    """What :func:`link` found. Shows itself as a table; ``plot()`` draws it.

    Attributes
    ----------
    points : list of (str, float, ErrorRates)
        Template, value put into it, counts.
    axis : str
        The name of the value: ``ebno_db``, ``esno_db`` or a placeholder of the link.
    """

    axis: str
    points: list[tuple[str, float, ErrorRates]] = field(default_factory=list)

    def table(self) -> pd.DataFrame:
        """One line per point: counts, rates, 95 % intervals, closed form, reason it stopped.

        `ebno_effective_db` is energy per payload bit over N0 with everything counted: padding,
        frame headers and their checks.
        """
        import pandas as pd

        return pd.DataFrame([line(self.axis, *point) for point in self.points])

    def plot(self) -> Figure:
        """BER and block error rate, with closed forms, capacity and the normal approximation."""
        from gencomm.figures.link import link_figure

        return link_figure(self.table(), self.axis, reference_lines(self))

    def to_csv(self, path: str | Path) -> None:
        """Write the table as CSV, whole or not at all."""
        from gencomm.files import write_atomically

        write_atomically(Path(path), self.table().to_csv(index=False).encode())

    def _repr_html_(self) -> str:
        return self.table().to_html(index=False)


def line(axis: str, template: str, value: float, rates: ErrorRates) -> dict[str, Any]:
    """One point as a flat line of the table."""
    ber_low, ber_high = rates.ber_interval()
    bler_low, bler_high = rates.bler_interval()
    return {
        "link": template,
        axis: value,
        "block_bits": rates.block_bits,
        "blocks": rates.blocks,
        "block_errors": rates.block_errors,
        "bit_errors": rates.bit_errors,
        "ber": rates.ber,
        "ber_low": ber_low,
        "ber_high": ber_high,
        "bler": rates.bler,
        "bler_low": bler_low,
        "bler_high": bler_high,
        "theory_ber": math.nan if rates.theory_ber is None else rates.theory_ber,
        "ebno_effective_db": (
            math.nan if rates.ebno_effective_db is None else rates.ebno_effective_db
        ),
        "seconds": rates.seconds,
        "stop_reason": rates.stop_reason,
    }


def link(
    specs: str | Sequence[str],
    *,
    values: Iterable[float] | None = None,
    axis: str | None = None,
    progress: Callable[[str, float, ErrorRates], None] | None = None,
    **options: Any,
) -> LinkCurves:
    """Bit and block error rates of links, with intervals and the reason each point stopped.

    Parameters
    ----------
    specs : str or list of str
        Links. One that ends before its medium, such as ``ldpc(rate=1/2)|qpsk``, is completed with
        AWGN at the values; one with a placeholder, such as ``bsc({ber})``, takes them there.
    values : floats, optional
        Without them a curve over AWGN starts at the Shannon limit of its rate and climbs until a
        point's limits end before its block errors are reached.
    axis : {"ebno_db", "esno_db"} or a placeholder's name, optional
        What the values are. Default: the links' placeholder, or ``ebno_db``.
    progress : callable, optional
        Called with (link, value, counts) after every portion and at the end of each point.
    **options
        Of :func:`channels.simulate.simulate`: target_block_errors, max_blocks, max_bits,
        max_seconds, block_bits, seed.

    Raises
    ------
    SpecError, ValueError
        A link can't be read, or the values don't fit it.
    """
    texts = [specs] if isinstance(specs, str) else list(specs)
    if not texts:
        raise ValueError("name at least one link, such as 'qpsk'")
    templates = [_template(text, axis) for text in texts]
    names = {_PLACEHOLDER.findall(template)[0] for template in templates}
    if len(names) > 1:
        raise ValueError(f"the links vary different things: {', '.join(sorted(names))}")
    curves = LinkCurves(names.pop())
    chosen = None if values is None else [float(value) for value in values]
    if chosen is None and curves.axis not in ("ebno_db", "esno_db"):
        raise ValueError(f"give the values of {curves.axis}")
    for template in templates:
        _parse(template, chosen[0] if chosen else 0.0)  # all links are read before any runs
    for template in templates:
        for value in _climb(template, curves.axis) if chosen is None else chosen:
            rates = simulate(
                _fill(template, curves.axis, value),
                progress=(lambda r, t=template, v=value: progress(t, v, r)) if progress else None,
                **options,
            )
            curves.points.append((template, value, rates))
            if progress:
                progress(template, value, rates)
            if chosen is None and rates.stop_reason != "block_errors":
                break
    return curves


def record(
    spec: str,
    path: str | Path,
    *,
    value: float | None = None,
    axis: str | None = None,
    max_bits: float = RECORDED_BITS,
    block_bits: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Recording:
    """Record what a link gets wrong, to be played back as the channel ``trace(path)``.

    What decoders leave comes in bursts, which a BSC at the same mean rate would spread out.

    Parameters
    ----------
    spec : str
        A whole link, such as ``conv|qpsk|awgn(ebno_db=3)``; or, with `value`, one as for
        :func:`link`.
    path : str or Path
        The file to write.
    value, axis
        Eb/N0, Es/N0 or what stands for the link's placeholder.
    max_bits : float
        About how many payload bits to send.
    block_bits : int, optional
        Payload bits of a transmission, a multiple of 8. Default: whole blocks of the link's code,
        `RECORDED_BLOCK` bits or more.
    seed : int
    progress : callable, optional
        Called with (transmissions done, transmissions in all).

    Raises
    ------
    SpecError, ValueError
        The link can't be read, lacks its medium or value, or the sizes can't be recorded.
    """
    if value is None:
        names = _PLACEHOLDER.findall(spec)
        if names:
            raise ValueError(f"give the value of {{{names[0]}}}: a recording is made at one point")
        parsed = Link.parse(spec)
    else:
        parsed = _parse(_template(spec, axis), value)
    if block_bits is None:
        eight = 8 * default_block_bits(parsed)
        block_bits = eight * -(-RECORDED_BLOCK // eight)
    trials = max(1, math.ceil(max_bits / block_bits))
    tell = None if progress is None else (lambda done: progress(done, trials))
    return channels.recording.record(parsed, block_bits, trials, path, seed, tell)


def reference_lines(curves: LinkCurves) -> dict[str, dict[str, Any]]:
    """What theory says of each link over AWGN, for the figure.

    Returns
    -------
    dict, by template
        ``shannon_db``: Eb/N0 (or Es/N0) below which no code of this rate works; for coded links
        also ``bler_db`` and ``bler``, the normal approximation for the block's length.
    """
    found: dict[str, dict[str, Any]] = {}
    if curves.axis not in ("ebno_db", "esno_db"):
        return found
    for template in dict.fromkeys(point[0] for point in curves.points):
        parsed = _parse(template, 0.0)
        if [spec.name for spec, s in zip(parsed.chain, parsed.stages, strict=True) if s.medium] != [
            "awgn"
        ]:
            continue
        per_use = parsed.rate * parsed.bits_per_symbol
        shift = 0.0 if curves.axis == "ebno_db" else 10 * math.log10(per_use)
        found[template] = {"shannon_db": shannon_ebno_db(per_use) + shift}
        if parsed.rate < 1:
            k = next(p[2].block_bits for p in curves.points if p[0] == template)
            ledger = parsed.ledger(k)
            binary = parsed.bits_per_symbol <= 2
            # BPSK leaves one axis of its symbol empty: as many real uses as coded bits
            uses = ledger.channel_uses * (1 if parsed.bits_per_symbol == 1 else 2)
            rates = [10.0**-e for e in (0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6)]
            found[template]["bler"] = rates
            found[template]["bler_db"] = [
                required_ebno_db(k, uses, rate, "binary" if binary else "gaussian") + shift
                for rate in rates
            ]
    return found


def _template(text: str, axis: str | None) -> str:
    """The link with a placeholder in it, completed with AWGN where it has no medium."""
    names = set(_PLACEHOLDER.findall(text))
    if len(names) > 1:
        raise ValueError(f"{text!r} has more than one placeholder: {', '.join(sorted(names))}")
    if names:
        if axis is not None and axis not in names:
            raise ValueError(f"{text!r} has no placeholder {{{axis}}}")
        return text
    chosen = axis or "ebno_db"
    if chosen not in ("ebno_db", "esno_db"):
        raise ValueError(f"{text!r} has no placeholder {{{chosen}}}")
    if any(spec.name == "awgn" for spec in parse_chain(text)):
        raise ValueError(f"{text!r} fixes its SNR; leave awgn(...) out, or write {{ebno_db}} in it")
    return f"{text}|awgn({chosen}={{{chosen}}})"


def _fill(template: str, name: str, value: float) -> str:
    return template.replace("{" + name + "}", repr(value))


def _parse(template: str, value: float) -> Link:
    name = _PLACEHOLDER.findall(template)[0]
    text = _fill(template, name, value)
    try:
        return Link.parse(text)
    except SpecError as error:
        if "give esno_db" in error.problem:
            raise SpecError(
                f"{template.split('|awgn(')[0]} shares its energy among classes, so an Eb/N0 says "
                "nothing by itself: vary Es/N0 (--esno-db 0:6:0.5, or axis='esno_db'). Random "
                "payloads have no classes and all go by the first code",
                error.text,
                error.start,
                error.end,
            ) from error
        if template.endswith(f"|awgn({name}={{{name}}})") and "symbols" in error.problem:
            raise SpecError(
                f"{error.problem}; a link on bits needs a medium of its own, such as bsc({{ber}})",
                error.text,
                error.start,
                error.end,
            ) from error
        raise


def _climb(template: str, axis: str) -> Iterator[float]:
    parsed = _parse(template, 0.0)
    step = STEP_DB["coded" if parsed.rate < 1 else "uncoded"]
    per_use = parsed.rate * parsed.bits_per_symbol
    start = shannon_ebno_db(per_use) + (0.0 if axis == "ebno_db" else 10 * math.log10(per_use))
    first = math.floor(start / step) * step
    for index in range(int(SPAN_DB / step)):
        yield round(first + index * step, 6)
