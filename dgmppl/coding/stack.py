"""A stack of bits that choices are pushed onto and popped from, by asymmetric numeral systems (Duda, 2009)."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import constriction
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PRECISION = 24
"""Bits of a probability: none is coded as less than one in 2^24."""

Index = NDArray[np.int32]
Words = NDArray[np.uint32]

_CATEGORICAL = constriction.stream.model.Categorical(perfect=False)
_SEAL = np.array([1], dtype=np.uint32)  # what constriction puts above words that are not its own


class CodingError(Exception):
    """What cannot be coded, or decoded, in words.

    Attributes:
        help: what can be done instead; "" for what is said of all.
    """

    def __init__(self, message: str = "", help: str = "") -> None:
        super().__init__(message)
        self.help = help


def quantised(log_weights: Tensor) -> NDArray[np.float64]:
    """Logarithms of weights ``(m, K)`` as whole numbers in 2^24ths of their sum.

    They hardly depend on the last bits of the weights, in which machines differ.

    Raises:
        CodingError: for weights that are not numbers.
    """
    if bool(log_weights.isnan().any()):
        raise CodingError(
            "the model gives probabilities that are not numbers",
            "`dgmppl evaluate` tells whether its figures are numbers, and `dgmppl score` of which rows they are",
        )
    nothing = ~torch.isfinite(log_weights).any(-1, keepdim=True)
    weights = torch.softmax(log_weights.masked_fill(nothing, 0.0), -1).cpu().numpy()
    found: NDArray[np.float64] = np.rint(weights.astype(np.float64) * 2**PRECISION)
    return found


class Stack:
    """Words of 32 bits. What was pushed last is popped first.

    Attributes:
        tables: a checksum of all tables that choices were pushed or popped by, in any order.
        bits: what pushing cost, less what popping gave back: the length of an ideal code, in bits.
    """

    def __init__(self, words: Words, sealed: bool) -> None:
        """`sealed`: the words are any, and not those that another stack gave."""
        self._coder: Any = constriction.stream.stack.AnsCoder(words, seal=sealed)
        self.tables, self.bits = 0, 0.0
        self.lowest = self._coder.num_words()

    def push(self, index: Index, table: NDArray[np.float64]) -> None:
        """Choices ``(m,)`` among the K cells of tables ``(m, K)``. One of a single cell takes nothing."""
        if table.shape[-1] > 1:
            self._coder.encode_reverse(index, _CATEGORICAL, table)
        self._count(index, table, 1)

    def pop(self, table: NDArray[np.float64]) -> Index:
        """The choices ``(m,)`` that were pushed by these tables."""
        single = table.shape[-1] == 1  # which the coder does not take
        found: Index = np.zeros(len(table), np.int32) if single else self._coder.decode(_CATEGORICAL, table)
        self._count(found, table, -1)
        self.lowest = min(self.lowest, self._coder.num_words())
        return found

    def words(self) -> Words:
        """All that is on it."""
        found: Words = self._coder.get_compressed()
        return found

    def _count(self, index: Index, table: NDArray[np.float64], sign: int) -> None:
        self.tables = (self.tables + zlib.crc32(table.astype("<u4").tobytes())) % 2**32
        chosen = np.maximum(table[np.arange(len(index)), index], 1.0) / table.sum(-1)
        self.bits -= sign * float(np.log2(chosen).sum())


def initial_words(count: int) -> Words:
    """Words of noise, always the same: what the first rows pop their latents from."""
    noise = hashlib.shake_256(b"bits back").digest(4 * count)
    return np.frombuffer(noise, dtype="<u4").astype(np.uint32)


def is_initial(words: Words, kept: int, count: int) -> bool:
    """Whether the words of a stack are the last `kept` of so many initial ones."""
    wanted = np.concatenate([initial_words(count)[count - kept :], _SEAL]) if count else np.array([], np.uint32)
    return bool(np.array_equal(words, wanted))


class Exchange(Protocol):
    """A choice that takes from a stack as it puts there. `scattered`: as `Scattered` has it."""

    def pop(self, stack: Stack, scattered: bool) -> Tensor:
        """The value that was pushed."""

    def push(self, stack: Stack, value: Tensor, scattered: bool) -> None:
        """Puts a value on it."""


class Popping:
    """Choices that come from a stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def choose(self, log_weights: Tensor, known: Tensor | None) -> Tensor:
        """Choices ``(m,)`` by tables ``(m, K)``."""
        found = self.stack.pop(quantised(log_weights))
        return torch.from_numpy(found.astype(np.int64)).to(log_weights.device)

    def exchange(self, exchange: Exchange, known: Tensor | None, scattered: bool = False) -> Tensor:
        """The value of an exchange."""
        return exchange.pop(self.stack, scattered)


class Recording:
    """Choices that are known: noted with their tables, and pushed at the end, the last first."""

    def __init__(self) -> None:
        self._noted: list[Callable[[Stack], None]] = []

    def choose(self, log_weights: Tensor, known: Tensor | None) -> Tensor:
        """The choices ``(m,)`` that are known."""
        assert known is not None
        table, index = quantised(log_weights).astype(np.uint32), known.cpu().numpy().astype(np.int32)
        self._noted.append(lambda stack: stack.push(index, table.astype(np.float64)))
        return known

    def exchange(self, exchange: Exchange, known: Tensor | None, scattered: bool = False) -> Tensor:
        """The value of an exchange, which is known."""
        assert known is not None
        self._noted.append(lambda stack: exchange.push(stack, known, scattered))
        return known

    def push(self, stack: Stack) -> None:
        """Puts all on a stack: popped in the order in which they were noted, they come back."""
        while self._noted:
            self._noted.pop()(stack)


class Scattered:
    """Choices by another chooser, whose cells lie in another order.

    A latent is popped from what was pushed last, the latents of another row. Were its cells in the order of theirs, it
    would follow from them, and be no draw (the "dirty bits" of Townsend et al., 2019, Sec. 2.5.4).
    """

    def __init__(self, chooser: Popping | Recording) -> None:
        self.chooser = chooser

    def choose(self, log_weights: Tensor, known: Tensor | None) -> Tensor:
        """Choices ``(m,)`` by tables ``(m, K)``."""
        order = _order(log_weights.shape[-1])
        place = None if known is None else order.argsort()[known]
        return order[self.chooser.choose(log_weights[:, order], place)]

    def exchange(self, exchange: Exchange, known: Tensor | None) -> Tensor:
        """The value of an exchange."""
        return self.chooser.exchange(exchange, known, True)


@cache
def _order(size: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(0).permutation(size))


Chooser = Popping | Recording | Scattered

__all__ = [
    "Chooser",
    "CodingError",
    "Exchange",
    "Popping",
    "Recording",
    "Scattered",
    "Stack",
    "initial_words",
    "is_initial",
    "quantised",
]
