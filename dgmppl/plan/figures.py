"""The figures that a plan's structure gives: what can be said of how good a fit is, and which of it chooses the epoch.

The emitted class has one method for them; what each means is in its record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dgmppl.catalogue import figures as catalogue
from dgmppl.catalogue.figures import Figure
from dgmppl.catalogue.transforms import CURVED
from dgmppl.graph.inverse import MAX_CASES, joint_values
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.graph.values import Pushforward, variables
from dgmppl.plan.nodes import Loss, Plan, Step, Term
from dgmppl.plan.parts import known_by, leaves, terms_apart
from dgmppl.plan.rules.exact import Exact
from dgmppl.plan.rules.forward import SumAlong
from dgmppl.plan.rules.invert import Dequantise
from dgmppl.plan.rules.marginalise import Marginalise
from dgmppl.plan.rules.match import Matching, likelihood_shown, words
from dgmppl.plan.rules.sum_product import SumOut
from dgmppl.plan.sampler import FreeEnergy
from dgmppl.plan.settings import setting_span
from dgmppl.plan.state import Elimination
from dgmppl.syntax import tree


def choose_figures(state: Elimination, kind: str, fitted: Loss) -> tuple[Figure, ...]:
    """The figures of each row, that of the whole first if there is one; then those of its parts, and errors.

    Args:
        kind: of the bound or likelihood that the objective's terms add up to, "" where they are none.
        fitted: the model's loss. Where its samples are several, draws of each row are weighed; else terms are averaged.
    """
    samples = fitted.samples
    whole = quantity(state)
    summed = state.summed()
    drawn = [q.head for q in state.posteriors() if q.head not in summed]
    found: tuple[Figure, ...] = ()
    if state.sampler is not None:
        found = _of_energy(state.graph, state.sampler.form, kind, whole)
    elif kind == "elbo" and samples > 1:
        found = (catalogue.importance_weighted(samples, whole, drawn),)
    elif kind == "elbo":
        noise = any(isinstance(s, Dequantise) for s in state.steps)
        of = [*drawn, *(["the noise"] if noise else [])]
        how = [catalogue.draws_text(_draws(state), of)] if of else []
        how += [f"a sum over the values of {name}" for name in sorted(summed)]
        found = (catalogue.elbo(whole, ", ".join(how), drawn),)
    elif kind == "log_prob":
        found = (catalogue.log_prob(whole),)
    matched = any(isinstance(t, Matching) for t in fitted.terms)
    apart = () if matched else leaves(state)
    if kind and samples == 1 and state.sampler is None and not matched:
        found = (*found, *_of_parts(state, fitted.terms, apart, found[0]))
        if any(t.times for t in fitted.terms) or state.settings.best == "objective":
            found = (*found, catalogue.objective(found[0].how))
    return (*found, *_errors(state, apart), *_distances(state, apart))


def _draws(state: Elimination) -> int:
    """Over how many draws of each row a figure is averaged."""
    return catalogue.SHARED_DRAWS if state.graph.shared else 1


def figures_of_matching(state: Elimination, fitted: Loss, likelihood: tuple[Figure, ...]) -> tuple[Figure, ...]:
    """The loss itself, which chooses the epoch, since it costs no more than a step; and then what the likelihood gives,
    where its Jacobian is small enough."""
    terms = [t for t in fitted.terms if isinstance(t, Matching)]
    shown = likelihood if likelihood_shown(state, terms) else ()
    others = [t.label for t in fitted.terms if not isinstance(t, Matching)]
    how = " and ".join([words(terms[0].path, terms[0].target), *(f"minus {label}" for label in others)])
    return (catalogue.matching([t.variable for t in terms], how), *shown)


def criterion_of(state: Elimination, spec: tree.Spec, figures: Sequence[Figure], matched: bool) -> str | None:
    """The name of the figure that says which epoch was best: what `best` asks for (E305), else that of the whole; None
    where only errors, or nothing, can be compared.

    Args:
        matched: whether the likelihood is none of the figures that are looked at after each epoch.
    """
    asked = state.settings.best
    if not asked:
        return next((f.name for f in figures if not f.is_error), None)
    known = {f.written: f.name for f in figures if not (matched and f.is_likelihood)}
    names = known | {name: name for name in known.values()}
    if asked in names:
        return names[asked]
    what = f"`{asked}` is no figure of this model" if known else "this model has no figure that could choose an epoch"
    help_ = f"one of {', '.join(known)}" if known else "the weights of the last epoch are kept"
    state.scope.fail("E305", what, setting_span(spec, "best"), "chooses no epoch", help=help_)


def told_by(plan: Plan) -> Figure | None:
    """The figure that says how unlike others a row is: that of the rest, where there are factors with figures of their
    own, for a label says nothing of what it is a label of; else that of the whole."""
    return next((f for f in plan.figures if f.kind == "rest"), None) or likelihood_of(plan)


def likelihood_of(plan: Plan) -> Figure | None:
    """The figure that is the data's log-likelihood or bounds it from below; None where there is none."""
    return next((f for f in plan.figures if f.is_likelihood), None)


