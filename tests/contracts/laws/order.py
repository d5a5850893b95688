"""Statements mean the same in any order; no method is written twice."""

from __future__ import annotations

import ast
import json
import re
from random import Random
from typing import Any

import torch

from dgmppl import pipeline
from dgmppl.pipeline import Checked
from dgmppl.plan.explain import explain_plan
from tests.contracts.support import build, data_of, graph_of


def statements_of(found: Checked) -> tuple[str, list[str]]:
    """The first line of a spec, `model NAME`, and the texts of its statements."""
    assert found.spec is not None
    text = found.source.text
    return f"model {found.spec.name}", [text[s.span.start : s.span.end] for s in found.spec.statements]


def in_another_order(found: Checked, number: int) -> str:
    """The spec with its statements shuffled. Features without a type keep their place before all that may read them."""
    head, statements = statements_of(found)
    first = [s for s in statements if re.match(r"let\s+\w+\s*=", s)]
    rest = [s for s in statements if s not in first]
    Random(number).shuffle(rest)
    return "\n".join([head, *first, *rest]) + "\n"


# Places in the spec; and under which of its uses a network with a name is listed, which is the first.
_SPANS = frozenset({"line", "span", "source", "because", "reasons", "of"})


def normal_plan(found: Checked) -> Any:
    """What a plan says, without lines, and with lists as sets: words are sorted within texts too."""
    assert found.plan is not None

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in sorted(value.items()) if k not in _SPANS}
        if isinstance(value, list):
            return sorted((plain(v) for v in value), key=lambda v: json.dumps(v, sort_keys=True))
        if isinstance(value, str):
            return " ".join(sorted(re.findall(r"[\w.\[\]<]+", value)))
        return value

    return plain(json.loads(explain_plan(found.plan, "json")))


def verify_order(found: Checked, number: int) -> None:
    """The statements in another order: the same plan, the same weights, the same loss; or the same codes."""
    text = in_another_order(found, number)
    other = pipeline.read(text, found.overrides, found.python.allowed)
    codes = [sorted({d.code for d in f.diagnostics}) for f in (found, other)]
    assert codes[0] == codes[1], f"{codes[0]} in one order and {codes[1]} in this:\n{text}"
    if not found.ok:
        return
    for key in (a := normal_plan(found)).keys() | (b := normal_plan(other)).keys():
        assert a.get(key) == b.get(key), f"another {key}:\n{a.get(key)}\n{b.get(key)}\n{text}"
    ours, theirs = build(found, scale=0.1).eval(), build(other).eval()
    shapes = [{n: tuple(p.shape) for n, p in m.state_dict().items()} for m in (ours, theirs)]
    assert shapes[0] == shapes[1], f"other weights:\n{shapes[0]}\n{shapes[1]}\n{text}"
    theirs.load_state_dict(ours.state_dict())
    if ours.criterion == "log_prob" and not graph_of(found).energy:
        rows = dict(zip(ours.data, data_of(found, 6), strict=True))
        with torch.no_grad():
            a, b = (m.log_prob(*(rows[name] for name in m.data)) for m in (ours, theirs))
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-4), text


def verify_source(found: Checked, target: str = "torch") -> None:
    """No method of the emitted class is written twice, where the second would take the place of the first."""
    (cls,) = [n for n in ast.parse(pipeline.emit(found, target).text).body if isinstance(n, ast.ClassDef)]
    names = [n.name for n in cls.body if isinstance(n, ast.FunctionDef)]
    assert len(names) == len(set(names)), sorted(n for n in set(names) if names.count(n) > 1)
