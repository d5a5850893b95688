"""`sample` is what the factors give one after another."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import torch
from scipy.stats import chi2_contingency, ks_2samp
from torch import Tensor

from dgmppl.pipeline import Checked
from dgmppl.runtime import GenerativeModel
from tests.contracts.laws.values import Values, arguments_of, given_values
from tests.contracts.oracles import FAINT, Space
from tests.contracts.support import build, data_of, graph_of, random_rows, samples_of, seed


def ancestral(found: Checked, model: GenerativeModel, n: int, given: dict[str, Tensor]) -> Values | None:
    """Every variable drawn after its parents by the factors' own methods; None where some have neither a factor nor a
    definition."""
    graph = graph_of(found)
    values = Values(found, model, given, n)
    pending = [v.name for v in graph.variables if v.role != "let" and v.name not in given]

    def ready(name: str) -> bool:
        factor, definition = graph.factor("p", name), graph.definition(name)
        reads = factor.parents if factor else tuple(arguments_of(values, name)) if definition else ()
        return all(r in values.known for r in graph.roots(reads) if r != name)

    while pending:
        name = next((p for p in pending if ready(p)), None)
        if name is None:
            return None
        pending.remove(name)
        if graph.factor("p", name) is not None:
            values.draw("p", name)
        elif graph.definition(name) is not None:
            values[name]
        else:
            return None
        space = Space.of(graph[name].type)
        if math.isfinite(space.low) and math.isfinite(space.high):  # what reaches beyond a bound is put back on it
            values.known[name] = values.known[name].clamp(space.low, space.high)
    return values


class Known:
    """A distribution that gives one value: in place of a q, for what rows have in common is the same all along then."""

    def __init__(self, value: Tensor) -> None:
        self.value = value

    def sample(self, count: tuple[int, ...] = ()) -> Tensor:
        return self.value


def in_common(found: Checked, model: GenerativeModel, rows: dict[str, Tensor]) -> dict[str, Tensor]:
    """Values of what rows have in common, by row where each group has one, that `sample` takes as well."""
    graph, values = graph_of(found), {}
    for v in graph.shared:
        if graph.factor("q", v.name) is None:
            continue  # it is computed
        if v.group is None:
            values[v.name] = value = random_rows(v.type, 1)[0]
        else:
            low, size = int(graph[v.group].type.support.low or 0), graph[v.group].type.support.size
            value = random_rows(v.type, size)
            values[v.name] = value[rows[v.group].long() - low]
        setattr(model, f"q_{v.ident}", lambda *given, value=value: Known(value))
    return values


def verify_samples(found: Checked, n: int = 1500) -> str:
    """`sample(n)` is n rows, and they are distributed as what the factors' methods give one after another."""
    graph = graph_of(found)
    if graph.energy is not None:
        return "an energy"
    model = build(found, scale=0.2).eval()
    rows = {name: v.float() for name, v in given_values(found, n, 5).items()}
    with seed(7), torch.no_grad():
        common = in_common(found, model, rows)
        drawn = samples_of(found, model, n, [rows[v.name] for v in graph.data])
        expected = ancestral(found, model, n, {c: rows[c] for c in graph.conditions} | common)
    if expected is None:
        return "no factors"
    for name, values in drawn.items():
        assert values.shape == (n, *graph[name].type.shape), f"{tuple(values.shape)} for {n} rows of {name}"
        a, b = values.reshape(n, -1).double(), expected[name].reshape(n, -1).double()
        space = Space.of(graph[name].type)
        if not space.whole:  # what overflows, in some rows of both, is compared by how often it does
            kept = [v[v.isfinite().all(1)] for v in (a, b)]
            assert abs(len(kept[0]) - len(kept[1])) <= 0.05 * n, (
                f"{name} overflows in {[n - len(k) for k in kept]} rows"
            )
            a, b = kept
        mixed = torch.linspace(1, 2, a.shape[1], dtype=torch.float64)
        for x, y in [*zip(a.T, b.T, strict=True), (a @ mixed, b @ mixed)]:
            found_p = _same(x, y, space.whole)
            assert found_p > FAINT, f"samples of {name} are not those of its factors: p = {found_p:.1e}"
    return "compared"


def verify_saved(found: Checked, n: int = 8) -> None:
    """Weights and buffers that are saved after three steps and loaded into another model: the same loss,
    figures and samples."""
    model, data = build(found, scale=0.05), data_of(found, n)
    for player in (p for p in model.players() if p.parameters):
        optimizer = torch.optim.SGD(player.parameters, lr=1e-4)
        for _ in range(3):
            optimizer.zero_grad(set_to_none=True)
            player.loss(*data).backward()
            optimizer.step()
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = build(found, number=1)
    other.load_state_dict(torch.load(file, weights_only=True))
    kinds: dict[str, Callable[[GenerativeModel], dict[str, Tensor]]] = {
        "loss": lambda m: {p.name: p.loss(*data) for p in m.players()},
        "figures": lambda m: m.figures(*data),
        "samples": lambda m: samples_of(found, m, n, data),
    }
    for kind, values in kinds.items():
        with torch.no_grad():
            with seed(3):
                expected = values(model.eval())
            with seed(3):
                loaded = values(other.eval())
        for name, value in expected.items():
            assert torch.equal(value.nan_to_num(), loaded[name].nan_to_num()), (
                f"another {kind}, {name}: {value} and {loaded[name]}"
            )


def _same(a: Tensor, b: Tensor, whole: bool) -> float:
    if not whole:
        return float(ks_2samp(a.numpy(), b.numpy()).pvalue)
    edges = torch.quantile(torch.cat([a, b]), torch.linspace(0, 1, 9, dtype=torch.float64)).unique()
    cells = [torch.bucketize(v.contiguous(), edges) for v in (a, b)]
    table = torch.stack([torch.bincount(c, minlength=len(edges) + 1) for c in cells])
    table = table[:, table.sum(0) > 0]
    return float(chi2_contingency(table.numpy()).pvalue) if table.shape[1] > 1 else 1.0
