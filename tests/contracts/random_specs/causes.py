"""What a likelihood reads beside its latents, and what reads data and latents: `CAUSES` and `LEAVES`."""

from __future__ import annotations

from tests.contracts.random_specs.cores.in_common import in_common, shares
from tests.contracts.random_specs.draft import Draft, Unit
from tests.contracts.random_specs.parts.densities import DENSITIES, DRAWN, factor
from tests.contracts.random_specs.parts.families import bounded
from tests.contracts.random_specs.variables import SUPPORTS, VECTORS, observed


def _condition(d: Draft) -> None:
    support = d.bounded(d.choose(SUPPORTS))
    shape = (2,) if support in VECTORS else d.choose(((), (2,)))
    s = d.unit("s", support, shape, "observed")
    wide = (*shape, 3) if support == "categorical(3)" else shape
    if len(wide) > 1 or d.gaps.random() > 0.5:
        d.causes.append(s)
        return
    seen = Unit(d.name("seen"), "real", wide, "let")  # a share of the rows of a fit does without
    d.say(f"let {seen.name} : {seen.type} = drop({s.name}, 0.2)")
    d.causes.append(seen)


def _partial_cause(d: Draft) -> None:
    """Something that some rows miss, which the likelihood reads: summed or imputed there."""
    kinds = (
        ("categorical(3)", ()),
        ("categorical(3)", ()),
        ("binary", (2,)),
        ("real", ()),
        ("unit", (2,)),
        ("positive", (2,)),
    )
    support, shape = d.choose(kinds)
    y = d.unit("y", d.classes(support), shape, "partial")
    factor(d, "p", y, (), DENSITIES[:3])
    d.causes.append(y)


def _observed_cause(d: Draft) -> None:
    y = observed(d, "y", d.choose(("real", "categorical(3)", "binary")))
    factor(d, "p", y, ())
    d.causes.append(y)


CAUSES = (_condition, _condition, _partial_cause, _observed_cause, in_common)

KNOWN_CAUSES = (_condition, _observed_cause)


def _label(d: Draft) -> None:
    """Another variable of the data that reads the latents or the data; some rows may miss it."""
    of = d.choose((d.drawn[:1] or d.data[:1], d.data[:1]))
    if of:
        support = d.bounded(d.choose(SUPPORTS))
        role = d.choose(("observed", "partial"))
        y = d.unit("v", support, (2,) if support in VECTORS or bounded(support) else (), role)
        factor(d, "p", y, of, DENSITIES[:3] if not bounded(support) else DENSITIES)


def _opponent(d: Draft) -> None:
    """A game on top, about data that has a density."""
    of = [u for u in d.data if u.role == "observed" and u.support in ("real", "positive", "unit")]
    if of and not any(s.startswith("adversary") for s in d.statements) and not shares(d):
        d.say(f"adversary D({of[0].name}) = mlp[4]")


def _latent_leaf(d: Draft) -> None:
    """A latent that nothing but its own q reads."""
    if d.drawn:
        w = d.unit("w", "real", (2,))
        factor(d, "p", w, d.drawn[:1], DENSITIES[:1])
        if d.often(0.5):
            factor(d, "q", w, d.drawn[:1], DRAWN)


LEAVES = (_label, _label, _opponent, _latent_leaf)
