"""Random specs: what compiles is taught as a whole, is one model both ways, and is the same in any order.

`pytest tests/contracts/test_random.py --random 1000` draws more of them, `--random 2000..2299` those of these numbers;
a failing one is printed by
`python -m tests.contracts.random_specs NUMBER`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import pyro
import pytest
import torch
from pyro.infer import Predictive, Trace_ELBO

from dgmppl import pipeline
from dgmppl.catalogue.bijections import BIJECTIONS, TRANSFORMS
from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.catalogue.functions import AXES, FUNCTIONS, REDUCTIONS
from dgmppl.catalogue.networks import NETWORKS
from dgmppl.catalogue.schedules import SCHEDULES
from dgmppl.catalogue.training import GAMES, PATHS
from dgmppl.diagnostics import SpecError
from dgmppl.pipeline import Checked
from dgmppl.runtime import UserNetwork
from dgmppl.supports import SUPPORTS
from tests.contracts import laws
from tests.contracts.random_specs import random_spec
from tests.contracts.support import build, data_of, estimator, pair, seed
from tests.contracts.test_pyro import mixed

REFUSED = 0.4
"""At most this share of random specs is refused."""


@lru_cache(maxsize=8)
def drawn(number: int) -> Checked:
    return pipeline.read(random_spec(number), allow_python=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "number" in metafunc.fixturenames:
        first, _, last = metafunc.config.getoption("--random").rpartition("..")
        numbers = range(int(first), int(last) + 1) if first else range(int(last))
        metafunc.parametrize("number", numbers, scope="module")


def test_few_are_refused_and_all_of_them_with_a_reason() -> None:
    refused = [f for f in (pipeline.read(random_spec(k), allow_python=True) for k in range(300)) if not f.ok]
    assert all(f.errors for f in refused)
    assert len(refused) < REFUSED * 300


def test_every_entry_of_the_catalogues_is_drawn() -> None:
    """So is every construct of `docs/language.md` that is no word of a catalogue."""
    texts = [random_spec(k) for k in range(3000)]
    words = {word for text in texts for word in re.findall(r"[a-zA-Z_]\w*", text)}
    assert [name for table in CATALOGUES for name in table if name not in words] == []
    assert [pattern for pattern in CONSTRUCTS if not any(re.search(pattern, t) for t in texts)] == []


CATALOGUES = (
    DISTRIBUTIONS,
    NETWORKS,
    BIJECTIONS,
    TRANSFORMS,
    FUNCTIONS,
    REDUCTIONS,
    AXES,
    SCHEDULES,
    SUPPORTS,
    GAMES,
    PATHS,
)
CONSTRUCTS = (
    r"\w\[>t\]",
    r"\w\[t \+ 1\.\.T\]",
    r"\w\[<t\]",
    r"z\[t in 1\.\.T, l in 1",
    r"\[\w in [01]\.\.m\]",
    r"\[\w in [01]\.\.T\] : \w+(\[2\])? per data",
    r"\[\w in [01]\.\.T\] : \w+(\[2\])? per s",
    r"\[\w in [01]\.\.T\] : .* elementwise",
    r"z\[0\] = x",
    r" per data",
    r" per s",
    r"latent \w+ : (binary|categorical).* per data",
    r"latent \w+ : (binary|categorical).* per s",
    r"elementwise from",
    r"p\(f \| a",
    r"order = zigzag",
    r"weight = \{ z\[t\] = simple \}",
    r"beta = linear\(",
    r"weight = \{.*cosine\(",
    r"classify = ",
    r"posterior = factorised",
    r"stages = \[fit\(",
    r"accept = \[W401\]",
    r"accept = \[W401\(",
    r"Delta\(",
    r"residual\(",
    r"in grid\(",
    r'const w\d* : real\S* from "',
    r'python\("',
    r"target = noise",
    r"E\(",
    r"adversary ",
    r"let s\d* : positive",
    r"1\.5 - sigmoid",
    r"units = false",
    r"dropout = ",
    r"dilation = ",
    r"norm = (batch|group)",
    r"labelled\(",
    r"threshold\(",
    r"weights = softmax\(",
    r"observed \w+ : interval\(0, 3\)",
    r"observed \w+ : interval\(-200, -100\)",
    r"latent \w+ : ordinal",
    r"latent \w+ : ordinal.* per ",
    r"latent \w+\[t in 1\.\.T\] : ordinal",
    r"where = age in 18\.\.65",
    r"where = \[age in \.\.65, kind in",
    r"where = born in",
    r"where = country in",
    r"missing = \[-9, -1\], where",
    r"missing\(.*, 0\.2\)",
    r"flatten\(\w+\(",
    r"\(flatten\(",
    r"natural from total\(",
    r"observed n : natural from total\(",
    r"dates\(",
    r"chains = 6",
    r"restart = 1",
    r"step_size = 0\.001",
    r"noise = 0\.01",
    r"target = score",
    r"stages = .*ema = ",
    r"adversary_steps = 2",
)


LAWS: dict[str, Callable[[Checked], object]] = {
    "factors": laws.verify_factors,
    "likelihood": laws.verify_whole,
    "missing": laws.verify_missing,
    "forecasts": laws.verify_forecasts,
    "inferred": laws.verify_inferred,
    "marginals": laws.verify_marginals,
    "samples": laws.verify_samples,
    "bound": laws.verify_bound,
    "precision": laws.verify_precision,
    "source": laws.verify_source,
    "stages": laws.verify_stages,
    "fits": laws.verify_fits,
    "saved": laws.verify_saved,
    "commands": laws.verify_commands,
}


@pytest.mark.parametrize("law", LAWS)
def test_what_it_computes_is_its_model(number: int, law: str) -> None:
    if drawn(number).ok:
        LAWS[law](drawn(number))


def test_every_parameter_is_taught(number: int) -> None:
    if drawn(number).ok:
        assert laws.unreached(drawn(number)) == []


def test_the_order_of_statements_means_nothing(number: int) -> None:
    for k in (1, 2):
        laws.verify_order(drawn(number), k)


def test_weights_say_what_the_plan_counts(number: int) -> None:
    found = drawn(number)
    if found.plan is not None:
        model = build(found)
        own = {p for m in model.modules() if isinstance(m, UserNetwork) for p in m.parameters()}
        assert bool(own) == bool(found.plan.structure.own)
        assert sum(p.numel() for p in set(model.parameters()) - own) == found.plan.structure.weights


def refused_by_pyro(found: Checked) -> bool:
    try:
        pipeline.emit(found, "pyro")
    except SpecError as error:
        return [d.code for d in error.diagnostics] == ["E310"]
    return False


def test_pyro_has_the_same_loss(number: int) -> None:
    """With the same weights and noise, where Pyro can express it."""
    found = drawn(number)
    if not found.ok or found.plan is None or "iwae" in found.source.text:
        return
    if refused_by_pyro(found):
        return
    pyro.clear_param_store()
    ours, theirs = pair(found, scale=0.05)
    if "drop" in found.source.text:  # anew in the guide, `drop(y, 0.2)` as `dropout = 0.2`
        ours, theirs = ours.eval(), theirs.eval()
    data = data_of(found, 16)
    if mixed(found):  # one divergence is closed and another is drawn, so only the means agree
        with torch.no_grad(), seed(5):
            a = torch.stack([ours.loss(*data) for _ in range(60)])
            b = torch.tensor([Trace_ELBO().loss(theirs.model, theirs.guide, *data) / 16 for _ in range(60)])
        assert (a.mean() - b.mean()).abs() < 5 * (a.var() / 60 + b.var() / 60).sqrt() + 1e-4
        return
    with seed(2), torch.no_grad():
        loss = float(ours.loss(*data))
    with seed(2), torch.no_grad():
        expected = float(estimator(found).differentiable_loss(theirs.model, theirs.guide, *data)) / 16
    assert loss == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_pyro_draws_given_data(number: int) -> None:
    """`Predictive`, which puts an axis of draws and of plates before what rows have in common."""
    found = drawn(number)
    if not found.ok or found.plan is None or refused_by_pyro(found):
        return
    pyro.clear_param_store()
    model, data = build(found, "pyro", scale=0.05), data_of(found, 5)
    with torch.no_grad(), seed(3):
        values = Predictive(model.model, guide=model.guide, num_samples=2)(*data)
    assert all(value.isfinite().all() for name, value in values.items() if not name.startswith("noisy_"))
