"""Bytes that runs take for their test rows, beside common formats, and seconds to code images of 28 x 28 pixels.

    python benchmarks/coding_time.py [RUN ...]

Of each run the test rows are compressed, and held against zlib, lzma, and a picture of all rows side by side as PNG and
as lossless WebP. Then 64 images are coded by networks that were not trained, of which each position reads the past: a
coder that recomputes it takes one pass of the networks over the whole image for each of its 784 pixels, which is timed
for a few and multiplied. Both sides run in one process on one thread, in double precision.
"""

from __future__ import annotations

import argparse
import io
import json
import lzma
import time
import zlib
from pathlib import Path
from statistics import median

import numpy as np
import torch
from chosen import only
from PIL import Image
from sample_time import MODELS, PIXELS, SAMPLES, SIDE

import dgmppl
from dgmppl import pipeline
from dgmppl.apply.fitted import FittedRun
from dgmppl.coding.coder import Coder
from dgmppl.coding.program import program_of
from dgmppl.coding.stack import Stack
from dgmppl.runtime import GenerativeModel
from dgmppl.train.contents import parts

TARGET = 10.0


def beside(rows: np.ndarray) -> dict[str, int]:
    """Bytes of rows ``(n, H, W)`` of whole numbers from 0 to 255 in common formats."""
    flat = rows.astype(np.uint8).tobytes()
    n, height, width = rows.shape
    across = int(np.ceil(np.sqrt(n)))
    padded = np.zeros((across * -(-n // across), height, width), np.uint8)
    padded[:n] = rows
    tiled = padded.reshape(-1, across, height, width).swapaxes(1, 2).reshape(-1, across * width)

    def picture(form: str, **options: object) -> int:
        best = []
        for pixels in (tiled, rows.astype(np.uint8).reshape(n, -1)):  # images side by side, or a row of pixels each
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, form, **options)
            best.append(len(file.getvalue()))
        return min(best)

    return {
        "values": len(flat),
        "zlib": len(zlib.compress(flat, 9)),
        "lzma": min(len(lzma.compress(flat, f, preset=9 | lzma.PRESET_EXTREME)) for f in (1, 2)),
        "png": picture("PNG", optimize=True),
        "webp": picture("WEBP", lossless=True, quality=100, method=6),
    }


def sizes(run: FittedRun) -> dict[str, float]:
    """Bytes of the test rows, and seconds to compress them, which decodes them again, and to decompress them."""
    start = time.perf_counter()
    found = run.compress()
    file = bytes(found)
    coded = time.perf_counter() - start
    start = time.perf_counter()
    (rows,) = run.decompress(file).arrays.values()
    decoded = time.perf_counter() - start
    shape = rows.shape if rows.ndim == 3 else (len(rows), 1, int(np.prod(rows.shape[1:])))
    return {
        "rows": found.rows,
        "bytes": len(file),
        "ideal": round(found.bits / 8),
        "initial": found.initial // 8,
        **beside(rows.reshape(shape)),
        "compress_seconds": round(coded, 2),
        "decompress_seconds": round(decoded, 2),
    }


def recomputed(model: GenerativeModel) -> float:
    """Seconds that one pixel takes where the past is computed anew, times the number of pixels."""
    law = model.p_x()
    x = torch.zeros(SAMPLES, *law.event_shape)
    seconds = []
    with torch.no_grad():
        for _ in range(PIXELS + 1):
            start = time.perf_counter()
            law.step(x)
            seconds.append(time.perf_counter() - start)
    return median(seconds[1:]) * SIDE**2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*", metavar="RUN")
    parser.add_argument("--only", type=only(MODELS), default=list(MODELS), help="names of models, separated by commas")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for path in options.runs:
        print(json.dumps({"run": path.name, **sizes(dgmppl.load(path))}), flush=True)
    torch.set_default_dtype(torch.float64)
    worst = float("inf")
    for name, text in MODELS.items():
        if name not in options.only:
            continue
        checked = pipeline.read(f"model drawn\n{text}\n")
        model = pipeline.build(checked).double().eval()
        coder = Coder(program_of(*parts(checked)), model)
        with torch.no_grad():
            stack = Stack(np.array([], np.uint32), sealed=False)
            rows = {"x": torch.randint(17, (SAMPLES, *model.p_x().event_shape)).double()}
            start = time.perf_counter()
            coder.encode(rows, stack)
            encoded = time.perf_counter() - start
            start = time.perf_counter()
            found = coder.decode(SAMPLES, stack)
            decoded = time.perf_counter() - start
        assert torch.equal(found["x"], rows["x"])
        again = recomputed(model)
        worst = min(worst, again / decoded)
        seconds = {"encoded": round(encoded, 2), "decoded": round(decoded, 2), "recomputed": round(again, 1)}
        print(json.dumps({"model": name, **seconds, "ratio": round(again / decoded, 1)}), flush=True)
    print(json.dumps({"worst_ratio": round(worst, 1), "target": TARGET, "reached": worst >= TARGET}))


if __name__ == "__main__":
    main()
