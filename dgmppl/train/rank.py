"""Which of several processes this one is, known before torch is there."""

from __future__ import annotations

import os


def is_first_process() -> bool:
    """Whether this process speaks and writes for all: the only one, or the first of several."""
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("RANK", "0") == "0"
