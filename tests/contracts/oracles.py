"""What a density must be, whatever spec it comes from: one with its samples, by enumeration, quadrature or weights.

Values are mapped to the whole line by `torch.distributions.biject_to`; nothing here is computed by what is tested.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from scipy.stats import chisquare
from torch import Tensor
from torch.distributions import Normal, biject_to, constraints

from dgmppl.graph.scope import LARGEST
from dgmppl.supports import Type

Values = dict[str, Tensor]
WIDE = torch.float64
MOST = 300
"""As many joint values are enumerated."""
FAINT = 1e-6
"""A sampler whose samples are so unlikely under the density is another model."""


VECTORS = ("simplex", "sphere")


class Stereographic(torch.distributions.Transform):
    """The plane of D - 1 dimensions onto the sphere but for its pole, from which it is seen: ``u`` to
    ``(2 u, |u|^2 - 1) / (|u|^2 + 1)``, by which areas grow ``(2 / (1 + |u|^2))^(D - 1)`` times."""

    domain = codomain = constraints.real_vector
    bijective = True

    def _call(self, x: Tensor) -> Tensor:
        square = x.square().sum(-1, keepdim=True)
        return torch.cat([2 * x, square - 1], -1) / (1 + square)

    def _inverse(self, y: Tensor) -> Tensor:
        return y[..., :-1] / (1 - y[..., -1:])

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x.shape[-1] * (math.log(2) - torch.log1p(x.square().sum(-1)))


@dataclass(frozen=True)
class Space:
    """The values of a variable, read from its type as it is described: `integer(0..2)[3]`."""

    support: str
    low: float
    high: float
    shape: tuple[int, ...]

    @classmethod
    def of(cls, type_: Type) -> Space:
        support, numbers, shape = re.fullmatch(r"(\w+)(?:\((.*?)\))?(?:\[(.*)\])?", type_.describe()).groups()  # type: ignore[union-attr]
        low, high = {"binary": (0.0, 1.0), "unit": (0.0, 1.0)}.get(support, (-math.inf, math.inf))
        if numbers:
            ends = [float(n) for n in re.split(r"\.\.|,", numbers)]
            low, high = (0.0, ends[0] - 1) if len(ends) == 1 else (ends[0], ends[1])
        return cls(support, low, high, tuple(int(n) for n in (shape or "").split(",") if n))

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def whole(self) -> bool:
        return self.support in ("binary", "categorical", "integer", "natural", "ordinal")

    @property
    def size(self) -> float:
        """How many values there are."""
        return (self.high - self.low + 1) ** self.elements if self.whole else math.inf

    @property
    def freedom(self) -> int:
        """Numbers on the line that a value is told by."""
        return self.elements - math.prod(self.shape[:-1]) if self.support in VECTORS else self.elements

    def every(self, low: float, high: float) -> Tensor:
        numbers = torch.arange(low, high + 1, dtype=WIDE)
        return torch.cartesian_prod(*[numbers] * self.elements).reshape(-1, *self.shape)

    def transform(self) -> torch.distributions.Transform:
        if self.support == "sphere":
            return Stereographic()
        known = {
            "real": constraints.real,
            "positive": constraints.positive,
            "unit": constraints.unit_interval,
            "simplex": constraints.simplex,
        }
        return biject_to(known.get(self.support) or constraints.interval(self.low, self.high))

    def flat(self, values: Tensor) -> Tensor:
        """Values as numbers on the line, (n, freedom)."""
        return self.transform().inv(values.to(WIDE)).reshape(len(values), self.freedom)

    def bound(self) -> float:
        """How far from 0 numbers on the line go before values end in float64."""
        return {"real": 1e6, "sphere": 1e6, "positive": 300.0}.get(self.support, 30.0)

    def unflat(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Values of numbers on the line, and the log-determinant of that, (n,)."""
        shape = (*self.shape[:-1], self.shape[-1] - 1) if self.support in VECTORS else self.shape
        u = u.reshape(-1, *shape)
        transform = self.transform()
        values = transform(u)
        return values, transform.log_abs_det_jacobian(u, values).reshape(len(u), -1).sum(-1)


