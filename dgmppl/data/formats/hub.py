"""Data sets of libraries: Hugging Face `datasets` and torchvision, each an optional part of this package.

The libraries download and cache; no code that comes with a data set is run.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from dgmppl.catalogue.formats import FORMATS
from dgmppl.data.formats.columns import (
    choose_columns,
    classes_of_all,
    column_values,
    is_text,
    row_shape,
    text_codes,
    texts_of,
)
from dgmppl.data.formats.pixels import Picture, Pixels
from dgmppl.data.forms import form_of_dtype, form_of_types
from dgmppl.data.rows import ArrayRows, Origin, Rows, Values
from dgmppl.data.split import SPLIT_NAMES, Opened
from dgmppl.diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    from dgmppl.graph.nodes import DataSource
    from dgmppl.supports import Type


def open_huggingface(source: DataSource, base: Path, declared: Type) -> Opened:
    """Columns of `hf:NAME`, `hf:NAME:CONFIGURATION`, or of a folder that `save_to_disk` wrote, `hf:./folder`."""
    datasets = _library("datasets", "huggingface", source)
    datasets.disable_progress_bars()
    name = source.dataset.removeprefix("hf:")
    try:
        if name.startswith((".", "/")):
            found = datasets.load_from_disk(str(base / name))
        else:
            # Older versions ask whether to run a data set's own script, unless they are told not to.
            asks = "trust_remote_code" in inspect.signature(datasets.load_dataset).parameters
            trust = {"trust_remote_code": False} if asks else {}
            found = datasets.load_dataset(*name.split(":", 1), **trust)
    except Exception as error:  # what the libraries below raise has no common class
        raise SpecError([_not_had(source, error)]) from None
    parts = dict(found) if isinstance(found, dict) else {"all": found}
    given: dict[str, Any] = {}
    for name, part in parts.items():
        split = SPLIT_NAMES.get(name.lower(), "")
        if split in given:
            raise ValueError(f"it has two splits for {split}: {', '.join(parts)}")
        if split:
            given[split] = part
    if "train" not in given or len(given) < 2:
        if len(parts) > 1:
            headline = f"{source.dataset} has the splits {', '.join(parts)}"
            raise SpecError([Diagnostic("E520", headline, source.span, "expected train, with validation or test")])
        given = {"all": next(iter(parts.values()))}
    if source.field and _is_image(next(iter(given.values())), source):
        return _open_pictures(source, given, declared)
    classes = _classes(source, given)
    rows = {split: _huggingface_rows(part, source, classes) for split, part in given.items()}
    # Images of bytes: 8 bits a pixel and channel.
    bytes_ = all(isinstance(r, ArrayRows) and r.array.dtype == np.uint8 and len(r.shape) > 1 for r in rows.values())
    return Opened(rows, *((0.0, 255.0) if bytes_ else (None, None)))


def _classes(source: DataSource, parts: Mapping[str, Any]) -> tuple[str, ...]:
    """The different texts of the columns in all splits, if they hold text."""
    found: dict[str, set[str] | None] = {}
    for part in parts.values():
        asked = choose_columns(source, part.column_names)
        schema = part.features.arrow_schema
        texts = [name for name in asked if is_text(schema.field(name).type)]
        table = part.select_columns(texts).with_format("arrow")[:] if texts else None
        for name in asked:
            some = texts_of(table.column(name)) if name in texts and table is not None else None
            found[name] = None if some is None else {*(found.get(name) or ()), *some}
    return classes_of_all(source, found)


def _huggingface_rows(part: Any, source: DataSource, classes: tuple[str, ...]) -> Rows:
    asked = choose_columns(source, part.column_names)
    schema = part.features.arrow_schema
    single = bool(source.field)
    table = part.select_columns(list(asked)).with_format("arrow")[:]
    columns: list[Values] = []
    for name in asked:
        column = table.column(name)
        if is_text(schema.field(name).type):
            columns.append(text_codes(column, classes))
        else:
            columns.append(column_values(column, row_shape(column), name))
        if not single and columns[-1].ndim > 1:
            raise ValueError(f"column `{name}` holds vectors: one column follows a dot")
    form = form_of_types(table.column(name).type for name in asked)
    origin = Origin(source.dataset, 0, "rows are counted from 0", asked, classes, "missing", form=form)
    return ArrayRows(columns[0] if single else np.stack(columns, axis=1), origin)


def _is_image(part: Any, source: DataSource) -> bool:
    choose_columns(source, part.column_names)
    return type(part.features[source.field]).__name__ == "Image"


def _open_pictures(source: DataSource, parts: Mapping[str, Any], declared: Type) -> Opened:
    """A column of images, which are decoded as those of a folder are."""
    pictures = {split: _pictures(part, source, split) for split, part in parts.items()}
    every = [picture for found in pictures.values() for picture in found]
    if not every:
        raise ValueError("it has no rows")
    pixels = Pixels(every, declared.elements, source.span)
    origin = Origin(source.dataset, 0, "rows are counted from 0")
    return Opened({split: ArrayRows(pixels.read(found), origin) for split, found in pictures.items()}, *pixels.bounds)


def _pictures(part: Any, source: DataSource, split: str) -> list[Picture]:
    import datasets

    column = part.select_columns([source.field]).cast_column(source.field, datasets.Image(decode=False))
    of = f"{source.dataset}" if split == "all" else f"{split} of {source.dataset}"

    def file(row: int) -> Callable[[], Path | bytes]:
        def stored() -> Path | bytes:
            found = column[row][source.field]
            if found is None:
                raise ValueError("it is missing")
            content: bytes | None = found["bytes"]
            return content if content is not None else Path(found["path"])

        return stored

    return [Picture(f"row {row} of {of}", file(row)) for row in range(len(column))]


def open_torchvision(source: DataSource, base: Path, declared: Type) -> Opened:
    """Images or labels of `torchvision:NAME`; validation rows come from the end of train."""
    sets = _library("torchvision.datasets", "torchvision", source)
    name = source.dataset.removeprefix("torchvision:")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dgmppl" / "torchvision"
    parts: dict[str, Rows] = {}
    for split, train in (("train", True), ("test", False)):
        try:
            found = getattr(sets, name)(root=str(cache), train=train, download=True)
        except Exception as error:  # network, disk and archives fail in many ways
            raise SpecError([_not_had(source, error)]) from None
        values = np.asarray(found.data if source.field == "image" else found.targets)
        parts[split] = ArrayRows(values, Origin(f"{source.dataset}, {split}", form=form_of_dtype(values.dtype)))
    bounds = (0.0, 255.0) if source.field == "image" else (None, None)
    return Opened(parts, *bounds)


def _library(name: str, extra: str, source: DataSource) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        library = name.partition(".")[0]
        missing = (error.name or name).partition(".")[0]
        absent = "which" if missing == library else f"and `{missing}`"
        headline = f"{source.dataset} needs the library `{library}`, {absent} is not installed"
        help_ = f"install the extra: pip install 'dgmppl[{FORMATS[extra].extra}]'"
        raise SpecError([Diagnostic("E515", headline, source.span, "a library is missing", help=help_)]) from None


def _not_had(source: DataSource, error: Exception) -> Diagnostic:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return Diagnostic("E520", f"cannot load {source.dataset}: {reason}", source.span, type(error).__name__)
