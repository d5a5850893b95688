"""Syntax errors in terms of what the user meant.

`RULES` are tried in order on the place where the parser stopped; each knows one kind of mistake and leaves
the rest to the others. The last one always has something to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lark import Token

from dgmppl.diagnostics import Diagnostic, Note, nearest
from dgmppl.source import Span
from dgmppl.syntax.characters import describe_character, describe_number
from dgmppl.syntax.limits import MAX_DEPTH, TOO_DEEP
from dgmppl.syntax.notation import EXAMPLES, FOREIGN, NOTATIONS, OPTIONS, SYNONYMS
from dgmppl.syntax.scan import END, PAIRS, RESERVED, SIDES, STATEMENTS, Failure, resume, unclosed
from dgmppl.syntax.unfinished import describe_unfinished, describe_wrong_part

_VALUES = ("NAME", "NUMBER", "STRING", "BOOLEAN", "PARAM", "SUM", "INTEGRATE")
_CLOSERS = {close: opening for opening, close in PAIRS.items()}


def describe_syntax_error(failure: Failure) -> tuple[Diagnostic, int | None]:
    """What is wrong where the parser stopped, and where to take up reading again (None: nowhere)."""
    failure = failure.cut()
    diagnostic = next(d for d in (rule(failure) for rule in RULES) if d is not None)
    return diagnostic, resume(failure) if failure.whole else None


# --- the rules -----------------------------------------------------------------------------------


def _past(f: Failure) -> Diagnostic | None:
    if f.before not in ("<", ">"):
        return None
    headline = f"after `{f.before}` stands the name of an index"
    help_ = "the past is written `x[<d]`" if f.before == "<" else "the members after one are written `z[>l]`"
    return Diagnostic("E101", headline, f.place, help=help_)


def _depth(f: Failure) -> Diagnostic | None:
    if f.word not in PAIRS or len(f.opened) < MAX_DEPTH:
        return None
    return Diagnostic("E110", f"more than {MAX_DEPTH} levels of nesting", f.place, help=TOO_DEEP)


def _notation(f: Failure) -> Diagnostic | None:
    for notation, way_out in NOTATIONS:
        for at in range(f.start, f.start - len(notation), -1):
            if at >= 0 and f.text.startswith(notation, at) and (at == f.start or notation[0] not in "<|-"):
                place = Span(at, at + len(notation))
                if "comparisons" in way_out and "where" in f.words:
                    way_out += ": write `where = age in 18..65`, `where = age in 18..`, `where = age in [18, 19]`"
                return Diagnostic("E107", f"`{notation}` is not a notation of this language", place, help=way_out)
    return None


def _foreign_word(f: Failure) -> Diagnostic | None:
    joined = f.earlier is not None and len(f.statement) == 1 and _same_line(f, f.earlier)
    for last in (f.before, f.earlier if joined else None):
        if last is not None and last.type == "NAME" and last in FOREIGN and not f.broken:
            word, place = str(last), Span(last.start_pos or 0, last.end_pos or 0)
            return Diagnostic("E107", f"`{word}` is not a word of this language", place, help=FOREIGN[word])
    if f.found == "NAME" and f.word in FOREIGN:
        return Diagnostic("E107", f"`{f.word}` is not a word of this language", f.place, help=FOREIGN[f.word])
    return None


def _model_line(f: Failure) -> Diagnostic | None:
    way_out = "the first line is `model NAME`, for example `model vae`"
    here = Span(f.start, f.end)
    if f.before is None and "MODEL" in f.accepts | {f.found} and f.whole:
        if f.found == END:
            empty = "the file has nothing but comments" if f.text.strip() else "the file is empty"
            return Diagnostic("E102", empty, here, help=way_out)
        if f.found == "MODEL":
            return Diagnostic("E102", f"`{f.word}` starts no spec", here, help=f"write `model {f.word[5:]}`")
        if nearest(f.word.lower(), ["model"]):
            return Diagnostic("E102", f"a spec starts with `model`, not `{f.word}`", here, help=way_out)
        return Diagnostic("E102", "the `model` line is missing", here, "expected `model NAME` first", help=way_out)
    if f.word == "model" and f.before is not None and f.words != ["model"] and f.broken:
        return Diagnostic("E102", "a second model begins here", here, help="a file holds one model")
    if f.words == ["model"]:
        if f.broken or f.found not in ("STRING", "NUMBER"):
            return Diagnostic("E102", "the model has no name", f.place, help=way_out)
        return Diagnostic("E102", "a model's name is a plain word", here, f"found {f.word}", help=way_out)
    if f.kind == "MODEL" and not f.broken:
        return Diagnostic("E102", f"`{f.word}` after the model's name", here, "only the name stands here", help=way_out)
    word = f.kind == "NAME" or (f.broken and f.words[:1] and f.words[0] in RESERVED)
    if word and f.earlier is not None and len(f.statement) == 1 and _same_line(f, f.earlier):
        start = f.text.rfind("\n", 0, f.earlier.start_pos or 0) + 1
        line = f.text[start:].split("\n")[0]
        if line.split()[0] == "model":
            name = "_".join(line.split("#")[0].split()[1:])
            place = Span(f.statement[0].start_pos or 0, f.statement[0].end_pos or 0)
            return Diagnostic("E102", "a model's name is one word", place, help=f"write `model {name}`")
    return None


def _bracket(f: Failure) -> Diagnostic | None:
    last = f.opened[-1] if f.opened else None
    if f.word in _CLOSERS:
        if last is None:
            return Diagnostic("E105", f"`{f.word}` closes nothing", f.place, "no bracket is open here")
        if last != _CLOSERS[f.word]:
            return Diagnostic(
                "E105",
                f"`{f.word}` cannot close `{last}`",
                f.place,
                f"expected `{PAIRS[last]}`",
                (_opened(last),),
            )
        return None
    if last is None:
        return None
    if f.kind == "FACTOR" and f.in_head and f.word == "=" and f.words[-1] in OPTIONS and "|" not in f.words:
        option, head = f.words[-1], f.words[2]
        headline, place = f"`{option}` stands behind the parents of a factor of elements", f.statement[-1]
        way_out = f"p({head}[d] | {head}[<d], {option} = reverse) = ..."
        return Diagnostic("E101", headline, Span(place.start_pos or 0, f.end), "before the bar", help=way_out)
    if f.abandoned or (f.in_head and f.word == "="):
        headline, label = f"`{last}` is not closed", f"`{PAIRS[last]}` is missing here or before"
        return Diagnostic("E105", headline, _right_side(f) or f.place, label, (_opened(last),))
    return None


def _right_side(f: Failure) -> Span | None:
    """The `=` of a factor whose head is not closed: in `q(z | x = Normal(...)` it reads like that of an option."""
    if f.kind != "FACTOR" or f.opened[:1] != f.statement[1:2]:
        return None
    for i, token in enumerate(f.statement):
        if token == "=" and f.words[i - 1] not in OPTIONS and len(unclosed(f.statement[:i])) == 1:
            return Span(token.start_pos or 0, token.end_pos or 0)
    return None


def _opened(bracket: Token) -> Note:
    return Note(Span(bracket.start_pos or 0, bracket.end_pos or 0), "opened here")


def _dotted(f: Failure) -> Diagnostic | None:
    """`dist.Normal(0, 1)`, `pyro.sample("z", ...)`, `z.exp()`."""
    begins = len(f.statement) == 1 and not (f.earlier is not None and _same_line(f, f.earlier))
    if f.word != "." or f.before is None or not ("=" in f.words or begins):
        return None
    start = (f.before.start_pos or 0) if f.before.type == "NAME" else f.start
    dotted = _DOTTED.match(f.text, start)
    if dotted is None or (f.before.type != "NAME" and f.before not in _CLOSERS):
        return None
    name, drawn = dotted["last"], _DRAWN.match(f.text, dotted.end())
    way_out = f"what is built in is named alone, its arguments behind it: `{name}(...)`"
    if name == "sample":
        way_out = f"what is random has a factor:  p({drawn[1] if drawn else 'z'}) = Normal(0, 1)"
    place = Span(dotted.start(), dotted.end())
    return Diagnostic("E107", f"`{dotted[0]}` is not a notation of this language", place, help=way_out)


_DOTTED = re.compile(r"(?:[A-Za-z]\w*)?(?:\.[A-Za-z]\w*)*\.(?P<last>[A-Za-z]\w*)", re.ASCII)
_DRAWN = re.compile(r"""\(\s*["']([A-Za-z]\w*)["']""", re.ASCII)


def _reserved(f: Failure) -> Diagnostic | None:
    last = f.before
    if last == "sum" and last.type == "SUM":
        place = Span(last.start_pos or 0, last.end_pos or 0)
        way_out = "`sum(x)` adds up all elements, `sum(i: x[i] * y[i])` runs over an index"
        return Diagnostic("E104", "`sum` has its terms in parentheses", place, help=way_out)
    if last == "integrate" and last.type == "INTEGRATE":
        place = Span(last.start_pos or 0, last.end_pos or 0)
        way_out = "a flow of a differential equation: flow f(u) = u + integrate(t in 0..1: mlp[64](u, t))"
        return Diagnostic("E104", "`integrate` has its integral in parentheses", place, help=way_out)
    if f.broken or f.found in ("STRING", "NUMBER"):
        return None
    if f.word in SIDES and f.found == "NAME":
        what = "the energy" if f.word == "E" else "factors"
        way_out = f"`{f.word}(...) = ...` stands for {what}; choose another name"
        return Diagnostic("E104", f"`{f.word}` cannot be a name", f.place, "reserved", help=way_out)
    if (f.kind in ("FACTOR", "E") and len(f.statement) == 1) or (f.words[-1:] in (["p"], ["q"]) and f.word == "="):
        return None
    if f.word in RESERVED and (f.found == "NAME" or (f.words[-1:] and f.words[-1] in "([,|")):
        return Diagnostic(
            "E104", f"`{f.word}` is a word of the language and cannot be a name", f.place, "reserved",
            help="choose another name",
        )  # fmt: skip
    return None


def _side_without_arguments(f: Failure) -> Diagnostic | None:
    """`p = Normal(0, 1)`, `E = ...`."""
    if len(f.statement) != 1 or f.words[0] not in SIDES or f.word == "(":
        return None
    place = Span(f.statement[0].start_pos or 0, f.statement[0].end_pos or 0)
    example = "E(x, h) = ..." if f.words[0] == "E" else f"{f.words[0]}(z) = ..."
    if f.words[0] == "q":
        example += "; for all latents that have none, train { posterior = factorised }"
    return Diagnostic("E101", f"`{f.words[0]}` of what?", place, "variables in parentheses follow", help=example)


def _unknown_statement(f: Failure) -> Diagnostic | None:
    if f.kind != "NAME" or (f.opened and f.word != "in") or "=" in f.words:
        return None
    name, place = f.words[0], Span(f.statement[0].start_pos or 0, f.statement[0].end_pos or 0)
    if f.earlier is not None and _same_line(f, f.earlier):
        return _joined(f, name, place)
    head = f.text[place.start : f.statement[-1].end_pos]
    if f.word in (":", "in"):
        way_out = f"say what it is:  observed {name} : ...   latent {name} : ...   param {name} : ..."
        return Diagnostic("E106", f"`{name}` is declared without its role", place, help=way_out)
    near = nearest(name.lower(), STATEMENTS) or SYNONYMS.get(name.lower())
    if f.word == "(" and len(f.statement) == 1:
        if name.upper() in ("P", "Q", "E"):
            right = "E" if name == "e" else name.lower()
            return Diagnostic("E106", f"`{name}(...)` is no statement", place, help=f"write `{right}(...)`")
        way_out = f"`x = {name}(z)` defines a variable, `adversary {name}(x) = ...` an opponent"
        return Diagnostic("E106", f"`{name}(...)` is no statement", place, help=way_out)
    if f.word == "{" and near is None:
        return Diagnostic("E106", f"there is no block `{name}`", place, help="settings stand in `train { ... }`")
    way_out = f"did you mean `{near}`?" if near else "a statement starts with " + _listed(STATEMENTS)
    if f.broken or len(f.statement) > 1:
        way_out = f"did you mean `{near}`?" if near else f"`{head} = ...` defines a variable"
        return Diagnostic(
            "E106",
            f"`{head}` alone is no statement",
            Span(place.start, f.statement[-1].end_pos or 0),
            help=way_out,
        )
    return Diagnostic("E106", f"`{name}` starts no statement", place, help=way_out)


def _joined(f: Failure, name: str, place: Span) -> Diagnostic:
    """A name that starts no statement, on the line of the statement before."""
    before = str(f.earlier)
    if f.earlier is not None and f.text[: f.earlier.start_pos].split()[-1:] == ["from"]:
        return Diagnostic("E108", "`.` is missing before the field", place, help=f"{before}.{name}")
    if nearest(name, ["from"]):
        return Diagnostic("E106", f"`{name}` is no word of the language", place, help="did you mean `from`?")
    if f.word == "." and f.earlier is not None and (f.earlier.type == "NAME" or f.earlier in (")", "]")):
        return Diagnostic("E108", "`from` is missing before the data", place, help=f"from {name}.image")
    way_out = "a comma, an operator or parentheses are missing between them"
    return Diagnostic("E101", f"`{name}` does not fit after `{before}`", place, help=way_out)


def _comma(f: Failure) -> Diagnostic | None:
    if not f.opened or f.before is None or "COMMA" not in f.accepts or f.found not in (*_VALUES, "FACTOR", "LBRACE"):
        return None
    if f.before.type in _VALUES or f.before in _CLOSERS:
        label = f"`,` is missing between `{f.before}` and `{f.word}`"
        way_out = "variables are separated by commas, what is given stands behind a bar: `p(x, y | z)`"
        between = Span(f.before.end_pos or 0, f.before.end_pos or 0)
        return Diagnostic("E109", "a comma is missing", between, label, help=way_out if f.in_head else "")
    return None


def _unexpected(f: Failure) -> Diagnostic:
    """What is said when no rule knows better."""
    found = "the end of the file" if f.found == END else f"`{f.word}`"
    after = f" after `{f.before}`" if f.before is not None else ""
    headline = f"{found} does not fit here" if not after else f"{found} does not fit{after}"
    way_out = ""
    if f.found in _VALUES and f.before is not None and (f.before.type in _VALUES or f.before in _CLOSERS):
        way_out = "a comma, an operator or parentheses are missing between them"
    elif f.word == "[" and f.before == "]":
        way_out = "all indices stand in one pair of brackets: `x[i, j]`"
    elif f.kind in EXAMPLES and len(f.statement) <= 2:
        way_out = f"for example:  {EXAMPLES[f.kind]}"
    return Diagnostic("E101", headline, f.place, _expected(f), help=way_out)


def _expected(f: Failure) -> str:
    marks = {
        "EQUAL": "`=`",
        "COLON": "`:`",
        "COMMA": "`,`",
        "RPAR": "`)`",
        "RSQB": "`]`",
        "RBRACE": "`}`",
        "IN": "`in`",
    }
    few = [text for name, text in marks.items() if name in f.accepts]
    if {"NAME", "RBRACE"} <= f.accepts and "NUMBER" not in f.accepts:
        few = ["`name = value`"]
    elif {"NAME", "NUMBER"} <= f.accepts:
        few = ["a value"]
    elif "ROLE" in f.accepts:
        few = ["an operator or the next statement" if "PLUS" in f.accepts else "the next statement"]
    elif not few and "NAME" in f.accepts:
        few = ["a name"]
    return "expected " + " or ".join(few) if few else "unexpected"


def _same_line(f: Failure, earlier: Token) -> bool:
    return "\n" not in f.text[earlier.end_pos : f.statement[0].start_pos]


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{w}`" for w in words[:-1]) + " or with `p(..)`, `q(..)`, `E(..)`"


RULES: tuple[Callable[[Failure], Diagnostic | None], ...] = (
    _depth,
    describe_number,
    _past,
    _notation,
    describe_character,
    _foreign_word,
    _model_line,
    _bracket,
    _dotted,
    _side_without_arguments,
    _unknown_statement,
    describe_unfinished,
    describe_wrong_part,
    _reserved,
    _comma,
    _unexpected,
)