@dataclass(frozen=True)
class Law:
    """A density and a sampler that should be one: `log_prob` of n rows is (n,), `sample` gives n rows."""

    spaces: Mapping[str, Space]
    log_prob: Callable[[Values], Tensor]
    sample: Callable[[int], Values]

    def density(self, values: Values) -> Tensor:
        with torch.no_grad():
            return self.log_prob({name: v.to(WIDE) for name, v in values.items()}).to(WIDE)


def verify_law(law: Law, draws: int = 2000) -> str:
    """Asserts that the density is one and that samples follow it. Returns by which way, or why it cannot be told."""
    spaces = law.spaces
    if not spaces:
        return "nothing"
    drawn = {name: v.to(WIDE) for name, v in law.sample(2 * draws).items()}
    for name, space in spaces.items():
        assert drawn[name].shape == (2 * draws, *space.shape), f"{tuple(drawn[name].shape)} for {name}"
    # Numbers that data cannot have, and that networks overflow on where later elements read them.
    if any((v.abs() >= LARGEST).any() for v in drawn.values()):
        return "too wide to be told"
    for name in spaces:
        assert not drawn[name].isnan().any(), name
    if any(_near_bounds(space, drawn[name]) for name, space in spaces.items() if not space.whole):
        return "too wide to be told"
    fitted, judged = ({name: v[half] for name, v in drawn.items()} for half in (slice(draws), slice(draws, None)))
    if all(s.whole for s in spaces.values()):
        if math.prod(s.size for s in spaces.values()) <= MOST:
            return _enumerate(law, judged, {name: (s.low, s.high) for name, s in spaces.items()}, 1e-4)
        ends = {name: _reach(space, drawn[name]) for name, space in spaces.items()}
        if math.prod((ends[name][1] - ends[name][0] + 1) ** s.elements for name, s in spaces.items()) <= 40_000:
            return _enumerate(law, judged, ends, 1e-2)
    elif len(spaces) == 1 and next(iter(spaces.values())).freedom <= 2:
        return _integrate(law, fitted, judged)
    return _weigh(law, fitted, judged)


def _reach(space: Space, drawn: Tensor) -> tuple[float, float]:
    """The first and the last whole number that all but nothing lies beyond, by many draws."""
    reach = float(drawn.max() - drawn.min()) + 10
    return max(float(drawn.min()) - reach, space.low), min(float(drawn.max()) + reach, space.high)


def _near_bounds(space: Space, values: Tensor) -> bool:
    """Whether so many values are near the bounds of their range that their distance to these has few digits."""
    u = space.flat(values)
    return bool(u.isfinite().all()) and float((u.abs() > 0.8 * space.bound()).any(-1).to(WIDE).mean()) > 1e-3


def _compare(counts: Tensor, expected: Tensor) -> None:
    """Counts against expected numbers, cells of less than five together."""
    common = expected >= 5
    counts = torch.cat([counts[common], counts[~common].sum().reshape(1)])
    expected = torch.cat([expected[common], (expected[~common].sum() + counts.sum() - expected.sum()).reshape(1)])
    if float(expected[-1]) < 5:
        if float(counts[-1]) > 40:
            raise AssertionError(f"{int(counts[-1])} samples where {float(expected[-1]):.1f} belong")
        counts, expected = counts[:-1], expected[:-1]
    if len(counts) < 2:
        return
    expected = expected * counts.sum() / expected.sum()
    found = chisquare(counts.numpy(), expected.numpy()).pvalue
    assert found > FAINT, f"samples do not follow the density: p = {found:.1e}"


