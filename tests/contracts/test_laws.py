"""What must hold of every spec, held of those that are written by hand: compositions, the library, bad specs."""

from __future__ import annotations

import pytest

from tests.contracts import laws
from tests.contracts.support import COMPOSITIONS, LIBRARY, checked, name_of
from tests.contracts.test_specs import CONTRACTS
from tests.test_bad_specs import SPECS
from tests.test_bad_specs import checked as checked_bad

composition = pytest.mark.parametrize("path", COMPOSITIONS, ids=name_of)
every = pytest.mark.parametrize("path", [*COMPOSITIONS, *LIBRARY], ids=name_of)


# What is wide, long or slow to converge in the library, and what it is here.
SMALLER = {
    "256": "8",
    "mlp[64, 64": "mlp[8, 8",
    "mlp[64": "mlp[8",
    "steps = 4": "steps = 2",
    "16 * residual": "3 * residual",
    "8 * residual": "3 * residual",
    "0.98": "0.8",
}


def small(path):
    """A spec; one of the library with narrow networks and the constants that make it small."""
    if path in COMPOSITIONS:
        return checked(path)
    text = path.read_text()
    for old, new in SMALLER.items():
        text = text.replace(old, new)
    return checked(text, CONTRACTS[name_of(path)][0])


@every
def test_every_parameter_is_taught(path) -> None:
    assert laws.unreached(small(path)) == []


@pytest.mark.parametrize("path", [p for p in SPECS if "_past" in p.stem and "warning" in p.stem], ids=lambda p: p.stem)
def test_what_a_short_past_does_not_teach_is_named(path) -> None:
    found = checked_bad(path)
    assert laws.unreached(found) == [] and laws.untaught(found)
    assert laws.missed(found), "something is taught by nothing"


@every
def test_samples_of_every_factor_follow_its_density(path) -> None:
    laws.verify_factors(small(path))


@every
def test_draws_of_latents_follow_their_posteriors(path) -> None:
    laws.verify_marginals(small(path))


@composition
def test_samples_follow_the_likelihood(path) -> None:
    laws.verify_whole(checked(path))
    laws.verify_missing(checked(path))


@composition
def test_rows_that_go_on_follow_the_likelihood(path) -> None:
    laws.verify_forecasts(checked(path))


@composition
def test_samples_are_those_of_the_factors(path) -> None:
    laws.verify_samples(checked(path))


@composition
def test_a_bound_lies_below_what_it_bounds(path) -> None:
    laws.verify_bound(checked(path))


@composition
def test_single_precision_is_enough(path) -> None:
    laws.verify_precision(checked(path))


@every
def test_no_method_is_written_twice(path) -> None:
    laws.verify_source(small(path))


@every
def test_the_order_of_statements_means_nothing(path) -> None:
    for k in range(2):
        laws.verify_order(small(path), k)


# What is wrong with these is their order: a constant before the one that it reads, a second name before the first.
ORDERED = {"const_after_use", "net_second_name"}
BAD = [p for p in SPECS if p.stem not in ORDERED and checked_bad(p).spec is not None]


@pytest.mark.parametrize("path", BAD, ids=lambda p: p.stem)
def test_bad_specs_have_their_codes_in_any_order(path) -> None:
    for k in range(2):
        laws.verify_order(checked_bad(path), k)
