"""What all ways of imputing share: their base, a model with the weights of a run, and rows that are repeated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

import torch
from torch import Tensor
from torch.nn.utils import vector_to_parameters

from dgmppl import pipeline
from dgmppl.imputations import Way
from dgmppl.pipeline import Checked
from dgmppl.runtime import GenerativeModel
from dgmppl.runtime.random_weights import WeightsGiven
from dgmppl.train.device import seeded
from dgmppl.train.runs import located

AT_ONCE = 2**23
"""So many numbers are in what is computed at once: memory does not grow with the draws of all rows."""


Values = Mapping[str, Tensor]


class Completion(ABC):
    """A way of drawing what is missing.

    Args:
        missing: the variables that may be missing.
        fitted: the model of the run.
        asked: what its `sample` is given.

    Attributes:
        beside: numbers of latents that are drawn with a row.
        models: those that it draws by.
    """

    def __init__(
        self, way: Way, missing: Collection[str], fitted: GenerativeModel, asked: Collection[str] = ()
    ) -> None:
        self.missing, self.fitted, self.asked = tuple(missing), fitted, asked
        self.words = way.words()
        self.beside = 0
        self.models: tuple[GenerativeModel, ...] = ()
        self.told = " and ".join(f"`{name}`" for name in missing)

    @abstractmethod
    def draw(self, rows: Values, count: int) -> dict[str, Tensor]:
        """So many draws of the variables that may be missing, (n, count, *shape), given what is seen (not NaN)."""

    @abstractmethod
    def copies(self, count: int) -> int:
        """How many copies of a row are at hand for so many draws."""

    def quality(self) -> str:
        """How good all draws so far are, in words; "" where there is nothing to say."""
        return ""

    def drawn(self, rows: Values, count: int) -> dict[str, Tensor]:
        """`draw`, a few rows at a time."""
        width = self.beside + (sum(v[0].numel() for v in rows.values()) if rows else 1)
        many = max(AT_ONCE // (width * self.copies(count)), 1)
        n = len(next(iter(rows.values())))
        found = [self.draw({k: v[s : s + many] for k, v in rows.items()}, count) for s in range(0, n, many)]
        return {name: torch.cat([f[name] for f in found]) for name in self.missing}


class Misfit(Exception):
    """The weights of a model are not those of another one."""


def with_weights(checked: Checked, fitted: GenerativeModel) -> GenerativeModel:
    """A model with the weights of a fitted one, which has all of them. Those of a network whose weights are random in
    the fitted model are no numbers until `set_weights` has set them to a draw.

    Raises:
        Misfit: where it has not.
    """
    with located(checked), seeded(0, fitted.device):
        model = pipeline.build(checked)
    others = {**dict(fitted.named_buffers()), **dict(fitted.named_parameters())}
    held = {**dict(model.named_buffers()), **dict(model.named_parameters())}
    random = {n: m for n, m in fitted.named_children() if isinstance(m, WeightsGiven) and hasattr(model, n)}
    for attribute, network in random.items():
        ours = getattr(model, attribute)
        if {n: p.shape for n, p in ours.named_parameters()} != network.shapes:
            raise Misfit(attribute)
        ours.load_state_dict(network.hidden[0].state_dict())
        set_weights(model, attribute, torch.full((sum(p.numel() for p in ours.parameters()),), torch.nan))
    for name, values in held.items():
        if name.partition(".")[0] in random:
            continue
        if name not in others or others[name].shape != values.shape:
            raise Misfit(name)
        values.data.copy_(others[name].data)
    model.check_rows = False
    return model.to(fitted.like).eval()


def set_weights(model: GenerativeModel, attribute: str, weights: Tensor) -> None:
    """Sets the weights of a network of a model, all of them in one vector, ``(W,)``, as `WeightsGiven` has them."""
    vector_to_parameters(weights, getattr(model, attribute).parameters())


def start_of(
    fitted: GenerativeModel, rows: Values, names: Collection[str], asked: Collection[str]
) -> dict[str, Tensor]:
    """Rows of which these variables are completed by draws of the model that know nothing of what is seen.

    Args:
        asked: the variables that are given to `sample`.
    """
    n = len(next(iter(rows.values())))
    many = n if asked else min(n, 1000)
    drawn = drawn_of(fitted, many, rows, asked, names)
    which = torch.arange(n) if asked else torch.randint(many, (n,))
    found = dict(rows)
    for name in names:
        values = drawn[name][which.to(rows[name].device)]
        found[name] = torch.where(rows[name].isnan(), values, rows[name])
    return found


def drawn_of(
    model: GenerativeModel, n: int, rows: Values, asked: Collection[str], missing: Collection[str] | None = None
) -> dict[str, Tensor]:
    """So many draws of all data of a model, given what it has to be given of rows. Where they are of one variable it is
    the one that is `missing` somewhere, since conditions that nothing reads are data too."""
    found = model.sample(n, *(rows[name] for name in asked))
    one = [name for name in model.data if name not in asked] if missing is None else missing
    named = found if isinstance(found, dict) else dict.fromkeys(one, found)
    return {**{name: rows[name] for name in asked}, **named}


def rows_of(model: GenerativeModel, rows: Values) -> tuple[Tensor, ...]:
    return tuple(rows[name] for name in model.data)


def repeated(rows: Values, count: int) -> dict[str, Tensor]:
    return {name: v.repeat_interleave(count, 0) for name, v in rows.items()}


def finite(numbers: Tensor) -> Tensor:
    """Log-densities, of which one that is no number is that of what cannot be."""
    return torch.where(numbers.isnan(), -torch.inf, numbers)


def over(rows: Tensor, value: Tensor) -> Tensor:
    """A number of each row with axes for the elements of a row."""
    return rows.reshape(-1, *(1,) * (value.dim() - 1))


def by_row(values: Tensor, count: int) -> Tensor:
    return values.reshape(-1, count, *values.shape[1:])


__all__ = [
    "Completion",
    "Misfit",
    "Values",
    "by_row",
    "drawn_of",
    "finite",
    "over",
    "repeated",
    "rows_of",
    "set_weights",
    "start_of",
    "with_weights",
]