def _enumerate(law: Law, drawn: Values, ends: Mapping[str, tuple[float, float]], tolerance: float) -> str:
    each = [law.spaces[name].every(*ends[name]) for name in law.spaces]
    index = torch.tensor(list(itertools.product(*(range(len(e)) for e in each))))
    rows = {name: e[index[:, k]] for k, (name, e) in enumerate(zip(law.spaces, each, strict=True))}
    probability = law.density(rows).exp()
    total = float(probability.sum())
    assert abs(total - 1) < tolerance, f"probabilities sum to {total:.5f}"
    position = torch.zeros(len(next(iter(drawn.values()))), dtype=torch.long)
    for name in law.spaces:
        low, high = ends[name]
        assert ((drawn[name] >= low) & (drawn[name] <= high)).all(), f"{name} outside its values"
        for element in (drawn[name] - low).long().reshape(len(position), -1).unbind(1):
            position = position * int(high - low + 1) + element
    counts = torch.bincount(position, minlength=len(probability)).to(WIDE)
    _compare(counts, probability * counts.sum())
    return "enumerated"


def _masses(law: Law, name: str, middle: Tensor, width: Tensor, sides: int) -> tuple[Tensor, Tensor, Tensor]:
    """Points of a grid, (n, freedom), the mass of their cells, (n,), and where cells end, (sides + 1, freedom)."""
    space = law.spaces[name]
    edges = torch.linspace(-8, 8, sides + 1, dtype=WIDE)
    t = (edges[1:] + edges[:-1]) / 2
    axes = middle + width * t.sinh()[:, None]
    cells = width * t.cosh()[:, None] * (edges[1] - edges[0])
    grid, area = (torch.cartesian_prod(*of.T).reshape(-1, space.freedom) for of in (axes, cells))
    inside = (grid.abs() < space.bound()).all(-1)
    values, log_det = space.unflat(grid[inside])
    mass = (law.density({name: values}) + log_det).exp() * area[inside].prod(-1)
    return grid[inside], mass, middle + width * edges.sinh()[:, None]


def _integrate(law: Law, fitted: Values, judged: Values) -> str:
    """On a grid that widens like sinh around the middle of samples, in numbers on the line."""
    ((name, space),) = law.spaces.items()
    u = space.flat(fitted[name])
    if not u.isfinite().all():
        raise AssertionError(f"samples of {name} lie on the bounds of {space.support}")
    quarters = torch.quantile(u, torch.tensor([0.25, 0.5, 0.75], dtype=WIDE), dim=0)
    middle, width = quarters[1], (quarters[2] - quarters[0]).clamp_min(1e-6) / 1.35
    sides = 3200 if space.freedom == 1 else 220
    try:
        return _on_grid(law, fitted, judged, middle, width, sides)
    except AssertionError:  # a ridge may be narrower than a cell of the grid
        return _on_grid(law, fitted, judged, middle, width, 4 * sides)


