"""Fitting a compiled model, and the run folder that a fit leaves behind: write, open, sample, evaluate."""
