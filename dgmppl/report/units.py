"""Units of figures, and likelihoods of discrete data in bits per dimension."""

from __future__ import annotations

import math

from dgmppl.graph.nodes import Graph
from dgmppl.plan.nodes import Plan
from dgmppl.train.figures import Estimate
from dgmppl.train.measures import MEASURES

BITS = "bits per dimension"


def unit_of(figure: str) -> str:
    """The unit of a figure by its name: log-probabilities and bounds are in nats an example."""
    if figure in MEASURES:
        return MEASURES[figure].unit
    if figure.endswith(BITS):
        return BITS
    return "share of rows" if figure.split(" in ")[0] == "error" else "nats"


def likelihood(plan: Plan) -> str | None:
    """The figure that is the data's log-likelihood or bounds it from below; None where there is none."""
    if plan.objective.kind == "elbo" and plan.samplers:
        return None  # it bounds log p up to log Z
    return plan.objective.kind or None


def dimensions(graph: Graph) -> int | None:
    """How many discrete numbers the model gives a probability; None where some of them are continuous.

    The density of continuous data has no bits: it changes with the units of measurement. Where some variables are
    seen in some rows only, the number differs from row to row.
    """
    modelled = [v.type for v in graph.observed if v.name not in graph.conditions]
    if graph.partial or not modelled or not all(t.support.discrete for t in modelled):
        return None
    return sum(t.elements for t in modelled)


def in_bits(nats: Estimate, count: int) -> Estimate:
    """A log-likelihood in nats an example as bits per dimension, `-nats / (D ln 2)`: fewer are better."""
    scale = count * math.log(2)
    return Estimate(-nats.mean / scale, nats.standard_error / scale, nats.rows)
