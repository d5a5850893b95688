"""The command line: what it prints, its exit status, and what it does not import."""

import json
import subprocess
import sys

import numpy as np
import pytest

from dgmppl.cli import main
from dgmppl.cli.runs import _print_figures

from .specs import ROWS, VAE

pytestmark = pytest.mark.painted

BROKEN = VAE.replace("Normal(mlp[8](z))", "Normul(mlp[8](z))")


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "vae.dgm"
    path.write_text(VAE)
    return path


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.dgm"
    path.write_text(BROKEN)
    return path


def run(*arguments):
    return main([str(a) for a in arguments])


def test_a_spec_from_end_to_end(spec, tmp_path, capsys):
    out = tmp_path / "run"
    assert run("train", spec, "--out", out, "--set", "train.epochs=1", "--seed", 3, "--device", "cpu") == 0
    printed = capsys.readouterr()
    assert f"results in {out}" in printed.out
    assert "elbo" in printed.out
    assert "the last epoch was the best by elbo" in printed.out, "one epoch cannot tell whether more would do better"
    assert "epoch    1" in printed.err
    assert json.loads((out / "run.json").read_text())["settings"]["seed"] == 3

    assert run("train", spec, "--out", out) == 1
    assert "E606" in capsys.readouterr().err
    assert run("train", spec, "--out", out, "--overwrite", "--set", "train.epochs=1") == 0

    assert run("sample", out, "-n", 5, "-o", tmp_path / "s.npz") == 0
    assert np.load(tmp_path / "s.npz")["x"].shape == (5, 2)
    capsys.readouterr()
    assert run("evaluate", out, "--format", "json", "--samples", 2) == 0
    figures = json.loads(capsys.readouterr().out)
    assert set(figures["test"]["elbo"]) >= {"mean", "standard_error", "rows", "unit"}
    assert run("evaluate", out) == 0
    assert "test" in capsys.readouterr().out


