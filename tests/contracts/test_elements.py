"""Factors of elements: what an element depends on, by autograd; sums over all values; what plates and chains are."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from tests.contracts.support import build, checked, seed

HEAD = """\
observed x : real[5] from "rows.npz".x
observed c : real[5] from "rows.npz".c
param V : real[5, 3] = normal(0.5)
let h[d] : real[4] = gru_cell(x[d - 1], c[d], h[d - 1])
let a[d] : real[3] = a[d - 1] + x[d - 1] * V[d - 1]
let f[d] : real[3] = tanh(causal[4, kernel = 2](x[<d]))
let g[d] : real[2] = mlp[3](f[d], x[d - 2], g[d - 1])
let l[d] : real[3] = gru_cell(k[d], x[d - 2], l[d - 1])
let k[d] : real[2] = 0.5 * k[d - 1] + linear(c[d] * h[d])
"""
# A location, and by how much before the element those are that it depends on.
READS = {
    "mlp[4](x[d - 1], x[d - 3])": {1, 3},
    "x[d - 2] * c[d] + d": {2},
    "linear(h[d])": {1, 2, 3, 4},
    "V[d] @ sigmoid(a[d])": {1, 2, 3, 4},
    "linear(f[d], x[d - 4])": {1, 2, 3, 4},
    "linear(g[d])": {1, 2, 3, 4},
    "linear(k[d])": {1, 2, 3, 4},
    "linear(l[d])": {1, 2, 3, 4},
    "masked[6](x[<d], h[d], c[d])": {1, 2, 3, 4},
}


@pytest.mark.parametrize("location", READS)
def test_an_element_depends_on_what_it_reads_before_it(location: str) -> None:
    used = {name for name in "hafgkl" if f"{name}[d]" in location}
    used |= {"f"} if "g" in used else set()
    used |= {"k"} if "l" in used else set()
    used |= {"h"} if "k" in used else set()
    lines = [r for r in HEAD.splitlines() if not r.startswith("let ") or r[4] in used]
    lines = [r for r in lines if not r.startswith("param") or {"a"} & used]
    text = "\n".join(["model element", *lines, f"p(x[d] | x[<d], c) = Normal({location} + 0 * c[d], 1)\n"])
    model = build(checked(text), scale=0.3)
    x, c = torch.randn(5), torch.randn(1, 5)

    def loc(x: Tensor) -> Tensor:
        return model.p_x(c).step(x.unsqueeze(0)).base_dist.loc[0]

    jacobian = torch.autograd.functional.jacobian(loc, x)
    seen = jacobian.abs() > 0
    assert {d - k for d, k in itertools.product(range(5), repeat=2) if seen[d, k]} == READS[location]


def test_a_markov_chain_is_its_matrix() -> None:
    """The probability of a sequence is that of its first element and of its transitions."""
    text = 'model chain\nobserved x : categorical(3)[4] from "rows.npz".x\nparam M : real[3, 3] = normal(1)\n'
    model = build(checked(text + "p(x[d] | x[d - 1]) = Categorical(M[x[d - 1]])\n"))
    every = torch.cartesian_prod(*[torch.arange(3.0)] * 4)
    found = model.log_prob(every)
    torch.testing.assert_close(found.logsumexp(0), torch.zeros(()), atol=1e-5, rtol=0)
    steps = model.M.log_softmax(-1)
    state = every.long()
    wanted = steps[0, state[:, 0]] + sum(steps[state[:, k], state[:, k + 1]] for k in range(3))
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("order", ["zigzag", "reverse", "permute(seed = 4)"])
def test_laws_in_another_order_sum_to_one_and_read_what_is_at_their_own_position(order: str) -> None:
    text = 'model ordered\nobserved x : binary[2, 3] from "rows.npz".x\nobserved c : real[2, 3] from "rows.npz".c\n'
    text += f"p(x[i, j] | x[<i, <j], c, order = {order}) = Bernoulli(masked[6](x[<i, <j], c[i, j]) + 2 * c[i, j] + i)\n"
    model = build(checked(text), scale=0.5)
    every = torch.cartesian_prod(*[torch.arange(2.0)] * 6).unflatten(-1, (2, 3))
    c = torch.randn(2, 3, requires_grad=True)
    given = c.expand(64, 2, 3)
    torch.testing.assert_close(model.log_prob(every, given).logsumexp(0), torch.zeros(()), atol=1e-5, rtol=0)
    for i, j in itertools.product(range(2), range(3)):
        step = model.p_x(given).step(every).base_dist.logits[0, i, j]
        assert torch.autograd.grad(step, c)[0][i, j].item() > 1  # its own, 2 and what the network makes of it
    rows = {"zigzag": (0, 1, 3, 4, 2, 5), "reverse": (5, 4, 3, 2, 1, 0)}
    if order in rows:
        x = torch.rand(2, 3)
        logits = torch.autograd.functional.jacobian(lambda x: model.p_x(c).step(x[None]).base_dist.logits[0], x)
        seen = logits.reshape(6, 6) != 0
        place = torch.tensor(rows[order]).argsort()
        assert not (seen & (place[None] >= place[:, None])).any()
        assert seen.sum() == 15


def test_a_chain_in_reverse_is_that_of_the_reversed_sequence() -> None:
    text = 'model chain\nobserved x : categorical(3)[4] from "rows.npz".x\nparam M : real[4, 3, 3] = normal(1)\n'
    model = build(checked(text + "p(x[d] | x[d + 1], order = reverse) = Categorical(M[d, x[d + 1]])\n"))
    x = torch.randint(3, (20, 4)).float()
    steps = model.M.log_softmax(-1)
    state = x.long()
    wanted = steps[3, 0, state[:, 3]] + sum(steps[k, state[:, k + 1], state[:, k]] for k in range(3))
    torch.testing.assert_close(model.log_prob(x), wanted)
    draws = model.sample(4000).long()
    torch.testing.assert_close(torch.bincount(draws[:, 3], minlength=3) / 4000, steps[3, 0].exp(), atol=0.03, rtol=0)


@pytest.mark.parametrize("kind", ["pixelcnn", "gated_pixelcnn"])
def test_laws_of_colours_sum_to_one(kind: str) -> None:
    text = 'model coloured\nobserved x : binary[2, 2, 3] from "rows.npz".x\n'
    text += f"p(x[i, j, c] | x[<i, <j, <c]) = Bernoulli({kind}[6, 6, kernel = 3](x[<i, <j, <c]))\n"
    model = build(checked(text), scale=0.5)
    every = torch.cartesian_prod(*[torch.arange(2.0)] * 12).unflatten(-1, (2, 2, 3))
    torch.testing.assert_close(model.log_prob(every).logsumexp(0), torch.zeros(()), atol=1e-5, rtol=0)


@pytest.mark.parametrize("reads", ["x[d - 1], h[d - 1]", "h[d - 1], x[d - 1]"])
def test_a_recurrent_network_is_torchs(reads: str) -> None:
    """A cell along the elements is the network of these weights over the whole sequence, wherever its state stands."""
    text = f'model gated\nobserved x : real[6] from "rows.npz".x\nlet h[d] : real[4] = gru_cell({reads})\n'
    model = build(checked(text + "p(x[d] | x[<d]) = Normal(linear(h[d]), 1)\n"))
    cell = model.h_net
    whole = torch.nn.GRU(1, 4, batch_first=True)
    whole.load_state_dict({f"{name}_l0": weight for name, weight in cell.state_dict().items()})
    x = torch.randn(3, 6)
    before = torch.nn.functional.pad(x, (1, -1)).unsqueeze(-1)
    torch.testing.assert_close(model.define_h(x), whole(before)[0])


LAYERS = """\
observed c : real[5, 2] from "rows.npz".c
observed y : real[3] from "rows.npz".y
observed x : real[5] from "rows.npz".x
let g[t] : real[2] = gru_cell(y, h[t], g[t - 1], x[t - 1])
let h[t] : real[4] = mlp[3](c[t], x[t - 1], h[t - 1])
let k[t] : real[3] = tanh(k[t - 1] * linear(h[t]) + linear(g[t]))
p(c) = Normal(0, 1)
p(y) = Normal(0, 1)
p(x[t] | x[<t], c, y) = Normal(linear(k[t], g[t]), 1)
"""


@pytest.mark.parametrize("turned", [False, True])
def test_recurrences_that_read_recurrences_are_one_loop(turned: bool) -> None:
    """Each state follows from those of the same step: their statements in any order, whatever else they read; the draw,
    which keeps the states, too."""
    rows = LAYERS.splitlines()
    rows[3:6] = rows[5:2:-1] if turned else rows[3:6]
    model = build(checked("\n".join(["model layers", *rows, ""])), scale=0.5)
    first, second = [m for n, m in model.named_children() if n.startswith("k_net")]
    if first.in_features != 4:
        first, second = second, first

    def locations(x: Tensor, c: Tensor, y: Tensor) -> Tensor:
        before = torch.nn.functional.pad(x, (1, -1)).unsqueeze(-1)
        h, g, k = x.new_zeros(len(x), 4), x.new_zeros(len(x), 2), x.new_zeros(len(x), 3)
        found = []
        for t in range(5):
            h = model.h_net(torch.cat([c[:, t], before[:, t], h], -1))
            g = model.g_net(torch.cat([y, h, before[:, t], g], -1))
            k = torch.tanh(k * first(h) + second(g))
            found.append(model.p_x_loc_net(torch.cat([k, g], -1)).squeeze(-1))
        return torch.stack(found, -1)

    # As many rows as there are positions: an axis in another's place would go unnoticed in the shapes.
    x, c, y = torch.randn(5, 5), torch.randn(5, 5, 2), torch.randn(5, 3)
    normal = torch.distributions.Normal(locations(x, c, y), 1)
    found = model.p_x(c, y)
    torch.testing.assert_close(found.log_prob(x), normal.log_prob(x).sum(-1))
    with seed(3):
        drawn = found.sample()
    with seed(3):
        noise = torch.stack([torch.normal(torch.zeros(5, 1), torch.ones(5, 1)).squeeze(-1) for _ in range(5)], -1)
    torch.testing.assert_close(drawn - locations(drawn, c, y), noise, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "law",
    [
        "Normal(0, 1) >> affine(causal[6](x[<d]))",
        "Normal(0, 1) >> elementwise[spline(4)](masked[6](x[<d], d)) >> affine(2 * masked[6](x[<d]))",
        "mixture[2, weights = gru[3](x[<d])](Normal(param, 1) >> affine(causal[4](x[<d])))",
    ],
)
def test_what_moves_an_element_may_be_the_past(law: str) -> None:
    """The density of two elements integrates to one, and draws of the first follow its marginal."""
    text = f'model moved\nobserved x : real[2] from "rows.npz".x\np(x[d] | x[<d]) = {law}\n'
    model = build(checked(text), scale=0.2)
    line = torch.linspace(-15, 15, 301)
    grid = torch.cartesian_prod(line, line)
    density = model.log_prob(grid).exp().unflatten(0, (301, 301)) * 0.1**2
    torch.testing.assert_close(density.sum(), torch.ones(()), atol=2e-3, rtol=0)
    first = density.sum(1) / 0.1
    draws = model.sample(4000)
    below = (draws[:, 0] < line[150]).float().mean()
    torch.testing.assert_close(below, first[:150].sum() * 0.1 + first[150] * 0.05, atol=0.04, rtol=0)


def test_elements_of_a_plate_have_one_law() -> None:
    text = 'model plate\nobserved x : real[3, 2] from "rows.npz".x\nobserved z : real[4] from "rows.npz".z\n'
    model = build(checked(text + "p(x[i] | z) = Normal(0, 1) >> 2 * (coupling[mlp[4]](z) >> reverse)\n"), scale=0.3)
    x, z = torch.randn(5, 3, 2), torch.randn(5, 4)
    together = model.p_x(z).log_prob(x)
    order = torch.randperm(3)
    torch.testing.assert_close(together, model.p_x(z).log_prob(x[:, order]))
    one = model.p_x(z).base_dist.log_prob(x)
    assert one.shape == (5, 3)
    torch.testing.assert_close(together, one.sum(1))
