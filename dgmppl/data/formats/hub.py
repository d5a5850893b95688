"""Data sets of libraries: Hugging Face `datasets` and torchvision, each an optional part of this package.

The libraries download and cache; no code that comes with a data set is run.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from dgmppl.catalogue.formats import FORMATS
from dgmppl.data.formats.columns import (
    choose_columns,
    column_values,
    fail_text,
    is_text,
    row_shape,
    text_codes,
    verify_classes_few,
)
from dgmppl.data.rows import ArrayRows, Origin, Rows, Values
from dgmppl.data.split import Opened
from dgmppl.diagnostics import Diagnostic, SpecError

if TYPE_CHECKING:
    from dgmppl.graph.nodes import DataSource
    from dgmppl.supports import Type

# What splits are called there.
_SPLITS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "test": "test"}


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
    given = {_SPLITS[split]: part for split, part in parts.items() if split in _SPLITS}
    if "train" not in given or len(given) < 2:
        if len(parts) > 1:
            headline = f"{source.dataset} has the splits {', '.join(parts)}"
            raise SpecError([Diagnostic("E520", headline, source.span, "expected train, with validation or test")])
        given = {"all": next(iter(parts.values()))}
    classes = _classes(source, given)
    rows = {split: _huggingface_rows(part, source, classes) for split, part in given.items()}
    # Images of bytes: 8 bits a pixel and channel.
    bytes_ = all(isinstance(r, ArrayRows) and r.array.dtype == np.uint8 and len(r.shape) > 1 for r in rows.values())
    return Opened(rows, *((0.0, 255.0) if bytes_ else (None, None)))


def _classes(source: DataSource, parts: Mapping[str, Any]) -> tuple[str, ...]:
    """The different texts of a column in all splits, if it holds text."""
    import pyarrow.compute as pc

    texts: set[str] = set()
    for part in parts.values():
        choose_columns(source, part.column_names)
        if source.field and is_text(part.features.arrow_schema.field(source.field).type):
            column = part.with_format("arrow")[:].column(source.field)
            texts.update(text for text in pc.unique(column).to_pylist() if text is not None)
    return verify_classes_few(source, source.field, list(texts))


def _huggingface_rows(part: Any, source: DataSource, classes: tuple[str, ...]) -> Rows:
    asked = choose_columns(source, part.column_names)
    schema = part.features.arrow_schema
    single = bool(source.field)
    table = part.select_columns(list(asked)).with_format("arrow")[:]
    columns: list[Values] = []
    for name in asked:
        column = table.column(name)
        if type(part.features[name]).__name__ == "Image":
            columns.append(_pictures(part, name, source))
        elif is_text(schema.field(name).type):
            if not single:
                fail_text(source, name)
            columns.append(text_codes(column, classes))
        else:
            columns.append(column_values(column, row_shape(column), name))
        if not single and columns[-1].ndim > 1:
            raise ValueError(f"column `{name}` holds vectors: one column follows a dot")
    origin = Origin(source.dataset, 0, "rows are counted from 0", asked, classes, "missing")
    return ArrayRows(columns[0] if single else np.stack(columns, axis=1), origin)


def _pictures(part: Any, name: str, source: DataSource) -> Values:
    """Images as they are decoded: grey, else in colour."""
    pixels: list[Values] = []
    for number, row in enumerate(part.select_columns([name])):
        image = row[name]
        pixels.append(np.asarray(image if image.mode in ("L", "I", "F", "I;16") else image.convert("RGB")))
        if pixels[-1].shape != pixels[0].shape:
            headline = f"row {number} of {source.dataset} has another size than row 0"
            help_ = f"{list(pixels[-1].shape)} and {list(pixels[0].shape)}"
            raise SpecError([Diagnostic("E517", headline, source.span, "all images have the same size", help=help_)])
    return np.stack(pixels)


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
        parts[split] = ArrayRows(values, Origin(f"{source.dataset}, {split}"))
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
