"""What may be missing of a variable of a row: its elements, each by itself, or all of it."""

from __future__ import annotations

import math

from torch import Tensor

from dgmppl.graph.nodes import Variable


def elements(variable: Variable) -> int:
    """How many elements a variable has."""
    return math.prod(variable.type.shape)


def gaps(variable: Variable) -> int:
    """How many parts of a variable may be missing, each by itself."""
    return elements(variable) if variable.elementwise else 1


def missing(variable: Variable, value: Tensor) -> Tensor:
    """Which parts of these values are, ``(n, gaps)``."""
    found = value.isnan().reshape(len(value), -1)
    return found if variable.elementwise else found.any(-1, keepdim=True)


def of_elements(variable: Variable, parts: Tensor) -> Tensor:
    """Whether each element is missing, ``(n, *shape)``, where these parts are, ``(n, gaps)``."""
    return parts.expand(-1, elements(variable)).reshape(len(parts), *variable.type.shape)


__all__ = ["elements", "gaps", "missing", "of_elements"]
