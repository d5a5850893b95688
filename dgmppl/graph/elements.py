"""Factors of one element at a time, `p(x[d] | x[<d], x[d - 1], c[d])`: what their right sides read at a position."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dgmppl.catalogue.signature import Argument, Signature
from dgmppl.diagnostics import Note, did_you_mean
from dgmppl.graph.binding import bind
from dgmppl.graph.configuration import causal_names
from dgmppl.graph.context import Elements
from dgmppl.graph.nodes import Variable, factor_key
from dgmppl.graph.positions import misplaced, names_in, offsets, verify_earlier
from dgmppl.graph.scope import Scope, VariableFamily, describe_binding
from dgmppl.graph.several import several
from dgmppl.graph.values import Apply, At, Density, Feature, Past, Sequence, State, Use, children, walk
from dgmppl.permutations import ORDERS
from dgmppl.source import Span
from dgmppl.syntax import tree

ORDER = Signature(
    "p", (Argument("order", "order", by="name"),), usage="p(x[d] | x[<d], order = permute(seed = 1)) = ..."
)
PERMUTE = Signature("permute", (Argument("seed", "seed"),), usage="permute(seed = 1)")


def elements_of(scope: Scope, statement: tree.Factor) -> Elements | None:
    """What `x[d]`, the head of a factor, is an element of; None for a whole variable or a member of a family."""
    head = statement.heads[0]
    binding = scope.names.get(head.name)
    past = next((p for p in statement.parents if p.past and not several(scope, p)), None)
    if isinstance(binding, VariableFamily) and len(head.subscripts) > 1:
        member = scope.source.text[head.subscripts[0].span.start : head.subscripts[0].span.end]
        scope.fail(
            "E223",
            f"a member of the family `{head.name}` is modelled as a whole, and not element by element",
            head.span,
            f"{len(head.subscripts)} indices",
            notes=(Note(scope.places[head.name], "declared here"),),
            help=f"p({head.name}[{member}]) = ..., where a distribution of numbers is one of each element",
        )
    if isinstance(binding, VariableFamily) or (not head.subscripts and past is None):
        if past is not None:
            _misused(scope, past, f"p({head.name}[d] | {head.name}[<d]) = ...")
        for option in statement.options:
            scope.fail("E209", "a factor of a whole variable takes no options", option.span, "no elements in order")
        return None
    binding = scope.lookup(head.name, head.span, "variable")
    if not isinstance(binding, Variable):
        scope.fail("E217", f"`{head.name}` is {describe_binding(binding)}, not a variable", head.span)
    if past is not None and not head.subscripts:
        _misused(scope, past, f"p({head.name}[d] | {head.name}[<d]) = ...")
    indices = tuple(s.name if isinstance(s, tree.Name) else "" for s in head.subscripts)
    taken = next((s for s, n in zip(head.subscripts, indices) if not n or n in scope.names), None)
    if taken is not None or len(set(indices)) < len(indices):
        scope.fail(
            "E223",
            f"an element of `{head.name}` is named by letters of its own, which go over all of them",
            (taken or head).span,
            "no index",
            notes=(Note(scope.places[head.name], "declared here"),),
            help=f"write {head.name}, or p({head.name}[d] | {head.name}[<d]) = ...",
        )
    shape = binding.type.shape
    if len(shape) < len(indices):
        what = "one index" if len(shape) == 1 else "no index" if not shape else f"{len(shape)} indices"
        scope.fail(
            "E223",
            f"`{head.name}` has {what} to go along",
            head.span,
            f"`{head.name}` is {binding.type.describe()}",
            help=f"p({head.name}[d] | {head.name}[<d]) = ..." if shape else f"p({head.name}) = ...",
        )
    extent = shape[: len(indices)]
    return Elements(indices, extent, head.name, order=_order(scope, statement, extent))


def _misused(scope: Scope, past: tree.Reference, usage: str) -> None:
    scope.fail("E223", "the past is that of the variable that is modelled, at its index", past.span, help=usage)


def _order(scope: Scope, statement: tree.Factor, extent: tuple[int, ...]) -> tuple[str, int] | None:
    """`order = zigzag`, `order = permute(seed = 1)`. Reports what is none (E209, E210)."""
    given = bind(scope, ORDER, statement.options, statement.head_span)
    if "order" not in given:
        return None
    value = given["order"].value
    name = value.target if isinstance(value, tree.Call) else value
    if not isinstance(name, tree.Name) or name.name not in ORDERS:
        known = did_you_mean(name.name, ORDERS) if isinstance(name, tree.Name) else ""
        scope.fail("E210", f"an order is one of {', '.join(ORDERS)}", value.span, "no order", help=known)
    arguments = value.arguments if isinstance(value, tree.Call) else ()
    if name.name != "permute" and isinstance(value, tree.Call):
        scope.fail("E209", f"{name.name} takes no options", value.span, help=name.name)
    if name.name == "zigzag" and len(extent) != 2:
        found = "along one axis here" if len(extent) == 1 else f"along {len(extent)} axes here"
        help_ = "order = reverse, or order = permute(seed = 1)"
        scope.fail("E210", "a zigzag goes over a grid of two axes", value.span, found, help=help_)
    seed = bind(scope, PERMUTE, arguments, value.span).value("seed")
    return name.name, 0 if seed is None else scope.integer(seed, {}, "`seed`", low=0)


def verify_order(scope: Scope, density: Density, elements: Elements) -> None:
    """In another order than row by row an element reads its past as a sequence, and no feature that goes along the
    positions itself (E223)."""
    if elements.order is None:
        return
    order = elements.order[0]
    for term in walk(density):
        if isinstance(term, Apply) and len(term.module.inputs.extent) > 1 and _of_a_past(term.inputs):
            scope.fail(
                "E223",
                f"in the order {order} an element reads its past as a sequence",
                term.span,
                "reads a grid",
                help=f"a network of a sequence: {causal_names(1)}",
            )
        if isinstance(term, Feature) and _of_a_past(term.body):
            scope.fail(
                "E223",
                f"`{term.name}` goes from position to position row by row, and these elements in the order {order}",
                density.span,
                f"reads `{term.name}`",
                notes=(Note(scope.places[term.name], "declared here"),),
                help=f"a causal network in the factor itself: gru[64]({elements.variable}"
                f"[{', '.join(f'<{i}' for i in elements.indices)}])",
            )


def _of_a_past(term: object) -> bool:
    """Whether something is computed from what is before a position, whatever that is."""
    return (
        any(isinstance(t, (Past, State)) for t in walk(term))
        if not isinstance(term, tuple)
        else any(map(_of_a_past, term))
    )


def at_position(scope: Scope, reference: tree.Reference, elements: Elements) -> bool:
    """Whether a parent stands for elements: `x[<d]`, `x[d - 1]`, `c[d]`. Reports one that does not fit (E223)."""
    if reference.past:
        if reference.past != elements.indices:
            past = ", ".join(f"<{i}" for i in elements.indices)
            usage = f"{reference.name}[{past}]"
            scope.fail("E223", "the past goes along the indices of the head", reference.span, help=usage)
        return True
    if not set(names_in(reference.subscripts)) & set(elements.indices):
        return False
    if len(reference.subscripts) != elements.axes:
        misplaced(scope, reference.span, reference.name, elements)
    offsets(scope, reference.subscripts, reference.span, reference.name, elements)
    return True


@dataclass(frozen=True)
class Read:
    """What an expression reads of a variable: its `past`, what is `offsets` away, or all of it (neither)."""

    variable: str
    span: Span
    past: bool = False
    offsets: tuple[int, ...] = ()


def reads_of(term: object, head: str = "") -> Iterator[Read]:
    """What a typed expression of an element of `head` reads of variables, in the order of appearance.

    A recurrent feature reads at all positions so far what it reads at one of them.
    """
    if isinstance(term, Past):
        yield Read(term.variable, term.span, past=True)
    elif isinstance(term, At) and isinstance(term.value, Use):
        yield Read(term.value.variable, term.span, offsets=term.offsets)
    elif isinstance(term, Use):
        yield Read(term.variable, term.span)
    elif isinstance(term, Feature) and term.recurrent:
        for read in reads_of(term.body, head):
            if read.past or read.offsets:
                yield Read(read.variable, read.span, past=True)
            if not read.past and not any(by < 0 for by in read.offsets):
                yield read
    else:
        for child in children(term):
            yield from reads_of(child, head)


def reads_past(density: Density, variable: str) -> bool:
    """Whether the elements of a variable depend on each other."""
    return any(r.variable == variable for r in reads_of(density, variable))


def lag_of(density: Sequence) -> int | None:
    """How many positions away the members of a folded family look for others, through features too; 0 where they do
    not depend on each other, None where on all before or after."""
    away = 0
    for read in reads_through(density):
        if read.variable == density.variable:
            if read.past or not read.offsets:
                return None
            away = max(away, abs(read.offsets[0]))
    return away


def reads_through(term: object) -> Iterator[Read]:
    """What is read of variables, by a recurrent feature what it reads at its own position: its state has the rest."""
    if isinstance(term, Feature):
        yield from reads_through(term.body)
    elif isinstance(term, (Past, At, Use)):
        yield from reads_of(term)
    else:
        for child in children(term):
            yield from reads_through(child)


def verify_element_reads(
    scope: Scope,
    statement: tree.Factor,
    elements: Elements,
    given: tuple[tuple[tree.Reference, str], ...],
    density: Density,
) -> None:
    """What a factor of elements reads must stand behind its bar, and what stands there must be read (E224, W402).

    `given` are its parents with the names of the variables that they are of. A whole variable gives all of its
    elements, and a past all that are before.
    """
    found = list(reads_of(density, elements.variable))
    for at in walk(density):  # through features too, which are of no variable
        if isinstance(at, At) and isinstance(at.value, Use) and at.value.variable == elements.variable:
            verify_earlier(scope, at, at.span, elements.variable, elements, ())
    for read in found:
        of = [r for r, name in given if name == read.variable]
        itself = read.variable == elements.variable and not read.past and not read.offsets
        if itself or not of:
            continue  # all of itself, or of what is no parent at all: reported with the other factors
        whole = any(not r.past and not _indexed(r, elements) for r in of)
        past = any(r.past for r in of)
        places = {_places(scope, r, elements) for r in of if not r.past and _indexed(r, elements)}
        before = bool(read.offsets) and elements.before(read.offsets)
        if whole or (past and (read.past or before)) or read.offsets in places - {()}:
            continue
        text = scope.source.text[read.span.start : read.span.end] if read.offsets else read.variable
        text = f"{read.variable}[{', '.join(f'<{i}' for i in elements.indices)}]" if read.past else text
        written = [scope.source.text[r.span.start : r.span.end] for r in statement.parents]
        scope.fail(
            "E224",
            f"this reads `{text}`, which is not among the parents",
            read.span,
            f"reads `{text}`",
            help=f"{factor_key(statement.side, _text(scope, statement.heads[0]), (*written, text))} = ...",
        )
    if elements.order is not None and not any(name == elements.variable for _, name in given):
        headline = f"the elements of `{elements.variable}` do not depend on each other, whatever their order is"
        place = statement.options[0].span
        scope.report("W402", headline, place, "has no effect", help="remove it", severity="warning")
    for reference, name in given:
        reads = [r for r in found if r.variable == name]
        if _is_read(scope, reference, reads, elements) or not (reads or name == elements.variable):
            continue  # a variable that is not read at all is reported with the other factors
        key = scope.source.text[statement.head_span.start : statement.head_span.end]
        scope.report(
            "W402",
            f"{key} does not read `{_text(scope, reference)}`",
            reference.span,
            "has no effect",
            help="remove it, or read it",
            severity="warning",
        )


def _is_read(scope: Scope, reference: tree.Reference, reads: list[Read], elements: Elements) -> bool:
    if reference.past:
        return any(r.past or elements.before(r.offsets) for r in reads if r.past or r.offsets)
    if _indexed(reference, elements):
        return any(r.offsets == _places(scope, reference, elements) for r in reads)
    return True


def _indexed(reference: tree.Reference, elements: Elements) -> bool:
    return bool(set(names_in(reference.subscripts)) & set(elements.indices))


def _places(scope: Scope, reference: tree.Reference, elements: Elements) -> tuple[int, ...]:
    return offsets(scope, reference.subscripts, reference.span, reference.name, elements)


def _text(scope: Scope, reference: tree.Reference) -> str:
    return scope.source.text[reference.span.start : reference.span.end]
