"""Random energies as the text of specs, with an oracle that adds them up element by element."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

MAX_UNITS = 10


@dataclass(frozen=True)
class Unit:
    """A variable of the energy: binary, or classes of `size`."""

    name: str
    shape: tuple[int, ...]
    role: str
    size: int = 2

    @property
    def elements(self) -> int:
        return int(torch.tensor(self.shape).prod()) if self.shape else 1

    def declaration(self) -> str:
        shape = f"[{', '.join(map(str, self.shape))}]" if self.shape else ""
        kind = "binary" if self.size == 2 else f"categorical({self.size})"
        data = f' from "rows.npz".{self.name}' if self.role == "observed" else ""
        return f"{self.role} {self.name} : {kind}{shape}{data}"


@dataclass(frozen=True)
class Pick:
    """An index as a spec has it: a letter and so many elements on, or a number."""

    letter: str
    offset: int = 0

    def text(self) -> str:
        if not self.letter:
            return str(self.offset)
        return self.letter + (f" {'-' if self.offset < 0 else '+'} {abs(self.offset)}" if self.offset else "")

    def at(self, env: dict[str, int]) -> int:
        return env.get(self.letter, 0) + self.offset


@dataclass(frozen=True)
class Product:
    """`coefficient * sum(letters: param[...] * x[...] * h[...])`. `factors` are variables with the indices of their
    axes; classes, `picked`, stand in the parameter's axes instead, as `W[y, x[i]]`. `ranges` are those of the letters.
    """

    coefficient: float
    factors: tuple[tuple[str, tuple[Pick, ...]], ...]
    param: str
    axes: tuple[str, ...]
    picked: tuple[tuple[str, tuple[Pick, ...]], ...]
    ranges: tuple[tuple[str, range], ...]
    extra: str = ""  # a constant added inside the sum

    def text(self) -> str:
        parts = []
        if self.param:
            inside = ", ".join((*map(_indexed, self.picked), *self.axes))
            parts.append(f"{self.param}[{inside}]" if inside else self.param)
        parts += map(_indexed, self.factors)
        body = " * ".join(parts)
        body = f"({body} + {self.extra})" if self.extra else body
        letters = ", ".join(name for name, _ in self.ranges)
        return f"{self.coefficient} * " + (f"sum({letters}: {body})" if letters else body)

    def value(self, values: dict[str, Tensor], params: dict[str, Tensor]) -> Tensor:
        total = torch.zeros(len(next(iter(values.values()))))
        for at in itertools.product(*(values for _, values in self.ranges)):
            env = dict(zip((name for name, _ in self.ranges), at))
            product = torch.ones(len(total))
            if self.param:
                index = [_read(values, pick, env).long() for pick in self.picked] + [env[a] for a in self.axes]
                product = product * (params[self.param][tuple(index)] if index else params[self.param])
            for factor in self.factors:
                product = product * _read(values, factor, env)
            total = total + product + (float(self.extra) if self.extra else 0.0)
        return self.coefficient * total


def _indexed(factor: tuple[str, tuple[Pick, ...]]) -> str:
    name, picks = factor
    return f"{name}[{', '.join(p.text() for p in picks)}]" if picks else name


def _read(values: dict[str, Tensor], factor: tuple[str, tuple[Pick, ...]], env: dict[str, int]) -> Tensor:
    name, picks = factor
    return values[name][(slice(None), *(p.at(env) for p in picks))]


@dataclass(frozen=True)
class RandomEnergy:
    units: tuple[Unit, ...]
    products: tuple[Product, ...]
    params: tuple[tuple[str, tuple[int, ...]], ...]
    constant: float

    def text(self) -> str:
        rows = ["model random_energy", *(u.declaration() for u in self.units)]
        for name, shape in self.params:
            rows.append(f"param {name} : real" + (f"[{', '.join(map(str, shape))}]" if shape else ""))
        body = " + ".join([p.text() for p in self.products] + ([str(self.constant)] if self.constant else []))
        rows.append(f"E({', '.join(u.name for u in self.units)}) = {body}")
        return "\n".join(rows) + "\n"

    def value(self, values: dict[str, Tensor], params: dict[str, Tensor]) -> Tensor:
        total = torch.full((len(next(iter(values.values()))),), self.constant)
        return total + sum(p.value(values, params) for p in self.products)


def configurations(units: tuple[Unit, ...]) -> dict[str, Tensor]:
    """Every joint value of these variables, a row each."""
    ranges = [range(u.size) for u in units for _ in range(u.elements)]
    rows = torch.tensor(list(itertools.product(*ranges))).float().reshape(-1, len(ranges))
    found, start = {}, 0
    for u in units:
        found[u.name] = rows[:, start : start + u.elements].reshape(-1, *u.shape)
        start += u.elements
    return found


_SHAPES = st.sampled_from([(), (1,), (2,), (3,), (4,), (2, 2)])
_NUMBERS = st.sampled_from([1.0, 0.5, 2.0, 0.25])


@st.composite
def _units(draw: st.DrawFn) -> tuple[Unit, ...]:
    shapes = draw(st.lists(_SHAPES, min_size=1, max_size=3))
    found: list[Unit] = []
    for k, shape in enumerate(shapes):
        role = "observed" if k == 0 else draw(st.sampled_from(["latent", "latent", "observed"]))
        found.append(Unit("xhs"[k], shape, role))
    if draw(st.integers(0, 3)) == 0:
        shape = draw(st.sampled_from([(), (), (2,), (3,)]))
        found.insert(1, Unit("y", shape, draw(st.sampled_from(["latent", "observed"])), 3))
    while sum(u.elements for u in found) > MAX_UNITS:
        found.pop()
    return tuple(found)


@st.composite
def _product(draw: st.DrawFn, units: tuple[Unit, ...], index: int) -> tuple[Product, tuple[int, ...]]:
    chosen = draw(st.lists(st.sampled_from(units), min_size=1, max_size=3))
    letters = iter("ijklmnopqrt")
    sizes: dict[str, int] = {}
    offsets: dict[str, list[int]] = {}

    def pick(size: int) -> Pick:
        if draw(st.integers(0, 9)) == 0:
            return Pick("", draw(st.integers(0, size - 1)))
        known = [a for a, s in sizes.items() if s == size]
        # An axis may share its index with another one of its size: elementwise products, diagonals, squares, and what
        # stands so many elements on.
        letter = draw(st.sampled_from([*known, ""])) if known else ""
        letter = letter or next(letters)
        sizes[letter] = size
        offset = draw(st.sampled_from((0, 0, 1) if size == 2 else (0, 0, 1, -1))) if size > 1 else 0
        offsets.setdefault(letter, []).append(offset)
        return Pick(letter, offset)

    read = [(u, tuple(pick(size) for size in u.shape)) for u in chosen]
    picked = tuple((u.name, picks) for u, picks in read if u.size > 2)
    ranges = {a: range(max(-k for k in offsets[a]), min(size - k for k in offsets[a])) for a, size in sizes.items()}
    axes = tuple(a for a in sizes if ranges[a].start >= 0 and draw(st.booleans()))
    param = f"W{index}" if picked or draw(st.integers(0, 4)) else ""
    axes = axes if param else ()
    extra = "0.5" if sizes and draw(st.integers(0, 4)) == 0 else ""
    coefficient = draw(_NUMBERS) * draw(st.sampled_from([1.0, -1.0]))
    factors = tuple((u.name, picks) for u, picks in read if u.size == 2)
    product = Product(coefficient, factors, param, axes, picked, tuple(ranges.items()), extra)
    return product, tuple(3 for _ in picked) + tuple(ranges[a].stop for a in axes)


@st.composite
def random_energies(draw: st.DrawFn) -> RandomEnergy:
    """Multi-affine energies and others, of up to ten units: every variable is in at least one product."""
    units = draw(_units())
    products: list[Product] = []
    params: list[tuple[str, tuple[int, ...]]] = []
    for k in range(draw(st.integers(1, 4))):
        product, shape = draw(_product(units, k))
        products.append(product)
        params += [(product.param, shape)] if product.param else []
    for u in units:
        if not any(u.name in (n for n, _ in (*p.picked, *p.factors)) for p in products):
            product, shape = draw(_product((u,), len(products)))
            products.append(product)
            params += [(product.param, shape)] if product.param else []
    return RandomEnergy(units, tuple(products), tuple(params), draw(st.sampled_from([0.0, 0.75])))
