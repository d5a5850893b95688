"""Networks as data: what each takes in its brackets, and the forms in which it stands in a place.

To add one: an entry in `NETWORKS`, its class in `dgmppl.runtime`, and a row of the contract test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from dgmppl.catalogue import weights as counted
from dgmppl.catalogue.axes import Axes, Sizes, axes_of
from dgmppl.catalogue.signature import Argument, Signature

ACTIVATIONS = ("leaky_relu", "relu", "tanh", "silu", "gelu", "elu", "sigmoid", "softplus", "lipswish")
NORMS = ("batch", "layer", "group")
WEIGHT_NORMS = ("spectral", "weight")


@dataclass(frozen=True)
class Form:
    """One way in which a network stands in a place: what it reads and gives there, and the class that does it.

    Attributes:
        runtime: the name of the class.
        rank: how many axes of positions it reads and gives: 0 for vectors, 1 for sequences, 2 for grids.
        behind: how many axes a value needs behind its positions for them to be positions; with fewer it is a vector.
        keeps: whether it gives the positions that it reads or a vector, and no other positions.
        causal: whether it reads the past `x[<d]`.
        stacks: whether parts of it read the rows above a position alone, or its own row alone.
        state: whether the last of what it reads is a state as large as what it gives.
        takes: what its constructor takes for input and output: "sizes", these
            without hidden ones, "ends", the "channels" of both after the "length" of
            the sequence or without it, or of each of the "colours" that a position
            has, whole "shapes", or as a user's "own" class does a class and both shapes.
        weights: counts the weights and biases of the class; raises ValueError for sizes that it cannot have.
        hidden: what it gives without a last layer; None where it cannot be without.
        pool: the class that makes a vector of that, for a network of vectors behind it; all of it where there is none.
        widths: the sizes of its layers from input to output, as `explain` shows them.
    """

    runtime: str
    rank: int = 0
    behind: int = 0
    keeps: bool = False
    causal: bool = False
    stacks: bool = False
    state: bool = False
    takes: str = "sizes"
    weights: counted.Count = counted.dense
    hidden: Callable[[Sizes], Axes] | None = None
    pool: str = ""
    widths: Callable[[Sizes], tuple[str, ...]] = counted.plain_widths

    def axes(self, shape: tuple[int, ...], width: int = 1, each: int = 0) -> Axes:
        """The axes of a value of this shape, as it reads or gives it (see `axes_of`)."""
        return axes_of(shape, width, self.rank, each, self.behind)

    def gives(self, shape: tuple[int, ...], reads: Axes, each: int = 0) -> Axes:
        """The axes that it gives in a place of this shape."""
        found = self.axes(shape, 1, each)
        return Axes(found.size) if self.keeps and found.extent != reads.extent else found


@dataclass(frozen=True)
class Network:
    """A network that a spec may name.

    Attributes:
        sizes: whether numbers without a name in the brackets are hidden sizes (and are needed).
        options: named as the arguments of the runtime class.
        forms: at most one for a past along so many axes; of the others the first stands where something that it reads
            or gives has its positions, and the last wherever none does.
    """

    name: str
    forms: tuple[Form, ...]
    options: tuple[Argument, ...] = ()
    sizes: bool = True

    @property
    def signature(self) -> Signature:
        """What its brackets hold."""
        sizes = (Argument("hidden sizes", "count", required=True, by="position", many=True),) if self.sizes else ()
        return Signature(self.name, (*sizes, *self.options), usage=f"{self.name}[256, 256]" if sizes else "")

    @property
    def causal(self) -> tuple[Form, ...]:
        """The forms that read a past."""
        return tuple(f for f in self.forms if f.causal)

    def causal_along(self, axes: int) -> Form | None:
        """The form that reads a past along so many axes: as it is, or as one sequence."""
        return next((f for rank in (axes, 1) for f in self.causal if f.rank == rank), None)

    @property
    def plain(self) -> tuple[Form, ...]:
        """The forms that read no past."""
        return tuple(f for f in self.forms if not f.causal)


def _named(name: str, kind: str) -> Argument:
    return Argument(name, kind, by="name")


_ACTIVATION, _OUT = _named("activation", "activation"), _named("out", "activation")
_NORM, _DROPOUT = _named("norm", "norm"), _named("dropout", "share")
_KERNEL, _STRIDE, _HEADS = _named("kernel", "count"), _named("stride", "count"), _named("heads", "count")
_POSITION_NORM = _named("norm", "norm of a position")
_COMMON = (_ACTIVATION, _OUT, _NORM, _DROPOUT)

_VECTOR = Form("MLP", hidden=counted.last_of_vector)
_RESIDUAL = Form(
    "ResNet",
    takes="shapes",
    weights=counted.residual_blocks,
    hidden=counted.last_of_strided,
    widths=counted.grid_widths,
)
_DENSE = Form(
    "DenseNet",
    takes="shapes",
    weights=counted.dense_blocks,
    hidden=counted.last_of_concatenated,
    widths=counted.grid_widths,
)


def own_network(path: str, rank: int = 0) -> Network:
    """A user's own class, `module:Class`, which reads and gives positions along so many axes where there are any."""
    widths = counted.plain_widths if rank == 0 else counted.own_widths
    weights = counted.of_vectors if rank == 0 else counted.of_positions
    form = Form("UserNetwork", rank, int(rank == 1), takes="own", weights=weights, widths=widths)
    past = replace(form, runtime="CausalUserNetwork", behind=0, causal=True)
    return Network(path, (past, form) if rank == 1 else (form,), sizes=False)


