"""Adversaries: the two sides of each game, and a loss for each player."""

from __future__ import annotations

from dgmppl.emit.cases import batch_size
from dgmppl.emit.generation import write_generation
from dgmppl.emit.methods import write_seen
from dgmppl.emit.steps import needed_steps, write_steps
from dgmppl.emit.values import Place, value_source
from dgmppl.emit.writer import Writer, tuple_source
from dgmppl.graph.nodes import Adversary, Graph
from dgmppl.plan.nodes import Plan
from dgmppl.plan.rules.game import Score, Tell
from dgmppl.supports import number_text


def write_games(writer: Writer, graph: Graph, plan: Plan) -> None:
    """`score_D`, `sides_D` and `loss_D` for each adversary, the model's `loss`, and `players`."""
    if not plan.played:
        return
    by_name = {a.name: a for a in graph.adversaries}
    opponents = [by_name[loss.adversary] for loss in plan.losses if loss.adversary is not None]
    for adversary in opponents:
        with writer.place(adversary.span):
            _write_score(writer, graph, adversary)
            _write_sides(writer, graph, plan, adversary)
    for loss in plan.losses:
        for term in loss.terms:
            if isinstance(term, Tell):
                _write_opponent(writer, graph, by_name[term.owner], term)
    _write_loss(writer, graph, plan, by_name)
    _write_players(writer, opponents)


def _write_score(writer: Writer, graph: Graph, adversary: Adversary) -> None:
    arguments = "".join(f", {graph[a].ident}: Tensor" for a in adversary.arguments)
    doc = f"{adversary.name}({', '.join(adversary.arguments)}), high for data, shape (n,)."
    with writer.method(f"score_{adversary.ident}(self{arguments}) -> Tensor", doc):
        writer.line(f"return {value_source(adversary.value, Place(writer, graph))}", mark=True)


def _write_sides(writer: Writer, graph: Graph, plan: Plan, adversary: Adversary) -> None:
    names = adversary.arguments
    data = "".join(f", {v.ident}: Tensor" for v in graph.data)
    result = "tuple[tuple[Tensor, ...], tuple[Tensor, ...]]"
    doc = f"({', '.join(names)}) of the data, and of the model."
    with writer.method(f"sides_{adversary.ident}(self{data}) -> {result}", doc):
        write_seen(writer, graph)
        write_steps(writer, graph, plan, needed_steps(plan.steps, names), names)
        ours = tuple_source([graph[a].ident for a in names])
        real = graph.local("real")
        writer.line(f"{real} = {ours}")
        write_generation(writer, graph, needed_steps(plan.generate, names), batch_size(graph), differentiable=True)
        writer.line(f"return {real}, {ours}")


def _write_opponent(writer: Writer, graph: Graph, adversary: Adversary, term: Tell) -> None:
    data = "".join(f", {v.ident}: Tensor" for v in graph.data)
    given = ", ".join(v.ident for v in graph.data)
    ident, real, fake, loss = adversary.ident, graph.local("real"), graph.local("fake"), graph.local("loss")
    with writer.method(f"loss_{ident}(self{data}) -> Tensor", f"What {adversary.name} minimises."):
        writer.at = term.because.line
        with writer.block("with torch.no_grad():"):
            writer.line(f"{real}, {fake} = self.sides_{ident}({given})", mark=True)
        game = f'{writer.use("GAMES")}["{term.game}"]'
        source = f"{game}.adversary_loss(self.score_{ident}(*{real}), self.score_{ident}(*{fake}))"
        if not term.penalty:
            writer.line(f"return {source}")
            return
        writer.line(f"{loss} = {source}")
        whole = [k for k, a in enumerate(adversary.arguments) if graph[a].type.support.discrete]
        discrete = f", discrete={tuple_source([str(k) for k in whole])}" if whole else ""
        penalty = f"{writer.use('gradient_penalty')}(self.score_{ident}, {real}, {fake}{discrete})"
        writer.line(f"return {loss} + {number_text(term.penalty)} * {penalty}")


def _write_loss(writer: Writer, graph: Graph, plan: Plan, by_name: dict[str, Adversary]) -> None:
    """The model's part: its own terms, and each game's."""
    data = "".join(f", {v.ident}: Tensor" for v in graph.data)
    given = ", ".join(v.ident for v in graph.data)
    with writer.method(f"loss(self{data}) -> Tensor", "What the model minimises."):
        parts = [f"super().loss({given})"] if plan.terms else []
        for term in plan.fitted.terms:
            if isinstance(term, Score):
                parts.append(_write_game(writer, graph, by_name[term.owner], term, given))
        writer.line(f"return {' + '.join(parts)}")


def _write_game(writer: Writer, graph: Graph, adversary: Adversary, term: Score, given: str) -> str:
    ident, real, fake = adversary.ident, graph.local("real"), graph.local("fake")
    writer.at = term.because.line
    writer.line(f"{real}, {fake} = self.sides_{ident}({given})", mark=True)
    writer.at = None
    weight = "" if term.weight == 1 else f"{number_text(term.weight)} * "
    game = f'{writer.use("GAMES")}["{term.game}"]'
    parts = [f"{weight}{game}.model_loss_fake(self.score_{ident}(*{fake}))"] if term.fake else []
    parts += [f"{weight}{game}.model_loss_real(self.score_{ident}(*{real}))"] if term.real else []
    total = graph.local(f"game_{ident}")
    writer.line(f"{total} = {' + '.join(parts)}")
    return total


def _write_players(writer: Writer, opponents: list[Adversary]) -> None:
    player = writer.use("Player")
    with writer.method(
        f"players(self) -> tuple[{player}, ...]", "Each adversary moves first, with an optimiser of its own."
    ):
        modules = ", ".join(f"self.{a.module.attribute}" for a in opponents)
        writer.line(f"rest = self.parameters_without({modules})")
        writer.line("return (")
        writer.indent += 1
        for a in opponents:
            parameters = f"list(self.{a.module.attribute}.parameters())"
            writer.line(f'{player}("{a.name}", self.loss_{a.ident}, {parameters}, adversary=True),')
        writer.line(f'{player}("model", self.loss, rest),')
        writer.indent -= 1
        writer.line(")")
