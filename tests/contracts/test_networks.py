"""One contract for the networks of the catalogue: the size that the compiler counts, the axes that they read and give,
parameters that all learn, weights that are saved and loaded; and for causal ones that no position sees a later one."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from dgmppl import pipeline, runtime
from dgmppl.catalogue.axes import Axes
from dgmppl.catalogue.networks import ACTIVATIONS, NETWORKS, NORMS, WEIGHT_NORMS, Form
from dgmppl.emit.values import module_source
from dgmppl.emit.writer import Writer
from dgmppl.graph.values import Module, NetworkSpec, Stage
from dgmppl.runtime import causal, gated, layers, masked, networks, recurrent, sequences, unet
from dgmppl.source import Source
from tests.contracts.support import build, checked, data_of

VECTOR, SEQUENCE, GRID, COLOURS = Axes(2), Axes(2, (7,)), Axes(2, (6, 5)), Axes(2, (4, 3, 3))


@dataclass(frozen=True)
class Place:
    """What a network reads and gives in a place, with the hidden sizes and options that it has there."""

    reads: Axes
    gives: Axes
    hidden: tuple[int, ...] = (8, 5)
    options: tuple[tuple[str, str | float], ...] = ()
    causal: bool = False

    def form(self, kind: str) -> Form:
        """The form in which a network of a kind stands here."""
        forms = NETWORKS[kind].causal if self.causal else NETWORKS[kind].plain
        extent = self.reads.extent or self.gives.extent
        return next((f for f in forms if f.rank == len(extent)), None) or forms[-1]


def past(*hidden: int, of: Axes = SEQUENCE, **options: str | float) -> Place:
    """A place in which a network reads a past."""
    return Place(of, Axes(3, of.extent), hidden, tuple(options.items()), causal=True)


def strided(reads: Axes, gives: Axes) -> Place:
    return Place(reads, gives, options=(("stride", 2), ("kernel", 4)))


def whole(*hidden: int, **options: str | float) -> tuple[Place, Place]:
    """Places in which a network reads a sequence, and gives a vector or a sequence."""
    given = tuple(options.items())
    return Place(SEQUENCE, Axes(3), hidden, given), Place(SEQUENCE, Axes(3, (7,)), hidden, given)


# Places that a network of each rank can stand in.
PLACES: dict[str, tuple[Place, ...]] = {
    "mlp": (Place(VECTOR, Axes(3), ()), Place(VECTOR, Axes(3)), Place(GRID, Axes(3, (6, 5)))),
    "gru_cell": (Place(Axes(5), Axes(3), ()), Place(Axes(4), Axes(3), ())),
    "linear": (Place(VECTOR, Axes(3), ()), Place(GRID, Axes(3), ())),
    "conv": (
        Place(GRID, Axes(3, (6, 5))),
        Place(GRID, Axes(3, (6, 5)), (4,), (("kernel", 2), ("dilation", 2))),
        Place(GRID, Axes(3)),
        Place(VECTOR, Axes(3, (6, 5))),
        strided(GRID, Axes(3)),
        strided(VECTOR, Axes(3, (6, 5))),
        strided(GRID, Axes(3, (2, 2))),
        strided(Axes(2, (2, 2)), Axes(3, (6, 5))),
    ),
    "resnet": (
        Place(VECTOR, Axes(3)),
        Place(VECTOR, Axes(3), (8, 8)),
        Place(GRID, Axes(3, (6, 5)), (2, 4)),
        Place(GRID, Axes(3), (4,), (("kernel", 2),)),
        Place(VECTOR, Axes(3, (6, 5))),
        strided(GRID, Axes(3)),
        strided(VECTOR, Axes(3, (6, 5))),
        strided(GRID, Axes(3, (2, 2))),
        strided(Axes(2, (2, 2)), Axes(3, (6, 5))),
    ),
    "densenet": (
        Place(VECTOR, Axes(3)),
        Place(GRID, Axes(3, (6, 5)), (4, 3, 2)),
        Place(GRID, Axes(3), (4,), (("kernel", 2),)),
        Place(VECTOR, Axes(3, (6, 5))),
    ),
    "unet": (
        Place(GRID, Axes(3, (6, 5)), (8, 12)),
        Place(GRID, Axes(3, (6, 5)), (4, 8, 4), (("attention", 2), ("heads", 2), ("blocks", 2))),
        Place(GRID, Axes(3, (6, 5)), (3,)),
    ),
    "causal": (past(), past(8, 5, kernel=4)),
    "pixelcnn": (
        past(4, of=GRID),  # with the default of each option, which the catalogue counts with too
        past(4, 3, of=GRID, kernel=3),
        past(6, 9, of=COLOURS, kernel=3),
        past(6, of=COLOURS, norm="layer"),
    ),
    "gated_pixelcnn": (
        past(4, of=GRID),
        past(4, 4, 3, of=GRID, kernel=3),
        past(6, 6, 3, of=COLOURS, kernel=3),
        past(6, 6, of=COLOURS, norm="layer"),
    ),
    **{kind: (past(8), past(8, 5), *whole(4), *whole(4, 3)) for kind in ("rnn", "gru", "lstm")},
    "transformer": (past(8), past(8, 8, heads=2), *whole(8), *whole(8, 8, heads=2)),
    "set": (*whole(4), *whole(8, 5)),
    "masked": (past(), past(16, 14)),
}
CASES = [(kind, place, context) for kind, places in PLACES.items() for place in places for context in (0, 3)]


def options_of(kind: str) -> list[tuple[tuple[str, str | float], ...]]:
    """Each option of a kind by itself."""
    values = {
        "activation": ("silu",),
        "norm": (*NORMS, *WEIGHT_NORMS),
        "norm of a position": ("layer",),
        "share": (0.5,),
        "count": (2,),
    }
    found = [((o.name, value),) for o in NETWORKS[kind].options for value in values[o.kind]]
    return [o for o in found if "pixelcnn" not in kind or o != (("kernel", 2),)]  # a middle is needed


WITH_OPTIONS = [
    (kind, replace(place, options=options), context)
    for kind, places in PLACES.items()
    for place, context in itertools.product([places[1], *places[4:5]], (0, 3))
    for options in options_of(kind)
    if options != (("stride", 2),)  # that of a grid that keeps its extent is 1
]
every = pytest.mark.parametrize(("kind", "place", "context"), CASES + WITH_OPTIONS, ids=str)


def built(kind: str, place: Place, context: int, ends: bool = True) -> tuple[Module, nn.Module]:
    form = place.form(kind)
    reads, gives = (axes if form.rank else Axes(axes.size) for axes in (place.reads, place.gives))
    spec = NetworkSpec(kind, place.hidden, place.options)
    stage = Stage(spec, form, reads, gives, context if form.rank else 0, ends=ends)
    module = Module("net", (stage,))
    torch.manual_seed(0)
    return module, eval(module_source(module, Writer(Source("net.dgm", ""))), {"rt": runtime, "nn": nn})


def given(module: Module, *batch: int) -> tuple[Tensor, ...]:
    x = torch.randn(*batch, *module.inputs.shape)
    return (x, torch.randn(*batch, module.context)) if module.context else (x,)


def test_every_network_is_under_the_contract() -> None:
    assert set(PLACES) == set(NETWORKS)
    classes = {form.runtime for n in NETWORKS.values() for form in n.forms} - {"Linear"}
    classes |= {"Sequential"} | {form.pool for n in NETWORKS.values() for form in n.forms if form.pool}
    modules = (networks, causal, masked, recurrent, gated, sequences, unet)
    public = [getattr(module, name) for module in modules for name in module.__all__]
    assert classes == {c.__name__ for c in public if isinstance(c, type)}
    assert set(layers.ACTIVATIONS) == set(ACTIVATIONS) and layers.NORMS == NORMS
    assert layers.WEIGHT_NORMS == WEIGHT_NORMS
    stood = {(kind, place.form(kind)) for kind, places in PLACES.items() for place in places}
    assert stood == {(n.name, form) for n in NETWORKS.values() for form in n.forms}


@every
def test_weights_are_those_of_the_class(kind: str, place: Place, context: int) -> None:
    module, net = built(kind, place, context)
    assert sum(p.numel() for p in net.parameters()) == module.weights


@every
def test_it_gives_the_axes_of_its_place(kind: str, place: Place, context: int) -> None:
    module, net = built(kind, place, context)
    shape = module.outputs.shape
    for batch in ((4,), (3, 4), ()):
        if batch or not any(o == ("norm", "batch") for o in place.options):
            assert net(*given(module, *batch)).shape == (*batch, *shape)


@every
def test_without_its_last_layer_it_gives_its_last_hidden_one(kind: str, place: Place, context: int) -> None:
    form = place.form(kind)
    if form.hidden is None or not (place.reads.extent or not place.gives.extent):
        return
    if not place.hidden or place.reads.extent < place.gives.extent:  # only a last layer makes a grid larger
        return
    module, net = built(kind, place, context, ends=False)
    (stage,) = module.stages
    assert sum(p.numel() for p in net.parameters()) == module.weights
    assert net(*given(module, 4)).shape == (4, *form.hidden(stage.sizes).shape)


@every
def test_rows_are_apart_in_evaluation(kind: str, place: Place, context: int) -> None:
    module, net = built(kind, place, context)
    values = given(module, 4)
    alone = net.eval()(*(v[1:2] for v in values))
    torch.testing.assert_close(net(*values)[1:2], alone, rtol=1e-4, atol=1e-5)


@every
def test_every_parameter_learns(kind: str, place: Place, context: int) -> None:
    module, net = built(kind, place, context)
    net(*given(module, 16)).sin().sum().backward()
    # A shift before a normalisation of whole rows is taken away again, up to rounding.
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@every
def test_weights_are_saved_and_loaded_and_follow_the_device(kind: str, place: Place, context: int) -> None:
    module, net = built(kind, place, context)
    _, other = built(kind, place, context)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.randn_like(p))
    other.load_state_dict(net.state_dict())
    values = given(module, 4)
    assert torch.equal(net.eval()(*values), other.eval()(*values))
    assert other.to("meta")(*(v.to("meta") for v in values)).device.type == "meta"


@pytest.mark.parametrize(("kind", "place", "context"), [c for c in CASES + WITH_OPTIONS if c[1].causal], ids=str)
def test_no_position_sees_itself_or_a_later_one(kind: str, place: Place, context: int) -> None:
    module, net = built(kind, place, context)
    net.eval()
    values = given(module)
    positions = math.prod(place.reads.extent)  # those of a grid in the order of rows

    def flat(x: Tensor) -> Tensor:
        return net(x.reshape(values[0].shape), *values[1:]).reshape(positions, -1)

    jacobian = torch.autograd.functional.jacobian(flat, values[0].reshape(positions, -1))
    seen = jacobian.abs().sum((1, 3)) > 0
    assert not seen.triu().any()
    next_to = [k for k in range(1, positions) if k % place.reads.extent[-1]]  # in one row
    assert all(seen[k, k - 1] for k in next_to)


CHAINS = {
    "(conv[4, 3, stride = 2] >> mlp[5])(x, v)": "real[4, 4]",
    "(conv[4] >> resnet[3, 5, stride = 2])(x, v)": "real[2]",
    "(densenet[3, 2] >> conv[3])(x, v)": "real[4, 4]",
    "(mlp[6] >> resnet[4])(v)": "real[3, 2]",
    "(resnet[6, 6] >> densenet[4] >> linear)(v)": "real[3]",
    "(set[4, 3] >> mlp[5])(x, v)": "real[2]",
    "(gru[3] >> mlp[5])(x, v)": "real[2]",
    "(conv[8] >> transformer[8])(x, v)": "real[2]",
    "(unet[4, 4] >> set[3] >> mlp[4])(x, v)": "real[2]",
    "(transformer[8] >> lstm[2])(x, v)": "real[4, 3]",
}


@pytest.mark.parametrize("chain", CHAINS)
def test_a_chain_goes_through_the_hidden_layers_of_all_but_its_last(chain: str) -> None:
    text = 'model chained\nobserved x : real[4, 4] from "rows.npz".x\nobserved v : real[3] from "rows.npz".v\n'
    found = checked(
        text + f'observed y : {CHAINS[chain]} from "rows.npz".y\np(y | x, v) = Normal({chain} + 0 * x[0, 0], 1)\n'
    )
    model = build(found)
    assert found.plan is not None
    assert sum(p.numel() for p in model.parameters()) == found.plan.structure.weights
    model.loss(*data_of(found)).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize(("kind", "place", "context"), [c for c in CASES if c[1].causal], ids=str)
def test_a_position_sees_what_is_aligned_with_it_and_nothing_later(kind: str, place: Place, context: int) -> None:
    spec, form = NetworkSpec(kind, place.hidden, place.options), place.form(kind)
    module = Module("net", (Stage(spec, form, place.reads, place.gives, context, 2),))
    torch.manual_seed(0)
    net = eval(module_source(module, Writer(Source("net.dgm", ""))), {"rt": runtime, "nn": nn})
    assert sum(p.numel() for p in net.parameters()) == module.weights
    values = given(module)
    positions = math.prod(place.reads.extent)
    beside = torch.randn(*place.reads.extent, 2)

    def flat(x: Tensor, c: Tensor) -> Tensor:
        found = net(x.reshape(values[0].shape), *values[1:], aligned=c.reshape(beside.shape))
        return found.reshape(positions, -1)

    of_x, of_c = torch.autograd.functional.jacobian(
        flat, (values[0].reshape(positions, -1), beside.reshape(positions, -1))
    )
    assert not (of_x.abs().sum((1, 3)) > 0).triu().any()
    seen = of_c.abs().sum((1, 3)) > 0
    assert not seen.triu(1).any()
    assert seen.diagonal().all()
    batch = torch.randn(4, *beside.shape)  # a batch of one of the two is that of both
    assert net(*values, aligned=batch).shape == (4, *place.gives.shape)


def test_units_of_a_masked_network_are_normalised_over_those_that_see_as_much() -> None:
    """As torch's layer norm does for the units of each degree by themselves."""
    norm = masked._DegreeNorm(torch.arange(9) % 4, "layer")
    h = torch.randn(5, 9)
    wanted = torch.empty_like(h)
    for k in range(4):
        wanted[:, k::4] = nn.functional.layer_norm(h[:, k::4], (h[:, k::4].shape[1],))
    torch.testing.assert_close(norm(h), wanted)


