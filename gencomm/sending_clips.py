"""A clip of any length through one codec and one link, segment by segment: `gencomm send`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from channels.spec import SpecError, parse_spec
from gencomm.codecs.registry import CODECS
from gencomm.isolation import Limits, open_codec
from gencomm.items import frame_rate
from gencomm.policy import Policy
from gencomm.sending import METRICS_SHOWN, Sent, send
from gencomm.sent_clips import SentClip, keep
from gencomm.sources import SOURCES, make_source
from gencomm.sources.clip import SUFFIXES, Clip
from gencomm.sources.clips import ClipSource

#: Decoding a clip may take longer than a picture.
LIMITS = Limits(seconds=60)


def clips_of(item: Any) -> ClipSource | None:
    """The source of clips that a path or a spec names; None where it names something else."""
    if isinstance(item, ClipSource):
        return item
    if not isinstance(item, (str, os.PathLike)):
        return None
    text = os.fspath(item)
    if Path(text).exists():
        return Clip(text) if Path(text).suffix.lower() in SUFFIXES else None
    try:
        is_source = parse_spec(text).name in SOURCES
    except SpecError:
        is_source = False
    if not is_source:
        # what doesn't exist and looks like a clip is told about as one
        return Clip(text) if Path(text).suffix.lower() in SUFFIXES else None
    source = make_source(text)
    return source if isinstance(source, ClipSource) else None


def send_clip(
    item: str | os.PathLike[str] | ClipSource,
    codec: str = "h264(crf=30)",
    channel: str = "bsc(1e-5)",
    *,
    video: str | Path | None = None,
    seed: int = 0,
    trial: int = 0,
    policy: Policy | None = None,
    metrics: Sequence[str] = METRICS_SHOWN,
    limits: Limits | None = None,
) -> SentClip:
    """Send a whole clip, one segment after another; only one is in memory at a time.

    Parameters
    ----------
    item : path, source or spec of one
        A video file, or a source of clips such as ``camera_path(limit=1)``, of which the first clip
        is sent.
    codec, channel : str
        Such as ``h264(crf=30)`` and ``bsc(1e-5)``. A codec of pictures codes each frame by
        itself, as ``per_frame(codec=...)``.
    video : path, optional
        Write original and received side by side to this ``.mp4``.
    seed, trial, policy, metrics
        As for :func:`gencomm.send`.
    limits : Limits, optional
        Of the codec's process.

    Raises
    ------
    ValueError
        The item is no clip, or can't be read.
    SpecError, IsolationError
        As for :func:`gencomm.send`.
    """
    source = clips_of(item)
    if source is None:
        raise ValueError(f"{item} is no clip; gencomm.send takes pictures")
    if CODECS.create(codec).modality == "image":
        codec = f"per_frame(codec={CODECS.canonical(codec)})"
    parts = _first_clip(source)
    result = SentClip()
    total = sum(1 for _ in parts)
    with open_codec(codec, limits or LIMITS) as process:
        writer = None
        try:
            for number, index in enumerate(parts):
                what = source.read(index)
                if video is not None and writer is None:
                    from gencomm.video.writing import Writer

                    writer = Writer(video, frame_rate(what)).__enter__()
                sent = send(
                    what, process, channel, seed=seed, trial=trial, policy=policy, metrics=metrics
                )
                if writer is not None:
                    _write(writer, sent)
                keep(result, sent, number, total)
                del what, sent  # before the next segment is read
        except BaseException as error:
            if writer is not None:
                writer.__exit__(type(error), error, error.__traceback__)
            raise
        if writer is not None:
            writer.__exit__(None, None, None)
            result.video = writer.path
    return result


def _first_clip(source: ClipSource) -> list[int]:
    """Numbers of the items that are segments of the first clip."""
    stem = source.ids[0].partition("#")[0]
    return [k for k, name in enumerate(source.ids) if name.partition("#")[0] == stem]


def _write(writer: Any, sent: Sent) -> None:
    from gencomm.video.writing import side_by_side

    for original, received in zip(sent.original, sent.received, strict=True):
        writer.add(side_by_side(original, received))
