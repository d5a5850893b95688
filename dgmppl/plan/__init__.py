"""Typed graph to plan: which objective the structure calls for, estimated how, in which order, and why."""
