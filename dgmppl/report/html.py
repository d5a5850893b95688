"""HTML that is escaped wherever it is not HTML already: a run folder may come from a stranger."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

_VOID = {"br", "img", "meta"}


class Html(str):
    """Text that is HTML. Every other text is escaped where it enters a page."""

    __slots__ = ()


def escape(text: object) -> Html:
    """Text as HTML that shows it; what is HTML stays as it is."""
    return text if isinstance(text, Html) else Html(html.escape(str(text), quote=True))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """An element; `class_` is its class, `aria_label` its aria-label. An attribute that is None is left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value), quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[object], between: str = "") -> Html:
    """HTML of several parts, None among them left out."""
    return Html(between.join(escape(child) for child in children if child is not None))


def table(head: Sequence[object], rows: Iterable[Sequence[object]], numbers: Iterable[int] = ()) -> Html:
    """A table that scrolls on its own when it is too wide; columns of `numbers` are aligned right."""
    right = set(numbers)

    def cell(kind: str, column: int, value: object) -> Html:
        scope = "col" if kind == "th" else None
        return tag(kind, value, class_="number" if column in right else None, scope=scope)

    top = tag("thead", tag("tr", *(cell("th", k, v) for k, v in enumerate(head)))) if head else None
    body = tag("tbody", *(tag("tr", *(cell("td", k, v) for k, v in enumerate(row))) for row in rows))
    return tag("div", tag("table", top, body), class_="wide")


def pairs(rows: Iterable[tuple[object, object]]) -> Html:
    """Names with their values."""
    inside = (tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in rows)
    return tag("div", tag("table", tag("tbody", *inside), class_="pairs"), class_="wide")


def figure(inside: object, caption: object = None, class_: str | None = None) -> Html:
    return tag("figure", inside, tag("figcaption", caption) if caption else None, class_=class_)


def image(content: bytes, kind: str, alt: str, class_: str | None = None, width: int | None = None) -> Html:
    """A picture as part of the page. Scripts in an SVG do not run there, and nothing it names is fetched."""
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return tag("img", src=source, alt=alt, class_=class_, width=width)
