"""Compiled kernels: numba, kept away from the import path and cached on disk.

Importing numba takes longer than importing the rest of `channels`, so kernels live in modules of
their own that are imported when a code first decodes, and each is compiled at its first call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import update_wrapper
from typing import Any


def kernel(function: Callable | None = None, **options: Any) -> Any:
    """Compile a function with numba at its first call, keeping the machine code on disk.

    Machine code goes where numba puts it: ``__pycache__`` beside the source, or the user's cache
    folder, or ``NUMBA_CACHE_DIR``. Where none of them can be written the kernel is compiled anew
    in each process.

    Parameters
    ----------
    function : callable
        In the subset of Python that numba compiles.
    **options
        For :func:`numba.njit`, such as ``fastmath=True``. The interpreter lock is released and a
        division by zero gives infinity or NaN, as in numpy, unless they say otherwise.
    """
    if function is None:
        return lambda f: kernel(f, **options)
    import numba

    options = {"nogil": True, "error_model": "numpy"} | options
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError as error:  # numba's word for "no folder to cache in can be written"
        if "cannot cache function" not in str(error):
            raise
        return numba.njit(**options)(function)


class Kernel:
    """A kernel for modules that are imported early: numba itself waits for the first call.

    Unlike what :func:`kernel` gives, it can't be called from within another kernel.

    Attributes
    ----------
    plain : callable
        The function as written, run by the interpreter: slow, and a reference for tests.
    """

    def __init__(self, function: Callable):
        self.plain = function
        self._fast: Callable | None = None
        update_wrapper(self, function)

    def __call__(self, *args: Any) -> Any:
        fast = self._fast
        if fast is None:
            fast = self._fast = kernel(self.plain)
        return fast(*args)


@contextmanager
def watch_compilation(tell: Callable[[str], None]) -> Iterator[None]:
    """Call `tell` with a kernel's name whenever one is really compiled (not read from the cache).

    Meant for a command that would otherwise seem to hang for some seconds at its first run.
    Imports numba.
    """
    from numba.core import event

    class Listener(event.Listener):
        def on_start(self, event: Any) -> None:
            function = event.data["dispatcher"].py_func
            if not function.__module__.startswith("numba."):  # its own helpers say nothing
                tell(function.__name__)

        def on_end(self, event: Any) -> None:
            pass

    with event.install_listener("numba:compile", Listener()):
        yield
