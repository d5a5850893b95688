"""One thread: the models are small, and the tests of a seed must not depend on how many cores there are."""

import pytest
import torch

from tests.contracts.support import seed


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _seeded():
    with seed(0):
        yield