def scored(graph: Graph, figure: Figure) -> tuple[str, ...]:
    """The variables whose log-density a figure is, or bounds; none of what is no density, and of the objective, which
    is a number of the model."""
    if figure.kind in ("factor", "rest", "conditional", "pseudo_likelihood"):
        return figure.variables
    if figure.kind not in ("log_prob", "elbo", "iwae"):
        return ()
    return tuple(v.name for v in graph.data if v.name not in graph.conditions)


def bits_of(graph: Graph, plan: Plan) -> Figure | None:
    """The plan's likelihood in bits per dimension; None where it has none, or some of the data is continuous."""
    known = likelihood_of(plan)
    return None if known is None or dimensions(graph) is None else catalogue.bits_per_dimension(known)


def all_figures(graph: Graph, plan: Plan) -> dict[str, Figure]:
    """Every figure that runs of a plan can be compared by, by name: those of rows, in bits, and those of samples."""
    bits = bits_of(graph, plan)
    found = (*plan.figures, *([bits] if bits else []), *catalogue.SAMPLE_FIGURES.values())
    return {f.name: f for f in found}


def dimensions(graph: Graph) -> int | None:
    """How many discrete numbers the model gives a probability; None where some of them are continuous.

    The density of continuous data has no bits: it changes with the units of measurement. Where some variables are
    seen in some rows only, the number differs from row to row.
    """
    modelled = [v.type for v in graph.observed if v.name not in graph.conditions]
    if graph.partial or not modelled or not all(t.support.discrete for t in modelled):
        return None
    return sum(t.elements for t in modelled)


def quantity(state: Elimination, without: Sequence[str] = ()) -> str:
    """What the density of the data is: "log p(x | y)"; what a game generates has none, but others may depend on it.

    Args:
        without: variables that nothing else depends on, and that are left out.
    """
    graph, implicit = state.graph, [d.variable for d in state.implicit]
    seen = ", ".join(v.name for v in graph.data if v.name not in (*graph.conditions, *implicit, *without))
    read = [v for v in implicit if any(f.side == "p" and v in graph.roots(f.parents) for f in graph.factors)]
    given = ", ".join((*graph.conditions, *read))
    target = f"log p({seen}{' | ' + given if given else ''})"
    rows = [v.name for v in graph.partial if not v.elementwise and v.name not in without]
    elements = [v.name for v in graph.partial if v.elementwise]
    if elements:
        target += f" of what is seen of {', '.join(elements)}"
    if rows:
        target += f" without {', '.join(rows)} where {'it is' if len(rows) == 1 else 'they are'} missing"
    return target


def _of_energy(graph: Graph, energy: FreeEnergy, kind: str, whole: str) -> tuple[Figure, ...]:
    found: list[Figure] = []
    # A latent that is summed has no value in any row that could be right or wrong.
    if energy.enumerated is not None and graph[energy.enumerated].role != "latent":
        error = catalogue.error(energy.enumerated, named=len(classes_of(graph)) > 1)
        found += [catalogue.conditional(energy.enumerated, energy.state), error]
    if kind == "log_prob":
        found.append(catalogue.log_prob(whole))
    if energy.pseudo is not None:
        found.append(catalogue.pseudo_likelihood(energy.pseudo))
    return tuple(found)


