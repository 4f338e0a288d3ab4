"""Sweeps: configuration -> plan -> trials -> store.

The package is also the verb: ``gencomm.sweep(...)`` calls :func:`gencomm.api.sweep`. Python binds
a subpackage to its parent's attribute when it is imported, so without this the name would be the
function or the package, depending on what was imported before.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any


class _Verb(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from gencomm import api

        return api.sweep(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        from gencomm import api

        return inspect.signature(api.sweep)


sys.modules[__name__].__class__ = _Verb
