"""The tokens of one statement, spaced and broken into lines of at most WIDTH characters.

Only white space is chosen here: the tokens stay as they are, so the text still means the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

WIDTH = 100
INDENT = 4
_OPERATORS = frozenset({"+", "-", "*", "/", "@", ">>"})
_ENDS_VALUE = frozenset({"NAME", "NUMBER", "STRING", "BOOLEAN", "PARAM", "FACTOR", "E", "SUM", "INTEGRATE"})
_CLOSERS = frozenset(")]}")


@dataclass(frozen=True)
class Comment:
    """A comment; `own` if it stands on a line of its own."""

    text: str
    own: bool


@dataclass
class Piece:
    """A token, the comments that follow it, and whether a space stands before it."""

    text: str
    type: str
    comments: list[Comment] = field(default_factory=list)
    space: bool = True


@dataclass
class Group:
    """Brackets and what stands in them, item by item; `commas` follow the items."""

    open: Piece
    items: list[list[Node]]
    commas: list[Piece]
    close: Piece


Node = Piece | Group


# --- structure and spacing -----------------------------------------------------------------------


def structured(pieces: Sequence[Piece]) -> list[Node]:
    """The pieces of a statement with what stands in brackets grouped, and with spaces chosen."""
    nodes, _ = _group(pieces, 0)
    _space(nodes, "")
    return nodes


def _group(pieces: Sequence[Piece], at: int) -> tuple[list[Node], int]:
    nodes: list[Node] = []
    while at < len(pieces) and pieces[at].text != "," and pieces[at].text not in _CLOSERS:
        piece = pieces[at]
        at += 1
        if piece.type not in ("LPAR", "LSQB", "LBRACE"):
            nodes.append(piece)
            continue
        group = Group(piece, [], [], piece)
        while True:
            item, at = _group(pieces, at)
            group.items.append(item)
            if pieces[at].text != ",":
                break
            _hand_over(item, pieces[at])
            group.commas.append(pieces[at])
            at += 1
        group.close = pieces[at]
        at += 1
        nodes.append(group)
    return nodes, at


def _hand_over(item: list[Node], comma: Piece) -> None:
    """A comment between an item and its comma goes behind the comma."""
    if item:
        last = item[-1].close if isinstance(item[-1], Group) else item[-1]
        moved = last.comments + comma.comments
        comma.comments = moved[:1] + [Comment(c.text, True) for c in moved[1:]]
        last.comments = []


def _space(item: Sequence[Node], bracket: str) -> None:
    """Choose the spaces between the parts of an item, all but the one before its first."""
    here = [n for n in item if isinstance(n, Piece)]
    texts = [p.text for p in here]
    index = bracket == "[" and len(item) == len(here) == 3 and texts[1] in ("+", "-") and here[0].type == "NAME"
    tight = index or ".." in texts  # z[t-1], 1..T-1
    before: Piece | None = None
    unary = False
    for node in item:
        piece = node.open if isinstance(node, Group) else node
        is_unary = piece.text == "-" and (before is None or not _ends_value(before))
        tight_operator = tight and (piece.text in _OPERATORS or (before is not None and before.text in _OPERATORS))
        piece.space = before is not None and not unary and not tight_operator and _apart(before, piece, bracket)
        unary = is_unary
        tight = tight and piece.text != ":"  # behind the range of a sum or an integral
        before = piece
        if isinstance(node, Group):
            _space_group(node)
            before = node.close


def _space_group(group: Group) -> None:
    braces = group.open.text == "{"
    for i, item in enumerate(group.items):
        _space(item, group.open.text)
        if item:
            first = item[0].open if isinstance(item[0], Group) else item[0]
            first.space = braces or i > 0
    for comma in group.commas:
        comma.space = False
    group.close.space = braces and any(group.items)


def _ends_value(piece: Piece) -> bool:
    return piece.type in _ENDS_VALUE or piece.text in _CLOSERS


def _apart(left: Piece, right: Piece, bracket: str) -> bool:
    """Whether a space stands between two neighbours in an item."""
    if right.text in ("(", "["):
        return not _ends_value(left)
    if "." in (left.text, right.text) or "^" in (left.text, right.text) or left.text in ("<", ">"):
        return False
    if right.text == "..":
        return left.text.endswith(".")  # `1. ..3`, for `1...3` reads otherwise
    if left.text == "..":
        return right.text.startswith(".")
    return not (right.text == ":" and bracket == "(")


def flat(nodes: Sequence[Node]) -> str:
    """The nodes on one line, comments left out; without a space before the first."""
    return "".join(_flat(nodes)).lstrip(" ")


def _flat(nodes: Sequence[Node]) -> list[str]:
    parts: list[str] = []
    for node in nodes:
        if isinstance(node, Piece):
            parts.append(" " * node.space + node.text)
            continue
        parts += _flat([node.open])
        for i, item in enumerate(node.items):
            parts += _flat(item) + _flat(node.commas[i : i + 1])
        parts += _flat([node.close])
    return parts


def commented(nodes: Sequence[Node]) -> bool:
    """Whether a comment stands among the nodes."""
    return any(
        bool(n.comments)
        if isinstance(n, Piece)
        else commented([n.open, *n.commas, n.close]) or any(commented(i) for i in n.items)
        for n in nodes
    )


# --- lines ---------------------------------------------------------------------------------------


class Page:
    """Lines being written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.start(0)

    def start(self, indent: int) -> None:
        """Begin a line."""
        self.line: str | None = " " * indent
        self.indent = indent

    def end_line(self) -> None:
        """Finish the line, if there is anything on it."""
        if self.line and self.line.strip():
            self.lines.append(self.line.rstrip())
        self.line = None

    def put(self, text: str, indent: int, space: bool) -> None:
        """Add to the line; a new one starts at `indent`."""
        if self.line is None:
            self.start(indent)
        line = self.line or ""
        self.line = line + " " * (space and bool(line.strip())) + text

    def comments(self, comments: Sequence[Comment], indent: int) -> None:
        for comment in comments:
            if comment.own or not (self.line and self.line.strip()):
                self.end_line()
                self.lines.append(" " * indent + comment.text)
            else:
                self.lines.append(f"{self.line}  {comment.text}")
            self.line = None

    def write(self, nodes: Sequence[Node], indent: int, after: int = 0) -> None:
        """Write nodes; lines that they go on over start at `indent`, and `after` characters follow them."""
        if not nodes:
            return
        if commented(nodes):
            for node in nodes:
                self._write_one(node, indent, after)
            return
        first = nodes[0].open if isinstance(nodes[0], Group) else nodes[0]
        text = flat(nodes)
        if self._width(indent) + len(text) + after <= WIDTH:
            self.put(text, indent, first.space)
            return
        links = [i for i, n in enumerate(nodes) if i and _is_link(n, nodes[i - 1])]
        if links:
            for begin, end in zip([0, *links], [*links, len(nodes)], strict=True):
                part = nodes[begin:end]
                if begin and self._width(indent) + len(flat(part)) > WIDTH:
                    self.end_line()
                self.write(part, indent, after if end == len(nodes) else 0)
            return
        groups = [i for i, n in enumerate(nodes) if isinstance(n, Group) and any(n.items)]
        if not groups:
            self.put(text, indent, first.space)
            return
        widest = max(groups, key=lambda i: len(flat([nodes[i]])))
        if widest:
            self.put(flat(nodes[:widest]), indent, first.space)
        self._break(nodes[widest], indent)
        self.write(nodes[widest + 1 :], indent, after)

    def _width(self, indent: int) -> int:
        """How far the line reaches, with a space behind it."""
        return indent if self.line is None else len(self.line) + bool(self.line.strip())

    def _write_one(self, node: Node, indent: int, after: int) -> None:
        if isinstance(node, Piece):
            self.put(node.text, indent, node.space)
            self.comments(node.comments, indent)
        elif commented([node.open, *node.commas]) or any(commented(i) for i in node.items):
            self._break(node, indent)
        else:
            comments, node.close.comments = node.close.comments, []
            self.write([node], indent, after)
            node.close.comments = comments
            self.comments(comments, indent)

    def _break(self, node: Node, indent: int) -> None:
        """Write a group with its brackets at line ends and its items between them."""
        if not isinstance(node, Group):
            return
        self.put(node.open.text, indent, node.open.space)
        base = self.indent
        inner = base + INDENT
        self.comments(node.open.comments, inner)
        self.end_line()
        inside = [x for i, item in enumerate(node.items) for x in [*item, *node.commas[i : i + 1]]]
        if node.open.text != "{" and not commented(inside) and inner + len(flat(inside)) <= WIDTH:
            self.put(flat(inside), inner, False)
            self.end_line()
        else:
            for i, item in enumerate(node.items):
                comma = node.commas[i : i + 1]
                self.start(inner)
                self.write(item, inner + INDENT, len(comma))
                for piece in comma:
                    self.put(piece.text, inner, False)
                    self.comments(piece.comments, inner)
                self.end_line()
        self.put(node.close.text, base, False)
        self.comments(node.close.comments, indent)


def _is_link(node: Node, before: Node) -> bool:
    """Whether a long line may be broken before this operator."""
    last = before.close if isinstance(before, Group) else before
    return isinstance(node, Piece) and node.text in ("+", "-", ">>") and _ends_value(last)
