"""Options of the test suite."""

from __future__ import annotations

import pytest


@pytest.fixture
def unpainted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts take most of the time that a page or a short fit takes: where nobody looks at them, they are empty."""
    from dgmppl.report import charts
    from dgmppl.report import pictures as shown
    from dgmppl.train import pictures

    for module in (charts, shown, pictures):
        monkeypatch.setattr(module, "render", lambda *_: b'<svg xmlns="http://www.w3.org/2000/svg"/>')


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=3, help="how many runs tests/train/test_kills.py kills")
    parser.addoption("--slow", action="store_true", help="also run the tests that are marked slow")
    parser.addoption("--mutations", type=int, default=500, help="how many mutated specs tests/test_mutations.py tries")
    parser.addoption("--random", type=int, default=40, help="how many specs tests/contracts/test_random.py draws")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes seconds to show what other tests show in part; runs with --slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="--slow runs it"))
