"""When a picture is to be shown, from what its own header says: for streams that lost some.

A bare stream has no time stamps. Decoders put pictures in order, but say nothing of those that
never came, so that all that follow would be shown too early. Each format numbers its pictures,
modulo something: H.264 and HEVC by order counts (``pic_order_cnt_lsb``), MPEG-2 by temporal
references and a group's time code, MPEG-4 by time increments. Numbers are taken as the one of
their class that is nearest to what is expected; one far from it is damage, and none is given.
"""

from __future__ import annotations

from collections.abc import Sequence

from gencomm.codecs.video.streams import START, nal_type, nal_units

#: A number this far behind or ahead of the expected one is not believed.
BEHIND, AHEAD = 24, 48
#: Frames a second that MPEG-2 and MPEG-4 streams are written with here, whatever the clip's rate.
TICKS = 25
#: Bytes of a unit that are looked at.
_LOOK = 96
_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128})


class _Bits:
    """Reads a unit's first bytes, most significant bit first; raises `IndexError` at its end."""

    def __init__(self, data: bytes, escaped: bool = False):
        data = data[:_LOOK]
        if escaped:  # 00 00 03 stands for 00 00
            data = data.replace(b"\x00\x00\x03", b"\x00\x00")
        self.value, self.left = int.from_bytes(data), 8 * len(data)

    def u(self, count: int) -> int:
        """A number of `count` bits."""
        if count > self.left:
            raise IndexError
        self.left -= count
        return self.value >> self.left & ((1 << count) - 1)

    def ue(self) -> int:
        """An Exp-Golomb number."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 31:
                raise IndexError
        return (1 << zeros) - 1 + self.u(zeros)


class _Clock:
    """Turns numbers modulo something, counted from a start, into times that agree."""

    def __init__(self) -> None:
        self.start, self.latest = 0, -1

    def restart(self) -> None:
        """The next number counts from the place after the latest."""
        self.start = self.latest + 1

    def at(self, number: int, modulus: int) -> int | None:
        """The time of a number; None where it is far from what is expected."""
        expected = self.latest + 1 - self.start
        time = number + modulus * round((expected - number) / modulus) + self.start
        if not self.latest - BEHIND <= time <= self.latest + AHEAD or time < 0:
            return None
        self.latest = max(self.latest, time)
        return time


def h264_times(pictures: Sequence[bytes]) -> list[int | None]:
    """Times by ``pic_order_cnt_lsb`` (ITU-T H.264, 7.3.3), two a frame.

    Where order is that of decoding (type 2, which x264 chooses without B pictures), by
    ``frame_num``.
    """
    clock, sizes = _Clock(), (0, 0, True)
    found: list[int | None] = []
    for picture in pictures:
        time = None
        for unit in nal_units(picture):
            kind = nal_type(unit)
            bits = _Bits(unit[unit.find(START) + 4 :], escaped=True)
            try:
                if kind == 7:
                    sizes = _h264_sizes(bits)
                elif kind in (1, 5) and sizes[0]:
                    bits.ue(), bits.ue(), bits.ue()  # first block, type, parameter set
                    number, modulus = bits.u(sizes[0]), 1 << sizes[0]
                    if not sizes[2] and bits.u(1):
                        bits.u(1)
                    if kind == 5:
                        bits.ue()
                        clock.restart()
                    if sizes[1]:
                        number, modulus = bits.u(sizes[1]) // 2, 1 << sizes[1] - 1
                    time = clock.at(number, modulus)
                    break
            except IndexError:
                continue
        found.append(time)
    return found


def _h264_sizes(bits: _Bits) -> tuple[int, int, bool]:
    """Bits of frame_num and of pic_order_cnt_lsb (0 where there is none), and
    frame_mbs_only_flag, from a parameter set."""
    profile = bits.u(8)
    bits.u(16)
    bits.ue()
    if profile in _HIGH_PROFILES:
        if bits.ue() == 3:
            bits.u(1)
        bits.ue(), bits.ue(), bits.u(1)
        if bits.u(1):  # scaling matrices, which x264 doesn't write here
            raise IndexError
    frame_num = bits.ue() + 4
    kind = bits.ue()
    order = bits.ue() + 4 if kind == 0 else 0
    if kind == 1 or frame_num > 16 or order > 16:
        raise IndexError
    bits.ue(), bits.u(1), bits.ue(), bits.ue()
    return frame_num, order, bool(bits.u(1))


def hevc_times(pictures: Sequence[bytes]) -> list[int | None]:
    """Times by ``slice_pic_order_cnt_lsb`` (ITU-T H.265, 7.3.6.1)."""
    clock, order = _Clock(), 0
    found: list[int | None] = []
    for picture in pictures:
        time = None
        for unit in nal_units(picture):
            kind = nal_type(unit, hevc=True)
            bits = _Bits(unit[unit.find(START) + 5 :], escaped=True)
            try:
                if kind == 33:
                    order = _hevc_order(bits) or order
                elif 0 <= kind < 22 and order and bits.u(1):
                    if kind >= 16:
                        bits.u(1)
                    bits.ue(), bits.ue()  # parameter set, type
                    if kind in (19, 20):
                        clock.restart()
                        time = clock.at(0, 1 << order)
                    else:
                        time = clock.at(bits.u(order), 1 << order)
                    break
            except IndexError:
                continue
        found.append(time)
    return found


def _hevc_order(bits: _Bits) -> int:
    """Bits of slice_pic_order_cnt_lsb from a sequence parameter set; 0 where it can't be read."""
    bits.u(4)
    if bits.u(3):  # temporal layers, which x265 doesn't write here
        return 0
    bits.u(1)
    bits.u(96)  # profile, tier and level
    bits.ue()
    if bits.ue() == 3:
        bits.u(1)
    bits.ue(), bits.ue()
    if bits.u(1):
        for _ in range(4):
            bits.ue()
    bits.ue(), bits.ue()
    order = bits.ue() + 4
    return order if order <= 16 else 0


def mpeg2_times(pictures: Sequence[bytes]) -> list[int | None]:
    """Times by the temporal reference within a group of pictures (ITU-T H.262, 6.2.3)."""
    clock = _Clock()
    found: list[int | None] = []
    for picture in pictures:
        group = picture.find(b"\x00\x00\x01\xb8")
        head = picture.find(b"\x00\x00\x01\x00")
        try:
            if group >= 0 and (head < 0 or group < head):
                bits = _Bits(picture[group + 4 :])
                bits.u(1)
                hours, minutes = bits.u(5), bits.u(6)
                bits.u(1)
                first = ((60 * hours + minutes) * 60 + bits.u(6)) * TICKS + bits.u(6)
                clock.restart()
                if 0 <= first - clock.start <= AHEAD:
                    clock.start = first
            number = _Bits(picture[head + 4 :]).u(10) if head >= 0 else None
        except IndexError:
            number = None
        found.append(None if number is None else clock.at(number, 1024))
    return found


def mpeg4_times(pictures: Sequence[bytes]) -> list[int | None]:
    """Times by ``vop_time_increment`` (ISO/IEC 14496-2, 6.2.5), which counts to `TICKS`."""
    clock = _Clock()
    found: list[int | None] = []
    for picture in pictures:
        head = picture.find(b"\x00\x00\x01\xb6")
        number = None
        if head >= 0:
            bits = _Bits(picture[head + 4 :])
            try:
                bits.u(2)
                while bits.u(1):
                    pass
                marker, number = bits.u(1), bits.u(TICKS.bit_length())
                number = number if marker and number < TICKS else None
            except IndexError:
                number = None
        found.append(None if number is None else clock.at(number, TICKS))
    return found
