"""Pictures of graphs: what is drawn how, that it can be drawn anywhere, and that no text breaks it."""

from __future__ import annotations

import json
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dgmppl import pipeline
from dgmppl.diagnostics import SpecError
from dgmppl.graph.nodes import Graph
from dgmppl.graph.values import Pushforward
from dgmppl.picture import engine
from dgmppl.picture.edges import node_ids
from dgmppl.picture.graph import dot, render, svg
from dgmppl.picture.style import ADVERSARY, GIVEN, SHADE, Q, clean
from dgmppl.picture.text import bijection_text, density_text, function_text, value_text
from dgmppl.supports import real

from . import drawn

pytestmark = pytest.mark.painted

GOLDEN = Path(__file__).parent / "golden"
ALL = [
    drawn.vae(),
    drawn.vampprior(),
    drawn.top_down_vae(),
    drawn.realnvp(),
    drawn.rbm(),
    drawn.jem(),
    drawn.conditional_gan(),
    drawn.autoregressive(),
    drawn.deep_vae(4),
    drawn.hostile(),
]


class Parsed:
    """The picture as Graphviz reads it: nodes, clusters and edges with their attributes, by the graph's names."""

    def __init__(self, graph: Graph, members: bool = True) -> None:
        text = json.loads(engine.draw(dot(graph, members), "dot_json"))
        names = {node: name for name, node in node_ids(graph).items()}
        objects = {o["_gvid"]: {**o, "name": names.get(o["name"], o["name"])} for o in text["objects"]}
        self.nodes = {o["name"]: o for o in objects.values() if "nodes" not in o}
        self.clusters = [o for o in objects.values() if "nodes" in o and o["name"] != "cluster_model"]
        self.members = [{objects[n]["name"] for n in c["nodes"]} for c in self.clusters]
        self.edges = [(objects[e["tail"]]["name"], objects[e["head"]]["name"], e) for e in text.get("edges", ())]

    def between(self, above: str, below: str) -> list[dict[str, str]]:
        """The edges from the one drawn above to the one below, `p` before `q`."""
        found = [e for tail, head, e in self.edges if (tail, head) == (above, below)]
        return sorted(found, key=lambda e: e.get("style", ""))


@pytest.fixture
def no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")


def texts(drawing: str) -> list[str]:
    root = ElementTree.fromstring(drawing)
    return [t.text or "" for t in root.iter("{http://www.w3.org/2000/svg}text")]


# --- what is drawn -------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", [drawn.vae(), drawn.rbm()], ids=lambda g: g.name)
def test_dot_text(graph: Graph) -> None:
    assert dot(graph) == (GOLDEN / f"{graph.name}.dot").read_text(encoding="utf-8")


def test_roles_differ() -> None:
    drawing = Parsed(drawn.conditional_gan())
    x, y, z, opponent = (drawing.nodes[name] for name in ("x", "y", "z", "D()"))
    assert z["fillcolor"] == "white"
    assert x["fillcolor"] == y["fillcolor"] == SHADE
    assert y["color"] == GIVEN != x["color"]
    assert opponent["shape"] == "octagon"
    assert {tail for tail, head, _ in drawing.edges if head == "D()"} == {"x", "y"}
    assert drawing.between("x", "D()")[0]["color"] == ADVERSARY
    assert Parsed(drawn.top_down_vae()).nodes["r1"]["shape"] == "box"


def test_inference_is_dashed_and_runs_upward() -> None:
    p, q = Parsed(drawn.vae()).between("z", "x")
    assert "style" not in p
    assert "dir" not in p
    assert (q["style"], q["dir"], q["color"]) == ("dashed", "back", Q)


def test_inference_goes_down_where_the_posterior_follows_the_prior() -> None:
    assert ["dir" in e for e in Parsed(drawn.top_down_vae()).between("z2", "z1")] == [False, False]
    assert ["dir" in e for e in Parsed(drawn.deep_vae(4, features=False)).between("z[3]", "z[2]")] == [
        False,
        True,
    ]


def test_a_residual_reads_its_correction_through_a_diamond() -> None:
    drawing = Parsed(drawn.top_down_vae())
    (correction,) = drawing.between("z1", "r1")
    assert correction["arrowtail"] == "odiamond"
    assert "arrowtail" not in drawing.between("z2", "r2")[0]
    assert len(drawing.between("z1", "x")) == 1  # q reads x through r1 only
    assert "residual of p" in drawing.nodes["z1"]["label"]


def test_a_bijection_is_double_and_named() -> None:
    flow = Parsed(drawn.realnvp())
    assert flow.nodes["x"]["peripheries"] == "2"
    assert "peripheries" not in flow.nodes["u"]
    (edge,) = flow.between("u", "x")
    assert edge["color"].count(":") == 2
    assert "floor(8 x (coupling &gt;&gt; reverse))" in edge["label"]
    implicit = Parsed(drawn.conditional_gan())  # deterministic, but nothing to invert
    assert implicit.nodes["x"]["peripheries"] == "2"
    assert ":" not in implicit.between("z", "x")[0]["color"]


