"""Whether terms are computed for a loss, which may weigh what they sum, or for figures, which never do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_WEIGHING: ContextVar[bool] = ContextVar("weighing", default=False)


@contextmanager
def for_a_loss() -> Iterator[None]:
    """Inside, terms are those of a loss."""
    token = _WEIGHING.set(True)
    try:
        yield
    finally:
        _WEIGHING.reset(token)


def weighing() -> bool:
    """Whether terms are those of a loss."""
    return _WEIGHING.get()
