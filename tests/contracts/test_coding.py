"""Every spec whose rows have probabilities codes them, and gives them back; of the others it says why not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dgmppl.coding.program import Coder, Program, program_of
from dgmppl.coding.stack import CodingError, Stack, initial_words, is_initial
from dgmppl.train.contents import parts
from tests.contracts.support import COMPOSITIONS, LIBRARY, build, checked, data_of, graph_of, name_of, seed

ROWS, WORDS = 5, 4000

# What has discrete data and no code, in the words of the message.
REFUSED = {
    "discrete_diffusion": "its plan has to compose q(z | x)",
    "topic_model": "nothing models `n`",
    "m2": "some rows miss `y`",
    "switching": "along its index beside other latents",
    "rbm": "an energy is unnormalised",
    "vrnn": "its plan has to draw z, x in turn",
}
# What is found out only when the laws are there.
WITHOUT = ("hyperspherical_vae", "proportions", "vae_flow_prior", "vae_iaf", "vae_sylvester_triangular")
LAWS = ("pushed through a flow", "depend on each other")


def program(path: Path) -> Program | CodingError:
    try:
        return program_of(*parts(checked(path)))
    except CodingError as error:
        return error


PROGRAMS = {name_of(path).split("/")[-1]: (path, program(path)) for path in (*LIBRARY, *COMPOSITIONS)}
CODED = [name for name, (_, found) in PROGRAMS.items() if isinstance(found, Program)]


@contextmanager
def double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad(), seed(3):
            yield
    finally:
        torch.set_default_dtype(before)


def refusal(coder: Coder, rows: dict[str, Tensor], stack: Stack) -> str:
    """Encodes rows; why it cannot, if so."""
    try:
        coder.encode(rows, stack)
    except CodingError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", CODED)
def test_rows_come_back(name: str) -> None:
    path, found = PROGRAMS[name]
    assert isinstance(found, Program)
    data = dict(zip((v.name for v in graph_of(checked(path)).data), data_of(checked(path), ROWS), strict=True))
    rows = {n: v.double() for n, v in data.items()}
    model = build(checked(path), scale=0.05).double().eval()
    with double(), model.unchecked():
        coder = Coder(found, model)
        coder.tell(coder.ranges_of(rows))
        count = WORDS if found.bits_back else 0
        stack = Stack(initial_words(count), sealed=bool(count))
        why = refusal(coder, rows, stack)
        assert (name in WITHOUT) <= bool(why)
        if why:
            assert found.bits_back
            assert any(words in why for words in LAWS)
            return
        coded, bits = stack.words(), stack.bits
        stack = Stack(coded, sealed=False)
        again = coder.decode(ROWS, stack)
        assert is_initial(stack.words(), count, count)
        for n, value in rows.items():
            assert torch.equal(again[n], value), n
        assert bits == pytest.approx(-stack.bits, rel=1e-9)
        if model.criterion == "log_prob" and not found.conditions and not coder.open:
            exact = -model.figures(*rows.values())["log_prob"].sum().item() / math.log(2)
            assert bits == pytest.approx(exact, rel=1e-3, abs=0.01)
            assert 32 * (len(coded) - count) == pytest.approx(bits, abs=100 + 0.01 * bits)


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_code_says_why(name: str) -> None:
    _, found = PROGRAMS[name]
    assert isinstance(found, CodingError)
    assert REFUSED[name] in str(found)


def test_what_is_real_is_refused() -> None:
    for name, (path, found) in PROGRAMS.items():
        if not all(v.type.support.discrete for v in graph_of(checked(path)).data):
            assert isinstance(found, CodingError), name
            assert "real numbers have densities" in str(found), name


def test_a_bound_is_reached_on_average() -> None:
    """The bits of many rows are minus their bound, within its noise: latents that are popped are draws of q."""
    path, found = PROGRAMS["vae"]
    assert isinstance(found, Program)
    model = build(checked(path), scale=0.05).double().eval()
    with double(), model.unchecked():
        (rows,) = data_of(checked(path), 256)
        coder = Coder(found, model)
        stack = Stack(initial_words(WORDS), sealed=True)
        for k in range(0, 256, 32):
            coder.encode({"x": rows[k : k + 32].double()}, stack)
        bounds = torch.stack([-model.elbo(rows.double()) / math.log(2) for _ in range(20)])
        noise = math.sqrt(bounds.var(0).sum().item())
        assert stack.bits == pytest.approx(bounds.mean(0).sum().item(), abs=4 * noise)
