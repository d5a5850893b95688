"""Messages for statements that lack a part, or have one where another belongs."""

from __future__ import annotations

from dgmppl.diagnostics import Diagnostic
from dgmppl.syntax.notation import CHARACTERS, EXAMPLES, FILES
from dgmppl.syntax.scan import END, RESERVED, Failure

_OPERATORS = ("+", "-", "*", "/", "@", "^", ">>", "..", "|", ",", "in")
_WHAT = {
    "PARAM": "parameter",
    "CONST": "constant",
    "LET": "variable",
    "NET": "network",
    "FLOW": "flow",
    "SCHEDULE": "schedule",
    "ADVERSARY": "adversary",
}


def describe_unfinished(f: Failure) -> Diagnostic | None:
    """A statement that breaks off, at the end of its line or at a token that cannot carry on."""
    last = f.words[-1] if f.words else ""
    if f.kind == "FLOW" and f.word == "," and "=" not in f.words and len(f.opened) == 1:
        name = f.words[1]
        way_out = f"several values side by side are one: flow {name}(u) = ..., and {name}(a, b) where it is used"
        return Diagnostic("E101", "a flow maps one argument", f.place, "expected `)`", help=way_out)
    if not last or (not f.whole and not f.broken):
        return None
    if last == "=" and not f.opened and f.abandoned:
        head = _text(f, -1)
        return _missing(f, f"`{head}` has no right-hand side", "a value is missing here", f"{head} = ...")
    if last in _OPERATORS and f.abandoned and not f.opened:
        return _missing(f, f"the line breaks off after `{last}`", "a value is missing here")
    if f.kind in ("ROLE", "PARAM"):
        return _declaration(f, last)
    if f.kind in ("CONST", "LET", "NET", "FLOW", "SCHEDULE", "ADVERSARY") and "=" not in f.words and not f.opened:
        return _definition(f, last)
    if f.kind in ("FACTOR", "E") and last == ")" and "=" not in f.words and not f.opened:
        head = _text(f)
        return _missing(f, f"`=` is missing after `{head}`", "expected `=`", f"{head} = ...")
    if f.kind == "TRAIN" and len(f.words) == 1:
        return _missing(f, "the settings of `train` stand in braces", "expected `{`", EXAMPLES["TRAIN"])
    return None


def _declaration(f: Failure, last: str) -> Diagnostic | None:
    """observed, partial, latent and param: name, type, and where the values come from."""
    word = f.words[0]
    if len(f.words) == 1:
        if f.found == "NAME" and not f.broken:
            return None  # a reserved word
        return _missing(f, f"`{word}` lacks a name", "expected a name", EXAMPLES[f.kind])
    name = f.words[1]
    if ":" not in f.words and not f.opened:
        return _without_type(f, word, _text(f, begin=1))
    if last == ":":
        found = "" if f.broken else f", not `{f.word}`"
        return _missing(f, f"`{name}` has no type", f"expected a type{found}", f"{_text(f)} real[16]")
    if last == "per":
        return _missing(f, "`per` lacks what has one each", "expected `data` or a column", f"{_text(f)} data")
    if "from" in f.words and f.words[-2] == "=" and f.statement[-1].type == "NAME" and f.word in ("]", ","):
        way_out = f'{f.words[-3]} = "{last}"'
        return Diagnostic("E101", f"`{last}` is no text: it has no quotes", f.place, "unexpected", help=way_out)
    if "from" in f.words and f.words[-1] in ("[", ",") and str(f.opened[-1:] and f.opened[-1]) == "[":
        return _columns(f)
    if f.opened or "=" in f.words:
        return None
    if f.word == "=" and f.kind == "ROLE":
        if word == "latent":
            way_out = f"its distribution is a statement of its own:  p({name}) = ..."
        else:
            way_out = f"data follows `from`:  {_text(f)} from ..."
        return Diagnostic("E108", f"`{name}` is declared here, not defined", f.place, help=way_out)
    if "from" in f.words:
        return _data(f, last)
    return None


