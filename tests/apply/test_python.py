"""What the command line says, said in Python: train, resume, data that are given, callbacks, notebooks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import dgmppl
from dgmppl import cli
from dgmppl.callbacks import Callback
from dgmppl.train.history import Epoch
from tests.apply.runs import PEOPLE, people

ROOT = Path(__file__).parents[2]
OPEN = """\
model linear
observed x : real[D]
latent z : real[2]
const H = 4
p(z) = Normal(0, 1)
p(x | z) = Normal(mlp[H](z))
q(z | x) = Normal(mlp[H](x))
"""
LABELLED = "model labelled\nobserved y : categorical(K)\nobserved x : real[D]\np(y) = Categorical(param)\n"
LABELLED += "p(x | y) = Normal(mlp[4](y))\n"
ROWS = np.random.default_rng(0).normal(3, 2, (50, 5))


def told(**cell: Any) -> pd.DataFrame:
    """People with labels, one of whom has a cell that is none."""
    found = people(9).set_axis([*"abcdefghi"])
    ((name, value),) = cell.items()
    column = found[name].astype(object)
    column["c"] = value
    return found.assign(**{name: column.astype(float) if isinstance(value, float) else column})


def test_an_error_about_a_table_stands_in_the_spec_that_was_written() -> None:
    for spec in (PEOPLE, PEOPLE.replace(' from "people.csv".size', "")):
        with pytest.raises(dgmppl.SpecError) as caught:
            quick(spec, data=told(size=None).rename(columns={"size": "y"} if spec != PEOPLE else {}))
        shown = caught.value._render_traceback_()
        line = next(line for line in shown if "observed" in line)
        assert line.partition("|")[2].strip() in spec.splitlines()
        assert "data.parquet" not in "\n".join(shown)


def quick(spec: str | Path, **options: Any) -> Any:
    return dgmppl.train(spec, progress=False, **{"epochs": 1, **options})


def test_settings_and_constants_by_name_are_overrides(tmp_path: Path) -> None:
    run = quick(OPEN, data=ROWS, out=tmp_path / "run", H=7, lr=np.float32(0.5), split="shuffled(0.8, 0.1, 0.1)")
    assert run.run.record["overrides"][:4] == [
        "train.epochs=1",
        "H=7",
        "train.lr=0.5",
        "train.split=shuffled(0.8, 0.1, 0.1)",
    ]
    assert run.run.record["state"] == "finished"
    assert run.model.training is False
    assert (tmp_path / "run" / "report.html").exists()


def test_it_is_the_run_of_the_command_line(tmp_path: Path) -> None:
    people().to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "people.dgm").write_text(PEOPLE)
    run = quick(tmp_path / "people.dgm", out=tmp_path / "python", epochs=2)
    command = ["train", str(tmp_path / "people.dgm"), "--out", str(tmp_path / "command")]
    assert cli.main(command) == 0
    other = dgmppl.load(tmp_path / "command")
    assert run.figures == other.figures
    assert all(torch.equal(a, b) for a, b in zip(run.model.parameters(), other.model.parameters(), strict=True))


def test_a_temporary_run_lasts_as_long_as_what_is_returned() -> None:
    run = quick(OPEN, data=ROWS)
    folder = run.path
    assert dgmppl.load(folder).figures == run.figures
    del run
    assert not folder.exists()


def test_data_that_are_given_are_kept_with_the_run(tmp_path: Path) -> None:
    table = people()
    first = quick(PEOPLE, data=table, out=tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    run = dgmppl.load(tmp_path / "moved")
    assert list(run.data) == ["train", "validation", "test"]
    pd.testing.assert_frame_equal(run.data["test"], table[240:].reset_index(drop=True), check_dtype=False, rtol=1e-6)
    pd.testing.assert_frame_equal(
        run.score(split="test", unusual=0).frame(), first.score(table[240:], unusual=0).frame().reset_index(drop=True)
    )
    more = dgmppl.resume(tmp_path / "moved", epochs=2, progress=False)
    assert list(more.metrics["number"]) == [1, 2]


@pytest.mark.parametrize("form", ["array", "tensor", "dict", "frame", "labels", "numbers"])
def test_sizes_and_counts_are_those_of_what_is_given(form: str) -> None:
    forms: dict[str, Any] = {
        "array": ROWS,
        "tensor": torch.from_numpy(ROWS),
        "dict": {"x": ROWS},
        "frame": pd.DataFrame(ROWS, columns=list("abcde")),
        "labels": pd.DataFrame(ROWS, columns=[f"x[{k}]" for k in range(5)]).assign(other=1),
        "numbers": pd.DataFrame(ROWS),
    }
    run = quick(OPEN, data=forms[form])
    assert run.graph["x"].type.shape == (5,)
    np.testing.assert_allclose(run.data["train"].to_numpy(), ROWS[:30], rtol=1e-6)
    assert np.isfinite(run.score(forms[form])["elbo"]).all()


@pytest.mark.parametrize("labels", [["a", "c", "b"] * 10, np.arange(30) % 3, pd.Series([0.0, 1.0, 2.0] * 10)])
def test_the_number_of_classes_is_that_of_what_is_given(labels: Any) -> None:
    run = quick(LABELLED, data={"x": ROWS[:30], "y": labels})
    assert run.graph["y"].type.support.size == 3
    assert list(run.data["train"]["y"])[:3] == list(labels[:3])


def test_what_stands_for_a_missing_value_does_so_in_what_is_given() -> None:
    text = LABELLED.replace(
        "observed y : categorical(K)", 'partial y : categorical(K) from "a.csv".kind[missing = "?"]'
    )
    run = quick(text, data=pd.DataFrame(ROWS).assign(kind=["a", "?", "b", "c", "a"] * 10))
    assert run.graph["y"].type.support.size == 3
    assert list(run.data["train"]["kind"][:3].fillna("missing")) == ["a", "missing", "b"]


def test_axes_and_ends_of_ranges_are_those_of_what_is_given() -> None:
    text = "model walk\nobserved x[t in 1..T] : real[D]\np(x[1]) = Normal(0, 1)\n"
    text += "p(x[t] | x[t-1]) = Normal(mlp[4](x[t-1]))\n"
    run = quick(text, data=np.zeros((20, 6, 2)))
    assert run.graph["x"].type.shape == (6, 2)
    assert run.data["train"].shape == (12, 12)


def test_sizes_are_read_from_headers_as_well(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", ROWS)
    spec = tmp_path / "open.dgm"
    spec.write_text(OPEN.replace("real[D]", 'real[D] from "x.npy"'))
    assert dgmppl.check(spec) == ()
    found = dgmppl.read(OPEN.replace("real[D]", "real[D] from digits.image"))
    assert found.graph is not None
    assert found.graph["x"].type.shape == (64,)


@pytest.mark.parametrize(
    ("spec", "options", "code", "words"),
    [
        (
            PEOPLE,
            {"data": people(9).drop(columns="weight")},
            "E504",
            "not all of the columns height, weight were given",
        ),
        (PEOPLE, {"data": people(9).drop(columns="size")}, "E504", "nothing of the name `size` or `y` was given"),
        (PEOPLE, {"data": ROWS}, "E504", "one array cannot be `x` and `y`"),
        (OPEN, {"data": 3}, "E504", "data cannot be given as int"),
        (OPEN, {"data": torch.utils.data.DataLoader([torch.ones(5)])}, "E504", "data cannot be given as DataLoader"),
        (PEOPLE, {"data": told(height=np.inf)}, "E506", "row 2 (index `c`), column `height` of the table is inf"),
        (PEOPLE, {"data": told(height="tall")}, "E516", "row 2 (index `c`), column `height` of the table is 'tall'"),
        (PEOPLE, {"data": told(size=None)}, "E506", "row 2 (index `c`), column `size` of the table is missing"),
        (PEOPLE, {"data": told(size="giant")}, "E506", "column `size` of the table holds text of 4 kinds"),
        (OPEN, {"data": pd.DataFrame(ROWS.astype(complex))}, "E516", "column `0` of the table holds complex numbers"),
        (
            PEOPLE,
            {"data": people(9).assign(height=pd.period_range("2024-01", periods=9, freq="M"))},
            "E516",
            "column `height` is of type extension",
        ),
        (OPEN, {"data": "x.csv"}, "E504", "data cannot be given as str"),
        (OPEN, {"data": {"x": ROWS.astype(complex)}}, "E516", "complex128, not numbers"),
        (OPEN, {"data": {"x": [[1, "a"], [2, {}]]}}, "E516", "no number"),
        (OPEN, {"data": np.zeros((9, 0))}, "E505", "there is nothing in it"),
        (OPEN, {"data": np.zeros(())}, "E505", "is a single value"),
        (OPEN, {"data": pd.DataFrame({'a"': [1.0] * 9})}, "E504", "cannot be named"),
        (LABELLED, {"data": {"x": ROWS, "y": [0, 1]}}, "E505", "rows differ in number: `x` 50, `y` 2"),
        (OPEN, {"data": np.where(ROWS > 5, np.nan, ROWS)}, "E506", "is missing"),
        (OPEN, {"data": ROWS, "eppochs": 3}, "E705", "no setting or constant `eppochs`"),
        (OPEN, {"data": ROWS, "H": [3]}, "E705", "`H` cannot be list"),
        (OPEN, {"data": ROWS, "devices": 2}, "E705", "a fit from here is on one device"),
        (OPEN, {"data": ROWS, "epochs": 0}, "E305", "at least 1"),
        (OPEN, {}, "E218", "has no data"),
    ],
)
def test_what_is_wrong_is_said_once(spec: str, options: dict[str, Any], code: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(dgmppl.SpecError) as caught:
        quick(spec, out=tmp_path / "run", **options)
    assert caught.value.diagnostics[0].code == code
    assert words in caught.value.diagnostics[0].headline
    assert not (tmp_path / "run").exists()
    assert "data.parquet" not in "\n".join(caught.value._render_traceback_())  # a file that nobody named


# --- callbacks -------------------------------------------------------------------------------------


class Wandb:
    """As `wandb.Run` has it (wandb 0.19)."""

    def __init__(self) -> None:
        self.told: list[tuple[int | None, dict[str, Any]]] = []

    def log(self, data: dict[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        self.told.append((step, data))


class Lightning:
    """As a logger of Lightning has it."""

    def __init__(self) -> None:
        self.told: list[tuple[int | None, dict[str, Any]]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.told.append((step, metrics))


def mlflow() -> tuple[ModuleType, list[tuple[int | None, dict[str, Any]]]]:
    """As the module `mlflow` has it (mlflow 3)."""
    module, told = ModuleType("mlflow"), []

    def log_metrics(
        metrics: dict[str, float],
        step: int | None = None,
        synchronous: bool | None = None,
        run_id: str | None = None,
        timestamp: int | None = None,
    ) -> None:
        told.append((step, metrics))

    module.log_metrics = log_metrics  # type: ignore[attr-defined]
    return module, told


def test_loggers_and_functions_are_told_the_same() -> None:
    seen: list[Epoch] = []
    wandb, lightning, (module, told) = Wandb(), Lightning(), mlflow()
    callbacks: list[Callback] = [seen.append, wandb, lightning, module]
    run = quick(OPEN, data=ROWS, epochs=2, callbacks=callbacks)
    assert wandb.told == lightning.told == told
    assert [step for step, _ in told] == [1, 2, 2]
    assert [epoch.number for epoch in seen] == [1, 2]
    assert told[1][1]["validation/elbo"] == seen[1].validation["elbo"] == run.metrics["validation.elbo"][1]
    assert told[2][1]["test/elbo"] == run.figures["test"]["elbo"]["mean"]
    # The letters that MLflow allows in a name.
    assert all(
        set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./ ") for name in told[0][1]
    )


def test_what_is_no_callback_is_refused_before_the_fit(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="int is none of them"):
        quick(OPEN, data=ROWS, out=tmp_path / "run", callbacks=[3])
    assert not (tmp_path / "run").exists()


def test_an_error_of_a_callback_is_its_own(tmp_path: Path) -> None:
    def fail(epoch: Epoch) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        quick(OPEN, data=ROWS, out=tmp_path / "run", callbacks=[fail])
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "failed"


def test_a_fit_that_is_interrupted_goes_on(tmp_path: Path) -> None:
    import signal

    def stop(epoch: Epoch) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match=r"dgmppl\.resume"):
        quick(OPEN, data=ROWS, out=tmp_path / "run", epochs=3, callbacks=[stop])
    run = dgmppl.resume(tmp_path / "run", progress=False)
    whole = quick(OPEN, data=ROWS, epochs=3)
    assert all(torch.equal(a, b) for a, b in zip(run.model.parameters(), whole.model.parameters(), strict=True))


# --- notebooks ---------------------------------------------------------------------------------------


def parsed(html: str) -> ElementTree.Element:
    """HTML that is well-formed, as one element."""
    return ElementTree.fromstring(f"<div>{html.replace('&plusmn;', '±')}</div>")


def test_a_run_shows_its_figures_and_its_spec() -> None:
    run = quick(OPEN, data=ROWS)
    shown = parsed(run._repr_html_())
    cells = [cell.text for cell in shown.iter("td")]
    assert cells[:2] == ["train", "elbo"]
    assert cells[2] is not None
    assert float(cells[2].split()[0]) == pytest.approx(run.figures["train"]["elbo"]["mean"], rel=1e-3)
    assert "p(x | z)" in "".join(shown.itertext())
    assert "linear" in repr(run)


@pytest.mark.parametrize(
    "show",
    [
        lambda spec: dgmppl.explain(spec),
        lambda spec: dgmppl.read(spec).plan,
        lambda spec: dgmppl.read(spec),
    ],
)
def test_plans_and_specs_show_the_formula_as_maths(show: Callable[[str], Any]) -> None:
    shown = show("specs/latent/vae.dgm")
    root = parsed(shown._repr_html_())
    assert len(list(root.iter("math"))) == 1
    assert "ELBO" in "".join(root.itertext())


def test_what_is_read_of_each_family_is_shown() -> None:
    """As HTML that is well-formed, with its formula; and in a line where there is no notebook."""
    for family in sorted((ROOT / "specs").iterdir()):
        spec = dgmppl.read(min(family.glob("*.dgm")))
        assert spec.plan is not None and spec.graph is not None
        for shown in (spec, spec.plan):
            assert len(list(parsed(shown._repr_html_()).iter("math"))) == 1, spec.source.name
        assert ElementTree.fromstring(spec.graph._repr_svg_()).tag.endswith("svg")
        assert {len(repr(shown).splitlines()) for shown in (spec, spec.plan, spec.graph)} == {1}


def test_many_answers_show_the_first_and_are_not_all_computed() -> None:
    run, rows = quick(OPEN, data=ROWS), np.tile(ROWS, (30, 1))
    many, few = run.encode(rows), run.encode(rows[:30])
    shown = parsed(re.sub(r"<style.*?</style>", "", many._repr_html_(), flags=re.DOTALL))
    assert "the first 10 of 1,500 rows" in "".join(shown.itertext()) and not many.computed
    assert repr(many) == "<answers: 1500 rows of z, z_deviation>"
    assert "the first" not in few._repr_html_()
    np.testing.assert_array_equal(many.head(10), many.frame()[:10])
    predicted = run.impute(np.where(rows > 6, np.nan, rows)[:50])
    assert "are missing" in predicted._repr_html_() and repr(predicted).startswith("<answers: 50 rows")


def test_a_formula_is_latex_as_well() -> None:
    assert dgmppl.explain("specs/latent/vae.dgm")._repr_latex_().startswith("$\\displaystyle ")  # type: ignore[attr-defined]


def test_problems_have_carets() -> None:
    problems = dgmppl.check(OPEN.replace("Normal(0, 1)", "Bernoulli(0.5)"))
    assert "^^^^" in str(problems)
    assert "^^^^" in "".join(parsed(problems._repr_html_()).itertext())
    assert dgmppl.check("specs/latent/vae.dgm")._repr_html_() == "<p>no problems</p>"
    assert repr(dgmppl.check("specs/latent/vae.dgm")) == "no problems" and "^^^^" in repr(problems)
    assert repr(dgmppl.read("tests/golden/bad/support_binary_normal.dgm")).endswith(".dgm: 1 error>")
    with pytest.raises(dgmppl.SpecError) as caught:
        dgmppl.compile(OPEN.replace("Normal(0, 1)", "Bernoulli(0.5)"))
    assert any("^^^^" in line for line in caught.value._render_traceback_())


def test_nothing_heavy_is_imported_to_check() -> None:
    code = "import sys, dgmppl; dgmppl.check('specs/latent/vae.dgm'); dgmppl.read('specs/latent/vae.dgm')._repr_html_()"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)


def test_the_page_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/python.md shows runs, in the order in which it stands there, with fewer epochs."""
    (tmp_path / "specs").symlink_to(ROOT / "specs")
    monkeypatch.chdir(tmp_path)
    module, told = mlflow()
    module.start_run = nullcontext  # type: ignore[attr-defined]
    wandb = ModuleType("wandb")
    run = Wandb()
    wandb.init = lambda project: run  # type: ignore[attr-defined]
    values: dict[str, Any] = {
        "table": people(60),
        "array": ROWS,
        "labels": list("abcde") * 10,
        "mlflow": module,
        "wandb": wandb,
    }
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 3

    def brief(spec: str, **options: Any) -> Any:
        return quick(spec, **{**options, "epochs": 1, "data": options.get("data", values["table"])})

    values["brief"] = brief
    for number, block in enumerate(blocks):
        shown = block if number == 0 else block.replace("dgmppl.train(", "brief(")
        exec(compile(shown.replace("epochs=5", "epochs=1"), f"block {number}", "exec"), values)
    assert told
    assert run.told
