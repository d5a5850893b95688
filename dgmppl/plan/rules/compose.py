"""Compose: a chain of latents that q makes by steps of known numbers is composed in closed form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from dgmppl.catalogue.distributions import CLOSED_KL
from dgmppl.graph.elements import lag_of, reads_through
from dgmppl.graph.nodes import Factor, Graph, Schedule, Variable
from dgmppl.graph.numbers import Affine, Index, NoResult, NotClosed, affine
from dgmppl.graph.values import (
    Apply,
    At,
    Constant,
    Declared,
    Element,
    Feature,
    Learned,
    OneHot,
    Operation,
    Parametric,
    Segment,
    Sequence,
    Use,
    Value,
    children,
    variables,
    walk,
)
from dgmppl.plan import latex
from dgmppl.plan.nodes import Term
from dgmppl.plan.rules.draw import Draw, MinusKL, draw, family_of, ready, samples_of, takes_each_value
from dgmppl.plan.rules.rule import Rule
from dgmppl.plan.rules.sum_in_common import sum_in_common
from dgmppl.plan.state import Elimination

BY_LOSS = "by_loss"

COMPOSED = "composed"
"""The estimator of a chain whose members are drawn at random places, given its start."""


@dataclass(frozen=True)
class Compose(Draw):
    """Any member of a chain from its start: what reads the first is given a draw of that."""

    estimator: str = COMPOSED
    family: str = "Normal"

    def words(self) -> str:
        return f"compose {self.factor}"


@dataclass(frozen=True)
class GoBack(Draw):
    """A draw of the first member of a chain that q composes, by p from the last one back: of a normal chain in as many
    steps as asked, of one of classes in all of them."""

    chain: str = ""
    family: str = "Normal"

    @property
    def strided(self) -> bool:
        """Whether members may be left out."""
        return self.family == "Normal"

    def words(self) -> str:
        how = "in as many steps as asked" if self.strided else "led by what it is given as far as asked"
        return f"draw {self.variable} from {self.factor}, back {how}"


@dataclass(frozen=True)
class ComposedKL(MinusKL):
    """-KL(q || p) of a chain: of its last member in closed form, of each other given the next one, at random places.
    `simple`: the loss has these without their weights; `by_loss`: places are chosen by how large they were."""

    members: int = 0
    simple: bool = False
    by_loss: bool = False
    family: str = "Normal"


class Composing(Rule):
    """Chains that p goes back along are composed, so that what a step costs does not grow with their length."""

    def apply(self, state: Elimination) -> bool:
        if samples_of(state) > 1:
            return False  # each draw is weighed by all that it says
        found = [(v, q) for v, q in ready(state) if v.role == "latent"]
        for v, q in found:
            if not is_composed(state.graph, v, q):
                continue
            waits = _unknown(state, v)
            if not waits:
                text = f"{v.name} is a chain of steps with known numbers under {q.key}: any member follows from its "
                text += "start in closed form, and from the next one"
                because, kind = state.reason(text, q.span), _kind(q)
                state.add(Compose(v.name, because, factor=q.key, reads=state.graph.reads(q), family=kind))
                return True
            for other, factor in found:
                if other.name in waits and other.shared and takes_each_value(other, factor):
                    sum_in_common(state, other, factor)
                    return True
                if other.name in waits and not state.few(other):
                    draw(state, other, factor)
                    return True
        return False

    def stands_for(self, state: Elimination, factor: Factor) -> tuple[Term, ...] | None:
        step = state.step_of(factor.head)
        if not isinstance(step, Compose):
            return None
        q = state.graph.keyed(step.factor)
        variable = state.graph[factor.head]
        why = state.reason(
            f"KL({q.key} || {factor.key}) is a sum along {variable.name}, each member given the next", q.span
        )
        return (
            ComposedKL(
                f"-KL({q.key} || {factor.key})",
                factor.head,
                why,
                q.key,
                factor.key,
                reads=(q.head, *state.graph.reads(factor)),
                latex="-" + latex.kl(q, factor),
                estimator="closed form",
                members=variable.type.shape[0],
                simple=state.asked is not None and variable.name in state.asked.simple,
                by_loss=state.settings.gradient.get(variable.name) == BY_LOSS,
                family=_kind(q),
            ),
        )

    def estimates(self, state: Elimination, terms: tuple[Term, ...]) -> Iterable[str]:
        for t in terms:
            if isinstance(t, ComposedKL):
                letter = getattr(state.graph[t.owner].along, "letter", "t")
                text = f"KL of {t.owner}[{letter}] in closed form, at one random {letter} of each row, "
                text += "chosen by how large they were, over its probability" if t.by_loss else "times their number"
                yield f"{text}; in figures at {f'all {t.members}' if t.members <= 20 else f'20 of the {t.members}'}"
                if t.simple:
                    yield f"the loss has them weighed as a squared error of the noise in {t.owner}[{letter}]"


def _kind(q: Factor) -> str:
    """The distribution of the steps of a chain."""
    return family_of(q.density.segments[0].law) if isinstance(q.density, Sequence) else ""


def _unknown(state: Elimination, variable: Variable) -> set[str]:
    """What p reads beside a chain and is not known yet. Under the logarithm of a sum over its values an estimate of a
    divergence would have a bias."""
    p = state.graph.factor("p", variable.name)
    assert p is not None
    return {n for n in state.graph.roots(p.parents) if n not in state.known and n != variable.name}


def is_composed(graph: Graph, variable: Variable, q: Factor) -> bool:
    """Whether q makes a latent by steps whose numbers are known, normal or of classes, p goes back along it, and
    nothing else reads more of it than its first member."""
    p = graph.factor("p", variable.name)
    if (
        variable.along is None
        or variable.length
        or not variable.rows
        or variable.group is not None
        or p is None
        or not isinstance(q.density, Sequence)
        or not isinstance(p.density, Sequence)
    ):
        return False
    if len(variable.members) < 2 or q.density.backward or lag_of(q.density) != 1:
        return False
    kind = family_of(q.density.segments[0].law)
    closed = all((kind, family_of(s.law)) in CLOSED_KL for s in p.density.segments)
    return closed and _goes_back(p.density) and _is_linear(graph, q.density) and _only_the_first(graph, variable.name)


def _goes_back(p: Sequence) -> bool:
    """Whether each member but the last depends on the next one alone, and the last on none."""
    last = p.segments[-1]
    reads = [r for s in p.segments for r in reads_through(s) if r.variable == p.variable]
    through = any(p.variable in variables(f.body) for f in walk(p) if isinstance(f, Feature))
    alone = last.first == last.last and p.variable not in variables(last)
    return alone and not through and all(r.offsets == (1,) for r in reads)


def _is_linear(graph: Graph, q: Sequence) -> bool:
    """Whether the steps of q have numbers that are known."""
    first = q.segments[0]
    kinds = {s.law.kind if isinstance(s.law, Parametric) and not s.law.linked else "" for s in q.segments}
    if first.last > 0 or q.variable in variables(first) or len(kinds) > 1:
        return False
    if not any(isinstance(t, Value) and t.rows for t in walk(first.law)):
        return False  # it starts from no row
    schedules = {p.name: p for p in graph.parameters if isinstance(p, Schedule)}
    (kind,) = kinds
    if kind == "Normal":
        return all(_is_normal_step(s, q.variable, schedules) for s in q.segments)
    # A draw of classes has no gradient: the start may have nothing to learn.
    fixed = not _learns(first) and all(graph[name].role == "observed" for name in graph.roots(variables(first)))
    steps = all(_is_step_of_classes(s, q.variable, schedules) for s in q.segments[1:])
    return kind == "Categorical" and fixed and steps and len({class_of(s) for s in q.segments[1:]}) == 1


def _learns(segment: Segment) -> bool:
    return any(isinstance(t, (Apply, Learned)) or (isinstance(t, Declared) and t.learns) for t in walk(segment))


def _is_normal_step(segment: Segment, variable: str, schedules: dict[str, Schedule]) -> bool:
    """Whether a segment is normal, with a known deviation and a mean that is a number times the member before; that of
    the first member is any mean."""
    law = segment.law
    if not isinstance(law, Parametric) or law.joint is not None:
        return False
    index = Index(segment.first, segment.last, schedules, variable, -1)
    arguments = dict(law.arguments)
    scales = _affine(arguments["scale"], index)
    means = _affine(arguments["loc"], index) if segment.first else []
    if scales is None or means is None:
        return False
    known = all(a is not None and not a.slope and a.shift > 0 for a in scales)
    return known and all(a is not None and a.shift == 0 and a.slope != 0 for a in means)


def _is_step_of_classes(segment: Segment, variable: str, schedules: dict[str, Schedule]) -> bool:
    """Whether a segment keeps the class before with a known probability, or else draws one of all, or takes one that it
    names."""
    inner = probabilities_of(segment)
    if inner is None:
        return False
    named = _classes_in(inner)
    index = Index(segment.first, segment.last, schedules, variable, -1, classes=True)
    one = _affine(inner, replace(index, one=min(named, default=-1.0)))
    others = _affine(inner, index)
    if len(named) > 1 or one is None or others is None:
        return False
    return all(
        a is not None and b is not None and _is_share(a) and (not named or b.shift == 0) for a, b in zip(one, others)
    )


def _is_share(found: Affine) -> bool:
    return found.slope >= 0 and found.shift >= 0 and found.slope + found.shift > 0


def _classes_in(value: Value) -> set[float]:
    """The classes that a value names: 8 of `one_hot(8)`."""
    found = (t.value for t in walk(value) if isinstance(t, OneHot))
    return {inner.number for inner in found if isinstance(inner, Constant)}


def class_of(segment: Segment) -> float | None:
    """The one class that the probabilities of a step name, if they name any."""
    inner = probabilities_of(segment)
    return min(_classes_in(inner), default=None) if inner is not None else None


def probabilities_of(segment: Segment) -> Value | None:
    """p of `Categorical(log(p))`."""
    law = segment.law
    logits = dict(law.arguments).get("logits") if isinstance(law, Parametric) and law.joint is None else None
    return logits.operands[0] if isinstance(logits, Operation) and logits.op == "log" else None


def _affine(value: Value, index: Index) -> list[Affine | None] | None:
    try:
        return affine(value, index)
    except (NotClosed, NoResult):
        return None


def _only_the_first(graph: Graph, name: str) -> bool:
    """Whether all that is read of a chain elsewhere is its first member, by factors of p."""
    if graph.energy is not None and name in graph.energy.arguments:
        return False
    if any(name in a.arguments for a in graph.adversaries):
        return False
    if any(name in variables(d.value) for d in graph.definitions):
        return False
    others = [f for f in graph.factors if f.head != name and name in graph.roots(graph.reads(f))]
    return all(f.side == "p" and not list(_more_than_first(f.density, name)) for f in others)


def _more_than_first(term: object, name: str) -> Iterator[object]:
    """The places at which an expression reads more of a variable than its first member."""
    if isinstance(term, Element) and isinstance(term.value, Use) and term.value.variable == name and term.index == (0,):
        return
    if name in variables(term) and not list(children(term)):
        yield term
    for child in children(term):
        yield from _more_than_first(child, name)


def slope_of(value: Value, variable: str) -> Value:
    """The number that a linear value multiplies a variable by, as an expression; 1 is left out of products."""
    inner_most = value.value if isinstance(value, OneHot) else value
    if isinstance(inner_most, At) and isinstance(inner_most.value, Use) and inner_most.value.variable == variable:
        return Constant(value.type, value.span, 1.0)
    assert isinstance(value, Operation)
    parts = [(o, variable in variables(o)) for o in value.operands]
    inner = [slope_of(o, variable) if reads else o for o, reads in parts]
    if value.op == "*":
        ones = [isinstance(i, Constant) and i.number == 1 for i in inner]
        if any(ones):
            return inner[1] if ones[0] else inner[0]
    if value.op in "+-" and len(inner) == 2 and not all(reads for _, reads in parts):
        (only,) = (i for i, (_, reads) in zip(inner, parts) if reads)
        minus = value.op == "-" and parts[1][1]
        return Operation(only.type, value.span, "negate", (only,)) if minus else only
    return Operation(inner[0].type, value.span, value.op, tuple(inner))


def shift_of(value: Value, variable: str) -> Value:
    """What an affine value is where the variable is 0, as an expression."""
    zero = Constant(value.type, value.span, 0.0)
    if variable not in variables(value):
        return value
    if not isinstance(value, Operation) or value.op in "*/":
        return zero if not isinstance(value, Operation) else _scaled(value, variable)
    inner = [shift_of(o, variable) for o in value.operands]
    zeros = [isinstance(i, Constant) and i.number == 0 for i in inner]
    if value.op in "+-" and len(inner) == 2 and any(zeros):
        if zeros[1] or value.op == "+":
            return inner[0] if zeros[1] else inner[1]
        return Operation(inner[1].type, value.span, "negate", (inner[1],))
    return Operation(inner[0].type, value.span, value.op, tuple(inner))


def _scaled(value: Operation, variable: str) -> Value:
    inner = [shift_of(o, variable) if variable in variables(o) else o for o in value.operands]
    gone = any(isinstance(i, Constant) and i.number == 0 for i in inner)
    return Constant(value.type, value.span, 0.0) if gone else Operation(value.type, value.span, value.op, tuple(inner))


__all__ = ["Compose", "ComposedKL", "Composing", "GoBack", "class_of", "is_composed", "slope_of"]
