"""Fitting a compiled model, and the run folder that a fit leaves behind: written, opened, sampled.

Called, it is the function `dgmppl.train`: Python gives a package the name of a module in it once that is imported.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        from dgmppl.fitting import train

        return train(*arguments, **settings)


sys.modules[__name__].__class__ = _Callable
