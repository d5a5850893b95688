"""Random well-formed specs: a number gives a text. Every construct of the language is in one of the tables.

`parts` are right-hand sides, a function for each construct: `networks`, `values`, `flows`, `densities`, those of
`elements`, and `posteriors`. `cores` are what a model is about: `data`, `latents`, `sums`, `chains`, `sequences`,
`flows`, `energies`, `games`, `in_common`. `causes` add what a likelihood reads, and what reads data and latents;
`objectives` asks for another objective, `fits` for settings of a fit, and `rows` says which rows there are. A construct
enters by one function in one table; a distribution by its name in `FAMILIES` of `parts.families`.

    python -m tests.contracts.random_specs 7        # prints the spec of number 7
"""

from __future__ import annotations

from collections.abc import Callable

from tests.contracts.random_specs.causes import CAUSES, KNOWN_CAUSES, LEAVES
from tests.contracts.random_specs.cores import (
    chains,
    data,
    energies,
    flows,
    games,
    in_common,
    latents,
    sequences,
    sums,
)
from tests.contracts.random_specs.draft import Draft
from tests.contracts.random_specs.fits import fitted
from tests.contracts.random_specs.objectives import asked
from tests.contracts.random_specs.rows import rows_told

MODULES = (data, latents, sums, chains, sequences, flows, energies, games, in_common)
CORES: tuple[Callable[[Draft], None], ...] = tuple(core for module in MODULES for core in module.CORES)

OF_ROWS = games.CORES  # games compare rows
OF_CHAINS = (energies.boltzmann, energies.lattice, energies.network_energy)
ALONE = (energies.boltzmann, energies.lattice, energies.network_energy, flows.integer_flow)


def random_spec(number: int) -> str:
    """The text of a spec, the same for the same number."""
    d = Draft(number)
    core = d.choose(CORES)
    while core not in ALONE and d.often(0.25):
        cause = d.choose(CAUSES if core is not flows.matched else KNOWN_CAUSES)
        if cause is not in_common.in_common or core not in OF_ROWS:
            cause(d)
    core(d)
    while d.often(0.2):
        d.choose(LEAVES)(d)
    if d.often(0.2) or (core in OF_CHAINS and d.fits.random() < 0.5):
        asked(d, core)
    if d.scales.random() < 0.1:
        d.settings["units"] = "false"
    if d.fits.random() < 0.15:
        fitted(d)
    lines = [f"model random_{number}", *rows_told(d)]
    settings = ", ".join(f"{name} = {value}" for name, value in d.settings.items())
    return "\n".join([*lines, *([f"train {{ {settings} }}"] if settings else [])]) + "\n"
