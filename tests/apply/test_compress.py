"""Compressed rows come back bit for bit, take what their probabilities say, and what is no such file is refused."""

from __future__ import annotations

import io
import lzma
import math
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from PIL import Image

import dgmppl
from dgmppl.apply import compress as module
from dgmppl.apply.fitted import FittedRun
from dgmppl.cli import main
from dgmppl.diagnostics import SpecError
from tests.apply.runs import PEOPLE, fit, people

DATA = "observed x : integer(0..16)[64] from digits.image\n"
VAE = "p(z) = Normal(0, 1)\np(x | z) = Categorical(mlp[48](z))\nq(z | x) = Normal(mlp[48](x))\n"
FLOW = """\
latent k : categorical(8)
latent u : integer(0..16)[64]
flow f = 2 * (coupling[shift = mlp[16, out = tanh], rezero = true] >> reverse)
p(k) = Categorical(param)
p(u | k) = DiscretizedLogistic(mlp[64](k))
x = f(u)
"""
LEVELS = """\
latent z : real[4]
latent w : real[3]
p(w) = Normal(0, 1)
p(z | w) = Normal(mlp[16](w))
p(x | z) = Categorical(mlp[48](z))
q(z | x) = Normal(mlp[48](x))
q(w | z) = Normal(mlp[16](z))
"""
FLOWS = """\
latent z : real[3]
p(z) = Normal(0, 1) >> 2 * (coupling[mlp[16]] >> reverse)
p(x | z) = Categorical(mlp[48](z))
q(z | x) = Normal(mlp[48](x)) >> 2 * (coupling[mlp[16]] >> reverse)
"""
VECTORS = """\
latent s : simplex[4]
latent z : sphere[4]
p(s) = Dirichlet(0.5)
p(z | s) = VonMisesFisher(linear(s), 3)
p(x | z, s) = Categorical(mlp[48](z, s))
q(s | x) = Dirichlet(mlp[48](x))
q(z | x, s) = VonMisesFisher(mlp[48](x, s))
"""
TURNS = """\
model turns
observed x[t in 1..8] : integer(0..16)[8] from digits.image
latent   z[t in 1..8] : real[2]
let h[t in 1..8] : real[16] = gru_cell(x[t-1], z[t-1], h[t-1])
p(z[t] | z[<t], x[<t])       = Normal(mlp[16](h[t]))
p(x[t] | z[t], z[<t], x[<t]) = Categorical(mlp[32](z[t], h[t]))
q(z[t] | z[<t], x)           = Normal(mlp[16](x[t], h[t]))
"""
MODELS = {
    "causal": "p(x[d] | x[<d]) = Categorical(causal[16, kernel = 5](x[<d]))\n",
    "flow": FLOW,
    "mixture": "p(x) = mixture[4](Categorical(param))\n",
    "vae": "latent z : real[6]\n" + VAE,
    "levels": LEVELS,
    "flows": FLOWS,
    "vectors": VECTORS,
    "turns": TURNS,
}
TRAIN = "train { epochs = 15, batch = 64, optimizer = adam(5e-3) }\n"


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FittedRun]:
    folder = tmp_path_factory.mktemp("digits")
    specs = {n: text if text.startswith("model") else f"model {n}\n{DATA}{text}" for n, text in MODELS.items()}
    return {name: fit(folder, spec + TRAIN, name) for name, spec in specs.items()}


SHOPS = """\
model shops
observed shop : categorical(12) from "sales.csv".shop
observed n    : natural from "sales.csv".sold
latent mu   : real per data
latent a    : real per shop
latent kind : categorical(2) per shop
param rate : real[2]
p(mu)          = Normal(0, 1)
p(a | mu)      = Normal(mu, 1)
p(kind)        = Categorical(param)
p(n | a, kind) = Poisson(exp(a + rate[kind]))
train { epochs = 15, batch = 64, optimizer = adam(5e-2), clip = 1 }
"""


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> FittedRun:
    folder = tmp_path_factory.mktemp("sales")
    sales(500).to_csv(folder / "sales.csv", index=False)
    return fit(folder, SHOPS, "shops")


