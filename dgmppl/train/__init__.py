"""Fitting a compiled model, and the run folder that a fit leaves behind: written, opened, sampled."""
