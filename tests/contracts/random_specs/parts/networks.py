"""Networks in random specs, applied to variables: a function for each kind, in `NETWORKS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.contracts.random_specs.draft import Draft, Unit, names

SMOOTH = ("tanh", "silu", "gelu", "elu", "sigmoid", "softplus")


def perceptron(d: Draft, of: Sequence[Unit]) -> str:
    net = f"mlp[{d.choose(('4', '5, 4', f'4, activation = {d.choose(SMOOTH)}'))}]"
    return f"{d.told(net, 'dropout = 0.2', 'norm = batch', 'norm = group')}({names(of)})"


def _linear(d: Draft, of: Sequence[Unit]) -> str:
    return f"linear({names(of)})"


def _typed_feature(d: Draft, of: Sequence[Unit]) -> str:
    feature = d.name("r")
    d.say(f"let {feature} : real[{d.choose((2, 3))}] = {perceptron(d, of)}")
    return d.choose((f"linear({feature})", f"mlp[4]({feature})"))


def _feature_of_a_feature(d: Draft, of: Sequence[Unit]) -> str:
    first, second = d.name("r"), d.name("r")
    d.say(f"let {first} : real[3] = {perceptron(d, of)}")
    d.say(f"let {second} : real[2] = mlp[3]({first}, {of[0].name})")
    return f"linear({second})"


def _untyped_feature(d: Draft, of: Sequence[Unit]) -> str:
    reals = [u for u in of if u.real]
    if not reals:
        return perceptron(d, of)
    feature, rest = d.name("r"), [u.name for u in of if u is not reals[0]]
    d.say(f"let {feature} = {d.choose(('tanh', 'sin', 'cos', 'softplus', 'abs', 'relu'))}({reals[0].name}) * 2 - 1")
    return f"mlp[4]({', '.join([feature, *rest])})"


def _beside_a_learned_feature(d: Draft, of: Sequence[Unit]) -> str:
    """A feature of parameters only, which has no rows."""
    held, feature = d.param(2), d.name("r")
    d.say(f"let {feature} : real[2] = softplus({held})")
    return f"mlp[4]({names(of)}, {feature})"


def _axes(d: Draft, of: Sequence[Unit]) -> str:
    """Values joined, cut, reshaped and reduced; every input has a share in what is read."""
    classes = [u for u in of if not u.shape and u.support.startswith(("categorical", "integer("))]
    vectors = [u for u in of if u.vector and u.real]
    parts = [f"one_hot({u.name})" for u in classes]
    for u in vectors:
        last = u.shape[0] - 1
        parts += [f"softmax({u.name} * 2)", d.choose((f"{u.name}[0..{last}]", f"{u.name}[0..0], {u.name}"))]
        parts.append(f"{d.choose(('mean', 'logsumexp'))}({u.name})")
    rest = [u.name for u in of if u not in (*classes, *vectors)]
    if not parts:
        return perceptron(d, of)
    joined, grid = f"concat({', '.join([*parts, d.param(3), '1'])})", d.name("r")
    d.say(f"let {grid} = reshape(linear({', '.join([joined, *rest])}), [2, 3])")
    sides = (
        f"sum({grid}, axis = 1)",
        f"stack({grid}[0, 0..2], {grid}[1])",
        f"{grid}[0..1, 2]",
        f"mean({grid}, axis = 0)",
        f"logsumexp({grid}, axis = 1)",
        f"flatten({grid})",
        f"straight_through(floor({grid}[0]))",
    )
    return f"mlp[4]({d.choose(sides)}, {joined}{''.join(f', {name}' for name in rest)})"


def _convolutions(d: Draft, of: Sequence[Unit]) -> str:
    """From vectors to a grid, and from that grid, with a condition, to a vector."""
    grid, vector = d.name("r"), d.name("r")
    shape, options = (
        d.choose(("2, 2", "3, 2, 2")),
        d.choose(("", ", kernel = 2", ", norm = layer", ", norm = weight", ", stride = 2")),
    )
    told = d.told("conv[3]", "dilation = 2", "dropout = 0.2", "norm = batch") if not options else f"conv[3{options}]"
    d.say(f"let {grid} : real[{shape}] = {told[:-1]}, activation = tanh]({names(of)})")
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
    d.say(f"let {first} : real[3, 2] = {perceptron(d, of)}")
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
    perceptron,
    perceptron,
    perceptron,
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
