"""What `train { ... }` may say, as data: settings, optimisers, objectives with their options, games."""

from __future__ import annotations

from dataclasses import dataclass

# name -> keyword options (besides the learning rate, which comes first)
OPTIMIZERS: dict[str, tuple[str, ...]] = {
    "adam": ("beta1", "beta2", "weight_decay"),
    "adamw": ("beta1", "beta2", "weight_decay"),
    "adamax": ("beta1", "beta2", "weight_decay"),
    "sgd": ("momentum", "weight_decay"),
    "rmsprop": ("momentum", "weight_decay"),
}

# Those whose step of a weight depends on that weight and its gradients alone: weights may then be moved as one vector.
ELEMENTWISE = frozenset({"adam", "adamw", "adamax", "sgd", "rmsprop"})

GAMES: dict[str, tuple[str, ...]] = {
    "nonsaturating": ("penalty",),
    "wasserstein": ("penalty",),
    "hinge": ("penalty",),
    "least_squares": ("penalty",),
}


@dataclass(frozen=True)
class Option:
    """An option of an objective. `kind`: "count", "number", "positive", "flag", "weights" (a record), "game"."""

    name: str
    kind: str


_WEIGHT = Option("weight", "weights")

OBJECTIVES: dict[str, tuple[Option, ...]] = {
    "likelihood": (_WEIGHT,),
    "elbo": (Option("beta", "number"), Option("classify", "number"), _WEIGHT),
    "iwae": (Option("samples", "count"),),  # no weights: a weighted mean of ratios would bound nothing
    "contrastive_divergence": (
        Option("steps", "count"),
        Option("persistent", "flag"),
        Option("chains", "count"),
        Option("step_size", "positive"),
        Option("noise", "number"),
        Option("restart", "number"),
        _WEIGHT,
    ),
    "adversarial": (Option("game", "game"), _WEIGHT),
}

# name -> options; the learning rate over time, as factors of what the optimiser has (dgmppl.train.schedules)
DECAYS: dict[str, tuple[str, ...]] = {
    "cosine": ("to",),
    "linear": ("to",),
    "exponential": ("rate",),
    "steps": ("every", "factor"),
}

# name -> options; which rows train, validate and test (dgmppl.data)
SPLITS: dict[str, tuple[str, ...]] = {
    "ordered": (),
    "shuffled": ("seed",),
}

# Objectives of the language that no rule derives yet.
UNBUILT_OBJECTIVES = ("score_matching", "noise_contrastive")

# setting -> kind: the reader of dgmppl.plan.settings
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
    "objective": "objective",
}
