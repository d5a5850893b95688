"""Options of the test suite."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache

import pytest

# Processes that share the cores have a thread each, and so have those that they start.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

EMPTY = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
PAINTED = pytest.StashKey[bool]()


@pytest.fixture(autouse=True, scope="session")
def _charts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Charts take most of the time that a short fit takes, and pages of it: where nobody looks at them, they are empty,
    and graphs are laid out once. They are drawn for tests that are marked `painted`."""
    from dgmppl.picture import graph
    from dgmppl.report import charts, pictures
    from dgmppl.train import pictures as samples
    from dgmppl.train import plots

    stash = request.config.stash
    real, once = graph.draw, cache(graph.draw)

    def render(*arguments, **options) -> bytes:
        return plots.render(*arguments, **options) if stash[PAINTED] else EMPTY

    with pytest.MonkeyPatch.context() as patch:
        for module in (charts, pictures, samples):
            patch.setattr(module, "render", render)
        patch.setattr(graph, "draw", lambda dot, form: (real if stash[PAINTED] else once)(dot, form))
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    marker = item.get_closest_marker("painted")
    item.config.stash[PAINTED] = marker is not None and marker.args != (False,)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=3, help="how many runs tests/train/test_kills.py kills")
    parser.addoption("--slow", action="store_true", help="also run the tests that are marked slow")
    parser.addoption("--mutations", type=int, default=500, help="how many mutated specs tests/test_mutations.py tries")
    parser.addoption("--random", default="40", help="specs of tests/contracts/test_random.py: 40, or 2000..2299")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "painted: looks at charts, which are empty elsewhere; painted(False): does not")
    config.addinivalue_line("markers", "slow: takes seconds to show what other tests show in part; runs with --slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="--slow runs it"))
