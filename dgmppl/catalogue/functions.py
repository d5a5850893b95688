"""Functions of values: elementwise ones by name, with the support of what they return."""

from __future__ import annotations

import math
from collections.abc import Callable

from dgmppl.catalogue.signature import Argument, Signature
from dgmppl.supports import POSITIVE, REAL, UNIT, Interval, Support

# name -> (function of torch, or of the runtime, support of the result for an argument of some support)
FUNCTIONS: dict[str, tuple[str, Callable[[Support], Support]]] = {
    "exp": ("torch.exp", lambda _: POSITIVE),
    "log": ("torch.log", lambda _: REAL),
    "sqrt": ("torch.sqrt", lambda _: POSITIVE),
    "tanh": ("torch.tanh", lambda _: Interval(-1, 1)),
    "sigmoid": ("torch.sigmoid", lambda _: UNIT),
    "softplus": ("nn.functional.softplus", lambda _: POSITIVE),
    "relu": ("torch.relu", lambda _: REAL),
    "abs": ("torch.abs", lambda _: REAL),
    "sin": ("torch.sin", lambda _: REAL),
    "cos": ("torch.cos", lambda _: REAL),
    "floor": ("torch.floor", lambda s: s.floored()),
    "straight_through": ("straight_through_floor", lambda s: s),
}

# Functions of the axes of values: what their parentheses hold, numbers and shapes among it.
_VALUE = Argument("value", "value", required=True, by="position")
_VALUES = Argument("values", "value", required=True, by="position", many=True)
_AXIS = Argument("axis", "index", by="name")
AXES: dict[str, Signature] = {
    s.name: s
    for s in (
        Signature("concat", (_VALUES, _AXIS), usage="concat(a, b)"),
        Signature("stack", (_VALUES,), usage="stack(a, b)"),
        Signature("flatten", (_VALUE,), usage="flatten(a)"),
        Signature("reshape", (_VALUE, Argument("shape", "shape", required=True)), usage="reshape(a, [4, 4, 8])"),
        Signature("softmax", (_VALUE,), usage="softmax(a)"),
        Signature("mean", (_VALUE, _AXIS), usage="mean(a, axis = 0)"),
        Signature("one_hot", (_VALUE,), usage="one_hot(y)"),
    )
}

# Of `floor(...)`: the value of what stands inside, with the gradient of what floor rounds (Bengio et al., 2013).
STRAIGHT_THROUGH = "straight_through"

# The same functions of a plain number, where one is written.
OF_NUMBERS: dict[str, Callable[[float], float]] = {
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "tanh": math.tanh,
    "sigmoid": lambda x: 0.5 * (1 + math.tanh(x / 2)),
    "softplus": lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x))),
    "relu": lambda x: max(x, 0.0),
    "abs": abs,
    "sin": math.sin,
    "cos": math.cos,
    "floor": math.floor,
    "straight_through": float,
}
