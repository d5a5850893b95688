"""Functions of values: elementwise ones by name, with the support of what they return."""

from __future__ import annotations

import math
from collections.abc import Callable

# name -> (torch expression, support of the result)
FUNCTIONS: dict[str, tuple[str, str]] = {
    "exp": ("torch.exp({})", "positive"),
    "log": ("torch.log({})", "real"),
    "sqrt": ("torch.sqrt({})", "positive"),
    "tanh": ("torch.tanh({})", "real"),
    "sigmoid": ("torch.sigmoid({})", "unit"),
    "softplus": ("nn.functional.softplus({})", "positive"),
    "relu": ("torch.relu({})", "real"),
    "abs": ("torch.abs({})", "real"),
    "sin": ("torch.sin({})", "real"),
    "cos": ("torch.cos({})", "real"),
    "floor": ("torch.floor({})", "integer"),
    "straight_through": ("straight_through_floor({})", "integer"),
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
