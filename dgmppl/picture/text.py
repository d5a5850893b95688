"""Short text for what stands in a graph: `Normal >> 4 x (coupling >> reverse)`, `mlp[256]`, `-x @ W @ h`."""

from __future__ import annotations

from dgmppl.catalogue.bijections import FIXED_AFFINE, MATRIX, SCALE, SHIFT
from dgmppl.graph.names import member_name
from dgmppl.graph.values import (
    Apply,
    At,
    Autoregressive,
    Bijection,
    Block,
    Composition,
    Constant,
    Cumulative,
    Declared,
    Delta,
    Density,
    Dropped,
    Element,
    Everywhere,
    Feature,
    Index,
    IndexSum,
    Inverse,
    Joined,
    Learned,
    Levels,
    Mapped,
    Mixture,
    Module,
    NetworkSpec,
    OneHot,
    Operation,
    Parametric,
    Part,
    Past,
    Plate,
    Points,
    Position,
    Pushforward,
    Quoted,
    Reduced,
    Reshaped,
    Residual,
    Rounded,
    Scheduled,
    Sequence,
    Softmax,
    State,
    Use,
    Value,
)
from dgmppl.supports import number_text

_BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "@": 2, "negate": 3, "^": 4}


def network_text(module: Module) -> str:
    """`conv[32] >> mlp[256, out = tanh]`, as in the spec."""
    return " >> ".join(map(_spec_text, module.specs))


def _spec_text(spec: NetworkSpec) -> str:
    items = [*map(str, spec.hidden), *(f"{name} = {value}" for name, value in spec.options)]
    items += [f"rank = {spec.rank}"] if spec.rank else []
    return f"{spec.kind}[{', '.join(items)}]" if items else spec.kind


def bijection_text(bijection: Bijection) -> str:
    """`8 x (coupling >> reverse)`: kinds in the order they are applied, without their networks."""
    if isinstance(bijection, Block):
        return _block_text(bijection)
    if isinstance(bijection, Inverse):
        return f"inverse({bijection_text(bijection.inner)})"
    if isinstance(bijection, Levels):
        return f"{bijection.kind}[{len(bijection.levels)}]({bijection_text(bijection.levels[0])})"
    if not isinstance(bijection, Composition):
        return "bijection"
    inner = [bijection_text(part) for part in bijection.parts]
    text = " >> ".join(inner)
    if bijection.repeat > 1:
        text = f"{bijection.repeat} x ({text})" if len(inner) > 1 or " " in text else f"{bijection.repeat} x {text}"
    return f"reversible({text})" if bijection.reversible else text


def _block_text(block: Block) -> str:
    """A kind, or what a formula does: `times 256 plus 1`, `plus x`."""
    if block.kind == SHIFT:
        return f"plus {value_text(block.context[0][1])}"
    if block.kind == SCALE:
        return f"times {value_text(block.context[0][1])}"
    if block.kind == MATRIX:
        return f"times the matrix {value_text(block.context[0][1])}"
    if block.kind == FIXED_AFFINE:
        words = {"scale": "times", "shift": "plus"}
        return " ".join(f"{words[name]} {number_text(number)}" for name, number in block.numbers)
    if block.triangular is not None:
        return "triangular"
    if block.field is not None:
        return "integral"
    return block.kind if block.transform is None else f"{block.kind}[{block.transform.kind}]"


def density_text(density: Density) -> str:
    """The name of a distribution; its numbers where it has nothing else: `Normal(0, 1)`."""
    if isinstance(density, Parametric):
        numbers = [value for _, value in density.arguments]
        if density.joint is None and numbers and all(isinstance(n, Constant) for n in numbers):
            return f"{density.kind}({', '.join(map(value_text, numbers))})"
        return density.kind
    if isinstance(density, Mixture):
        return f"mixture[{density.count}] of {density_text(density.component)}"
    if isinstance(density, Pushforward):
        return f"{density_text(density.base)} >> {bijection_text(density.bijection)}"
    if isinstance(density, Rounded):
        return f"{density_text(density.base)} >> round"
    if isinstance(density, Residual):
        return f"residual of {density.prior}"
    if isinstance(density, Delta):
        return f"Delta({function_text(density.value)})"
    if isinstance(density, Quoted):
        return density.factor
    if isinstance(density, Autoregressive):
        return density_text(density.step)
    if isinstance(density, Plate):
        return density_text(density.element)
    if isinstance(density, Sequence):
        return density_text(density.segments[-1].law)
    return "density"


