"""Simulated noisy links: bits in, damaged bits (or their log-likelihood ratios) out.

The physical layer of gencomm, usable alone: it knows nothing of pictures, torch or gencomm.

>>> import channels
>>> link = channels.Link.parse("qpsk|awgn(ebno_db=4)")
>>> received = link.transmit(channels.PackedBits.from_bytes(b"hello"), trials=range(3))
>>> received.bits.shape
(3, 5)
"""

from channels.bits import PackedBits
from channels.ledger import Ledger
from channels.link import CHANNELS, Link, ReceivedBatch
from channels.noise import NoiseStream
from channels.recording import Recording, read_recording, record
from channels.registry import Registry
from channels.spec import SpecError, parse_chain, parse_spec

__all__ = [
    "CHANNELS",
    "Ledger",
    "Link",
    "NoiseStream",
    "PackedBits",
    "ReceivedBatch",
    "Recording",
    "Registry",
    "SpecError",
    "parse_chain",
    "parse_spec",
    "read_recording",
    "record",
]
