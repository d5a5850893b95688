"""Shapes of tensors together: torch's own function says what they are."""

from __future__ import annotations

import itertools

import pytest
import torch

from dgmppl.runtime.shapes import broadcast_shapes

SHAPES = [s for rank in range(4) for s in itertools.product((0, 1, 3), repeat=rank)]


def test_shapes_broadcast_as_torch_has_it():
    fitting = 0
    for shapes in itertools.product(SHAPES, repeat=2):
        try:
            expected = torch.broadcast_shapes(*shapes, (1,))
        except RuntimeError:
            with pytest.raises(RuntimeError):
                broadcast_shapes(*shapes, (1,))
        else:
            fitting += 1
            assert broadcast_shapes(*shapes, (1,)) == expected
    assert 0 < fitting < len(SHAPES) ** 2
    assert broadcast_shapes() == torch.Size()
