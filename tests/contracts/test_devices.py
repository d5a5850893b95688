"""Models follow their weights: on torch's meta device any tensor made on the CPU would be an error, and a GPU takes the
steps that a CPU takes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from dgmppl.runtime import GenerativeModel
from dgmppl.train.batches import open_examples
from dgmppl.train.device import open_device
from dgmppl.train.runs import load_data
from tests.contracts.support import COMPOSITIONS, LIBRARY, build, checked, name_of

# torch has no shape-only version of the samplers of Gamma and of counts, which these draw from, of a rejection, nor of
# packed sequences, whose lengths are looked at.
UNKNOWN_TO_META = (
    "counts",
    "heavy_tails",
    "ivae",
    "topics",
    "bounded_flows",
    "likelihoods",
    "derived_posterior",
    "proportions",
    "partial_imputed",
    "partial_leaves",
    "residual_of_classes",
    "scale_mixture",
    "hyperspherical_vae",
    "topic_model",
    "words_of_topics",
    "uneven",
)
SPECS = [path for path in (*LIBRARY, *COMPOSITIONS) if path.stem not in UNKNOWN_TO_META]


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_nothing_is_left_on_the_cpu(path: Path) -> None:
    found = checked(path)
    assert found.graph is not None and found.plan is not None
    model = build(found).to("meta")
    data = [torch.zeros(5, *v.type.shape, device="meta") for v in found.graph.data]
    for player in model.players():
        player.loss(*data).backward(inputs=player.parameters)
    # Which rows an error is of depends on values, and there are none.
    of_some = found.graph.partial or any(f.kind == "error" for f in found.plan.figures)
    for figure in model.figures(*data).values() if not of_some else ():
        assert figure.device.type == "meta" and figure.shape == (5,)
    given = {v.ident: torch.zeros(v.type.shape) for v in found.graph.observed if v.name in found.graph.asked}
    if found.plan.samplers:  # fewer sweeps than sample() takes
        drawn = model.draw_from_energy(3, steps=2)
        assert all(value.device.type == "meta" and len(value) == 3 for value in drawn)
        return
    drawn = model.sample(3, **given)
    for value in drawn.values() if isinstance(drawn, dict) else [drawn]:
        assert value.device.type == "meta" and len(value) == 3


class DrawsOfTheCpu(TorchFunctionMode):
    """Whatever is drawn is drawn on the CPU and moved to where it is asked for, so that two devices get one noise."""

    NAMES = frozenset(
        (
            *("normal", "normal_", "rand", "rand_like", "randn", "randn_like", "randint", "randperm", "uniform_"),
            *("bernoulli", "bernoulli_", "multinomial", "exponential_", "poisson", "binomial"),
            *("_standard_gamma", "_sample_dirichlet"),
        )
    )

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name not in self.NAMES:
            return func(*args, **kwargs)
        where = kwargs.pop("device", None) or next((t.device for t in args if isinstance(t, Tensor)), "cpu")
        here = tree_map(lambda t: t.cpu() if isinstance(t, Tensor) else t, (args, kwargs))
        drawn = func(*here[0], **here[1])
        if name.endswith("_") and isinstance(args[0], Tensor):
            return args[0].copy_(drawn)
        return drawn.to(where)


def losses(model: GenerativeModel, rows: tuple[Tensor, ...], device: str, steps: int = 10) -> Tensor:
    """The loss of each player at each of its steps from these weights, a batch of a hundred rows a step.

    There is no dropout: a reversible chain draws it again in a thread of the device, where draws are not replaced. The
    rate is small, since a step of plain gradient descent at 1e-3 takes some flows to infinity, on any device.
    """
    model = copy.deepcopy(model).to(device).train()
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0.0
    players = [(p, torch.optim.SGD(list(p.parameters), lr=1e-5)) for p in model.players()]
    found = []
    torch.manual_seed(0)
    with DrawsOfTheCpu():
        for step in range(steps):
            batch = [values[torch.arange(100 * step, 100 * (step + 1)) % len(values)].to(device) for values in rows]
            for player, optimizer in players:
                optimizer.zero_grad()
                loss = player.loss(*batch)
                loss.backward()
                optimizer.step()
                found.append(loss.detach().cpu())
    return torch.stack(found)


def verify_devices(path: Path, device: str) -> None:
    found = checked(path)
    model = build(found)
    table = load_data(found, path.parent).train
    rows = next(open_examples(table, model.data, torch.device("cpu")).chunks(1000))
    here, there = losses(model, rows, "cpu"), losses(model, rows, device)
    assert len(here) == 10 * len(model.players())
    torch.testing.assert_close(there, here, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_a_gpu_takes_the_steps_of_the_cpu(path: Path) -> None:
    verify_devices(path, open_device("cuda").device.type)


def test_draws_are_shared_by_devices() -> None:
    """What the test above rests on, where no GPU is: its noise is that of the CPU, whichever way it is drawn."""
    assert {n for n in DrawsOfTheCpu.NAMES if not hasattr(torch, n) and not hasattr(Tensor, n)} == set()
    verify_devices(LIBRARY[0], "cpu")
    torch.manual_seed(0)
    expected = torch.randn(3), torch.empty(3).uniform_(), torch.bernoulli(torch.full((3,), 0.5))
    torch.manual_seed(0)
    with DrawsOfTheCpu():
        drawn = torch.randn(3), torch.empty(3).uniform_(), torch.bernoulli(torch.full((3,), 0.5))
    assert all(torch.equal(a, b) for a, b in zip(drawn, expected))