def _without_type(f: Failure, word: str, name: str) -> Diagnostic:
    declared = f"{word} {name} : real[16]"
    if f.word == ",":
        return _missing(f, "one variable is declared at a time", "expected `:` and a type", declared)
    if f.word == "=" and f.kind == "ROLE":
        return _missing(f, f"`{name}` has no type", "expected `:` and a type", f"{declared}   p({name}) = ...")
    if f.found == "NAME" and not f.broken:
        return _missing(f, f"`:` is missing after `{name}`", "expected `:`", f"{word} {name} : {f.word}")
    return _missing(f, f"`{name}` has no type", "expected `:` and a type", declared)


def _data(f: Failure, last: str) -> Diagnostic | None:
    ways = '`digits.image`, `"mine.npz".x`, `"table.csv"[age, height]`, `threshold(digits.image, 8)`'
    if last == "from":
        return _missing(f, "`from` lacks its data", "the data is missing here", f"data is written {ways}")
    if f.word == "." and f.statement[-1].type == "NAME" and last in FILES:
        file = "".join(f.words[f.words.index("from") + 1 :])
        return Diagnostic("E108", "a file stands in quotes", f.place, help=f'"{file}".x')
    if last == ".":
        return _missing(f, "the field is missing after `.`", "expected the field's name", f"data is written {ways}")
    return None


def _columns(f: Failure) -> Diagnostic | None:
    way_out = '"table.csv"[age, "blood pressure"]'
    if f.found == "NUMBER":
        return Diagnostic("E101", "columns have names", f.place, "expected a name", help=way_out)
    if f.word in RESERVED and not f.broken:
        headline = f"`{f.word}` is a word of the language"
        return Diagnostic(
            "E104", headline, f.place, "reserved", help=f'a column of this name stands in quotes: "{f.word}"'
        )
    if f.word in ("]", ",") and f.words[-1] == "[":
        return Diagnostic("E101", "no column is named", f.place, "expected a name", help=way_out)
    return None


def _definition(f: Failure, last: str) -> Diagnostic | None:
    """const, let, net, flow, schedule and adversary: a name and, after `=`, a value."""
    word = f.words[0]
    if len(f.words) == 1:
        if f.found == "NAME" and not f.broken:
            return None  # a reserved word
        return _missing(f, f"`{word}` lacks a name", "expected a name", EXAMPLES[f.kind])
    head = _text(f)
    if f.kind == "CONST" and ":" in f.words:
        return _tensor(f, last)
    if f.kind == "ADVERSARY" and len(f.words) == 2:
        return _missing(f, "an adversary lacks its arguments", "expected `(`", f"{head}(x) = mlp[256]")
    if f.kind in ("NET", "FLOW", "SCHEDULE") and f.word == ":" and not f.broken:
        return Diagnostic("E108", f"a {_WHAT[f.kind]} has no type", f.place, "expected `=`", help=f"{head} = ...")
    if f.kind == "NET" and f.word == "(":
        way_out = f"its inputs stand where it is used:  {head} = ...   x = {f.words[1]}(z)"
        return Diagnostic(
            "E108", f"a {_WHAT[f.kind]} is named without its inputs", f.place, "expected `=`", help=way_out
        )
    if last == ":":
        return _missing(f, f"the type of `{f.words[1]}` is missing", "expected a type", f"{head} real[16] = ...")
    return _missing(f, f"`=` is missing after `{head}`", "expected `=`", f"{head} = ...")


def _tensor(f: Failure, last: str) -> Diagnostic | None:
    """`const NAME : TYPE from FILE`, a tensor of fixed values."""
    name, head = f.words[1], _text(f)
    if "from" in f.words:
        return _data(f, last)
    if last == ":":
        return _missing(f, f"the type of `{name}` is missing", "expected a type", f'{head} real[16] from "{name}.npy"')
    headline = f"`{name}` has a type, so its values are those of a file"
    return _missing(f, headline, "expected `from`", f'{head} from "{name}.npy"; a number has no type: const {name} = 2')