def _sequence(
    runtime: str,
    count: counted.Count,
    hidden: Callable[[Sizes], Axes] = counted.last_of_sequence,
    pool: str = "Mean",
) -> Form:
    """Of [T, C]: a sequence as long as that, or a vector."""
    widths = counted.sequence_widths
    return Form(runtime, 1, 1, True, takes="shapes", weights=count, hidden=hidden, pool=pool, widths=widths)


def _past(runtime: str, count: counted.Count, rank: int = 1, takes: str = "channels") -> Form:
    return Form(runtime, rank, causal=True, takes=takes, weights=count, widths=counted.channel_widths)


def _of_grids(runtime: str, count: counted.Count) -> tuple[Form, ...]:
    """Of the past of a grid, or of one whose positions have colours, one after another."""
    return _past(runtime, count, 2), _past(runtime, count, 3, "colours")


NETWORKS: dict[str, Network] = {
    n.name: n
    for n in (
        Network("mlp", (_VECTOR,), _COMMON),
        Network("linear", (Form("Linear", takes="ends"),), sizes=False),
        Network("gru_cell", (Form("GRUCell", state=True, takes="ends", weights=counted.gated_unit),), sizes=False),
        Network(
            "conv",
            (replace(_RESIDUAL, runtime="ConvNet", rank=2, weights=counted.convolutions),),
            (_KERNEL, _STRIDE, _named("dilation", "count"), *_COMMON),
        ),
        Network("resnet", (replace(_RESIDUAL, rank=2), _RESIDUAL), (_KERNEL, _STRIDE, *_COMMON)),
        Network("densenet", (replace(_DENSE, rank=2), _DENSE), (_KERNEL, *_COMMON)),
        Network(
            "unet",
            (
                replace(
                    _RESIDUAL,
                    runtime="UNet",
                    rank=2,
                    weights=counted.unet,
                    hidden=counted.last_of_unet,
                    widths=counted.unet_widths,
                ),
            ),
            (_KERNEL, _named("blocks", "count"), _named("attention", "count"), _HEADS, *_COMMON),
        ),
        Network(
            "causal", (_past("CausalConv", counted.causal_convolutions),), (_ACTIVATION, _OUT, _POSITION_NORM, _KERNEL)
        ),
        Network(
            "masked",
            (replace(_past("CausalMLP", counted.masked, takes="length"), widths=counted.plain_widths),),
            (_ACTIVATION, _OUT, _POSITION_NORM),
        ),
        Network(
            "pixelcnn",
            _of_grids("PixelCNN", counted.masked_convolutions),
            (_ACTIVATION, _OUT, _POSITION_NORM, _KERNEL),
        ),
        Network(
            "gated_pixelcnn",
            tuple(replace(form, stacks=True) for form in _of_grids("GatedPixelCNN", counted.gated_convolutions)),
            (_OUT, _POSITION_NORM, _DROPOUT, _KERNEL),
        ),
        *(
            Network(
                runtime.lower(),
                (
                    _past(f"Causal{runtime}", counted.recurrent(gates)),
                    _sequence(runtime, counted.both_ways(gates), counted.last_of_both_ways, "LastStates"),
                ),
                (_OUT, _POSITION_NORM),
            )
            for runtime, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4))
        ),
        Network(
            "transformer",
            (
                _past("CausalTransformer", counted.transformer, takes="length"),
                _sequence("Transformer", counted.transformer),
            ),
            (_HEADS, _ACTIVATION, _OUT, _DROPOUT),
        ),
        Network("set", (_sequence("DeepSet", counted.set_layers),), _COMMON),
    )
}
