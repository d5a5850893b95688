"""Tokens fed to the parser one at a time, and the state around the first one that does not fit.

The parser is contextual: it takes a word of the language for a name wherever only a name can stand. A few
things that it therefore reads, but nobody means (`latent model : real`), are stopped here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from itertools import accumulate

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from dgmppl.source import Span
from dgmppl.syntax.limits import MAX_DEPTH
from dgmppl.syntax.notation import BLOCKS

END = "$END"

STATEMENTS = (
    "observed", "partial", "latent", "param", "const", "let", "net", "flow", "schedule", "adversary", "train",
    "model",
)  # fmt: skip
RESERVED = frozenset(STATEMENTS) | {"from", "per", "in", "sum", "integrate", "true", "false"}
SIDES = frozenset({"p", "q", "E"})
PAIRS = {"(": ")", "[": "]", "{": "}"}

_DECLARES = {"ROLE", "PARAM", "CONST", "LET", "NET", "FLOW", "SCHEDULE", "ADVERSARY"}
_BLANK = re.compile(r"[ \t]*")
_NO_CODE = re.compile(r'"[^"\n]*"|#.*')
_CARRIES_ON = ("=", ":", ",", "(", "[", "{", "|", "+", "-", "*", "/", "@", "^", ">>", "..")
_WORD = re.compile(r"\w+")
_KEYWORD = re.compile("(?:" + "|".join(STATEMENTS) + r")\b(?!\s*[=,.)\]}])")
_LINE_END = re.compile(r"[ \t]*(#[^\n]*)?(\n|\Z)")
_HEAD = re.compile(r"[pqE]\s*\(")
_WHOLE_HEAD = re.compile(r"[pqE]\s*\([^()\n]*\)\s*=(?!=)")
_DEFINITION = re.compile(r"[A-Za-z]\w*\s*(?:\[[^\[\]\n]*\]\s*)?=(?!=)")


@dataclass(frozen=True)
class Failure:
    """Where the parser could not go on, and what stood around the place.

    `found` is the name of the terminal in the way, "" for a character that begins none, END at the end.
    `statement` are the tokens of the statement so far, `earlier` the token before it, `opened` its brackets
    still open.
    """

    text: str
    start: int
    end: int
    found: str
    earlier: Token | None
    statement: tuple[Token, ...]
    opened: tuple[Token, ...]
    accepts: frozenset[str]
    whole: bool = True

    @property
    def word(self) -> str:
        """The text in the way."""
        return self.text[self.start : self.end]

    @property
    def before(self) -> Token | None:
        """The last token that did fit."""
        return self.statement[-1] if self.statement else self.earlier

    @property
    def kind(self) -> str:
        """What sort of statement this is: the terminal that it starts with."""
        return self.statement[0].type if self.statement else ""

    @property
    def words(self) -> list[str]:
        """The texts of the statement's tokens so far."""
        return [str(t) for t in self.statement]

    @property
    def place(self) -> Span:
        """What is in the way, or the end of what broke off before it."""
        if self.abandoned and self.before is not None:
            return Span(self.before.end_pos or 0, self.before.end_pos or 0)
        return Span(self.start, self.end)

    @property
    def broken(self) -> bool:
        """Whether the statement broke off: what is in the way stands on a later line, or there is no more."""
        last = self.before
        return self.found == END or last is None or "\n" in self.text[last.end_pos : self.start]

    @property
    def in_head(self) -> bool:
        """Whether this is inside the parentheses that a factor, an energy or an adversary starts with."""
        return len(self.opened) == 1 and self.kind in ("FACTOR", "E", "ADVERSARY") and "=" not in self.words

    @property
    def abandoned(self) -> bool:
        """Whether the statement broke off, and the next one or the end of the file follows."""
        return self.found == END or (self.broken and starts_statement(self.text, self.start, bool(self.opened)))

    def cut(self) -> Failure:
        """This failure, or the one that the parser ran past.

        Line ends mean nothing to the grammar, so an unfinished statement swallows the start of the next one:
        `p(x | z) =` takes `p(z)` for a value, and only stumbles over its `=`.
        """
        depths = list(accumulate((t in PAIRS) - (t in PAIRS.values()) for t in self.statement))
        for i in range(len(self.statement) - 1, 0, -1):
            first, last = self.statement[i], self.statement[i - 1]
            at = first.start_pos or 0
            if "\n" not in self.text[last.end_pos : at]:
                continue
            if starts_statement(self.text, at, depths[i - 1] > 0):
                opened = unclosed(self.statement[:i])
                return replace(
                    self, start=at, end=first.end_pos or at, found=first.type, statement=self.statement[:i],
                    opened=opened, accepts=frozenset(),
                )  # fmt: skip
        return self


def starts_statement(text: str, at: int, inside: bool) -> bool:
    """Whether a statement starts at an offset; `inside` brackets `x = 3` and `q(z | 3)` can be parts."""
    if _KEYWORD.match(text, at):
        return True
    return bool(_WHOLE_HEAD.match(text, at) if inside else _HEAD.match(text, at) or _DEFINITION.match(text, at))


def unclosed(tokens: tuple[Token, ...] | list[Token]) -> tuple[Token, ...]:
    """The brackets that these tokens open and do not close."""
    opened: list[Token] = []
    for token in tokens:
        if token in PAIRS:
            opened.append(token)
        elif opened and token in PAIRS.values():
            opened.pop()
    return tuple(opened)


