"""HTML from templates: Jinja2 escapes what enters them, for a run folder may come from a stranger."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from dgmppl.report.style import POLICY, STYLE

Html = Markup
"""Text that is HTML. Every other text is escaped where it enters a page."""


@cache
def _environment() -> Environment:
    loader = PackageLoader("dgmppl.report")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def template(name: str, /, **values: object) -> Html:
    """A template of `templates/` with these values."""
    return Markup(_environment().get_template(name).render(**values))


def macro(name: str, of: str, /, *values: object, **named: object) -> Html:
    """A macro `of` the template `name` with these values."""
    found: Any = getattr(_environment().get_template(name).module, of)
    return Markup(found(*values, **named))


def join(children: Iterable[object], between: str = "") -> Html:
    """HTML of several parts, None among them left out; text among them is escaped."""
    return Markup(between).join(escape(child) for child in children if child is not None)


def page(title: str, parts: Sequence[object]) -> str:
    """A whole page around its parts."""
    return template("page.html", title=title, parts=parts, policy=POLICY, style=Markup(STYLE)) + "\n"


def table(head: Sequence[object], rows: Iterable[Sequence[object]], numbers: Iterable[int] = ()) -> Html:
    """A table that scrolls on its own when it is too wide; columns of `numbers` are aligned right."""
    return macro("parts.html", "table", head, list(rows), set(numbers))


def pairs(rows: Iterable[tuple[object, object]]) -> Html:
    """Names with their values."""
    return macro("parts.html", "pairs", list(rows))


def captioned(inside: object, caption: object = None) -> Html:
    """A picture with what stands below it."""
    return macro("parts.html", "figure", inside, caption)


def panel(title: str, chart: object, caption: object = None) -> Html:
    """A chart with its title above it."""
    return macro("parts.html", "panel", title, chart, caption)


def box(class_: str, children: Sequence[object]) -> Html:
    """Parts in one element of a class."""
    return macro("parts.html", "box", class_, children)


def narrow(inside: object) -> Html:
    """A single picture, no wider than one of several would be."""
    return macro("parts.html", "narrow", inside)


def lines(texts: Iterable[object]) -> Html:
    """Texts, each on a line of its own."""
    return macro("parts.html", "lines", list(texts))


def legend(names: Sequence[str], colours: int) -> Html:
    """Names with the colours of series, of which there are so many."""
    return macro("parts.html", "legend", names, colours)


def note(text: object) -> Html:
    """A remark below what it is about."""
    return macro("parts.html", "note", text)


def code(text: object) -> Html:
    """Text as a machine takes it."""
    return macro("parts.html", "code", text)


def image(content: bytes, kind: str, alt: str, class_: str | None = None, width: int | None = None) -> Html:
    """A picture as part of the page. Scripts in an SVG do not run there, and nothing it names is fetched."""
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return macro("parts.html", "image", {"src": source, "alt": alt, "class": class_, "width": width})
