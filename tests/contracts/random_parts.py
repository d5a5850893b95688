"""Right-hand sides of random specs: values, distributions and bijections, a function for each construct.

A construct enters the generator by one function in one of the tables here (or in `random_specs`): `NETWORKS`, `VALUES`,
`FLOWS`, `DENSITIES`, `POSTERIORS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Unit:
    """A variable of a random spec: its name, its support and shape as they are written, its role, and what has one of
    it each: "" for a row, "data", or a column of groups."""

    name: str
    support: str
    shape: tuple[int, ...] = ()
    role: str = "latent"
    per: str = ""

    @property
    def type(self) -> str:
        return self.support + (f"[{', '.join(map(str, self.shape))}]" if self.shape else "")

    @property
    def vector(self) -> bool:
        return len(self.shape) == 1

    @property
    def real(self) -> bool:
        return self.support == "real"


class Draft:
    """A spec while it is written: statements so far, and what has a name in it."""

    def __init__(self, number: int) -> None:
        self.random = Random(number)
        self.files = Random(number + 10**6)  # apart, so that a file changes nothing else
        self.gaps = Random(number + 2 * 10**6)  # and what is missing of the data
        self.statements: list[str] = []
        self.shared: dict[tuple[object, ...], str] = {}
        self.counts: dict[str, int] = {}
        self.causes: list[Unit] = []  # what the likelihood reads beside its latents
        self.data: list[Unit] = []  # observed and partial variables that a factor models
        self.drawn: list[Unit] = []  # latents with a density, those nearest to the data first
        self.settings: list[str] = []
        self.features = 0  # of the vector that a flow maps

    def choose(self, options: Sequence[T]) -> T:
        return self.random.choice(options)

    def often(self, share: float) -> bool:
        return self.random.random() < share

    def say(self, statement: str) -> None:
        self.statements.append(statement)

    def name(self, stem: str) -> str:
        """A name that is not taken: `W`, `W2`, `W3`."""
        self.counts[stem] = self.counts.get(stem, 0) + 1
        return stem if self.counts[stem] == 1 else f"{stem}{self.counts[stem]}"

    def unit(self, stem: str, support: str, shape: tuple[int, ...] = (), role: str = "latent", per: str = "") -> Unit:
        """Declares a variable."""
        found = Unit(self.name(stem), support, shape, role, per)
        source = "" if role == "latent" else f' from "rows.npz".{found.name}'
        elementwise = role == "partial" and shape and support not in ("simplex", "sphere") and self.gaps.random() < 0.5
        how = " elementwise" if elementwise else f" per {per}" if per else ""
        self.say(f"{role} {found.name} : {found.type}{how}{source}")
        return found

    def open(self, unit: Unit) -> None:
        """Lets elements of a variable of the data be missing, now and then."""
        declared = f"observed {unit.name} : {unit.type} from"
        if unit.shape and unit.support not in ("simplex", "sphere") and self.gaps.random() < 0.15:
            at = next(k for k, s in enumerate(self.statements) if s.startswith(declared))
            self.statements[at] = self.statements[at].replace(
                declared, f"partial {unit.name} : {unit.type} elementwise from"
            )

    def param(self, *shape: int) -> str:
        """A learned tensor, now and then one of fixed values."""
        name = self.name("w")
        type_ = "real" + (f"[{', '.join(map(str, shape))}]" if shape else "")
        fixed = self.files.random() < 0.15
        self.say(f'const {name} : {type_} from "{name}.npy"' if fixed else f"param {name} : {type_} = normal(0.5)")
        return name

    def head(self, side: str, head: str, given: Sequence[str]) -> str:
        return f"{side}({head} | {', '.join(given)})" if given else f"{side}({head})"


def names(units: Sequence[Unit]) -> str:
    return ", ".join(u.name for u in units)


# --- networks applied to variables ---------------------------------------------------------------


def _perceptron(d: Draft, of: Sequence[Unit]) -> str:
    return f"mlp[{d.choose(('4', '5, 4', '4, activation = tanh'))}]({names(of)})"


def _linear(d: Draft, of: Sequence[Unit]) -> str:
    return f"linear({names(of)})"


def _typed_feature(d: Draft, of: Sequence[Unit]) -> str:
    feature = d.name("r")
    d.say(f"let {feature} : real[{d.choose((2, 3))}] = {_perceptron(d, of)}")
    return d.choose((f"linear({feature})", f"mlp[4]({feature})"))


def _feature_of_a_feature(d: Draft, of: Sequence[Unit]) -> str:
    first, second = d.name("r"), d.name("r")
    d.say(f"let {first} : real[3] = {_perceptron(d, of)}")
    d.say(f"let {second} : real[2] = mlp[3]({first}, {of[0].name})")
    return f"linear({second})"


def _untyped_feature(d: Draft, of: Sequence[Unit]) -> str:
    reals = [u for u in of if u.real]
    if not reals:
        return _perceptron(d, of)
    feature, rest = d.name("r"), [u.name for u in of if u is not reals[0]]
    d.say(f"let {feature} = {d.choose(('tanh', 'sin', 'softplus'))}({reals[0].name}) * 2 - 1")
    return f"mlp[4]({', '.join([feature, *rest])})"


def _beside_a_learned_feature(d: Draft, of: Sequence[Unit]) -> str:
    """A feature of parameters only, which has no rows."""
    held, feature = d.param(2), d.name("r")
    d.say(f"let {feature} : real[2] = softplus({held})")
    return f"mlp[4]({names(of)}, {feature})"


def _axes(d: Draft, of: Sequence[Unit]) -> str:
    """Values joined, cut, reshaped and reduced; every input has a share in what is read."""
    classes = [u for u in of if not u.shape and u.support.startswith("categorical")]
    vectors = [u for u in of if u.vector and u.real]
    parts = [f"one_hot({u.name})" for u in classes]
    for u in vectors:
        last = u.shape[0] - 1
        parts += [f"softmax({u.name} * 2)", d.choose((f"{u.name}[0..{last}]", f"{u.name}[0..0], {u.name}"))]
        parts.append(f"mean({u.name})")
    rest = [u.name for u in of if u not in (*classes, *vectors)]
    if not parts:
        return _perceptron(d, of)
    joined, grid = f"concat({', '.join([*parts, d.param(3), '1'])})", d.name("r")
    d.say(f"let {grid} = reshape(linear({', '.join([joined, *rest])}), [2, 3])")
    sides = (
        f"sum({grid}, axis = 1)",
        f"stack({grid}[0, 0..2], {grid}[1])",
        f"{grid}[0..1, 2]",
        f"mean({grid}, axis = 0)",
    )
    return f"mlp[4]({d.choose(sides)}, {joined}{''.join(f', {name}' for name in rest)})"


def _convolutions(d: Draft, of: Sequence[Unit]) -> str:
    """From vectors to a grid, and from that grid, with a condition, to a vector."""
    grid, vector = d.name("r"), d.name("r")
    shape, options = (
        d.choose(("2, 2", "3, 2, 2")),
        d.choose(("", ", kernel = 2", ", norm = layer", ", norm = weight", ", stride = 2")),
    )
    d.say(f"let {grid} : real[{shape}] = conv[3{options}, activation = tanh]({names(of)})")
    d.say(f"let {vector} : real[2] = conv[3, stride = {d.choose((1, 2))}, activation = tanh]({grid}, {of[0].name})")
    return d.choose((f"linear({vector})", f"mlp[3]({vector}, {grid})"))


def _blocks(d: Draft, of: Sequence[Unit]) -> str:
    """Residual and dense blocks, of vectors and of grids."""
    kind, grid = d.choose(("resnet", "densenet")), d.name("r")
    options = d.choose(("", ", norm = layer", ", norm = spectral", ", activation = tanh"))
    if d.often(0.5):
        return f"{kind}[{d.choose(('4', '4, 4', '3, 5'))}{options}]({names(of)})"
    d.say(f"let {grid} : real[2, 2] = {kind}[3{options}]({names(of)})")
    if d.often(0.5):
        levels = d.choose(("4, 4", "4, 8, attention = 1", "4, 4, blocks = 2, norm = spectral"))
        d.say(f"let {grid}u : real[2, 2] = unet[{levels}]({grid}, {of[0].name})")
        grid = f"{grid}u"
    return f"{kind}[3, 2{options}]({grid}, {of[0].name})"


def _chain(d: Draft, of: Sequence[Unit]) -> str:
    """Networks one behind another."""
    grid = d.name("r")
    d.say(f"let {grid} : real[3, 2] = (mlp[4] >> {d.choose(('conv', 'resnet', 'mlp'))}[3])({names(of)})")
    return f"(conv[3, stride = 2] >> {d.choose(('mlp[4]', 'linear', 'densenet[3]'))})({grid}, {of[0].name})"


def _sequences(d: Draft, of: Sequence[Unit]) -> str:
    """Networks of a sequence or a set, which give such a one or a vector."""
    first, second = d.name("r"), d.name("r")
    kinds = ("set[4, 3]", "set[4, norm = layer]", "gru[3]", "lstm[2, 3]", "rnn[3, norm = layer]", "transformer[4]")
    d.say(f"let {first} : real[3, 2] = {_perceptron(d, of)}")
    kind = d.choose(kinds).replace("transformer[4]", "transformer[4, 4, heads = 2]")
    d.say(f"let {second} : real[3, 2] = {kind}({first}, {of[0].name})")
    kind = d.choose(kinds[:-1])
    return f"{d.choose((kind, f'({kind} >> mlp[3])'))}({second}, {first}, {of[0].name})"


def _own(d: Draft, of: Sequence[Unit]) -> str:
    """Networks that a user wrote: of vectors, and of grids."""
    own, positions = 'python("tests.contracts.own:Net")', 'python("tests.contracts.own:Positions")[rank = 2]'
    if d.often(0.5):
        return f"{own}[hidden = 3]({names(of)})"
    grid = d.name("r")
    d.say(f"let {grid} : real[2, 2] = {positions}({names(of)})")
    return f"{d.choose((own, positions))}({grid}, {of[0].name})"


NETWORKS: tuple[Callable[[Draft, Sequence[Unit]], str], ...] = (
    _perceptron,
    _perceptron,
    _perceptron,
    _linear,
    _typed_feature,
    _feature_of_a_feature,
    _untyped_feature,
    _beside_a_learned_feature,
    _convolutions,
    _axes,
    _blocks,
    _chain,
    _sequences,
    _own,
)


def network(d: Draft, of: Sequence[Unit]) -> str:
    """A network that reads all of these."""
    return d.choose(NETWORKS)(d, of)


def shared_network(d: Draft, head: Unit, of: Sequence[Unit], family: str) -> str:
    """A network by name; the same name where sizes on both sides are the same."""
    key = ("net", head.type, family, tuple(u.type for u in of))
    if key not in d.shared:
        d.shared[key] = d.name("m")
        d.say(f"net {d.shared[key]} = mlp[4]")
    return f"{d.shared[key]}({names(of)})"


# --- values in the place of a location -----------------------------------------------------------


def _affine_map(d: Draft, head: Unit, of: Sequence[Unit]) -> str | None:
    """`W @ z + b` over all parents that are real vectors, for a vector."""
    if not head.vector or not all(u.real and u.vector for u in of):
        return None
    parts = [f"{d.param(*head.shape, *u.shape)} @ {u.name}" for u in of]
    return " + ".join([*parts, d.param(*head.shape)])


def _elementwise(d: Draft, head: Unit, of: Sequence[Unit]) -> str | None:
    if not all(u.real and u.shape in (head.shape, ()) for u in of):
        return None
    return " + ".join(f"{d.choose(('0.5', '2', '')) or d.param()} * tanh({u.name})" for u in of)


def _elements(d: Draft, head: Unit, of: Sequence[Unit]) -> str | None:
    """Elements by number and by category, for a single number."""
    if head.shape:
        return None
    parts = []
    for u in of:
        if u.vector and (u.real or u.support == "binary"):
            parts.append(f"{d.param()} * {u.name}[{u.shape[0] - 1}]")
        elif u.support.startswith("categorical") and not u.shape:
            parts.append(f"{d.param(3)}[{u.name}]")
        elif u.support.startswith("categorical") and u.vector:
            parts.append(f"sum(i: {d.param(u.shape[0], 3)}[i, {u.name}[i]])")
        else:
            return None
    return " + ".join(parts)


def _rows(d: Draft, head: Unit, of: Sequence[Unit]) -> str | None:
    """Rows of matrices by class, and by number, for a vector."""
    if not head.vector or not all(u.support.startswith("categorical") and not u.shape for u in of):
        return None
    return " + ".join([*(f"{d.param(3, *head.shape)}[{u.name}]" for u in of), f"{d.param(2, *head.shape)}[1]"])


def _index_sum(d: Draft, head: Unit, of: Sequence[Unit]) -> str | None:
    """A sum over indices, for a single number."""
    if head.shape or not all(u.real and u.vector for u in of):
        return None
    parts = [f"sum(i, j: {d.param(u.shape[0], u.shape[0])}[i, j] * {u.name}[i] * {u.name}[j])" for u in of]
    near = [f"sum(i: {d.param(u.shape[0] - 1)}[i] * {u.name}[i] * {u.name}[i + 1])" for u in of if u.shape[0] > 1]
    return " + ".join([*parts, *near])


VALUES: tuple[Callable[[Draft, Unit, Sequence[Unit]], str | None], ...] = (
    _affine_map,
    _elementwise,
    _elements,
    _rows,
    _index_sum,
)


def value(d: Draft, head: Unit, of: Sequence[Unit]) -> str:
    """A real value in the shape of `head` that reads all of these: arithmetic where it can be, else a network."""
    found = d.choose(VALUES)(d, head, of) if of and d.often(0.5) else None
    return found or (network(d, of) if of else "param")


# --- bijections ----------------------------------------------------------------------------------


def _couplings(d: Draft, of: Sequence[Unit]) -> str:
    given = f"({names(of)})" if of else ""
    mixing = d.choose(("reverse", "permute[seed = 1]", "reverse"))
    norm = d.choose(("", "", ", norm = spectral", ", norm = weight"))
    return f"{d.choose((2, 3))} * (coupling[mlp[4{norm}]]{given} >> {mixing})"


def _couplings_apart(d: Draft, of: Sequence[Unit]) -> str:
    given = f"({names(of)})" if of else ""
    options = d.choose(("", "", ", parts = 2", ", rezero = true"))
    return f"2 * (coupling[scale = mlp[4, out = tanh], shift = mlp[4]{options}]{given} >> reverse)"


def _couplings_of_two_contexts(d: Draft, of: Sequence[Unit]) -> str:
    if len(of) < 2:
        return _couplings(d, of)
    first, second = f"({of[0].name})", f"({names(of[1:])})"
    return f"2 * (coupling[mlp[4]]{first} >> reverse >> coupling[mlp[4]]{second} >> reverse)"


def _nested_repeats(d: Draft, of: Sequence[Unit]) -> str:
    given = f"({names(of)})" if of else ""
    return f"2 * (2 * (coupling[shift = mlp[4]]{given} >> reverse) >> affine)"


def _affine(d: Draft, of: Sequence[Unit]) -> str:
    return f"affine({network(d, of)})" if of else "affine >> coupling[mlp[4]] >> reverse"


def _reflections(d: Draft, of: Sequence[Unit]) -> str:
    return f"affine >> 2 * householder({_perceptron(d, of)})" if of else "affine >> 2 * householder"


def _few_directions(d: Draft, of: Sequence[Unit]) -> str:
    """Low-rank maps, and a rotation."""
    given = f"({_perceptron(d, of)})" if of else ""
    block = d.choose(("planar", "radial", "sylvester", "sylvester[orthogonal = 1]", "sylvester[householder = 2]"))
    text = f"2 * ({block}{given} >> {d.choose(('reverse', 'orthogonal', 'affine'))})"
    return f"inverse({text})" if d.often(0.2) else text


def _free_networks(d: Draft, of: Sequence[Unit]) -> str:
    given = f"({names(of)})" if of else ""
    estimated = d.choose(("", ", estimated = true"))
    block = d.choose(
        (
            f"residual[mlp[4, activation = lipswish], lipschitz = 0.5{estimated}]",
            f"residual[densenet[3, activation = tanh]{estimated}]",
            f"ode[mlp[4, activation = tanh], steps = 2{estimated}]",
        )
    )
    return d.choose((f"{block}{given} >> affine", f"inverse({block}{given}) >> affine"))


def _shared_coupling_network(d: Draft, of: Sequence[Unit]) -> str:
    if of:
        return _couplings(d, of)
    name = d.name("m")
    d.say(f"net {name} = mlp[4]")
    return f"2 * (coupling[{name}] >> reverse)"


def _autoregressions(d: Draft, of: Sequence[Unit]) -> str:
    """By the past of what they give, or of what they take; of each transform."""
    given = f"({names(of)})" if of else ""
    network = d.choose(("masked[5]", "causal[4, kernel = 2]"))
    transform = d.choose(("", ", affine", ", shift", ", spline(3)", ", inverse(monotone(2))"))
    block = f"autoregressive[{network}{transform}]"
    return (
        f"{d.choose((f'{block}{given}', f'inverse({block}){given}'))} >> reverse >> lu >> coupling[mlp[4]] >> reverse"
    )


def _transforms(d: Draft, of: Sequence[Unit]) -> str:
    given = f"({names(of)})" if of else ""
    transform, mask = (
        d.choose(("spline(3)", "mixture_cdf(2)", "inverse(mixture_cdf(2))", "inverse(monotone(2, layers = 2))")),
        d.choose(("half", "alternate")),
    )
    each = d.choose(("spline(2)", "volume_preserving"))
    every = f"elementwise[{each}]({_perceptron(d, of)})" if of else f"elementwise[{each}]"
    return f"2 * (coupling[mlp[4], {transform}, mask = {mask}]{given} >> reverse) >> inverse({every})"


def _masks(d: Draft, of: Sequence[Unit]) -> str:
    given = f"({names(of)})" if of else ""
    mask = d.choose(("half", "alternate", "random", "random(2)"))
    between = d.choose(("actnorm >> ", "conv1x1 >> ", ""))
    return f"coupling[mlp[4], mask = {mask}]{given} >> {between}coupling[mlp[4], mask = complement({mask})]"


def _reversible(d: Draft, of: Sequence[Unit]) -> str:
    return f"reversible({_couplings(d, of)})"


def _grid_flow(d: Draft, of: Sequence[Unit]) -> str:
    """Of a grid of one channel with even axes; what it is conditioned on is read in one form or in several."""
    given = f"({names(of)})" if of else ""
    second = given if d.often(0.5) else ""
    kind = d.choose(("conv[4]", "resnet[3]", "mlp[4]"))
    transform = d.choose(("", ", spline(3)", ", shift"))
    step = f"{d.choose(('actnorm', 'conv1x1', 'permute', 'lu'))} >> coupling[{kind}{transform}]{given} >> reverse"
    squares = f"{d.choose((1, 2))} * ({step})"
    other = d.choose((kind, "mlp[4]", "conv[3]"))
    mask = d.choose(("checkerboard", "checkerboard", "random(2)"))
    past = d.choose(("pixelcnn[4, kernel = 3]", "gated_pixelcnn[4, kernel = 3]", "masked[5]"))
    boards = (
        f"coupling[{kind}{transform}, mask = {mask}]{given} >> coupling[{other}, mask = complement({mask})]{second}"
    )
    return d.choose(
        (
            boards,
            f"squeeze >> {squares} >> inverse(squeeze)",
            f"inverse(multiscale[1](squeeze >> {squares}))",
            f"inverse(squeeze >> multiscale[2]({squares}))",
            f"reversible(inverse(squeeze >> {squares})) >> affine",
            f"autoregressive[{past}{transform}]{given} >> affine",
        )
    )


def _formula(d: Draft, of: Sequence[Unit]) -> str:
    """A formula of an argument, by numbers and by values that follow from all of these."""
    name, inner = d.name("f"), d.choose(("o", "o", "coupling[mlp[4]](o)", "affine(reverse(o))"))
    scale, shift = (network(d, of) if of else "param" for _ in range(2))
    d.say(
        d.choose(
            (
                f"flow {name}(o) = {inner} * exp(tanh({scale})) + {shift}",
                f"flow {name}(o) = 2 - ({shift} + {inner}) / (1 + softplus({scale}))",
                f"flow {name}(o) = log(softplus({inner}) * (1 + softplus({scale}))) / 2 - {shift}",
            )
        )
    )
    return d.choose((f"{name} >> reverse", f"inverse({name})", f"{name} >> affine"))


def _of_each_element(d: Draft, of: Sequence[Unit]) -> str:
    """A formula of an element by what is before it, and by all of these."""
    name, given = d.name("f"), f", {names(of)}" if of else ""
    past = d.choose(("o", name))
    networks = ("masked[5]", "causal[4, kernel = 2]", "gru[3]")
    first, second = (f"{d.choose(networks)}({past}[<d]{given})" for _ in range(2))
    d.say(
        d.choose(
            (
                f"flow {name}(o[d]) = o[d] * exp(tanh({first})) + {second}",
                f"flow {name}(o[d]) = log(softplus(o[d]) * (1 + softplus({first}))) / 2 - param",
                f"flow {name}(o[d]) = elementwise[spline(2)]({first})(o[d]) - tanh({past}[d - 1])",
            )
        )
    )
    return d.choose((f"{name} >> reverse >> affine", f"inverse({name}) >> reverse >> lu"))


def _sums(d: Draft, of: Sequence[Unit]) -> str:
    """An argument and a function of it: a contraction, an integral, a convex potential, one direction."""
    name, given = d.name("f"), f", {names(of)}" if of else ""
    vector, number = (network(d, of), "0.5") if of else ("param", "param")
    form = d.choose(range(5))
    matrix = d.param(d.features, 2) if form == 2 else ""
    sums = (
        f"o + 0.5 * {d.choose(('mlp', 'densenet'))}[4, activation = tanh, norm = spectral](o{given})",
        f"o + integrate(e in 0..1: mlp[4, activation = tanh](o, e{given}), steps = 2)",
        f"(o + {matrix} @ tanh(o @ {matrix} + {number})) / 2",
        f"2 * (o - {vector} * tanh(exp(param) @ o + {number}))",
        f"o + integrate(e in 0.1..1: (1 + e) * tanh(o) - tanh({vector}) * mlp[4](e, o{given}), steps = 2)",
    )
    d.say(f"flow {name}(o) = {sums[form]}")
    return d.choose((f"{name} >> affine", f"inverse({name}) >> affine"))


FLOWS: tuple[Callable[[Draft, Sequence[Unit]], str], ...] = (
    _couplings,
    _couplings,
    _formula,
    _of_each_element,
    _sums,
    _couplings_apart,
    _couplings_of_two_contexts,
    _nested_repeats,
    _affine,
    _reflections,
    _few_directions,
    _free_networks,
    _shared_coupling_network,
    _autoregressions,
    _transforms,
    _masks,
    _reversible,
)


def flow(d: Draft, head: Unit, of: Sequence[Unit]) -> str:
    """A bijection of real vectors conditioned on all of these, in line or by name; a name may be used twice."""
    if len(head.shape) == 2 and d.often(0.7):
        return _grid_flow(d, of)
    if head.shape == (1,) or not head.vector:
        return f"affine({network(d, of)})" if of else "affine"
    key = ("flow", head.shape, tuple(u.name for u in of))
    if key in d.shared and d.often(0.5):
        return d.shared[key]
    d.features = head.shape[0]
    text = d.choose(FLOWS)(d, of)
    if d.often(0.4):
        d.shared[key] = d.name("f")
        d.say(f"flow {d.shared[key]} = {text}")
        return d.choose((d.shared[key], f"{d.shared[key]} >> affine"))
    return text


# --- distributions -------------------------------------------------------------------------------

Right = tuple[str, bool | tuple[str, ...]]
"""The text of a right-hand side, and whether it is autoregressive; or the element that it is of, and the parents."""

LOCATED = ("Normal", "Laplace", "Logistic")
ONTO = {
    "positive": ("exp", "softplus"),
    "unit": ("sigmoid",),
    "interval(-1, 1)": ("tanh",),
    "simplex": ("stick_breaking",),
}
"""The support of counts, where it has a name of its own."""

FAMILIES = {
    "positive": ("Gamma", "LogNormal", "Exponential", "HalfNormal", "HalfCauchy"),
    "unit": ("Beta", "ContinuousBernoulli"),
    "binary": ("Bernoulli", "Bernoulli", "Categorical"),
    "integer": ("DiscretizedLogistic",),
    "natural": ("Poisson", "Geometric", "NegativeBinomial"),
    "simplex": ("Dirichlet",),
    "sphere": ("VonMisesFisher",),
}
VECTORS = ("simplex", "sphere")
"""Supports of which a vector is one value."""


def _families(head: Unit) -> tuple[str, ...]:
    if head.real:
        # Networks make nothing finite of a latent as large as a Cauchy's draws may be.
        return (*LOCATED, "Cauchy") if head.role == "observed" else LOCATED
    return FAMILIES.get(head.support, ("Categorical",))


def _learned(family: str) -> str:
    return f"{family}(param)"


def _plain(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """A family of the support, all of its parameters by one network or one `param`."""
    if head.support.startswith("interval"):
        return None
    family = d.choose(_families(head))
    if not of:
        fixed = {"Normal": "Normal(0, 1)", "Gamma": "Gamma(2, 1)", "Beta": "Beta(2, 2)", "Dirichlet": "Dirichlet(1.5)"}
        fixed |= {"VonMisesFisher": "VonMisesFisher(uniform)"}
        return d.choose((_learned(family), fixed.get(family, _learned(family)))), False
    return f"{family}({network(d, of)})", False


def _shared(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    if not of or head.support.startswith("interval"):
        return None
    family = _families(head)[0]
    return f"{family}({shared_network(d, head, of, family)})", False


def _located(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """Location and scale apart, each by another kind of value."""
    if not head.real:
        return None
    family, loc = d.choose(_families(head)), value(d, head, of)
    scale = d.choose(("0.5", "param", f"exp({_perceptron(d, of)})" if of else "param"))
    if d.often(0.2):
        return f"StudentT(df = 5, loc = {loc}, scale = {scale})", False
    return d.choose((f"{family}({loc}, {scale})", f"{family}(scale = {scale}, loc = {loc})")), False


def _low_rank(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """A normal vector whose elements go together along one or two directions."""
    if not head.real or not head.vector:
        return None
    factor_ = d.param(*head.shape, d.choose((1, 2)))
    loc = value(d, head, of) if of else d.choose(("0", "param"))
    return f"LowRankNormal({loc}, {d.choose(('0.5', 'param', 'exp(param)'))}, {factor_})", False


def _rate_by_arithmetic(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    if head.support not in ("natural", "positive") or not of:
        return None
    found = _affine_map(d, head, of)
    family = "Poisson" if head.support == "natural" else "Exponential"
    return (f"{family}(exp({found}))", False) if found else None


def _mixture(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    if head.role != "observed" and head.support not in ("real", "positive", "unit"):
        return None
    inner = _plain(d, head, of) if of else (_learned(d.choose(_families(head))), False)
    if inner is None:
        return None
    weights = d.choose(("", "", ", weights = " + (_perceptron(d, of) if of else "param")))
    return f"mixture[{d.choose((2, 3))}{weights}]({inner[0]})", False


def _grid(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    if not head.real:
        return None
    point = d.name("g")
    return f"mixture[{point} in grid(2, 2)](Normal(mlp[4]({', '.join([point, *(u.name for u in of)])})))", False


def _mixture_of_flows(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    if not head.real or not head.vector:
        return None
    inner = f"Normal({_perceptron(d, of)})" if of else "Normal(param)"
    return f"mixture[2]({inner} >> {d.choose(('affine', 'affine', 'elementwise[spline(2)]'))})", False


def _pushed(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """A distribution pushed through a flow; what the base does not read the flow does."""
    if not (head.real or head.support in ONTO):
        return None
    split = d.random.randint(0, len(of))
    first, second = of[:split], of[split:]
    shape = (head.shape[0] - 1,) if head.support == "simplex" else head.shape
    located = Unit(head.name, "real", shape, head.role)
    base = d.choose((_plain, _located, _plain))(d, located, first)
    if head.role == "observed" and d.often(0.2):
        base = _mixture(d, located, first)
    assert base is not None
    onto = "" if head.real else f" >> {d.choose(ONTO[head.support])}"
    if not second and onto and d.often(0.3):
        return base[0] + onto, False
    return f"{base[0]} >> {flow(d, located, second)}{onto}", False


def indices(head: Unit) -> tuple[str, str]:
    """The element of a variable and its past: `[d]` and `[<d]`, of a grid in the order of rows, by its colours too."""
    of = (("[d]", "[<d]"), ("[i, j]", "[<i, <j]"), ("[i, j, c]", "[<i, <j, <c]"))
    return of[len(head.shape) - 1]


_CAUSAL = 'python("tests.contracts.own:Causal")[rank = 1]'


def _in_order(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """Elements in another order, with what stands at their own positions, and what is always before them."""
    if not 0 < len(head.shape) < 4 or head.support in VECTORS or head.support.startswith("interval"):
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
    return d.choose(kinds).format(d.choose(_families(head)), net), left


def _of_pixels(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """A grid, pixel by pixel or colour by colour."""
    colours = head.shape[2] if len(head.shape) > 2 else 1
    sizes = ", ".join(str(colours * d.choose((2, 3))) for _ in range(d.choose((1, 2))))
    kind = d.choose(("pixelcnn", "gated_pixelcnn")) + f"[{sizes}, kernel = 3{d.choose(('', ', norm = layer'))}]"
    here, past = indices(head)
    parents = [u.name + (here if u.shape == head.shape and u.support not in VECTORS else "") for u in of]
    net = f"{kind}({', '.join([head.name + past, *parents])})"
    right = d.choose(("{0}({1})", "mixture[2, weights = {1}]({0}({1}))")).format(d.choose(_families(head)), net)
    return right, (head.name + here, head.name + past, *parents)


PIXELS = (_of_pixels, _in_order)
"""Densities of grids, of colours as well."""


def _autoregressive(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    if len(head.shape) not in (1, 2) or head.support in VECTORS:
        return None
    if len(head.shape) == 2:
        kind = d.choose(("pixelcnn[4, 3, kernel = 3]", "gated_pixelcnn[4, 4, kernel = 3]", "masked[5]", "gru[4]"))
        net = f"{kind}({', '.join([f'{head.name}[<i, <j]', *(u.name for u in of)])})"
        return d.choose(("{0}({1})", "mixture[2, weights = {1}]({0}({1}))")).format(
            d.choose(_families(head)), net
        ), True
    convolutions, masks = (
        ("causal[4, kernel = 2]", "causal[4, 4, kernel = 3]"),
        ("masked[5]", "masked[4, 4]", "masked[8, norm = layer]"),
    )
    kind = d.choose(
        (*convolutions, *masks, _CAUSAL, "gru[4]", "lstm[3, 4]", "gru[4, norm = layer]", "transformer[4, 4, heads = 2]")
    )
    net = f"{kind}({', '.join([f'{head.name}[<d]', *(u.name for u in of)])})"
    if head.support in ONTO and d.often(0.5):
        return f"Normal({net}) >> {d.choose(ONTO[head.support])}", True
    if head.support.startswith("interval"):
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
        return f"mixture[2{weights}]({d.choose(_families(head))}({net}))", True
    if d.often(0.2):
        order = d.choose(("reverse", "permute(seed = 1)", "permute"))
        left = (f"{head.name}[d]", f"{head.name}[<d]", *(u.name for u in of), f"order = {order}")
        return f"{d.choose(_families(head))}({net})", left
    return f"{d.choose(_families(head))}({net})", True


def _by_elements(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
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
    if (head.support in ONTO and d.often(0.4)) or head.support.startswith("interval"):
        return f"Normal({net}) >> {d.choose(ONTO[head.support])}", left
    if head.real and d.often(0.3):
        moved = d.choose((" >> affine", f" >> affine({net})" if reads and not each.shape else " >> affine"))
        moved = " >> 2 * (coupling[mlp[4]] >> reverse)" if each.shape and d.often(0.6) else moved
        return f"Normal({net}){moved}", left
    weights = d.choose(("", f", weights = {net}" if reads else ""))
    kind = d.choose(
        ("{0}({1})", "{0}({1})", f"mixture[2{weights}]({{0}}({{1}}))" if head.role == "observed" else "{0}({1})")
    )
    return kind.format(d.choose(_families(head)), net), left


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


def _markov_chain(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """Classes given the class before: rows of one table, or of one for each position, and what else is known."""
    if not head.support.startswith("categorical") or not head.vector or head.shape[0] < 2:
        return None
    classes, before = int(head.support[len("categorical(") : -1]), f"{head.name}[d - 1]"
    one, each = (classes, classes), (*head.shape, classes, classes)
    table = f"{d.param(*one)}[{before}]" if d.often(0.5) else f"{d.param(*each)}[d, {before}]"
    beside = f" + {_perceptron(d, of)}" if of else ""
    return f"Categorical({table}{beside})", (f"{head.name}[d]", before, *(u.name for u in of))


def _rounded_shifts(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """A flow of whole numbers."""
    if not head.support.startswith("integer") or len(head.shape) != 1 or head.shape[0] < 2:
        return None
    family = "DiscretizedLogistic" if head.support == "integer" else d.choose(("DiscretizedLogistic", "Categorical"))
    base = f"{family}({network(d, of)})" if of else f"{family}(param)"
    options = d.choose(("", ", parts = 2", ", rezero = true"))
    return f"{base} >> 2 * (coupling[shift = mlp[4]{options}] >> reverse)", False


def _rounded(d: Draft, head: Unit, of: Sequence[Unit]) -> Right | None:
    """A real distribution rounded to whole numbers, as it is, moved, or in a mixture."""
    if not head.support.startswith(("integer", "natural")):
        return None
    counts = head.support == "natural"
    family = d.choose(("Normal", "Laplace", "Logistic", "Cauchy") if head.role == "observed" else LOCATED)
    ends = head.support[len("integer") :] if head.support.startswith("integer(") and d.often(0.5) else ""
    base = f"{family}({network(d, of)})" if of else f"{family}(param)"
    kinds = ("{}",) if counts else ("{}", "{}", "{} >> affine", "mixture[2]({})", "1 + {}")
    return f"{d.choose(kinds).format(base)} >> round{ends}", False


DENSITIES: tuple[Callable[[Draft, Unit, Sequence[Unit]], Right | None], ...] = (
    _plain,
    _plain,
    _plain,
    _shared,
    _located,
    _located,
    _rate_by_arithmetic,
    _low_rank,
    _mixture,
    _grid,
    _mixture_of_flows,
    _pushed,
    _pushed,
    _autoregressive,
    _by_elements,
    _markov_chain,
    _in_order,
    _rounded_shifts,
    _rounded,
)

DRAWN: tuple[Callable[[Draft, Unit, Sequence[Unit]], Right | None], ...] = (
    _plain,
    _plain,
    _plain,
    _shared,
    _located,
    _located,
    _low_rank,
    _pushed,
    _pushed,
    _by_elements,
    _autoregressive,  # refused as long as no gradient goes through its draws
)
"""Densities that a q may have: their draws are differentiable."""


ELEMENTS = (_by_elements,)
"""Densities of each element, given what stands at its position or elsewhere."""

FLOWED = (_pushed,)
"""Densities that a flow makes."""


def factor(
    d: Draft,
    side: str,
    head: Unit,
    of: Sequence[Unit],
    kinds: Sequence[Callable[[Draft, Unit, Sequence[Unit]], Right | None]] = DENSITIES,
) -> str:
    """Says a factor of `head` given all of these, by one of these kinds. Returns its left side."""
    found = None
    while found is None:  # an interval has no family of its own, only what is pushed forward
        found = d.choose(kinds if not head.support.startswith("interval") else (*kinds, _pushed))(d, head, of)
    text, autoregressive = found
    if isinstance(autoregressive, tuple):
        left = d.head(side, autoregressive[0], autoregressive[1:])
    elif autoregressive:
        element, past = indices(head)
        left = d.head(side, head.name + element, [head.name + past, *(u.name for u in of)])
    else:
        left = d.head(side, head.name, [u.name for u in of])
    d.say(f"{left} = {text}")
    return left
