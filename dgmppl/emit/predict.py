"""`predict`: draws of what is left out of rows, with the logarithms of their weights."""

from __future__ import annotations

from collections.abc import Iterable

from dgmppl.emit.cases import batch_size, missing_of
from dgmppl.emit.generation import clamp_of, write_generation
from dgmppl.emit.methods import count_of, density_of, factor_source, values_of, write_members, write_seen
from dgmppl.emit.steps import write_steps
from dgmppl.emit.writer import Writer
from dgmppl.graph.nodes import Graph
from dgmppl.graph.values import variables
from dgmppl.plan.nodes import Plan, Reason
from dgmppl.plan.predict import Move, Prediction
from dgmppl.plan.rules.compute import Compute


def write_prediction(writer: Writer, graph: Graph, plan: Plan, prediction: Prediction) -> None:
    """`def predict(self, x, y)`: a draw of what is left out of each row, its law where that stands for draws, and the
    logarithm of its weight."""
    _Writing(writer, graph, plan, prediction).write()


class _Writing:
    def __init__(self, writer: Writer, graph: Graph, plan: Plan, prediction: Prediction) -> None:
        self.writer, self.graph, self.plan, self.prediction = writer, graph, plan, prediction
        self.computed: set[str] = set()
        self.weights: list[str] = []

    def write(self) -> None:
        writer, graph, made = self.writer, self.graph, self.prediction
        arguments = "".join(f", {v.ident}: Tensor" for v in graph.data)
        told = ", ".join(made.left_out)
        law = writer.use("Distribution")
        writer.rows.append(("", None))
        writer.line("@torch.no_grad()")
        head = f"def predict(self{arguments}) -> tuple[dict[str, Tensor], dict[str, {law}], Tensor]:"
        with writer.block(head):
            writer.line(f'"""Draws of {told} given the rest of each row, their laws, and the logarithms of weights."""')
            write_seen(writer, graph)
            write_steps(writer, graph, self.plan, made.steps, ())
            for move in made.moves:
                self.move(move)
            for move in (m for m in made.moves if m.weighed):
                self.weigh(move)
            for key in made.evidence:
                factor = graph.keyed(key)
                self.features(graph.reads(factor))
                self.weights.append(f"{factor_source(graph, factor)}.log_prob({graph[factor.head].ident})")
            if made.energy and graph.energy is not None:
                members = ", ".join(graph[name].ident for name in graph.energy.arguments)
                self.weights.append(f"-self.energy({members})")
            weight = graph.local("weight")
            zero = f"self.like.new_zeros({batch_size(graph)})"
            writer.line(f"{weight} = {' + '.join([zero, *self.weights]).replace('+ -', '- ')}")
            drawn = ", ".join(f'"{name}": {graph[name].ident}' for name in made.left_out)
            laws = ", ".join(f'"{n}": {self.density(n)}' for n in made.laws)
            writer.line(f"return {{{drawn}}}, {{{laws}}}, {weight}")

    def density(self, name: str) -> str:
        (move,) = (m for m in self.prediction.moves if m.variable == name)
        return density_of(self.graph, self.graph.keyed(move.drawn))

    def move(self, move: Move) -> None:
        """Gives a variable its value, and what that weighs."""
        writer, graph = self.writer, self.graph
        variable = graph[move.variable]
        if not move.drawn:
            definition = graph.definition(move.variable)
            assert definition is not None
            self.features(variables(definition.value))
            write_generation(writer, graph, [Compute(move.variable, Reason(""))], batch_size(graph))
        else:
            factor = graph.keyed(move.drawn)
            self.features(graph.reads(factor))
            density = density_of(graph, factor)
            count = count_of(graph, factor, batch_size(graph))
            values = values_of(graph, variable)
            draw = f"{density}.sample({count}){clamp_of(variable, factor.density)}"
            writer.line(f"{density} = {factor_source(graph, factor)}")
            if move.some:
                missing = missing_of(graph, variable)
                writer.line(f"{values}, {missing} = {writer.use('impute')}({values}, {draw})")
                if move.drawn != move.weighed:
                    self.weights.append(f"-torch.where({missing}, {density}.log_prob({values}), 0.0)")
            else:
                writer.line(f"{values} = {draw}")
            write_members(writer, graph, variable)
            if (move.weighed or self.prediction.alone) and not move.some:
                self.weights.append(f"-{density}.log_prob({values})")
        self.computed -= {name for name in self.computed if move.variable in graph.roots([name])}

    def weigh(self, move: Move) -> None:
        """The density by which a draw is weighed, once all is drawn: it may read what is drawn after it."""
        p = self.graph.keyed(move.weighed)
        self.features(self.graph.reads(p))
        variable = self.graph[move.variable]
        log = f"{factor_source(self.graph, p)}.log_prob({values_of(self.graph, variable)})"
        # What p itself gives has no weight, also at an end of its support, where rounding may leave it no density.
        own = move.some and move.drawn == move.weighed
        self.weights.append(f"torch.where({missing_of(self.graph, variable)}, 0.0, {log})" if own else log)

    def features(self, names: Iterable[str]) -> None:
        """Computes the features that these names depend on, anew where what they read has changed."""
        for name in names:
            definition = self.graph.definition(name)
            if self.graph[name].role != "let" or definition is None or name in self.computed:
                continue
            self.features(variables(definition.value))
            write_generation(self.writer, self.graph, [Compute(name, Reason(""))], batch_size(self.graph))
            self.computed.add(name)


__all__ = ["write_prediction"]
