"""Charts and numbers of a page."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from dgmppl.report.charts import line_chart, mean_and_error, number, scatter, short, ticks
from dgmppl.report.html import Html, escape, pairs, table, tag
from dgmppl.report.maths import formula


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


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-110.3, -85.2), (1e-4, 3e-4), (5, 5), (0, 1e7)])
def test_ticks_are_few_round_and_inside(low, high):
    found = ticks(low, high)
    assert 1 <= len(found) <= 6
    assert all(low - 1e-9 <= t <= high + 1e-9 for t in found)
    assert all(len(short(t)) <= 11 for t in found)


def points(chart):
    return [tuple(map(float, p.split(","))) for line in re.findall(r'points="([^"]+)"', chart) for p in line.split()]


def test_a_line_rises_with_its_numbers_and_breaks_where_there_are_none():
    found = points(line_chart({"a": [(1, 0.0), (2, 1.0), (3, 2.0)]}, "rising"))
    assert [x for x, _ in found] == sorted(x for x, _ in found)
    assert [y for _, y in found] == sorted((y for _, y in found), reverse=True)
    broken = line_chart({"a": [(1, 0.0), (2, 1.0), (3, math.nan), (4, 1.0), (5, 0.0)]}, "broken")
    assert broken.count("<polyline") == 2
    assert "no finite values" in line_chart({"a": [(1, math.nan)]}, "nothing")
    assert "<circle" in line_chart({"a": [(1, 3.0)]}, "a single epoch")


def test_many_epochs_are_thinned_and_keep_their_ends():
    found = points(line_chart({"a": [(k, float(k)) for k in range(10_000)]}, "long"))
    assert len(found) <= 502
    assert found[-1] == points(line_chart({"a": [(k, float(k)) for k in range(9_600, 10_000)]}, "end"))[-1]


def test_the_best_epoch_is_marked():
    series = {"a": [(float(k), float(k)) for k in range(1, 9)]}
    assert 'class="mark"' in line_chart(series, "marked", 4)
    assert 'class="mark"' not in line_chart(series, "outside", 40)


def test_a_scatter_keeps_points_and_leaves_out_those_far_off():
    cloud = np.random.default_rng(0).normal(size=(300, 2))
    far = np.array([[1e9, 1e9], [np.nan, 0.0]])
    assert 290 < scatter({"a": cloud}, "cloud").count("<circle") <= 300
    assert scatter({"a": cloud, "b": far}, "far").count("<circle") > 290
    assert "no finite values" in scatter({"a": np.full((2, 2), np.nan)}, "none")
    assert "<circle" in scatter({"a": np.zeros((3, 2))}, "one place")


def test_numbers_of_any_size_make_a_chart():
    series = {"a": [(1.0, -1e308), (2.0, 1e308), (3.0, 5.0), (4.0, 6.0), (5.0, math.inf)]}
    assert "nan" not in line_chart(series, "wild")
    assert line_chart(series, "wild").count("<polyline") == 1
    assert "nan" not in scatter({"a": np.array([[1e308, -1e308], [1e308, 1e308], [0.0, 1.0]])}, "wild")


def test_scatters_that_are_compared_have_the_same_axes():
    few, many = np.random.default_rng(0).normal(size=(20, 2)), np.random.default_rng(1).normal(2, 3, (200, 2))

    def lines(chart):
        return re.findall(r"<line [^>]*>", chart)

    assert lines(scatter({"a": few}, "few", many)) == lines(scatter({"a": many}, "many", few))
    assert lines(scatter({"a": few}, "few")) != lines(scatter({"a": many}, "many"))


def test_text_is_escaped_and_html_is_not():
    assert escape("<b>&\"'") == "&lt;b&gt;&amp;&quot;&#x27;"
    assert escape(Html("<b>")) == "<b>"
    assert tag("p", "<", tag("b", ">"), class_='"') == '<p class="&quot;">&lt;<b>&gt;</b></p>'
    assert tag("meta", name="<", content=None) == '<meta name="&lt;">'
    assert "<td>&lt;x&gt;</td>" in table(["h"], [["<x>"]])
    assert "&lt;k&gt;" in pairs([("<k>", "v")])


def test_formulas_hold_nothing_but_maths():
    found = formula(r"\log p(x \mid z) - \mathrm{KL}\left(q \,\|\, p\right)")
    assert found is not None
    assert found.startswith('<math display="block">')
    assert ">log</mo>" in found
    for latex in (r"\href{https://evil.example}{x}", r"\text{<script>alert(1)</script>}", r"\frac{", "\\", ""):
        tried = formula(latex) or ""
        assert "script>" not in tried.replace("&lt;script&gt;", "")
        assert "href" not in tried
