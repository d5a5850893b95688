"""Names that emitted source uses itself, which nothing that a spec names may take there."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterable

# What emitted modules import, the arguments that their methods have beside a spec's variables, and Python's own
# functions that they call. Other locals give way to a variable of the same name: `Graph.local`.
LOCALS = frozenset(
    {
        *("self", "torch", "nn", "Tensor", "rt", "pyro", "dist", "rt_dist"),
        *("n", "steps", "mean", "noise", "guidance"),
        *("super", "len", "list", "range"),
    }
)

# Attributes of torch's Module, from which models inherit.
MODULE = frozenset(
    [
        "T_destination",
        "add_module",
        "apply",
        "bfloat16",
        "buffers",
        "call_super_init",
        "children",
        "compile",
        "cpu",
        "cuda",
        "double",
        "dump_patches",
        "eval",
        "extra_repr",
        "float",
        "forward",
        "get_buffer",
        "get_extra_state",
        "get_parameter",
        "get_submodule",
        "half",
        "ipu",
        "load_state_dict",
        "modules",
        "mtia",
        "named_buffers",
        "named_children",
        "named_modules",
        "named_parameters",
        "parameters",
        "register_backward_hook",
        "register_buffer",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
        "register_module",
        "register_parameter",
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "requires_grad_",
        "set_extra_state",
        "set_submodule",
        "share_memory",
        "state_dict",
        "to",
        "to_empty",
        "train",
        "training",
        "type",
        "xpu",
        "zero_grad",
    ]
)

# Attributes of GenerativeModel, and of the classes that emitted source derives from it.
MODEL = frozenset(
    {
        *(
            "data",
            "types",
            "criterion",
            "weights",
            "ends",
            "apart",
            "samples",
            "recipe",
            "observer",
            "check_rows",
            "unchecked",
        ),
        *("terms", "loss", "figures", "epoch_figures", "elbo", "log_prob", "infer", "marginals", "sample"),
        *("condition", "like"),
        *("device", "players", "parameters_without", "lower_is_better", "share", "all_rows", "training_rows"),
        *("squared", "ramps", "epoch", "weight_of", "total", "weighted"),
    }
)
EMITTED = frozenset(
    {
        *("energy", "energies", "free_energy", "log_partition", "chain", "sweep", "settle", "draw_from_energy"),
        *("reconstruct", "log_sum", "forecast", "propose", "complete", "model", "guide"),
    }
)
ATTRIBUTES = MODULE | MODEL | EMITTED

# Methods that are named after a variable or an adversary.
_METHODS = ("p_", "q_", "define_", "score_", "sides_", "loss_", "match_", "field_")


def methods_of(ident: str) -> set[str]:
    """The names of the methods that emitted source may have for a variable or an adversary."""
    return {f"{prefix}{ident}" for prefix in _METHODS}


def safe_attribute(name: str) -> str:
    """A spec's own name as an attribute that hides nothing."""
    taken = name in ATTRIBUTES or name.startswith((*_METHODS, "_")) or keyword.iskeyword(name)
    return f"{name}_" if taken else name


def numbered(name: str, letter: str, numbers: Iterable[int]) -> str:
    """A family by its first index at these numbers of its others, as a spec names its members: `z[t, 1]`."""
    return f"{name}[{', '.join([letter, *map(str, numbers)])}]"


def member_name(family: str, member: object) -> str:
    """A member of a family: `z[3]`, and of `z[t, 1]` the member `z[3, 1]`. What is a member has elements: `z[3][0]`."""
    name, _, indices = family.partition("[")
    letter, several, others = indices.partition(", ")
    return f"{name}[{member}, {others}" if several and letter.isidentifier() else f"{family}[{member}]"


def declared_name(name: str) -> str:
    """The name that a spec declares: `z` of `z[3]`, of `z[t, 1]` and of `z[3, 1]`."""
    return name.partition("[")[0]


def member_ident(family: str, number: int) -> str:
    """What the identifier of a member is made of: `z_3`, and of `z[t, 1]` `z_1_3`."""
    return f"{identifier(family)}_{str(number).replace('-', 'm')}"


def identifier(name: str) -> str:
    """A name as far as an identifier can have it: `z[t, -1]`, whose letter tells nothing, is `z_m1`."""
    name, bracket, indices = name.partition("[")
    if bracket and ", " in indices:
        name += "_" + indices.partition(", ")[2].replace("-", "m")
    elif bracket:
        name += f"[{indices}"
    return "".join(c if c.isalnum() else "_" for c in name).strip("_") or "v"


def safe_local(name: str) -> str:
    """A spec's own name as a local variable that hides nothing."""
    return f"{name}_" if name in LOCALS or name.startswith("_") or keyword.iskeyword(name) else name


def safe_class(name: str) -> str:
    """The class of a model by this name, which hides nothing either."""
    taken = name in LOCALS or keyword.iskeyword(name) or hasattr(builtins, name)
    return f"{name}Model" if taken or not name[:1].isalpha() else name
