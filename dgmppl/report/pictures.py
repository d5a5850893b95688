"""Values of variables as parts of a page: a grid of images, points of the plane, or histograms."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dgmppl.report.charts import legend, scatter
from dgmppl.report.html import Html, image, join
from dgmppl.supports import Type
from dgmppl.train.pictures import Shown, as_bytes, draw_values, image_shape, shades, tile
from dgmppl.train.plots import render
from dgmppl.words import counted

Array = NDArray[Any]

# Screen pixels that a grid of images is wide at most, and that a pixel of an image takes.
_WIDTH, _LARGEST = 520, 8


def show(
    name: str, values: Array, how: Shown, what: str, columns: int | None = None, beside: Array | None = None
) -> Html:
    """Values (n, *shape) of a variable.

    Args:
        how: how they are shown.
        what: what they are, for a reader who sees no picture.
        columns: images side by side.
        beside: values that are shown next to these: points are on the same axes.
    """
    declared, values = how.type, how.numbers(values)
    beside = None if beside is None else how.numbers(beside)
    shape = image_shape(declared.shape)
    alt = f"{what}: {counted(len(values), 'value')} of {name} : {declared.describe()}"
    if shape is not None:
        return show_images(values.reshape(-1, *shape), declared, alt, columns)
    if declared.shape == (2,):
        return scatter({name: values}, alt, beside, how.labels)
    svg = render(lambda figure: draw_values(figure.subplots(), values, how), 4.2, 3.2, "svg")
    return image(svg, "svg+xml", alt, "chart")


def show_images(images: Array, declared: Type, alt: str, columns: int | None = None) -> Html:
    """Images (n, height, width) or (n, height, width, 3) in a grid, black and white at the ends of their support."""
    low, high = shades(images, declared)
    # Lines of grey are seen beside black and white.
    pixels = as_bytes(tile(images, (low + high) / 2, columns), low, high)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", optimize=True)
    larger = max(1, min(_LARGEST, _WIDTH // pixels.shape[1]))
    return image(file.getvalue(), "png", alt, "pixels", width=pixels.shape[1] * larger)


def show_groups(points: Array, labels: Array | None, told: Callable[[float], str], alt: str) -> Html:
    """Points (n, 2), coloured by their labels where they have any; `told` says what a label is called."""
    if labels is None:
        return scatter({"": points}, alt)
    classes = [float(v) for v in np.unique(labels)]
    groups: Mapping[str, Any] = {told(value): points[labels == value] for value in classes}
    return join([scatter(groups, alt), legend(list(groups))])
