"""A spec that trains in a moment, and what a folder holds."""

from __future__ import annotations

from pathlib import Path

SPEC = """\
model small

const H = 4

observed x : real[2] from moons.point
latent   z : real[2]

p(z)     = Normal(0, 1)
p(x | z) = Normal(mlp[H](z), 0.5)
q(z | x) = Normal(mlp[H](x))

train { epochs = 1, batch = 500, optimizer = adam(1e-2) }
"""

GAN = """\
model game

observed x : real[2] from moons.point
latent   z : real[2]

p(z) = Normal(0, 1)
x    = mlp[4](z)
adversary D(x) = mlp[4]

train { epochs = 1, batch = 500, optimizer = adam(1e-2) }
"""


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, and every folder, by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }
