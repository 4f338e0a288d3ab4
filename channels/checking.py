"""Conformance kits: named checks that say why they matter, for whatever there are kinds of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal, TypeVar

S = TypeVar("S")


class NotApplicable(Exception):
    """Raised by a check that says nothing about this subject."""


@dataclass(frozen=True)
class Check(Generic[S]):
    """A property that every subject has.

    Attributes
    ----------
    name : str
    why : str
        What goes wrong where it doesn't hold.
    """

    name: str
    why: str
    run: Callable[[S], None]

    def __call__(self, subject: S) -> None:
        try:
            self.run(subject)
        except NotApplicable:
            raise
        except Exception as error:  # whatever a plug-in raises, it has failed
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            raise AssertionError(
                f"{subject} fails the check {self.name}: {kind}{error}\n"
                f"  why it matters: {self.why}"
            ) from error


@dataclass(frozen=True)
class Outcome:
    """What became of one check."""

    check: str
    status: Literal["passed", "failed", "expected_failure", "unexpected_pass", "not_applicable"]
    message: str = ""

    @property
    def bad(self) -> bool:
        """Whether it failed, or passed where a failure was declared."""
        return self.status in ("failed", "unexpected_pass")


class Kit(list[Check[S]]):
    """All checks of a kind, in the order in which they are defined."""

    def check(self, why: str) -> Callable[[Callable[[S], None]], Check[S]]:
        """Decorate a function of the subject so that it becomes a check of its name."""

        def add(function: Callable[[S], None]) -> Check[S]:
            check = Check(function.__name__, why, function)
            self.append(check)
            return check

        return add

    def outcomes(self, subject: S, expected_failures: Mapping[str, str]) -> Iterator[Outcome]:
        """Run all checks, one after the other.

        Parameters
        ----------
        subject
            What each check is called with.
        expected_failures : mapping of check name to reason
            Checks that are known not to hold. One that holds after all is an ``unexpected_pass``.

        Raises
        ------
        KeyError
            `expected_failures` names a check that doesn't exist; before any is run.
        """
        unknown = set(expected_failures) - {check.name for check in self}
        if unknown:
            known = ", ".join(check.name for check in self)
            raise KeyError(f"no such check: {', '.join(sorted(unknown))}; there is: {known}")
        return (_outcome(check, subject, expected_failures.get(check.name)) for check in self)

    def parametrize(
        self,
        subjects: Iterable[S],
        argument: str,
        expected_failures: Mapping[str, Mapping[str, str]] | None = None,
    ) -> Any:
        """Decorate a test of ``(check, <argument>)`` so that it runs for each check and subject.

        Parameters
        ----------
        subjects : iterable
        argument : str
            What the test calls the subject.
        expected_failures : mapping of the subject's text to mapping of check name to reason
            Turned into strict expected failures of pytest.
        """
        import pytest

        cases = []
        for subject in subjects:
            expected = (expected_failures or {}).get(str(subject), {})
            for check in self:
                reason = expected.get(check.name)
                marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
                run = partial(_skipping, check)
                cases.append(pytest.param(run, subject, id=f"{subject}-{check.name}", marks=marks))
        return pytest.mark.parametrize(("check", argument), cases)


def _outcome(check: Check[S], subject: S, expected: str | None) -> Outcome:
    try:
        check(subject)
    except NotApplicable as error:
        return Outcome(check.name, "not_applicable", str(error))
    except AssertionError as error:
        if expected is not None:
            return Outcome(check.name, "expected_failure", expected)
        return Outcome(check.name, "failed", str(error))
    if expected is not None:
        message = f"{subject} passes {check.name}, which was expected to fail: {expected}"
        return Outcome(check.name, "unexpected_pass", message)
    return Outcome(check.name, "passed")


def _skipping(check: Check[S], subject: S) -> None:
    import pytest

    try:
        check(subject)
    except NotApplicable as reason:
        pytest.skip(str(reason))
