"""The canonical text of a spec: one statement a line, columns aligned, comments where they were."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from dgmppl.diagnostics import SpecError
from dgmppl.source import Source
from dgmppl.syntax.layout import INDENT, Comment, Node, Page, Piece, commented, flat, structured
from dgmppl.syntax.parse import parse_spec, spec_tokens

_GAP = re.compile(r"#[^\n]*|\n")
_LIKE = {
    "ROLE": "declaration",
    "PARAM": "declaration",
    "FACTOR": "equation",
    "NAME": "equation",
    "E": "equation",
}


@dataclass
class _Entry:
    """A statement or, without pieces, a comment on a line of its own."""

    pieces: list[Piece] = field(default_factory=list)
    comment: str = ""
    blank_before: bool = False
    nodes: list[Node] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def like(self) -> str:
        """Consecutive statements of one sort are aligned."""
        return _LIKE.get(self.pieces[0].type, self.pieces[0].type) if self.pieces else ""

    def mark(self) -> int:
        """Where the `:` or `=` stands that ends the statement's head; 0 if it has none."""
        return next((i for i, n in enumerate(self.nodes) if isinstance(n, Piece) and n.text in (":", "=")), 0)


def format_spec(text: str, name: str = "spec") -> str:
    """The spec `text` in canonical form: idempotent, and it parses to an equal tree.

    Raises:
        SpecError: `text` does not parse; `name` is what its messages call it.
    """
    source = Source(name, text)
    spec, diagnostics = parse_spec(source)
    if spec is None:
        raise SpecError(diagnostics, source)
    starts = [s.span.start for s in spec.statements]
    entries = list(_entries(source, starts))
    for entry in entries:
        entry.nodes = structured(entry.pieces)
    for _, block in groupby(enumerate(entries), _Blocks(entries)):
        _lay_out([entry for _, entry in block])
    _align_comments(entries)
    lines: list[str] = []
    for entry in entries:
        lines += [""] * (entry.blank_before and bool(lines)) + entry.lines
    return "\n".join(lines) + "\n"


class _Blocks:
    """Numbers the blocks of entries that are laid out together."""

    def __init__(self, entries: list[_Entry]) -> None:
        self.number = [0]
        for above, entry in pairwise(entries):
            together = not entry.blank_before and entry.like and entry.like == above.like
            self.number.append(self.number[-1] + (not together))

    def __call__(self, numbered: tuple[int, _Entry]) -> int:
        return self.number[numbered[0]]


def _entries(source: Source, starts: list[int]) -> Iterator[_Entry]:
    """Statements and the comments between them, in order."""
    tokens = spec_tokens(source)
    statement = _Entry()
    end, blank = 0, False
    for i, token in enumerate([*tokens, None]):
        at = len(source.text) if token is None else token.start_pos or 0
        new = not tokens or i in (0, len(tokens)) or _statement(starts, at) != _statement(starts, end - 1)
        newlines = 0 if i else 1
        for found in _GAP.findall(source.text, end, at):
            if found == "\n":
                newlines += 1
                continue
            own = newlines > 0
            if not new or not own:
                statement.pieces[-1].comments.append(Comment(found.rstrip(), own))
            else:
                if statement.pieces:
                    yield statement
                    statement = _Entry()
                yield _Entry(comment=found.rstrip(), blank_before=blank or newlines > 1)
                blank = False
            newlines = 0
        if token is None:
            break
        if new:
            if statement.pieces:
                yield statement
            statement = _Entry(blank_before=newlines > 1)
        statement.pieces.append(Piece(str(token), token.type))
        end = token.end_pos or 0
    if statement.pieces:
        yield statement


def _statement(starts: list[int], at: int) -> int:
    return bisect.bisect_right(starts, at)


# --- lines ---------------------------------------------------------------------------------------


def _lay_out(block: list[_Entry]) -> None:
    """Give the entries of a block their lines, with names and marks in columns."""
    aligned = [e for e in block if e.mark() and not commented(e.nodes[: e.mark()])]
    words = max((len(e.pieces[0].text) for e in aligned if e.like == "declaration"), default=0)
    heads = {id(e): _head(e, words) for e in aligned}
    width = max(map(len, heads.values()), default=0)
    for entry in block:
        if not entry.pieces:
            entry.lines = [entry.comment]
            continue
        page = Page()
        rest = entry.nodes
        if id(entry) in heads:
            page.put(heads[id(entry)].ljust(width), 0, False)
            rest = entry.nodes[entry.mark() :]
        last = entry.pieces[-1]
        trailing, last.comments = last.comments, []
        page.write(rest, INDENT)
        page.comments(trailing, INDENT)
        page.end_line()
        last.comments = trailing
        entry.lines = page.lines


def _head(entry: _Entry, words: int) -> str:
    nodes = entry.nodes[: entry.mark()]
    if entry.like != "declaration":
        return flat(nodes)
    return entry.pieces[0].text.ljust(words) + " " + flat(nodes[1:])


def _align_comments(entries: list[_Entry]) -> None:
    """Put the comments behind consecutive statements of one line each in a column."""
    run: list[_Entry] = []
    for entry in [*entries, _Entry()]:
        fits = len(entry.lines) == 1 and bool(entry.pieces) and bool(entry.pieces[-1].comments)
        if not fits or entry.blank_before:
            _align_run(run)
            run = []
        if fits:
            run.append(entry)


def _align_run(run: list[_Entry]) -> None:
    codes = [e.lines[0].removesuffix(e.pieces[-1].comments[0].text).rstrip() for e in run]
    width = max(map(len, codes), default=0)
    for entry, code in zip(run, codes, strict=True):
        entry.lines = [f"{code.ljust(width)}  {entry.pieces[-1].comments[0].text}"]
