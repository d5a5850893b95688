"""The training loop: one for every model, whether one player is stepped on each batch or two."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.plan.settings import TrainSettings
from dgmppl.runtime import GenerativeModel, Player
from dgmppl.source import Span
from dgmppl.train.figures import evaluate_figures
from dgmppl.train.optimizers import build_optimizer

Spans = Mapping[str, Span]


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to: the mean loss of each player, and the figures on the validation rows."""

    number: int
    seconds: float
    losses: Mapping[str, float]
    validation: Mapping[str, float]
    best: bool


@dataclass(frozen=True)
class Fit:
    """How a fit went. `best_epoch` is the epoch whose weights the model now has; 0: the initial ones.

    `stopped` is "epochs" (all were run), "patience" or "interrupted".
    """

    epochs: tuple[Epoch, ...]
    best_epoch: int
    stopped: str


def fit(
    model: GenerativeModel,
    train: Sequence[Tensor],
    validation: Sequence[Tensor],
    settings: TrainSettings,
    report: Callable[[Epoch], None] = lambda epoch: None,
    spans: Spans | None = None,
) -> Fit:
    """Fits a model in place and leaves it with its best weights.

    Batches are drawn in an order that `settings.seed` fixes; the noise of the losses comes from torch's
    global generator, which the caller seeds. After each epoch the figure `model.criterion` is averaged over
    the validation rows; the weights with its largest value are kept, and `settings.patience` epochs without
    a better one end the fit. A model without a criterion runs all epochs and keeps its last weights.
    An interrupt from the keyboard ends the fit with what it has, once an epoch is complete.

    Args:
        model: on the device of the data.
        train, validation: the tensors `model.data`, each (rows, ...).
        settings: see `TrainSettings`.
        report: called after each epoch.
        spans: where each term of the objective stands in the spec, to name it when it is not finite.

    Raises:
        SpecError: when a loss or, throughout, the criterion is not finite, and when nothing can be fitted.
    """
    players = [(player, _optimizer(player, settings)) for player in model.players() if player.parameters]
    if not players:
        raise SpecError([_nothing_to_fit()])
    order = torch.Generator().manual_seed(settings.seed)
    epochs: list[Epoch] = []
    best, best_epoch, best_weights = -math.inf, 0, None
    stopped = "epochs"
    try:
        for number in range(1, settings.epochs + 1):
            start = time.perf_counter()
            model.train()
            losses = _run_epoch(model, players, train, settings, order, number, spans or {})
            validated = {name: e.mean for name, e in evaluate_figures(model, validation).items()}
            value = validated[model.criterion] if model.criterion else 0.0
            # NaN compares false: an epoch whose criterion is not finite is never the best.
            better = model.criterion is None or best < value < math.inf
            epochs.append(Epoch(number, time.perf_counter() - start, losses, validated, better))
            if better:
                best, best_epoch = value, number
                best_weights = _copy_weights(model) if model.criterion else None
            report(epochs[-1])
            if number - best_epoch >= settings.patience:
                stopped = "patience"
                break
    except KeyboardInterrupt:
        if not epochs:
            raise
        stopped = "interrupted"
    if epochs and best_epoch == 0:
        raise SpecError([_never_finite(model, epochs[-1])])
    if best_weights is not None:
        model.load_state_dict(best_weights)
    model.eval()
    return Fit(tuple(epochs), best_epoch, stopped)


def _optimizer(player: Player, settings: TrainSettings) -> torch.optim.Optimizer:
    own = settings.adversary_optimizer if player.name == "adversary" else None
    return build_optimizer(own or settings.optimizer, player.parameters)


def _run_epoch(
    model: GenerativeModel,
    players: Sequence[tuple[Player, torch.optim.Optimizer]],
    data: Sequence[Tensor],
    settings: TrainSettings,
    order: torch.Generator,
    epoch: int,
    spans: Spans,
) -> dict[str, float]:
    """One pass over the data; the mean loss of each player, its steps weighted by the batch's rows.

    Where the adversary takes several steps for one of the model's, each is on another batch (Goodfellow et al.,
    2014, Algorithm 1; Arjovsky et al., 2017, Algorithm 1): the ones that come next in the epoch's order.
    """
    totals = {player.name: 0.0 for player, _ in players}
    steps = dict.fromkeys(totals, 0)
    batches = torch.randperm(len(data[0]), generator=order).to(data[0].device).split(settings.batch)
    for number in range(len(batches)):
        for player, optimizer in players:
            for step in range(settings.adversary_steps if player.name == "adversary" else 1):
                index = batches[(number + step) % len(batches)]
                batch = [tensor[index] for tensor in data]
                loss = player.loss(*batch)
                value = loss.item()
                if not math.isfinite(value):
                    raise SpecError([_not_finite(model, player, batch, value, epoch, spans)])
                if not loss.requires_grad:
                    raise SpecError([_nothing_to_fit()])
                optimizer.zero_grad()
                # Only this player's gradients: the other side of a game must not collect any.
                loss.backward(inputs=player.parameters if len(players) > 1 else None)
                if settings.clip is not None:
                    torch.nn.utils.clip_grad_norm_(player.parameters, settings.clip)
                optimizer.step()
                totals[player.name] += value * len(index)
                steps[player.name] += len(index)
    return {name: total / steps[name] for name, total in totals.items()}


def _nothing_to_fit() -> Diagnostic:
    return Diagnostic(
        "E614",
        "there is nothing to fit: the objective depends on no weights",
        help="put a network or `param` where a number stands: p(x) = Normal(param)",
    )


def _copy_weights(model: GenerativeModel) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _not_finite(
    model: GenerativeModel, player: Player, batch: Sequence[Tensor], value: float, epoch: int, spans: Spans
) -> Diagnostic:
    """Says which weight or which term made the loss useless, as far as that can be found."""
    when = f"in epoch {epoch}"
    help_ = "a smaller learning rate, or train { clip = 1 }, often helps"
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            headline = f"the weights {name} are no longer finite {when}, because a gradient was not"
            return Diagnostic("E611", headline, help=help_)
    for name, term in _terms(model, batch).items():
        bad = ~torch.isfinite(term)
        if bad.any():
            example = int(bad.nonzero()[0, 0]) if term.dim() else 0
            found = term.flatten()[example].item()
            headline = f"the term {name} is {found} for an example of the data {when}"
            if name.startswith("log p(") and found == -math.inf:
                help_ = "is every value of the data possible under this factor? " + help_
            return Diagnostic("E610", headline, spans.get(name), f"{found} nats", help=help_)
    loss = "the loss" if player.name == "model" else f"the loss of the {player.name}"
    return Diagnostic("E610", f"{loss} is {value} {when}", help=help_)


def _terms(model: GenerativeModel, batch: Sequence[Tensor]) -> dict[str, Tensor]:
    try:
        with torch.no_grad():
            return model.terms(*batch)
    except NotImplementedError:
        return {}


def _never_finite(model: GenerativeModel, last: Epoch) -> Diagnostic:
    name = model.criterion or ""
    headline = f"{name} was not finite on the validation rows in any epoch: {last.validation[name]}"
    help_ = "are there values in the validation rows to which the model gives probability 0?"
    return Diagnostic("E613", headline, help=help_)
