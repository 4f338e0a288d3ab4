"""Foreign code at arm's length: codecs run in child processes under limits.

>>> with CodecProcess("jpeg2000(bpp=0.5)", Limits(seconds=10, memory=2**30)) as codec:
...     encoding = codec.encode(item)
...     outcomes = codec.decode(received, item.value.shape)

Whatever a decoder does (raise, hang, crash, fill the memory, return the wrong size, fork, print)
costs one outcome with the right status; the others of the batch still decode.

How it is built: a *zygote*, a small single-threaded process that has imported NumPy and Pillow,
forks a *nursery* for each codec; the nursery builds the codec once and forks a *worker* from it,
again after each death, in a few milliseconds. Samples travel through shared memory, notes as
length-prefixed JSON; nothing that comes from a child is unpickled or trusted.
"""

from __future__ import annotations

from gencomm.isolation.limits import Encoding, IsolationError, Limits, Outcome
from gencomm.isolation.local import LocalCodec
from gencomm.isolation.process import CodecProcess

__all__ = [
    "CodecProcess",
    "Encoding",
    "IsolationError",
    "Limits",
    "LocalCodec",
    "Outcome",
    "open_codec",
]


def open_codec(spec: str, limits: Limits | None = None, isolate: bool = True):
    """The codec that `spec` describes, in a process of its own or in this one.

    Parameters
    ----------
    spec : str
        Such as ``jpeg(bpp=0.5)``, or ``module:object``.
    limits : Limits, optional
    isolate : bool
        False runs it here: for codecs registered in this process only, on systems without fork,
        and for debugging. No limit holds then.
    """
    limits = limits or Limits()
    return CodecProcess(spec, limits) if isolate else LocalCodec(spec, limits)
