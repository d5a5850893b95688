"""The typed graph: variables with support and shape, factors, definitions, energies, adversaries.

`elaborate` turns a syntax tree into a `nodes.Graph`; names are resolved, families unrolled or folded, sizes inferred.
"""
