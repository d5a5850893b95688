"""How large a spec may be."""

from __future__ import annotations

from lark import Token, Tree

from dgmppl.diagnostics import Diagnostic
from dgmppl.source import Source, Span
from dgmppl.words import counted

MAX_SIZE = 1_000_000
"""Characters in a file."""
MAX_DEPTH = 100
"""Levels of brackets, and of the tree."""
LISTS = (
    "arguments", "columns", "dims", "entries", "given", "heads", "items", "marks", "parents", "pasts", "settings",
    "sizes", "subscripts",
    "sum_indices", "transform_args", "type_args",
)  # fmt: skip
"""The rules of the grammar that are lists: no class of the tree, and no level of it."""
TOO_DEEP = "name a part of it: `let r : real[16] = ...`, `net f = ...`, `flow f = ...`"


def verify_size(source: Source) -> tuple[Diagnostic, ...]:
    """Report a file that no person wrote."""
    if len(source.text) <= MAX_SIZE:
        return ()
    found = f"the file has {counted(len(source.text), 'character', ',')}; a spec has at most {MAX_SIZE:,}"
    return (Diagnostic("E111", found, help='data stands in a file of its own: `from "mine.npz".x`'),)


def verify_depth(root: Tree[Token]) -> tuple[Diagnostic, ...]:
    """Report a tree deeper than the later stages, which walk it by recursion, can go."""
    stack = [(t, 1) for t in root.children if isinstance(t, Tree)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_DEPTH:
            place = Span(node.meta.start_pos, node.meta.end_pos)
            return (Diagnostic("E110", f"more than {MAX_DEPTH} levels of nesting", place, help=TOO_DEEP),)
        inner = depth + (node.data not in LISTS)
        stack.extend((t, inner) for t in node.children if isinstance(t, Tree))
    return ()
