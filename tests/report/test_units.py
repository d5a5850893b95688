"""The page tells values in the units of the data: names on the axes, numbers that the data has, classes as texts."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dgmppl.train.pictures import Shown
from dgmppl.train.units import DataUnits
from tests.apply.runs import PEOPLE, fit, people

from .runs import parse

pytestmark = pytest.mark.painted


def charts(page: Path) -> dict[str, str]:
    """The text of each SVG of a page by what it says to who sees none."""
    found = {}
    for element in parse(page).all("img"):
        kind, _, content = element.attributes["src"].partition(";base64,")
        if kind == "data:image/svg+xml":
            texts = re.findall(r"<text[^>]*>([^<]*)</text>", base64.b64decode(content).decode())
            found[element.attributes["alt"]] = " ".join(texts)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("people")
    people().to_csv(found / "people.csv", index=False)
    fit(found, PEOPLE)
    return found / "run"


def test_axes_and_legends_have_the_names_and_units_of_the_data(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    every = charts(folder / "report.html")
    samples = next(text for alt, text in every.items() if alt.startswith("samples: ") and "values of x" in alt)
    back = next(text for alt, text in every.items() if "given back" in alt)
    for text in (samples, back):
        assert "height" in text and "weight" in text
        numbers = [float(n.replace("\u2212", "-")) for n in re.findall(r"[\u2212\d.]+", text)]
        assert max(numbers) > 150  # centimetres
    classes = next(text for alt, text in every.items() if "values of y" in alt)
    assert all(name in classes for name in ("short", "middling", "tall"))
    assert all(f"y = {name}" in page for name in ("short", "middling", "tall"))
    assert "y = 1" not in page


def test_a_report_without_the_data_keeps_its_units(folder: Path) -> None:
    from dgmppl.report.page import report_run

    (folder.parent / "people.csv").rename(folder.parent / "gone.csv")
    try:
        report_run(folder)
    finally:
        (folder.parent / "gone.csv").rename(folder.parent / "people.csv")
    every = charts(folder / "report.html")
    assert any("height" in text for text in every.values())


def test_black_and_white_are_the_ends_of_the_data(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", x=rng.integers(0, 17, (40, 8, 8)))
    text = 'model m\nobserved x : interval(-1, 1)[64] from rescale(flatten("x.npz".x), -1, 1)\n'
    run = fit(tmp_path, text + "p(x) = Normal(param)\ntrain { epochs = 1 }\n")
    shown = DataUnits(run.graph, run.fields).shown("x")
    assert isinstance(shown, Shown)
    assert shown.type.shape == (8, 8) and (shown.type.support.low, shown.type.support.high) == (0, 16)
    run.sample(9).write(tmp_path / "s.png")
    assert Image.open(tmp_path / "s.png").size[0] > 100
