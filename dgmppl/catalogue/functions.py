"""Functions of values: elementwise ones by name, with the support of what they return."""

from __future__ import annotations

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
}
