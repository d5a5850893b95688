"""`encode`: the latents of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dgmppl.apply.answers import Answers, Chunk
from dgmppl.diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    from dgmppl.apply.fitted import FittedRun


def encode(
    fitted: FittedRun, data: Any = None, *, split: str | None = None, draws: int = 0, samples: int = 64, seed: int = 0
) -> Answers:
    """The latents of rows, in the order in which they become known.

    For each latent z: `z`, the mean of its posterior (of q given the means of the latents before it, or what the data
    determine; the most probable value of a class), `z_deviation`, the standard deviation of as many draws as `samples`
    says, and with `draws` as many of these, `z_draws`, (rows, draws, *shape).

    Raises:
        SpecError: when the model has no latents (E660), or the rows are not as the run's types have them.
    """
    given = fitted.rows(data, split)
    count = max(draws, samples)

    def of(chunk: dict[str, Tensor]) -> Chunk:
        rows = tuple(chunk.values())
        means = fitted.model.infer(*rows, mean=True)
        drawn = [fitted.model.infer(*rows) for _ in range(count)]
        found = {}
        for name, mean in means.items():
            together = torch.stack([d[name] for d in drawn], dim=1)
            found[name] = mean
            found[f"{name}_deviation"] = together.std(dim=1, correction=0)
            if draws:
                found[f"{name}_draws"] = together[:, :draws]
        return {name: value.cpu().numpy() for name, value in found.items()}

    if not any(v.role == "latent" for v in fitted.graph.variables):
        headline = f"{fitted.path} has no latents: there is nothing to encode rows as"
        raise SpecError([Diagnostic("E660", headline, help="`dgmppl score` gives its log-probabilities")])
    return fitted.answers(given, of, {}, seed)
