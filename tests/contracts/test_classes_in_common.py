"""Classes that rows have in common, one for all of them or one a group: bounds against evidence by enumeration."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MultivariateNormal, Poisson

from dgmppl.diagnostics import SpecError
from dgmppl.pipeline import emit
from dgmppl.runtime import GenerativeModel
from tests.contracts.support import build, checked, seed

HEAD = """\
model kinds
observed shop : categorical(3) from "rows.npz".shop
observed area : integer(1..2) from "rows.npz".area
observed n    : natural from "rows.npz".n
param prior : real[2]
param rate : real[2, 2, 3]
param mix : real[3, 2]
"""
OF_A_GROUP = """\
latent kind : categorical(2) per shop
p(kind) = Categorical(prior)
p(n | kind) = Poisson(exp(rate[kind, 0, 0]))
"""
OF_ALL = OF_A_GROUP.replace("per shop", "per data")
OF_GROUPS_AND_ROWS = """\
latent kind : categorical(2) per shop
latent j    : categorical(3)
p(kind) = Categorical(prior)
p(j | kind) = Categorical(rate[kind, 0])
p(n | kind, j) = Poisson(exp(rate[kind, 1, j]))
"""
OF_SEVERAL = """\
latent kind : categorical(2) per shop
latent zone : binary per area
latent c    : categorical(3) per data
p(c) = Categorical(uniform)
p(kind | c) = Categorical(one_hot(c) @ mix)
p(zone) = Bernoulli(prior[0])
p(n | kind, zone, c) = Poisson(exp(rate[kind, zone, c]))
"""
ROWS = 11
SPECS = {"of a group": OF_A_GROUP, "of all": OF_ALL, "of groups and rows": OF_GROUPS_AND_ROWS, "of several": OF_SEVERAL}


def rows() -> list[Tensor]:
    with seed(5):
        shop, area = torch.arange(float(ROWS)) % 3, 1 + torch.arange(float(ROWS)) % 2
        return [shop, area, torch.poisson(torch.tensor([1.0, 5.0, 2.0])[shop.long()])]


def of_data(model: GenerativeModel, data: dict[str, Tensor]) -> list[Tensor]:
    return [data[name] for name in model.data]


def built(text: str) -> tuple[GenerativeModel, list[Tensor]]:
    """A model with drawn weights, and its rows."""
    with seed(3):
        model = build(checked(HEAD + text), scale=0.7)
    return model, of_data(model, dict(zip(("shop", "area", "n"), rows(), strict=True)))


def joint(model: GenerativeModel, which: str, kind: Tensor, zone: Tensor, c: Tensor) -> Tensor:
    """log p of all rows and of these classes, written out by torch from the parameters alone."""
    shop, area, n = rows()
    prior, rate = model.prior, model.rate
    mine = kind[shop.long()] if len(kind) > 1 else kind.expand(ROWS)
    if which == "of groups and rows":
        log_j = rate[mine, 0].log_softmax(-1)
        likelihood = (log_j + Poisson(rate[mine, 1].exp()).log_prob(n[:, None])).logsumexp(-1)
    elif which == "of several":
        theirs = zone[(area - 1).long()]
        own = Categorical(logits=model.mix[c[0]]).log_prob(kind).sum()
        p = prior[0].sigmoid()
        own = own - torch.tensor(3.0).log() + torch.where(zone == 1, p.log(), (1 - p).log()).sum()
        return own + Poisson(rate[mine, theirs, c[0]].exp()).log_prob(n).sum()
    else:
        likelihood = Poisson(rate[mine, 0, 0].exp()).log_prob(n)
    return likelihood.sum() + Categorical(logits=prior).log_prob(kind).sum()


def cases(which: str) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The joint values of all classes: of shops, of areas, and of all rows."""
    kinds = 1 if which == "of all" else 3
    more = which == "of several"
    sizes = [range(2)] * kinds + [range(2)] * (2 * more) + [range(3)] * more
    found = [torch.tensor(values) for values in product(*sizes)]
    return [(v[:kinds], v[kinds : kinds + 2], v[kinds + 2 :]) for v in found]


def log_q(model: GenerativeModel, which: str, kind: Tensor, zone: Tensor, c: Tensor) -> Tensor:
    total = (model.q_kind() if which == "of all" else model.q_kind(torch.arange(3.0))).log_prob(kind).sum()
    if which == "of several":
        total = total + model.q_zone(torch.arange(1.0, 3.0)).log_prob(zone.float()).sum() + model.q_c().log_prob(c[0])
    return total


@pytest.mark.parametrize("which", SPECS)
def test_the_bound_is_the_expectation_over_all_joint_classes_and_lies_below_the_evidence(which: str) -> None:
    """There is no draw: two calls give the same."""
    model, data = built(SPECS[which])
    with torch.no_grad():
        found = model.elbo(*data).sum()
        torch.testing.assert_close(found, model.elbo(*data).sum(), rtol=0, atol=0)
        each = [(joint(model, which, *case), log_q(model, which, *case)) for case in cases(which)]
        expected = torch.stack([q.exp() * (p - q) for p, q in each]).sum()
        evidence = torch.stack([p for p, _ in each]).logsumexp(0)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
    assert float(found) < float(evidence) - 0.01


def test_terms_of_one_class_alone_are_computed_once_for_each_of_its_values() -> None:
    """Beside other classes, and not in each of their values."""
    model, data = built(SPECS["of several"])
    called: list[Tensor] = []
    law = model.p_zone
    model.p_zone = lambda: (called.append(data[0]), law())[1]  # type: ignore[method-assign]
    model.elbo(*data)
    assert len(called) == 2


