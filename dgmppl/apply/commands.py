"""The commands that apply a run to rows, each a function of the module of its name, whose first argument is the run."""

from __future__ import annotations

from dgmppl.apply.compress import compress, decompress
from dgmppl.apply.encode import encode
from dgmppl.apply.impute import impute
from dgmppl.apply.paths import interpolate, traverse
from dgmppl.apply.predict import predict
from dgmppl.apply.reconstruct import reconstruct
from dgmppl.apply.sample import sample
from dgmppl.apply.score import score

__all__ = [
    "compress",
    "decompress",
    "encode",
    "impute",
    "interpolate",
    "predict",
    "reconstruct",
    "sample",
    "score",
    "traverse",
]
