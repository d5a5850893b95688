"""The look of a picture: colours, fonts, what each role looks like; and text made safe for DOT."""

from __future__ import annotations

import html
from collections.abc import Iterable

import graphviz

INK = "#1f2933"
QUIET = "#66727f"
SHADE = "#d8dee6"
PLATE = "#9aa5b1"
Q = "#1c6dd0"
GIVEN = "#b7791f"
ADVERSARY = "#c53030"
ENERGY = "#2d3748"

GRAPH = {
    "fontname": "Helvetica,Arial,sans-serif",
    "fontcolor": INK,
    "fontsize": "12",
    "bgcolor": "white",
    "rankdir": "TB",
    "ranksep": "0.55",
    "nodesep": "0.35",
    "pad": "0.2",
    "splines": "true",
}
DENSE = {"ranksep": "0.42", "nodesep": "0.25"}
NODE = {
    "fontname": "Helvetica,Arial,sans-serif",
    "fontcolor": INK,
    "fontsize": "13",
    "shape": "ellipse",
    "style": "filled",
    "fillcolor": "white",
    "color": INK,
    "penwidth": "1.2",
    "margin": "0.03,0.02",
    "height": "0.4",
}
EDGE = {
    "fontname": "Helvetica,Arial,sans-serif",
    "fontcolor": QUIET,
    "fontsize": "9",
    "color": INK,
    "penwidth": "1.1",
    "arrowsize": "0.7",
}

NODES: dict[str, dict[str, str]] = {
    "latent": {},
    "observed": {"fillcolor": SHADE},
    "partial": {"fillcolor": f"{SHADE}:white", "gradientangle": "270"},
    "condition": {
        "fillcolor": SHADE,
        "color": GIVEN,
        "penwidth": "2.4",
        "shape": "box",
        "style": "filled,rounded",
        "margin": "0.11,0.07",
    },
    "let": {"shape": "box", "style": "rounded", "color": PLATE, "fontsize": "11", "penwidth": "0.8"},
    "energy": {
        "shape": "square",
        "fillcolor": ENERGY,
        "color": ENERGY,
        "width": "0.42",
        "height": "0.42",
        "margin": "0",
    },
    "adversary": {"shape": "octagon", "fillcolor": "#fdeaea", "color": ADVERSARY, "penwidth": "1.6"},
}
PLATE_BOX = {
    "peripheries": "1",
    "labeljust": "r",
    "labelloc": "b",
    "style": "rounded",
    "color": PLATE,
    "margin": "10",
}
TWICE = {"peripheries": "2"}

EDGES: dict[str, dict[str, str]] = {
    "p": {},
    "q": {"color": Q, "style": "dashed"},
    "let": {"color": QUIET, "penwidth": "0.8", "arrowsize": "0.55"},
    "define": {},
    "energy": {"color": ENERGY, "penwidth": "1.8", "dir": "none"},
    "adversary": {"color": ADVERSARY, "arrowhead": "vee"},
}
CORRECTION = {"arrowhead": "odiamond", "arrowsize": "0.9"}


def twice(colour: str) -> str:
    """Two parallel lines: what a bijection maps."""
    return f"{colour}:invis:{colour}"


def clean(text: str, longest: int = 0) -> str:
    """`text` without characters that no drawing could show, its middle left out beyond `longest`."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
    if longest and len(shown) > longest:
        half = (longest - 3) // 2
        shown = f"{shown[:half]}...{shown[-half:]}"
    return shown


def plain(text: str) -> str:
    """An attribute or a name that reads as `text`: no markup, and its backslashes mean nothing to Graphviz."""
    return graphviz.escape(clean(text))


def markup(text: str) -> str:
    """`text` inside an HTML-like label, where Graphviz still reads escapes after a backslash."""
    return html.escape(text).replace("\\", "\\\\")


def written(text: str, size: float, colour: str = "", tag: str = "", longest: int = 0) -> str:
    """Any `text` as markup in a size; `tag` is B or I, `longest` as in `clean`. An empty text stays empty."""
    shown = markup(clean(text, longest))
    return font(shown, size, colour, tag) if shown else ""


def font(marked: str, size: float, colour: str = "", tag: str = "") -> str:
    inner = f"<{tag}>{marked}</{tag}>" if tag else marked
    paint = f' COLOR="{colour}"' if colour else ""
    return f'<FONT POINT-SIZE="{size:g}"{paint}>{inner}</FONT>'


def label(rows: Iterable[str]) -> str:
    """An HTML-like label of marked up rows; the empty ones are left out."""
    return f"<{'<BR/>'.join(row for row in rows if row)}>"
