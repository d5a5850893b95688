"""Charts and numbers of a page."""

from __future__ import annotations

import base64
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import dgmppl.report
from dgmppl.report.charts import line_chart, mean_and_error, number, scatter
from dgmppl.report.html import Html, box, captioned, code, image, join, lines, narrow, note, page, pairs, panel, table
from dgmppl.report.maths import formula

pytestmark = pytest.mark.painted


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-96.7036, "−96.70"),
        (1234567.0, "1.23e6"),
        (0.001, "0.001"),
        (3e-7, "3e−7"),
        (447.0, "447.0"),
        (math.nan, "not finite"),
        (None, "not finite"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("mean", "error", "texts"),
    [
        (2.51e32, 2.06e31, ("2.51e32", "± 2e31")),
        (-96.7036, 0.5857, ("−96.70", "± 0.59")),
        (0.00341, 0.000204, ("0.00341", "± 0.00020")),
        (12345.6, 230.0, ("12,346", "± 230")),
        (1.5, math.nan, ("1.500", "–")),
        (1.5, 0.0, ("1.500", "± 0")),
        (-math.inf, math.nan, ("not finite", "–")),
    ],
)
def test_a_mean_ends_where_its_error_does(mean, error, texts):
    assert mean_and_error(mean, error) == texts


def svg_of(chart):
    """The drawing of a chart, as the page holds it."""
    (found,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', chart)
    return base64.b64decode(found).decode()


def test_a_chart_is_a_picture_that_fetches_nothing_and_follows_the_page():
    chart = line_chart({"a": [(1, 0.0), (2, 1.0)]}, "rising <b>", 2)
    assert 'alt="rising &lt;b&gt;"' in chart
    found = svg_of(chart)
    root = ElementTree.fromstring(found)
    assert root.tag.endswith("svg")
    assert "prefers-color-scheme:dark" in found
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            if name.endswith("href"):
                assert value.startswith(("#", "data:image/png;base64,"))
            for target in re.findall(r"url\(([^)]*)\)", value):
                assert target.startswith("#")
    assert "script" not in found
    assert "DOCTYPE" not in found
    assert svg_of(line_chart({"a": [(1, 0.0), (2, 1.0)]}, "again", 2)) == found


def test_nothing_finite_is_said():
    assert "no finite values" in line_chart({"a": [(1, math.nan)]}, "nothing")
    assert "no finite values" in scatter({"a": np.full((2, 2), np.nan)}, "none")
    assert "no finite values" in scatter({"a": np.zeros((0, 2))}, "none")


def test_numbers_of_any_size_make_a_chart():
    series = {"a": [(1.0, -1e308), (2.0, 1e308), (3.0, 5.0), (4.0, 6.0), (5.0, math.inf)]}
    assert "nan" not in svg_of(line_chart(series, "wild")).lower()
    wild = np.array([[1e308, -1e308], [1e308, 1e308], [0.0, 1.0]])
    assert "nan" not in svg_of(scatter({"a": wild}, "wild")).lower()


def test_text_is_escaped_and_html_is_not():
    assert join(["<b>&\"'", None, Html("<b>")]) == "&lt;b&gt;&amp;&#34;&#39;<b>"
    assert "<td>&lt;x&gt;</td>" in table(["h"], [["<x>"]])
    assert "&lt;k&gt;" in pairs([("<k>", "v")])
    for made in (note("<"), code("<"), captioned("<", "<"), panel("<", "<", "<"), narrow("<"), lines(["<"])):
        assert "&lt;<" in made
        assert "<<" not in made.replace("&lt;<", "")
    assert box('"><script>', ["<"]) == '<div class="&#34;&gt;&lt;script&gt;">&lt;</div>'
    assert image(b"", "png", '"><b>').endswith('alt="&#34;&gt;&lt;b&gt;">')
    assert "&lt;title&gt;" in page("<title>", [])


def test_no_template_marks_anything_as_safe():
    """What is HTML already comes from a template, from ElementTree, or is a constant of this package."""
    report = Path(dgmppl.report.__file__).parent
    templates = sorted((report / "templates").iterdir())
    assert {path.name for path in templates} == {"compare.html", "page.html", "parts.html", "run.html", "sweep.html"}
    for path in templates:
        text = path.read_text(encoding="utf-8")
        assert "safe" not in re.sub(r"{#-.*?-#}", "", text, flags=re.DOTALL)
        assert "autoescape" not in text
    marking = {path.name for path in report.glob("*.py") if "Markup(" in path.read_text(encoding="utf-8")}
    assert marking == {"html.py", "maths.py"}
    assert (report / "html.py").read_text(encoding="utf-8").count("Markup(") == 4
    assert (report / "maths.py").read_text(encoding="utf-8").count("Markup(") == 1


def test_formulas_hold_nothing_but_maths():
    found = formula(r"\log p(x \mid z) - \mathrm{KL}\left(q \,\|\, p\right)")
    assert found is not None
    assert found.startswith('<math display="block">')
    assert ">log</mo>" in found
    for latex in (r"\href{https://evil.example}{x}", r"\text{<script>alert(1)</script>}", r"\frac{", "\\", ""):
        tried = formula(latex) or ""
        assert "script>" not in tried.replace("&lt;script&gt;", "")
        assert "href" not in tried