def describe_wrong_part(f: Failure) -> Diagnostic | None:
    """A token that stands where another kind of thing belongs."""
    last = f.words[-1] if f.words else ""
    opening = str(f.opened[-1]) if f.opened else ""
    if f.kind == "FLOW" and opening == "[" and "=" not in f.words:
        way_out = f"flow {f.words[1]}(u[d]) = ..."
        headline = "the index of an element is a letter of its own"
        return Diagnostic("E101", headline, f.place, "expected a letter", help=way_out)
    if f.word in ("<", ">"):
        return Diagnostic("E107", f"`{f.word}` is not a notation of this language", f.place, help=CHARACTERS[f.word])
    if f.word == "in" and "sum" in f.words:
        way_out = "an index runs over the axis that it stands at:  sum(i: x[i] * y[i])"
        return Diagnostic("E101", "the index of a sum has no range", f.place, "expected `:`", help=way_out)
    if "integrate" in f.words and f.accepts == {"IN"}:
        way_out = "flow f(u) = u + integrate(t in 0..1: mlp[64](u, t))"
        return Diagnostic("E101", "an integral names its time, and from where to where it goes", f.place, help=way_out)
    if f.word == "in" and f.in_head:
        way_out = "the range stands where the family is declared:  latent z[t in 1..T] : real[16]"
        return Diagnostic("E101", "an index has no range here", f.place, "expected `]`", help=way_out)
    if f.word == ".." and opening == "[":
        if f.kind in ("ROLE", "LET", "SCHEDULE") and ":" not in f.words:
            return _index(f)
        way_out = "bounds stand in parentheses, the shape in brackets:  integer(0..16)[64]"
        return Diagnostic("E101", "a range does not stand in brackets", f.place, "unexpected", help=way_out)
    if f.kind in ("ROLE", "SCHEDULE", "LET") and opening == "[" and ":" not in f.words and "=" not in f.words:
        return _index(f)
    if f.in_head and f.word == ")" and last == "(":
        way_out = EXAMPLES[f.kind]
        return Diagnostic("E101", f"`{_text(f)})` names no variable", f.place, "expected a variable", help=way_out)
    if f.in_head and f.word == ")" and last == "|":
        return Diagnostic("E101", "nothing is given after `|`", f.place, help=f"leave it out:  {_text(f, -1)})")
    if f.in_head and f.word == "|":
        return Diagnostic("E101", "there is a second `|`", f.place, help="all that is given: `p(x | y, z)`")
    if f.in_head and (f.word in tuple("()=+-*/@^{") or f.found in ("NUMBER", "STRING", "PARAM", "SUM", "INTEGRATE")):
        way_out = "functions of variables stand on the right of `=`, or get a name with `let`"
        return Diagnostic("E101", "only variables stand here", f.place, "expected a variable", help=way_out)
    if last == "," and (f.word in (",", ")", "]", "}") and f.word):
        return Diagnostic("E101", f"nothing stands between `,` and `{f.word}`", f.place, "expected a value")
    if f.word == "," and opening == "(" and "RPAR" in f.accepts and "COMMA" not in f.accepts:
        way_out = "parentheses hold several values only behind a name:  Normal(0, 1)"
        return Diagnostic("E101", "these parentheses hold one value", f.place, "expected `)`", help=way_out)
    if opening == "{" and f.word == ":":
        return Diagnostic("E101", "a setting is given with `=`", f.place, "expected `=`", help=f"{last} = ...")
    if f.word in ("[", "{") and (last in _OPERATORS or last in ("", "=", "(", "[")):
        way_out = "brackets follow the kind that they configure:  mlp[256, 256](z)"
        return Diagnostic("E107", "there are no lists", f.place, "expected a value", help=way_out)
    if last in (*_OPERATORS, "=") and f.found not in (END, "NAME") and last != "|":
        return Diagnostic("E101", f"`{f.word}` does not fit after `{last}`", f.place, "expected a value")
    return None


def _index(f: Failure) -> Diagnostic:
    name = f.words[1]
    inside = f.text[f.opened[0].end_pos : f.end].strip()
    way_out = f"{name}[t in 1..{inside if inside.isdigit() and inside != '1' else 'T'}]"
    return Diagnostic("E101", "an index has a name and a range", f.place, "expected `t in 1..T`", help=way_out)


def _missing(f: Failure, headline: str, label: str, way_out: str = "") -> Diagnostic:
    return Diagnostic("E108", headline, f.place, label, help=way_out)


def _text(f: Failure, end: int | None = None, begin: int = 0) -> str:
    """The statement so far as it is written, on one line."""
    tokens = f.statement[begin:end]
    return " ".join(f.text[tokens[0].start_pos : tokens[-1].end_pos].split()) if tokens else ""
