"""Settings of a fit alone: how it goes through the rows, and what moves the weights."""

from __future__ import annotations

from tests.contracts.random_specs.draft import Draft

SETTINGS = {
    "optimizer": (
        "adam(1e-3, beta1 = 0.5)",
        "adamw(1e-3, weight_decay = 0.01)",
        "adamax(1e-3)",
        "sgd(1e-4, momentum = 0.5)",
        "rmsprop(1e-3)",
    ),
    "decay": ("cosine(to = 0.1)", "linear", "exponential(0.5)", "steps(1, 0.5)"),
    "warmup": ("2", "100"),
    "ema": ("0.5", "0.999"),
    "clip": ("0.1", "10"),
    "accumulate": ("2", "3"),
    "batch": ("7", "1000"),
    "patience": ("1",),
    "split": ("ordered(0.5, 0.25, 0.25)", "shuffled(20, 10, 10, seed = 1)", "whole"),
    "stream": ("false",),
    "seed": ("3",),
}


def fitted(d: Draft) -> None:
    """Some of them, at most two epochs, and of a game those of the adversary."""
    d.settings["epochs"] = "2"
    for name, values in SETTINGS.items():
        if d.fits.random() < 0.3:
            d.settings[name] = d.fits.choice(values)
    if any(s.startswith("adversary") for s in d.statements):
        d.settings |= {"adversary_steps": "2", "adversary_optimizer": "adam(1e-3)"}
