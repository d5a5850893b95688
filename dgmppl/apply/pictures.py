"""Pictures of answers: samples as a grid or a folder of images; paths, a row of the picture for each."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.train.pictures import as_bytes, draw_samples, image_shape, shades
from dgmppl.train.units import DataUnits

Values = NDArray[Any]


class SamplePictures:
    """Pictures of samples in the units of the data; the latents that they come from are left out."""

    def __init__(self, units: DataUnits) -> None:
        self.units = units

    def grid(self, arrays: Mapping[str, Values]) -> bytes:
        """A panel for each variable, as a PNG."""
        data = {v.name for v in self.units.graph.data}
        made = {n: v for n, v in arrays.items() if n in data and n not in self.units.graph.conditions}
        file = io.BytesIO()
        draw_samples(made, {name: self.units.shown(name) for name in made}, file)
        return file.getvalue()

    def each(self, arrays: Mapping[str, Values]) -> Iterator[tuple[str, bytes]] | None:
        """An image for each row, each after the folder of its class, where there is a single class with texts."""
        graph = self.units.graph
        shapes = {v.name: image_shape(self.units.shown(v.name).type.shape) for v in graph.data if v.name in arrays}
        images = [name for name, shape in shapes.items() if shape is not None]
        if len(images) != 1:
            return None
        classes = [v.name for v in graph.data if v.name in arrays and self.units.shown(v.name).classes]
        return self._images(arrays, images[0], classes[0] if len(classes) == 1 else "")

    def _images(self, arrays: Mapping[str, Values], name: str, of: str) -> Iterator[tuple[str, bytes]]:
        shown = self.units.shown(name)
        shape = image_shape(shown.type.shape)
        assert shape is not None
        low, high = shades(arrays[name], shown.type)
        pixels = as_bytes(arrays[name].reshape(-1, *shape), low, high)
        for k, image in enumerate(pixels):
            yield _folder(str(arrays[of][k])) if of else "", png(image)


def _folder(text: str) -> str:
    """A class as the name of a folder: what could lead elsewhere is left out."""
    return re.sub(r"[^\w .()+-]|^\.+", "_", text) or "_"


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels as a PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", optimize=True)
    return file.getvalue()


__all__ = ["SamplePictures", "png"]
