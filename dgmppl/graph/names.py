"""Names that emitted source uses itself, which no variable of a spec may take there."""

from __future__ import annotations

import builtins
import keyword

from dgmppl.catalogue.bijections import BIJECTIONS
from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.catalogue.networks import NETWORKS

# What emitted modules import or bind, and Python's own names that they use.
LOCALS = frozenset(
    [
        "self",
        "torch",
        "nn",
        "Tensor",
        "Distribution",
        "n",
        "super",
        "sum",
        "len",
        "float",
        "int",
        "dict",
        "list",
        "tuple",
        "range",
        "pyro",
        "data",
        "loss",
        "scale",
        "logits",
        "loc",
        "raw",
        "prior",
        "shift",
        "ratio",
        "flow",
        "noise",
        "game",
        "real",
        "fake",
        "rate",
        "df",
        "total_count",
        "concentration",
        "concentration0",
        "concentration1",
        "component",
        "weights",
        "start",
        "steps",
        "kl_divergence",
        "rescale",
        "one_hot",
        "positive",
        "unit",
        "bounded",
        "simplex",
        "concat",
        "enumerate_binary",
        "langevin",
        "gibbs_sites",
        "pseudo_log_likelihood",
        "importance_bound",
        "terms",
        "every_value",
        "every_missing_value",
        "impute",
        "log_prob_seen",
        "errors_seen",
        "rows_seen",
        "as_batch",
        "gradient_penalty",
        "Chain",
        "Start",
        "Player",
        "GenerativeModel",
        "GAMES",
        "Independent",
        "Uniform",
        "Delta",
        "classes",
        "index",
        "step",
        "parameters",
        "opponent",
        "own",
        "rest",
        "id",
        "units",
        "part",
        "MLP",
    ]
)

# Attributes of the base class, which nothing that a spec names may hide.
ATTRIBUTES = frozenset(
    [
        "T_destination",
        "add_module",
        "apart",
        "apply",
        "bfloat16",
        "buffers",
        "call_super_init",
        "children",
        "compile",
        "cpu",
        "criterion",
        "cuda",
        "data",
        "device",
        "double",
        "dump_patches",
        "elbo",
        "eval",
        "extra_repr",
        "figures",
        "float",
        "forward",
        "get_buffer",
        "get_extra_state",
        "get_parameter",
        "get_submodule",
        "half",
        "ipu",
        "load_state_dict",
        "log_prob",
        "log_partition",
        "loss",
        "modules",
        "mtia",
        "named_buffers",
        "named_children",
        "named_modules",
        "named_parameters",
        "observer",
        "parameters",
        "parameters_without",
        "players",
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
        "sample",
        "set_extra_state",
        "set_submodule",
        "share_memory",
        "state_dict",
        "terms",
        "to",
        "to_empty",
        "train",
        "training",
        "type",
        "weights",
        "xpu",
        "zero_grad",
        "energy",
        "energies",
        "free_energy",
        "sweep",
        "settle",
        "chain",
        "adversary_loss",
        "draw_from_energy",
        "model",
        "guide",
        "condition",
    ]
)

# Classes that emitted modules import, beside the distributions.
CLASSES = frozenset(
    {
        *DISTRIBUTIONS,
        *(network.runtime for network in NETWORKS.values()),
        *(bijection.runtime for bijection in BIJECTIONS.values()),
        *("Compose", "Mixture", "Pushforward", "Autoregressive", "IntegerCategorical"),
    }
)

_METHODS = ("p_", "q_", "define_", "score_", "sides_", "_")
# Locals that are named after a variable or an adversary.
_DERIVED = ("log_det_", "inner_", "game_", "loss_", "cases_", "missing_")


def methods_of(ident: str) -> set[str]:
    """The names of the methods that emitted source may have for a variable or an adversary."""
    return {f"{prefix}{ident}" for prefix in _METHODS[:-1]}


def safe_attribute(name: str) -> str:
    """A spec's own name as an attribute that hides nothing."""
    taken = name in ATTRIBUTES or name.startswith(_METHODS) or keyword.iskeyword(name)
    return f"{name}_" if taken else name


def safe_local(name: str) -> str:
    """A spec's own name as a local variable that hides nothing."""
    taken = name in LOCALS or name.startswith((*_METHODS, *_DERIVED)) or name.endswith("_noisy")
    return f"{name}_" if taken or _like_a_class(name) else name


def _like_a_class(name: str) -> bool:
    """Whether a class that emitted source imports could be called so: `Normal`, `Coupling`."""
    return name[0].isupper() and any(c.islower() for c in name)


def safe_class(name: str) -> str:
    """The class of a model by this name, which hides nothing either."""
    taken = name in LOCALS | CLASSES or keyword.iskeyword(name) or hasattr(builtins, name)
    return f"{name}Model" if taken or not name[:1].isalpha() else name
