"""The file around an emitted class: docstring, imports."""

from __future__ import annotations

from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.emit.writer import Emitted, Writer, spec_name
from dgmppl.graph.names import safe_class
from dgmppl.graph.nodes import Graph

# Distributions whose class Pyro has under the same name.
_OURS = {d.name for d in DISTRIBUTIONS.values() if d.ours} | {
    "IntegerCategorical",
    "Mixture",
    "Pushforward",
    "Autoregressive",
}
_PLAIN = {d.name for d in DISTRIBUTIONS.values() if not d.ours} | {"Uniform", "Delta"}


def class_name(graph: Graph) -> str:
    """`top_down_vae` as `TopDownVae`."""
    return safe_class("".join(part[:1].upper() + part[1:] for part in graph.name.split("_") if part))


def write_module(writer: Writer, graph: Graph, target: str, doc: str) -> Emitted:
    """The whole file: what the class's lines import goes before them."""
    body = list(writer.rows)
    text = "\n".join(line for line, _ in body)
    head: list[str] = [
        f'"""{doc}\n\nCompiled from {spec_name(graph.source)} by dgmppl.\n"""',
        "",
    ]
    if target == "pyro":
        head += ["import pyro"]
    head += ["import torch"]
    head += ["from torch import Tensor, nn" if "nn." in text else "from torch import Tensor"]
    names = set(writer.imports)
    if target == "pyro":
        plain = sorted(names & _PLAIN)
        ours = sorted(names & _OURS)
        rest = sorted(names - _PLAIN - _OURS)
        head = [head[0], head[1], "import pyro", "import torch"]
        head += [_import("pyro.distributions", [*plain, "TorchDistribution as Distribution"])]
        head += ["from torch import Tensor, nn" if "nn." in text else "from torch import Tensor", ""]
        head += [_import("dgmppl.runtime", rest)] if rest else []
        head += [_import("dgmppl.runtime.pyro_distributions", ours)] if ours else []
    else:
        if "Distribution" in text:
            names.add("Distribution")
        head += ["", _import("dgmppl.runtime", sorted(names))]
    rows: list[tuple[str, int | None]] = [(line, None) for line in "\n".join([*head, "", ""]).split("\n")]
    rows += body
    return Emitted("\n".join(line for line, _ in rows) + "\n", tuple(at for _, at in rows), class_name(graph), target)


def _import(module: str, names: list[str]) -> str:
    names = sorted(names, key=lambda n: (not n.isupper(), n))
    flat = f"from {module} import {', '.join(names)}"
    if len(flat) <= 100:
        return flat
    return "\n".join([f"from {module} import (", *(f"    {n}," for n in names), ")"])
