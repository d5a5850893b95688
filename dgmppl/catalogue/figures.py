"""Figures: the numbers that say how good a fitted model is, each with its unit, its direction and what it estimates.

Log-densities are in the units of the data, whatever transforms a spec has (`dgmppl.train.densities`). A figure is told
from another by its record, never by its name. `plan.figures` says which ones a model has; those of
samples (`MMD2`, `PRECISION`, `RECALL`) need nothing but `sample` and can be taken of any model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

SHARED_DRAWS = 16
"""Draws over which figures are averaged where rows have latents in common: no number of rows averages their noise."""

NATS = "nats"
BITS = "bits per dimension"


@dataclass(frozen=True)
class Kind:
    """What all figures of a kind have in common.

    Args:
        unit: of its value.
        better: "higher" or "lower".
        relation: how it stands to its quantity: "exact", a "lower bound", or an "estimate" of it.
        scores: "row": each row has one, and the figure is their mean; "sample": a set of samples has one.
        likelihood: whether it is a log-likelihood of the data, or a bound on it.
        note: what it is, for those who read it.
        called: a name that a figure of the kind has, as docs show it.
    """

    unit: str
    better: str
    relation: str
    scores: str = "row"
    likelihood: bool = False
    note: str = ""
    called: str = ""


KINDS: Mapping[str, Kind] = {
    "log_prob": Kind(NATS, "higher", "exact", likelihood=True, note="the exact log-likelihood", called="log_prob"),
    "elbo": Kind(
        NATS,
        "higher",
        "lower bound",
        likelihood=True,
        note="a lower bound on the log-likelihood, which is at least as large",
        called="elbo",
    ),
    "iwae": Kind(
        NATS,
        "higher",
        "lower bound",
        likelihood=True,
        note="the importance-weighted bound (Burda et al., 2016), which rises to the log-likelihood with its samples",
        called="iwae(10)",
    ),
    "conditional": Kind(
        NATS,
        "higher",
        "exact",
        note="the exact log-probability of one variable given the others",
        called="log p(y | x)",
    ),
    "factor": Kind(
        NATS,
        "higher",
        "exact",
        note="the log-probability of one factor, a part of the whole",
        called="log p(y | x)",
    ),
    "rest": Kind(
        NATS,
        "higher",
        "exact",
        note="what is left of the whole without the factors that have a figure of their own",
        called="log p(x)",
    ),
    "objective": Kind(
        NATS,
        "higher",
        "estimate",
        note="what a fit maximises, in the units of the model: the terms with their weights, those that change as they "
        "are in the end",
        called="objective",
    ),
    "pseudo_likelihood": Kind(
        NATS,
        "higher",
        "exact",
        note="the score of each element given all others (Besag, 1975), which is no likelihood of the whole",
        called="pseudo-likelihood",
    ),
    "matching": Kind(
        "squared error",
        "lower",
        "estimate",
        note="the squared error of a field on random paths from noise to data (Lipman et al., 2023)",
        called="flow_matching",
    ),
    "error": Kind(
        "share of rows", "lower", "exact", note="the share of rows whose most probable value is another", called="error"
    ),
    "nll": Kind(
        NATS,
        "lower",
        "exact",
        note="minus the log-probability of the value that a row has, given the rest of the row",
        called="NLL",
    ),
    "entropy": Kind(
        NATS,
        "lower",
        "exact",
        note="the entropy of what is predicted: how uncertain the model is",
        called="entropy",
    ),
    "ece": Kind(
        "probability",
        "lower",
        "estimate",
        note="the expected calibration error, over 15 bins of confidence of equal width (Guo et al., 2017)",
        called="ECE",
    ),
    "rmse": Kind(
        "units of the data",
        "lower",
        "estimate",
        note="the root of the mean squared error of the means that are predicted",
        called="RMSE",
    ),
    "coverage": Kind(
        "share of values",
        "higher",
        "estimate",
        note="how many values lie in the central 90 % of what is predicted, which should be as many",
        called="coverage",
    ),
    "bits": Kind(
        BITS,
        "lower",
        "exact",
        likelihood=True,
        note="−nats / (D ln 2) for the D discrete values of an example",
        called="bits per dimension",
    ),
    "auroc": Kind(
        "share of pairs",
        "higher",
        "exact",
        note="the area under the ROC curve: the share of pairs of a row of the first set and one of this in which the "
        "first scores higher (Hanley and McNeil, 1982)",
        called="auroc",
    ),
    "mmd2": Kind(
        "squared MMD",
        "lower",
        "estimate",
        "sample",
        note="the squared maximum mean discrepancy of samples and rows (Gretton et al., 2012), 0 where they agree",
        called="mmd2",
    ),
    "precision": Kind(
        "share of samples",
        "higher",
        "estimate",
        "sample",
        note="the share of samples that lie where the rows are (Kynkäänniemi et al., 2019)",
        called="precision",
    ),
    "recall": Kind(
        "share of rows",
        "higher",
        "estimate",
        "sample",
        note="the share of rows that lie where the samples are (Kynkäänniemi et al., 2019)",
        called="recall",
    ),
}


@dataclass(frozen=True)
class Figure:
    """A figure of a model.

    Args:
        kind: its entry in `KINDS`.
        name: what it is called in `model.figures`, run.json, metrics.jsonl and `--by`.
        unit, better, relation: as its kind has them, a bound in bits being an "upper bound".
        quantity: what it is, bounds or estimates: "log p(x)". Figures of one quantity and unit are comparable.
        how: how it is computed: "one draw of z", "10 draws of z", "exactly".
        variables: of the spec: those that are drawn for a bound, the one that an error is about.
    """

    kind: str
    name: str
    unit: str
    better: str
    relation: str
    quantity: str
    how: str = "exactly"
    variables: tuple[str, ...] = ()

    @property
    def lower_is_better(self) -> bool:
        return self.better == "lower"

    @property
    def is_likelihood(self) -> bool:
        """Whether it is the log-likelihood of the data or a bound on it, in nats or in bits."""
        return self.kind in KINDS and KINDS[self.kind].likelihood

    @property
    def written(self) -> str:
        """What it is called in a spec: an error with its variable, `error(y)`, `rmse(y)`."""
        return f"{self.kind}({self.variables[0]})" if self.is_error else self.name

    @property
    def is_error(self) -> bool:
        """Whether it says how far predictions of a variable are from it; no default criterion, as all is not told."""
        return self.kind in ("error", "rmse")

    @property
    def names_unit(self) -> bool:
        """Whether the name says the unit: it need not be said again."""
        return self.kind == "bits"

    @property
    def scores_samples(self) -> bool:
        """Whether it is of a set of samples rather than of each row."""
        return self.kind in KINDS and KINDS[self.kind].scores == "sample"

    @property
    def note(self) -> str:
        """A sentence that says what it is and which way is better."""
        said = KINDS[self.kind].note if self.kind in KINDS else ""
        return f"{self.name}: {said}; {self.better} is better." if said else ""

    @property
    def estimates(self) -> str:
        """What it says: "log p(x)", "a lower bound on log p(x)"."""
        bound = self.relation in ("lower bound", "upper bound")
        known = f"{'an' if self.relation == 'upper bound' else 'a'} {self.relation} on " if bound else ""
        return f"{known}{self.quantity}"

    def averaged(self, samples: int) -> Figure:
        """The figure as a mean over so many draws of each row, where it is one of draws."""
        head, of, drawn = self.how.partition(" of ")
        if head not in _PLANNED or self.kind == "iwae" or samples == 1:
            return self
        return replace(self, how=f"{draws_text(max(samples, _PLANNED[head]), ())}{of}{drawn}")

    def comparable(self, other: Figure) -> bool:
        """Whether a difference of the two means something: both are of one quantity, in one unit."""
        return bool(self.quantity) and (self.quantity, self.unit) == (other.quantity, other.unit)


def _figure(kind: str, name: str, quantity: str, **more: Any) -> Figure:
    known = KINDS[kind]
    return Figure(kind, name, known.unit, known.better, known.relation, quantity, **more)


def log_prob(quantity: str) -> Figure:
    """The exact log-likelihood, nats."""
    return _figure("log_prob", "log_prob", quantity)


def elbo(quantity: str, how: str, drawn: Sequence[str] = ()) -> Figure:
    """The evidence lower bound, nats; of integers under a density, the one that uniform noise gives."""
    return _figure("elbo", "elbo", quantity, how=how, variables=tuple(drawn))


def importance_weighted(samples: int, quantity: str, drawn: Sequence[str] = ()) -> Figure:
    """The importance-weighted bound with `samples` draws an example (Burda et al., 2016, Eq. 8), nats."""
    return _figure("iwae", f"iwae({samples})", quantity, how=draws_text(samples, drawn), variables=tuple(drawn))


def conditional(variable: str, given: Sequence[str]) -> Figure:
    """The exact `log p(variable | given)`, nats."""
    text = f"log p({variable} | {', '.join(given)})"
    return _figure("conditional", text, text, variables=(variable,))


def factor(variable: str, given: Sequence[str], how: str, relation: str) -> Figure:
    """The log-probability of one variable given what it depends on, where the whole has other factors too."""
    text = f"log p({variable}{' | ' + ', '.join(given) if given else ''})"
    return replace(_figure("factor", text, text, how=how, variables=(variable,)), relation=relation)


def rest(quantity: str, variables: Sequence[str], how: str, relation: str) -> Figure:
    """What is left of the whole without such factors: the log-likelihood of the other variables, or a bound on it."""
    return replace(_figure("rest", quantity, quantity, how=how, variables=tuple(variables)), relation=relation)


def objective(how: str) -> Figure:
    """The weighted sum of the terms, minus the loss."""
    return _figure("objective", "objective", "the weighted terms of the objective", how=how)


def pseudo_likelihood(variable: str) -> Figure:
    """`sum_i log p(x_i | rest)` of a variable, nats (Besag, 1975)."""
    return _figure("pseudo_likelihood", "pseudo-likelihood", f"sum_i log p({variable}_i | rest)", variables=(variable,))


def matching(variables: Sequence[str], how: str) -> Figure:
    """The loss of flow matching: the squared error of the fields that carry noise to these variables."""
    quantity = f"squared error of the field of {', '.join(variables)}, {how}"
    drawn = "one draw of the noise and of the time"
    return _figure("matching", "flow_matching", quantity, how=drawn, variables=tuple(variables))


def error(variable: str, *, named: bool = False) -> Figure:
    """How often a variable of few values is predicted wrongly, in the rows that have it.

    Args:
        named: say the variable in the name, because there are errors of several.
    """
    return _figure("error", f"error({variable})" if named else "error", f"errors in {variable}", variables=(variable,))


def rmse(variable: str, *, named: bool = False) -> Figure:
    """How far a number is from the mean that is predicted for it, in the units of the data."""
    return prediction("squares", variable, named, exact=True)


PREDICTED = {
    "error": "error",
    "nll": "nll",
    "entropy": "entropy",
    "ece": "ece",
    "squares": "rmse",
    "coverage": "coverage",
}
"""The kind of each figure of predictions."""


def prediction(name: str, variable: str, named: bool, exact: bool, element: str = "") -> Figure:
    """A figure of what is predicted of a variable, given the rest of each row.

    Args:
        named: say the variable in the name, because there are several.
        exact: whether the conditional distribution is computed, and not estimated from draws.
        element: of a vector the one that it is about, by the name of its column.
    """
    kind, of = PREDICTED[name], element or variable
    called = f"{KINDS[kind].called}({of})" if named or element else KINDS[kind].called
    how = "exactly" if exact else "by draws"
    if kind == "error":
        return replace(error(variable, named=named), how=how)
    return _figure(kind, called, f"{KINDS[kind].called} of predictions of {of}", how=how, variables=(variable,))


def bits_per_dimension(figure: Figure, *, named: bool = False) -> Figure:
    """A log-likelihood of discrete data as bits per dimension; of a lower bound it is an upper one."""
    relation = "upper bound" if figure.relation == "lower bound" else figure.relation
    name = f"{figure.name} {BITS}" if named else BITS
    quantity = f"{BITS} of {figure.quantity}"
    return replace(_figure("bits", name, quantity, how=figure.how), relation=relation)


def area_under_roc(score: Figure, inside: str) -> Figure:
    """How well a score tells the rows of a set named `inside` from those of another."""
    return _figure("auroc", "auroc", f"rows of {inside} against these, by {score.name}")


_SAMPLES = "samples of the model against rows of the data"
MMD2 = _figure("mmd2", "mmd2", "squared MMD of model and data", how=_SAMPLES)
PRECISION = _figure("precision", "precision", "precision of model and data", how=_SAMPLES)
RECALL = _figure("recall", "recall", "recall of model and data", how=_SAMPLES)

SAMPLE_FIGURES: Mapping[str, Figure] = {figure.name: figure for figure in (MMD2, PRECISION, RECALL)}
"""Figures of samples, which any model has that can be sampled."""


def unknown(name: str) -> Figure:
    """A figure that a run of another version has, of which nothing but its name is known."""
    return Figure("", name, "", "higher", "estimate", "", how="")


def draws_text(samples: int, drawn: Sequence[str]) -> str:
    """How a figure of draws is computed, in words."""
    many = "one draw" if samples == 1 else f"{samples} draws"
    return f"{many} of {', '.join(drawn)}" if drawn else many


_PLANNED = {draws_text(count, ()): count for count in (1, SHARED_DRAWS)}
"""How many draws a figure takes by itself, by their words."""


def as_data(figures: Sequence[Figure]) -> dict[str, dict[str, Any]]:
    """Figures by name as run.json holds them."""
    return {f.name: {**asdict(f), "variables": list(f.variables)} for f in figures}


def read_figures(found: object) -> dict[str, Figure]:
    """What `as_data` wrote, read as data from a stranger: what is not of that form reads as if it were not there."""
    if not isinstance(found, dict):
        return {}
    texts = [f.name for f in fields(Figure) if f.name != "variables"]
    figures: dict[str, Figure] = {}
    for name, entry in found.items():
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in texts):
            continue
        if entry["name"] != name or entry["better"] not in ("higher", "lower"):
            continue
        figures[name] = Figure(**{key: entry[key] for key in texts})
    return figures
