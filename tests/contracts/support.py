"""What the contract tests share: specs, random rows of a declared type, and what a support allows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from pyro.infer import ELBO, Trace_ELBO, TraceMeanField_ELBO
from torch import Tensor

from dgmppl import pipeline
from dgmppl.graph.nodes import Graph
from dgmppl.graph.values import Constant, Parametric
from dgmppl.pipeline import Checked
from dgmppl.runtime import GenerativeModel, within
from dgmppl.supports import Sphere, Type

ROOT = Path(__file__).parents[2]
LIBRARY = sorted((ROOT / "specs").glob("*/*.dgm"))
COMPOSITIONS = sorted((Path(__file__).parent / "specs").glob("*.dgm"))


def name_of(path: Path) -> str:
    """How a test is called that is about a spec: `latent/vae`, or `bigan`."""
    return f"{path.parent.name}/{path.stem}" if path.is_relative_to(ROOT / "specs") else path.stem


@cache
def checked(spec: str | Path, overrides: tuple[str, ...] = ()) -> Checked:
    """A spec without errors, read once for all tests."""
    found = pipeline.read(spec, overrides, allow_python=True)
    assert found.ok, [str(d) for d in found.errors]
    return found


def graph_of(found: Checked) -> Graph:
    assert found.graph is not None
    return found.graph


@contextmanager
def seed(number: int) -> Iterator[None]:
    """Random numbers of the CPU from this seed inside, and as they were outside."""
    # Of the CPU alone: `torch.manual_seed` takes a millisecond to tell devices that may not be there.
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(number)
    try:
        yield
    finally:
        torch.set_rng_state(before)


def build(found: Checked, target: str = "torch", number: int = 0, scale: float = 0.0) -> GenerativeModel:
    """A model with initial weights from a seed. `scale` adds noise to all of them, for tests in which nothing may
    be at its starting point (couplings start as the identity, biases near 0)."""
    with seed(number):
        model = pipeline.build(found, target)
        with torch.no_grad():
            for tensor in graph_of(found).fixed:
                model.get_buffer(tensor.ident).copy_(random_rows(tensor.type, 1)[0])
            for p in model.parameters():
                p.add_(scale * torch.randn_like(p))
    return model


def pair(found: Checked, number: int = 0, scale: float = 0.0) -> tuple[GenerativeModel, GenerativeModel]:
    """The torch and the Pyro model of a spec with the same weights."""
    torch_model = build(found, number=number, scale=scale)
    pyro_model = build(found, "pyro")
    pyro_model.load_state_dict(torch_model.state_dict())
    return torch_model, pyro_model


def random_rows(type_: Type, n: int) -> Tensor:
    """n rows of random values of a type."""
    support, size = type_.support, (n, *type_.shape)
    if support.size is not None:
        return (support.low or 0.0) + torch.randint(support.size, size).float()
    if support.integral:
        return torch.poisson(torch.full(size, 3.0))
    if support.event_rank and type(support) is Sphere:
        return torch.nn.functional.normalize(torch.randn(size), dim=-1)
    if support.event_rank:
        return torch.distributions.Dirichlet(torch.ones(type_.shape)).sample((n,))
    if support.bounded:
        low, high = support.low or 0.0, support.high or 1.0
        return low + (high - low) * (0.05 + 0.9 * torch.rand(size))
    return torch.randn(size) if support.low is None else support.low + torch.rand(size) + 0.1


def data_of(found: Checked, n: int = 32, number: int = 1) -> list[Tensor]:
    """n random rows of the data, in the order in which models take it. Two in three rows miss a partial variable, and
    not the same ones of each; of one whose elements are missing two in three are, but for some whole rows."""
    with seed(number):
        rows = [random_rows(v.type, n) for v in graph_of(found).data]
    _count_draws(found, rows, n)
    for k, v in enumerate(graph_of(found).data):
        if v.elementwise:
            flat = torch.arange(rows[k].numel()).reshape(rows[k].shape)
            whole = torch.arange(n).reshape(n, *(1,) * len(v.type.shape)) % 5 == 0
            rows[k][((flat * 7 + k) % 3 != 0) & ~whole] = torch.nan
        elif v.role == "partial":
            rows[k][(torch.arange(n) + k) % 3 != 0] = torch.nan
    return list(ended(found, dict(zip((v.name for v in graph_of(found).data), rows, strict=True))).values())


def ended(found: Checked, rows: dict[str, Tensor]) -> dict[str, Tensor]:
    """Values in which members of sequences that do not exist are as they are in data."""
    made = dict(rows)
    for name, values in rows.items():
        v = graph_of(found)[name]
        if v.length:
            count = rows[v.length] - (v.members.start - 1)
            made[name] = within(values, count, len(v.type.shape) - 1, v.element.feasible)
    return made


def _count_draws(found: Checked, rows: list[Tensor], n: int) -> None:
    """Counts of draws add up to their number."""
    graph = graph_of(found)
    names = [v.name for v in graph.data]
    for f in graph.factors:
        if not isinstance(f.density, Parametric) or f.density.kind != "Multinomial" or f.head not in names:
            continue
        total = dict(f.density.arguments)["total_count"]
        count = torch.full((n,), total.number) if isinstance(total, Constant) else rows[names.index(total.variable)]  # type: ignore[attr-defined]
        size = graph[f.head].type.shape[-1]
        with seed(7):
            classes = torch.randint(size, (n, int(count.max()) + 1)) + 1
        there = torch.arange(classes.shape[1]) < count.unsqueeze(-1)
        rows[names.index(f.head)] = torch.stack([((classes * there) == c + 1).sum(-1) for c in range(size)], -1).float()


def conditions_of(found: Checked, data: Sequence[Tensor]) -> dict[str, Tensor]:
    graph = graph_of(found)
    return {v.ident: rows for v, rows in zip(graph.data, data, strict=True) if v.name in graph.asked}


def verify_support(type_: Type, values: Tensor, n: int) -> None:
    """Asserts that these are n rows of a type."""
    support = type_.support
    assert values.shape == (n, *type_.shape)
    assert values.dtype == torch.float32
    assert values.isfinite().all()
    assert support.contains(values.numpy()).all()
    if support.event_rank:
        power = 2 if type(support) is Sphere else 1
        assert torch.allclose((values**power).sum(-1), torch.ones(values.shape[:-1]), atol=1e-5)


def samples_of(found: Checked, model: GenerativeModel, n: int, data: Sequence[Tensor] = ()) -> dict[str, Tensor]:
    """n samples of a model, by variable, under the conditions in `data` (n rows)."""
    graph = graph_of(found)
    given = conditions_of(found, data) if data else {}
    drawn = model.sample(n, **given)
    if isinstance(drawn, Tensor):
        drawn = {next(v.name for v in graph.data if v.name not in graph.conditions): drawn}
    return drawn


def estimator(found: Checked) -> ELBO:
    """Pyro's estimator of the loss: the one that the emitted docstring names."""
    (line,) = [row for row in pipeline.emit(found, "pyro").text.splitlines() if ", for Pyro; fit with " in row][:1]
    known = {"Trace_ELBO": Trace_ELBO, "TraceMeanField_ELBO": TraceMeanField_ELBO}
    return known[line.split("fit with ")[1].split(".")[0]]()


