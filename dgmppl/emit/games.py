"""Adversaries: the two sides of each game, and the two players' losses."""

from __future__ import annotations

from dgmppl.emit.cases import batch_size
from dgmppl.emit.steps import needed_steps, write_generation, write_steps
from dgmppl.emit.values import Place, inputs_source
from dgmppl.emit.writer import Writer, tuple_source
from dgmppl.graph.nodes import Adversary, Graph
from dgmppl.plan.nodes import GamePlan, Plan
from dgmppl.supports import number_text


def write_games(writer: Writer, graph: Graph, plan: Plan) -> None:
    """`score_D`, `sides_D`, `adversary_loss`, `loss` and `players`."""
    if not plan.games:
        return
    by_name = {a.name: a for a in graph.adversaries}
    for game in plan.games:
        adversary = by_name[game.adversary]
        with writer.place(adversary.span):
            _write_score(writer, graph, adversary)
            _write_sides(writer, graph, plan, adversary)
    _write_losses(writer, graph, plan, by_name)


def _write_score(writer: Writer, graph: Graph, adversary: Adversary) -> None:
    arguments = "".join(f", {graph[a].ident}: Tensor" for a in adversary.arguments)
    doc = f"{adversary.name}({', '.join(adversary.arguments)}), high for data, shape (n,)."
    with writer.method(f"score_{adversary.ident}(self{arguments}) -> Tensor", doc):
        inputs = inputs_source(adversary.inputs, Place(writer, graph))
        writer.line(f"return self.{adversary.module.attribute}({inputs}).squeeze(-1)", mark=True)


def _write_sides(writer: Writer, graph: Graph, plan: Plan, adversary: Adversary) -> None:
    names = adversary.arguments
    data = "".join(f", {v.ident}: Tensor" for v in graph.data)
    result = "tuple[tuple[Tensor, ...], tuple[Tensor, ...]]"
    doc = f"({', '.join(names)}) of the data, and of the model."
    with writer.method(f"sides_{adversary.ident}(self{data}) -> {result}", doc):
        write_steps(writer, graph, plan, needed_steps(graph, plan.steps, names), names)
        ours = tuple_source([graph[a].ident for a in names])
        writer.line(f"real = {ours}")
        write_generation(
            writer, graph, needed_steps(graph, plan.generate, names), batch_size(graph), differentiable=True
        )
        writer.line(f"return real, {ours}")


def _write_losses(writer: Writer, graph: Graph, plan: Plan, by_name: dict[str, Adversary]) -> None:
    data = "".join(f", {v.ident}: Tensor" for v in graph.data)
    given = ", ".join(v.ident for v in graph.data)
    writer.use("GAMES")
    with writer.method(f"adversary_loss(self{data}) -> Tensor", "What the adversary minimises."):
        losses = []
        for k, game in enumerate(plan.games):
            losses.append(_adversary_loss(writer, graph, by_name[game.adversary], game, given, k))
        writer.line(f"return {' + '.join(losses)}")
    with writer.method(f"loss(self{data}) -> Tensor", "What the model minimises."):
        parts = [f"super().loss({given})"] if plan.terms else []
        for game in plan.games:
            parts += _model_loss(writer, by_name[game.adversary], game, given)
        writer.line(f"return {' + '.join(parts)}")
    with writer.method(
        "players(self) -> tuple[Player, ...]", "The adversary moves first, with an optimiser of its own."
    ):
        writer.use("Player")
        nets = " + ".join(f"list(self.{by_name[g.adversary].module.attribute}.parameters())" for g in plan.games)
        writer.line(f"opponent = {nets}")
        writer.line("own = {id(p) for p in opponent}")
        writer.line("rest = [p for p in self.parameters() if id(p) not in own]")
        writer.line('return Player("adversary", self.adversary_loss, opponent), Player("model", self.loss, rest)')


def _adversary_loss(writer: Writer, graph: Graph, adversary: Adversary, game: GamePlan, given: str, k: int) -> str:
    ident = adversary.ident
    writer.at = game.because.line
    with writer.block("with torch.no_grad():"):
        writer.line(f"real, fake = self.sides_{ident}({given})", mark=True)
    name = "loss" if k == 0 else f"loss_{k + 1}"
    writer.line(f'{name} = GAMES["{game.game}"].adversary_loss(self.score_{ident}(*real), self.score_{ident}(*fake))')
    if game.penalty:
        whole = [k for k, a in enumerate(adversary.arguments) if graph[a].type.support.discrete]
        discrete = f", discrete={tuple_source([str(k) for k in whole])}" if whole else ""
        penalty = f"{writer.use('gradient_penalty')}(self.score_{ident}, real, fake{discrete})"
        writer.line(f"{name} = {name} + {number_text(game.penalty)} * {penalty}")
    writer.at = None
    return name


def _model_loss(writer: Writer, adversary: Adversary, game: GamePlan, given: str) -> list[str]:
    ident = adversary.ident
    writer.at = game.because.line
    writer.line(f"real, fake = self.sides_{ident}({given})", mark=True)
    writer.at = None
    parts = []
    weight = "" if game.weight == 1 else f"{number_text(game.weight)} * "
    if game.moves_model:
        parts.append(f'{weight}GAMES["{game.game}"].model_loss_fake(self.score_{ident}(*fake))')
    if game.moves_data:
        parts.append(f'{weight}GAMES["{game.game}"].model_loss_real(self.score_{ident}(*real))')
    if parts:
        name = f"game_{ident}"
        writer.line(f"{name} = {' + '.join(parts)}")
        return [name]
    return []
