"""Folders of images, read with Pillow; and folders of MNIST's four files, which are told apart by their names."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dgmppl.data.formats.idx import is_idx_folder, open_idx_folder
from dgmppl.data.rows import ArrayRows, Origin, Rows, Values
from dgmppl.data.split import Opened
from dgmppl.diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    from dgmppl.graph.nodes import DataSource
    from dgmppl.supports import Type

# Plain pixels. Pillow reads more, some of it (EPS) through other programs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pbm", ".pgm", ".ppm", ".tif", ".tiff", ".webp"})
# Modes whose values are no bytes: grey levels that a conversion would cut off at 255.
_DEEP = ("I", "F")
_ORIENTATION = 0x0112  # of EXIF; from 5 on, width and height are swapped
_SPLITS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class ImageOrigin(Origin):
    """Rows are files; columns are pixels."""

    files: tuple[str, ...] = ()

    def place(self, row: int, column: tuple[int, ...] | None = None, width: int = 1) -> str:
        pixel = f"pixel {', '.join(map(str, column))} of " if column else ""
        return f"{pixel}{self.files[row]}"


def open_folder(source: DataSource, base: Path, declared: Type) -> Opened:
    """`.image`: all images, in the order of their names; `.label`: the numbers of the subfolders they lie in."""
    folder = base / source.dataset
    if not folder.exists():
        raise FileNotFoundError
    if not folder.is_dir():
        raise ValueError("it is a file; a file's format is told by the end of its name")
    if is_idx_folder(folder):
        return open_idx_folder(source, folder)
    folders = _split_folders(source, folder)
    files = {split: _images(path) for split, path in folders.items()}
    empty = next((folders[split] for split, found in files.items() if not found), None)
    if empty is not None:
        kinds = ", ".join(sorted(SUFFIXES))
        raise SpecError(
            [Diagnostic("E517", f"{_name(source, base, empty)} holds no images", source.span, help=f"files {kinds}")]
        )
    bounds: tuple[float | None, float | None] = (None, None)
    parts: Mapping[str, Rows]
    if source.field == "label":
        parts = _labels(source, base, folders, files)
    else:
        pixels = _Pixels(source, base, [file for found in files.values() for file in found], declared.elements)
        parts = {split: pixels.rows(found) for split, found in files.items()}
        bounds = (None, None) if pixels.mode in _DEEP else (0.0, 255.0)
    divided = "train" if "train" in folders else "all"
    return Opened(parts, *bounds, sorted=any(path.parent != folders[divided] for path in files[divided]))


def _split_folders(source: DataSource, folder: Path) -> dict[str, Path]:
    """The subfolders for training, validation and test, where there are at least two of them; else the folder."""
    below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    given: dict[str, Path] = {}
    for path in below:
        split = _SPLITS.get(path.name.lower())
        if split in given:
            headline = f"{source.dataset} has two folders for {split}: {given[split].name} and {path.name}"
            raise SpecError([Diagnostic("E517", headline, source.span, help="put their images into one of them")])
        if split is not None:
            given[split] = path
    if "train" not in given or len(given) < 2:
        return {"all": folder}
    if len(given) < len(below):
        other = next(path.name for path in below if path not in given.values())
        headline = f"{source.dataset} has the folder {other} beside {' and '.join(p.name for p in given.values())}"
        help_ = "folders are either splits (train, validation or val, test) or classes"
        raise SpecError([Diagnostic("E517", headline, source.span, help=help_)])
    return {split: given[split] for split in ("train", "validation", "test") if split in given}


def _images(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    shown = (path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return sorted(shown, key=lambda path: path.parts)


def _name(source: DataSource, base: Path, path: Path) -> str:
    return f"{source.dataset.rstrip('/')}/{path.relative_to(base / source.dataset).as_posix()}".removesuffix("/.")


def _labels(
    source: DataSource, base: Path, folders: Mapping[str, Path], files: Mapping[str, Sequence[Path]]
) -> dict[str, Rows]:
    names: dict[str, list[str]] = {}
    for split, found in files.items():
        for path in found:
            below = path.relative_to(folders[split]).parts
            if len(below) == 1:
                headline = f"{_name(source, base, path)} lies in no subfolder, which would be its label"
                help_ = f'one subfolder for each class: "{source.dataset}/cat", "{source.dataset}/dog"'
                raise SpecError([Diagnostic("E517", headline, source.span, help=help_)])
            names.setdefault(split, []).append(below[0])
    classes = tuple(sorted({name for found in names.values() for name in found}))
    numbers = {name: float(number) for number, name in enumerate(classes)}
    return {
        split: ArrayRows(
            np.array([numbers[name] for name in found]),
            ImageOrigin(
                f"{source.dataset}.label",
                classes=classes,
                files=tuple(_name(source, base, path) for path in files[split]),
            ),
        )
        for split, found in names.items()
    }


def _upright(image: Any) -> tuple[int, int]:
    """The size of an image as it is to be seen: cameras store it as the sensor lay, and how to turn it."""
    width, height = image.size
    return (height, width) if image.getexif().get(_ORIENTATION, 1) >= 5 else (width, height)


def _turned(image: Any) -> Any:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


class _Pixels:
    """Images of one size, all grey or all in colour.

    Args:
        elements: values a row that the variable declares; as many as an image in grey or in colour has, else
            colour follows from the first image.
    """

    def __init__(self, source: DataSource, base: Path, files: Sequence[Path], elements: int) -> None:
        self.source, self.base = source, base
        # The headers of all files first: nothing is decoded before it is known to fit.
        self.size, first = self._header(files[0])
        for path in files[1:]:
            size, mode = self._header(path)
            if size != self.size:
                ours, theirs = (f"{w} x {h}" for w, h in (self.size, size))
                name = _name(source, base, files[0])
                self._fail(path, f"has {theirs} pixels, and {name} has {ours}", "all images have the same size")
            if (mode in _DEEP) != (first in _DEEP):
                self._fail(
                    path, f"has {self._depth(mode)}, and {_name(source, base, files[0])} {self._depth(first)}", ""
                )
        pixels = math.prod(self.size)
        colour = elements == 3 * pixels or (elements != pixels and first not in ("1", "L", *_DEEP))
        self.mode = first if first in _DEEP else "RGB" if colour else "L"
        self.shape = (self.size[1], self.size[0], *((3,) if self.mode == "RGB" else ()))

    def rows(self, files: Sequence[Path]) -> Rows:
        array = np.empty((len(files), *self.shape), np.float32 if self.mode in _DEEP else np.uint8)
        for number, path in enumerate(files):
            array[number] = self._decoded(path)
        names = tuple(_name(self.source, self.base, path) for path in files)
        return ArrayRows(array, ImageOrigin(self.source.dataset, counted="pixels are counted from 0", files=names))

    def _header(self, path: Path) -> tuple[tuple[int, int], str]:
        size, mode = self._read(path, lambda image: (_upright(image), image.mode))
        return size, "I" if mode.startswith("I;16") else mode

    def _decoded(self, path: Path) -> Values:
        convert = (
            (lambda image: np.asarray(_turned(image)))
            if self.mode in _DEEP
            else (lambda image: np.asarray(_turned(image).convert(self.mode)))
        )
        values: Values = self._read(path, convert)
        return values

    def _read(self, path: Path, function: Any) -> Any:
        from PIL import Image

        with warnings.catch_warnings():
            # Beyond this many pixels Pillow takes a file for one that is meant to fill the memory.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            try:
                with Image.open(path, formats=FORMATS) as image:
                    return function(image)
            except (Image.DecompressionBombWarning, Image.DecompressionBombError):
                self._fail(path, f"has more than {Image.MAX_IMAGE_PIXELS:,} pixels", "scale it down before")
            except Image.UnidentifiedImageError:
                self._fail(path, "is no image", "its content is of another kind than its name says")
            except (OSError, SyntaxError, ValueError, EOFError) as error:
                reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
                self._fail(path, f"cannot be read: {reason}", "")

    @staticmethod
    def _depth(mode: str) -> str:
        return "more than 256 grey levels" if mode in _DEEP else "bytes for pixels"

    def _fail(self, path: Path, what: str, help_: str) -> None:
        headline = f"{_name(self.source, self.base, path)} {what}"
        raise SpecError([Diagnostic("E517", headline, self.source.span, help=help_)])
