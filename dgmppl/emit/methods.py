"""Methods that both targets share: one a factor, one a definition."""

from __future__ import annotations

from collections.abc import Iterable

from dgmppl.emit.densities import factor_reads, write_density
from dgmppl.emit.expr import Binary, Tuple, call, sizes
from dgmppl.emit.values import Place, Step, value_expr
from dgmppl.emit.writer import Writer
from dgmppl.graph.held import statements
from dgmppl.graph.names import safe_local
from dgmppl.graph.nodes import Definition, Factor, Graph, Variable, feature_reads, features_of
from dgmppl.graph.rows import factor_has_rows
from dgmppl.graph.values import Block, Feature, Field, Triangular, Value, variables, walk
from dgmppl.picture.text import value_text


def write_factor(writer: Writer, graph: Graph, factor: Factor) -> None:
    """`def p_x(self, z)`: the factor's distribution, given what it reads."""
    reads = factor_reads(graph, factor)
    arguments = "".join(f", {graph[r].ident}: Tensor" for r in reads)
    through = [r for r in reads if graph[r].role == "let"]
    doc = factor.key + (f", through {', '.join(through)}" if through else "") + "."
    with (
        writer.method(f"{factor.method}(self{arguments}) -> {writer.use('Distribution')}", doc),
        writer.place(factor.span),
    ):
        result = write_density(factor.density, Place(writer, graph, of_data=graph.unit_of(factor.head)))
        writer.line(f"return {result}", mark=True)


def write_definition(writer: Writer, graph: Graph, definition: Definition) -> None:
    """`def define_x(self, z)`: the value of a feature, or of a variable that is a function of others."""
    variable = graph[definition.variable]
    reads = variables(definition.value)
    arguments = "".join(f", {graph[r].ident}: Tensor" for r in reads)
    doc = f"{variable.name}, a function of {', '.join(reads) or 'nothing'}."
    with (
        writer.method(f"define_{variable.ident}(self{arguments}) -> Tensor", doc),
        writer.place(definition.span),
    ):
        writer.line(f"return {_shaped_source(definition.value, variable.type.shape, Place(writer, graph))}", mark=True)


def write_feature(writer: Writer, graph: Graph, feature: Feature) -> None:
    """`def define_h(self, x)`: the value of a feature at every position, or at the one that is drawn."""
    reads = feature_reads(graph, feature)
    arguments = "".join(f", {name}: Tensor" for name in reads)
    before = " and of itself before" if feature.recurrent else ""
    doc = f"{value_text(feature)}, a function of {', '.join(reads)}{before}."
    with (
        writer.method(f"define_{feature.ident}(self{arguments}) -> Tensor", doc),
        writer.place(feature.span),
    ):
        # Along the index of a family, what does not depend on what is drawn is known at all positions.
        along = any(graph[name].along is not None for name in variables(feature))
        whole = frozenset(f.ident for f in features_of(feature.body)) if along else frozenset()
        place = Place(writer, graph, axes=len(feature.extent), ordered=True, whole=whole)
        if not feature.recurrent:
            writer.line(f"return {value_expr(feature.body, place)}", mark=True)
            return
        step = Step(place, feature.ident)
        body = value_expr(feature.body, Place(writer, graph, step=step))
        given = "".join(f", {name}: Tensor" for name in step.arguments)
        writer.line()
        with writer.block(f"def {place.local('step')}({feature.ident}: Tensor{given}) -> Tensor:"):
            writer.line(f"return {body}", mark=True)
        writer.line()
        first = call("self.like.new_zeros", sizes(feature.shape))
        writer.line(f"return {call(writer.use('recur'), place.local('step'), first, *step.arguments.values())}")


def write_flow_methods(writer: Writer, graph: Graph) -> None:
    """A method for each flow that a formula writes with networks in it: `def f_numbers(self, u, y)`, the numbers of
    every element by what is before it, or `def field_f(self, u, t, y)`, how fast an integral moves u at a time."""
    written: set[str] = set()
    for block in (t for term, _ in statements(graph) for t in walk(term) if isinstance(t, Block)):
        made = block.triangular or block.field
        if made is None or made.method in written:
            continue
        written.add(made.method)
        if block.triangular is not None:
            _write_numbers(writer, graph, block, block.triangular)
        elif block.field is not None:
            _write_field(writer, graph, block, block.field)


def _write_numbers(writer: Writer, graph: Graph, block: Block, triangular: Triangular) -> None:
    doc = f"What {triangular.flow} does with each element, from those of {triangular.argument} before it."
    names, arguments = _arguments_of(block, triangular.argument)
    with (
        writer.method(f"{triangular.method}(self, {arguments}) -> tuple[Tensor, ...]", doc),
        writer.place(block.span),
    ):
        place = Place(writer, graph, rename=names, axes=len(block.shape), ordered=True)
        found = [value_expr(value, place) for _, value in triangular.numbers]
        writer.line(f"return {Tuple(tuple(found))}", mark=True)


