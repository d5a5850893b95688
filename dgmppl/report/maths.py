"""Formulas as MathML, made of elements that a page may hold and of nothing else."""

from __future__ import annotations

from xml.etree import ElementTree

from markupsafe import Markup

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


def formula(latex: str) -> Markup | None:
    """LaTeX as MathML; None where it cannot be converted."""
    from latex2mathml.converter import convert

    try:
        root = ElementTree.fromstring(convert(latex, display="block"))
    except Exception:  # the converter raises what it happens upon
        return None
    made = _copy(root)
    return None if made is None else Markup(ElementTree.tostring(made, encoding="unicode", short_empty_elements=False))


def _copy(element: ElementTree.Element) -> ElementTree.Element | None:
    """An element with what it holds, as far as it is maths; ElementTree escapes its text."""
    name = element.tag.rpartition("}")[2]
    if name not in _ELEMENTS:
        return None
    attributes = {key: value for key, value in element.attrib.items() if key in _ATTRIBUTES}
    if name == "mi" and element.text in _SPACED:
        name, attributes = "mo", {"lspace": "0.17em", "rspace": "0.17em", "stretchy": "false"}
    made = ElementTree.Element(name, attributes)
    made.text = element.text
    made.extend(child for child in map(_copy, element) if child is not None)
    return made