def joint_normal(found: Checked, model: GenerativeModel, data: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """log of the integral of a row, and the mean and the covariance of all members of the latents, and behind them of
    what is missing of the data (NaN): the logarithm of the joint density is a quadratic function of them, whose value,
    slope and curvature at 0 autograd has."""
    graph = graph_of(found)
    rows = {v.name: d for v, d in zip(graph.data, data, strict=True)}
    gaps = {name: d.isnan() for name, d in rows.items() if d.isnan().any()}
    sizes = [*(v.type.elements for v in graph.latents), *(int(g.sum()) for g in gaps.values())]

    def log_joint(z: Tensor) -> Tensor:
        parts = z.split(sizes)
        values = rows | {v.name: p.reshape(1, *v.type.shape) for v, p in zip(graph.latents, parts)}
        for (name, gap), part in zip(gaps.items(), parts[len(graph.latents) :], strict=True):
            values[name] = rows[name].masked_scatter(gap, part)
        return sum(
            getattr(model, f.method)(*(values[r] for r in graph.reads(f))).log_prob(values[f.head])
            for f in graph.factors
        ).squeeze()

    zero = torch.zeros(sum(sizes), dtype=torch.double)
    value = log_joint(zero)
    if not len(zero):
        return value, zero, zero.diag()
    slope = torch.autograd.functional.jacobian(log_joint, zero, create_graph=True)
    precision = -torch.autograd.functional.hessian(log_joint, zero, create_graph=True)
    mean = torch.linalg.solve(precision, slope)
    total = value + 0.5 * slope @ mean - 0.5 * torch.logdet(precision) + 0.5 * len(zero) * math.log(2 * math.pi)
    return total, mean, torch.linalg.inv(precision)