def _of_parts(state: Elimination, terms: Sequence[Term], apart: Sequence[Variable], whole: Figure) -> list[Figure]:
    """A figure of each factor that stands alone, and of the rest; none where there is but one part."""
    graph = state.graph
    alone = terms_apart(terms, [v.name for v in apart])
    others = [v.name for v in graph.data if v.name not in (*graph.conditions, *alone)]
    if len(alone) + bool(others) < 2:
        return []
    found: list[Figure] = []
    for name, term in alone.items():
        known = known_by(state, term.reads[1:])
        how = catalogue.draws_text(_draws(state), [*known.drawn, *(["the noise"] if known.noisy else [])])
        exact = not known.drawn and not known.noisy
        relation = "exact" if exact else "estimate" if known.drawn else "lower bound"
        found.append(catalogue.factor(name, known.names, "exactly" if exact else how, relation))
    if others:
        found.append(catalogue.rest(quantity(state, tuple(alone)), others, whole.how, whole.relation))
    return found


def _errors(state: Elimination, apart: Sequence[Variable]) -> list[Figure]:
    """How often a variable of few values is predicted wrongly where it is seen: a partial one by its q, by its exact
    posterior where it is summed out, or by its p; another by its p, if nothing else reads it. One of the energy is
    scored there."""
    graph = state.graph
    given = {f.head for f in graph.factors if f.side == "p" and f.parents}
    read = [v for v in apart if v.role == "observed" and v.name in given]
    predicted = [*graph.partial, *read]
    named = len(graph.partial) > 1 or len(classes_of(graph)) > 1
    found: list[Figure] = []
    for v in predicted:
        step = state.step_of(v.name)
        if v.length or isinstance(step, Exact):
            continue  # what is said of it is said position by position
        if isinstance(step, Marginalise):
            # The most probable case of several that are summed out need not have the most probable value of each.
            alone = not any(s is not step and (s.repeats or s.enumerates) for s in state.steps)
            if alone and not (v.elementwise and v.type.shape):
                found.append(catalogue.error(v.name, named=named))
            continue
        factor = graph.factor("q", v.name) or graph.factor("p", v.name)
        if factor is None or joint_values(v) > MAX_CASES or v.elementwise:
            continue  # elements are not predicted together
        if not _under_a_sum(graph, state.steps, factor.parents):
            found.append(catalogue.error(v.name, named=named))
    return found


def classes_of(graph: Graph) -> list[Variable]:
    """The variables of the data of which each row has one of few values. Where there are several, figures of each say
    its name."""
    modelled = (v for v in graph.data if v.name not in graph.conditions and not v.type.shape)
    return [v for v in modelled if joint_values(v) <= MAX_CASES]


def _distances(state: Elimination, apart: Sequence[Variable]) -> list[Figure]:
    """How far a number is from the mean of its p given other data, in the units of the data: where these are an affine
    function of the model's, which a mean is carried over by."""
    graph = state.graph
    found = []
    for v in apart:
        factor, curved = graph.factor("p", v.name), {name for name, _ in v.data.transforms} & CURVED if v.data else ()
        if factor is None or not factor.parents or v.role != "observed" or v.type.shape or curved:
            continue
        if not v.type.support.numeric or joint_values(v) <= MAX_CASES or isinstance(factor.density, Pushforward):
            continue  # classes have an error, and the image of a mean is no mean
        known = known_by(state, factor.parents)
        if not known.drawn and not known.noisy and not _under_a_sum(graph, state.steps, factor.parents):
            found.append(v.name)
    numbers = [v for v in graph.data if v.name not in graph.conditions and v.type.support.numeric]
    few = {v.name for v in classes_of(graph)}
    return [catalogue.rmse(name, named=len([v for v in numbers if v.name not in few]) > 1) for name in found]


def _under_a_sum(graph: Graph, steps: Iterable[Step], names: Iterable[str]) -> bool:
    """Whether some of these variables, or what they are computed from, has several values a row."""
    made = {name: step for step in steps for name in (step.variable, *step.gives)}
    pending, seen = list(names), set[str]()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in made and (made[name].repeats or made[name].enumerates or isinstance(made[name], (SumOut, SumAlong))):
            return True
        factor, definition = graph.factor("q", name), graph.definition(name)
        pending += factor.parents if factor is not None and name in made and graph[name].role != "observed" else ()
        pending += variables(definition.value) if definition is not None else ()
    return False
