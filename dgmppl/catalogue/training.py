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
    "elbo": (Option("beta", "number"), _WEIGHT),
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

# Objectives of the language that no rule derives yet.
UNBUILT_OBJECTIVES = ("score_matching", "noise_contrastive")

# setting -> kind: "count", "positive", "seed", "optimizer", "objective"
SETTINGS: dict[str, str] = {
    "epochs": "count",
    "patience": "count",
    "batch": "count",
    "optimizer": "optimizer",
    "adversary_optimizer": "optimizer",
    "adversary_steps": "count",
    "seed": "seed",
    "clip": "positive",
    "objective": "objective",
}
