"""Tables as Arrow keeps them in a file, the second version of Feather."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dgmppl.data.split import Opened

if TYPE_CHECKING:
    from dgmppl.graph.nodes import DataSource
    from dgmppl.supports import Type


def open_feather(source: DataSource, base: Path, declared: Type) -> Opened:
    """A column of a table, or several as a vector; a column of lists is a vector too."""
    import pyarrow as pa
    from pyarrow import feather

    from dgmppl.data.formats.columns import choose_columns
    from dgmppl.data.formats.tables import open_table

    path = base / source.dataset
    with path.open("rb") as file:
        start = file.read(6)
    if start != b"ARROW1":
        raise ValueError("it is no Feather file of the second version")
    try:
        with pa.memory_map(str(path)) as mapped:
            names = pa.ipc.open_file(mapped).schema.names
        asked = choose_columns(source, names)
        return open_table(feather.read_table(path, columns=list(asked), use_threads=False), source)
    except pa.ArrowInvalid as error:
        raise ValueError(f"it is cut off or damaged ({str(error).splitlines()[0][:80]})") from None
