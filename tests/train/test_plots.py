"""Charts: what is on them, for numbers of any size, whatever the caller's matplotlib is set to."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure

from dgmppl.supports import REAL, Interval, Type
from dgmppl.train.pictures import Shown, draw_samples
from dgmppl.train.plots import bin_edges, draw_histograms, draw_lines, draw_points, literal, render, thinned

pytestmark = pytest.mark.painted

SERIES = {"a": [(float(k), float(k)) for k in range(1, 41)]}


def axes_of(draw, *arguments):
    axes = Figure().subplots()
    draw(axes, *arguments)
    return axes


def test_a_line_holds_its_numbers_and_breaks_where_there_are_none():
    axes = axes_of(draw_lines, {"a": [(1, 0.0), (2, 1.0), (3, math.inf), (4, 1e200), (5, 2.0)]})
    (line,) = axes.lines
    assert line.get_xdata().tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(line.get_ydata(), [0.0, 1.0, math.nan, math.nan, 2.0])
    (single,) = axes_of(draw_lines, {"a": [(1, 3.0)]}).lines
    assert single.get_marker() == "o"
    assert not axes_of(draw_lines, {"a": [(1, math.nan)], "b": []}).lines[0].get_ydata()[0] > 0


def test_many_epochs_are_thinned_and_keep_their_ends():
    xs, ys = thinned([(k, float(k)) for k in range(10_000)])
    assert len(xs) == len(ys) <= 502
    assert (xs[0], xs[-1], ys[-1]) == (0, 9_999, 9_999.0)


def test_a_start_far_off_does_not_set_the_scale():
    far = {"a": [(1.0, -1e6), *SERIES["a"][2:]]}
    low, high = axes_of(draw_lines, far).get_ylim()
    assert 0 < low < 4
    assert 40 < high < 43


def test_the_best_epoch_is_marked():
    assert axes_of(draw_lines, SERIES, 4.0).lines[-1].get_xdata()[0] == 4.0
    assert len(axes_of(draw_lines, SERIES, 4.0).lines) == 2
    assert len(axes_of(draw_lines, SERIES, 99.0).lines) == 1


def test_a_scatter_keeps_points_and_leaves_out_those_far_off():
    cloud = np.random.default_rng(0).normal(size=(300, 2))
    far = np.array([[1e9, 1e9], [np.nan, 0.0]])
    axes = axes_of(draw_points, {"a": cloud, "b": far})
    assert [len(c.get_offsets()) for c in axes.collections] == [300, 1]
    assert axes.get_xlim()[1] < 5
    one = axes_of(draw_points, {"a": np.full((3, 2), 1.7e9)})
    assert one.get_xlim()[0] < 1.7e9 < one.get_xlim()[1]


def test_scatters_that_are_compared_have_the_same_axes():
    few, many = np.random.default_rng(0).normal(size=(20, 2)), np.random.default_rng(1).normal(2, 3, (200, 2))
    assert axes_of(draw_points, {"a": few}, many).get_xlim() == axes_of(draw_points, {"a": many}, few).get_xlim()
    assert axes_of(draw_points, {"a": few}).get_xlim() != axes_of(draw_points, {"a": many}).get_xlim()


def f32(*values):
    return np.array(values, dtype=np.float32)


@pytest.mark.parametrize(
    ("values", "discrete", "bars"),
    [
        (f32(5, 5, 5), False, 1),
        (f32(5), False, 1),
        (f32(0, 0), False, 1),
        (f32(1e38, 1e38), False, 1),
        (f32(-3e-39, -3e-39), False, 1),
        (f32(5, np.nextafter(np.float32(5), np.float32(6))), False, 2),
        # Neighbours at 1.7e9 are 128 apart in single precision.
        (f32(1.7e9, 1.7e9 + 128, 1.7e9 + 256), False, 3),
        (f32(1.7e9, 1.7e9 + 128 * 29), False, 30),
        (f32(0, 1, np.nan, np.inf, -np.inf), False, 30),
        (f32(-3e38, 3e38), False, 30),
        (f32(np.nan, np.inf), False, 1),
        (f32(3, 3), True, 1),
        (f32(0, 2, 9), True, 10),
        (f32(1e7, 1e7 + 3), True, 4),
        (f32(1e17, 1e17), True, 1),
        (np.array([1e20, 1e20 + 1e6]), False, 1),
    ],
)
def test_as_many_bars_as_can_be_told_apart(values, discrete, bars):
    edges = bin_edges(values, discrete)
    assert len(edges) == bars + 1
    assert (np.diff(edges) > 0).all()
    finite = values[np.isfinite(values)].astype(float)
    counts, _ = np.histogram(finite, edges)
    assert counts.sum() == len(finite)
    if bars <= 3 and finite.size:
        assert (counts > 0).all()
    axes = axes_of(draw_histograms, values[:, None], discrete)
    assert len(axes.patches) == 1


@pytest.mark.parametrize("shape", [(), (2,), (5,), (8, 8), (8, 8, 3)])
@pytest.mark.parametrize("value", [0.0, 5.0, -1e38, 3e38, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("rows", "support"), [(1, REAL), (3, Interval(-1, 1))])
@pytest.mark.filterwarnings("error")
def test_samples_that_are_all_the_same_are_drawn(tmp_path, shape, value, rows, support):
    values = np.full((rows, *shape), value, dtype=np.float32)
    draw_samples({"x": values}, {"x": Shown(Type(support, shape))}, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_text_of_a_stranger_is_text():
    for name in ("$x_", "_hidden", "$\\frac{$", "<b>&", "\u202e"):
        svg = render(lambda figure, name=name: figure.subplots().set_title(literal(name)), 2, 2, "svg").decode()
        assert "<b>" not in svg


SCRIPT = """
import sys
import numpy as np
from dgmppl.supports import REAL, Type
from dgmppl.train.pictures import Shown, draw_samples
from dgmppl.train.plots import draw_lines, render
draw_samples({"x": np.arange(5.0)}, {"x": Shown(Type(REAL))}, __import__("pathlib").Path(sys.argv[1]))
sys.stdout.buffer.write(render(lambda f: draw_lines(f.subplots(), {"a": [(1, 0.5), (2, 1.5)]}), 3, 2, "svg"))
import os
assert os.environ.get("MPLBACKEND") == (sys.argv[2] or None)
"""


@pytest.mark.parametrize("form", ["png", "svg"])
def test_names_in_any_script_are_drawn_without_a_warning(form):
    """\U00013080 is a hieroglyph, for which hardly a machine has a font."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = render(lambda figure: figure.suptitle("身高 \U00013080"), 2, 1, form)
    assert not told
    assert form == "png" or "身高 \U00013080" in found.decode()


def test_nothing_of_the_callers_surroundings_reaches_a_picture(tmp_path):
    settings = tmp_path / "matplotlibrc"
    settings.write_text("text.usetex: True\naxes.formatter.use_locale: True\nsavefig.dpi: 3\nfigure.facecolor: black\n")
    common = {k: v for k, v in os.environ.items() if k not in ("MPLBACKEND", "MATPLOTLIBRC")}
    found = []
    for k, more in enumerate(
        (
            {},
            {"MPLBACKEND": "module://nowhere.at_all", "MATPLOTLIBRC": str(settings), "LC_ALL": "C"},
            {"MPLBACKEND": "no such", "LC_ALL": "de_DE.UTF-8", "PYTHONIOENCODING": "ascii", "DISPLAY": ""},
        )
    ):
        out = tmp_path / f"{k}.png"
        command = [sys.executable, "-c", SCRIPT, str(out), more.get("MPLBACKEND", "")]
        done = subprocess.run(command, env={**common, **more}, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        found.append((out.read_bytes(), done.stdout))
    assert found[0] == found[1] == found[2]
