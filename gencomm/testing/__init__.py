"""The conformance kits, for the tests of codecs and channels that others write.

>>> from gencomm.testing import parametrize_with_checks
>>> @parametrize_with_checks(["my_codec(rate=1)"])
... def test_my_codec(check, subject):
...     check(subject)
"""

from __future__ import annotations

from channels.conformance import check_channel, parametrize_channel_checks
from gencomm.testing.codecs import check_codec, parametrize_with_checks

__all__ = [
    "check_channel",
    "check_codec",
    "parametrize_channel_checks",
    "parametrize_with_checks",
]
