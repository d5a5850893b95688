"""Lines of source, each with the line of the spec that it comes from, and the modules that they import."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.graph.names import LOCALS
from dgmppl.source import Source, Span

# What emitted source calls the runtime, Pyro's distributions, and the runtime's own distributions for Pyro.
RUNTIME, PYRO, PYRO_RUNTIME = "rt", "dist", "rt_dist"
_PYRO = {d.name: d.name for d in DISTRIBUTIONS.values() if not d.ours} | {
    "Uniform": "Uniform",
    "Delta": "Delta",
    "Distribution": "TorchDistribution",
}
_PYRO_RUNTIME = {d.name for d in DISTRIBUTIONS.values() if d.ours} | {
    "IntegerCategorical",
    "Mixture",
    "Pushforward",
    "Rounded",
    "JointNormal",
    "PathNormal",
    "Autoregressive",
    "Sequence",
    "filled",
    "where_elements_seen",
    "where_seen",
}


def tuple_source(parts: Sequence[object]) -> str:
    """A tuple as a person writes it: `(x,)`, `(x, y)`."""
    return f"({', '.join(map(str, parts))}{',' if len(parts) == 1 else ''})"


def spec_name(source: Source) -> str:
    """What emitted source calls the spec: its file's name, without what could end a comment or a docstring."""
    name = source.name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c if c.isalnum() or c in " ._-+()" else "_" for c in name)


@dataclass(frozen=True)
class Emitted:
    """Emitted source. `lines[k]` is the spec's line for line k + 1 of `text`, or None; `classes` are a user's own that
    it imports."""

    text: str
    lines: tuple[int | None, ...]
    class_name: str
    target: str
    classes: tuple[str, ...] = ()


@dataclass
class Writer:
    """Collects lines. `at` is the place in the spec that lines written now come from; `imports` the modules that they
    name, by alias; `classes` a user's own, `module:Class` each, by the name that they have in the source, and `taken`
    what they must not be called."""

    source: Source
    target: str = "torch"
    indent: int = 0
    rows: list[tuple[str, int | None]] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    at: int | None = None
    classes: dict[str, str] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()

    def line(self, text: str = "", *, mark: bool = False) -> None:
        """One line; `mark` names the spec's line in a comment."""
        if mark and self.at is not None:
            text = f"{text}  # {spec_name(self.source)}:{self.at}"
        self.rows.append((("    " * self.indent + text).rstrip(), self.at if text else None))

    def use(self, name: str) -> str:
        """A class or function of the runtime, or of Pyro where that is the target and has it: `rt.MLP`."""
        alias = RUNTIME
        if self.target == "pyro" and name in _PYRO:
            alias, name = PYRO, _PYRO[name]
        elif self.target == "pyro" and name in _PYRO_RUNTIME:
            alias = PYRO_RUNTIME
        self.imports.add(alias)
        return f"{alias}.{name}"

    def use_class(self, path: str) -> str:
        """A user's own class, `module:Class`, by the name that the source imports it under, which hides nothing."""
        if path not in self.classes:
            name = path.partition(":")[2].lstrip("_") or "Network"
            while name in self.taken | LOCALS | set(self.classes.values()) or hasattr(builtins, name):
                name += "_"
            self.classes[path] = name
        return self.classes[path]

    @contextmanager
    def block(self, opening: str) -> Iterator[None]:
        self.line(opening)
        self.indent += 1
        yield
        self.indent -= 1

    @contextmanager
    def method(self, signature: str, doc: str) -> Iterator[None]:
        """A method with its docstring, a blank line before it."""
        previous = self.at
        self.rows.append(("", None))
        with self.block(f"def {signature}:"):
            self.line(f'"""{doc}"""')
            yield
        self.at = previous

    @contextmanager
    def place(self, span: Span | None) -> Iterator[None]:
        previous = self.at
        if span is not None:
            self.at = self.source.position(span.start)[0]
        yield
        self.at = previous