def _on_grid(law: Law, fitted: Values, judged: Values, middle: Tensor, width: Tensor, sides: int) -> str:
    ((name, space),) = law.spaces.items()
    u = space.flat(fitted[name])
    points, mass, ends = _masses(law, name, middle, width, sides)
    total = float(mass.sum())
    if abs(total - 1) > 0.02:
        finer = float(_masses(law, name, middle, width, sides * 3 // 2)[1].sum())
        if abs(finer - total) > 0.005 or _is_peaked(u, middle, width, sides):
            return _weigh(law, fitted, judged)  # peaks too narrow for the grid
    assert abs(total - 1) < 0.02, f"the density of {name} integrates to {total:.4f}"
    marks = []
    for k in range(space.freedom):
        wanted = torch.quantile(u[:, k].contiguous(), torch.linspace(0, 1, 8, dtype=WIDE)[1:-1])
        marks.append(ends[:, k][torch.searchsorted(ends[:, k].contiguous(), wanted).clamp(1, sides - 1)].unique())

    def cell(at: Tensor) -> Tensor:
        found = torch.zeros(len(at), dtype=torch.long)
        for k, mark in enumerate(marks):
            found = found * (len(mark) + 1) + torch.searchsorted(mark, at[:, k].contiguous())
        return found

    size = math.prod(len(m) + 1 for m in marks)
    expected = torch.zeros(size, dtype=WIDE).index_add(0, cell(points), mass)
    counts = torch.bincount(cell(space.flat(judged[name])), minlength=size).to(WIDE)
    _compare(counts, expected * counts.sum())
    return "integrated"


def _is_peaked(u: Tensor, middle: Tensor, width: Tensor, sides: int) -> bool:
    """Whether 3 in 100 samples lie within a cell of the grid, which is wide far from the middle of them."""
    many = 3 * len(u) // 100
    ordered = u.sort(0).values
    cells = width * (1 + ((ordered - middle) / width).square()).sqrt() * 16 / sides
    return bool((ordered[many:] - ordered[:-many] < cells[:-many]).any())


CENTRES = 200


def _weigh(law: Law, fitted: Values, judged: Values) -> str:
    """E_p[r(x) / p(x)] is the mass of r where p is positive, for every density r.

    Here r is a kernel estimate of the sampler's own density from other samples, so that for a sampler s the mean is
    near 1 + chi^2(s, p): it grows with any difference of the two. A kernel that is wider than a mode has mass where no
    sample comes, which makes the mean too small; then a narrower one is tried.
    """
    log_p = law.density(judged)
    assert log_p.isfinite().all(), "a sample has no density"
    for narrow in (1.0, 0.4, 0.15):
        log_r, of_r = _kernels(law, fitted, judged, narrow)
        weight = (log_r - log_p).exp()
        mean, error = float(weight.mean()), float(weight.std()) / math.sqrt(len(weight))
        inside = law.density(of_r).isfinite().to(WIDE)
        expected, error = float(inside.mean()), error + float(inside.std()) / math.sqrt(len(weight))
        if error > 0.1 or float(weight.max()) > 0.05 * float(weight.sum()):
            return "too wide to be told"
        if abs(mean - expected) < 5 * error + 0.03:
            return "weighed"
        if mean > expected:
            break
        if float((weight < 0.01).to(WIDE).mean()) > 0.02:  # samples in a spike that no kernel fits
            return "too wide to be told"
    raise AssertionError(f"E[r / p] is {mean:.3f} +- {error:.3f}, not {expected:.3f}")


def _kernels(law: Law, fitted: Values, judged: Values, narrow: float) -> tuple[Tensor, Values]:
    """log r at the judged samples, (n,), and n samples of r."""
    n = len(next(iter(judged.values())))
    centre = torch.randint(CENTRES, (n,))
    log_kernel, of_r = torch.zeros(n, CENTRES, dtype=WIDE), dict[str, Tensor]()
    for name, space in law.spaces.items():
        if space.whole:
            columns = []
            for seen, at in zip(fitted[name].reshape(n, -1).T, judged[name].reshape(n, -1).T, strict=True):
                # Half of the kernel or more is at its centre, and the rest spread like the samples.
                away = 0.5 * narrow
                spread = (at[:, None] == seen).to(WIDE).mean(1, keepdim=True)
                log_kernel += ((1 - away) * (at[:, None] == seen[:CENTRES]).to(WIDE) + away * spread).log()
                columns.append(torch.where(torch.rand(n) < away, seen[torch.randint(n, (n,))], seen[centre]))
            of_r[name] = torch.stack(columns, 1).reshape(fitted[name].shape)
            continue
        u, v = space.flat(fitted[name]), space.flat(judged[name])
        if not (u.isfinite().all() and v.isfinite().all()):
            raise AssertionError(f"samples of {name} lie on the bounds of {space.support}")
        width = u.std(0).clamp_min(1e-9)
        # As wide as ten neighbours are far, so that a kernel stays inside its mode.
        near = torch.cdist(u[:CENTRES] / width, u / width).kthvalue(11, dim=1).values.clamp(1e-9, 0.4)
        r = Normal(u[:CENTRES], narrow * near[:, None] * width)
        log_kernel += r.log_prob(v[:, None]).sum(-1) - space.unflat(v)[1][:, None]
        of_r[name] = space.unflat(r.sample((n,))[torch.arange(n), centre])[0]
    return log_kernel.logsumexp(1) - math.log(CENTRES), of_r
