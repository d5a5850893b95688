"""Imports point one way, along text -> tree -> graph -> plan -> source, and nothing on that way imports torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dgmppl.diagnostics.codes import CODES

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "dgmppl"

# The first that a module's name starts with is its stage; a stage imports itself and those above it.
STAGES = (
    ("dgmppl.permutations", "dgmppl.extents", "dgmppl.protocol", "dgmppl.words"),
    ("dgmppl.source",),
    ("dgmppl.supports",),
    ("dgmppl.diagnostics",),
    ("dgmppl.syntax",),
    ("dgmppl.catalogue", "dgmppl.data.catalogue"),
    ("dgmppl.graph",),
    ("dgmppl.plan",),
    ("dgmppl.picture",),
    ("dgmppl.emit",),
    ("dgmppl.imports",),
    ("dgmppl.pipeline",),
    ("dgmppl.forecasts", "dgmppl.imputations"),
    ("dgmppl.runtime",),
    ("dgmppl.data",),
    ("dgmppl.train",),
    ("dgmppl.coding",),
    ("dgmppl.apply",),
    ("dgmppl.report",),
    ("dgmppl.closing",),
    ("dgmppl.session",),
    ("dgmppl.lifecycle",),
    ("dgmppl.sweep",),
    ("dgmppl.notebook",),
    ("dgmppl.cli", "dgmppl"),
)
LIGHT = STAGES.index(("dgmppl.pipeline",))
PARSER = {"lark"}  # all that the stages need besides Python itself


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def stage(module: str) -> int:
    fits = [(len(p), k) for k, names in enumerate(STAGES) for p in names if f"{module}.".startswith(f"{p}.")]
    return max(fits)[1]


def imported(module: str, lazy: bool) -> Iterator[str]:
    """What a module imports; `lazy` adds what it imports when a function is called. Types alone never count."""

    def walk(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not lazy:
            return
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in names)
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    yield from walk(ast.parse(MODULES[module].read_text(encoding="utf-8")))


@pytest.mark.parametrize("module", MODULES)
def test_a_stage_imports_only_those_before_it(module: str) -> None:
    ours = [name for name in imported(module, lazy=False) if name.split(".")[0] == "dgmppl"]
    assert [name for name in ours if stage(name) > stage(module)] == []


@pytest.mark.parametrize("module", [m for m in MODULES if stage(m) <= LIGHT and "dgmppl.picture" not in m])
def test_the_stages_need_python_and_the_parser(module: str) -> None:
    roots = {name.split(".")[0] for name in imported(module, lazy=False)}
    assert roots - {"dgmppl"} - PARSER <= sys.stdlib_module_names


def test_the_runtime_knows_nothing_of_specs() -> None:
    """But for the declared types, and the values that are none of theirs, which have one reader."""
    runtime = STAGES.index(("dgmppl.runtime",))
    for module in MODULES:
        if stage(module) == runtime:
            ours = {name for name in imported(module, lazy=True) if name.startswith("dgmppl")}
            known = {stage("dgmppl.permutations"), stage("dgmppl.supports"), runtime}
            assert {stage(name) for name in ours if name != "dgmppl.data.checks"} <= known


def test_no_module_imports_itself_through_others() -> None:
    follows = {m: [n for n in imported(m, lazy=False) if n in MODULES and n != m] for m in MODULES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for following in follows[module]:
                visit(following, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


@pytest.mark.parametrize("spec", ["flow/realnvp", "energy/rbm", "adversarial/gan", "bad"])
def test_check_imports_nothing_heavy(spec: str, tmp_path: Path) -> None:
    path = ROOT / "specs" / f"{spec}.dgm"
    if spec == "bad":
        path = tmp_path / "bad.dgm"
        path.write_text(CODES["E203"].bad, encoding="utf-8")
    script = (
        "import sys; from dgmppl.cli import main; status = main(['check', sys.argv[1]]);"
        "print(status, sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    status, modules = done.stdout.splitlines()[-1].split(" ", 1)
    assert status == ("1" if spec == "bad" else "0")
    heavy = {"torch", "numpy", "sklearn", "scipy", "pyro", "matplotlib", "pandas", "safetensors", "rich"}
    assert heavy & set(ast.literal_eval(modules)) == set()
