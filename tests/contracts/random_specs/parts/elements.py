"""Densities of each element of a variable: given its past, its neighbours, what stands at its place."""

from __future__ import annotations

from collections.abc import Sequence

from tests.contracts.random_specs.draft import Draft, Unit
from tests.contracts.random_specs.parts.families import Right, bounded, families, onto, reached
from tests.contracts.random_specs.parts.networks import perceptron
from tests.contracts.random_specs.variables import VECTORS


def indices(head: Unit) -> tuple[str, str]:
    """The element of a variable and its past: `[d]` and `[<d]`, of a grid in the order of rows, by its colours too."""
    of = (("[d]", "[<d]"), ("[i, j]", "[<i, <j]"), ("[i, j, c]", "[<i, <j, <c]"))
    return of[len(head.shape) - 1]


_CAUSAL = 'python("tests.contracts.own:Causal")[rank = 1]'


def in_order(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """Elements in another order, with what stands at their own positions, and what is always before them."""
    if not 0 < len(head.shape) < 4 or head.support in VECTORS or bounded(head.support):
        return None
    here, past = indices(head)
    order = d.choose(("reverse", "permute(seed = 1)", "permute", *(("zigzag",) if len(head.shape) == 2 else ())))
    first = here.strip("[]").split(", ")[0]
    by = {"reverse": "+ 1", "zigzag": "- 1"}.get(order, "")
    before = [head.name + here.replace(first, f"{first} {by}", 1)] if by and head.shape[0] > 1 and d.often(0.5) else []
    parents = [u.name + (here if u.shape == head.shape and u.support not in VECTORS else "") for u in of]
    reads = [*before, *parents, *([first] if head.shape[0] > 1 and d.often(0.5) else [])]
    reads += [d.param(*head.shape) + here] if d.often(0.5) else []
    kind = d.choose(("causal[4, kernel = 2]", "masked[5]", "gru[4]", "transformer[4, 4, heads = 2]"))
    net = f"{kind}({', '.join([head.name + past, *reads])})"
    weights = f", weights = mlp[3]({', '.join(reads)})" if reads and d.often(0.5) else ""
    kinds = ("{0}({1})", f"mixture[2{weights}]({{0}}({{1}}))" if head.role == "observed" else "{0}({1})")
    left = (head.name + here, head.name + past, *before, *parents, f"order = {order}")
    return d.choose(kinds).format(d.choose(families(head)), net), left


def _of_pixels(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """A grid, pixel by pixel or colour by colour."""
    colours = head.shape[2] if len(head.shape) > 2 else 1
    sizes = ", ".join(str(colours * d.choose((2, 3))) for _ in range(d.choose((1, 2))))
    kind = d.choose(("pixelcnn", "gated_pixelcnn")) + f"[{sizes}, kernel = 3{d.choose(('', ', norm = layer'))}]"
    here, past = indices(head)
    parents = [u.name + (here if u.shape == head.shape and u.support not in VECTORS else "") for u in of]
    net = f"{kind}({', '.join([head.name + past, *parents])})"
    right = d.choose(("{0}({1})", "mixture[2, weights = {1}]({0}({1}))")).format(d.choose(families(head)), net)
    return right, (head.name + here, head.name + past, *parents)


PIXELS = (_of_pixels, in_order)
"""Densities of grids, of colours as well."""


def autoregressive(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    if len(head.shape) not in (1, 2) or head.support in VECTORS:
        return None
    if len(head.shape) == 2:
        kind = d.choose(("pixelcnn[4, 3, kernel = 3]", "gated_pixelcnn[4, 4, kernel = 3]", "masked[5]", "gru[4]"))
        net = f"{kind}({', '.join([f'{head.name}[<i, <j]', *(u.name for u in of)])})"
        return d.choose(("{0}({1})", "mixture[2, weights = {1}]({0}({1}))")).format(d.choose(families(head)), net), True
    convolutions, masks = (
        ("causal[4, kernel = 2]", "causal[4, 4, kernel = 3]"),
        ("masked[5]", "masked[4, 4]", "masked[8, norm = layer]"),
    )
    kind = d.choose(
        (*convolutions, *masks, _CAUSAL, "gru[4]", "lstm[3, 4]", "gru[4, norm = layer]", "transformer[4, 4, heads = 2]")
    )
    net = f"{kind}({', '.join([f'{head.name}[<d]', *(u.name for u in of)])})"
    if reached(head.support) and d.often(0.5):
        return f"Normal({net}) >> {onto(d, head.support)}", True
    if bounded(head.support):
        return None
    if head.support in ("binary", "real") and d.often(0.3):
        point, family = d.name("g"), "Normal" if head.real else "Bernoulli"
        inner = d.choose(("masked[5]", "causal[4, kernel = 2]"))
        reads = ", ".join([f"{head.name}[<d]", point, *(u.name for u in of)])
        return f"mixture[{point} in grid(2)]({family}({inner}({reads})))", True
    if head.real and d.often(0.3):
        return d.choose((f"Normal(loc = {net}, scale = param)", f"Normal({net}) >> affine")), True
    if d.often(0.25):  # a mixture for each element
        weights = d.choose(("", f", weights = {net}", ", weights = param"))
        return f"mixture[2{weights}]({d.choose(families(head))}({net}))", True
    if d.often(0.2):
        order = d.choose(("reverse", "permute(seed = 1)", "permute"))
        left = (f"{head.name}[d]", f"{head.name}[<d]", *(u.name for u in of), f"order = {order}")
        return f"{d.choose(families(head))}({net})", left
    return f"{d.choose(families(head))}({net})", True


def by_elements(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """Each element given some of those before it, or none, and what stands at its place, or at the next."""
    if not head.shape or head.support in VECTORS:
        return None
    axes = d.choose((1, 2)) if len(head.shape) == 2 else 1
    here, before, next_to = (("[d]", "[d - 1]", "[d + 1]"), ("[i, j]", "[i - 1, j]", "[i - 1, j + 1]"))[axes - 1]
    further = head.name + (next_to if axes == 2 else "[d - 2]")
    few, least = min(head.shape[:axes]), 3 if axes == 1 else 2
    own = [head.name + before][: few - 1] + [further][: few >= least]
    own = own[: d.random.randint(0, len(own))]
    next_to = next_to if few > 1 else here
    parents, of_names = [], [u.name for u in of]
    for u in of:
        fits = u.shape[:axes] == head.shape[:axes] and u.support not in VECTORS
        parents.append(u.name + (d.choose((here, here, next_to, "")) if fits else ""))
    reads = [*own, *parents, *(["d" if axes == 1 else "i, j"] if few > 1 and d.often(0.3) else [])]
    each = Unit(head.name, head.support, head.shape[axes:], head.role)
    net = f"mlp[4]({', '.join(reads)})" if reads else "param"
    past = head.name + ("[<d]" if axes == 1 else "[<i, <j]")
    if own and d.often(0.4):  # a causal network that reads all of this at the position
        net, own = (
            f"{d.choose(('causal[4, kernel = 2]', 'masked[5]', 'gru[3]'))}({', '.join([past, *reads])})",
            [past, *own],
        )
    left = (head.name + here, *own, *parents)
    if axes == 1 and (own or any("[d" in p for p in parents)) and d.often(0.4):
        net, left = _recurrence(d, reads, past if own else ""), (head.name + here, *([past] if own else []), *of_names)
    if (reached(head.support) and d.often(0.4)) or bounded(head.support):
        return f"Normal({net}) >> {onto(d, head.support)}", left
    if head.real and d.often(0.3):
        moved = d.choose((" >> affine", f" >> affine({net})" if reads and not each.shape else " >> affine"))
        moved = " >> 2 * (coupling[mlp[4]] >> reverse)" if each.shape and d.often(0.6) else moved
        return f"Normal({net}){moved}", left
    weights = d.choose(("", f", weights = {net}" if reads else ""))
    kind = d.choose(
        ("{0}({1})", "{0}({1})", f"mixture[2{weights}]({{0}}({{1}}))" if head.role == "observed" else "{0}({1})")
    )
    return kind.format(d.choose(families(head)), net), left


def _recurrence(d: Draft, reads: Sequence[str], past: str) -> str:
    """A feature of each position that is computed from what is read there and from its value before, maybe through
    another."""
    name, of = d.name("a"), ", ".join(r for r in reads if "<" not in r)
    cell = d.choose((f"gru_cell({of}, {name}[d - 1])", f"mlp[4]({of}, {name}[d - 1])", f"0.5 * {name}[d - 1] + b[d]"))
    if "b[d]" in cell:
        below = d.name("b")
        cell = cell.replace("b[d]", f"{below}[d]")
        seen = f"causal[3, kernel = 2]({past}, {of})" if past and d.often(0.5) else f"linear({of})"
        d.say(f"let {below}[d] : real[3] = tanh({seen})")
    d.say(f"let {name}[d] : real[3] = {cell}")
    if d.often(0.7):
        return f"linear({name}[d])"
    above = d.name("c")  # a second layer, which reads the states of the first
    cell = d.choose((f"gru_cell({above}[d - 1], {name}[d])", f"tanh({name}[d] - {above}[d - 1])"))
    d.say(f"let {above}[d] : real[{2 if 'gru' in cell else 3}] = {cell}")
    return f"linear({above}[d])"


def markov_chain(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """Classes given the class before: rows of one table, or of one for each position, and what else is known."""
    if not head.support.startswith("categorical") or not head.vector or head.shape[0] < 2:
        return None
    classes, before = int(head.support[len("categorical(") : -1]), f"{head.name}[d - 1]"
    one, each = (classes, classes), (*head.shape, classes, classes)
    table = f"{d.param(*one)}[{before}]" if d.often(0.5) else f"{d.param(*each)}[d, {before}]"
    beside = f" + {perceptron(d, of)}" if of else ""
    return f"Categorical({table}{beside})", (f"{head.name}[d]", before, *(u.name for u in of))


ELEMENTS = (by_elements,)
"""Densities of each element, given what stands at its position or elsewhere."""