def test_a_flow_prior_is_double() -> None:
    prior = Pushforward(real(16), drawn.S, drawn.standard(), drawn.coupling_chain(4))
    node = Parsed(drawn.vae(prior)).nodes["z"]
    assert node["peripheries"] == "2"
    assert "Normal(0, 1) &gt;&gt; 4 x (coupling &gt;&gt; reverse)" in node["label"]
    assert "peripheries" not in Parsed(drawn.vampprior()).nodes["z"]  # its posterior is a flow


def test_an_energy_is_a_square_between_its_arguments() -> None:
    rbm = Parsed(drawn.rbm())
    assert rbm.nodes["E()"]["shape"] == "square"
    assert {(tail, head) for tail, head, _ in rbm.edges} == {("h", "E()"), ("E()", "x")}
    assert all(e["dir"] == "none" for _, _, e in rbm.edges)


def test_the_past_is_a_loop() -> None:
    ((tail, head, loop),) = Parsed(drawn.autoregressive()).edges
    assert tail == head == "x"
    assert "x[&lt;d]" in loop["label"]


def test_families_counted_alike_share_a_plate() -> None:
    drawing = Parsed(drawn.deep_vae(4))
    assert len(drawing.clusters) == 1
    assert "l = 1..4" in drawing.clusters[0]["label"]
    assert drawing.members == [{f"{name}[{n}]" for name in "zr" for n in range(1, 5)}]


LEVELS = """model levels
observed x : real[2] from moons.point
latent z[l in 1..5] : real[2]
let r[l in 1..5] : real[4] = mlp[4](r[l-1])
r[0] = x
p(z[5])          = Normal(0, 1)
p(z[l] | z[l+1]) = Normal(mlp[4](z[l+1]))
p(x | z[1])      = Normal(mlp[4](z[1]))
q(z[l] | x)      = Normal(linear(r[l]))
"""


def test_members_of_which_the_same_is_said_are_one_node() -> None:
    graph = pipeline.read(LEVELS).graph
    assert graph is not None
    drawing = Parsed(graph, members=False)
    assert set(drawing.nodes) == {"x", "z[1]", "z[5]", "r[0]", "r[1]"}
    plates = zip(drawing.clusters, drawing.members, strict=True)
    told = [next(t for t in ("l = 1..4", "l = 1..5") if t in c["label"]) for c, _ in plates]
    assert dict(zip(told, drawing.members)) == {"l = 1..4": {"z[1]"}, "l = 1..5": {"r[1]"}}
    labels = {(tail, head): e.get("label", "") for tail, head, e in drawing.edges}
    for ends, text in {
        ("z[1]", "z[1]"): "z[l + 1]",
        ("r[1]", "r[1]"): "r[l - 1]",
        ("z[5]", "z[1]"): "z[4]",
        ("z[1]", "x"): "z[1]",
        ("r[1]", "z[5]"): "r[5]",
        ("x", "r[0]"): "",
    }.items():
        found = labels.get(ends, labels.get(ends[::-1], "none"))
        assert text in found and (text or not found), (ends, found)
    every = Parsed(graph, members=True)
    assert {v.name for v in graph.variables} == set(every.nodes)


def test_what_rows_have_in_common_stands_outside_their_plate() -> None:
    found = pipeline.read(
        """model schools
observed school : categorical(8) from "schools.csv".school
observed y : real from "schools.csv".y
latent mu[k in 1..2] : real per data
latent m : real per school
latent z : real
let f = exp(m)
p(mu[k]) = Normal(0, 1)
p(m | mu[1]) = Normal(mu[1], 1)
p(z | mu[2]) = Normal(mu[2], 1)
p(y | m, z) = Normal(z, f)
q(z | y) = Normal(mlp[4](y))
"""
    )
    assert found.graph is not None
    drawing = Parsed(found.graph)
    told = {
        next(t for t in ("k = 1..2", "per school, 8", "rows") if t in cluster["label"]): members
        for cluster, members in zip(drawing.clusters, drawing.members, strict=True)
    }
    assert told == {"k = 1..2": {"mu[1]", "mu[2]"}, "per school, 8": {"m", "f"}, "rows": {"school", "y", "z"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (density_text(drawn.standard()), "Normal(0, 1)"),
        (density_text(drawn.dist("Categorical", "z")), "Categorical"),
        (density_text(drawn.vampprior().factors[0].density), "mixture[16] of q(z | x)"),
        (density_text(drawn.vampprior().factors[2].density), "Normal >> 4 x householder"),
        (density_text(drawn.autoregressive().factors[0].density), "Categorical"),
        (bijection_text(drawn.coupling_chain()), "8 x (coupling >> reverse)"),
        (bijection_text(drawn.coupling_chain(1)), "coupling >> reverse"),
        (function_text(drawn.net("x", hidden=(256,), out="tanh")), "mlp[256, out = tanh]"),
        (function_text(drawn.net("x", kind="linear", hidden=())), "linear"),
        (value_text(drawn.jem().energy.value), "-mlp[256](x)[y]"),
        (value_text(drawn.products()), "a * (b - (a + b)) - (a - b) * -b ^ 2"),
    ],
)
def test_short_texts(text: str, expected: str) -> None:
    assert text == expected


