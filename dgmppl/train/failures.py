"""Errors of fits that cannot continue, with what is kept to look into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.runtime import GenerativeModel
from dgmppl.source import Span


@dataclass(frozen=True)
class Bad:
    """A loss that was not finite: whose, of which rows, and the terms that made it up, as far as they are known."""

    player: str
    value: float
    batch: list[Tensor]
    terms: Mapping[str, Tensor] = field(default_factory=dict)


class NotFinite(SpecError):
    """A loss that was not finite. `batch` has the rows it arose on, the tensors `model.data`."""

    def __init__(self, diagnostic: Diagnostic, batch: Sequence[Tensor]) -> None:
        super().__init__([diagnostic])
        self.batch = list(batch)


def nothing_to_fit() -> SpecError:
    """For an objective that depends on no weights."""
    headline = "there is nothing to fit: the objective depends on no weights"
    help_ = "put a network or `param` where a number stands: p(x) = Normal(param)"
    return SpecError([Diagnostic("E614", headline, help=help_)])


def never_finite(criterion: str, validated: Mapping[str, float]) -> SpecError:
    """For a criterion that was not finite in any epoch."""
    headline = f"{criterion} was not finite on the validation rows in any epoch: {validated[criterion]}"
    help_ = "are there values in the validation rows to which the model gives probability 0?"
    return SpecError([Diagnostic("E613", headline, help=help_)])


def not_finite(
    model: GenerativeModel, bad: Bad, epoch: int, spans: Mapping[str, Span], finite_weights: Mapping[str, Tensor]
) -> NotFinite:
    """Says which weight or which term made a loss useless, and leaves the model with weights that are finite.

    Args:
        spans: where each term stands in the spec.
        finite_weights: a copy of the weights from before, used where the present ones are not finite.
    """
    when = f"in epoch {epoch}"
    help_ = "a smaller learning rate, or train { clip = 1 }, often helps"
    spoilt = [name for name, weight in model.named_parameters() if not torch.isfinite(weight).all()]
    if spoilt:
        model.load_state_dict(dict(finite_weights))
        headline = f"the weights {spoilt[0]} are no longer finite {when}, because a gradient was not"
        return NotFinite(Diagnostic("E611", headline, help=help_), bad.batch)
    for name, term in bad.terms.items():
        wrong = ~torch.isfinite(term)
        if wrong.any():
            example = int(wrong.nonzero()[0, 0]) if term.dim() else 0
            found = term.flatten()[example].item()
            headline = f"the term {name} is {found} for an example of the data {when}"
            if name.startswith("log p(") and epoch == 1:
                help_ = (
                    "is every value of the data possible under this factor? One at the very end of its range is not "
                    "under a tanh, a sigmoid or a Beta: rescale(..., 0.01, 0.99). Else " + help_
                )
            return NotFinite(Diagnostic("E610", headline, spans.get(name), f"{found} nats", help=help_), bad.batch)
    loss = "the loss" if bad.player == "model" else f"the loss of the {bad.player}"
    return NotFinite(Diagnostic("E610", f"{loss} is {bad.value} {when}", help=help_), bad.batch)
