"""A graph as a picture, drawn by Graphviz.

Observed variables are shaded, latent ones white, let-bound features small; a condition has a border of its
own. A variable that is a function of others has a double border, a bijection a double edge. What `q` reads is
dashed and blue; a filled square is an energy, a red octagon an adversary, a box around variables a family,
what each row has, or each group, where rows have latents in common.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import graphviz

from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.graph.names import declared_name
from dgmppl.graph.nodes import DataSource, Energy, Factor, Graph, Variable
from dgmppl.graph.values import Residual, walk
from dgmppl.picture import style
from dgmppl.picture.edges import edges, node_ids, pushes
from dgmppl.picture.engine import draw
from dgmppl.picture.folding import Folding, Run, folded
from dgmppl.picture.style import clean, font, label, markup, plain, written
from dgmppl.picture.text import density_text, function_text, network_text, value_text
from dgmppl.supports import number_text

FORMATS = ("svg", "png", "pdf", "dot")
CROWDED = 20  # beyond so many variables each takes fewer, longer lines


def render(graph: Graph, path: Path, members: bool = False) -> None:
    """Writes the picture to `path`, in the format that its suffix names: svg, png, pdf or dot. Members of families of
    which the same is said are one node, or each has its own.

    The file is written beside it and moved there, so a failure leaves what was there before.

    Raises:
        SpecError: another suffix (E703), no working Graphviz (E704).
        OSError: the file cannot be written.
    """
    format = path.suffix[1:].lower()
    if format not in FORMATS:
        headline = f"a graph is written to .svg, .png, .pdf or .dot, not to {path.name or path}"
        raise SpecError([Diagnostic("E703", headline)])
    source = dot(graph, members)
    content = source.encode() if format == "dot" else draw(source, format)
    _write(path, content)


def svg(graph: Graph, members: bool = False) -> str:
    """The picture as SVG text, without the XML prologue, so that a page can hold it.

    Raises:
        SpecError: no working Graphviz (E704).
    """
    text = draw(dot(graph, members), "svg").decode()
    return text[text.index("<svg") :]


def dot(graph: Graph, members: bool = False) -> str:
    """The picture as DOT, Graphviz's language. Equal graphs give equal text."""
    folding = folded(graph, lambda name: _texts(graph, graph[name]), members)
    look = style.GRAPH | (style.DENSE if len(folding.runs) > CROWDED else {})
    legend = {"labelloc": "b", "label": label([_legend(graph)])}
    picture = graphviz.Digraph(plain(graph.name), graph_attr=look, node_attr=style.NODE, edge_attr=style.EDGE)
    picture.attr("graph", **legend)
    with picture.subgraph(name="cluster_model", graph_attr={"labelloc": "t", "peripheries": "0"}) as model:
        model.attr("graph", label=_title(graph))
        _draw_nodes(model, graph, folding)
        ids = node_ids(graph)
        for edge in folding.edges(edges(graph)):
            first, last = edge.ends()
            model.edge(ids[first], ids[last], **edge.attributes())
    return picture.source


def _draw_nodes(model: graphviz.Digraph, graph: Graph, folding: Folding) -> None:
    """Variables, those of a family inside its plate, then the energy and the adversaries. Where rows have something in
    common, what they have of their own stands in a plate of rows, and what each group has in one of groups."""
    ids = node_ids(graph)
    own: list[Run] = []
    common: list[Run] = []
    groups: dict[str, list[Run]] = {}
    for run in folding.runs:
        v = graph[run.first]
        (groups.setdefault(v.group, []) if v.group is not None else own if v.rows else common).append(run)
    if not graph.shared:
        _draw_variables(model, graph, folding.runs, "")
    else:
        _draw_variables(model, graph, common, "")
        for k, (name, members) in enumerate(groups.items()):
            with _box(model, f"group_{k}", f"per {name}, {graph[name].type.support.size}") as plate:
                _draw_variables(plate, graph, members, f"group_{k}_")
        with _box(model, "rows", "rows") as plate:
            _draw_variables(plate, graph, own, "rows_")
    for name, look in (*_energy(graph), *_adversaries(graph)):
        model.node(ids[name], **look)


def _draw_variables(picture: graphviz.Digraph, graph: Graph, runs: Sequence[Run], prefix: str) -> None:
    ids = node_ids(graph)
    plates = _plates(graph, runs)
    inside = {run.first for _, members in plates for run in members}
    for run in runs:
        if run.first not in inside:
            picture.node(ids[run.first], **_variable(graph, run))
    for number, (text, members) in enumerate(plates):
        with _box(picture, f"{prefix}{number}", text) as plate:
            for run in members:
                plate.node(ids[run.first], **_variable(graph, run))


@contextmanager
def _box(picture: graphviz.Digraph, name: str, text: str) -> Iterator[graphviz.Digraph]:
    """A plate with what it counts written in it."""
    with picture.subgraph(name=f"cluster_{name}", graph_attr=style.PLATE_BOX) as plate:
        plate.attr("graph", label=label([written(text, 10, style.QUIET)]))
        yield plate


# --- nodes ---------------------------------------------------------------------------------------


def _texts(graph: Graph, variable: Variable) -> tuple[str, ...]:
    """What is written of a variable: its name, its role, where its values come from, its laws, and what is told of it
    where the pointer rests."""
    factors = [graph.factor(side, variable.name) for side in ("p", "q")]
    definition = graph.definition(variable.name)
    laws = [_law(f) if f is not None else "" for f in factors]
    keys = [f"{f.key} = {density_text(f.density)}" for f in factors if f is not None]
    role = "condition" if variable.name in graph.conditions else variable.role
    hover = "; ".join([f"{variable.role} {variable.shown}", *keys])
    defined = function_text(definition.value) if definition is not None else ""
    return variable.shown, role, _data(variable.data) if variable.data else "", *laws, defined, hover