def _write_field(writer: Writer, graph: Graph, block: Block, field: Field) -> None:
    doc = f"How fast {field.flow} moves {field.argument} at the time {field.time}."
    names, arguments = _arguments_of(block, field.argument, field.time)
    with (
        writer.method(f"{field.method}(self, {arguments}) -> Tensor", doc),
        writer.place(block.span),
    ):
        writer.line(f"return {value_expr(field.value, Place(writer, graph, rename=names))}", mark=True)


def _arguments_of(block: Block, *own: str) -> tuple[dict[str, str], str]:
    """The names in a flow's method of what it maps, and of what conditions it; and the arguments of the method."""
    names = {name: safe_local(name) for name in own} | {name: name for name, _ in block.context}
    return names, ", ".join(f"{name}: Tensor" for name in names.values())


def write_features(writer: Writer, graph: Graph, names: Iterable[str]) -> None:
    """Features among `names`, and those that they are computed from, each as a line in the order of need."""
    done: set[str] = set()

    def write(name: str) -> None:
        definition = graph.definition(name)
        if graph[name].role != "let" or name in done or definition is None:
            return
        done.add(name)
        for other in variables(definition.value):
            write(other)
        writer.line(f"{values_of(graph, graph[name])} = {define_source(graph, definition)}")
        write_members(writer, graph, graph[name])

    for name in names:
        write(name)


def _shaped_source(value: Value, shape: tuple[int, ...], place: Place) -> str:
    """A value in a variable's shape: a number stands for every element, and is a tensor too."""
    found = value_expr(value, place)
    if value.shape == shape and not value.constant:
        return str(found)
    lifted = found.lifted(len(shape) if value.rows else 0)
    return str(Binary("+", lifted, call("self.like.new_zeros", sizes(shape))))


def define_source(graph: Graph, definition: Definition) -> str:
    """The call that computes a definition."""
    variable = graph[definition.variable]
    of_data = variable.role == "let"
    return f"self.define_{variable.ident}({_arguments(graph, variables(definition.value), variable.group, of_data)})"


def _arguments(graph: Graph, names: Iterable[str], group: str | None, of_data: bool) -> str:
    """What a method is given: the values of rows or, where it is about groups, those of all groups. `of_data`: of a
    variable that is completed the data, with NaN where it is missing, as a q and a feature read it."""
    given = (graph[name] for name in names)
    return ", ".join(
        seen_of(graph, v) if of_data and is_completed(graph, v) else _argument(graph, v, group) for v in given
    )


def _argument(graph: Graph, variable: Variable, group: str | None) -> str:
    if group is None or not variable.rows:
        return variable.ident
    if variable.name == group:
        low, size = int(variable.type.support.low or 0), variable.type.support.size or 0
        return f"torch.arange({f'{low}, ' if low else ''}{low + size}).to(self.like)"
    return values_of(graph, variable)


def values_of(graph: Graph, variable: Variable) -> str:
    """The name of a variable's values: of one for each group, those of all groups, `m_by_school`."""
    if variable.group is None:
        return variable.ident
    return graph.local(f"{variable.ident}_by_{graph[variable.group].ident}")


def groups_of(graph: Graph, variable: Variable) -> int:
    """How many groups there are of which each has one."""
    assert variable.group is not None
    return graph[variable.group].type.support.size or 0


def count_of(graph: Graph, factor: Factor, size: str) -> str:
    """The shape of a draw from a factor: as many as there are rows, or groups, where its distribution has not as many
    already."""
    head = graph[factor.head]
    if factor_has_rows(graph, factor) or not head.rows:
        return ""
    return f"({groups_of(graph, head)},)" if head.group is not None else f"({size},)"


def write_members(writer: Writer, graph: Graph, variable: Variable) -> None:
    """The value of each row's own group, of a variable of which each group has one."""
    if variable.group is None:
        return
    writer.line(f"{variable.ident} = {values_of(graph, variable)}[{row_groups(graph, variable)}]", mark=True)


def row_groups(graph: Graph, variable: Variable) -> str:
    """The number of each row's own group, of a variable of which each group has one."""
    assert variable.group is not None
    column = graph[variable.group]
    low = int(column.type.support.low or 0)
    return f"({column.ident} - {low}).long()" if low else f"{column.ident}.long()"


def density_of(graph: Graph, factor: Factor) -> str:
    """The local name of a factor's distribution: `q_z`."""
    return graph.local(factor.method)


def factor_source(graph: Graph, factor: Factor) -> str:
    """The call that gives a factor's distribution."""
    of_data = factor.side == "q"
    return f"self.{factor.method}({_arguments(graph, factor_reads(graph, factor), graph[factor.head].group, of_data)})"


def is_completed(graph: Graph, variable: Variable) -> bool:
    """Whether the elements of a variable that are missing are drawn from a q, or summed under it."""
    return variable.elementwise and graph.factor("q", variable.name) is not None


def seen_of(graph: Graph, variable: Variable) -> str:
    return graph.local(f"seen_{variable.ident}")


def write_seen(writer: Writer, graph: Graph) -> None:
    """The data of variables that are completed, under another name."""
    for v in graph.partial:
        if is_completed(graph, v):
            writer.line(f"{seen_of(graph, v)} = {v.ident}")
