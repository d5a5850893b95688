"""Sweeps: many runs of one spec over ranges of its settings, chosen and pruned by Optuna, by several processes."""