LARGE = 'model large\nobserved x : binary[5] from "rows.npz".x\nobserved y : real[{n}] from "rows.npz".y\n'


def test_a_large_context_of_a_masked_network_is_read_once() -> None:
    """The first layer alone reads it: 13 million weights, and not 1.2 billion."""
    text = LARGE.format(n=200_000) + "p(x[d] | x[<d], y) = Bernoulli(masked[64, 6000](x[<d], y))\n"
    found = pipeline.read(text)
    assert found.ok
    assert found.plan is not None
    assert found.plan.structure.weights == (5 + 200_000 + 1) * 64 + 65 * 6000 + 6001 * 5


@pytest.mark.parametrize("network", ["masked[16, 8]", "causal[16, 8, kernel = 3]", "causal[16](x[<d], y) + linear(y)"])
def test_weights_of_causal_networks_with_a_context(network: str) -> None:
    call = network if "(" in network else f"{network}(x[<d], y)"
    text = LARGE.format(n=9) + f"p(x[d] | x[<d], y) = Bernoulli({call})\n"
    found = checked(text)
    assert found.plan is not None
    assert sum(p.numel() for p in build(found).parameters()) == found.plan.structure.weights


@pytest.mark.parametrize("kernel", [3, 5])
def test_a_gated_pixelcnn_sees_all_that_is_before_within_reach(kernel: int) -> None:
    """No blind spot: with enough layers, every position before a position is seen, above to the right too."""
    torch.manual_seed(0)
    net = runtime.GatedPixelCNN(1, (6,) * 6, 1, kernel=kernel)
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x).flatten(), torch.randn(5, 5, 1)).flatten(1)
    assert torch.equal(jacobian != 0, torch.ones(25, 25).tril(-1).bool())


