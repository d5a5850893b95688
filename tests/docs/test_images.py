"""The specs of 28 x 28 images, on the files that their script writes."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from dgmppl import pipeline
from dgmppl.cli import main

FOLDER = Path(__file__).parents[2] / "examples" / "images"
SPECS = sorted(FOLDER.glob("*.dgm"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the specs and one image of each digit."""
    folder = tmp_path_factory.mktemp("images")
    for spec in SPECS:
        shutil.copy(spec, folder)
    script = importlib.util.spec_from_file_location("make_images", FOLDER / "make_images.py")
    assert script is not None
    assert script.loader is not None
    module = importlib.util.module_from_spec(script)
    script.loader.exec_module(module)
    module.main(folder / "images", copies=1)
    return folder


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_the_spec_is_fine_and_canonical(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not pipeline.read(path).diagnostics
    assert main(["fmt", "--check", str(path)]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_it_trains(path: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("--set", "train.epochs=1", "--set", "train.batch=500")
    assert main(["train", str(images / path.name), *settings, "--device", "cpu", "--out", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "samples.png").exists()
