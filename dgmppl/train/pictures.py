"""Pictures of samples: a grid of images, a scatter of points, or histograms, whichever the type suggests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dgmppl.supports import Type

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float32]

# Fewer pixels than this in a vector are more likely measurements than an image.
_FEWEST_PIXELS = 36
_MOST_HISTOGRAMS = 16
_MOST_BARS = 100
_INCHES = 4.0


def draw_samples(samples: Mapping[str, Array], types: Mapping[str, Type], path: Path | IO[bytes]) -> None:
    """Draws samples to a PNG, one panel a variable.

    Args:
        samples: for each variable an array (n, *shape).
        types: of these variables; bounds of a support become black and white.
        path: of the file to write, or an open one.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_INCHES * len(samples), _INCHES), layout="constrained")
    panels = figure.subplots(1, len(samples), squeeze=False)[0]
    for axes, (name, values) in zip(panels, samples.items(), strict=True):
        shape = image_shape(types[name].shape)
        if shape is not None:
            _draw_images(axes, values.reshape(-1, *shape), types[name])
        elif types[name].shape == (2,):
            axes.scatter(values[:, 0], values[:, 1], s=6, alpha=0.6, linewidths=0)
            axes.set_aspect("equal", "datalim")
        else:
            _draw_histograms(axes, values.reshape(len(values), -1), types[name])
        axes.set_title(f"{name} : {types[name].describe()}", fontsize=9)
    # Named here, because the path need not end in .png.
    figure.savefig(path, format="png", dpi=120)


def image_shape(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Height and width when a shape looks like that of a grey image, as [64] or [8, 8] do; [8, 8, 3] is in colour."""
    if len(shape) == 1 and shape[0] >= _FEWEST_PIXELS and math.isqrt(shape[0]) ** 2 == shape[0]:
        side = math.isqrt(shape[0])
        return side, side
    if len(shape) in (2, 3) and min(shape[:2]) >= 4 and shape[2:] in ((), (3,)):
        return shape
    return None


def tile(images: Array, fill: float, columns: int | None = None) -> Array:
    """Images (n, height, width) or (n, height, width, 3) side by side, one pixel of `fill` between.

    Without `columns` the grid is as square as it gets.
    """
    n, height, width = images.shape[:3]
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    size = (rows * (height + 1) + 1, columns * (width + 1) + 1)
    grid = np.full((*size, *images.shape[3:]), fill, dtype=np.float32)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + 1) + 1, (i % columns) * (width + 1) + 1
        grid[top : top + height, left : left + width] = image
    return grid


def shades(images: Array, declared: Type) -> tuple[float, float]:
    """The values that are black and white: the ends of the support, or of what is there."""
    low, high = declared.support.low, declared.support.high
    finite = images[np.isfinite(images)]
    if low is None:
        low = float(finite.min()) if finite.size else 0.0
    if high is None:
        high = float(finite.max()) if finite.size else 1.0
    return low, high


def as_bytes(values: Array, low: float, high: float) -> NDArray[np.uint8]:
    """Values as brightness: `low` is black, `high` is white; what is not a number is black."""
    share = (np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-6)
    return np.asarray(np.clip(share * 255, 0, 255).round(), dtype=np.uint8)


def _draw_images(axes: Axes, images: Array, declared: Type) -> None:
    low, high = shades(images, declared)
    pixels = as_bytes(tile(images, high), low, high)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_axis_off()


def _draw_histograms(axes: Axes, values: Array, declared: Type) -> None:
    """Outlines of one histogram a column on common bins; of the first columns only when there are many."""
    shown = values[:, :_MOST_HISTOGRAMS]
    bins = _bins(shown[np.isfinite(shown)], declared.support.discrete)
    for column in range(shown.shape[1]):
        axes.hist(shown[np.isfinite(shown[:, column]), column], bins=bins, histtype="step", label=str(column))
    if values.shape[1] > 1:
        axes.legend(fontsize=6, ncols=2, title=f"columns, {shown.shape[1]} of {values.shape[1]}")


def _bins(values: Array, discrete: bool) -> list[float]:
    """Edges of bins: one bin a value where values are whole numbers and not too many."""
    if discrete and values.size and np.ptp(values) < _MOST_BARS:
        edges = np.arange(values.min(), values.max() + 2) - 0.5
    else:
        edges = np.histogram_bin_edges(values, bins=30)
    return [float(edge) for edge in edges]
