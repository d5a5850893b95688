"""A spec may call its variables what it likes: emitted source computes the same under every name."""

from __future__ import annotations

import builtins
import contextlib
import itertools
import keyword
import re
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from dgmppl import pipeline, runtime
from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.diagnostics import SpecError
from dgmppl.graph.names import EMITTED, LOCALS, MODEL, MODULE, safe_attribute, safe_local
from dgmppl.graph.scope import KINDS, RESERVED
from dgmppl.runtime import GenerativeModel
from dgmppl.syntax import scan as syntax
from tests.contracts.support import build, data_of, seed
from tests.mutations import corpus

# Names that emitted source, the base class, or Python have a use for.
WORDS = """
self torch nn Tensor Distribution n super sum len float id p pyro data loss loss_2 scale logits loc raw prior shift
ratio flow noise game real fake rate rows units own rest weights start steps step index classes opponent state energy
chain
sweep settle energies free_energy draw_from_energy log_partition terms figures sample players forward parameters train
type device elbo log_prob criterion model guide condition part parts component noisy_x noisy_v log_det_u log_det_v u_1
log_det_1_v log_det_2_v inner_1_v u_2 v_1 z_1 q_z p_x p_v q_v q_w q_r define_x score_D sides_D game_D game_w loss_w
players Chain Start Player Normal Bernoulli Categorical MLP rt dist rt_dist pyro_distributions runtime latents reading
Coupling Compose Reverse Mixture Pushforward Autoregressive GenerativeModel GAMES Uniform Delta kl_divergence one_hot
concat rescale positive unit bounded simplex langevin gibbs_sites as_batch None True class def lambda import is not and
or if else for while with print exec eval int dict list tuple range zip max min abs_ object property staticmethod
cases_x cases_v cases_w cases_r missing_v missing_w missing_x terms every_value impute apart mean k j p_r p_w df
segments at_1 at_2 at_last from_1 from_2 along along_2 marginals laws noise shared
total_count concentration concentration0 concentration1 predictor cutpoints given given_2 x_2 r_2
"""
NAMES = WORDS.split()

SPECS = {
    "hierarchy": """\
model m
observed x : integer(0..4)[3] from "r.npz".x
latent   v : real[2]
latent   w : real[2]
let r : real[4] = mlp[4](x)
p(w)     = mixture[3](q(w | param))
p(v | w) = Normal(mlp[4](w))
p(x | v) = Categorical(mlp[4](v))
q(w | x) = Normal(linear(r))
q(v | w, x) = residual(p(v | w), linear(r))
""",
    "integral": """\
model m
observed x : real[3] from "r.npz".x
latent   v : real[2]
latent   w : real[2]
let r : real[2] = linear(v)
p(w)     = Normal(0, 1)
p(v | w) = Normal(linear(w), 0.5)
p(x | v) = Normal(linear(r), exp(param))
""",
    "energy": """\
model m
observed x : binary[3] from "r.npz".x
latent   v : binary[2]
param    w : real[3, 2]
param    r : real[3]
E(x, v) = -x @ w @ v - r @ x
""",
    "flow": """\
model m
observed x : integer(0..4)[2] from "r.npz".x
observed w : real[2] from "r.npz".w
latent   v : real[2]
flow r = 2 * (coupling[mlp[4]](w) >> reverse)
p(v) = Normal(0, 1)
x    = floor(r(v))
""",
    "flows": """\
model m
observed x : real[2] from "r.npz".x
latent   v : real[2]
flow r = coupling[mlp[4]] >> reverse
flow w = affine
p(v) = Normal(0, 1)
x    = w(r(v))
""",
    "game": """\
model m
observed x : real[2] from "r.npz".x
observed r : categorical(3) from "r.npz".r
latent   v : real[2]
p(v)        = Normal(0, 1)
x           = mlp[4](v, r)
q(v | x, r) = Normal(mlp[4](x, r))
adversary w(x, v, r) = mlp[4]
""",
    "sum": """\
model m
observed x : real[2] from "r.npz".x
partial  w : categorical(3) from "r.npz".w
partial  v : real[2] from "r.npz".v
latent   r : binary
p(r)           = Bernoulli(param)
p(w | r)       = Categorical(mlp[4](r))
p(v | w)       = Normal(mlp[4](w))
p(x | v, r)    = Normal(mlp[4](v, r))
q(v | x)       = Normal(mlp[4](x))
q(w | x, v)    = Categorical(mlp[4](x, v))
q(r | x, v, w) = Bernoulli(mlp[4](x, v, w))
train { objective = elbo(classify = 1) }
""",
    "autoregressive": """\
model m
observed x : categorical(3)[3] from "r.npz".x
latent   v : real[2]
param    r : real[2]
net w = mlp[4, 4]
p(v) = Normal(r, 1)
p(x[d] | x[<d], v) = Categorical(causal[4, kernel = 2](x[<d], v))
q(v | x) = Normal(w(x))
""",
    "sequence": """\
model m
const T = 3
observed x[t in 1..T] : real[2] from "r.npz".x
latent   v[t in 1..T] : real
latent   w : real
let r[t in 1..T] : real[2] = linear(w, x[t-1], r[t-1])
p(w) = Normal(0, 1)
p(v[1]) = Normal(0, 1)
p(v[t] | v[t-1], x[t-1]) = Normal(linear(v[t-1], x[t-1]))
p(x[t] | v[t], x[<t], w) = Normal(linear(v[t], r[t]))
q(w | x) = Normal(linear(x))
q(v[T] | x, w) = Normal(linear(gru[2](x)[T], w))
q(v[t] | v[t+1], x, w) = Normal(linear(v[t+1], gru[2](x)[t], gru[3](x)[t], w))
""",
    "recurrence": """\
model m
observed x : real[3] from "r.npz".x
param v : real[3, 2]
param w : real[2]
let r[d] : real[2] = tanh(w * r[d-1] + x[d-1] * v[d-1] + x[d-1] / 2 + x[d-1])
p(x[d] | x[<d]) = Normal(sum(r[d]), 1)
""",
}


