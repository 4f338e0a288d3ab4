"""A run as pandas tables: one line per row, or one line per cell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from gencomm.sweeps.store import Store, quoted

if TYPE_CHECKING:
    import pandas as pd

_FROM_CELL = ["samples", "codec_bits", "header_bits", "bpp_total", "cbr", "uses_per_pixel"]
_FROM_LINK = ["parity", "framing", "padding", "sent_bits", "channel_uses", "code_rate"]


#: What policies that don't name a choice have chosen.
_UNSAID = {"frames": "pass"}


def load_run(run: str | Path) -> pd.DataFrame:
    """Every row of a run, finished or still running.

    Parameters
    ----------
    run : path
        The run's folder.

    Returns
    -------
    DataFrame, one line per row (one item, one trial), in the plan's order, with the columns

    ``codec``
        The codec's spec, such as ``jpeg2000(bpp=0.5)``.
    ``link``
        The link as the configuration writes it, such as ``bsc({ber})``.
    ``link_spec``
        The same with its values put in, such as ``bsc(p=0.001)``.
    one column per name of the grid, such as ``ber``
        Missing (NaN) where a link doesn't use it.
    ``header``, ``decode``, ``conceal``
        The policy; and ``frames`` in runs of clips that choose another than ``pass``.
    ``item``, ``trial``
        The item's id and the number of the trial.
    ``status``
        "ok", "partial", "rejected", "crashed", "timeout", "memory" or "wrong_size"; all but the
        first two are outages, whose quality is that of the concealment.
    one column per metric, such as ``psnr``
    ``bit_errors``, ``n_bits``
        Bits of the payload that came back wrong, and how many were sent.
    ``bpp``
        Bits per pixel sent: payload and the codec's side information, but not a header that the
        policy protects.
    ``weight``
        Probability of the condition under which the trial was drawn: 1 where there was none, less
        where trials that nothing hits were left out (``trials: {skip_clean: true}``). A mean over
        all noise is ``(1 - weight) * clean + weight * mean over rows``, with the clean value of
        :func:`load_cells`; :func:`gencomm.analysis.over_all_noise` makes plain means right.
    ``detail``
        What the decoder said, where it said something.
    ``cell``
        The content hash of the cell, which is the index of :func:`load_cells`.

    Raises
    ------
    StoreError
        There is no run in that folder.
    """
    import pandas as pd

    with Store(run) as store:
        metrics = "".join(f"r.{quoted(name)}, " for name in store.metrics)
        columns, lines = store.query(
            "SELECT c.codec, c.link, c.link_spec, c.point, c.policy, c.item, r.trial, r.status, "
            f"{metrics}r.bit_errors, c.n_bits, c.bpp, r.weight, r.detail, r.cell "
            "FROM row AS r JOIN cell AS c ON c.hash = r.cell "
            "ORDER BY c.position, c.hash, r.trial"
        )
        frame = pd.DataFrame(lines, columns=columns)
        for name in store.metrics:
            frame[name] = frame[name].astype(float)
    return _spread(frame, ("point", "policy"))


def load_cells(run: str | Path) -> pd.DataFrame:
    """Every finished cell of a run.

    Returns
    -------
    DataFrame, one line per cell in the plan's order, indexed by the cell's hash, with ``codec``,
    ``link``, ``link_spec``, the grid's names, the policy and ``item`` as in :func:`load_run`, and

    ``trials``, ``stop``, ``detail``
        Rows of the cell and why it stopped: "max_trials", "half_width", "max_errors",
        "no_errors_possible", "limit" or "not_encoded".
    ``clean_status``, ``clean_<metric>``
        What the undamaged bits give.
    ``n_bits``, ``side_bits``, ``bpp``, ``bits_hash``
        Payload, bits granted error-free, bits per pixel sent, SHA-256 of the encoded bits.
    ``samples``, ``codec_bits``, ``header_bits``, ``bpp_total``, ``cbr``, ``uses_per_pixel``
        As in :class:`gencomm.policy.CellLedger`; ``cbr`` is channel uses per source sample.
    ``parity``, ``framing``, ``padding``, ``sent_bits``, ``channel_uses``, ``code_rate``
        What the link added, as in :class:`channels.Ledger`.
    ``link_ber``, ``ebno_db``, ``esno_db``, ...
        What the link states about itself in closed form, where it does.
    ``notes``
        What the encoder noted (a dict).
    """
    import pandas as pd

    with Store(run) as store:
        lines = []
        for cell in store.cells():
            ledger = dict(cell.ledger)
            link = ledger.pop("link", {})
            line = {
                "codec": cell.codec,
                "link": cell.link,
                "link_spec": cell.link_spec,
                **cell.point,
                **cell.policy,
                "item": cell.item,
                "trials": cell.trials,
                "stop": cell.stop,
                "detail": cell.detail,
                "clean_status": cell.clean_status,
                **{f"clean_{name}": value for name, value in cell.clean_scores.items()},
                "n_bits": cell.n_bits,
                "side_bits": cell.side_bits,
                "bpp": cell.bpp,
            }
            more = {name: ledger.get(name) for name in _FROM_CELL}
            more |= {name: link.get(name) for name in _FROM_LINK}
            for name, value in link.get("facts", {}).items():
                more["link_ber" if name == "ber" else name] = value
            for name, value in more.items():  # the grid's own names come first
                line.setdefault(name, value)
            line |= {"cell": cell.hash, "bits_hash": cell.bits_hash, "notes": cell.notes}
            lines.append(line)
    if not lines:
        return pd.DataFrame({"codec": [], "link": [], "item": [], "trials": [], "stop": []})
    frame = pd.DataFrame(lines).set_index("cell")
    return frame.fillna({name: value for name, value in _UNSAID.items() if name in frame})


def _spread(frame: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Put the columns that hold JSON objects apart, one column a key, where they stood."""
    import pandas as pd

    parts = []
    for column in frame.columns:
        if column in names:
            # few distinct texts for many rows: parse each once
            known = {text: json.loads(text) for text in frame[column].unique()}
            keys = dict.fromkeys(key for value in known.values() for key in value)
            texts = frame[column]
            parts += [
                pd.Series(
                    [known[text].get(key, _UNSAID.get(key)) for text in texts],
                    texts.index,
                    name=key,
                )
                for key in keys
            ]
        else:
            parts.append(frame[column])
    return pd.concat(parts, axis=1) if parts else frame