def scan(
    lark: Lark, text: str, start: str, begin: int | None = None, headed: bool = True
) -> tuple[Tree[Token], list[Token]] | Failure:
    """The parse tree and the tokens of a text, or the first thing in it that does not fit.

    With `begin` the text is taken up in its middle, at the start of a statement; not `headed`, at its `model` line.
    """
    parser = lark.parse_interactive(" " * (begin or 0) + text[begin or 0 :], start=start)
    state = parser.parser_state
    if begin is not None and headed:
        for word in (Token("MODEL", "model"), Token("NAME", "m")):
            parser.feed_token(word)
    tokens: list[Token] = []
    opened: list[Token] = []
    first = 0
    found, at, to = END, len(text), len(text)
    try:
        for token in parser.lexer_thread.lex(state):
            if _misplaced(text, token, tokens, opened):
                found, at, to = token.type, token.start_pos or 0, _word_end(text, token)
                break
            parser.feed_token(token)
            if start == "start" and len(state.value_stack) <= 3 and _between_statements(state.value_stack[:-1]):
                first = len(tokens)
            tokens.append(token)
            if token in PAIRS:
                opened.append(token)
            elif opened and token in PAIRS.values():
                opened.pop()
        else:
            end = Token.new_borrow_pos(END, "", tokens[-1]) if tokens else Token(END, "", 0, 1, 1)
            return parser.feed_token(end), tokens
    except UnexpectedToken as error:
        if error.token.type != END:
            found, at, to = error.token.type, error.token.start_pos or 0, error.token.end_pos or 0
    except UnexpectedCharacters as error:
        found, at, to = "", error.pos_in_stream or 0, (error.pos_in_stream or 0) + 1
    earlier = tokens[first - 1] if first else None
    return Failure(
        text, at, to, found, earlier, tuple(tokens[first:]), tuple(opened), frozenset(parser.accepts()),
        whole=start == "start",
    )  # fmt: skip


def _between_statements(stack: list[object]) -> bool:
    return bool(stack) and all(isinstance(t, Tree) and (t.data == "model" or t.data[:2] == "__") for t in stack)


def _word_end(text: str, token: Token) -> int:
    word = None if token.type == "NUMBER" else _WORD.match(text, token.start_pos or 0)
    return word.end() if word else token.end_pos or 0


def _misplaced(text: str, token: Token, tokens: list[Token], opened: list[Token]) -> bool:
    """Whether a token that the parser would take cannot have been meant."""
    last = tokens[-1] if tokens else None
    at, end = token.start_pos or 0, token.end_pos or 0
    touching = last is not None and last.end_pos == at
    if token.type == "NUMBER":
        return math.isinf(float(token)) or (touching and last is not None and last.type == "NUMBER")
    if token == "..":
        return text[end : end + 1] == "."
    if token == "=":
        return not opened and last is not None and last.type == "NAME" and last in SIDES  # `p = Normal(0, 1)`
    if token in PAIRS:
        return len(opened) >= MAX_DEPTH
    if not token[:1].isalpha():
        return False
    if touching and last is not None and last.type == "NUMBER":
        return True
    if token.type != "NAME":
        return _word_end(text, token) > end  # `modelvae` is not `model vae`
    if token in RESERVED and last is not None and last.type == "MODEL":
        return not _names_model(text, last, token)
    if token in RESERVED:
        names_a_setting = bool(opened) and re.compile(r"\s*=(?!=)").match(text, end) is not None
        names_a_field = last == "." and "\n" not in text[last.end_pos : at]
        return not names_a_setting and not names_a_field
    return token in SIDES and last is not None and (last.type in _DECLARES or last == ":")


def _names_model(text: str, model: Token, word: Token) -> bool:
    """Whether a word of the language is a model's name: it stands behind `model` on its line, and ends it or has a
    statement behind it. In `model observed x : real` the name is missing."""
    end = word.end_pos or 0
    if "\n" in text[model.end_pos : word.start_pos]:
        return False
    blank = _BLANK.match(text, end)
    after = blank.end() if blank else end
    return bool(_LINE_END.match(text, end) or _KEYWORD.match(text, after) or _HEAD.match(text, after))


def resume(f: Failure) -> int | None:
    """Where the next statement starts: on a line that is indented no deeper than the one that failed."""
    text, at = f.text, f.start
    if f.before is None and not f.word.startswith("model") and starts_statement(text, at, inside=True):
        return at  # nothing but the `model` line is missing
    for opening, closing in BLOCKS.items():
        block = text.rfind(opening, max(0, at - len(opening)), at + len(opening))
        if block >= 0:
            end = text.find(closing, block + len(opening))
            at = end + len(closing) if end >= 0 else at
    indent = _indent(text, f.statement[0].start_pos or 0) if f.statement else 0
    open_ = 0 if f.in_head and f.word == "=" else len(f.opened)
    if f.word == "model" and f.broken:
        at = f.end
    line = text.rfind("\n", 0, at) + 1
    carries_on = False
    while line < len(text):
        end = text.find("\n", line)
        end = len(text) if end < 0 else end
        first = line + _indent(text, line)
        if first >= at and first - line <= indent and (first > f.start or f.abandoned):
            plain = open_ <= 0 and not carries_on and f.before is not None and text[first : first + 1].isalpha()
            if plain or starts_statement(text, first, open_ > 0):
                return first
        code = _NO_CODE.sub("", text[max(line, at) : end]).rstrip()
        open_ += balance(code)
        carries_on = code.endswith(_CARRIES_ON) if code else carries_on
        line = end + 1
    return None


def balance(text: str) -> int:
    """How many more brackets a text opens than it closes."""
    code = _NO_CODE.sub("", text)
    return sum(code.count(b) for b in PAIRS) - sum(code.count(b) for b in PAIRS.values())


def _indent(text: str, at: int) -> int:
    """How far the line of an offset is indented."""
    line = text.rfind("\n", 0, at) + 1
    blank = _BLANK.match(text, line)
    return blank.end() - line if blank else 0
