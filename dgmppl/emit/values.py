"""Values as Python expressions over tensors whose first axis is the batch: all kinds of them."""

from dgmppl.emit import arithmetic, axes, bijections, leaves, networks, positions
from dgmppl.emit.axes import reshaped
from dgmppl.emit.bijections import bijection_expr, bijection_source
from dgmppl.emit.leaves import linked
from dgmppl.emit.networks import module_source
from dgmppl.emit.place import Place, Step, emitted, shape_source, value_expr, value_source

KINDS = (leaves, positions, networks, arithmetic, axes, bijections)  # each registers what it emits

__all__ = [
    "Place",
    "Step",
    "bijection_expr",
    "bijection_source",
    "emitted",
    "linked",
    "module_source",
    "reshaped",
    "shape_source",
    "value_expr",
    "value_source",
]