def test_figures_of_long_names_stand_in_one_column(capsys):
    short, long = "elbo", "log p(age, sex, crp | centre) without crp where it is missing"
    _print_figures(
        {split: {n: {"mean": -8.5, "standard_error": 0.1, "rows": 9} for n in (short, long)} for split in "ab"}
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert len({line.index("±") for line in lines}) == 1


def test_sequences_go_on_from_what_is_given(tmp_path, capsys):
    (tmp_path / "rows.dgm").write_text(ROWS)
    out, samples, more = tmp_path / "run", tmp_path / "s.npz", tmp_path / "more.npz"
    assert run("train", tmp_path / "rows.dgm", "--out", out, "--device", "cpu") == 0
    assert run("sample", out, "-n", 2, "-o", samples, "--set", "y=3") == 0
    past = np.load(samples)["x"][:, :5]
    past[1, 3:] = np.nan
    np.savez(tmp_path / "past.npz", x=past)
    capsys.readouterr()
    assert run("sample", out, "-n", 3, "-o", more, "--given", f"x={tmp_path / 'past.npz'}", "--set", "y=3") == 0
    printed = capsys.readouterr().err
    assert "take x up to t = past, y" in printed
    assert "sum s out along the index" in printed and "exactly" in printed
    found = np.load(more)["x"]
    assert found.shape == (6, 8, 8)
    assert (found[:3, :5] == past[0]).all() and (found[3:, :3] == past[1, :3]).all()
    assert not np.isnan(found).any()
    arguments = ("--given", f"x={tmp_path / 'past.npz'}", "--set", "y=3", "--until", 11)
    assert run("sample", out, "-o", more, *arguments) == 0 and np.load(more)["x"].shape == (2, 11, 8)
    assert run("sample", out, "-o", tmp_path / "more.png", *arguments) == 0
    capsys.readouterr()
    assert run("explain", tmp_path / "rows.dgm") == 0
    assert "forecast    take x up to t = past, y; sum s out" in capsys.readouterr().out


def test_check_says_what_is_wrong(spec, broken, capsys):
    assert run("check", spec) == 0
    assert "fine" in capsys.readouterr().out
    assert run("check", spec, broken) == 1
    assert "Normul" in capsys.readouterr().err
    assert run("check", spec, broken, "--format", "json") == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert found["file"] == str(broken)
    assert found["line"] == 5


def test_check_reports_every_file(spec, broken, tmp_path, capsys):
    none = tmp_path / "none.dgm"
    assert run("check", broken, none, spec) == 2
    printed = capsys.readouterr()
    assert "Normul" in printed.err
    assert "E701" in printed.err
    assert f"{spec}: fine" in printed.out
    assert run("check", broken, none, spec, "--format", "json") == 2
    found = json.loads(capsys.readouterr().out)
    assert [(d["file"], d["code"]) for d in found] == [(str(broken), "E208"), (str(none), "E701")]


def test_compile_graph_and_explain(spec, broken, tmp_path, capsys):
    assert run("compile", spec) == 0
    source = capsys.readouterr().out
    assert "class TinyVae(rt.GenerativeModel)" in source
    assert run("compile", spec, "-o", tmp_path / "model.py") == 0
    assert (tmp_path / "model.py").read_text() == source
    assert run("compile", spec, "--target", "pyro") == 0
    assert "guide" in capsys.readouterr().out
    assert run("graph", spec, "-o", tmp_path / "g.svg") == 0
    assert "<svg" in (tmp_path / "g.svg").read_text()
    assert run("graph", spec, "-o", tmp_path / "g.gif") == 2
    (tmp_path / "d.dot").mkdir()
    for unwritable in (tmp_path / "none" / "g.dot", tmp_path / "d.dot"):
        capsys.readouterr()
        assert run("graph", spec, "-o", unwritable) == 1
        assert "E607" in capsys.readouterr().err
    for form in ("text", "json", "latex"):
        assert run("explain", spec, "--format", form) == 0
    for command in (
        ["compile"],
        ["explain"],
        ["train", "--out", tmp_path / "r"],
        ["graph", "-o", tmp_path / "h.svg"],
    ):
        assert run(*command, broken) == 1
    assert not (tmp_path / "r").exists()


def test_explain_a_code(capsys):
    assert run("explain", "E506") == 0
    assert "threshold(digits.image, 8)" in capsys.readouterr().out
    assert run("explain", "E999") == 2
    assert run("explain", "e506", "--format", "json") == 0
    explained = json.loads(capsys.readouterr().out)
    assert explained["code"] == "E506"
    assert explained["bad"]
    assert run("explain", "E506", "--format", "latex") == 2
    assert "latex is for" in capsys.readouterr().err


def test_fmt(spec, broken, capsys):
    assert run("fmt", spec) == 0
    assert run("fmt", spec, "--check") == 0
    spec.write_text(VAE.replace("p(z)     =", "p( z )="))
    assert run("fmt", spec, "--check") == 1
    assert run("fmt", spec) == 0
    assert run("fmt", spec, "--check") == 0
    canonical = spec.read_text()
    spec.write_text("\ufeff" + canonical, encoding="utf-8")
    assert run("check", spec) == 0
    assert run("fmt", spec, "--check") == 1
    assert run("fmt", spec) == 0
    assert spec.read_bytes() == canonical.encode()
    spec.write_text("model (")
    assert run("fmt", spec) == 1
    assert spec.read_text() == "model ("


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["chek", "a.dgm"],
        ["check"],
        ["check", "nowhere.dgm"],
        ["check", "."],
        ["check", ""],
        ["explain", ""],
        ["train", "nowhere.dgm"],
        ["train", "nowhere.dgm", "--out", "r", "--set", "epochs"],
        ["train", "nowhere.dgm", "--out", "r", "--seed", "-1"],
        ["sample", "r", "-n", "0", "-o", "a.png"],
        ["compile", "a.dgm", "--target", "jax"],
    ],
)
def test_wrong_usage_ends_with_2(arguments, capsys):
    try:
        status = main(arguments)
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "a.dgm", "--out", "r", "--seed", "9" * 20], "too large"),
        (["sample", "r", "-o", "a.png", "-n", "-3"], "whole number from 1"),
        (["sample", "r", "-o", "a.png", "-n", "0"], "whole number from 1"),
        (["check", ""], "empty"),
        (["check", "a.dgm", "--set", "train.lr=1", "--set", " train.lr=2"], "train.lr is set twice"),
        (["evaluate", "r", "--data-folder", "nowhere"], "there is no folder nowhere"),
    ],
)
def test_wrong_values_are_told_what_is_right(arguments, words, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert words in capsys.readouterr().err


def test_a_run_that_is_none_ends_with_1(tmp_path, capsys):
    assert run("evaluate", tmp_path) == 1
    assert "E602" in capsys.readouterr().err


def test_a_file_that_is_no_text(tmp_path, capsys):
    (tmp_path / "a.dgm").write_bytes(b"\xff\xfe\x00")
    assert run("check", tmp_path / "a.dgm") == 2
    assert "E701" in capsys.readouterr().err


def test_our_own_mistakes_look_different(spec, monkeypatch, capsys):
    def fail(*arguments):
        raise KeyError("oops")

    monkeypatch.delenv("DGMPPL_DEBUG", raising=False)
    monkeypatch.setattr("dgmppl.pipeline.read", fail)
    assert run("check", spec) == 3
    printed = capsys.readouterr().err
    assert "internal error" in printed
    assert "Traceback" not in printed
    monkeypatch.setenv("DGMPPL_DEBUG", "1")
    with pytest.raises(KeyError):
        run("check", spec)


@pytest.mark.parametrize("command", ["check", "explain", "compile", "fmt"])
def test_nothing_heavy_is_imported(spec, command):
    heavy = ["torch", "numpy", "sklearn", "pyro", "matplotlib", "rich", "sympy"]
    script = (
        "import sys; from dgmppl.cli import main; status = main(sys.argv[1:]);"
        f"print([m for m in {heavy} if m in sys.modules], status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, command, str(spec)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[] 0"
