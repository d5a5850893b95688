"""Pictures of samples: a grid of images, a scatter of points, or histograms, whichever the type suggests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.data.dates import date_texts, days_of, days_of_times
from dgmppl.supports import Type
from dgmppl.train.plots import draw_histograms, draw_points, literal, render

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[Any]

# Fewer pixels than this in a vector are more likely measurements than an image.
_FEWEST_PIXELS = 36
_MOST_HISTOGRAMS = 16
_INCHES = 4.0


@dataclass(frozen=True)
class Shown:
    """How values of a variable are shown.

    Attributes:
        type: of the values; bounds of its support become black and white.
        labels: what the elements of a row are called; none: their numbers.
        classes: the texts that the values 0, 1, ... stand for.
        dates: whether numbers are the days of texts.
        truth: what false and true are called, of truth values.
    """

    type: Type
    labels: Sequence[str] = ()
    classes: Sequence[str] = ()
    dates: bool = False
    truth: Sequence[str] = ()

    def numbers(self, values: Array) -> Array:
        """Values as numbers: of a class that is told as text its number, of a date its days since 1970; NaN where one
        is missing."""
        if values.dtype.kind == "M":
            return days_of_times(values)
        if values.dtype != object:
            return values.astype(np.float64) if values.dtype.kind == "b" else values
        if self.truth:
            found = [np.nan if value is None else value for value in values.ravel()]
            return np.array(found, dtype=np.float64).reshape(values.shape)
        if self.dates:
            days = [np.nan if text is None else days_of(text) for text in values.ravel()]
            return np.array(days, dtype=np.float64).reshape(values.shape)
        known = {text: float(k) for k, text in enumerate(self.classes)}
        flat = [known.get(value, np.nan) for value in values.ravel()]
        return np.array(flat, dtype=np.float64).reshape(values.shape)

    def text(self, value: float) -> str:
        """A value as a person reads it: the text of a class."""
        if self.classes and float(value).is_integer() and 0 <= value < len(self.classes):
            return self.classes[int(value)]
        if self.dates:
            return str(date_texts(np.array([value]), whole=True)[0])
        return f"{value:g}"


def draw_samples(samples: Mapping[str, Array], shown: Mapping[str, Shown], path: Path | IO[bytes]) -> None:
    """Draws samples to a PNG, one panel a variable.

    Args:
        samples: for each variable an array (n, *shape); what is not finite is left out.
        shown: how their values are shown.
        path: of the file to write, or an open one.
    """

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(samples), squeeze=False)[0]
        for axes, (name, values) in zip(panels, samples.items(), strict=True):
            draw_values(axes, values, shown[name])
            axes.set_title(literal(f"{name} : {shown[name].type.describe()}"))

    content = render(draw, _INCHES * len(samples), _INCHES)
    if isinstance(path, Path):
        path.write_bytes(content)
    else:
        path.write(content)


def draw_values(axes: Axes, values: Array, how: Shown) -> None:
    """Values (n, *shape) of one variable."""
    declared, values = how.type, how.numbers(values)
    shape = image_shape(declared.shape)
    if shape is not None:
        _draw_images(axes, values.reshape(-1, *shape), declared)
    elif declared.shape == (2,):
        draw_points(axes, {"": values}, labels=how.labels)
    else:
        columns = values.reshape(len(values), -1)
        drawn = columns[:, :_MOST_HISTOGRAMS]
        names = [*how.labels] or [str(k) for k in range(columns.shape[1])]
        names = [literal(n) for n in names[: drawn.shape[1]]] if columns.shape[1] > 1 else []
        draw_histograms(axes, drawn, declared.support.discrete, names)
        if names:
            axes.legend(fontsize=6, ncols=2, title=f"columns, {drawn.shape[1]} of {columns.shape[1]}")
        elif how.labels:
            axes.set_xlabel(literal(how.labels[0]))
        if how.classes:
            axes.set_xticks(range(len(how.classes)), [literal(text) for text in how.classes])


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
    """Values as brightness: `low` is black, `high` is white; what is not a number is black, and so is all that is
    there where the two are one."""
    with np.errstate(over="ignore"):
        share = (np.nan_to_num(np.asarray(values, dtype=np.float64), nan=low) - low) / ((high - low) or 1.0)
        return np.asarray(np.clip(share, 0, 1) * 255, dtype=np.float64).round().astype(np.uint8)


def _draw_images(axes: Axes, images: Array, declared: Type) -> None:
    low, high = shades(images, declared)
    pixels = as_bytes(tile(images, high), low, high)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_axis_off()
