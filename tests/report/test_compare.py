"""Runs side by side: what is alike and what is not, in text, on a page, as a picture and as data."""

from __future__ import annotations

import json
import math

import pytest

from dgmppl.cli import main
from dgmppl.diagnostics import SpecError
from dgmppl.report.compare import compare, write_comparison
from dgmppl.train.folder import FORMAT, KIND

from .runs import parse
from .test_page import HOSTILE, verify_harmless

pytestmark = pytest.mark.painted


@pytest.fixture
def make(tmp_path):
    """Writes a run folder by hand: all that a comparison reads."""

    def make(name, epochs=3, **changes):
        run = tmp_path / name
        run.mkdir(parents=True)
        record = {
            "kind": KIND,
            "format": FORMAT,
            "state": "finished",
            "model": "vae",
            "overrides": [],
            "criterion": "elbo",
            "best_epoch": 2,
            "epochs": epochs,
            "seconds": 65.0,
            "weights": 1234567,
            "device": "cpu",
            "data": {"fingerprint": "abc"},
            "settings": {"batch": 64, "optimizer": {"name": "adam", "lr": 1e-3, "options": {}}},
            "figures": {"test": {"elbo": {"mean": -90.123, "standard_error": 0.5, "rows": 100}}},
            "versions": {"torch": "2.13.0"},
        }
        (run / "run.json").write_text(json.dumps({**record, **changes}))
        lines = [
            {
                "number": k,
                "seconds": 1.0,
                "losses": {"model": 100.0 / k},
                "terms": {},
                "rates": {"model": 0.1},
                "validation": {"elbo": -100.0 / k},
                "best": True,
            }
            for k in range(1, epochs + 1)
        ]
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return run

    return make


def test_figures_and_what_differs(make):
    a = make("a")
    other = {"batch": 128, "optimizer": {"name": "adam", "lr": 1e-2, "options": {}}}
    b = make("b", settings=other, overrides=["H=50"], figures={})
    found = compare([a, b])
    assert list(found.runs) == ["a", "b"]
    ((split, name, having),) = list(found.figures())
    assert (split, name, set(having)) == ("test", "elbo", {"a"})
    differences = dict(found.differences())
    assert differences == {
        "train.batch": {"a": "64", "b": "128"},
        "train.optimizer.lr": {"a": "0.001", "b": "0.01"},
        "H": {"a": "", "b": "50"},
    }
    assert [f"{group} {name}" for group, name, _ in found.series()] == ["losses model", "validation elbo"]
    assert found.remarks == (f"b has no figures: `dgmppl evaluate {b}` measures its samples.",)


def test_what_a_reader_must_know_first(make):
    a = make("a")
    b = make("b", criterion="log_prob", data={"fingerprint": "xyz"})
    c = make("c", state="interrupted", figures={})
    d = make("d", epochs=0, state="running", figures={}, criterion=None)
    remarks = " ".join(compare([a, b, c, d]).remarks)
    assert "different criteria (elbo, log_prob, none)" in remarks
    assert "different data" in remarks
    assert "c is interrupted." in remarks
    assert "d is killed and has no epochs yet." in remarks
    assert "d has no metrics, so it has no curves." in remarks


def test_names_are_as_short_as_tells_them_apart(make):
    runs = [make("x/run"), make("y/run"), make("z")]
    assert list(compare(runs).runs) == ["x/run", "y/run", "z"]
    assert list(compare([runs[2], runs[2]]).runs) == ["z", "z (2)"]


def test_all_that_are_no_runs_are_told_at_once(make, tmp_path):
    with pytest.raises(SpecError) as error:
        compare([make("a"), tmp_path / "none", tmp_path])
    assert [d.code for d in error.value.diagnostics] == ["E602", "E602"]


def test_a_page_holds_every_run_and_is_harmless(make, tmp_path):
    runs = [make("a"), make("b<script>", model=HOSTILE, epochs=5, settings={HOSTILE: HOSTILE})]
    write_comparison(compare(runs), tmp_path / "c.html")
    found = parse(tmp_path / "c.html")
    verify_harmless(found)
    assert "b<script>" in found.text
    assert HOSTILE in found.text
    assert {"loss", "validation: elbo"} <= {e.text for e in found.all("h3")}
    charts = [e.attributes["alt"] for e in found.all("img")]
    assert {f"{what} by epoch of a, b<script>" for what in ("loss", "validation: elbo")} <= set(charts)


def test_pictures(make, tmp_path):
    write_comparison(compare([make("a"), make("_b$x$", epochs=5)]), tmp_path / "c.png")
    write_comparison(compare([make("c", epochs=0)]), tmp_path / "empty.PNG")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "empty.PNG").read_bytes().startswith(b"\x89PNG")


def test_the_command(make, tmp_path, capsys):
    a, b = make("a"), make("b[red]", seconds=1e400)
    assert main(["compare", str(a), str(b), "--out", str(tmp_path / "c.html")]) == 0
    printed = capsys.readouterr()
    assert "-90.12 ± 0.50" in printed.out
    assert "b[red]" in printed.out
    assert "1,234,567" in printed.out
    assert "no setting differs" in printed.out
    assert f"written to {tmp_path / 'c.html'}" in printed.err
    assert main(["compare", str(a), str(b), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["runs"]["a"]["figures"]["test"]["elbo"]["mean"] == -90.123
    assert found["runs"]["a"]["seconds"] == 65.0
    assert found["runs"]["b[red]"]["seconds"] is None
    assert main(["compare", str(a), "--out", str(tmp_path / "c.pdf")]) == 1
    assert "error[E652]" in capsys.readouterr().err
    assert main(["compare", str(a), "--out", str(tmp_path / "none" / "c.html")]) == 1
    assert "error[E607]" in capsys.readouterr().err


def test_figures_that_are_not_finite(make):
    a = make("a", figures={"test": {"elbo": {"mean": None, "standard_error": None, "rows": 3}, "odd": 3}})
    found = compare([a])
    assert found.as_data()["runs"]["a"]["figures"] == {
        "test": {"elbo": {"mean": None, "standard_error": None, "rows": 3}}
    }
    assert math.isnan(found.runs["a"].figures["test"]["elbo"].mean)


def test_real_runs(run_of, tmp_path):
    found = compare([run_of("vae"), run_of("flow"), run_of("gan")])
    write_comparison(found, tmp_path / "c.html")
    verify_harmless(parse(tmp_path / "c.html"))
    assert any("different criteria" in remark for remark in found.remarks)
