"""What README.md and CONTRIBUTING.md show is what there is."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dgmppl import cli, pipeline

from .readme import PATH, PICTURE, ROOT, draw, updated

README = PATH.read_text(encoding="utf-8")
PAGES = [PATH, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]


def test_commands_print_what_is_shown() -> None:
    assert updated(README) == README, "write it with: python -m tests.docs"


def test_the_spec_is_the_one_of_the_library() -> None:
    (spec,) = re.findall(r"```dgm\n(.*?)```", README, re.DOTALL)
    assert pipeline.read(spec).spec == pipeline.read(ROOT / "specs" / "latent" / "vae.dgm").spec


def test_the_picture_is_the_one_that_is_drawn(tmp_path: Path) -> None:
    # Where things stand depends on the fonts of the machine; what is drawn does not.
    draw(tmp_path / "vae.svg")
    assert _drawn(PICTURE) == _drawn(tmp_path / "vae.svg")


def _drawn(path: Path) -> list[tuple[str, str]]:
    root = ElementTree.parse(path).getroot()
    shown = [(e.tag.rpartition("}")[2], (e.text or "").strip() + e.get("stroke-dasharray", "")) for e in root.iter()]
    return [(tag, text) for tag, text in shown if tag in ("text", "title", "ellipse", "path")]


def test_every_command_is_shown() -> None:
    actions = [a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction)]
    for name in actions[0].choices:
        assert re.search(rf"`{name}\b|dgmppl {name}\b", README), name


def test_every_spec_stands_in_the_table_with_its_objective() -> None:
    found = re.findall(r"^\| \[.*?\]\((specs/.*?)\) \|[^|]*\| (.*) \|$", README, re.MULTILINE)
    rows = {path: objective.replace("\\|", "|") for path, objective in found}  # a bar in a cell is written so
    specs = {path.relative_to(ROOT).as_posix(): pipeline.read(path).plan for path in (ROOT / "specs").glob("*/*.dgm")}
    assert rows == {path: plan.objective.name for path, plan in specs.items() if plan is not None}


def test_python_runs(tmp_path: Path) -> None:
    (tmp_path / "specs").symlink_to(ROOT / "specs")
    train = ["train", "specs/latent/vae.dgm", "--out", "runs/vae", "--set", "train.epochs=1", "--device", "cpu"]
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    for command in (["-m", "dgmppl.cli", *train], ["-c", code]):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("E305 ")


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(path: Path) -> None:
    page = re.sub(r"```.*?```|`[^`\n]*`|<!--.*?-->", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", page):
        assert (path.parent / "".join(target)).exists(), target


@pytest.mark.parametrize("path", [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "architecture.md"], ids=lambda p: p.name)
def test_files_that_are_named_exist(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    named = re.findall(r"`([\w/.]+/[\w.]*|[\w/]+\.(?:py|md|lark))`", page)
    assert named
    for name in named:
        assert any((folder / name).exists() for folder in (ROOT, ROOT / "dgmppl")), name


def test_names_in_the_recipes_exist() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = "\n".join(p.read_text(encoding="utf-8") for f in ("dgmppl", "tests") for p in (ROOT / f).rglob("*.py"))
    for name in re.findall(r"`(_?[A-Z][A-Z_]+|_[a-z]+|verify_\w+|scope\.\w+)`", page):
        if not name.endswith("_"):
            assert re.search(rf"\b{re.escape(name)}\b", code), name