def sales(rows: int, seed: int = 0) -> pd.DataFrame:
    """What twelve shops sold, each at a rate of its own."""
    rng = np.random.default_rng(seed)
    shop = np.concatenate([np.arange(12), rng.integers(0, 12, rows - 12)])
    names = np.array([f"shop {k}" for k in range(12)])
    return pd.DataFrame({"shop": names[shop], "sold": rng.poisson(np.exp(shop / 5))})


@pytest.fixture(scope="module")
def compressed(runs: dict[str, FittedRun]) -> dict[str, tuple[module.Compressed, bytes]]:
    """The files of the test rows, which this thread makes alone."""
    found = {name: run.compress() for name, run in runs.items()}
    return {name: (file, bytes(file)) for name, file in found.items()}


def rows_of(run: FittedRun) -> np.ndarray:
    return next(run.rows().chunks(1000))["x"].numpy().reshape(-1, 64)


def bytes_by_the_model(run: FittedRun) -> float:
    """-log2 p of the test rows, or minus their bound over many draws, as the module itself computes it."""
    x = next(run.rows().chunks(1000))["x"]
    with torch.no_grad(), run.model.unchecked():
        figures = [run.model.figures(x)[run.model.criterion].sum().item() for _ in range(20)]
    return -float(np.mean(figures)) / math.log(2) / 8


@pytest.mark.parametrize("name", MODELS)
def test_rows_come_back_and_take_what_their_probabilities_say(
    runs: dict[str, FittedRun], compressed: dict[str, tuple[module.Compressed, bytes]], name: str
) -> None:
    run, (found, file) = runs[name], compressed[name]
    assert len(file) == found.size
    again = run.decompress(file)
    assert again["x"].dtype == np.int64
    assert np.array_equal(again["x"].reshape(447, 64), rows_of(run))
    wanted = bytes_by_the_model(run)
    assert len(file) - found.initial / 8 <= 1.01 * wanted + 64
    assert found.bits / 8 == pytest.approx(wanted, rel=1e-4 if run.model.criterion == "log_prob" else 0.01)
    assert found.initial <= 32 * 16
    assert bool(found.initial) == (name in ("flow", "vae", "levels", "flows", "vectors", "turns"))


def test_it_is_less_than_common_formats_take(
    runs: dict[str, FittedRun], compressed: dict[str, tuple[module.Compressed, bytes]]
) -> None:
    rows = rows_of(runs["flow"]).astype(np.uint8)
    tiled = np.concatenate([rows, np.zeros((37, 64), np.uint8)]).reshape(22, 22, 8, 8).swapaxes(1, 2).reshape(176, 176)
    others = [len(zlib.compress(rows.tobytes(), 9)), len(lzma.compress(rows.tobytes(), preset=9))]
    for form, options in (("PNG", {"optimize": True}), ("WEBP", {"lossless": True, "quality": 100, "method": 6})):
        for pixels in (rows, tiled):
            Image.fromarray(pixels).save(picture := io.BytesIO(), form, **options)
            others.append(len(picture.getvalue()))
    assert len(compressed["flow"][1]) < 0.9 * min(others)


