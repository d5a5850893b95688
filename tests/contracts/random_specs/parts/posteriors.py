"""Posteriors of random specs: a function for each structure, in `POSTERIORS`."""

from __future__ import annotations

from collections.abc import Sequence

from tests.contracts.random_specs.draft import Draft, Unit, names
from tests.contracts.random_specs.parts.densities import DRAWN, factor
from tests.contracts.random_specs.parts.networks import network


def _derived(d: Draft, latents: Sequence[Unit], seen: Sequence[Unit]) -> None:
    if d.often(0.4):
        d.settings["posterior"] = "factorised"


def _mean_field(d: Draft, latents: Sequence[Unit], seen: Sequence[Unit]) -> None:
    for z in latents:
        factor(d, "q", z, seen, DRAWN)
    if d.often(0.2):  # that these leave out how latents depend on each other is meant
        d.settings["accept"] = f"[{d.choose(('W401', f'W401({latents[-1].name})', 'W402, W401'))}]"


def _without_data(d: Draft, latents: Sequence[Unit], seen: Sequence[Unit]) -> None:
    for z in latents:
        factor(d, "q", z, (), DRAWN[:1])


def _bottom_up(d: Draft, latents: Sequence[Unit], seen: Sequence[Unit]) -> None:
    below: Sequence[Unit] = seen
    for z in latents:
        factor(d, "q", z, below, DRAWN)
        below = (z,)


def _top_down(d: Draft, latents: Sequence[Unit], seen: Sequence[Unit]) -> None:
    above: tuple[Unit, ...] = ()
    for z in reversed(latents):
        factor(d, "q", z, (*above, *seen), DRAWN)
        above = (z,)


def _some_given(d: Draft, latents: Sequence[Unit], seen: Sequence[Unit]) -> None:
    factor(d, "q", d.choose(latents), seen, DRAWN)


POSTERIORS = (_derived, _mean_field, _mean_field, _without_data, _bottom_up, _top_down, _some_given)


def residual_posterior(d: Draft, latents: Sequence[Unit], priors: Sequence[str], seen: Sequence[Unit]) -> None:
    """Top-down, each relative to its prior, which must be a Normal."""
    for z, prior in zip(reversed(latents), reversed(priors), strict=True):
        parents = prior[prior.index("|") + 1 : -1].strip() if "|" in prior else ""
        given = ", ".join(filter(None, [parents, names(seen)]))
        d.say(f"q({z.name} | {given}) = residual({prior}, {network(d, seen)})")
