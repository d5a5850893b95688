"""The training loop: one for every model, whether one player is stepped on each batch or two."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from itertools import islice
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from dgmppl.plan.settings import TrainSettings
from dgmppl.runtime import Chain, GenerativeModel
from dgmppl.runtime.by_loss import PlacesByLoss
from dgmppl.runtime.chains import Diverged
from dgmppl.runtime.shards import Shard
from dgmppl.source import Span
from dgmppl.train import failures
from dgmppl.train.averaging import averaged_model
from dgmppl.train.batches import Examples, MemoryExamples, batches_of, with_next
from dgmppl.train.densities import Give
from dgmppl.train.device import derived_seed, open_device, random_states, restore_random, seeded
from dgmppl.train.figures import evaluate_figures, has_shared
from dgmppl.train.history import Callbacks, Epoch, FitResult, State, Totals
from dgmppl.train.players import PlayerState, trainable_groups
from dgmppl.train.processes import Processes
from dgmppl.train.stages import StagesOf
from dgmppl.train.start import start_units

Spans = Mapping[str, Span]


def fit(
    model: GenerativeModel,
    train: Sequence[Tensor] | Examples,
    validation: Sequence[Tensor] | Examples,
    settings: TrainSettings,
    report: Callable[[Epoch], None] = lambda epoch: None,
    spans: Spans | None = None,
) -> FitResult:
    """Fits a model in place, on the device where it is, and leaves it with its best weights; see `Trainer`.

    Args:
        train, validation: the tensors `model.data`, each (rows, ...).
        report: called after each epoch.
    """
    rows = [data if not isinstance(data, Sequence) else MemoryExamples(data) for data in (train, validation)]
    trainer = Trainer(model, rows[0], rows[1], settings, open_device(model.device.type), spans)
    return trainer.run(Callbacks(on_epoch=report))


class Trainer:
    """The trainer of a model: a fit that can be stopped after any step, kept, and resumed to the same bits.

    Batches are drawn in an order that `settings.seed` fixes; the noise of the losses comes from torch's
    global generators, which the caller seeds. After each epoch the figure `model.criterion` is averaged over
    the validation rows; the weights with its best value are kept, and `settings.patience` epochs without
    a better one end the fit. A model without a criterion runs all epochs and keeps its last weights. With
    `settings.ema` the averaged weights are the ones that are validated and kept.

    Several processes share the rows of each batch, and so do the microbatches of `settings.accumulate`; the loss and
    its gradient are those of the whole batch. Each microbatch has noise of its own, with a seed that follows from
    `settings.seed`, the step and the microbatch's number among those of all processes. So a loss without noise is the
    same, up to rounding, however many share the batch. A loss with noise is the same in law, and the same up to
    rounding where as many microbatches share the batch, be it in one process or in several.

    Args:
        model: on the device of the data.
        train, validation: rows of `model.data`.
        settings: see `TrainSettings`.
        fabric: the devices, launched.
        spans: where each term of the objective stands in the spec, to name it when it is not finite.
        told: how figures are told of what the model gives: `DensityUnits.give` tells them in the units of the data.

    Raises:
        SpecError: when nothing can be fitted.
    """

    def __init__(
        self,
        model: GenerativeModel,
        train: Examples,
        validation: Examples,
        settings: TrainSettings,
        fabric: Fabric,
        spans: Spans | None = None,
        told: Callable[[Give], Give] = lambda figures: figures,
    ) -> None:
        self.model, self.train, self.validation, self.settings = model, train, validation, settings
        self.spans = spans or {}
        self.told = told
        self.processes = Processes(fabric)
        self.precision = fabric.strategy.precision
        self.batches = -(-train.count // settings.batch)
        if has_shared(model):
            model.get_buffer("training_rows").fill_(train.count)  # before the weights are copied for an average
        start_units(model, train)
        self.stages = StagesOf(model, settings)
        self.players = _player_states(model, self.stages.settings, self.batches)
        if not self.players:
            raise failures.nothing_to_fit()
        self.chains = [m for m in model.modules() if isinstance(m, Chain) and m.persistent]
        self.by_loss = [m for m in model.modules() if isinstance(m, PlacesByLoss)]
        self.average = averaged_model(model, settings.ema) if settings.ema else None
        count = self.processes.count * settings.accumulate
        first = self.processes.rank * settings.accumulate
        self.shards = [Shard(first + k, count) for k in range(settings.accumulate)]
        self.order = torch.Generator().manual_seed(settings.seed)
        self.order_state = self.order.get_state()
        self.epochs: list[Epoch] = []
        self.position, self.steps, self.seconds = 0, 0, 0.0
        self.totals = self._no_totals()
        self.best, self.best_epoch = -math.inf, 0
        self.best_weights: dict[str, Tensor] | None = None
        self.finite_weights = _copy_weights(model)
        self.stopped = self._ended()
        self.terms: dict[str, Tensor] = {}

    def run(self, callbacks: Callbacks) -> FitResult:
        """Trains until the fit ends or is interrupted, and leaves the model with its best weights.

        Raises:
            SpecError: when a loss or, throughout, the criterion is not finite; `failures.NotFinite` has the batch.
        """
        self.model.observer = self._observe
        self.model.check_rows = False  # they were checked when they were read
        self.model.train()
        self.stages.still()
        saved = time.monotonic()
        try:
            while not self.stopped:
                started = time.perf_counter()
                self.order.set_state(self.order_state)
                batches = with_next(batches_of(self.train, self.order, self.settings.batch), self._lookahead())
                for group in islice(batches, self.position, None):
                    interrupted, due = self._step(
                        group, callbacks.should_stop(), time.monotonic() - saved >= callbacks.checkpoint_every
                    )
                    callbacks.on_step(self.position, self.batches, len(self.epochs) + 1)
                    if interrupted or due:
                        self.seconds += time.perf_counter() - started
                        started = time.perf_counter()
                        self._checkpoint(callbacks)
                        saved = time.monotonic()
                    if interrupted:
                        return self._result("interrupted")
                self.seconds += time.perf_counter() - started
                self._end_epoch()
                callbacks.on_epoch(self.epochs[-1])
            if self.epochs and self.best_epoch == 0:
                last = self.epochs[-1].validation
                raise failures.never_finite(self.model.criterion or "", last, self.model, self.validation)
            self._checkpoint(callbacks)
        finally:
            self.model.observer = None
            self.model.epoch = math.inf
            self.model.check_rows = True
        return self._result(self.stopped)

    def _result(self, stopped: str) -> FitResult:
        if self.best_weights is not None:
            self.model.load_state_dict(self.best_weights)
        self.model.eval()
        return FitResult(tuple(self.epochs), self.steps, self.best_epoch, stopped)

    def _lookahead(self) -> int:
        """Batches that a step looks at: where the adversary takes several steps for one of the model's, each is on
        another batch (Goodfellow et al., 2014, Algorithm 1; Arjovsky et al., 2017, Algorithm 1), those that come
        next in the epoch's order.
        """
        return max(p.steps for p in self.players)

    def _step(self, group: Sequence[Tensor], interrupted: bool, due: bool) -> tuple[bool, bool]:
        """A step of each player; whether any process wants to end, and whether the first wants to keep the state."""
        self.model.epoch = len(self.epochs) + self.position / self.batches
        for number, player in enumerate(self.players):
            for k, index in enumerate(group[: player.steps]):
                noise = (self.steps, number, k)
                interrupted, due = self._step_player(player, index, noise, interrupted, due)
        self.position += 1
        self.steps += 1
        return interrupted, due

    def _step_player(
        self, state: PlayerState, index: Tensor, noise: tuple[int, ...], interrupted: bool, due: bool
    ) -> tuple[bool, bool]:
        """One step of a player on the rows `index`; `noise` tells the step from all others."""
        player = state.player
        value, bad = self._differentiate(state, index, noise)
        if self.processes.count > 1:
            value, found, interrupted, due = self.processes.agree(value, bad is not None, interrupted, due)
            if found is not None:
                bad = self.processes.share(bad, found)
        if bad is not None:
            epoch = len(self.epochs) + 1
            raise failures.not_finite(self.model, bad, self.train, epoch, self.spans, self.finite_weights)
        gradients = state.gradients()
        if self.processes.count > 1:
            for gradient in gradients:
                self.processes.add(gradient)
        if self.settings.clip is not None:
            self.precision.unscale_gradients(state.optimizer)
            torch.nn.utils.clip_grad_norm_(state.moved, self.settings.clip)
        self.precision.optimizer_step(state.optimizer)
        if state.schedule is not None:
            state.schedule.step()
        if self.average is not None and not player.adversary:
            self.average.update_parameters(self.model)
        self.totals.losses[player.name] += value * len(index)
        self.totals.rows[player.name] += len(index)
        return interrupted, due

    def _differentiate(
        self, state: PlayerState, index: Tensor, noise: tuple[int, ...]
    ) -> tuple[float, failures.Bad | None]:
        """The share of this process in the mean loss over the rows `index`, whose gradient is left in the weights;
        the loss that was not finite, if one was not.
        """
        player, total, value = state.player, len(index), 0.0
        # Only this player's gradients: what another player moves must not collect any.
        inputs = state.parameters if len(self.players) > 1 else None
        state.zero_gradients()
        for shard in self.shards:
            own = shard.rows(total)
            rows = own.stop - own.start
            if not rows:
                continue
            batch = self.train.take(index[own])
            try:
                with self._computing(shard, noise), self.precision.forward_context():
                    loss = player.loss(*batch)
            except Diverged as error:
                return value, failures.Bad(player.name, math.nan, batch, why=str(error))
            here = loss.item()
            if not math.isfinite(here):
                return value, failures.Bad(player.name, here, batch, self.terms, index[own].tolist())
            if not loss.requires_grad:
                raise failures.nothing_to_fit()
            # The mean over the batch is that of its shards, each with its share.
            share = rows / total
            self.precision.backward(loss if share == 1 else loss * share, None, inputs=inputs)
            value += here * share
            self._count_terms(rows)
        return value, None

    def _computing(self, shard: Shard, noise: tuple[int, ...]) -> AbstractContextManager[None]:
        """The body computes the loss of a shard: with noise of its own, and moving its share of persistent chains."""
        return nullcontext() if shard.count == 1 else self._as_one_of_several(shard, noise)

    @contextmanager
    def _as_one_of_several(self, shard: Shard, noise: tuple[int, ...]) -> Iterator[None]:
        for chain in self.chains:
            chain.shard = shard
        try:
            with seeded(derived_seed(self.settings.seed, *noise, shard.index), self.model.device):
                yield
        finally:
            for chain in self.chains:
                chain.shard = Shard()

    def _observe(self, terms: dict[str, Tensor]) -> None:
        self.terms = {name: term.detach() for name, term in terms.items()}

    def _count_terms(self, rows: int) -> None:
        """Adds up the terms of a loss that was finite; they stay on the device until the epoch ends."""
        if not self.terms:
            return
        for name, term in self.terms.items():
            total = term.sum() if term.dim() else term * rows
            self.totals.terms[name] = self.totals.terms[name] + total if name in self.totals.terms else total
        self.totals.term_rows += rows
        self.terms = {}

    def _end_epoch(self) -> None:
        number, started = len(self.epochs) + 1, time.perf_counter()
        self.processes.gather_chains(self.chains)
        self._add_losses()
        for places in self.by_loss:
            places.renew()
        totals = self.totals
        if self.processes.count > 1 and totals.terms:
            totals.terms, totals.term_rows = self.processes.add_terms(totals.terms, totals.term_rows)
        losses, terms = totals.means()
        evaluated = self._evaluated()
        figures = evaluate_figures(evaluated, self.validation, give=self.told(evaluated.epoch_figures))
        validated = {name: e.mean for name, e in figures.items()}
        validated = self.processes.share(validated, 0)
        criterion = self.model.criterion
        value = validated[criterion] if criterion else 0.0
        value = -value if self.model.lower_is_better else value
        # NaN compares false: an epoch whose criterion is not finite is never the best.
        better = criterion is None or self.best < value < math.inf
        if better:
            self.best, self.best_epoch = value, number
            # Without a criterion the last weights are kept, which are there anyway unless they are averaged.
            kept = criterion is not None or self.average is not None
            self.best_weights = _copy_weights(evaluated) if kept else None
        # Unless they are averaged, the best weights so far are the present ones, and never changed in place.
        fresh = self.best_weights if better and self.average is None else None
        self.finite_weights = fresh or _copy_weights(self.model)
        seconds = self.seconds + time.perf_counter() - started
        rates = {p.player.name: p.rate for p in self.players}
        self.epochs.append(Epoch(number, self.steps, seconds, losses, terms, rates, validated, better))
        self.position, self.seconds, self.totals = 0, 0.0, self._no_totals()
        self.order_state = self.order.get_state()
        self.stopped = self._ended()
        if self.stopped and self.stages.more:
            self._begin_stage(self.stages.number + 1, number)
            self.stopped = ""
        self.stages.still()

    def _begin_stage(self, number: int, after: int) -> None:
        """The next stage starts from the best weights so far, with optimisers and schedules of its own."""
        if self.best_weights is not None:
            self.model.load_state_dict(self.best_weights)
        self.stages.begin(number, after)
        self.players = _player_states(self.model, self.stages.settings, self.batches)
        if self.average is not None:
            self.average = averaged_model(self.model, self.settings.ema or 0.0)

    def _ended(self) -> str:
        """Why the fit, or its stage, ends after the epochs so far; "" when it does not."""
        number, began = len(self.epochs), self.stages.began
        if number > began and number - max(self.best_epoch, began) >= self.settings.patience:
            return "patience"
        return "epochs" if number - began >= self.settings.epochs else ""

    def _evaluated(self) -> GenerativeModel:
        """The model that is validated: the one with averaged weights where they are averaged."""
        if self.average is None:
            return self.model
        for own, buffer in zip(self.average.module.buffers(), self.model.buffers(), strict=True):
            own.copy_(buffer)
        return cast(GenerativeModel, self.average.module)

    def _no_totals(self) -> Totals:
        names = [p.player.name for p in self.players]
        return Totals(dict.fromkeys(names, 0.0), dict.fromkeys(names, 0))

    def _checkpoint(self, callbacks: Callbacks) -> None:
        self.processes.gather_chains(self.chains)
        self._add_losses()
        self._keep_losses_once()
        self.finite_weights = _copy_weights(self.model)
        state = self.state()
        if self.processes.rank == 0:
            callbacks.on_checkpoint(state)

    def _add_losses(self) -> None:
        """Each process has what all have found of the losses at places."""
        for places in self.by_loss if self.processes.count > 1 else ():
            self.processes.add(places.new)

    def _keep_losses_once(self) -> None:
        """What all processes have found is kept by the first of them, so that their sum stays what it was."""
        for places in self.by_loss:
            places.new.mul_(self.processes.rank == 0)

    def state(self) -> State:
        """All that resuming depends on, as nested dicts and lists of tensors, numbers and texts.

        The tensors are the fit's own, which moves on: they are to be written down, or copied, at once.
        """
        return {
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "position": self.position,
            "steps": self.steps,
            "seconds": self.seconds,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
            "stage": [self.stages.number, self.stages.began],
            "weights": self.model.state_dict(),
            "places": [m.state() for m in self.by_loss],
            "average": dict(self.average.state_dict()) if self.average else None,
            "players": {p.player.name: p.state() for p in self.players},
            "precision": dict(self.precision.state_dict()),
            "order": self.order_state,
            "losses": self.totals.losses,
            "rows": self.totals.rows,
            "processes": self.processes.gather(
                {
                    "random": random_states(self.model.device),
                    "terms": self.totals.terms,
                    "term_rows": self.totals.term_rows,
                }
            ),
        }

    def restore(self, state: State) -> None:
        """Puts the fit where `state` was taken.

        Raises:
            ValueError, KeyError, RuntimeError: when the state is of another model or other settings.
        """
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        self.position, self.steps, self.seconds = state["position"], state["steps"], state["seconds"]
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        stage, began = state.get("stage", [0, 0])
        if stage:
            self._begin_stage(stage, began)
        # Asked anew, because the settings may now allow more epochs.
        self.stopped = self._ended()
        device = self.model.device
        best = state["best_weights"]
        self.best_weights = None if best is None else {name: value.to(device) for name, value in best.items()}
        self.model.load_state_dict(state["weights"])
        for places, kept in zip(self.by_loss, state.get("places", []), strict=True):
            places.restore(kept)
        self._keep_losses_once()
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        for player in self.players:
            player.restore(state["players"][player.player.name])
        if state["precision"]:
            self.precision.load_state_dict(state["precision"])
        self.order_state = state["order"]
        own, *others = state["processes"]
        if len(others) + 1 == self.processes.count:
            own = state["processes"][self.processes.rank]
        terms = {name: value.to(device) for name, value in own["terms"].items()}
        self.totals = Totals(dict(state["losses"]), dict(state["rows"]), terms, own["term_rows"])
        restore_random(own["random"], device)
        self.finite_weights = _copy_weights(self.model)


def _player_states(model: GenerativeModel, settings: TrainSettings, batches: int) -> list[PlayerState]:
    """The players that have something to move."""
    players = [player for player in model.players() if trainable_groups(player)]
    owners = Counter(id(p) for player in players for group in trainable_groups(player) for p in group["params"])
    shared = {number for number, count in owners.items() if count > 1}
    return [PlayerState(player, settings, batches, shared) for player in players]


def _copy_weights(model: GenerativeModel) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
