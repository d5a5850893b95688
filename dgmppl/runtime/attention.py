"""A layer of attention, as transformers have it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgmppl.runtime.layers import make_activation


class Attention(nn.Module):
    """A layer of a transformer ``(N, D, width)`` (Vaswani et al., 2017), normalised before each of its two parts.

    Each position attends to all, to those that are ``there (N, D)``, or with `causal` to those up to itself. With what
    it keeps, it computes the position that follows those kept.
    """

    def __init__(self, width: int, heads: int, activation: str, dropout: float, causal: bool = True) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.activation, self.dropout = make_activation(activation), nn.Dropout(dropout)

    def forward(self, h: Tensor, kept: dict[str, Any] | None = None, there: Tensor | None = None) -> Tensor:
        query, key, value = self.attend(self.before(h)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if kept is not None:
            key = kept["key"] = torch.cat([kept["key"], key], 2) if "key" in kept else key
            value = kept["value"] = torch.cat([kept["value"], value], 2) if "value" in kept else value
        mask = None if there is None else there[:, None, None]
        found = F.scaled_dot_product_attention(query, key, value, mask, is_causal=self.causal and kept is None)
        h = h + self.dropout(self.join(found.transpose(1, 2).flatten(-2)))
        return h + self.dropout(self.outer(self.activation(self.inner(self.between(h)))))
