"""Methods that emitted models have beside those of every model: which of them one has follows from its plan."""

from __future__ import annotations

from typing import Any, Protocol, cast

from torch import Tensor

from dgmppl.runtime.model import GenerativeModel


class Emitted(Protocol):
    """A model with these methods, as its source has them."""

    def predict(self, *rows: Tensor) -> tuple[dict[str, Tensor], dict[str, Any], Tensor]:
        """Draws of what is left out of rows, the laws they came from, and logarithms of their weights, ``(n,)``."""

    def propose(self, *rows: Tensor, **named: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Draws of latents by q, and logarithms of their weights ``p / q``, ``(n,)``."""

    def forecast(self, *arguments: Any) -> dict[str, Tensor]:
        """Sequences that go on from what is known of them."""

    def complete(self, n: int, known: dict[str, Tensor], *, mean: bool, **ways: Any) -> dict[str, Tensor]:
        """Draws or means of what is not known of rows."""

    def free_energy(self, *state: Tensor) -> Tensor:
        """Minus the unnormalised log-density of a state, ``(n,)``."""


def emitted(model: GenerativeModel) -> Emitted:
    """The model as one that has them."""
    return cast(Emitted, model)


__all__ = ["Emitted", "emitted"]
