"""Every factor's samples follow its density, which is one, in single precision as well."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dgmppl.pipeline import Checked
from dgmppl.runtime import GenerativeModel
from tests.contracts.laws.values import SMALL, SPREAD, Values, existing, filled, given_values, in_double
from tests.contracts.oracles import WIDE, Law, Space, verify_law
from tests.contracts.support import build, graph_of, seed


def factors(found: Checked) -> list[tuple[str, str]]:
    """The factors that are small enough to be verified, as (side, head)."""
    graph = graph_of(found)
    return [(f.side, f.head) for f in graph.factors if graph[f.head].type.elements <= SMALL]


def factor_law(found: Checked, model: GenerativeModel, side: str, head: str, number: int = 5) -> Law:
    """The distribution that a factor's method gives, all that it reads at one random value."""
    graph = graph_of(found)
    # A q of what is missing reads what is seen.
    imputes = side == "q" and graph[head].elementwise
    given = {name: v for name, v in given_values(found, 1, number).items() if name != head or imputes}
    # What all rows share is computed for one: a feature of a large variable would not fit for each.
    one = Values(found, model, given, 1)
    features = [v.name for v in graph.variables if v.role == "let" and head not in graph.roots((v.name,))]

    def at(n: int) -> tuple[Any, bool]:
        wide = {name: v.expand(n, *v.shape[1:]).clone() if graph[name].rows else v for name, v in given.items()}
        values = Values(found, model, wide, n)
        for name in features:
            value = one[name]
            rows = name in one.with_rows
            values.known[name] = value.expand(n, *value.shape[1:]) if rows else value
            values.with_rows |= {name} if rows else set()
        return values.distribution(side, head)

    type_ = existing(found, head, given_values(found, 1, number))

    def log_prob(values: dict[str, Tensor]) -> Tensor:
        law, _ = at(len(values[head]))
        found = law.log_prob(filled(graph[head], values[head]))
        assert found.shape == (len(values[head]),), f"log_prob has the shape {tuple(found.shape)}"
        return found

    def sample(n: int) -> dict[str, Tensor]:
        law, rows = at(n)
        with torch.no_grad():
            drawn = law.sample() if rows else law.sample((n,))
        return {head: drawn[:, : type_.shape[0]] if graph[head].length else drawn}

    return Law({head: Space.of(type_)}, log_prob, sample)


def _spread_law(found: Checked, side: str, head: str, number: int) -> Law:
    """The law of a factor with weights that are spread, but not so far that all of it lies at the end of a range, or
    that a component of it is a needle, where no quadrature would find it."""
    for scale in (SPREAD, SPREAD / 4):
        law = factor_law(found, in_double(build(found, scale=scale).eval()), side, head, number)
        draws = law.sample(50)[head].double().reshape(50, -1).sort(0).values
        apart = (draws[3:] - draws[:-3]).min(0).values  # of many draws, three that are as close are no coincidence
        if graph_of(found)[head].type.support.discrete or (
            (draws.std(0) > 1e-4).all() and (apart > 5e-3 * (draws[37] - draws[12])).all()
        ):
            break
    return law


def verify_factors(found: Checked, number: int = 5) -> dict[str, str]:
    """Every factor's samples follow its density, and this is one."""
    told, wrong = {}, []
    for side, head in factors(found):
        try:
            with seed(number):
                told[f"{side}({head})"] = verify_law(_spread_law(found, side, head, number))
        except AssertionError as error:
            wrong.append(f"{side}({head}): {error}")
    assert not wrong, "\n".join(wrong)
    return told


def verify_precision(found: Checked) -> None:
    """Densities in float32 and in float64 agree to 1e-3."""
    narrow, wide = build(found, scale=SPREAD).eval(), in_double(build(found, scale=SPREAD).eval())
    if not any(True for _ in wide.parameters()):
        return  # without weights a model is of torch's default precision
    rows = given_values(found, 4, 9)
    for side, head in [(f.side, f.head) for f in graph_of(found).factors]:
        results = []
        for model, dtype in ((narrow, torch.float32), (wide, WIDE)):
            values = {name: v.to(dtype) for name, v in rows.items()}
            with torch.no_grad():
                law, _ = Values(found, model, values, 4).distribution(side, head)
                results.append(law.log_prob(values[head]))
        assert results[1].dtype == WIDE, f"{side}({head}) is {results[1].dtype} with float64 weights"
        a, b = results[0].double(), results[1]
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-3), f"{side}({head}): {a.tolist()} and {b.tolist()}"