def outcome(text: str) -> tuple[list[float], object] | None:
    """Losses and a sample, or None for a spec that is refused."""
    found = pipeline.read(text)
    if not found.ok:
        return None
    model, data = build(found, scale=0.1), data_of(found, 4)
    losses = []
    for player in model.players():
        with seed(1):
            losses.append(float(player.loss(*data).detach()))
    graph = found.graph
    given = {v.name: rows for v, rows in zip(graph.data, data, strict=True) if v.name in graph.asked}
    conditions = {graph[name].ident: rows for name, rows in given.items()}
    with seed(1):
        drawn = model.sample(4, **conditions) if not found.plan.samplers else model.draw_from_energy(4, steps=3)[0]
    if isinstance(drawn, dict):
        drawn = torch.cat([values.reshape(4, -1) for values in drawn.values()], 1)
    assert isinstance(drawn, torch.Tensor)
    if not found.plan.samplers and not found.plan.played and not graph.partial:
        pyro_model = build(found, "pyro")
        pyro_model.load_state_dict(model.state_dict())
        with seed(1):
            pyro_model.guide(*data)
            pyro_model.model(*data)
    return losses, drawn


def named(text: str, names: dict[str, str]) -> str:
    """A spec with x, v, w and r called otherwise."""
    return re.sub(r"\b[xvwr]\b(?!\.npz)", lambda found: names[found.group()], text)


ALLOWED = [n for n in NAMES if n not in syntax.RESERVED | syntax.SIDES | RESERVED | KINDS]


@pytest.mark.parametrize("kind", SPECS)
def test_a_name_changes_nothing(kind) -> None:
    """Every name at every place that a spec names, four at once."""
    text = SPECS[kind]
    losses, drawn = outcome(text)
    for k in range(len(ALLOWED)):
        names = {old: ALLOWED[(k + 37 * place) % len(ALLOWED)] for place, old in enumerate("xvwr")}
        result = outcome(named(text, names))
        assert result is not None, names
        assert result[0] == pytest.approx(losses, rel=1e-5), names
        assert torch.equal(result[1], drawn), names


