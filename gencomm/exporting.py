"""A run's tables as files for other programs, with a note of what each column is.

The file appears whole or not at all, the same run gives the same bytes, and every number comes
back as it was: floats are written in full.
"""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from channels.spec import SpecError, suggest
from gencomm.files import write_atomically
from gencomm.metrics import make_metric
from gencomm.sweeps.records import canonical_json
from gencomm.sweeps.store import Store
from gencomm.sweeps.tables import load_cells, load_run

if TYPE_CHECKING:
    import pandas as pd

#: The tables, and what a line of each is.
TABLES = {"rows": "one trial of one cell", "cells": "one cell: item x codec x link x policy"}
#: Columns that are the same in every run. Bits and channel uses are counted per trial.
MEANINGS = {
    "codec": "operating point: the codec's spec",
    "link": "the link as the configuration writes it",
    "link_spec": "the link with the grid's values put in",
    "header": "policy: does the codec's header go through the noise (in_band) or not (protected)",
    "decode": "policy: are damaged streams decoded as far as they go (lenient) or not (strict)",
    "conceal": "policy: what is measured when no picture came out",
    "frames": "policy: what is shown of a clip's damaged frames (pass, last_frame, drop)",
    "item": "the item's name in the source",
    "trial": "number of the trial within its cell, from 0",
    "status": "ok or partial; or an outage: rejected, crashed, timeout, memory, wrong_size",
    "bit_errors": "bits of the payload that came back wrong",
    "n_bits": "payload: bits handed to the link",
    "bpp": "bits per pixel sent: payload and side information, less a header that was protected",
    "weight": "probability of the condition under which the trial was drawn (a hit), 1 for none; "
    "mean over all noise = (1 - weight) * clean (of the cell) + weight * mean over rows",
    "detail": "what the decoder said (cells: the encoder)",
    "cell": "content hash of the cell, which joins rows to cells",
    "trials": "rows of the cell",
    "stop": "why it has no more of them",
    "clean_status": "status of the undamaged bits",
    "side_bits": "bits granted error-free: side information and a protected header",
    "samples": "source samples: width x height x 3 for colour, width x height for grey",
    "codec_bits": "bits that the codec made, header and side information included",
    "header_bits": "those of them that are header, protected or not",
    "bpp_total": "bits per pixel with a protected header too",
    "cbr": "channel bandwidth ratio: channel uses per source sample",
    "uses_per_pixel": "channel uses per pixel",
    "parity": "bits that error correction added",
    "framing": "bits of packet headers and checks",
    "padding": "bits of filling up",
    "sent_bits": "bits on the medium: payload, parity, framing and padding",
    "channel_uses": "complex symbols where there is a modulation, bits otherwise",
    "code_rate": "nominal rate of all codes together, padding not counted",
    "bits_hash": "SHA-256 of the encoded bits",
    "notes": "what the encoder noted (an object; in CSV and Parquet, its JSON text)",
}
#: What links state about themselves, in closed form.
_FACTS = {
    "link_ber": "bit error rate of the link",
    "channel_ber": "bit error rate on the medium, before decoding",
    "ebno_db": "energy per information bit over N0, after the code rate [dB]",
    "esno_db": "energy per symbol over N0 [dB]",
    "snr_db": "signal-to-noise ratio [dB]",
}
#: Counts, which stay integers where a cell that was not encoded has none.
_COUNTS = (
    *("samples", "codec_bits", "header_bits"),
    *("parity", "framing", "padding", "sent_bits", "channel_uses"),
)


