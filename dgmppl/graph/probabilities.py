"""Probabilities in the place of logits: what lies between 0 and 1 there is most often meant as a probability."""

from __future__ import annotations

from collections.abc import Iterator

from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.graph.arguments import placed
from dgmppl.graph.ends import Ends, Places, ends_of
from dgmppl.graph.nodes import Graph
from dgmppl.graph.scope import Scope
from dgmppl.graph.values import Apply, Mixture, Operation, Parametric, Softmax, Term, Value

_SHARES = Ends(0.0, 1.0)


def verify_logits(scope: Scope, graph: Graph) -> None:
    """Warns of logits that all lie between 0 and 1, as probabilities do (W409).

    Of such logits no class is more than e times as probable as another, whatever is learned; a prior over a `simplex`
    would say nothing near its corners.
    """
    told = set()
    for factor in graph.factors:
        for term, places in placed(factor.density, None, 0):
            for owner, several, value in _logits(term):
                if value.span in told or not _is_share(graph, value, places):
                    continue
                told.add(value.span)
                scope.report(
                    "W409",
                    f"`{_text(scope, value)}` lies between 0 and 1, and {owner} logits",
                    value.span,
                    "logits, not probabilities" if several else "a logit, not a probability",
                    help=_way_out(scope, value, several),
                    severity="warning",
                )


def _logits(term: Term) -> Iterator[tuple[str, bool, Value]]:
    """What stands for logits, who takes them, and whether they are one for each of several classes."""
    if isinstance(term, Mixture):
        yield "the weights of a mixture are", True, term.weights
    elif isinstance(term, Parametric):
        for name, value in term.arguments:
            if name == "logits":
                entry = DISTRIBUTIONS[term.kind]
                parameter = entry.parameter(name)
                several = entry.vector or (parameter is not None and parameter.size == "K")
                yield f"{term.kind} takes", bool(several), value


def _is_share(graph: Graph, value: Value, places: Places | None) -> bool:
    """Whether all that a value may be is between 0 and 1, and it may be more than one number."""
    ends = ends_of(graph, value, places)
    return ends.low < ends.high and ends.within(_SHARES)


def _way_out(scope: Scope, value: Value, several: bool) -> str:
    if isinstance(value, Softmax):
        return f"logits need no softmax: {_text(scope, value.value)}"
    if isinstance(value, Operation) and value.op == "sigmoid":
        return f"logits need no sigmoid: {_text(scope, value.operands[0])}"
    if isinstance(value, Apply):
        return "logits may be any numbers: leave the function after the last layer out, `out = ...`"
    text = _text(scope, value)
    inside = text if text.replace("_", "").isalnum() or text.endswith((")", "]")) else f"({text})"
    return f"of probabilities: log({text})" if several else f"of a probability: log({text}) - log(1 - {inside})"


def _text(scope: Scope, value: Value) -> str:
    return scope.source.text[value.span.start : value.span.end]
