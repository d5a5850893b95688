"""Options of these tests."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def bless() -> bool:
    """Whether golden messages are written anew: BLESS=1."""
    return os.environ.get("BLESS") == "1"
