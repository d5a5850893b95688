"""Sequences that go on from what is known of them, by the model of a run."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dgmppl import pipeline
from dgmppl.forecasts import CANDIDATES, Forecaster
from dgmppl.runtime import GenerativeModel
from dgmppl.train.contents import Arrays, parts
from dgmppl.train.pasts import Past

CHUNK = 10_000
"""So many candidates are drawn at once."""


class Continuation:
    """Draws of rows that begin with what is known of them.

    Args:
        how: how sequences of the spec go on.
        fitted: the model that was fitted to it, whose weights are taken.
    """

    def __init__(self, how: Forecaster, fitted: GenerativeModel) -> None:
        self.how = how
        self.model = _with_weights(pipeline.build(how.checked), fitted)
        graph, _ = parts(how.checked)
        last = graph[how.forecast.families[0]].members[-1]
        self.past = None if how.past is None else _with_weights(pipeline.build(how.past), fitted, last)
        self.effective: float | None = None
        """Of the last draws the smallest share of the candidates of a row that count, where these are weighed."""

    @torch.no_grad()
    def draw(self, past: Past, each: int = 1) -> dict[str, Tensor]:
        """So many draws of each row, one after another, as arrays by variable."""
        graph, _ = parts(self.how.checked)
        forecast = self.how.forecast
        like = self.model.like
        values = {name: torch.from_numpy(past.values[name]).to(like) for name in forecast.given}
        last = torch.from_numpy(past.last).to(like.device)
        latents = self._behind(values, last, each)
        rows = {graph[name].ident: v.repeat_interleave(each, 0) for name, v in values.items()}
        arguments = [last.repeat_interleave(each), *rows.values(), *(latents[name] for name in forecast.latents)]
        found: dict[str, Tensor] = self.model.forecast(*arguments)  # type: ignore[operator]
        return found

    def _behind(self, values: Mapping[str, Tensor], last: Tensor, each: int) -> dict[str, Tensor]:
        """Latents given what is known, `each` of each row: of a q one of several, by their weights."""
        if self.past is None or self.how.past is None:
            return {}
        graph, plan = parts(self.how.past)
        together = any(graph[name].shared for name in plan.proposes)
        many = each * CANDIDATES if self.how.weighed else each
        at_once = len(last) if together else max(CHUNK // many, 1)
        found: dict[str, list[Tensor]] = {name: [] for name in plan.proposes}
        shares = []
        for k in range(0, len(last), at_once):
            rows = {graph[n].ident: v[k : k + at_once].repeat_interleave(many, 0) for n, v in values.items()}
            number = {graph[self.how.number].ident: last[k : k + at_once].repeat_interleave(many).to(self.model.like)}
            data = {v.ident: (rows | number)[v.ident] for v in graph.data}
            with self.past.unchecked():  # what is known was held against its types
                drawn, weight = self.past.propose(**data)  # type: ignore[operator]
            taken = torch.arange(len(weight), device=weight.device)
            if self.how.weighed:
                weights = weight.reshape(-1, many).softmax(-1)
                shares.append(1 / (weights.square().sum(-1) * many))
                first = torch.arange(len(weights), device=weights.device).unsqueeze(-1) * many
                taken = (first + torch.multinomial(weights, each, replacement=True)).flatten()
            for name, v in drawn.items():
                found[name].append(v if graph[name].shared else v[taken])
        self.effective = float(torch.cat(shares).min()) if shares else None
        return {name: self._long(name, v[0] if graph[name].shared else torch.cat(v)) for name, v in found.items()}

    def _long(self, name: str, values: Tensor) -> Tensor:
        """Values with as many members as the family has, which may go on behind the data."""
        variable = parts(self.how.checked)[0][name]
        if variable.along is None or variable.shared or values.shape[1] == variable.type.shape[0]:
            return values
        made = values.new_zeros(len(values), *variable.type.shape)
        made[:, : values.shape[1]] = values
        return made


def _with_weights(model: GenerativeModel, fitted: GenerativeModel, last: int = 0) -> GenerativeModel:
    """A model of the same statements, or of some of them, with the weights of a fitted one. What that has of the member
    `last` is here of the last one, wherever that is."""
    others = fitted.state_dict()
    found = {}
    for name in model.state_dict():
        there = name if name in others else name.replace("_last", f"_{last}".replace("-", "m"))
        found[name] = others[there]
    model.load_state_dict(found)
    return model.to(fitted.like).eval()


def as_arrays(samples: Mapping[str, Tensor]) -> Arrays:
    """Samples as numpy's arrays."""
    return {name: v.detach().cpu().numpy() for name, v in samples.items()}


__all__ = ["Continuation", "as_arrays"]