def test_a_colour_is_given_those_before_it_at_its_position_and_all_colours_of_earlier_positions() -> None:
    torch.manual_seed(0)
    net = runtime.GatedPixelCNN(1, (6,) * 4, 1, kernel=3, colours=3)
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x).flatten(), torch.randn(3, 3, 3, 1)).flatten(1)
    assert torch.equal(jacobian != 0, torch.ones(27, 27).tril(-1).bool())


@pytest.mark.parametrize("gives", [Axes(3), Axes(3, (7,))], ids=str)
def test_a_set_has_no_order(gives: Axes) -> None:
    _, net = built("set", Place(SEQUENCE, gives), 2)
    x, y, order = torch.randn(4, 7, 2), torch.randn(4, 2), torch.randperm(7)
    found = net(x, y)
    torch.testing.assert_close(net(x[:, order], y), found[:, order] if gives.extent else found)


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm", "transformer", "set"])
@pytest.mark.parametrize("gives", [Axes(3), Axes(3, (7,))], ids=str)
def test_a_network_of_sequences_sees_all_of_one(kind: str, gives: Axes) -> None:
    _, net = built(kind, Place(SEQUENCE, gives, (8,)), 0)
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x).reshape(-1, 3), torch.randn(7, 2))
    assert (jacobian.abs().sum((1, 3)) > 0).all()
