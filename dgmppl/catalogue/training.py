"""What `train { ... }` may say, as data: settings, optimisers, objectives with their options, games."""

from __future__ import annotations

from dataclasses import replace

from dgmppl.catalogue.signature import Argument, Signature

_WEIGHT_DECAY = Argument("weight_decay", by="name")
_BETAS = (Argument("beta1", "momentum", by="name"), Argument("beta2", "momentum", by="name"))
_MOMENTUM = Argument("momentum", "momentum", by="name")


def _optimizer(name: str, *options: Argument) -> Signature:
    return Signature(name, (Argument("lr", "positive"), *options, _WEIGHT_DECAY), usage=f"{name}(1e-3)")


# The learning rate comes first.
OPTIMIZERS: dict[str, Signature] = {
    "adam": _optimizer("adam", *_BETAS),
    "adamw": _optimizer("adamw", *_BETAS),
    "adamax": _optimizer("adamax", *_BETAS),
    "sgd": _optimizer("sgd", _MOMENTUM),
    "rmsprop": _optimizer("rmsprop", _MOMENTUM),
}

# Those whose step of a weight depends on that weight and its gradients alone: weights may then be moved as one vector.
ELEMENTWISE = frozenset({"adam", "adamw", "adamax", "sgd", "rmsprop"})

GAMES: dict[str, Signature] = {
    name: Signature(name, (Argument("penalty"),), usage=f"{name}(penalty = 10)")
    for name in ("nonsaturating", "wasserstein", "hinge", "least_squares")
}

_WEIGHT = Argument("weight", "weights", by="name")


def _objective(name: str, *options: Argument) -> Signature:
    """The first option may stand without its name."""
    return Signature(name, (*options[:1], *(replace(o, by="name") for o in options[1:])))


OBJECTIVES: dict[str, Signature] = {
    "likelihood": _objective("likelihood", replace(_WEIGHT, by="either")),
    "elbo": _objective("elbo", Argument("beta", "weight"), Argument("classify"), _WEIGHT),
    # No weights: a weighted mean of ratios would bound nothing.
    "iwae": _objective("iwae", Argument("samples", "count")),
    "contrastive_divergence": _objective(
        "contrastive_divergence",
        Argument("steps", "count"),
        Argument("persistent", "flag"),
        Argument("chains", "count"),
        Argument("step_size", "positive"),
        Argument("noise"),
        Argument("restart", "share"),
        _WEIGHT,
    ),
    "adversarial": _objective("adversarial", Argument("game", "game"), _WEIGHT),
    "flow_matching": _objective("flow_matching", Argument("path", "path"), Argument("target", "target"), _WEIGHT),
}

# Weights that change over the epochs, with their classes (dgmppl.runtime.ramps).
_ENDS = (Argument("start", required=True), Argument("end", required=True), Argument("epochs", "count", by="name"))
RAMPS: dict[str, Signature] = {
    name: Signature(name, _ENDS, usage=f"{name}(0, 1, epochs = 50)") for name in ("linear", "cosine")
}
RAMP_CLASSES = {"linear": "LinearRamp", "cosine": "CosineRamp"}

# Paths from noise to data, along which fields are taught (dgmppl.runtime.matching).
PATHS: dict[str, Signature] = {
    "linear": Signature("linear", (), usage="linear"),
    "cosine": Signature("cosine", (), usage="cosine"),
    "variance_preserving": Signature(
        "variance_preserving",
        (Argument("low", "positive"), Argument("high", "positive")),
        usage="variance_preserving(0.1, 20)",
    ),
}

PATH_CLASSES = {
    "linear": "LinearPath",
    "cosine": "CosinePath",
    "variance_preserving": "VariancePreservingPath",
}

# What a field's error may be measured as.
TARGETS = ("velocity", "noise", "data", "score")

# The learning rate over time, as factors of what the optimiser has (dgmppl.train.schedules).
DECAYS: dict[str, Signature] = {
    "cosine": Signature("cosine", (Argument("to", "factor"),)),
    "linear": Signature("linear", (Argument("to", "factor"),)),
    "exponential": Signature("exponential", (Argument("rate", "rate", required=True),)),
    "steps": Signature(
        "steps", (Argument("every", "epochs", required=True), Argument("factor", "factor", required=True))
    ),
}


def _split(name: str, *options: Argument) -> Signature:
    sizes = (Argument(part, "rows", required=True, by="position") for part in ("train", "validation", "test"))
    return Signature(name, (*sizes, *options), "size", f"{name}(0.8, 0.1, 0.1), or {name}(1000, 350, 447)")


# Which rows train, validate and test (dgmppl.data): their shares, or how many.
SPLITS: dict[str, Signature] = {
    "ordered": _split("ordered"),
    "shuffled": _split("shuffled", Argument("seed", "seed", by="name")),
    "whole": Signature("whole", (), "size", "whole"),
}

# Objectives of the language that no rule derives yet.
UNBUILT_OBJECTIVES = ("score_matching", "noise_contrastive")

# setting -> kind: the reader in dgmppl.plan.setting_values
SETTINGS: dict[str, str] = {
    "epochs": "count",
    "patience": "count",
    "batch": "count",
    "accumulate": "count",
    "optimizer": "optimizer",
    "lr": "positive",
    "warmup": "seed",
    "decay": "decay",
    "adversary_optimizer": "optimizer",
    "adversary_steps": "count",
    "seed": "seed",
    "clip": "positive",
    "ema": "fraction",
    "split": "split",
    "stream": "flag",
    "units": "flag",
    "objective": "objective",
    "best": "figure",
    "posterior": "posterior",
    "gradient": "gradient",
    "accept": "accept",
    "stages": "stages",
}

# How the terms of a variable are estimated where there is a choice: of a chain along an index, at which member.
ESTIMATORS = ("by_loss",)

# What each q reads that is derived: what its variable's posterior depends on, or the data alone.
POSTERIORS = ("structured", "factorised")
