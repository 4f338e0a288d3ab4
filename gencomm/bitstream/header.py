"""Compact headers: numbers of seven bits a byte, and a checksum that damage doesn't pass."""

from __future__ import annotations

from collections.abc import Sequence

#: Numbers up to this fit a header.
LIMIT = 1 << 32

#: CRC-16 of ITU-T V.41 (CCITT), x^16 + x^12 + x^5 + 1.
POLYNOMIAL = 0x1021


def crc16(data: bytes) -> int:
    """CRC-16/CCITT with a start of 0xFFFF ("CRC-16/IBM-3740"): 0x29B1 for ``b"123456789"``."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ POLYNOMIAL if crc & 0x8000 else crc << 1
        crc &= 0xFFFF
    return crc


def pack_numbers(numbers: Sequence[int]) -> bytes:
    """Write non-negative numbers, each low digits first, seven bits a byte (LEB128).

    Raises
    ------
    ValueError
        A number below zero, or of LIMIT or more.
    """
    out = bytearray()
    for number in numbers:
        if not 0 <= number < LIMIT:
            raise ValueError(f"{number} doesn't fit a header")
        while number >= 0x80:
            out.append(number & 0x7F | 0x80)
            number >>= 7
        out.append(number)
    return bytes(out)


def seal(header: bytes) -> bytes:
    """Append the checksum."""
    return header + crc16(header).to_bytes(2, "big")


class HeaderReader:
    """Reads numbers, then the checksum over them.

    Parameters
    ----------
    data : bytes
        Any; what follows the header is not looked at.
    """

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def number(self) -> int:
        """The next number.

        Raises
        ------
        ValueError
            The data end, or the number is LIMIT or more.
        """
        value = shift = 0
        while True:
            if self.at >= len(self.data) or shift > 28:
                raise ValueError("the header breaks off or holds too large a number")
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                if value >= LIMIT:
                    raise ValueError("the header holds too large a number")
                return value

    def check(self) -> bytes:
        """Check what was read against the checksum that follows; return what comes after.

        Raises
        ------
        ValueError
            It doesn't fit.
        """
        told = self.data[self.at : self.at + 2]
        if told != crc16(self.data[: self.at]).to_bytes(2, "big"):
            raise ValueError("the header's checksum doesn't fit")
        self.at += 2
        return self.data[self.at :]
