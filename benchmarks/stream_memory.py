"""Memory of a fit whose data is larger than it: a file of 4 GB, trained on for an epoch.

    python benchmarks/stream_memory.py --gb 4 --format npy
    python benchmarks/stream_memory.py --gb 4 --format parquet

Writes a file of random numbers, 784 a row, into a temporary folder, fits a linear model to it in a process of its own,
and prints the most memory that this process held (resident, mapped pages among it), and the seconds that it took.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

COLUMNS, BLOCK = 784, 2600  # rows of a block: 8 MB
SPEC = """\
model streamed
observed x : real[784] from {field}
latent   z : real[4]
p(z)     = Normal(0, 1)
p(x | z) = Normal(linear(z), 1)
q(z | x) = Normal(linear(x))
train {{ epochs = 1, batch = 1000, optimizer = adam(1e-3) }}
"""
RUN = """\
import resource, sys
from dgmppl import cli
code = 0
try:
    cli.main(["train", sys.argv[1], "--out", sys.argv[2], "--device", "cpu"])
except SystemExit as exit:
    code = exit.code
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
raise SystemExit(code)
"""


def write_npy(path: Path, blocks: int) -> None:
    generator = np.random.default_rng(0)
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (blocks * BLOCK, COLUMNS)}
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(blocks):
            generator.standard_normal((BLOCK, COLUMNS), dtype=np.float32).tofile(file)


def write_parquet(path: Path, blocks: int) -> None:
    generator = np.random.default_rng(0)
    schema = pa.schema({"x": pa.list_(pa.float32(), COLUMNS)})
    with parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for _ in range(blocks):
            values = pa.array(generator.standard_normal(BLOCK * COLUMNS, dtype=np.float32))
            column = pa.FixedSizeListArray.from_arrays(values, COLUMNS)
            writer.write_table(pa.table([column], schema), row_group_size=BLOCK)


FORMATS = {"npy": (write_npy, '"x.npy"'), "parquet": (write_parquet, '"x.parquet".x')}


def measure(format: str, gb: float) -> None:
    write, field = FORMATS[format]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / f"x.{format}"
        write(path, round(gb * 1e9 / (4 * COLUMNS * BLOCK)))
        spec = folder / "streamed.dgm"
        spec.write_text(SPEC.format(field=field), encoding="utf-8")
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(spec), str(folder / "run")], stdout=subprocess.PIPE, text=True, check=True
        )
        peak = int(done.stdout.rsplit("peak", 1)[1])
        seconds = round(time.perf_counter() - start)
        size = round(path.stat().st_size / 1e9, 2)
        print(json.dumps({"file": path.name, "gb": size, "peak_gb": round(peak / 1e9, 2), "seconds": seconds}))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gb", type=float, default=4.0)
    parser.add_argument("--format", choices=FORMATS, default="npy")
    arguments = parser.parse_args()
    measure(arguments.format, arguments.gb)


if __name__ == "__main__":
    main()
