"""Good specs beside what is made of them: `tests/golden/good/<spec>.explain.txt`, `.torch.txt` and `.pyro.txt`.

After a change of the plan's words or of emitted source, `python tests/test_good_specs.py --bless` rewrites them; read
the difference.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dgmppl.diagnostics import SpecError
from dgmppl.pipeline import Checked, check, emit
from dgmppl.plan.explain import explain_plan
from dgmppl.source import Source

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "golden" / "good"

# spec -> overrides that keep it readable
SPECS: dict[str, tuple[str, ...]] = {
    "latent/vae": (),
    "latent/two_level_vae": (),
    "latent/deep_vae": ("L=2",),
    "latent/gmvae": (),
    "semi_supervised/m2": (),
    "hybrid/diglm": (),
    "flow/realnvp": (),
    "energy/rbm": (),
    "adversarial/gan": (),
}
KINDS = ("explain", "torch", "pyro")


def checked(name: str) -> Checked:
    path = ROOT / "specs" / f"{name}.dgm"
    return check(Source(path.name, path.read_text(encoding="utf-8")), None, SPECS[name])


def made(name: str, kind: str) -> str:
    """What is made of a spec, or the message that says why it cannot be."""
    found = checked(name)
    assert found.plan is not None
    if kind == "explain":
        return explain_plan(found.plan, "text").rstrip() + "\n"
    try:
        return emit(found, kind).text
    except SpecError as error:
        return f"{error}\n"


def golden(name: str, kind: str) -> Path:
    return FOLDER / f"{name.split('/')[1]}.{kind}.txt"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SPECS)
def test_what_is_made_is_the_golden_one(name: str, kind: str) -> None:
    wanted = golden(name, kind).read_text(encoding="utf-8")
    assert made(name, kind) == wanted, "bless it if the new one is better"


def test_no_golden_file_is_left_over() -> None:
    assert {p.name for p in FOLDER.iterdir()} == {golden(name, kind).name for name in SPECS for kind in KINDS}


@pytest.mark.parametrize("name", SPECS)
def test_emitted_lines_name_lines_of_the_spec(name: str) -> None:
    found = checked(name)
    emitted = emit(found)
    rows = emitted.text.splitlines()
    assert len(emitted.lines) == len(rows)
    last = found.source.text.count("\n") + 1
    file = f"{name.split('/')[1]}.dgm:"
    for row, at in zip(rows, emitted.lines, strict=True):
        assert at is None or 1 <= at <= last
        if f"  # {file}" in row:
            assert at == int(row.rsplit(":", 1)[1])


def bless() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.glob("*.txt"):
        path.unlink()
    for name in SPECS:
        for kind in KINDS:
            golden(name, kind).write_text(made(name, kind), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["--bless"]:
        raise SystemExit("usage: python tests/test_good_specs.py --bless")
    bless()
