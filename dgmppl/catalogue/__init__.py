"""Distributions, networks, bijections, functions, games, optimisers as data.

The stages up to the emitter read these tables; only emitted source imports what they name. To add a
distribution, network or bijection: one entry here, its class in `dgmppl.runtime` unless torch has it.
"""
