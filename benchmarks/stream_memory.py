"""Memory of what reads a file that is larger than it: a fit of an epoch to 4 GB, and commands over as many rows.

    python benchmarks/stream_memory.py --gb 4 --format npy
    python benchmarks/stream_memory.py --gb 4 --format parquet
    python benchmarks/stream_memory.py --gb 1 --format csv --command score
    python benchmarks/stream_memory.py --gb 0.05 --format csv --command predict --draws 1000

Writes a file of random numbers, 784 a row, into a temporary folder, and fits a linear model to it in a process of its
own, or says what a fit would see of it; or fits the model to a few rows and applies the run to the file. `predict` is
of a class that the file lacks. Prints the most memory that this process held (resident, mapped pages among it), and the
seconds that it took.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
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
CLASS = """\
observed y : binary from "y.npy"
p(y | z) = Bernoulli(linear(z))
"""
RUN = """\
import resource, sys
from dgmppl import cli
code = 0
try:
    code = cli.main(sys.argv[1:])
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


def write_csv(path: Path, blocks: int) -> None:
    generator = np.random.default_rng(0)
    with path.open("w") as file:
        file.write(",".join(f"c{k}" for k in range(COLUMNS)) + "\n")
        for _ in range(max(1, blocks // 2)):  # a number takes eight letters
            np.savetxt(file, generator.standard_normal((BLOCK, COLUMNS)), "%.4f", ",")


def write_packed(path: Path, blocks: int) -> None:
    plain = path.with_suffix("")
    write_csv(plain, blocks)
    with plain.open("rb") as text, gzip.open(path, "wb", compresslevel=1) as packed:
        shutil.copyfileobj(text, packed)
    plain.unlink()


FORMATS = {
    "npy": (write_npy, '"x.npy"'),
    "parquet": (write_parquet, '"x.parquet".x'),
    "csv": (write_csv, '"x.csv"'),
    "csv.gz": (write_packed, '"x.csv.gz"'),
}
OF_DATA = ("train", "data")
OF_RUN = ("score", "encode", "evaluate", "predict")


def measure(format: str, gb: float, command: str, draws: int) -> None:
    write, field = FORMATS[format]
    blocks = round(gb * 1e9 / (4 * COLUMNS * BLOCK))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, run = folder / f"x.{format}", folder / "run"
        spec = folder / "streamed.dgm"
        spec.write_text(SPEC.format(field=field) + (CLASS if command == "predict" else ""), encoding="utf-8")
        write(path, blocks if command in OF_DATA else 1)
        arguments = ["train", str(spec), "--out", str(run), "--device", "cpu"]
        if command == "data":
            arguments = ["data", str(spec)]
        elif command in OF_RUN:
            np.save(folder / "y.npy", np.arange(BLOCK, dtype=np.float32) % 2)
            subprocess.run([sys.executable, "-c", RUN, *arguments], stdout=subprocess.DEVNULL, check=True)
            path = folder / f"large.{format}"
            write(path, blocks)
            arguments = [command, str(run), "--data", str(path)]
            arguments += [] if command == "evaluate" else ["-o", str(folder / "out.parquet")]
            arguments += ["--draws", str(draws)] if command == "predict" else []
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", RUN, *arguments], stdout=subprocess.PIPE, text=True, check=True)
        seconds = round(time.perf_counter() - start)
        peak_gb = round(int(done.stdout.rsplit("peak", 1)[1]) / 1e9, 2)
        size = round(path.stat().st_size / 1e9, 2)
        found = {"command": command, "file": path.name, "gb": size, "peak_gb": peak_gb, "seconds": seconds}
        print(json.dumps(found | ({"draws": draws} if command == "predict" else {})))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gb", type=float, default=4.0)
    parser.add_argument("--format", choices=FORMATS, default="npy")
    parser.add_argument("--command", choices=OF_DATA + OF_RUN, default="train")
    parser.add_argument("--draws", type=int, default=10)
    arguments = parser.parse_args()
    measure(arguments.format, arguments.gb, arguments.command, arguments.draws)


if __name__ == "__main__":
    main()