def test_processes_and_threads_agree(
    runs: dict[str, FittedRun],
    shops: FittedRun,
    compressed: dict[str, tuple[module.Compressed, bytes]],
    tmp_path: Path,
) -> None:
    files = {runs[name].path: file for name, (_, file) in compressed.items()} | {shops.path: bytes(shops.compress())}
    script = (
        "import sys, torch, dgmppl\n"
        "from pathlib import Path\n"
        "for run in sys.argv[2:]:\n"
        "    dgmppl.load(Path(run)).compress().write(Path(sys.argv[1], Path(run).name + '.dgz'))\n"
        "print(torch.get_num_threads(), torch.backends.cpu.get_cpu_capability())\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), *map(str, files)]
    # Two threads, and other instructions of the processor, as another machine might have.
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert said.split() == ["2", "DEFAULT"]
    # These files were made by one thread, which also reads them in the test above.
    for path, file in files.items():
        assert (tmp_path / f"{path.name}.dgz").read_bytes() == file, path.name


def codes(error: pytest.ExceptionInfo[SpecError]) -> list[str]:
    return [d.code for d in error.value.diagnostics]


def test_damaged_files_are_refused(runs: dict[str, FittedRun]) -> None:
    run = runs["mixture"]
    file = bytes(run.compress())
    damaged = [file[:k] for k in (0, 3, 6, 7, 9, 40, 60, len(file) - 1)]
    damaged += [file + b"\0", file + b"\1\2\3\4\5\6"]
    damaged += [file[:k] + bytes([file[k] ^ 16]) + file[k + 1 :] for k in (0, 6, 7, 9, 30, 50, 70, 500, len(file) - 1)]
    for one in damaged:
        with pytest.raises(SpecError) as caught:
            dict(run.decompress(one))
        assert codes(caught) == ["E671"]


def test_the_files_of_other_models_are_refused(
    runs: dict[str, FittedRun], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = bytes(runs["mixture"].compress())
    with pytest.raises(SpecError, match="another model") as caught:
        runs["causal"].decompress(file)
    assert codes(caught) == ["E672"]
    # A model that is the same by its checksum and computes other numbers, as another machine might.
    monkeypatch.setattr(module, "_model_digest", lambda fitted: b"the same")
    file = bytes(runs["mixture"].compress())
    weight = next(iter(runs["mixture"].model.parameters()))
    before = weight.detach().clone()
    with torch.no_grad():
        weight.mul_(1.0001)
    try:
        answers = runs["mixture"].decompress(file)
        with pytest.raises(SpecError, match="cannot be decoded here") as caught:
            answers.write(tmp_path / "rows.csv")
    finally:
        with torch.no_grad():
            weight.copy_(before)
    assert codes(caught) == ["E673"]
    assert not list(tmp_path.iterdir())


TABLE = """\
model orders
observed size  : categorical(3) from "orders.csv".size
observed count : natural from "orders.csv".count
p(size) = Categorical(param)
p(count | size) = Poisson(mlp[8](size))
train { epochs = 2, batch = 50 }
"""


def test_a_table_comes_back_in_its_own_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"size": rng.choice(["small", "large", "huge"], 300), "count": rng.poisson(40, 300)})
    table.to_csv(tmp_path / "orders.csv", index=False)
    run = fit(tmp_path, TABLE)
    others = table.sample(100, random_state=1)
    pd.testing.assert_frame_equal(
        run.decompress(run.compress(others)).frame().astype(str), others.reset_index(drop=True).astype(str)
    )
    others.to_csv(tmp_path / "others.csv", index=False)
    file = tmp_path / "others.dgz"
    assert main(["compress", str(run.path), "--data", str(tmp_path / "others.csv"), "-o", str(file)]) == 0
    said = capsys.readouterr()
    assert f"{file.stat().st_size} bytes" in said.out
    assert "coded by p(size), p(count | size)" in said.err
    for end, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        out = tmp_path / f"rows.{end}"
        assert main(["decompress", str(run.path), str(file), "-o", str(out)]) == 0
        assert read(out).astype(str).equals(others.reset_index(drop=True).astype(str))
    # What goes wrong leaves nothing behind.
    capsys.readouterr()
    before = sorted(p.name for p in tmp_path.iterdir())
    (tmp_path / "others.csv").write_text("not,this\n1,2\n")
    cut = file.read_bytes()[:-3]
    file.write_bytes(cut)
    assert main(["decompress", str(run.path), str(file), "-o", str(tmp_path / "new.csv")]) == 1
    assert "E671" in capsys.readouterr().err
    assert main(["decompress", str(run.path), str(tmp_path / "no.dgz"), "-o", str(tmp_path / "new.csv")]) == 1
    assert main(["compress", str(run.path), "-o", str(tmp_path / "new.zip")]) == 2
    assert main(["compress", str(run.path), "--data", str(tmp_path / "others.csv"), "-o", str(tmp_path / "n.dgz")]) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == before


GAPS = """\
model gaps
partial size  : categorical(3) from "orders.csv".size
partial count : natural from "orders.csv".count
partial marks : integer(0..5)[2] elementwise from "orders.csv"[first, second]
latent  kind  : categorical(2)
p(kind)         = Categorical(param)
p(size | kind)  = Categorical(mlp[4](kind))
p(count | kind) = Poisson(mlp[4](kind))
p(marks | kind) = Categorical(mlp[4](kind))
train { epochs = 2, batch = 50 }
"""


