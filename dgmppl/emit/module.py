"""The file around an emitted class: docstring, imports."""

from __future__ import annotations

from dgmppl.emit.writer import PYRO, PYRO_RUNTIME, RUNTIME, Emitted, Writer, spec_name
from dgmppl.graph.names import safe_class
from dgmppl.graph.nodes import Graph


def class_name(graph: Graph) -> str:
    """`top_down_vae` as `TopDownVae`."""
    return safe_class("".join(part[:1].upper() + part[1:] for part in graph.name.split("_") if part))


def write_module(writer: Writer, graph: Graph, doc: str) -> Emitted:
    """The whole file: what the class's lines import goes before them."""
    body = list(writer.rows)
    head: list[str] = [f'"""{doc}\n\nCompiled from {spec_name(graph.source)} by dgmppl.\n"""', ""]
    if writer.target == "pyro":
        head += ["import pyro", f"import pyro.distributions as {PYRO}"]
    nn = any("nn." in line for line, _ in body)
    head += ["import torch", "from torch import Tensor, nn" if nn else "from torch import Tensor", ""]
    head += [f"from dgmppl import runtime as {RUNTIME}"]
    if PYRO_RUNTIME in writer.imports:
        head += [f"from dgmppl.runtime import pyro_distributions as {PYRO_RUNTIME}"]
    rows: list[tuple[str, int | None]] = [(line, None) for line in "\n".join([*head, "", ""]).split("\n")]
    rows += body
    text = "\n".join(line for line, _ in rows) + "\n"
    return Emitted(text, tuple(at for _, at in rows), class_name(graph), writer.target)
