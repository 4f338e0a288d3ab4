"""What a receiver is told of a clip before it comes: how many frames there are and how large.

A container, an SDP or a call's signalling says so much in any system; a bare stream of H.264 says
neither how many frames it has nor that a side is odd. It takes 48 bits, which the ledger books as
side information and which count as sent.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Bytes of a session's description.
SIZE = 6
MOST = 2**16 - 1


@dataclass(frozen=True)
class Session:
    """Frames, height and width of a clip, each 1 .. 65535."""

    frames: int
    height: int
    width: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 1 <= value <= MOST:
                raise ValueError(f"a clip has 1 to {MOST} {name}, got {value}")

    def to_bytes(self) -> bytes:
        """Three numbers of 16 bits."""
        return b"".join(n.to_bytes(2) for n in (self.frames, self.height, self.width))

    @classmethod
    def from_bytes(cls, data: bytes) -> Session:
        """Raises `ValueError` on anything that `to_bytes` can't have made."""
        if len(data) < SIZE:
            raise ValueError(f"{len(data)} bytes hold no description of a clip")
        return cls(*(int.from_bytes(data[k : k + 2]) for k in (0, 2, 4)))
