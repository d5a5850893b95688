"""Memory that training on a file of 4 GB takes, and the seconds of its parts.

    python benchmarks/memory.py                   an .npy file
    python benchmarks/memory.py --parquet         a .parquet file, a column of lists, row groups of 8 MB

The file is written in full, of random numbers: a million rows of 1024 (`--gigabytes` makes it smaller). A process of
its own, `dgmppl train`, fits a small VAE to it for one epoch: every value is checked at load, 60 % of the rows are
trained on, and all rows are measured in the end. Every 20 ms its memory is looked at:

    peak_mb         resident memory, with all that torch and its libraries map; what ru_maxrss says
    own_mb          the part of it that is no mapped file
    import_mb       resident memory of a process that has imported torch and dgmppl, for comparison
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

COLUMNS = 1024
BLOCK = 2048  # rows that are written at once, 8 MB
TARGET_MB = 1000

SPEC = """\
model large

observed x : real[1024] from {source}
latent   z : real[8]

p(z)     = Normal(0, 1)
p(x | z) = Normal(mlp[32](z), 1)
q(z | x) = Normal(mlp[32](x))

train {{ epochs = 1, batch = 512, optimizer = adam(1e-3) }}
"""


def blocks(rows: int) -> list[np.ndarray]:
    """Random numbers, 256 MB of them again and again."""
    generator = np.random.default_rng(0)
    some = [generator.standard_normal((BLOCK, COLUMNS), dtype=np.float32) for _ in range(32)]
    return [some[k % len(some)][: rows - k * BLOCK] for k in range(-(-rows // BLOCK))]


def write_npy(path: Path, rows: int) -> None:
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows, COLUMNS)}
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks(rows):
            block.tofile(file)


def write_parquet(path: Path, rows: int) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    kind = pa.list_(pa.float32(), COLUMNS)
    with parquet.ParquetWriter(path, pa.schema([("x", kind)]), compression="none", use_dictionary=False) as writer:
        for block in blocks(rows):
            column = pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), COLUMNS)
            writer.write_table(pa.table([column], names=["x"]), row_group_size=BLOCK)


def watch(command: list[str]) -> dict[str, float]:
    """Runs a command; its peak memory in MB, and its seconds."""
    peak = own = 0
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                found = watched.memory_info()
            except psutil.Error:
                break
            peak = max(peak, found.rss)
            own = max(own, found.rss - found.shared)
            time.sleep(0.02)
        said = process.communicate()[0]
    if process.returncode:
        raise SystemExit(said)
    return {
        "peak_mb": round(peak / 1e6),
        "own_mb": round(own / 1e6),
        "seconds": round(time.perf_counter() - start, 1),
    }


def measure(folder: Path, rows: int, parquet: bool) -> dict[str, object]:
    path = folder / ("x.parquet" if parquet else "x.npy")
    (write_parquet if parquet else write_npy)(path, rows)
    spec = folder / "large.dgm"
    spec.write_text(SPEC.format(source=f'"{path.name}".x' if parquet else f'"{path.name}"'), encoding="utf-8")
    found = watch(
        [sys.executable, "-m", "dgmppl.cli", "train", str(spec), "--out", str(folder / "run"), "--device", "cpu"]
    )
    record = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))
    imported = watch([sys.executable, "-c", "import time, torch, dgmppl.lifecycle; time.sleep(0.5)"])
    return {
        "file": path.name,
        "file_mb": round(path.stat().st_size / 1e6),
        "streamed": record["data"]["split"]["streamed"],
        **found,
        "fit_seconds": record["seconds"],
        "import_mb": imported["peak_mb"],
        "target_mb": TARGET_MB,
        "reached": found["peak_mb"] < TARGET_MB,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parquet", action="store_true")
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument(
        "--folder", type=Path, help="where the file is written for the while; default: the temporary folder"
    )
    arguments = parser.parse_args()
    rows = int(arguments.gigabytes * 1e9 / COLUMNS / 4)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        free = shutil.disk_usage(folder).free
        if free < 1.25e9 * arguments.gigabytes:
            raise SystemExit(f"there are {free / 1e9:.1f} GB free in {folder}: name another place with --folder")
        print(json.dumps(measure(Path(folder), rows, arguments.parquet)))


if __name__ == "__main__":
    main()
