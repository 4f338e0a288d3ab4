"""What every codec must keep to, as checks that anybody can run on their own.

>>> from gencomm.testing import check_codec
>>> print(check_codec("jpeg2000(bpp=0.5)"))
>>> print(check_codec("my_package.my_module:MyCodec"))

In a test file, one test a check:

>>> from gencomm.testing import parametrize_with_checks
>>> @parametrize_with_checks(["my_codec", "my_codec(rate=2)"])
... def test_my_codec(check, subject):
...     check(subject)

A codec named by a spec runs in processes of its own under limits, so that one that crashes or
hangs fails a check and no more. A codec object runs in this process.

What a codec may say of itself, as attributes, and the kit holds it to: ``min_psnr`` (dB on a
picture like a photograph; 15 by default) and ``fixed_shape`` (the one shape it takes).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from channels.checking import Outcome
from gencomm.codecs.contract import Item
from gencomm.isolation import Limits
from gencomm.testing.codec_checks import CHECKS, psnr
from gencomm.testing.subject import LIMITS, Subject

__all__ = [
    "CHECKS",
    "LIMITS",
    "Report",
    "Subject",
    "check_codec",
    "parametrize_with_checks",
    "psnr",
]


@dataclass(frozen=True)
class Report:
    """What became of all checks on one codec; prints as a table."""

    codec: str
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def failures(self) -> list[Outcome]:
        """Checks that failed, or passed where a failure was declared."""
        return [o for o in self.outcomes if o.bad]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    def __str__(self) -> str:
        width = max((len(o.check) for o in self.outcomes), default=0)
        lines = [
            f"{o.check:<{width}}  {o.status.replace('_', ' ')}"
            + (f": {o.message}" if o.message else "")
            for o in self.outcomes
        ]
        passed = sum(o.status == "passed" for o in self.outcomes)
        verdict = "conforms" if self.ok else f"{len(self.failures)} failed"
        return "\n".join([*lines, f"{self.codec}: {passed} checks passed; {verdict}"])


def check_codec(
    codec: Any,
    expected_failures: Mapping[str, str] | None = None,
    items: Sequence[Item] | None = None,
    limits: Limits = LIMITS,
    strict: bool = False,
) -> Report:
    """Run all checks on a codec.

    Parameters
    ----------
    codec : str or Codec
        A spec such as ``jpeg(bpp=0.5)``, ``module:object``, or a codec object.
    expected_failures : mapping of check name to reason
        Checks that are known not to hold. One that holds after all counts as a failure.
    items : sequence of Item, optional
        What to encode; made up for pictures.
    limits : Limits
        Time and memory that no decode may exceed.
    strict : bool
        Raise `AssertionError` if anything failed.

    Raises
    ------
    IsolationError
        The codec can't be built.
    KeyError
        `expected_failures` names a check that doesn't exist.
    """
    subject = Subject(codec, items, limits)
    report = Report(str(subject))
    try:
        outcomes = CHECKS.outcomes(subject, expected_failures or {})
        assert subject.runner.modality
        report.outcomes.extend(outcomes)
    finally:
        subject.close()
    if strict and not report.ok:
        raise AssertionError(str(report))
    return report


def parametrize_with_checks(
    codecs: Iterable[Any], expected_failures: Mapping[str, Mapping[str, str]] | None = None
) -> Any:
    """Decorate a test of ``(check, subject)`` so that it runs for each check and codec.

    Parameters
    ----------
    codecs : iterable of str or Codec
    expected_failures : mapping of codec to mapping of check name to reason
        Turned into strict expected failures of pytest.
    """
    subjects = [Subject(codec) for codec in codecs]
    return CHECKS.parametrize(subjects, "subject", expected_failures)