def even_permutations(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Half of the orders, in which each two names are once in each two places."""
    orders = itertools.permutations(range(len(names)))
    even = [o for o in orders if sum(a > b for a, b in itertools.combinations(o, 2)) % 2 == 0]
    return [tuple(names[k] for k in order) for order in even]


PREFIXES = (
    *("cases_", "missing_", "q_", "p_", "log_det_", "log_det_1_", "inner_1_", "noisy_", "game_", "loss_", "integral_"),
)
"""Of what emitted source calls after a variable."""


def emitted(text: str) -> Iterator[str]:
    """The sources of a spec, of those targets that can have it."""
    found = pipeline.read(text)
    for target in ("torch", "pyro"):
        with contextlib.suppress(SpecError):
            yield pipeline.emit(found, target).text


def test_every_prefix_is_tried() -> None:
    sources = "".join(source for text in SPECS.values() for source in emitted(text))
    assert [p for p in PREFIXES if not re.search(rf"\b{p}[xvwr]", sources)] == []


@pytest.mark.parametrize("kind", SPECS)
def test_locals_named_after_a_variable_give_way_to_others(kind) -> None:
    """`cases_a` of `a` beside variables that are called `cases_a` and `a_`: each two names in each two places."""
    text = SPECS[kind]
    losses, drawn = outcome(text)
    source = "".join(emitted(text))
    for prefix in (p for p in PREFIXES if re.search(rf"\b{p}[xvwr]", source)):
        for x, v, w, r in even_permutations(("a", f"{prefix}a", "a_", f"{prefix}a_")):
            names = {"x": x, "v": v, "w": w, "r": r}
            result = outcome(named(text, names))
            assert result is not None, names
            assert result[0] == pytest.approx(losses, rel=1e-5), names
            assert torch.equal(result[1], drawn), names


def test_variables_keep_their_names() -> None:
    """But for a handful, and Python's own: emitted source has no other word that it will not share."""
    for name in {*NAMES, *runtime.__all__, *dir(GenerativeModel)}:
        renamed = name in LOCALS or keyword.iskeyword(name) or name.startswith("_")
        assert (safe_local(name) != name) == renamed, name
    assert len(LOCALS) <= 17


def test_nothing_hides_an_attribute_of_the_base_class() -> None:
    of_torch = {name for name in dir(nn.Module()) if not name.startswith("_")}
    own = {name for name in {*dir(GenerativeModel), *GenerativeModel.__annotations__} if not name.startswith("_")}
    assert of_torch <= MODULE
    assert own - of_torch == MODEL
    assert [name for name in of_torch | own if safe_attribute(name) == name] == []


def test_nothing_hides_a_method_that_emitted_source_defines() -> None:
    found: set[str] = set()
    for text in corpus():
        for source in emitted(text):
            found |= set(re.findall(r"^    def (\w+)", source, re.MULTILINE)) - {"__init__"}
            found |= {"chain"} if "self.chain = " in source else set()
    free = [name for name in found if safe_attribute(name) == name]
    assert free == []
    found |= {"forecast", "complete", "propose"}  # of the model that goes on from a past (dgmppl.forecasts)
    assert found >= EMITTED


MODELS = sorted({*NAMES, *runtime.__all__, *syntax.RESERVED, *syntax.SIDES, *DISTRIBUTIONS, *dir(builtins)})


def test_a_model_may_have_any_name() -> None:
    text = SPECS["hierarchy"]
    wanted = pipeline.emit(pipeline.read(text)).text
    for name in (n for n in MODELS if not n.startswith("_")):
        found = pipeline.read(text.replace("model m", f"model {name}"))
        assert found.ok, name
        emitted = pipeline.emit(found)
        called = emitted.class_name
        assert not keyword.iskeyword(called) and not hasattr(builtins, called) and called not in LOCALS
        assert emitted.text.replace(f"class {called}(", "class M(").replace(f'"""{name}:', '"""m:', 1) == wanted


@pytest.mark.parametrize("name", ["flow", "nn", "tensor", "none", "model", "generative_model", "T"])
def test_a_model_of_any_name_computes_the_same(name) -> None:
    text = SPECS["flow"]
    assert outcome(text.replace("model m", f"model {name}"))[0] == pytest.approx(outcome(text)[0], rel=1e-5)


def test_an_anonymous_parameter_hides_no_method() -> None:
    """Each would be called like a method of the model: p(x_loc), the energy, the loss."""
    hidden = """model hidden
observed x : real[2] from moons.point
latent x_loc : real[2]
let loss : real[4] = param
let p_x : real[2] = param
p(x_loc) = Normal(0, 1)
p(x | x_loc) = Normal(param, exp(x_loc))
q(x_loc | x) = Normal(mlp[4](x, loss, p_x))
"""
    energy = """model energetic
observed x : real[2] from moons.point
E(x) = sum(param * x * x) + mlp[8](x)
"""
    for text in (hidden, energy):
        model = pipeline.build(pipeline.read(text))
        model.loss(torch.zeros(5, 2)).backward()
        assert all(p.grad is not None for p in model.parameters())
