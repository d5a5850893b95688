"""Folders of images; and folders of MNIST's four files, which are told apart by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dgmppl.data.formats.idx import is_idx_folder, open_idx_folder
from dgmppl.data.formats.pixels import Picture, Pixels
from dgmppl.data.rows import ArrayRows, Origin, Rows
from dgmppl.data.split import SPLIT_NAMES, Opened
from dgmppl.data.table import SPLITS
from dgmppl.diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    from dgmppl.graph.nodes import DataSource
    from dgmppl.supports import Type

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pbm", ".pgm", ".ppm", ".tif", ".tiff", ".webp"})


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
        raise _failed(source, f"{_name(source, folder, empty)} holds no images", f"files {kinds}")
    bounds: tuple[float | None, float | None] = (None, None)
    parts: Mapping[str, Rows]
    if source.field == "label":
        parts = _labels(source, folder, folders, files)
    else:
        pictures = {split: [_picture(source, folder, path) for path in found] for split, found in files.items()}
        pixels = Pixels([p for found in pictures.values() for p in found], declared.elements, source.span)
        parts = {split: ArrayRows(pixels.read(found), _origin(source, found)) for split, found in pictures.items()}
        bounds = pixels.bounds
    divided = "train" if "train" in folders else "all"
    return Opened(parts, *bounds, sorted=any(path.parent != folders[divided] for path in files[divided]))


def _split_folders(source: DataSource, folder: Path) -> dict[str, Path]:
    """The subfolders for training, validation and test; else {"all": the folder that the classes lie in}.

    One subfolder of a split's name is a class among other classes; alone it holds all rows, as a data set of
    Hugging Face does that has a single split.
    """
    below = _folders(folder)
    given = _named_splits(source, folder, below)
    alone = len(given) == len(below) == 1
    if len(given) < 2 and not alone:
        for path in below:
            _verify_no_splits(source, folder, path)
        return {"all": folder}
    names = " and ".join(path.name for path in given.values())
    if len(given) < len(below):
        other = next(path.name for path in below if path not in given.values())
        help_ = "folders are either splits (train, validation or val, test) or classes"
        raise _failed(source, f"{source.dataset} has the folder {other} beside {names}", help_)
    lost = next((path for path in folder.iterdir() if _is_image(path)), None)
    if lost is not None:
        headline = f"{_name(source, folder, lost)} lies beside {names}, in none of the splits"
        raise _failed(source, headline, "put it into one of them, or leave it out")
    if alone:
        return {"all": below[0]}
    if "train" not in given:
        headline = f"{source.dataset} has {names}, and no folder for training"
        raise _failed(source, headline, "call it `train`")
    return {split: given[split] for split in SPLITS if split in given}


def _named_splits(source: DataSource, folder: Path, below: Sequence[Path]) -> dict[str, Path]:
    """Those of some folders whose names are those of splits."""
    given: dict[str, Path] = {}
    for path in below:
        split = SPLIT_NAMES.get(path.name.lower())
        if split in given:
            name = _name(source, folder, folder)
            headline = f"{name} has two folders for {split}: {given[split].name} and {path.name}"
            raise _failed(source, headline, "put their images into one of them")
        if split is not None:
            given[split] = path
    return given


def _verify_no_splits(source: DataSource, folder: Path, path: Path) -> None:
    """Raises a SpecError where a folder that would be a class has splits in it."""
    names = [p.name for p in _folders(path) if p.name.lower() in SPLIT_NAMES]
    if len(names) > 1:
        headline = (
            f"{_name(source, folder, path)} has the folders {' and '.join(names)}, which are splits and no classes"
        )
        only = f'name the folder that they lie in, "{_name(source, folder, path)}"'
        raise _failed(source, headline, f"{only}; of several, splits come first and classes are in each of them")


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _failed(source: DataSource, headline: str, help_: str) -> SpecError:
    return SpecError([Diagnostic("E517", headline, source.span, help=help_)])


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")


def _images(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if _is_image(path))
    shown = (path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return sorted(shown, key=lambda path: path.parts)


def _name(source: DataSource, folder: Path, path: Path) -> str:
    """What a file or folder within the source's folder is called in messages."""
    return f"{source.dataset.rstrip('/')}/{path.relative_to(folder).as_posix()}".removesuffix("/.")


def _picture(source: DataSource, folder: Path, path: Path) -> Picture:
    return Picture(_name(source, folder, path), lambda: path)


def _origin(source: DataSource, pictures: Sequence[Picture]) -> ImageOrigin:
    names = tuple(picture.name for picture in pictures)
    return ImageOrigin(source.dataset, counted="pixels are counted from 0", files=names)


def _labels(
    source: DataSource, folder: Path, folders: Mapping[str, Path], files: Mapping[str, Sequence[Path]]
) -> dict[str, Rows]:
    names: dict[str, list[str]] = {}
    for split, found in files.items():
        for path in found:
            below = path.relative_to(folders[split]).parts
            if len(below) == 1:
                headline = f"{_name(source, folder, path)} lies in no subfolder, which would be its label"
                help_ = f'one subfolder for each class: "{source.dataset}/cat", "{source.dataset}/dog"'
                raise _failed(source, headline, help_)
            names.setdefault(split, []).append(below[0])
    classes = tuple(sorted({name for found in names.values() for name in found}))
    numbers = {name: float(number) for number, name in enumerate(classes)}
    return {
        split: ArrayRows(
            np.array([numbers[name] for name in found]),
            ImageOrigin(
                f"{source.dataset}.label",
                classes=classes,
                files=tuple(_name(source, folder, path) for path in files[split]),
            ),
        )
        for split, found in names.items()
    }
