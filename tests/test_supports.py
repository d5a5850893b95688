"""Every support against constraints of torch and Pyro, and against the runtime's own functions and distributions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyro.distributions import constraints
from torch import Tensor

from dgmppl import pipeline, runtime, supports
from dgmppl.catalogue.distributions import DISTRIBUTIONS, Distribution, fits
from dgmppl.graph.nodes import Graph
from dgmppl.runtime.chains import Start
from dgmppl.supports import SUPPORTS, Interval, Support, Type, number_text
from tests.contracts.support import build, checked, data_of, samples_of

PACKAGE = Path(__file__).parent.parent / "dgmppl"

# Each support with the constraint that says the same. A test fails for an entry of the registry that has none here.
ORACLES: list[tuple[Support, Any]] = [
    (supports.REAL, constraints.real),
    (supports.POSITIVE, constraints.positive),
    (supports.UNIT, constraints.unit_interval),
    (supports.Interval(-1, 1), constraints.interval(-1, 1)),
    (supports.Interval(-0.1, 0.3), constraints.interval(-0.1, 0.3)),
    (supports.Interval(2, 255), constraints.interval(2, 255)),
    (supports.BINARY, constraints.boolean),
    (supports.INTEGER, constraints.integer),
    (supports.Integers(-3, 4), constraints.integer_interval(-3, 4)),
    (supports.Integers(0, 16), constraints.integer_interval(0, 16)),
    (supports.NATURAL, constraints.nonnegative_integer),
    (supports.Categorical(2), constraints.integer_interval(0, 1)),
    (supports.Categorical(5), constraints.integer_interval(0, 4)),
    (supports.Ordinal(2), constraints.integer_interval(0, 1)),
    (supports.Ordinal(5), constraints.integer_interval(0, 4)),
    (supports.SIMPLEX, constraints.simplex),
    (supports.SPHERE, constraints.sphere),
]
every = pytest.mark.parametrize(("support", "oracle"), [pytest.param(s, o, id=s.describe()) for s, o in ORACLES])
LENGTH = 3  # of vectors
NUMBERS = [-1e4, -5.0, -3.0, -1.5, -1.0, -0.05, 0.0, 1e-3, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0, 5.0, 16.0, 17.0, 200.5, 1e4]
VECTORS = [
    [1.0, 0.0, 0.0],
    [0.2, 0.3, 0.5],
    [0.2, 0.3, 0.6],
    [1.2, -0.2, 0.0],
    [0.0, 0.0, 0.0],
    [0.6, 0.8, 0.0],
    [-0.6, 0.0, 0.8],
    [1 / 3, 1 / 3, 1 / 3],
]


def inside(support: Support, oracle: Any, values: Tensor) -> bool:
    """Whether values of float32 are in a support, by the oracle; ends are those of float32 too."""
    if isinstance(support, Interval):
        oracle = constraints.interval(*torch.tensor([support.low, support.high]))
    return bool(oracle.check(values).all())


def test_every_support_has_an_oracle() -> None:
    assert {type(s) for s, _ in ORACLES} == set(SUPPORTS.values())


@every
def test_what_it_contains(support: Support, oracle: Any) -> None:
    values = torch.tensor(VECTORS if support.event_rank else NUMBERS)
    found = support.contains(values.numpy())
    assert found.shape == (len(values),)
    np.testing.assert_array_equal(found, oracle.check(values).numpy())
    wrong = np.logical_or.reduce([mask for mask, _ in support.faults(values.numpy())])
    np.testing.assert_array_equal(wrong, ~found)
    assert all(expected.startswith("expected ") for _, expected in support.faults(values.numpy()))


@every
def test_a_feasible_value_is_contained(support: Support, oracle: Any) -> None:
    value = torch.full((2, LENGTH), Type(support, (2, LENGTH)).feasible)
    assert inside(support, oracle, value)
    assert support.contains(value.numpy()).all()


@every
def test_the_link_lands_in_it(support: Support, oracle: Any) -> None:
    """Whole numbers have the link of their convex hull: it lies between two of them, or at one."""
    if support.link is None:
        return
    raw = torch.tensor([[-1e4, -30.0, -1.0], [0.0, 0.5, 20.0], [1e4, 1e4, -1e4], [1e4, -1e4, 0.0]])
    value = getattr(runtime, support.link.name)(raw, *support.link.arguments) if support.link.name else raw
    assert value.dtype == torch.float32
    assert value.isfinite().all()
    for number in (value.floor(), value.ceil()) if support.discrete else (value,):
        assert inside(support, oracle, number)


def test_numbers_that_increase() -> None:
    raw = torch.tensor([[-1e4, -1e4, 0.0], [1.0, 1e4, 2.0], [0.0, -20.0, -20.0]])
    assert constraints.ordered_vector.check(runtime.increasing(raw)).all()
    values = torch.tensor([[0.0, 1.0, 2.0], [0.0, 0.0, 1.0], [3.0, 1.0, 2.0]])
    expected = constraints.ordered_vector.check(values).numpy()
    np.testing.assert_array_equal(supports.Increasing().contains(values.numpy()), expected)


@every
def test_the_values_are_all_there(support: Support, oracle: Any) -> None:
    if support.finite:
        grid = torch.arange(-300.0, 301.0)
        assert support.values() == tuple(grid[oracle.check(grid)].tolist())
        assert len(support.values()) == support.size
    else:
        assert support.values() == ()


@every
def test_its_embedding_is_of_its_width_and_scale(support: Support, oracle: Any) -> None:
    value = torch.tensor([Type(support, (LENGTH,)).feasible, *support.values()])
    function = support.embedding
    found = getattr(runtime, function.name)(value, *function.arguments) if function.name else value
    assert found.shape == ((len(value), support.width) if support.width > 1 else (len(value),))
    if support.bounded:
        assert found.min() >= -1
        assert found.max() <= 1
        if support.finite and support.width == 1:
            assert (found.min(), found.max()) == (-1, 1)


@every
def test_noise_lies_in_it(support: Support, oracle: Any) -> None:
    if support.noise is None:
        assert not support.smooth
        return
    ends = [end for end in (support.noise.low, support.noise.high) if end is not None]
    torch.manual_seed(0)
    draws = Start(support.noise.kind, (4,), *ends).draw(2000, torch.empty(0))
    assert inside(support, oracle, draws)
    if support.finite:
        assert set(draws.unique().tolist()) == set(support.values())


@every
def test_a_q_that_nobody_wrote_draws_its_values(support: Support, oracle: Any) -> None:
    if not support.posterior:
        return
    entry = DISTRIBUTIONS[support.posterior]
    assert fits(entry, support)
    assert entry.reparameterised != support.discrete
    shape = (3,) if support.event_rank else ()
    found = checked(partial_spec(entry, Type(support, shape)))
    assert inside(support, oracle, samples_of(found, build(found), 500)["y"])


@every
def test_its_text_is_read_back(support: Support, oracle: Any) -> None:
    declared = Type(support, (LENGTH,))
    assert graph_of_text(f'model m\nobserved y : {declared.describe()} from "r.npz".y')["y"].type == declared
    assert SUPPORTS[support.word] is type(support)
    assert any(form.finite == support.finite for form in support.forms)
    assert all(form.text.startswith(support.word) for form in support.forms)


@every
def test_what_holds_values_of_another_holds_its_samples(support: Support, oracle: Any) -> None:
    for other, _ in ORACLES:
        if support.holds(other) and other.finite and not support.event_rank:
            assert oracle.check(torch.tensor(other.values())).all(), other.describe()


@every
def test_floored_values_are_those_of_the_interior(support: Support, oracle: Any) -> None:
    """`floor` of an interval never takes its upper end: bijections reach the interior only."""
    if support.discrete or support.event_rank:
        return
    grid = torch.linspace(-300, 300, 600_001, dtype=torch.float64)
    low, high = support.low, support.high
    grid = grid[(grid > (-torch.inf if low is None else low)) & (grid < (torch.inf if high is None else high))]
    found = support.floored()
    taken = sorted(set(grid.floor().tolist()))
    if found.finite:
        assert list(found.values()) == taken
    else:
        assert found.contains(np.array(taken)).all()
        assert (found.low is None) == (low is None)


@pytest.mark.parametrize("support", [supports.REAL, supports.POSITIVE, supports.UNIT, supports.Interval(-2, 3)])
@pytest.mark.parametrize(("scale", "shift"), [(2.0, 0.0), (-1.0, 0.0), (0.5, 0.5), (1.0, -2.0), (1.0, 0.0)])
def test_an_affine_image_has_the_ends_of_its_values(support: Support, scale: float, shift: float) -> None:
    found = support.affine(scale, shift)
    values = np.linspace(-100 if support.low is None else support.low, support.high or 100, 1001)[1:-1]
    image = scale * values + shift
    assert found.contains(image).all()
    if support.bounded:
        assert found.bounded
        assert found.low == pytest.approx(image.min(), abs=0.02)
        assert found.high == pytest.approx(image.max(), abs=0.02)


def graph_of_text(text: str) -> Graph:
    graph = pipeline.read(text).graph
    assert graph is not None
    return graph


# --- distributions on supports -------------------------------------------------------------------


def partial_spec(entry: Distribution, declared: Type) -> str:
    """A spec in which some rows miss a variable that has this distribution."""
    fixed = {supports.UNIT: "0.5", supports.NATURAL: "4"}
    arguments = ", ".join(fixed.get(p.constraint, "param") for p in entry.parameters)
    factor = ""
    if entry.name == "LowRankNormal":  # whose rank no place says
        arguments, factor = "param, param, U", "param U : real[3, 2]\n"
    return (
        f'model some\n{factor}observed x : real[2] from "r.npz".x\npartial y : {declared.describe()} from "r.npz".y\n'
        f"p(y) = {entry.name}({arguments})\np(x | y) = Normal(linear(y))\n"
        + (f"q(y | x) = {entry.name}({arguments})\n" if entry.reparameterised else "")
    )


PAIRS = [(entry, support) for entry in DISTRIBUTIONS.values() for support, _ in ORACLES if fits(entry, support)]


@pytest.mark.parametrize(("entry", "support"), [pytest.param(e, s, id=f"{e.name}-{s.describe()}") for e, s in PAIRS])
def test_a_variable_that_some_rows_miss_has_a_finite_loss_and_gradient(entry: Distribution, support: Support) -> None:
    """Something stands where it is missing: its density is multiplied by 0 there, and must not be infinite."""
    declared = Type(support, (3,) if entry.event_rank(support) else ())
    if not entry.reparameterised and not support.finite:
        text = (
            f'model some\nobserved x : real[2] from "r.npz".x\npartial y : {declared.describe()} from "r.npz".y\n'
            f"p(x) = Normal(param)\np(y | x) = {entry.name}({'4, ' if entry.vector else ''}linear(x))\n"
        )
    else:
        text = partial_spec(entry, declared)
    found = checked(text)
    model = build(found)
    loss = model.loss(*data_of(found))
    assert loss.isfinite()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(("entry", "support"), [pytest.param(e, s, id=f"{e.name}-{s.describe()}") for e, s in PAIRS])
def test_a_distribution_has_the_support_that_torch_says(entry: Distribution, support: Support) -> None:
    """A value is possible by torch's own constraint of the class exactly where the support contains it."""
    kind = getattr(runtime, entry.name)
    arguments = {
        p.name: torch.ones((support.size or LENGTH,) if p.size == "K" or support.event_rank else ())
        for p in entry.parameters
    }
    if entry.ours:
        return
    constraint = kind(**arguments).support
    # One point at an end of a continuous range has no mass: torch lets Gamma take 0.
    values = torch.tensor(
        VECTORS if support.event_rank else [n for n in NUMBERS if support.discrete or n != support.low]
    )
    if not support.finite or not support.low:  # Categorical counts from 0; integer(a..b) has a class of its own
        np.testing.assert_array_equal(constraint.check(values).numpy(), support.contains(values.numpy()))


# --- nobody asks which support it has ------------------------------------------------------------


def _asks(path: Path) -> Iterator[int]:
    """Lines of a module that compare the word of a support, or tell apart its classes."""
    classes = {kind.__name__ for kind in SUPPORTS.values()}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "dgmppl.supports"]
    ours = {alias.asname or alias.name for node in imports for alias in node.names} & classes
    for node in ast.walk(tree):
        inner = list(ast.walk(node)) if isinstance(node, (ast.Compare, ast.Subscript)) else []
        told = any(isinstance(n, ast.Attribute) and n.attr in ("word", "describe") for n in inner)
        call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance"
        if told or (call and ours & {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}):
            yield node.lineno


def test_nothing_outside_asks_which_support_it_has() -> None:
    """The word of a support stands in messages only; whatever differs from support to support is a property of it."""
    outside = [p for p in sorted(PACKAGE.rglob("*.py")) if p.parent.name not in ("supports", "syntax")]
    assert [f"{p.relative_to(PACKAGE)}:{line}" for p in outside for line in _asks(p)] == []


def test_numbers_are_written_as_a_person_would() -> None:
    assert [number_text(x) for x in (16.0, -1.0, 0.5, 1e-6)] == ["16", "-1", "0.5", "1e-06"]
