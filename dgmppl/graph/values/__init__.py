"""Typed expressions: what the right-hand sides of a spec mean once names, sizes and supports are known.

Values (tensors), bijections and densities, a module for each subject; all of them are imported from here.
"""

from dgmppl.graph.values.arithmetic import Element, Index, IndexSum, Operation
from dgmppl.graph.values.axes import Dropped, Joined, OneHot, Part, Reduced, Reshaped, Softmax
from dgmppl.graph.values.base import Bijection, Density, Term, Value, children, rewritten, walk
from dgmppl.graph.values.bijections import Block, Composition, Field, Inverse, Levels, Mapped, Transform, Triangular
from dgmppl.graph.values.densities import (
    Autoregressive,
    Delta,
    Mixture,
    Parametric,
    Plate,
    Pushforward,
    Quoted,
    Residual,
    Rounded,
    Segment,
    Sequence,
)
from dgmppl.graph.values.leaves import Constant, Declared, Learned, Past, Points, SeenPart, Use, variables
from dgmppl.graph.values.networks import Apply, Module, NetworkSpec, Stage, is_bare
from dgmppl.graph.values.positions import At, Cumulative, Everywhere, Feature, Position, Scheduled, State

__all__ = [
    "Apply",
    "At",
    "Autoregressive",
    "Bijection",
    "Block",
    "Composition",
    "Constant",
    "Cumulative",
    "Declared",
    "Delta",
    "Density",
    "Dropped",
    "Element",
    "Everywhere",
    "Feature",
    "Field",
    "Index",
    "IndexSum",
    "Inverse",
    "Joined",
    "Learned",
    "Levels",
    "Mapped",
    "Mixture",
    "Module",
    "NetworkSpec",
    "OneHot",
    "Operation",
    "Parametric",
    "Part",
    "Past",
    "Plate",
    "Points",
    "Position",
    "Pushforward",
    "Quoted",
    "Reduced",
    "Reshaped",
    "Residual",
    "Rounded",
    "Scheduled",
    "SeenPart",
    "Segment",
    "Sequence",
    "Softmax",
    "Stage",
    "State",
    "Term",
    "Transform",
    "Triangular",
    "Use",
    "Value",
    "children",
    "is_bare",
    "rewritten",
    "variables",
    "walk",
]
