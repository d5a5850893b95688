"""How what is missing of a row follows from what is seen: the models of a spec that it is drawn by, in words.

A way is found from the structure, by the rules of elimination that an objective is made by, in this order:

- exact: a spec of which elements may be missing has rules for them and for all latents that draw nothing from a q;
- weights: given the latents that a q draws what is missing is exact. Draws of q are weighed by p(seen, z) / q(z)
  (importance resampling, as Mattei and Frellsen, 2019, have it for data that are incomplete from the start);
- chain: the density of a whole row is known up to a factor, and a Markov chain moves what is missing.

Rows in which what is missing comes last in the order of an autoregressive density need none of the last two: it is
drawn on in that order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.emit.inference import inferred_of
from dgmppl.graph.elaborate import check_graph
from dgmppl.graph.held import random_networks
from dgmppl.graph.nodes import Factor, Graph
from dgmppl.graph.seen_spec import (
    graph_of_whole_rows,
    spec_given_common,
    spec_of_the_seen,
    spec_of_whole_rows,
    with_known,
    without_rounding,
)
from dgmppl.graph.units import with_units
from dgmppl.graph.values import Autoregressive
from dgmppl.pipeline import Checked, check_beside
from dgmppl.plan.cancel import cancel_constants
from dgmppl.plan.choose import check_plan
from dgmppl.plan.figures import likelihood_of
from dgmppl.plan.forecast import is_weighed
from dgmppl.plan.nodes import Plan, Step
from dgmppl.plan.rules.density import LogProb
from dgmppl.plan.rules.energy import MinusEnergy, Settle
from dgmppl.plan.rules.invert import Dequantise, LogDet
from dgmppl.syntax import tree
from dgmppl.syntax.override import apply_overrides
from dgmppl.words import counted


@dataclass(frozen=True)
class Exactly:
    """What is missing is drawn from its law given what is seen, by `infer` of a model.

    Args:
        seen: the spec whose elements may be missing.
        common: what rows have in common, which each has as a condition, or the model as weights of a network.
    """

    seen: Checked
    common: tuple[str, ...] = ()

    def words(self) -> str:
        steps = _drawn(*both(self.seen))
        shared = f", given {', '.join(s.variable for s in steps)} as q has it" if steps else ""
        return f"exact: drawn from p given what is seen{shared}{_given_common(self.common)}"


@dataclass(frozen=True)
class ByWeights:
    """Latents are drawn from a q, and weighed; what is missing is exact given them.

    Args:
        seen: the spec whose elements may be missing, and whose latents are data.
        proposal: the spec of whole rows, whose model has `propose`.
        latents: those that are drawn.
        unseen: all data that p models, where all of it may be missing: what is left then is the density of latents.
    """

    seen: Checked
    proposal: Checked
    latents: tuple[str, ...]
    unseen: tuple[str, ...] = ()
    common: tuple[str, ...] = ()

    def words(self) -> str:
        names = ", ".join(self.latents)
        how = f"by weights: draws of {names} from q, weighed by p / q; what is missing by p given {names} and the rest"
        return f"{how}{_given_common(self.common)}"


@dataclass(frozen=True)
class ByChain:
    """A Markov chain moves what is missing, by a density of whole rows.

    Args:
        whole: a spec with that density: of its likelihood, or of its energy.
        latents: those that are moved as well, which are data of `whole`.
        energy: the method that is minus its logarithm, and what this takes; None where it is the likelihood.
        terms: labels of the terms that add up to it; none where it is the likelihood or `energy`.
        bins: of each variable of whole numbers that `whole` has before they are rounded, the one that has these.
    """

    whole: Checked
    latents: tuple[str, ...] = ()
    energy: tuple[str, tuple[str, ...]] | None = None
    common: tuple[str, ...] = ()
    bins: Mapping[str, str] = field(default_factory=dict)
    terms: tuple[str, ...] = ()

    def words(self) -> str:
        if self.bins:
            names = ", ".join(self.bins)
            beside = f", and of {', '.join(self.latents)}" if self.latents else ""
            how = f"by a Markov chain of {names} before rounding, what is seen of it held in its bins{beside}"
            return f"{how}{_given_common(self.common)}"
        beside = f" and {', '.join(self.latents)}" if self.latents else ""
        return f"by a Markov chain of what is missing{beside}, the rest held fixed{_given_common(self.common)}"


def _given_common(names: tuple[str, ...]) -> str:
    return f"; all that given draws of {', '.join(names)}, which rows have in common, from q" if names else ""


Way = Exactly | ByWeights | ByChain

MOST_SITES = 1000
"""So many latents of few values are drawn one after another in each sweep of a chain; more take hours."""


def ways(checked: Checked, missing: Collection[str]) -> Iterator[Way]:
    """The ways in which these variables of the data can be imputed, the best first. Whether the weights of a run fit
    its models is seen when they are built.

    Raises:
        SpecError (E660): for a variable that nothing models.
    """
    graph, plan = both(checked)
    free = next((v for v in graph.data if v.name in missing and v.name in graph.conditions), None)
    if free is not None:
        headline = f"`{free.name}` is missing, and nothing models it: the others are given it"
        raise SpecError([Diagnostic("E660", headline, help=f"give `{free.name}` in every row")])
    assert checked.spec is not None
    rows = tuple(v.name for v in (*graph.latents, *graph.partial) if not v.shared)
    yield from _given_draws_in_common(checked, missing)
    seen = _checked(checked, spec_of_the_seen(checked.spec, missing, rows))
    if seen is not None and _is_exact(seen, missing):
        yield Exactly(seen)
    of_rows = [(n, s) for s in _drawn(graph, plan) for n in s.gives or (s.variable,) if n in rows]
    drawn = tuple(n for n, _ in of_rows if graph[n].role == "latent")
    summed = tuple(n for n, s in of_rows if s.repeats and n in drawn)
    if len(summed) < len(drawn):
        yield from _by_weights(checked, missing, tuple(n for n in drawn if n not in summed), summed)
    yield from _by_energy(checked)
    spec = spec_of_whole_rows(spec_of_the_seen(checked.spec, (), rows), [v.name for v in graph.partial])
    own = tuple(v.name for v in graph.latents if v.name in rows and graph.definition(v.name) is None)
    choices: tuple[tuple[str, ...], ...] = tuple(dict.fromkeys(((), drawn, own)))
    for known in choices:
        families = [n for n in known if graph[n].along is not None]
        whole = _checked(checked, spec_of_whole_rows(spec, families), [n for n in known if n not in families])
        if whole is None and families:  # as of a chain that starts at the data, z[0] = x
            whole = _of_graph(checked, graph_of_whole_rows(graph, known))
        density = _density_of(whole) if whole is not None and not _too_many(graph, known) else None
        if density is not None:
            yield replace(density, latents=known)
            return
    for known in choices:
        found = _by_bins(checked, known)
        if found is not None:
            yield found
            return


def in_order(checked: Checked, missing: Collection[str]) -> tuple[Factor, ...]:
    """The autoregressive factors of these variables that alone say what follows of them from what is seen: all that
    they read is data, and nothing reads what they are of."""
    graph, _ = both(checked)
    if graph.energy is not None or graph.shared:
        return ()
    found = []
    for name in missing:
        factor = graph.factor("p", name)
        if factor is None or not isinstance(factor.density, Autoregressive) or graph[name].length:
            continue
        reads = graph.roots(graph.reads(factor))
        others = {v.name for v in graph.variables if v.role != "let"} - {name}
        if {*reads} <= {v.name for v in graph.data} and name not in graph.sources(others):
            found.append(factor)
    return tuple(found)


def _given_draws_in_common(checked: Checked, missing: Collection[str]) -> Iterator[Way]:
    """The ways of the spec whose rows have what they have in common as a condition each."""
    if (made := given_common(checked)) is not None:
        given, common = made
        for way in ways(given, missing):
            yield replace(way, common=common)


def given_common(checked: Checked) -> tuple[Checked, tuple[str, ...]] | None:
    """The spec whose rows have what they have in common as a condition each, or as weights of networks, with its names;
    None where there is nothing of the kind, or no plan of it."""
    graph, _ = both(checked)
    common = tuple(v.name for v in graph.shared if graph.factor("q", v.name) is not None)
    if not common or checked.completed is None:
        return None
    found = _checked(checked, spec_given_common(checked.completed, common))
    if found is None or found.graph is None or found.graph.shared:
        return None
    known = {v.name for v in graph.data}
    conditions = tuple(v.name for v in found.graph.data if v.name not in known)
    weights = tuple(name for name in random_networks(graph) if name in common)
    return replace(found, completed=found.spec), (*conditions, *weights)  # with each q that the fit had, and no other


def no_way(checked: Checked, missing: Collection[str]) -> SpecError:
    """That a model says nothing of what is missing (E660), and what of the spec keeps it from that."""
    graph, _ = both(checked)
    names = " and ".join(f"`{name}`" for name in missing)
    headline = f"{graph.name} cannot impute {names}: no density of whole rows is known, given its latents"
    help_ = "`dgmppl explain` says what is derived from the spec"
    functions = [v.name for v in graph.data if graph.definition(v.name) is not None]
    if functions:
        name = functions[0]
        help_ = (
            f"`{name}` is a function of latents, which has a density where it has an inverse, as a flow, or is rounded"
        )
        help_ += f"; `p({name} | ...) = Normal(...)` has one always"
    elif many := _too_many(graph, [v.name for v in graph.latents]):
        number = sum(graph[n].type.elements for n in many)
        told = " and ".join(f"`{n}`" for n in many)
        count = counted(number, "element", ",")
        help_ = f"{told} would be drawn with it, {count} of few values one after another; fewer steps can do"
    return SpecError([Diagnostic("E660", headline, help=help_)])


def _by_weights(
    checked: Checked, missing: Collection[str], latents: tuple[str, ...], summed: tuple[str, ...]
) -> Iterator[ByWeights]:
    assert checked.spec is not None and checked.completed is not None
    graph, _ = both(checked)
    rows = (*latents, *summed, *(v.name for v in graph.partial))
    whole = tuple(v.name for v in graph.data if v.name not in graph.conditions)
    for unseen in (whole, ()):
        seen = _checked(checked, spec_of_the_seen(checked.spec, unseen or missing, rows), latents)
        if seen is not None and _is_exact(seen, unseen or missing) and _is_a_density(seen):
            break
    else:
        return
    in_rows = [v.name for v in graph.partial if not v.elementwise]
    spec = spec_of_whole_rows(checked.completed, in_rows, summed)
    proposal = _checked(checked, apply_overrides(spec, ("train.objective=iwae(2)",)))
    bound = likelihood_of(both(proposal)[1]) if proposal is not None else None
    if proposal is None or bound is None or bound.kind not in ("elbo", "iwae"):
        return
    proposal = replace(proposal, plan=replace(both(proposal)[1], proposes=latents))
    if is_weighed(*both(proposal)):
        yield ByWeights(seen, proposal, latents, unseen)


def _by_energy(checked: Checked) -> Iterator[ByChain]:
    """Where all that has a density is the energy: its data, and latents that are not summed out."""
    graph, plan = both(checked)
    others = [f for f in graph.factors if f.side == "p"]
    data = {v.name for v in graph.data} - {*graph.conditions}
    if graph.energy is None or others or not plan.samplers or not data <= {*graph.energy.arguments}:
        return
    form = plan.samplers[0].form
    free = form.state if not any(graph[n].role != "latent" for n in _summed(graph, form.state)) else None
    arguments = free or graph.energy.arguments
    latents = tuple(n for n in arguments if graph[n].role == "latent")
    yield ByChain(checked, latents, ("free_energy" if free else "energy", tuple(arguments)))


def _by_bins(checked: Checked, known: Collection[str]) -> ByChain | None:
    """Where whole numbers are rounded numbers whose density is known, as those of a flow that is dequantised, these
    latents being data."""
    found = without_rounding(both(checked)[0])
    if found is None:
        return None
    smooth, bins = found
    whole = _of_graph(checked, with_known(smooth, known))
    density = _density_of(whole) if whole is not None else None
    return None if density is None else replace(density, latents=tuple(known), bins=bins)


def _of_graph(checked: Checked, graph: Graph) -> Checked | None:
    """A graph beside that of a spec, with its plan; None where it has none."""
    assert checked.spec is not None
    graph, spec = with_units(graph, graph.units), spec_of_the_seen(checked.spec, ())  # without how to fit
    plan, _ = check_plan(graph, spec)
    return None if plan is None else Checked(checked.source, checked.path, (), spec, graph, plan, (), checked.python)


def _density_of(whole: Checked) -> ByChain | None:
    """A chain by the density of whole rows, or by that up to a factor, as of an energy; None where neither is known."""
    if _is_a_density(whole):
        return ByChain(whole)
    graph, plan = both(whole)
    terms = tuple(t for t in plan.terms if not t.beside)  # without samples of the energy, which tell its normaliser
    exact = all(isinstance(t, (LogProb, LogDet, MinusEnergy)) for t in terms)
    certain = not _drawn(graph, plan) and not any(isinstance(s, (Settle, Dequantise)) for s in plan.steps)
    if graph.energy is None or not exact or not certain:
        return None
    losses = tuple(replace(loss, terms=tuple(t for t in loss.terms if not t.beside)) for loss in plan.losses)
    return ByChain(replace(whole, plan=replace(plan, losses=losses)), terms=tuple(t.label for t in terms))


def _too_many(graph: Graph, known: Collection[str]) -> tuple[str, ...]:
    """Latents of too many elements of few values for a chain that draws one after another."""
    return tuple(n for n in known if graph[n].type.support.discrete and graph[n].type.elements > MOST_SITES)


def _summed(graph: Graph, state: Collection[str]) -> list[str]:
    assert graph.energy is not None
    return [n for n in graph.energy.arguments if n not in state]


def _checked(checked: Checked, spec: tree.Spec, known: Collection[str] = ()) -> Checked | None:
    """A spec beside another one, with its plan, these latents of which are data; None where there is none."""
    if not known:
        found = check_beside(checked, spec)
        return found if found.plan is not None else None
    graph, _ = check_graph(spec, checked.source)
    if graph is None:
        return None
    graph = cancel_constants(with_known(graph, known), spec)
    plan, _ = check_plan(graph, spec)
    graph = with_units(graph, both(checked)[0].units)
    made = Checked(checked.source, checked.path, (), spec, graph, plan, (), checked.python)
    return made if plan is not None else None


def both(checked: Checked) -> tuple[Graph, Plan]:
    """The graph and the plan."""
    if checked.graph is None or checked.plan is None:
        raise SpecError(checked.errors, checked.source)
    return checked.graph, checked.plan


def _drawn(graph: Graph, plan: Plan) -> list[Step]:
    """The steps that draw from a q, or sum under one."""
    return [s for s in plan.steps if any(key[0] == "q" for key in s.comes_from)]


def _is_exact(seen: Checked, missing: Collection[str]) -> bool:
    """Whether its `infer` draws what is missing from its law given what is seen, and given what rows have in common."""
    graph, plan = both(seen)
    noise = any(isinstance(s, Dequantise) for s in plan.steps)
    shared = all(graph[s.variable].shared for s in _drawn(graph, plan))
    return shared and not noise and set(missing) <= set(inferred_of(graph, plan))


def _is_a_density(whole: Checked) -> bool:
    """Whether its likelihood is exact."""
    likelihood = likelihood_of(both(whole)[1])
    return likelihood is not None and likelihood.kind == "log_prob"


__all__ = ["ByChain", "ByWeights", "Exactly", "Way", "both", "given_common", "in_order", "no_way", "ways"]
