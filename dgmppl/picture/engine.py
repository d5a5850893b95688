"""Graphviz: DOT text in, a drawing out.

The engine is a C library that prints to standard error and, where it fails, ends its process. So it runs in a
process of its own: a picture that goes wrong takes no notebook with it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from dgmppl.diagnostics import Diagnostic, SpecError

PIXELS_PER_INCH = 144
SECONDS = 120

# Isolated mode (-I) keeps modules that happen to lie in the working directory from being imported.
_WHEEL = f"""
import sys
sys.path.append(sys.argv[2])
import pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
if sys.argv[1] == "png":
    graph.graph_attr["dpi"] = "{PIXELS_PER_INCH}"
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="dot"))
"""


def draw(dot: str, format: str) -> bytes:
    """The drawing of a DOT text as `format` (svg, png or pdf).

    By the engine that pygraphviz carries; by a `dot` on the path where that one does not work.

    Raises:
        SpecError: no Graphviz works here, or it takes longer than two minutes.
    """
    problem = ""
    for command in _commands(format):
        try:
            done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=SECONDS, check=False)
        except OSError as error:
            problem = str(error)
        except subprocess.TimeoutExpired:
            problem = f"no layout after {SECONDS} seconds"
        else:
            if done.returncode == 0 and done.stdout:
                return done.stdout
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            problem = lines[-1] if lines else f"it ended with status {done.returncode}"
    raise SpecError(
        [
            Diagnostic(
                "E704",
                f"Graphviz could not draw the graph{f': {problem}' if problem else ''}",
                help="`pip install pygraphviz` brings an engine along; a .dot file needs none",
            )
        ]
    )


def _commands(format: str) -> list[list[str]]:
    commands = []
    wheel = find_spec("pygraphviz")
    if wheel is not None and wheel.origin and sys.executable:
        folder = Path(wheel.origin).resolve().parent.parent
        commands.append([sys.executable, "-I", "-c", _WHEEL, format, str(folder)])
    system = shutil.which("dot")
    if system is not None:
        dpi = [f"-Gdpi={PIXELS_PER_INCH}"] if format == "png" else []
        commands.append([system, f"-T{format}", *dpi])
    return commands