def _variable(graph: Graph, run: Run) -> dict[str, str]:
    variable = graph[run.first]
    shown, role, data, p, q, function, hover = run.texts
    types = list(dict.fromkeys(graph[m].element.describe() for m in (run.first, run.members[-1])))
    type_ = " .. ".join(types)
    look = dict(style.NODES[role])
    factor, definition = graph.factor("p", variable.name), graph.definition(variable.name)
    if role == "let":
        rows = [[written(shown, 11), written(function, 8, style.QUIET, longest=30)], [_type(type_, 8)]]
    else:
        given = written("given", 9, style.GIVEN, "I") if role == "condition" else ""
        rows = [
            [written(shown, 13, tag="B"), _type(type_, 9)],
            [written(data, 8, style.QUIET, "I", 34) if data else "", given],
            [_distribution("p", p, style.INK), _distribution("q", q, style.Q)],
        ]
        if definition is not None or (factor is not None and pushes(factor.density)):
            look |= style.TWICE
    if len(graph.variables) > CROWDED:
        lines = ["&nbsp; ".join(filter(None, row)) for row in rows]
    else:
        lines = [part for row in rows for part in row]
    head, *laws = hover.split("; ", 1)
    return {"label": label(lines), **look, "tooltip": plain("; ".join([f"{head} : {type_}", *laws]))}


def _type(text: str, size: float) -> str:
    return written(text, size, style.QUIET, longest=34)


def _law(factor: Factor) -> str:
    density = factor.density
    return f"residual of {density.prior[:1]}" if isinstance(density, Residual) else density_text(density)


def _distribution(side: str, text: str, colour: str) -> str:
    return font(f"<I>{side}</I> {markup(clean(text, 44))}", 9, colour) if text else ""


def _data(data: DataSource) -> str:
    """`threshold(digits.image, 8)`, as in the spec."""
    text = data.text
    for name, numbers in data.transforms:
        text = f"{name}({', '.join([text, *map(number_text, numbers)])})"
    return text


def _energy(graph: Graph) -> Iterator[tuple[str, dict[str, str]]]:
    if graph.energy is not None:
        look = {"label": label([written("E", 14, "white", "B")]), **style.NODES["energy"]}
        yield "E()", {**look, "tooltip": plain(_energy_text(graph.energy))}


def _energy_text(energy: Energy) -> str:
    return f"E({', '.join(energy.arguments)}) = {value_text(energy.value)}"


def _adversaries(graph: Graph) -> Iterator[tuple[str, dict[str, str]]]:
    for adversary in graph.adversaries:
        kind = network_text(adversary.module)
        rows = [
            written(adversary.name, 13, style.ADVERSARY, "B"),
            written(kind, 9, style.QUIET, longest=30),
        ]
        hover = f"adversary {adversary.name}({', '.join(adversary.arguments)}) = {kind}"
        yield f"{adversary.name}()", {"label": label(rows), **style.NODES["adversary"], "tooltip": plain(hover)}


def _plates(graph: Graph, runs: Sequence[Run]) -> list[tuple[str, list[Run]]]:
    """Plates with what is in each: families that are folded, by the range of their members; of families whose members
    stand one by one all of these, those counted by one name over one range together."""
    folded_ = {declared_name(run.first) for run in runs if run.range}
    plates: dict[str, list[Run]] = {}
    families: dict[str, list[Run]] = {}
    for run in runs:
        v = graph[run.first]
        if run.range:
            plates.setdefault(run.range, []).append(run)
        elif v.family is not None and v.index is not None and declared_name(v.name) not in folded_:
            families.setdefault(v.family, []).append(run)
    for name, members in families.items():
        numbers = [index for run in members if (index := graph[run.first].index) is not None]
        counter = next((c for run in members if (c := graph[run.first].counter)), None) or f"{name}[ ]"
        plates.setdefault(f"{counter} = {min(numbers)}..{max(numbers)}", []).extend(members)
    for run in runs:
        v = graph[run.first]
        if v.along is not None:
            plates.setdefault(f"{v.along.letter} = {v.members[0]}..{v.members[-1]}", []).append(run)
    return list(plates.items())


# --- around them -----------------------------------------------------------------------------------


def _title(graph: Graph) -> str:
    energy = _energy_text(graph.energy) if graph.energy else ""
    return label([written(graph.name, 16, tag="B"), written(energy, 10, style.QUIET, longest=70)])


def _legend(graph: Graph) -> str:
    """One quiet line about what the picture uses and nobody could guess."""
    sides = {f.side for f in graph.factors}
    entries = []
    if graph.observed:
        entries.append(written("shaded: observed", 8, style.QUIET))
    if graph.partial:
        entries.append(written("half shaded: seen in some rows", 8, style.QUIET))
    if graph.conditions:
        entries.append(written("ochre border: given", 8, style.GIVEN))
    if "q" in sides:
        entries.append(written("dashed: q", 8, style.Q))
    if any(isinstance(part, Residual) for f in graph.factors for part in walk(f.density)):
        entries.append(written("diamond: corrects the prior", 8, style.Q))
    twice = any(graph[d.variable].role != "let" for d in graph.definitions)
    if twice or any(f.side == "p" and pushes(f.density) for f in graph.factors):
        entries.append(written("double border: through a function or bijection", 8, style.QUIET))
    if graph.adversaries:
        entries.append(written("octagon: adversary", 8, style.ADVERSARY))
    return " &nbsp; ".join(entries)


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
