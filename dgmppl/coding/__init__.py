"""Rows as bits: what a model gives a probability is coded by it, to within a few bits of -log2 p.

A draw and its code are the two directions of one map: an entropy decoder that is given random bits draws, and the
encoder finds the bits of a draw. So a row is decoded by the model's own sampling program, draw by draw, and encoded by
the same program backward (`program`). Each draw goes element by element through the laws that it is made of (`laws`),
as a choice among cells (`cells`), the values of what is discrete and small bins of what is not, onto a stack (`stack`).
`file` is how the stacks lie on disk.
"""