def test_a_table_with_gaps_comes_back_with_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"size": rng.choice(["small", "large", "huge"], 400), "count": rng.poisson(9, 400) * 1.0})
    table[["first", "second"]] = rng.integers(0, 6, (400, 2)) * 1.0
    for name, share in (("size", 0.3), ("count", 0.1), ("first", 0.5), ("second", 0.0)):
        table.loc[rng.random(400) < share, name] = None
    table.to_csv(tmp_path / "orders.csv", index=False)
    run = fit(tmp_path, GAPS)
    found = run.compress(table)
    file = bytes(found)
    again = run.decompress(file).frame()
    pd.testing.assert_frame_equal(again, table, check_dtype=False)
    # Ideal: what is there by its probability, and which cells are missing by the entropy of their share.
    missing = table.isna().mean().to_numpy()
    entropy = 400 * scipy.stats.entropy([missing, 1 - missing], base=2).sum()
    ideal = (entropy - np.asarray(run.score(table)["log_prob"]).sum() / math.log(2)) / 8
    assert found.bits / 8 <= 1.001 * ideal  # counts beyond those of the rows have no bits
    assert len(file) - found.initial / 8 <= 1.01 * ideal + 64 + len(module._schema(run))
    run.decompress(file).write(tmp_path / "again.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "again.parquet"), table, check_dtype=False)


ENDS = """\
model ends
observed n            : integer(1..6) from "walks.npz".n
observed x[t in 1..n] : integer(0..4) from "walks.npz".x
p(x[t] | x[<t]) = Categorical(gru[8](x[<t]))
train { epochs = 2, batch = 50 }
"""


def test_sequences_of_different_lengths_take_what_is_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n, x = rng.integers(1, 7, 300), np.cumsum(rng.integers(0, 2, (300, 6)), 1) % 5
    np.savez(tmp_path / "walks.npz", n=n, x=x)
    run = fit(tmp_path, ENDS)
    found = run.compress({"n": n, "x": x})
    file = bytes(found)
    again = run.decompress(file)
    assert np.array_equal(again["n"], n)
    assert np.array_equal(again["x"], np.where(np.arange(6) < n[:, None], x, np.nan), equal_nan=True)
    ideal = (300 * math.log2(6) - np.asarray(run.score({"n": n, "x": x})["log_prob"]).sum() / math.log(2)) / 8
    assert found.bits / 8 == pytest.approx(ideal, rel=1e-4)
    assert len(file) <= 1.01 * ideal + 64 + len(module._schema(run))


def test_rows_are_given_what_they_have_in_common(shops: FittedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a group what its q has of it; a group that the fit did not know is refused in the words of `score`."""
    table = sales(400, seed=1)
    monkeypatch.setattr(module, "_BLOCK", 300)
    found = shops.compress(table)
    file = bytes(found)
    pd.testing.assert_frame_equal(shops.decompress(file).frame(), table, check_dtype=False)
    assert found.notes[0].endswith(
        "given mu, a, kind, which rows have in common, at the mean of q, of few values at the most probable one: "
        "bits of p given that, not the bound"
    )
    each = shops.encode(table, per="shop").frame().set_index("shop").loc[table["shop"]]
    rates = np.exp(each["a"] + shops.model.rate.detach().numpy()[each["kind"].astype(int)])
    blocks = [table["sold"].to_numpy()[start : start + 150] for start in (0, 150, 300)]
    ideal = 400 * math.log2(12)
    for k, sold in enumerate(blocks):
        law = scipy.stats.poisson(rates.to_numpy()[150 * k : 150 * k + len(sold)])
        within = law.cdf(sold.max()) - law.cdf(sold.min() - 1)
        ideal -= np.log2(law.pmf(sold) / within).sum()
    assert found.bits == pytest.approx(ideal, rel=1e-3)
    assert len(file) <= 1.01 * ideal / 8 + 64 + len(module._schema(shops)) + 2 * 32
    told = []
    for command in (shops.compress, shops.score):
        with pytest.raises(SpecError) as caught:
            command(table.assign(shop="elsewhere"))
        told.append([str(d) for d in caught.value.diagnostics])
    assert told[0] == told[1]
    weight = next(p for name, p in shops.model.named_parameters() if name.startswith("q_a"))
    before = weight.detach().clone()
    with torch.no_grad():
        weight.add_(1e-3)
    try:
        with pytest.raises(SpecError, match="another model") as caught:
            shops.decompress(file)
    finally:
        with torch.no_grad():
            weight.copy_(before)
    assert codes(caught) == ["E672"]


CODES = """\
model codes
observed y : categorical(3) from "people.csv".size
observed x : real[2] from standardize("people.csv"[height, weight])
latent   c : categorical(4)[3]
latent   m : real[2] per data
p(y)                  = Categorical(param)
p(m)                  = Normal(0, 1)
p(c[d] | c[<d], y, m) = Categorical(causal[8](c[<d], y, m))
p(x | c, m)           = Normal(mlp[16](c, m))
q(c | x, y)           = Categorical(mlp[16](x, y))
train { epochs = 10, batch = 50, optimizer = adam(1e-2) }
"""


def test_codes_are_kept_in_place_of_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = people()
    table.to_csv(tmp_path / "people.csv", index=False)
    run = fit(tmp_path, CODES)
    found = run.compress(table, lossy=True)
    file = bytes(found)
    # What comes back is what `reconstruct` gives, and what does not depend on the codes as it was.
    answers = run.decompress(file)
    again, mean = answers.frame(), run.reconstruct(table).frame()
    assert (again["size"] == table["size"]).all()
    np.testing.assert_allclose(again[["height", "weight"]], mean[["height", "weight"]], rtol=1e-5)
    # It is off by as much as both say, and takes -log2 p of the codes.
    off = np.square(again[["height", "weight"]].to_numpy() - table[["height", "weight"]].to_numpy()).mean()
    assert found.losses == pytest.approx({"x": off}, rel=1e-4)
    assert off < table[["height", "weight"]].var(ddof=0).mean()
    told = f"x is not kept: it is given back from its codes, off by {off**0.5:.4g} (root of the mean square)"
    assert told in found.notes
    assert told in answers.notes
    data = {name: torch.from_numpy(v.numpy()) for name, v in next(run.rows(table).chunks(1000)).items()}
    with torch.no_grad(), run.model.unchecked():
        inferred = run.model.infer(*data.values(), mean=True)
        given_y = run.model.p_c(data["y"], inferred["m"])
        bits = -(given_y.log_prob(inferred["c"]) + run.model.p_y().log_prob(data["y"])).sum() / math.log(2)
    assert found.bits == pytest.approx(bits.item(), rel=1e-3)
    assert len(file) <= 1.01 * bits.item() / 8 + 64 + len(module._schema(run))
    # From the command line.
    out = tmp_path / "people.dgz"
    assert main(["compress", str(run.path), "--data", str(tmp_path / "people.csv"), "--lossy", "-o", str(out)]) == 0
    assert told in capsys.readouterr().err
    assert out.read_bytes() == file
    with pytest.raises(SpecError, match="real numbers have densities"):
        run.compress(table)


def test_what_has_no_codes_keeps_none(runs: dict[str, FittedRun]) -> None:
    for name, why in (("causal", "no latents of finitely many values"), ("vae", "no code of finitely many values")):
        with pytest.raises(SpecError, match=f"has no codes to keep in place of its rows.*{why}") as caught:
            runs[name].compress(lossy=True)
        assert codes(caught) == ["E670"]
    # A mixture: its classes are codes of whole numbers too. Flows of whole numbers follow from u, which is as large.
    with pytest.raises(SpecError, match="no latents"):
        runs["mixture"].compress(lossy=True)


def test_few_rows(runs: dict[str, FittedRun]) -> None:
    run = runs["causal"]
    for count in (1, 3):
        rows = rows_of(run)[:count].reshape(count, 8, 8)
        assert np.array_equal(run.decompress(run.compress({"x": rows}))["x"], rows)


def test_rows_in_several_blocks(runs: dict[str, FittedRun], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 100 * 64)
    for name in ("causal", "vae"):
        found = runs[name].decompress(bytes(runs[name].compress()))
        assert np.array_equal(found["x"].reshape(447, 64), rows_of(runs[name]))


def test_a_density_has_no_code(tmp_path: Path) -> None:
    people().to_csv(tmp_path / "people.csv", index=False)
    run = fit(tmp_path, PEOPLE)
    with pytest.raises(SpecError, match="real numbers have densities") as caught:
        run.compress(people())
    assert codes(caught) == ["E670"]


def test_it_is_the_same_from_the_folder(runs: dict[str, FittedRun]) -> None:
    run = runs["levels"]
    assert bytes(dgmppl.load(run.path).compress()) == bytes(run.compress())
