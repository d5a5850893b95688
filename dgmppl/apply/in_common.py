"""What is said of rows given draws of what they have in common: draws of what is missing, posteriors of latents."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from dgmppl.apply.drawing import Completion, Misfit, Values, drawn_of, rows_of, set_weights, with_weights
from dgmppl.coding.common import of_own_group
from dgmppl.emit.inference import marginals_of
from dgmppl.graph.held import random_networks
from dgmppl.graph.names import member_name
from dgmppl.graph.nodes import Graph
from dgmppl.imputations import ByChain, Exactly, Way, both, given_common
from dgmppl.pipeline import Checked
from dgmppl.runtime import Distribution, GenerativeModel
from dgmppl.train.device import seeded
from dgmppl.words import counted

COMMON, COMMON_EXACT = 10, 50
"""Draws of what rows have in common, and where what is missing is exact given them; each completes all rows."""


class GivenCommon(Completion):
    """By another way, given draws of what rows have in common from their q: the same for all rows.

    They stay as q has them: what is seen of rows does not weigh them, as it does not where rows are scored.
    """

    def __init__(self, way: Way, inner: Completion, graph: Graph) -> None:
        super().__init__(way, inner.missing, inner.fitted, inner.asked)
        self.inner, self.common, self.graph = inner, way.common, graph
        self.models = inner.models
        self.given = both(way.whole if isinstance(way, ByChain) else way.seen)[0]
        self.many = 0
        self.most = COMMON_EXACT if isinstance(way, Exactly) else COMMON

    def copies(self, count: int) -> int:
        return self.inner.copies(-(-count // self.most))

    def quality(self) -> str:
        inner = self.inner.quality()
        own = f"{counted(self.many, 'draw')} of {', '.join(self.common)}, each for all rows" if self.many else ""
        return "; ".join(said for said in (inner, own) if said)

    def draw(self, rows: Values, count: int) -> dict[str, Tensor]:
        shares = shared_out(count, self.most)
        self.many = len(shares)
        with seeded(torch.initial_seed(), self.fitted.device):  # the same for rows that come later
            # Its q reads no row; a row that is drawn as a whole has a probability above 0.
            one = {name: v[:1] for name, v in rows.items()}
            some = {**one, **drawn_of(self.fitted, 1, one, self.asked, self.missing)}
            common = [self.fitted.infer(*rows_of(self.fitted, some)) for _ in shares]
        parts = []
        for found, many in zip(common, shares):
            for model in self.models:
                weights_of(self.common, self.graph, found, model)
            each = of_rows(self.common, self.given, self.graph, found, rows)
            parts.append(self.inner.draw({**rows, **each}, many))
        return {name: torch.cat([p[name] for p in parts], 1) for name in self.missing}


class LatentsGivenCommon:
    """The exact posterior of latents of rows given a draw of what rows have in common.

    Args:
        names: the latents that it has the posterior of; none where there is no such model.
        common: what rows have in common, on draws of which it depends.
    """

    def __init__(self, checked: Checked, fitted: GenerativeModel) -> None:
        self.names: tuple[str, ...] = ()
        self.common: tuple[str, ...] = ()
        self.graph = both(checked)[0]
        made = given_common(checked)
        if made is None:
            return
        self.given, plan = both(made[0])
        told = marginals_of(self.given, plan)
        if not told:
            return
        try:
            self.model = with_weights(made[0], fitted)
        except Misfit:
            return
        self.names, self.common = told, made[1]

    def marginals(self, rows: Values, drawn: Values) -> dict[str, Distribution]:
        """The posterior of each of these latents given the data and one draw of all latents, by name."""
        weights_of(self.common, self.graph, drawn, self.model)
        known = {**rows, **of_rows(self.common, self.given, self.graph, drawn, rows)}
        found: dict[str, Distribution] = self.model.marginals(*rows_of(self.model, known))
        return found


def weights_of(common: Collection[str], graph: Graph, found: Values, model: GenerativeModel) -> None:
    """Gives the networks of a model the weights that a draw of what rows have in common has of them."""
    for name, attribute in random_networks(graph).items():
        if name in common:
            set_weights(model, attribute, found[name])


def of_rows(common: Collection[str], given: Graph, graph: Graph, found: Values, rows: Values) -> dict[str, Tensor]:
    """What each row has of a draw of what rows have in common.

    Args:
        common, given: its names where each row has it as a condition, and the graph in which it does.
        graph: that in which rows have it in common.
    """
    n, made = len(next(iter(rows.values()))), {}
    networks = random_networks(graph)
    for name in (n for n in common if n not in networks):
        # Conditions of an index are one variable, and latents may be one for each member.
        members = [name] if name in found else [member_name(name, k) for k in given[name].members]
        group = graph[members[0]].group
        each = torch.stack([found[m] for m in members], 0 if group is None else 1) if members != [name] else found[name]
        if group is None:
            made[name] = each.expand(n, *each.shape)
        else:
            made[name] = of_own_group(each, graph[group], rows[group])
    return made


def shared_out(count: int, most: int) -> list[int]:
    """So many draws as parts, `most` or fewer, each of which has its own draw of what rows have in common."""
    parts = min(count, most)
    return [count // parts + (k < count % parts) for k in range(parts)]


__all__ = ["GivenCommon", "LatentsGivenCommon", "of_rows", "shared_out"]
