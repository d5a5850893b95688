"""The file around an emitted class: docstring, imports."""

from __future__ import annotations

from dgmppl.emit.writer import PYRO, PYRO_RUNTIME, RUNTIME, Emitted, Writer, spec_name
from dgmppl.graph.names import safe_class
from dgmppl.graph.nodes import Graph


def class_name(graph: Graph) -> str:
    """`top_down_vae` as `TopDownVae`."""
    return safe_class("".join(part[:1].upper() + part[1:] for part in graph.name.split("_") if part))


def names_in(graph: Graph) -> frozenset[str]:
    """What nothing that emitted source imports may be called: its class, and what its methods call variables."""
    return frozenset({class_name(graph), *(v.ident for v in graph.variables)})


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
    own = [_import(path, name) for path, name in sorted(writer.classes.items())]
    head += ["", *own] if own else []
    rows: list[tuple[str, int | None]] = [(line, None) for line in "\n".join([*head, "", ""]).split("\n")]
    rows += body
    text = "\n".join(line for line, _ in rows) + "\n"
    return Emitted(text, tuple(at for _, at in rows), class_name(graph), writer.target, tuple(sorted(writer.classes)))


def _import(path: str, name: str) -> str:
    """The import of a user's own class, `module:Class`."""
    module, _, imported = path.partition(":")
    return f"from {module} import {imported}" + (f" as {name}" if name != imported else "")
