"""Objectives by name, those that a core can have."""

from __future__ import annotations

from collections.abc import Callable

from tests.contracts.random_specs.cores.chains import family
from tests.contracts.random_specs.cores.data import exact
from tests.contracts.random_specs.cores.energies import boltzmann, lattice, network_energy
from tests.contracts.random_specs.cores.in_common import shares
from tests.contracts.random_specs.cores.latents import latents, pseudo_inputs
from tests.contracts.random_specs.cores.sums import clusters
from tests.contracts.random_specs.draft import Draft


def _beta(d: Draft) -> str:
    return f"objective = elbo(beta = {d.choose(('2', '2', 'linear(0, 1)', 'cosine(0.5, 2, epochs = 3)'))})"


def _weight(d: Draft) -> str:
    of_family = any(s.startswith("latent z[t in") for s in d.statements)
    names = [*(u.name for u in d.data), *(["z[t]"] if of_family else [])]
    return f"objective = elbo(weight = {{ {d.choose(names)} = 0.5 }})" if d.data else ""


def _importance(d: Draft) -> str:
    return "objective = iwae(3)"


def _likelihood(d: Draft) -> str:
    return f"objective = likelihood(weight = {{ {d.choose(d.data).name} = 0.5 }})" if d.data else ""


def _divergence(d: Draft) -> str:
    return f"objective = contrastive_divergence(steps = 2, persistent = {d.choose(('true', 'false'))})"


def asked(d: Draft, core: Callable[[Draft], None]) -> None:
    """An objective by name, one that the core can have."""
    if core in (latents, pseudo_inputs, family):
        d.settings.append(d.choose((_beta, _weight, _weight if shares(d) else _importance))(d))
    elif core is clusters and d.drawn:
        d.settings.append(d.choose((_importance, _importance, _beta))(d))
    elif core is exact:
        d.settings.append(_likelihood(d))
    elif core in (boltzmann, lattice, network_energy):
        d.settings.append(_divergence(d))
