"""Options of the test suite."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=3, help="how many runs tests/train/test_kills.py kills")
    parser.addoption("--mutations", type=int, default=500, help="how many mutated specs tests/test_mutations.py tries")
    parser.addoption("--random", type=int, default=40, help="how many specs tests/contracts/test_random.py draws")