def export(run: str | Path, out: str | Path, table: str = "rows") -> Path:
    """Write a run's rows or cells to a file, and what the columns are to ``<out>.columns.txt``.

    Parameters
    ----------
    run : path
        The run's folder; the run may still be going on.
    out : path
        Its suffix says how: ``.csv``, ``.json`` (a list of objects), ``.jsonl`` (an object a
        line) or ``.parquet`` (extra ``[export]``). Missing folders are made.
    table : {"rows", "cells"}
        One line per trial, as :func:`gencomm.load_run`, or per cell, as
        :func:`gencomm.load_cells`.

    Returns
    -------
    Path
        Where it lies. A missing value is an empty field in CSV and null elsewhere.

    Raises
    ------
    ValueError
        Another suffix or table; Parquet without pyarrow; JSON of a number that is infinite.
    StoreError
        There is no run in that folder.
    """
    out = Path(out)
    if table not in TABLES:
        raise ValueError(f"a run has the tables rows and cells, not {table!r}")
    suffix = out.suffix.lower()
    if suffix not in _WRITERS:
        raise ValueError(
            f"{out}: a table is written as {', '.join(_WRITERS)}{suggest(suffix, _WRITERS)}"
        )
    if suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ValueError(f'{out}: Parquet needs the package pyarrow: pip install "gencomm[export]"')
    frame = load_run(run) if table == "rows" else load_cells(run)
    if frame.index.name is not None:
        frame = frame.reset_index()
    for name in frame.columns.intersection(_COUNTS):
        frame[name] = frame[name].astype("Int64")
    note = [f"{name}: {what}\n" for name, what in column_meanings(run, frame).items()]
    try:
        data = _WRITERS[suffix](frame)
    except ValueError as error:
        raise ValueError(f"{out}: {error}; .csv takes every value") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(
        out.with_name(f"{out.name}.columns.txt"),
        f"{out.name}: a line is {TABLES[table]}\n\n{''.join(note)}".encode(),
    )
    write_atomically(out, data)
    return out


def column_meanings(run: str | Path, frame: pd.DataFrame) -> dict[str, str]:
    """What each column of a run's table is: unit, and the grid's and the metrics' names."""
    metrics = _metrics(run)
    metrics |= {f"clean_{name}": f"{what}; of the undamaged bits" for name, what in metrics.items()}
    names = list(frame.columns)
    axes = set(names[: names.index("item")]) - MEANINGS.keys()
    found = {}
    for name in names:
        if name in axes:
            found[name] = "a name of the grid; missing where the link doesn't use it"
        else:
            known = metrics.get(name) or MEANINGS.get(name)
            found[name] = known or f"stated by the link: {_FACTS.get(name, name)}"
    return found


def _metrics(run: str | Path) -> dict[str, str]:
    with Store(run) as store:
        names, invocations = store.metrics, store.runs()
    found = dict.fromkeys(names, "a metric")
    for spec in invocations[-1]["config"]["metrics"] if invocations else ():
        try:
            metric = make_metric(spec)
        except SpecError:  # of a plug-in that is not installed here: its numbers are there anyway
            continue
        unit = f" [{metric.unit}]" if metric.unit else ""
        better = "higher" if metric.higher_is_better else "lower"
        found[metric.name] = f"{metric.label}{unit}, {better} is better; {metric.averages}"
    return found


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns of one type each: objects become JSON, and words beside numbers make all words."""
    import pandas as pd

    frame = frame.copy()
    for name in [name for name in frame if pd.api.types.is_object_dtype(frame[name])]:
        values = [None if _missing(value) else value for value in frame[name]]
        kinds = {type(value) for value in values} - {type(None)}
        if kinds & {dict, list}:
            values = [None if value is None else canonical_json(value) for value in values]
        elif len(kinds) > 1 and str in kinds:
            values = [None if value is None else str(value) for value in values]
        frame[name] = values
    return frame


def _missing(value: Any) -> bool:
    import pandas as pd

    return pd.api.types.is_scalar(value) and bool(pd.isna(value))


def _records(frame: pd.DataFrame) -> list[str]:
    try:
        return [
            json.dumps(
                {name: None if _missing(value) else value for name, value in line.items()},
                allow_nan=False,
                ensure_ascii=False,
            )
            for line in frame.to_dict("records")
        ]
    except ValueError as error:
        raise ValueError("JSON knows no infinite numbers, and there is one here") from error


def _csv(frame: pd.DataFrame) -> bytes:
    return _flat(frame).to_csv(index=False, lineterminator="\n").encode()


def _json(frame: pd.DataFrame) -> bytes:
    return ("[\n" + ",\n".join(_records(frame)) + "\n]\n").encode()


def _jsonl(frame: pd.DataFrame) -> bytes:
    return "".join(f"{line}\n" for line in _records(frame)).encode()


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    _flat(frame).to_parquet(buffer, engine="pyarrow", index=False)
    return buffer.getvalue()


_WRITERS: Mapping[str, Callable[[pd.DataFrame], bytes]] = {
    ".csv": _csv,
    ".json": _json,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