# --- drawing -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_path")
@pytest.mark.parametrize("graph", ALL, ids=lambda g: clean(g.name))
def test_svg_needs_no_program_on_the_path(graph: Graph) -> None:
    shown = texts(svg(graph))
    assert clean(graph.name) in shown
    assert {clean(v.name) for v in graph.variables} <= set(texts(svg(graph, members=True)))


@pytest.mark.usefixtures("no_path")
@pytest.mark.parametrize(
    ("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".PDF", b"%PDF"), (".dot", b"digraph")]
)
def test_render_by_suffix(tmp_path: Path, suffix: str, start: bytes) -> None:
    path = tmp_path / f"vae{suffix}"
    render(drawn.vae(), path)
    assert path.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["vae.jpg", "vae", ".svg"])
def test_an_unknown_suffix_names_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match=r"\.svg, \.png, \.pdf or \.dot") as caught:
        render(drawn.vae(), tmp_path / name)
    assert [d.code for d in caught.value.diagnostics] == ["E703"]
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "vae.dot"
    path.write_text("old")

    def full(self: Path, target: Path) -> Path:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        render(drawn.vae(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_without_graphviz_there_is_a_way_out(monkeypatch: pytest.MonkeyPatch, no_path: None) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(SpecError) as caught:
        svg(drawn.vae())
    assert [d.code for d in caught.value.diagnostics] == ["E704"]
    assert "pygraphviz" in caught.value.diagnostics[0].help


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_a_dot_on_the_path_is_the_second_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "dot"
    program.write_text('#!/bin/sh\necho "<svg>$1</svg>"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "-Tsvg" not in svg(drawn.vae())
    monkeypatch.setattr(engine, "_WHEEL", "raise SystemExit(1)")
    assert svg(drawn.vae()).strip() == "<svg>-Tsvg</svg>"


def test_the_working_directory_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pygraphviz", "json", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')")
    monkeypatch.chdir(tmp_path)
    assert svg(drawn.vae())
    assert not (tmp_path / "ran").exists()


def test_formulas_are_told_as_such() -> None:
    text = 'model m\nobserved x : integer[2] from "a.npz".x\nlatent u : real[2]\nflow f = affine\np(u) = Normal(0, 1)\n'
    graph = pipeline.read(f"{text}x = floor(256 * f(u) - 1)\n").graph
    assert graph is not None
    assert function_text(graph.definitions[0].value) == "floor(affine >> times 256 plus -1)"
    text = 'model m\nobserved x : real[2] from "a.npz".x\nobserved y : real[2] from "a.npz".y\n'
    graph = pipeline.read(f"{text}p(x | y) = y + (Normal(0, 1) >> sigmoid)\n").graph
    assert graph is not None
    assert density_text(graph.factors[0].density) == "Normal(0, 1) >> sigmoid >> plus y"


# --- any text, any size --------------------------------------------------------------------------


def test_hostile_text_stays_text() -> None:
    graph = drawn.hostile()
    drawing = Parsed(graph)
    assert set(drawing.nodes) == {v.name for v in graph.variables}
    assert not drawing.edges
    assert {node["shape"] for node in drawing.nodes.values()} == {"ellipse"}
    shown = texts(svg(graph))
    assert '"weird|file""."weird|file""' in shown
    assert "<script>\\G\"'" in shown
    assert "<script" not in svg(graph)


def test_clean_keeps_both_ends() -> None:
    assert clean("a\n\tb") == "a b"
    assert clean("\x00\ud800x") == "\N{REPLACEMENT CHARACTER}" * 2 + "x"
    assert clean("abcdefghijkl", 9) == "abc...jkl"


@pytest.mark.parametrize("graph", [drawn.deep_vae(25), drawn.wide()], ids=lambda g: g.name)
def test_fifty_variables_do_not_overlap(graph: Graph) -> None:
    assert len(graph.variables) >= 50
    boxes = {}
    for line in engine.draw(dot(graph), "plain").decode().splitlines():
        if line.startswith("node "):
            name, *numbers = line.split()[1:6]
            boxes[name] = [float(n) for n in numbers]
    assert len(boxes) == len(graph.variables)
    for (x1, y1, w1, h1), (x2, y2, w2, h2) in combinations(boxes.values(), 2):
        assert abs(x1 - x2) >= (w1 + w2) / 2 or abs(y1 - y2) >= (h1 + h2) / 2
