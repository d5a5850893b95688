"""Writes a set of 28 x 28 images as MNIST's four files: scikit-learn's digits, enlarged, turned and moved a little.

    python examples/images/make_images.py examples/images/images
    dgmppl train examples/images/glow.dgm --out runs/glow

Rows 0 to 1349 of the digits become four images each of the training files, in the same order; the others become the
test files. With MNIST's own files in the folder, the specs beside this one need no change.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits

SIDE, TRAIN = 28, 1350


def enlarged(image: np.ndarray, angle: float, shift: np.ndarray) -> np.ndarray:
    """An 8 x 8 image with values up to 16 as 28 x 28 bytes, turned by so many degrees and moved by so many pixels."""
    large = ndimage.zoom(image / 16, 20 / image.shape[0], order=3)
    padded = np.pad(large, (SIDE - large.shape[0]) // 2)
    turned = ndimage.rotate(padded, angle, reshape=False, order=1)
    moved = ndimage.shift(turned, shift, order=1)
    # Steeper, as ink is: most of MNIST's pixels are black or white.
    return (255 * np.clip(1.6 * moved - 0.3, 0, 1)).astype(np.uint8)


def written(path: Path, array: np.ndarray) -> None:
    """IDX: two zeros, the code of bytes, the number of axes, their sizes, the values."""
    sizes = np.array(array.shape, ">i4").tobytes()
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


def main(folder: Path, copies: int = 4) -> None:
    digits, random = load_digits(), np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", slice(0, TRAIN)), ("t10k", slice(TRAIN, None))):
        images = [
            enlarged(image, random.uniform(-10, 10), random.uniform(-2, 2, 2))
            for image in digits.images[rows]
            for _ in range(copies)
        ]
        labels = np.repeat(digits.target[rows], copies)
        written(folder / f"{name}-images-idx3-ubyte", np.stack(images))
        written(folder / f"{name}-labels-idx1-ubyte", labels.astype(np.uint8))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "images"))