@pytest.mark.parametrize("which", ["of a group", "of all", "of groups and rows"])
def test_the_bound_touches_the_evidence_at_the_posterior_and_a_fit_finds_it(which: str) -> None:
    """Groups are independent given the parameters, so that a q of each group can be the posterior itself."""
    model, data = built(SPECS[which])
    with torch.no_grad():
        each = torch.stack([joint(model, which, *case) for case in cases(which)])
        posterior = each.softmax(0)
        kinds = torch.stack([kind for kind, *_ in cases(which)])
        expected = (posterior[:, None] * kinds).sum(0)
    weights = [p for name, p in model.named_parameters() if name.startswith("q_")]
    optimizer = torch.optim.LBFGS(weights, max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        found: Tensor = model.loss(*data)
        found.backward()
        return found

    optimizer.step(loss)
    torch.testing.assert_close(model.elbo(*data).sum().detach(), each.logsumexp(0), rtol=1e-5, atol=1e-3)
    q = model.q_kind() if which == "of all" else model.q_kind(torch.arange(3.0))
    torch.testing.assert_close(q.probs[..., 1].detach().reshape(-1), expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("which", SPECS)
def test_batches_of_all_rows_add_up_to_the_bound_of_all(which: str) -> None:
    model, data = built(SPECS[which])
    with torch.no_grad():
        whole = model.elbo(*data).sum()
        model.training_rows.fill_(ROWS)
        parts = [model.elbo(*(x[some] for x in data)).sum() for some in (slice(0, 4), slice(4, ROWS))]
    torch.testing.assert_close(sum(parts), whole, rtol=1e-5, atol=1e-5)


NORMAL_TOO = """\
model centres
observed shop : categorical(3) from "rows.npz".shop
observed y    : real from "rows.npz".y
latent kind : categorical(2) per shop
latent m    : real per shop
param centre : real[2]
param prior : real[2]
param a : real[2, 3]
param b : real[2, 3]
p(kind) = Categorical(prior)
p(m | kind) = Normal(centre[kind], 0.5)
p(y | m) = Normal(m, 1)
q(kind | shop) = Categorical(linear(shop))
"""
WITH_ITS_CLASS = NORMAL_TOO + "q(m | kind, shop) = Normal(a[kind, shop], exp(b[kind, shop]))\n"
ALONE = "".join(x for x in NORMAL_TOO.splitlines(True) if "[2, 3]" not in x)


def evidence_of_centres(model: GenerativeModel, shop: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """log p of all rows, m integrated out in closed form and kind summed; and log p(kind, rows) of each shop."""
    found = []
    for g in range(3):
        mine = y[shop == g]
        covariance = torch.eye(len(mine)) + 0.25 * torch.ones(len(mine), len(mine))
        each = [MultivariateNormal(m.expand(len(mine)), covariance).log_prob(mine) for m in model.centre]
        found.append(model.prior.log_softmax(-1) + torch.stack(each))
    each_shop = torch.stack(found)
    return each_shop.logsumexp(-1).sum(), each_shop


def test_what_is_drawn_given_a_class_is_drawn_for_each_of_its_values() -> None:
    """With the posterior as q the expectation of the bound is the evidence."""
    with seed(3):
        model = build(checked(WITH_ITS_CLASS), scale=0.7)
    shop, _, n = rows()
    y = n / 2
    with torch.no_grad(), seed(4):
        total, each = evidence_of_centres(model, shop, y)
        model.q_kind_net.weight.copy_(each.T)
        model.q_kind_net.bias.zero_()
        for g in range(3):
            mine = y[shop == g]
            precision = 4 + len(mine)  # Bishop (2006), Eqs. 2.141 and 2.142
            model.a[:, g] = (4 * model.centre + mine.sum()) / precision
            model.b[:, g] = -0.5 * torch.tensor(float(precision)).log()
        bound = torch.stack([model.elbo(shop, y).sum() for _ in range(400)])
    assert abs(float(bound.mean() - total)) < 4 * float(bound.std()) / 20 < 0.6


def test_a_normal_and_a_class_of_each_group_lie_below_the_evidence() -> None:
    """Where the normal one does not read the class, its divergence given each class has a closed form."""
    found = checked(ALONE)
    assert "-KL(q(m | shop) || p(m | kind)) / N" in [t.label for t in found.plan.terms]
    with seed(3):
        model = build(found, scale=0.7)
    shop, _, n = rows()
    with torch.no_grad(), seed(4):
        total, _ = evidence_of_centres(model, shop, n / 2)
        bound = torch.stack([model.elbo(shop, n / 2).sum() for _ in range(200)])
    assert float(bound.mean()) < float(total) - 3 * float(bound.std()) / 200**0.5


def test_rows_of_a_group_have_its_class_in_samples_and_in_what_is_inferred() -> None:
    model, data = built(OF_A_GROUP)
    with torch.no_grad():
        model.rate[0, 0, 0], model.rate[1, 0, 0] = -9.0, 9.0
    shop = torch.arange(60.0) % 3
    for k in range(5):
        with seed(k):
            found = model.sample(60, shop=shop) > 10
        assert all(bool((found[shop == g] == found[shop == g][0]).all()) for g in range(3))
    assert model.infer(*data)["kind"].shape == (3,)
    assert model.infer(*data, mean=True)["kind"].tolist() == model.q_kind(torch.arange(3.0)).probs.argmax(-1).tolist()


def test_pyro_says_that_it_cannot() -> None:
    with pytest.raises(SpecError, match=r"`kind` is summed, one for each shop") as error:
        emit(checked(HEAD + OF_A_GROUP), "pyro")
    assert "inside the plate of its shop" in error.value.diagnostics[0].help
