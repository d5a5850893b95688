"""Formulas as MathML, made of elements that a page may hold and of nothing else."""

from __future__ import annotations

from xml.etree import ElementTree

from dgmppl.report.html import Html, tag

# fmt: off
_ELEMENTS = {
    "math", "mrow", "mi", "mo", "mn", "ms", "mtext", "mspace", "msub", "msup", "msubsup", "mfrac", "msqrt", "mroot",
    "munder", "mover", "munderover", "mtable", "mtr", "mtd", "mstyle", "mpadded", "mphantom",
}
_ATTRIBUTES = {
    "display", "stretchy", "fence", "form", "movablelimits", "mathvariant", "width", "lspace", "rspace",
    "linethickness", "columnalign",
}
# fmt: on
# Functions whose argument stands beside them without parentheses.
_SPACED = {"log", "det", "exp"}


def formula(latex: str) -> Html | None:
    """LaTeX as MathML; None where it cannot be converted."""
    from latex2mathml.converter import convert

    try:
        root = ElementTree.fromstring(convert(latex, display="block"))
    except Exception:  # the converter raises what it happens upon
        return None
    return _copy(root)


def _copy(element: ElementTree.Element) -> Html | None:
    name = element.tag.rpartition("}")[2]
    if name not in _ELEMENTS:
        return None
    attributes = {key: value for key, value in element.attrib.items() if key in _ATTRIBUTES}
    if name == "mi" and element.text in _SPACED:
        name, attributes = "mo", {"lspace": "0.17em", "rspace": "0.17em", "stretchy": "false"}
    return tag(name, element.text or "", *(_copy(child) for child in element), **attributes)
