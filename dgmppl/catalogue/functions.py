"""Functions of values: of each element, over axes, and of the axes themselves.

The first two are a line here; the last have their signature here, and what checks them in `dgmppl.graph.axes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from dgmppl.catalogue.signature import Argument, Signature
from dgmppl.supports import POSITIVE, REAL, UNIT, Interval, Support


@dataclass(frozen=True)
class Elementwise:
    """A function of each element.

    Attributes:
        runtime: the function of torch, or of the runtime.
        support: that of its results, for arguments of some support.
        of_number: the same function of a plain number, where one is written.
    """

    runtime: str
    support: Callable[[Support], Support]
    of_number: Callable[[float], float]


FUNCTIONS: dict[str, Elementwise] = {
    "exp": Elementwise("torch.exp", lambda _: POSITIVE, math.exp),
    "log": Elementwise("torch.log", lambda _: REAL, math.log),
    "sqrt": Elementwise("torch.sqrt", lambda _: POSITIVE, math.sqrt),
    "tanh": Elementwise("torch.tanh", lambda _: Interval(-1, 1), math.tanh),
    "sigmoid": Elementwise("torch.sigmoid", lambda _: UNIT, lambda x: 0.5 * (1 + math.tanh(x / 2))),
    "softplus": Elementwise(
        "nn.functional.softplus", lambda _: POSITIVE, lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x)))
    ),
    "relu": Elementwise("torch.relu", lambda _: REAL, lambda x: max(x, 0.0)),
    "abs": Elementwise("torch.abs", lambda _: REAL, abs),
    "sin": Elementwise("torch.sin", lambda _: REAL, math.sin),
    "cos": Elementwise("torch.cos", lambda _: REAL, math.cos),
    "floor": Elementwise("torch.floor", lambda s: s.floored(), math.floor),
    "straight_through": Elementwise("straight_through_floor", lambda s: s, float),
}

# Of `floor(...)`: the value of what stands inside, with the gradient of what floor rounds (Bengio et al., 2013).
STRAIGHT_THROUGH = "straight_through"

# Over all axes, or over one, `mean(a, axis = 0)`: the support of the result for elements of some support. Each is a
# method of tensors under the same name.
REDUCTIONS: dict[str, Callable[[Support], Support]] = {
    "sum": lambda s: s.summed(),
    "mean": lambda s: s.averaged(),
    "logsumexp": lambda _: REAL,
}

_VALUE = Argument("value", "value", required=True, by="position")
_VALUES = Argument("values", "value", required=True, by="position", many=True)
_AXIS = Argument("axis", "index", by="name")

# What the parentheses of functions of axes hold, numbers and shapes among it. That of `sum` is the grammar's.
AXES: dict[str, Signature] = {
    s.name: s
    for s in (
        Signature("concat", (_VALUES, _AXIS), usage="concat(a, b)"),
        Signature("stack", (_VALUES,), usage="stack(a, b)"),
        Signature("flatten", (_VALUE,), usage="flatten(a)"),
        Signature("reshape", (_VALUE, Argument("shape", "shape", required=True)), usage="reshape(a, [4, 4, 8])"),
        Signature("softmax", (_VALUE,), usage="softmax(a)"),
        Signature("one_hot", (_VALUE,), usage="one_hot(y)"),
        Signature("drop", (_VALUE, Argument("share", "share", required=True)), usage="drop(y, 0.1)"),
        *(Signature(name, (_VALUE, _AXIS), usage=f"{name}(a, axis = 0)") for name in REDUCTIONS if name != "sum"),
    )
}
