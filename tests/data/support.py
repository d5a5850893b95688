"""Data as a spec asks for it: `loaded('x : real[2] from "a.csv"[a, b]', folder)`."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from dgmppl.data.checks import Missing
from dgmppl.data.load import load
from dgmppl.data.table import Splits, Table
from dgmppl.data.wanted import Wanted
from dgmppl.diagnostics import SpecError
from dgmppl.diagnostics.render import render
from dgmppl.graph.declare import declare
from dgmppl.graph.scope import Scope
from dgmppl.source import Source
from dgmppl.syntax.parse import parse_spec


def source_of(*variables: str) -> Source:
    """A spec of observed variables; those of another role say so."""
    lines = (v if v.startswith("partial") else f"observed {v}" for v in variables)
    return Source("spec.dgm", "\n".join(["model data", *lines]) + "\n")


def loaded(*variables: str, base: Path = Path(), **options: Any) -> Splits:
    """The data of a spec's variables; what the spec says of them otherwise does not matter.

    Raises:
        SpecError: as checking the spec does, or loading its data.
    """
    source = source_of(*variables)
    spec, problems = parse_spec(source)
    scope = Scope(source)
    seen = declare(scope, spec) if spec else []
    if problems or scope.diagnostics:
        raise SpecError([*problems, *scope.diagnostics], source)
    missing: dict[str, Missing] = {v.name: "elements" if v.elementwise else "rows" for v in seen if v.role == "partial"}
    wanted = {v.name: Wanted(v.data, v.type, missing.get(v.name, "")) for v in seen if v.data is not None}
    return load(wanted, base, **options)


def message(*variables: str, base: Path = Path(), **options: Any) -> str:
    """What is said of data that cannot be loaded; the folder that it lies in is called BASE."""
    source = source_of(*variables)
    try:
        loaded(*variables, base=base, **options)
    except SpecError as error:
        return render(error.diagnostics, source).replace(str(base.resolve()), "BASE")
    return "nothing is wrong"


def write_png_of_16_bits(path: Path, values: np.ndarray, colour: int) -> None:
    """A PNG with 16 bits a channel (PNG specification, 11.2.2); colour 0 is grey, 2 RGB, 4 grey and alpha, 6 RGBA."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = values.shape[:2]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = chunk(b"IHDR", head), chunk(b"gAMA", struct.pack(">I", 45455)), chunk(b"IDAT", zlib.compress(lines))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b""))


def values(table: Table, name: str = "x") -> np.ndarray:
    return table.read(0, len(table))[name]


def whole(splits: Splits, name: str = "x") -> np.ndarray:
    """All rows, training, validation and test."""
    return np.concatenate([values(table, name) for _, table in splits])
