"""The protocol of a user's own network, as far as both sides of it need it: what is said of a class that breaks it."""

from __future__ import annotations


class NetworkError(TypeError):
    """A user's class does not keep to the protocol of networks, which `dgmppl.runtime.own` describes."""


def described(error: BaseException) -> str:
    """An exception in a line."""
    first = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


__all__ = ["NetworkError", "described"]
