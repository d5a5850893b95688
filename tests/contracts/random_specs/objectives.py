"""Objectives by name, those that a core can have."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.contracts.random_specs.cores.chains import family, noised
from tests.contracts.random_specs.cores.data import exact
from tests.contracts.random_specs.cores.energies import boltzmann, lattice, network_energy
from tests.contracts.random_specs.cores.in_common import shares
from tests.contracts.random_specs.cores.latents import latents, pseudo_inputs
from tests.contracts.random_specs.cores.sums import clusters
from tests.contracts.random_specs.draft import Draft

RAMPS = ("linear(0, 1)", "cosine(0.5, 2, epochs = 3)")


def _beta(d: Draft) -> str:
    return f"elbo(beta = {d.choose(('2', '2', *RAMPS))})"


def _weights(d: Draft) -> str:
    """Of one variable, or of each."""
    of_family = any(s.startswith("latent z[t in") for s in d.statements)
    names = [*(u.name for u in d.data), *(["z[t]"] if of_family else [])]
    named = names if d.often(0.3) else [d.choose(names)]
    return f"weight = {{ {', '.join(f'{name} = ' + d.choose(('0.5', '0.5', *RAMPS)) for name in named)} }}"


def _weight(d: Draft) -> str:
    return f"elbo({_weights(d)})"


def _classify(d: Draft) -> str:
    """A partial variable of few values is classified as well, where there is one."""
    some = [u for u in d.causes if u.role == "partial" and u.support in ("binary", "categorical(3)", "ordinal(3)")]
    return "elbo(classify = 3)" if some else _beta(d)


def _importance(d: Draft) -> str:
    return "iwae(3)"


def _divergence(d: Draft) -> str:
    """With options of a chain that is kept, and of one that moves by Langevin dynamics, where it may be such a one."""
    kept = d.choose(("true", "false"))
    options = ["steps = 2", f"persistent = {kept}"]
    if kept == "true":
        options += [o for o in ("chains = 6", f"restart = {d.fits.choice(('0', '0.1', '1'))}") if d.fits.random() < 0.4]
    if not any(re.match(r"\w+ x : (binary|categorical|integer)", s) for s in d.statements):
        options += [o for o in ("step_size = 0.001", "noise = 0.01") if d.fits.random() < 0.4]
    return f"contrastive_divergence({', '.join(options)})"


def _stages(d: Draft) -> str:
    """A fit in two parts: some variables with their p and q, then all others, or the priors of latents alone."""
    drawn = [s.split("=")[0] for s in d.statements if s.startswith(("p(", "q("))]
    names = list(
        dict.fromkeys(s[2:].split("|")[0].split(")")[0].strip() for s in drawn if "[" not in s and "," not in s)
    )
    if len(names) < 2:
        return ""
    return f"[fit({', '.join(names[1:])}), fit({names[0]}, lr = 0.01)]"


def asked(d: Draft, core: Callable[[Draft], None]) -> None:
    """An objective by name, one that the core can have; and stages."""
    stages = _stages(d) if d.often(0.3) else ""
    if stages:
        d.settings["stages"] = stages
    if core in (latents, pseudo_inputs, family):
        options = (_beta, _weight, _classify, _classify, _weight if shares(d) else _importance)
        d.settings["objective"] = d.choose(options)(d)
    elif core is noised:
        d.settings["objective"] = "elbo(weight = { z[t] = simple })"
    elif core is clusters and d.drawn:
        d.settings["objective"] = d.choose((_importance, _importance, _beta))(d)
    elif core is exact:
        d.settings["objective"] = f"likelihood({_weights(d)})"
    elif core in (boltzmann, lattice, network_energy):
        d.settings["objective"] = _divergence(d)
    if core in (latents, exact) and "iwae" not in d.settings.get("objective", "") and d.often(0.3):
        d.settings["best"] = "objective"
