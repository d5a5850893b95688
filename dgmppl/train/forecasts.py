"""Sequences that go on from what is known of them, by the model of a run."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dgmppl import pipeline
from dgmppl.forecasts import CANDIDATES, Forecaster
from dgmppl.graph.nodes import Variable
from dgmppl.pipeline import Checked
from dgmppl.plan.forecast import refused
from dgmppl.runtime import GenerativeModel
from dgmppl.runtime.emitted import emitted
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
        self.model = self._with_weights(how.checked, fitted)
        self.past = None if how.past is None else self._with_weights(how.past, fitted)
        self.effective: float | None = None
        """Of the last draws the smallest share of the candidates of a row that count, where these are weighed."""

    def _with_weights(self, checked: Checked, fitted: GenerativeModel) -> GenerativeModel:
        """A model of the same statements, or of some of them, with the weights of a fitted one. What that has of the
        last member of the data is here of the last one, wherever that is."""
        model, others, found = pipeline.build(checked), fitted.state_dict(), {}
        for name, values in model.state_dict().items():
            there = name if name in others else name.replace("_last", f"_{self.how.last}".replace("-", "m"))
            if there not in others or others[there].shape != values.shape:
                graph, along = parts(checked)[0], self.how.forecast.along
                raise refused(graph, None, f"{name.rpartition('.')[0] or name} has other weights", along)
            found[name] = others[there]
        model.load_state_dict(found)
        return model.to(fitted.like).eval()

    @torch.no_grad()
    def draw(self, past: Past, each: int = 1) -> dict[str, Tensor]:
        """So many draws of each row, one after another, as arrays by variable."""
        graph, _ = parts(self.how.checked)
        forecast = self.how.forecast
        like = self.model.like
        values = {name: torch.from_numpy(past.values[name]).to(like) for name in forecast.given}
        last = torch.from_numpy(past.last).to(like.device)
        latents = self._behind(values, last, each)
        values = {name: _sized(v, graph[name]) for name, v in values.items()}
        rows = {graph[name].ident: v.repeat_interleave(each, 0) for name, v in values.items()}
        arguments = [last.repeat_interleave(each), *rows.values(), *(latents[name] for name in forecast.latents)]
        found: dict[str, Tensor] = emitted(self.model).forecast(*arguments)
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
            known = {n: _sized(v[k : k + at_once], graph[n]) for n, v in values.items()}
            rows = {graph[n].ident: v.repeat_interleave(many, 0) for n, v in known.items()}
            number = {graph[self.how.number].ident: last[k : k + at_once].repeat_interleave(many).to(self.model.like)}
            data = {v.ident: (rows | number)[v.ident] for v in graph.data}
            with self.past.unchecked():  # what is known was held against its types
                drawn, weight = emitted(self.past).propose(**data)
            taken = torch.arange(len(weight), device=weight.device)
            if self.how.weighed:
                weights = weight.reshape(-1, many).softmax(-1)
                shares.append(1 / (weights.square().sum(-1) * many))
                first = torch.arange(len(weights), device=weights.device).unsqueeze(-1) * many
                taken = (first + torch.multinomial(weights, each, replacement=True)).flatten()
            for name, v in drawn.items():
                found[name].append(v if graph[name].shared else v[taken])
        self.effective = float(torch.cat(shares).min()) if shares else None
        whole, _ = parts(self.how.checked)
        return {n: v[0] if graph[n].shared else _sized(torch.cat(v), whole[n]) for n, v in found.items()}


def _sized(values: Tensor, variable: Variable) -> Tensor:
    """Values of a family with as many members as a variable has: what is known, and any behind; or fewer of them."""
    if variable.along is None or values.shape[1] == variable.type.shape[0]:
        return values
    made = values.new_full((len(values), *variable.type.shape), variable.element.feasible)
    size = min(values.shape[1], made.shape[1])
    made[:, :size] = values[:, :size]
    return made


def as_arrays(samples: Mapping[str, Tensor]) -> Arrays:
    """Samples as numpy's arrays."""
    return {name: v.detach().cpu().numpy() for name, v in samples.items()}


__all__ = ["Continuation", "as_arrays"]
