"""Pictures of answers: samples as a grid or a folder of images; paths, a row of the picture for each."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dgmppl.train.pictures import as_bytes, draw_samples, image_shape, shades, tile
from dgmppl.train.plots import literal, render
from dgmppl.train.units import DataUnits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_PATHS, _MOST_LINES = 8, 16

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


class BackPictures(SamplePictures):
    """Rows beside what is given back of them.

    Args:
        originals: the rows, in the units of the data.
    """

    def __init__(self, units: DataUnits, originals: Callable[[], Mapping[str, Values]]) -> None:
        super().__init__(units)
        self.originals = originals

    def grid(self, arrays: Mapping[str, Values]) -> bytes:
        rows = self.originals()
        made = [n for n in arrays if n not in self.units.graph.conditions]
        panels = {n: v for name in made for n, v in ((name, rows[name]), (f"{name}, given back", arrays[name]))}
        shown = {n: self.units.shown(n.removesuffix(", given back")) for n in panels}
        file = io.BytesIO()
        draw_samples(panels, shown, file)
        return file.getvalue()


class PathPictures(SamplePictures):
    """Paths of rows: of images a row of the picture for each path, of other variables a panel with their numbers.

    Args:
        steps: rows of a path.
        names: the columns that tell paths apart.
        along: the column of the place on a path, and what that is called.
    """

    def __init__(self, units: DataUnits, steps: int, names: Sequence[str], along: str, called: str) -> None:
        super().__init__(units)
        self.steps, self.names, self.along, self.called = steps, names, along, called

    def grid(self, arrays: Mapping[str, Values]) -> bytes:
        graph = self.units.graph
        made = [v.name for v in graph.data if v.name in arrays and v.name not in graph.conditions]
        paths = len(arrays[self.along]) // self.steps
        images = [n for n in made if image_shape(self.units.shown(n).type.shape)]
        others = [n for n in made if n not in images]
        height = max(1.0, paths * 0.9 if images else 0.0) + (min(paths, _MOST_PATHS) * 1.9 if others else 0.0)
        return render(lambda figure: self._draw(figure, arrays, images, others, paths), 8.0, height)

    def _draw(
        self, figure: Figure, arrays: Mapping[str, Values], images: list[str], others: list[str], paths: int
    ) -> None:
        drawn = min(paths, _MOST_PATHS)
        heights = [paths * 0.9] * bool(images) + [1.9] * (drawn if others else 0)
        grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
        if images:
            inner = grid[0].subgridspec(1, len(images))
            for k, name in enumerate(images):
                self._draw_images(figure.add_subplot(inner[k]), arrays, name, paths)
        for path in range(drawn if others else 0):
            inner = grid[path + bool(images)].subgridspec(1, len(others))
            for k, name in enumerate(others):
                self._draw_lines(figure.add_subplot(inner[k]), arrays, name, path)

    def _title(self, arrays: Mapping[str, Values], path: int) -> str:
        """What tells a path from the others."""
        return ", ".join(
            value if isinstance(value, str) else f"{name} {value}"
            for name in self.names
            if (value := arrays[name][path * self.steps]) is not None
        )

    def _draw_images(self, axes: Axes, arrays: Mapping[str, Values], name: str, paths: int) -> None:
        declared = self.units.shown(name).type
        shape = image_shape(declared.shape)
        assert shape is not None
        low, high = shades(arrays[name], declared)
        pixels = as_bytes(tile(arrays[name].reshape(-1, *shape), high, self.steps), low, high)
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
        middle = [(k + 0.5) * (shape[1] + 1) for k in range(self.steps)]
        axes.set_xticks(middle, [f"{v:.3g}" for v in arrays[self.along][: self.steps]])
        rows = [(k + 0.5) * (shape[0] + 1) for k in range(paths)]
        axes.set_yticks(rows, [literal(self._title(arrays, k)) for k in range(paths)])
        axes.grid(visible=False)
        axes.set_xlabel(literal(self.called))
        axes.set_title(literal(f"{name} : {declared.describe()}"))

    def _draw_lines(self, axes: Axes, arrays: Mapping[str, Values], name: str, path: int) -> None:
        shown, rows = self.units.shown(name), slice(path * self.steps, (path + 1) * self.steps)
        values = shown.numbers(arrays[name][rows]).reshape(self.steps, -1)
        labels = self.units.labels(name)
        for k in range(min(values.shape[1], _MOST_LINES)):
            axes.plot(arrays[self.along][rows], values[:, k], marker=".", label=literal(labels[k]))
        if shown.classes:
            axes.set_yticks(range(len(shown.classes)), [literal(text) for text in shown.classes])
        if values.shape[1] > 1:
            axes.legend(fontsize=6)
        else:
            axes.set_ylabel(literal(labels[0]))
        axes.set_xlabel(literal(self.called))
        axes.set_title(literal(self._title(arrays, path)))


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels as a PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", optimize=True)
    return file.getvalue()


__all__ = ["BackPictures", "PathPictures", "SamplePictures", "png"]
