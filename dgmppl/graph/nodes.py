"""The typed graph's parts and the graph itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from dgmppl.catalogue.formats import field_text
from dgmppl.catalogue.readings import AS_IT_IS, Reading
from dgmppl.graph.names import member_name
from dgmppl.graph.values import (
    Apply,
    Bijection,
    Density,
    Feature,
    Module,
    Past,
    Residual,
    Use,
    Value,
    children,
    variables,
    walk,
)
from dgmppl.graph.values import (
    Sequence as SequenceOf,
)
from dgmppl.source import Source, Span
from dgmppl.supports import Type

if TYPE_CHECKING:
    import networkx as nx

    from dgmppl.graph.units import Units


@dataclass(frozen=True)
class DataSource:
    """Where a variable's values come from. `dataset` is a catalogue name, or a path if `is_file`. `places`: of a family
    of several indices, where it lies along each axis behind the first, and how long that is."""

    dataset: str
    field: str
    is_file: bool = False
    transforms: tuple[tuple[str, tuple[float, ...]], ...] = ()
    span: Span = dataclasses.field(default=Span(0, 0), compare=False, repr=False)
    columns: tuple[str, ...] = ()
    reading: Reading = AS_IT_IS
    places: tuple[tuple[int, int], ...] = ()

    @property
    def dates(self) -> bool:
        """Whether its texts are dates."""
        return bool(self.transforms) and self.transforms[0][0] == "dates"

    @property
    def text(self) -> str:
        """The field as a spec writes it, without its transforms."""
        return field_text(self.dataset, self.field, self.is_file, self.columns, self.reading.written())

    @property
    def place(self) -> int:
        """Which of the parts of the data it is, counted along all of these axes."""
        found = 0
        for place, size in self.places:
            found = found * size + place
        return found

    def whole(self, type_: Type) -> Type:
        """The type of a row of the data, for that of the variable."""
        sizes = tuple(size for _, size in self.places)
        return Type(type_.support, (*type_.shape[:1], *sizes, *type_.shape[1:])) if sizes else type_


@dataclass(frozen=True)
class Along:
    """The index of a folded family: its `letter`, and the number of the first member. `length`: the observed variable
    that says the number of the last member of each row, "" where all rows have all."""

    letter: str
    start: int
    length: str = ""


@dataclass(frozen=True)
class Variable:
    """`role`: "observed", "partial" (seen in some rows), "latent", or "let" (a deterministic feature). `elementwise`:
    elements of a partial one are missing one by one, and not all of a row at once.

    `z[3]` has the `family` "z" and the `index` 3; `counter` is the l of `z[l in 1..4]`. `rows`: each row has a value of
    its own; a latent `per data`, and a feature computed from such and from parameters alone, has one for all of them.
    `along`: it is a whole family, whose members lie along its first axis. `group`: the column of whose values each has
    one; in a row it is that of the row's.
    """

    name: str
    ident: str
    role: str
    type: Type
    span: Span = dataclasses.field(compare=False, repr=False)
    data: DataSource | None = None
    family: str | None = None
    index: int | None = None
    counter: str | None = None
    rows: bool = True
    along: Along | None = None
    group: str | None = None
    elementwise: bool = False

    @property
    def shared(self) -> bool:
        """Whether it is a latent that rows have in common: one for all of them, or for those of a group."""
        return self.role == "latent" and (not self.rows or self.group is not None)

    @property
    def members(self) -> range:
        """The numbers of the members of a folded family."""
        assert self.along is not None
        return range(self.along.start, self.along.start + self.type.shape[0])

    @property
    def shown(self) -> str:
        """Its name as a person reads it: of a folded family `z[t]`."""
        return self.name if self.along is None else member_name(self.name, self.along.letter)

    @property
    def range(self) -> str:
        """How far the index of a folded family goes, `t = 1..20`; "" for any other variable."""
        if self.along is None:
            return ""
        return f"{self.along.letter} = {self.members[0]}..{self.along.length or self.members[-1]}"

    @property
    def length(self) -> str:
        """The variable that says how far the index of a folded family goes in a row, "" where that is the same in all;
        members beyond do not exist."""
        return "" if self.along is None else self.along.length

    @property
    def element(self) -> Type:
        """The type of a member of a folded family, of any other variable its own."""
        return self.type if self.along is None else Type(self.type.support, self.type.shape[1:])


@dataclass(frozen=True)
class Parameter:
    """A declared `param`; `scale` is the standard deviation of its normal initial values."""

    name: str
    ident: str
    type: Type
    scale: float
    span: Span = dataclasses.field(compare=False, repr=False)

    learns: ClassVar[bool] = True
    """Whether its values are learned."""


@dataclass(frozen=True)
class Fixed(Parameter):
    """A declared tensor of fixed values, those of the file `data`: a parameter that nothing teaches, of any support."""

    data: DataSource

    learns: ClassVar[bool] = False


@dataclass(frozen=True)
class Schedule(Parameter):
    """Numbers along an index, known when the model is built: the `value` of each, as a spec writes it, and what it
    comes to. The first is that of the index `start`."""

    value: Value
    start: int
    numbers: tuple[float, ...] = dataclasses.field(compare=False, repr=False)

    learns: ClassVar[bool] = False

    @property
    def members(self) -> range:
        """The numbers that its index has."""
        return range(self.start, self.start + len(self.numbers))


@dataclass(frozen=True)
class Factor:
    """`side`(`head` | `parents`) = `density`. Its key is its left side as text, `p(x | z)`."""

    side: str
    head: str
    parents: tuple[str, ...]
    density: Density
    span: Span = dataclasses.field(compare=False, repr=False)
    head_span: Span = dataclasses.field(compare=False, repr=False)
    method: str = ""

    @property
    def key(self) -> str:
        return factor_key(self.side, self.head, self.parents)


def features_of(term: object) -> tuple[Feature, ...]:
    """The features with a value at each position that an expression reads, each after those that it reads itself."""
    found: dict[str, Feature] = {}
    for child in children(term):
        found.update({f.name: f for f in features_of(child) if f.name not in found})
    if isinstance(term, Feature):
        found.setdefault(term.name, term)
    return tuple(found.values())


def feature_reads(graph: Graph, feature: Feature) -> tuple[str, ...]:
    """The names of the variables and features that a feature is computed from."""

    def found(term: object) -> Iterator[str]:
        if isinstance(term, Feature):
            yield term.ident
        elif isinstance(term, (Use, Past)):
            yield graph[term.variable].ident
        else:
            for child in children(term):
                yield from found(child)

    return tuple(dict.fromkeys(found(feature.body)))


def factor_key(side: str, head: str, parents: Iterable[str]) -> str:
    given = ", ".join(parents)
    return f"{side}({head} | {given})" if given else f"{side}({head})"


@dataclass(frozen=True)
class Definition:
    """`variable` is `value`: a let-bound feature, or a variable that is a function of latents."""

    variable: str
    value: Value
    span: Span = dataclasses.field(compare=False, repr=False)


@dataclass(frozen=True)
class Energy:
    """`E(arguments) = value`, a scalar: p is proportional to exp(-E)."""

    arguments: tuple[str, ...]
    value: Value
    span: Span = dataclasses.field(compare=False, repr=False)
    head_span: Span = dataclasses.field(compare=False, repr=False)


@dataclass(frozen=True)
class Adversary:
    """A network that tells samples of the model from data, over exactly its arguments; `value` is what it gives."""

    name: str
    ident: str
    arguments: tuple[str, ...]
    value: Apply
    span: Span = dataclasses.field(compare=False, repr=False)

    @property
    def module(self) -> Module:
        """Its network."""
        return self.value.module


@dataclass(frozen=True)
class Graph:
    """A checked spec. `modules` and `flows` are what the model holds, in order of first use."""

    name: str
    source: Source = dataclasses.field(repr=False, compare=False)
    variables: tuple[Variable, ...]
    parameters: tuple[Parameter, ...]
    factors: tuple[Factor, ...]
    definitions: tuple[Definition, ...]
    energy: Energy | None
    adversaries: tuple[Adversary, ...]
    flows: tuple[tuple[str, Bijection], ...] = ()
    constants: tuple[tuple[str, float], ...] = ()
    letters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Of each family the letters of its indices."""
    units: tuple[Units, ...] = ()
    """In which units of the data networks read variables, and give the parameters of their factors."""

    def __getitem__(self, name: str) -> Variable:
        return self._by_name[name]

    def __repr__(self) -> str:
        return f"<graph of {self.name}: {', '.join(v.name for v in self.variables)}>"

    def _repr_svg_(self) -> str:
        """Its picture, which notebooks show."""
        from dgmppl.picture.graph import svg

        return svg(self)

    @cached_property
    def _by_name(self) -> dict[str, Variable]:
        return {v.name: v for v in self.variables}

    def unit_of(self, name: str) -> Units | None:
        """The units of a variable, None for one that has none."""
        return next((one for one in self.units if one.variable == name), None)

    def local(self, name: str) -> str:
        """A local name of emitted source, unlike every variable of the spec: none of those starts with `_`."""
        return f"_{name}" if name in self._idents else name

    @cached_property
    def fixed(self) -> tuple[Fixed, ...]:
        """The tensors whose values are read from files."""
        return tuple(p for p in self.parameters if isinstance(p, Fixed))

    @cached_property
    def _idents(self) -> frozenset[str]:
        return frozenset(v.ident for v in self.variables) | {f.ident for f in self.features}

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The features with a value at each position, each after those that it reads."""
        found: dict[str, Feature] = {}
        for term in (*(f.density for f in self.factors), *(d.value for d in self.definitions)):
            found.update({f.name: f for f in features_of(term)})
        return tuple(found.values())

    @cached_property
    def observed(self) -> tuple[Variable, ...]:
        return tuple(v for v in self.variables if v.role == "observed")

    @cached_property
    def data(self) -> tuple[Variable, ...]:
        """What rows of data hold, in the order in which models take it: a partial variable is NaN where missing."""
        return tuple(v for v in self.variables if v.role in ("observed", "partial"))

    @cached_property
    def partial(self) -> tuple[Variable, ...]:
        return tuple(v for v in self.variables if v.role == "partial")

    @cached_property
    def latents(self) -> tuple[Variable, ...]:
        return tuple(v for v in self.variables if v.role == "latent")

    @cached_property
    def shared(self) -> tuple[Variable, ...]:
        """The latents that rows have in common."""
        return tuple(v for v in self.latents if v.shared)

    @cached_property
    def inferred(self) -> tuple[Variable, ...]:
        """What the data leaves open, in every row or in some: a q may be over these."""
        return tuple(v for v in self.variables if v.role in ("latent", "partial"))

    @cached_property
    def conditions(self) -> tuple[str, ...]:
        """Observed variables that nothing models: the model is conditional on them."""
        modelled = {f.head for f in self.factors} | {d.variable for d in self.definitions}
        modelled |= set(self.energy.arguments) if self.energy else set()
        return tuple(v.name for v in self.observed if v.name not in modelled)

    @cached_property
    def asked(self) -> tuple[str, ...]:
        """Conditions that samples depend on, and so those whose values `sample` asks for."""
        sources = self.sources({v.name for v in self.data if v.name not in self.conditions})
        return tuple(name for name in self.conditions if name in sources)

    def sources(self, wanted: set[str], prior: bool = False) -> set[str]:
        """These variables, and all that samples of them depend on through p and definitions: features of q are left
        out. `prior`: what rows have in common comes from p too, and not from its q."""
        found: set[str] = set()
        pending = list(wanted)
        while pending:
            name = pending.pop()
            if name in found:
                continue
            found.add(name)
            factor, definition = self.factor("p", name) if prior else self.law(name), self.definition(name)
            pending.extend((*factor.parents, *self.reads(factor)) if factor else ())
            pending.extend([group] if (group := self[name].group) is not None else ())
            pending.extend(variables(definition.value) if definition else ())
            if self.energy is not None and name in self.energy.arguments:
                pending.extend(variables(self.energy.value))
        return found

    def law(self, name: str) -> Factor | None:
        """The factor that samples of a variable come from: of p; of what rows have in common its q, once it has one,
        which has learned from all of them."""
        learned = self.factor("q", name) if self[name].shared else None
        return learned or self.factor("p", name)

    def factor(self, side: str, head: str) -> Factor | None:
        return self._factors.get((side, head))

    @cached_property
    def _factors(self) -> dict[tuple[str, str], Factor]:
        return {(f.side, f.head): f for f in self.factors}

    def keyed(self, key: str) -> Factor:
        """The factor with this key, `p(x | z)`."""
        return self._keyed[key]

    @cached_property
    def _keyed(self) -> dict[str, Factor]:
        return {f.key: f for f in reversed(self.factors)}

    def place(self, factor: Factor, reading: str = "") -> Span:
        """Where the left side of a factor stands. Of a folded family that several statements are about it is that of
        the one which reads a variable, else of the one with most members."""
        density = factor.density
        if not isinstance(density, SequenceOf):
            return factor.head_span
        telling = [t for t in density.segments if reading in self.roots(variables(t))] or density.segments
        return max(telling, key=lambda t: (not t.final, t.last - t.first, t.first)).head_span

    def written(self, factor: Factor, reading: str = "") -> str:
        """The left side of a factor as the spec has it at its `place`, `p(s[t] | s[t - 1])`, for messages. A factor
        that was derived, or is one of the members of a family that were written out, is told by its key."""
        span = self.place(factor, reading)
        text = " ".join(self.source.text[span.start : span.end].split())
        whole = text.startswith(f"{factor.side}(") and text.endswith(")") and "#" not in text
        return text if whole and self[factor.head].family is None else factor.key

    def reads(self, factor: Factor) -> tuple[str, ...]:
        """The variables (features too) that a factor's density is computed from, in the order of its parents where
        they are them."""
        names = list(variables(factor.density))
        for term in walk(factor.density):
            if isinstance(term, Residual):
                names += self.reads(self.keyed(term.prior))
        parents = [p for p in factor.parents if p in names]
        itself = () if self.imputes(factor) else (factor.head,)
        others = [n for n in dict.fromkeys(names) if n not in (*parents, *itself)]
        return (*parents, *others)

    def imputes(self, factor: Factor) -> bool:
        """Whether a factor is of the elements of a variable that are missing: it may read those that are seen."""
        return factor.side == "q" and self[factor.head].elementwise

    def definition(self, variable: str) -> Definition | None:
        return self._definitions.get(variable)

    @cached_property
    def _definitions(self) -> dict[str, Definition]:
        return {d.variable: d for d in self.definitions}

    def roots(self, names: Iterable[str]) -> tuple[str, ...]:
        """The variables that these depend on once let-bound features are followed back to what they read."""
        found: dict[str, None] = {}
        pending = list(names)
        seen: set[str] = set()
        while pending:
            name = pending.pop(0)
            if name in seen:
                continue
            seen.add(name)
            definition = self.definition(name)
            if self[name].role == "let" and definition is not None:
                pending = list(variables(definition.value)) + pending
            else:
                found[name] = None
        return tuple(found)

    @cached_property
    def _readers(self) -> dict[str, list[Factor]]:
        found: dict[str, list[Factor]] = {}
        for factor in self.factors:
            for name in self.roots(factor.parents) if factor.side == "p" else ():
                found.setdefault(name, []).append(factor)
        return found

    def readers(self, variable: str) -> list[Factor]:
        """The factors of p that depend on a variable, be it through a feature."""
        return self._readers.get(variable, [])

    @cached_property
    def network(self) -> nx.MultiDiGraph:
        """The graph as networkx has it: variables as nodes, an edge for each dependence, with its role
        ("p", "q", "let", "define", "energy", "adversary")."""
        import networkx as nx

        g = nx.MultiDiGraph(name=self.name)
        for v in self.variables:
            g.add_node(v.name, kind="variable", role=v.role, type=v.type.describe(), family=v.family)
        for f in self.factors:
            g.nodes[f.head].setdefault("factors", []).append(f.key)
            for parent in f.parents:
                g.add_edge(parent, f.head, role=f.side, factor=f.key)
        for d in self.definitions:
            role = "let" if self[d.variable].role == "let" else "define"
            for parent in variables(d.value):
                g.add_edge(parent, d.variable, role=role)
        if self.energy is not None:
            g.add_node("E", kind="energy")
            for a in self.energy.arguments:
                g.add_edge("E", a, role="energy")
        for adversary in self.adversaries:
            g.add_node(adversary.name, kind="adversary")
            for a in adversary.arguments:
                g.add_edge(a, adversary.name, role="adversary")
        return g
