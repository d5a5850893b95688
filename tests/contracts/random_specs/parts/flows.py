"""Bijections in random specs: a function for each kind, in `FLOWS`; those of grids in `_grid_flow`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.contracts.random_specs.draft import Draft, Unit, names
from tests.contracts.random_specs.parts.networks import network, perceptron


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
    return f"affine >> 2 * householder({perceptron(d, of)})" if of else "affine >> 2 * householder"


def _few_directions(d: Draft, of: Sequence[Unit]) -> str:
    """Low-rank maps, and a rotation."""
    given = f"({perceptron(d, of)})" if of else ""
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
    every = f"elementwise[{each}]({perceptron(d, of)})" if of else f"elementwise[{each}]"
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
