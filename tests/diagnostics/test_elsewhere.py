"""Words of papers and other libraries, in help texts."""

import pytest

from dgmppl.catalogue.bijections import BIJECTIONS, TRANSFORMS
from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.catalogue.functions import AXES, FUNCTIONS, REDUCTIONS
from dgmppl.catalogue.networks import NETWORKS
from dgmppl.catalogue.transforms import TRANSFORMS as OF_DATA
from dgmppl.diagnostics import did_you_mean
from dgmppl.diagnostics.elsewhere import ELSEWHERE
from dgmppl.supports import SUPPORTS

KNOWN = {*SUPPORTS, *DISTRIBUTIONS, *NETWORKS, *BIJECTIONS, *TRANSFORMS, *FUNCTIONS, *REDUCTIONS, *AXES, *OF_DATA}


def test_what_is_suggested_is_there_and_what_is_there_is_not_replaced():
    assert {word for words in ELSEWHERE.values() for word in words} <= KNOWN
    # A word that is ours in one place may be another's word in a second one.
    for name in {*ELSEWHERE} & KNOWN:
        assert not any({name, *ELSEWHERE[name]} <= {*table} for table in (SUPPORTS, DISTRIBUTIONS, NETWORKS, OF_DATA))


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("count", SUPPORTS, "natural"),
        ("GAUSSIAN", DISTRIBUTIONS, "Normal"),
        ("fc", ["mlp"], "mlp"),
        ("logistic", DISTRIBUTIONS, "Logistic"),
    ],
)
def test_a_word_of_another_library_is_understood(name, known, meant):
    assert did_you_mean(name, known) == f"did you mean `{meant}`?"