def function_text(value: Value) -> str:
    """What is done to the inputs, if one thing: `mlp[256]`, `floor(8 x coupling)`; else the value."""
    if isinstance(value, Apply):
        return network_text(value.module)
    if isinstance(value, Mapped):
        before = f"{function_text(value.value)} >> " if isinstance(value.value, Mapped) else ""
        return before + bijection_text(value.bijection)
    if isinstance(value, Operation) and len(value.operands) == 1 and value.op != "negate":
        return f"{value.op}({function_text(value.operands[0])})"
    return value_text(value)


def value_text(value: Value | int | Index, outer: int = 0) -> str:
    """A value as it would stand in a spec; parentheses where an operator of binding `outer` needs them."""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Index):
        return value.name + _step_text(value.offset)
    if isinstance(value, Constant):
        return number_text(value.number)
    if isinstance(value, Use):
        return value.variable
    if isinstance(value, Past):
        return member_name(value.variable, ", ".join(f"<{i}" for i in _letters(value.axes)))
    if isinstance(value, At):
        return member_name(value_text(value.value, 9), _indices_text(value.offsets))
    if isinstance(value, Position):
        return value.name
    if isinstance(value, (Feature, State)):
        offsets = (0,) * len(value.extent) if isinstance(value, Feature) else (-1,)
        return member_name(value.name, _indices_text(offsets))
    if isinstance(value, Everywhere):
        return value.feature.name
    if isinstance(value, Declared):
        return value.name
    if isinstance(value, Scheduled):
        return f"{value.kind}({', '.join(map(number_text, value.arguments))})"
    if isinstance(value, Cumulative):
        return f"cumprod({value_text(value.value)})"
    if isinstance(value, Learned):
        return "param"
    if isinstance(value, Points):
        return f"grid({', '.join(map(str, value.sides))})"
    if isinstance(value, Apply):
        network = network_text(value.module)
        network = f"({network})" if len(value.module.stages) > 1 else network
        return f"{network}({', '.join(map(value_text, (*value.inputs, *value.context)))})"
    if isinstance(value, Mapped):
        return f"({bijection_text(value.bijection)})({value_text(value.value)})"
    if isinstance(value, Element):
        return member_name(value_text(value.value, 9), ", ".join(map(value_text, value.index)))
    if isinstance(value, (Joined, Part, Reshaped, Reduced, Softmax, OneHot, Dropped)):
        return _axes_text(value)
    if isinstance(value, IndexSum):
        return f"sum({', '.join(name for name, _ in value.indices)}: {value_text(value.body)})"
    if isinstance(value, Operation):
        return _operation_text(value, outer)
    return "value"


def _indices_text(offsets: tuple[int, ...]) -> str:
    """`d - 1`, or `i, j - 1`."""
    return ", ".join(letter + _step_text(k) for letter, k in zip(_letters(len(offsets)), offsets))


def _letters(axes: int) -> str:
    """The indices of so many axes."""
    return "d" if axes == 1 else "ijkl"[:axes]


def _step_text(k: int) -> str:
    return f" {'-' if k < 0 else '+'} {abs(k)}" if k else ""


def _axes_text(value: Joined | Part | Reshaped | Reduced | Softmax | OneHot | Dropped) -> str:
    if isinstance(value, Joined):
        parts = ", ".join(map(value_text, value.parts))
        if value.stacked:
            return f"stack({parts})"
        return f"concat({parts})" if value.axis == -1 else f"concat({parts}, axis = {len(value.shape) + value.axis})"
    inner = value_text(value.value)
    if isinstance(value, Part):
        items = (str(i) if isinstance(i, int) else f"{i[0]}..{i[1]}" for i in value.index)
        return f"{value_text(value.value, 9)}[{', '.join(items)}]"
    if isinstance(value, Reshaped):
        return f"flatten({inner})" if len(value.shape) == 1 else f"reshape({inner}, {list(value.shape)})"
    if isinstance(value, Reduced):
        rank = len(value.value.shape)
        axis = f", axis = {rank + value.axes[0]}" if len(value.axes) < rank else ""
        return f"{value.op}({inner}{axis})"
    if isinstance(value, Dropped):
        return f"drop({inner}, {number_text(value.share)})"
    return f"{'softmax' if isinstance(value, Softmax) else 'one_hot'}({inner})"


def _operation_text(value: Operation, outer: int) -> str:
    binding = _BINDING.get(value.op)
    if binding is None:
        return f"{value.op}({', '.join(map(value_text, value.operands))})"
    if value.op == "negate":
        text = "-" + value_text(value.operands[0], binding)
    else:
        left, right = value.operands
        text = f"{value_text(left, binding)} {value.op} {value_text(right, binding + 1)}"
    return f"({text})" if binding < outer else text
