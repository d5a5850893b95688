"""The language reference as data: its examples, and the tables of docs/ that are written from the code."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from dgmppl.catalogue.distributions import CLOSED_KL, DISTRIBUTIONS
from dgmppl.catalogue.figures import KINDS
from dgmppl.catalogue.formats import FORMATS
from dgmppl.data.catalogue import DATASETS
from dgmppl.supports import SUPPORTS

ROOT = Path(__file__).parents[2]
PATH = ROOT / "docs" / "language.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PACKAGE = ROOT / "dgmppl"

_BLOCK = re.compile(r"(?:<!-- prelude\n(?P<prelude>.*?)-->\n)?```dgm(?P<info>[^\n]*)\n(?P<text>.*?)```", re.DOTALL)
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Example:
    """A spec of the reference, and the codes that it must give; none for one that is fine."""

    line: int
    text: str
    codes: tuple[str, ...]


def examples(reference: str) -> list[Example]:
    """Every spec of the reference. A fragment follows its prelude; in an `each` block every line does."""
    found = []
    for block in _BLOCK.finditer(reference):
        line = reference.count("\n", 0, block.start("text"))
        prelude, words = block["prelude"] or "", block["info"].split()
        texts = [t for t in block["text"].splitlines() if t.strip()] if words == ["each"] else [block["text"]]
        codes = tuple(words[1:]) if words[:1] == ["error"] else ()
        assert words[:1] in ([], ["fragment"], ["each"], ["error"]), f"line {line}: dgm {' '.join(words)}"
        assert bool(prelude) != text_is_whole(texts[0]), f"line {line}: a whole spec, or a fragment after its prelude"
        found += [Example(line + k, f"{prelude}{text}\n", codes) for k, text in enumerate(texts, start=1)]
    return found


def text_is_whole(text: str) -> bool:
    return text.lstrip().startswith("model ")


def distributions() -> str:
    rows = ["| distribution | parameters | support | draws can be differentiated | closed KL to its own kind |"]
    rows += ["|---|---|---|---|---|"]
    for d in DISTRIBUTIONS.values():
        parameters = ", ".join(f"`{p.name}` {p.constraint.condition}".rstrip() for p in d.parameters)
        written = ", ".join(f"`{form}`" for form in d.support.written())
        cells = (f"`{d.name}`", parameters, written, _yes(d.reparameterised), _yes((d.name, d.name) in CLOSED_KL))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def supports() -> str:
    rows = ["| support | values | enters a network as |", "|---|---|---|"]
    rows += [f"| `{f.text}` | {f.values} | {f.enters} |" for s in SUPPORTS.values() for f in s.forms]
    return "\n".join(rows) + "\n"


def _yes(holds: bool) -> str:
    return "yes" if holds else ""


def datasets() -> str:
    rows = ["| data set | holds | fields | rows: training, validation, test |", "|---|---|---|---|"]
    for name, data in DATASETS.items():
        fields = ", ".join(f"`{name}.{field}` : `{entry.type.describe()}`" for field, entry in data.fields.items())
        rows.append(f"| `{name}` | {data.description} | {fields} | {', '.join(map(str, data.splits))} |")
    return "\n".join(rows) + "\n"


def formats() -> str:
    rows = ["| field | of | streamed |", "|---|---|---|"]
    for entry in FORMATS.values():
        rows.append(f"| `{entry.example}` | {entry.holds} | {_yes(entry.streams)} |")
    return "\n".join(rows) + "\n"


def figures() -> str:
    rows = ["| figure | what it is | unit | better |", "|---|---|---|---|"]
    for kind in KINDS.values():
        name = kind.called.replace("|", "\\|")
        rows.append(f"| `{name}` | {kind.note} | {kind.unit} | {kind.better} |")
    return "\n".join(rows) + "\n"


def modules() -> str:
    rows = ["| module | what it is |", "|---|---|"]
    for path in sorted(PACKAGE.rglob("*.py"), key=lambda p: (p.parent, p.name)):
        sentence = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]
        name = path.relative_to(PACKAGE).as_posix().replace("/__init__.py", "/")
        rows.append(f"| `{name}` | {sentence} |")
    return "\n".join(rows) + "\n"


TABLES = {
    "supports": supports,
    "distributions": distributions,
    "datasets": datasets,
    "formats": formats,
    "figures": figures,
    "modules": modules,
}


def updated(page: str) -> str:
    """A page with its tables as the code has them."""
    return _TABLE.sub(lambda m: m[1] + TABLES[m[2]]() + m[4], page)
