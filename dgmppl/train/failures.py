"""Errors of fits that cannot continue, with what is kept to look into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.runtime import GenerativeModel
from dgmppl.source import Span
from dgmppl.train.batches import Examples
from dgmppl.train.figures import CHUNK

# Rows that a message names.
_NAMED = 3


@dataclass(frozen=True)
class Bad:
    """A loss that was not finite: whose, of which rows, and the terms that made it up, as far as they are known.

    `rows` are the positions of the batch's rows in the training split, `why` is what kept it from being computed at
    all.
    """

    player: str
    value: float
    batch: list[Tensor]
    terms: Mapping[str, Tensor] = field(default_factory=dict)
    rows: Sequence[int] = ()
    why: str = ""


class NotFinite(SpecError):
    """A loss that was not finite. `batch` has the rows it arose on, the tensors `model.data`; `numbers` those of the
    rows in their file."""

    def __init__(self, diagnostic: Diagnostic, batch: Sequence[Tensor], numbers: Sequence[int] = ()) -> None:
        super().__init__([diagnostic])
        self.batch, self.numbers = list(batch), list(numbers)


def nothing_to_fit() -> SpecError:
    """For an objective that depends on no weights."""
    headline = "there is nothing to fit: the objective depends on no weights"
    help_ = "put a network or `param` where a number stands: p(x) = Normal(param)"
    return SpecError([Diagnostic("E614", headline, help=help_)])


def never_finite(
    criterion: str, validated: Mapping[str, float], model: GenerativeModel, validation: Examples
) -> SpecError:
    """For a criterion that was not finite in any epoch; the rows for which the model's figure is not are named."""
    headline = f"{criterion} was not finite on the validation rows in any epoch: {validated[criterion]}"
    wrong = not_finite_rows(model, validation, criterion)
    if 0 < len(wrong) < validation.count:
        named = ", ".join(validation.describe(row) for row in wrong[:_NAMED])
        more = ", ..." if len(wrong) > _NAMED else ""
        headline += f" for {len(wrong)} of {validation.count}, {named}{more}"
    help_ = "are there values in the validation rows to which the model gives probability 0?"
    return SpecError([Diagnostic("E613", headline, help=help_)])


def not_finite(
    model: GenerativeModel,
    bad: Bad,
    train: Examples,
    epoch: int,
    spans: Mapping[str, Span],
    finite_weights: Mapping[str, Tensor],
) -> NotFinite:
    """Says which weight or which term made a loss useless, and leaves the model with weights that are finite.

    Args:
        train: the training rows, which know their numbers in their files.
        spans: where each term stands in the spec.
        finite_weights: a copy of the weights from before, used where the present ones are not finite.
    """
    when = f"in epoch {epoch}"
    numbers = [train.number(row) for row in bad.rows]
    help_ = "a smaller learning rate, or train { clip = 1 }, often helps"
    spoilt = [name for name, weight in model.named_parameters() if not torch.isfinite(weight).all()]
    if spoilt:
        model.load_state_dict(dict(finite_weights))
        headline = f"the weights {spoilt[0]} are no longer finite {when}, because a gradient was not"
        return NotFinite(Diagnostic("E611", headline, help=help_), bad.batch, numbers)
    if bad.why:
        help_ = (
            "does the energy grow far out in every direction, so that exp(-E) has a finite integral? A smaller "
            "step_size or learning rate may help too"
        )
        return NotFinite(Diagnostic("E610", f"{bad.why}, {when}", help=help_), bad.batch, numbers)
    for name, term in bad.terms.items():
        wrong = ~torch.isfinite(term)
        if wrong.any():
            found = term[wrong].flatten()[0].item() if term.dim() else term.item()
            headline = f"the term {name} is {found} {_of_which(wrong, bad, train)} {when}"
            if name.startswith("log p(") and epoch == 1:
                help_ = (
                    "is every value of the data possible under this factor? One at the very end of its range is not "
                    "under a tanh, a sigmoid or a Beta: rescale(..., 0.01, 0.99). Else " + help_
                )
            diagnostic = Diagnostic("E610", headline, spans.get(name), f"{found} nats", help=help_)
            return NotFinite(diagnostic, bad.batch, numbers)
    loss = "the loss" if bad.player == "model" else f"the loss of the {bad.player}"
    return NotFinite(Diagnostic("E610", f"{loss} is {bad.value} {when}", help=help_), bad.batch, numbers)


def not_finite_rows(model: GenerativeModel, rows: Examples, figure: str) -> list[int]:
    """The rows for which a figure is not finite, in one pass; none where it is no figure of single rows."""
    found: list[int] = []
    start, training = 0, model.training
    model.eval()
    try:
        with torch.no_grad():
            for chunk in rows.chunks(CHUNK):
                values = model.epoch_figures(*chunk).get(figure)
                if values is None or values.shape != chunk[0].shape[:1]:
                    return []
                found += [start + k for k in (~torch.isfinite(values)).nonzero().flatten().tolist()]
                start += len(values)
    finally:
        model.train(training)
    return found


def _of_which(wrong: Tensor, bad: Bad, train: Examples) -> str:
    """The examples of a batch for which a term is not finite: how many, and the first ones by row and value."""
    count = len(bad.rows)
    if not wrong.dim() or len(wrong) != count:
        return "for an example of the data"
    found = wrong.reshape(count, -1).any(1).nonzero().flatten().tolist()
    if count > _NAMED and len(found) == count:
        return f"for all {count} examples of a batch"
    named = ", ".join(train.describe(bad.rows[k]) for k in found[:_NAMED])
    more = ", ..." if len(found) > _NAMED else ""
    return f"for {len(found)} of the {count} examples of a batch, {named}{more},"
