"""`predict`: variables of rows that are left out, given the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dgmppl.apply.answers import Answers, Chunk, Values, verify_counts
from dgmppl.apply.beliefs import Belief, Classes, Judgement
from dgmppl.apply.completed import conditional_with_gaps
from dgmppl.apply.draws import COVERAGE_DRAWS
from dgmppl.apply.gaps import count_gaps, in_part, lacked, may_lack
from dgmppl.apply.parts import Part, answered, judge_part, law_of, part_of
from dgmppl.apply.summaries import effective_words
from dgmppl.catalogue.figures import Figure
from dgmppl.data.fields import Field
from dgmppl.data.forms import NUMBERS
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.graph.nodes import Graph, Variable
from dgmppl.train.ends import beyond_end
from dgmppl.train.figures import Estimate
from dgmppl.train.units import DataUnits

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun

EFFECTIVE = "effective_sample_size"
"""The answer that says how many independent draws the weighed ones of a row are worth (Kong, 1992)."""

Within = NDArray[np.bool_]

MOST_COLUMNS = 16
"""A vector of more columns is judged as a whole, as an image is."""


@dataclass(frozen=True, repr=False)
class Predictions(Answers):
    """Predictions of rows, and how good they are where the answers were there."""

    judged: Mapping[str, Judgement] = field(default_factory=dict)
    started: Callable[[], None] = lambda: None

    @property
    def figures(self) -> dict[str, tuple[Figure, Estimate]]:
        """The figures by name, of the rows whose values are known: of classes error, NLL, entropy and calibration
        error; of numbers root mean squared error, coverage, and NLL where the law of the values has a density. A vector
        of a few columns has error and coverage of each."""
        if not any(judgement.found for judgement in self.judged.values()):
            for _ in self.give():
                pass
        return {figure.name: (figure, e) for one in self.judged.values() for figure, e in one.figures()}


def predict(
    fitted: FittedRun,
    data: Any = None,
    *,
    of: str | Sequence[str] = (),
    split: str | None = None,
    draws: int | None = None,
    seed: int = 0,
) -> Predictions:
    """Each variable that is left out of the rows, given all others: of several each one's marginal. Where none is left
    out, those are predicted that may be missing, the partial ones.

    Of a variable with few values: `y`, the most probable one, and `y_probability`, (rows, values), a column for each by
    its name. Of numbers: `y`, the mean, and `y_deviation`, the standard deviation, in the units of the data. They are
    exact where the structure gives that, which `notes` say; else by importance sampling, and `effective_sample_size`
    says how many independent draws it is worth; `notes` sum that up, once all rows are computed.

    Args:
        of: variables that are predicted although the rows have them, and judged by what they are; or one part of a
            variable, given its other elements too: a member `y[3]`, an element `x[2]`, or a column.
        draws: of each row, where it takes any; where values are enumerated, for each value.

    Raises:
        SpecError: when nothing is left out, or nothing models it (E660), or the rows are not as the run's types have
            them.
    """
    verify_counts(draws=draws)
    graph = fitted.graph
    asked = (of,) if isinstance(of, str) else tuple(of)
    part = next((p for n in asked if n not in fitted.fields and (p := part_of(graph, fitted.fields, n))), None)
    if part is not None:
        return _predict_part(fitted, part, asked, data, split, draws, seed)
    _verify_asked(graph, asked)
    modelled = tuple(v.name for v in graph.data if v.name not in graph.conditions)
    given = fitted.rows(data, split, optional=modelled, missing=lacked(graph, may_lack(graph)))
    names = tuple(n for n in modelled if n in asked or n in given.absent)
    notes: tuple[str, ...] = ()
    if not names:
        names = tuple(v.name for v in graph.partial if v.name in modelled)
        notes = (_told_partial(names),) if names else ()
    if not names:
        headline = "nothing is left to predict: all variables are there"
        help_ = f"name those that are to be predicted and judged, as `--of {modelled[-1]}`"
        raise SpecError([Diagnostic("E660", headline, help=help_)])
    if len(names) == len(fitted.fields):
        headline = "nothing is known of the rows: all variables are left out"
        raise SpecError([Diagnostic("E660", headline, help="`dgmppl sample` draws rows")])
    gaps = [name for name, (count, _) in count_gaps(graph, given).items() if count and name not in names]
    way = conditional_with_gaps(fitted, names, gaps, draws, in_part(graph, given) if gaps else frozenset())
    there = [name for name in names if name not in given.absent]
    parts = _elements({name: fitted.fields[name] for name in there})
    judged = {name: Judgement(name, len(there) > 1, way.exact, way.covers, parts[name]) for name in there}
    if judged and way.exact and not way.covers:
        notes = (*notes, f"coverage: by {COVERAGE_DRAWS} draws of that law")

    def of_chunk(chunk: dict[str, Tensor]) -> Chunk:
        truth = {name: chunk.pop(name) for name in there}
        found = way.beliefs(chunk, truth)
        within = {name: _within(graph[name], {**chunk, **truth}) for name in found}
        for name in there:
            judge(judged[name], found[name], truth[name], fitted.fields[name], graph[name], within[name])
        return _answers(found, graph, given.told, within)

    columns = _columns(graph, fitted.fields, names)
    forms = DataUnits(graph, given.told).forms(names, means=True)
    answers = fitted.answers(given, of_chunk, columns, seed, forms=forms)
    said = [*way.notes, *notes]

    def give() -> Iterator[Chunk]:
        for judgement in judged.values():
            judgement.found.clear()
            judgement.bins[:] = 0
        effective = []
        for chunk in answers.give():
            effective += [chunk[EFFECTIVE]] if way.weighed else []
            yield chunk
        sizes = np.concatenate(effective) if effective else np.empty(0)
        sizes = sizes[np.isfinite(sizes)]
        worth = [effective_words(sizes, way.weighed)] if len(sizes) else []
        quality = way.quality()
        said[:] = [*way.notes, *worth, *notes, *([quality] if quality else [])]

    return Predictions(answers.rows, give, answers.columns, answers.index, said, forms=forms, judged=judged)


def _predict_part(
    fitted: FittedRun, part: Part, asked: Sequence[str], data: Any, split: str | None, draws: int | None, seed: int
) -> Predictions:
    """A part of a variable, given the rest of it and of each row."""
    graph, variable = fitted.graph, fitted.graph[part.variable]
    _verify_asked(graph, [part.variable])
    if len(asked) > 1:
        headline = f"`{part.name}` is predicted from the rest of its row, alone, and not beside others"
        raise SpecError([Diagnostic("E660", headline, help="ask for one after another")])
    way = law_of(fitted, part, draws)
    given = fitted.rows(data, split)
    judgement = Judgement(part.name, False, way.exact, way.covers)

    def of_chunk(chunk: dict[str, Tensor]) -> Chunk:
        rows = chunk[part.variable]
        truth = rows.reshape(len(rows), -1)[:, list(part.places)]
        belief = way.beliefs(chunk, truth)
        judge_part(judgement, part, belief, fitted, truth, rows)
        found = answered(part, belief, fitted.graph[part.variable], given.told[part.variable], rows)
        return found if belief.effective is None else {**found, EFFECTIVE: belief.effective}

    columns = {part.name: part.labels, f"{part.name}_deviation": tuple(f"{n}_deviation" for n in part.labels)}
    if variable.type.support.size is not None and variable.type.support.size <= 256:
        names = value_names(fitted.fields[part.variable], variable)
        columns[f"{part.name}_probability"] = tuple(f"p({n} = {v})" for n in part.labels for v in names)
    notes = (f"{part.name}: {way.how}, the other elements of `{part.variable}` too",)
    known = DataUnits(graph, given.told).forms([part.variable], means=True)
    forms = dict.fromkeys([part.name] if known else [], known.get(part.variable, NUMBERS))
    answers = fitted.answers(given, of_chunk, columns, seed, notes, forms)

    def give() -> Iterator[Chunk]:
        judgement.found.clear()
        judgement.bins[:] = 0
        yield from answers.give()

    one = {part.name: judgement}
    return Predictions(answers.rows, give, columns, answers.index, notes, forms=forms, judged=one)


def _told_partial(names: Sequence[str]) -> str:
    """What is predicted where nothing is named: of several variables none is known while another is predicted."""
    told = " and ".join(f"`{name}`" for name in names)
    if len(names) == 1:
        return f"{told} may be missing: predicted from the rest of each row, and judged where it is there"
    how = (
        "left out together, each is predicted from the rest of its row without the others, and judged where it is there"
    )
    return f"{told} may be missing: {how}; `--of {names[0]}` leaves out one alone"


def _verify_asked(graph: Graph, asked: Sequence[str]) -> None:
    data = [v.name for v in graph.data]
    for name in asked:
        if name not in data:
            known = ", ".join(n for n in data if n not in graph.conditions)
            raise SpecError([Diagnostic("E660", f"`{name}` is no variable of the data", help=f"these are: {known}")])
        if name in graph.conditions:
            headline = f"`{name}` cannot be predicted: nothing models it"
            raise SpecError([Diagnostic("E660", headline, help=f"a model of it has a factor p({name}) = ...")])


def _elements(fields: Mapping[str, Field]) -> dict[str, tuple[str, ...]]:
    """Names of the elements that are judged one by one, of each of these variables: those of a vector of a few columns,
    which may have different units. A name that several have says the variable too."""
    found = {name: f.columns if _is_judged_by_column(f) else () for name, f in fields.items()}
    several = {c for c, count in Counter(c for columns in found.values() for c in columns).items() if count > 1}
    return {name: tuple(f"{name}.{c}" if c in several else c for c in columns) for name, columns in found.items()}


def _is_judged_by_column(field_: Field) -> bool:
    several = 1 < len(field_.columns) <= MOST_COLUMNS and field_.invertible
    return several and not field_.type.support.finite and field_.type.shape == (len(field_.columns),)


def _within(variable: Variable, rows: Mapping[str, Tensor]) -> Within | None:
    """Which elements of a sequence lie within it, (n, *shape); None of what is no sequence of a length of its own."""
    if variable.length not in rows:
        return None
    inside = ~beyond_end(variable, rows[variable.length].cpu().numpy())
    shape = variable.type.shape
    return np.broadcast_to(inside.reshape(*inside.shape, *[1] * (len(shape) - 1)), (len(inside), *shape))


def judge(
    judgement: Judgement,
    belief: Belief,
    truth: Tensor,
    field_: Field,
    variable: Variable,
    within: Within | None = None,
) -> None:
    """Adds the rows of a chunk that have a value: of a sequence all of it, as far as it goes."""
    values = truth.detach().cpu().numpy().astype(np.float64)
    there = np.isfinite(values.reshape(len(values), -1))
    if within is not None:
        there |= ~within.reshape(there.shape)
    seen = np.asarray(there.any(1) if judgement.elements else there.all(1))
    if not seen.any():
        return
    some = _rows(belief, seen)
    inside = None if within is None else within[seen].reshape(int(seen.sum()), -1)
    if isinstance(some, Classes):
        low = int(variable.type.support.low or 0)
        judgement.classes(some, values[seen].reshape(int(seen.sum()), -1).astype(np.int64) - low, inside)
    else:
        known = values[seen]
        if some.nll is not None:
            change = field_.log_derivative(known).reshape(len(known), -1).sum(1)
            some = replace(some, nll=some.nll - change)
        judgement.numbers(some, np.asarray(field_.in_numbers.invert(known), dtype=np.float64), inside)


def _rows(belief: Belief, seen: NDArray[np.bool_]) -> Belief:
    """A belief about some of the rows."""
    return replace(belief, **{name: v[seen] for name, v in vars(belief).items() if v is not None})


def _answers(
    found: Mapping[str, Belief], graph: Graph, fields: Mapping[str, Field], within: Mapping[str, Within | None]
) -> Chunk:
    answers: dict[str, Values] = {}
    effective = None
    for name, belief in found.items():
        inside = within[name]
        effective = belief.effective if effective is None else effective
        if isinstance(belief, Classes):
            variable = graph[name]
            low = variable.type.support.low or 0
            best = (belief.best + low).reshape(-1, *variable.type.shape).astype(np.float64)
            shares = belief.probabilities.reshape(len(best), *variable.type.shape, belief.probabilities.shape[-1])
            if inside is not None:  # beyond the end of a sequence nothing stands
                best, shares = np.where(inside, best, np.nan), np.where(inside[..., None], shares, np.nan)
            answers[name], answers[f"{name}_probability"] = fields[name].invert(best), shares
        else:
            mean: Values = belief.mean
            deviation: Values = belief.deviation
            if inside is not None:
                mean, deviation = np.where(inside, mean, np.nan), np.where(inside, deviation, np.nan)
            answers[name] = fields[name].named(mean, means=True)
            answers[f"{name}_deviation"] = deviation  # of dates in days
    if effective is not None:
        answers[EFFECTIVE] = effective
    return answers


def value_names(field_: Field, variable: Variable) -> tuple[str, ...]:
    """What the values of an element of few values are called: classes by their names, numbers as the data has them."""
    support = variable.type.support
    values = int(support.low or 0) + np.arange(support.size or 0)
    if field_.classes:
        return tuple(str(v) for v in field_.named(values.astype(np.float64)))
    if field_.form.names:
        return field_.form.names
    if not field_.invertible:
        return tuple(str(v) for v in values)
    # Transforms that whole numbers go through, as `shift`, are the same for all elements.
    alike = np.broadcast_to(values.reshape(-1, *(1,) * len(variable.type.shape)), (len(values), *variable.type.shape))
    told = np.asarray(field_.invert(alike)).reshape(len(values), -1)
    return tuple(f"{float(v):g}" for v in told[:, 0])


def _columns(graph: Graph, fields: Mapping[str, Field], names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    return {key: labels for name in names for key, labels in _columns_of(graph[name], fields[name])}


def _columns_of(variable: Variable, field_: Field) -> Iterator[tuple[str, tuple[str, ...]]]:
    name, labels = variable.name, field_.labels
    yield name, labels
    yield f"{name}_deviation", tuple(f"{label}_deviation" for label in labels)
    if variable.type.support.size is not None:
        values = value_names(field_, variable) if variable.type.support.size <= 256 else ()
        yield f"{name}_probability", tuple(f"p({label} = {value})" for label in labels for value in values)


__all__ = ["EFFECTIVE", "Predictions", "judge", "predict"]
