"""Networks as data: what each takes in its brackets, and whether it may read the past `x[<d]`."""

from __future__ import annotations

from dataclasses import dataclass

ACTIVATIONS = ("leaky_relu", "relu", "tanh", "silu", "gelu", "elu", "sigmoid", "softplus")


@dataclass(frozen=True)
class Option:
    """A keyword in a network's brackets. `kind` is "activation" or "count"."""

    name: str
    kind: str
    argument: str  # the name of the runtime class's argument


@dataclass(frozen=True)
class Network:
    """`sizes` tells whether positional numbers in the brackets are hidden sizes (and are needed)."""

    name: str
    runtime: str
    sizes: bool
    options: tuple[Option, ...] = ()
    causal: bool = False
    needs_length: bool = False  # the runtime class wants the length of the sequence first


_ACTIVATION = Option("activation", "activation", "activation")
_OUT = Option("out", "activation", "out")

NETWORKS: dict[str, Network] = {
    n.name: n
    for n in (
        Network("mlp", "MLP", sizes=True, options=(_ACTIVATION, _OUT)),
        Network("linear", "Linear", sizes=False),
        Network(
            "causal",
            "CausalConv",
            sizes=True,
            options=(_ACTIVATION, _OUT, Option("kernel", "count", "kernel")),
            causal=True,
        ),
        Network("masked", "CausalMLP", sizes=True, options=(_ACTIVATION, _OUT), causal=True, needs_length=True),
    )
}
