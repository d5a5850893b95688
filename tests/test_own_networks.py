"""A user's own networks: in every place, saved and loaded; and never imported but where the user says so."""

from __future__ import annotations

import ast
import json
import pickle
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import dgmppl
from dgmppl import pipeline
from dgmppl.apply.sample import sample_run
from dgmppl.cli import main
from dgmppl.diagnostics import SpecError
from dgmppl.pipeline import Checked, check
from dgmppl.report.evaluate import evaluate
from dgmppl.report.page import report_run
from dgmppl.source import Source
from dgmppl.train.runs import load_run
from tests.contracts.support import data_of

NET = 'python("tests.contracts.own:Net")'
CAUSAL = 'python("tests.contracts.own:Causal")'
POSITIONS = 'python("tests.contracts.own:Positions")'

VECTORS = "observed x : real[2] from moons.point\nlatent z : real[2]\np(z) = Normal(0, 1)\n"
GRIDS = 'observed x : binary[4, 3] from "g.npz".x\nobserved y : categorical(5) from "g.npz".y\n'
PLACES = {
    "a factor and a posterior": f"{VECTORS}p(x | z) = Normal({NET}[hidden = 4](z))\n"
    f"q(z | x) = Normal({NET}[activation = relu](x))\n",
    "a coupling": f"{VECTORS}p(x | z) = Normal(mlp[4](z)) >> 2 * (coupling[{NET}[hidden = 3]](z) >> reverse)\n"
    "q(z | x) = Normal(mlp[4](x))\n",
    "by name, behind a network": f"{VECTORS}net f = mlp[6] >> {NET}\np(x | z) = Normal(f(z))\n"
    "q(z | x) = Normal(f(x))\n",
    "an energy": 'observed x : binary[3] from "e.npz".x\nparam W : real[3, 4] = normal(0.1)\nlatent h : binary[4]\n'
    f"E(x, h) = -x @ W @ h + {NET}(x)\n",
    "an adversary": "observed x : real[2] from moons.point\nlatent z : real[2]\np(z) = Normal(0, 1)\n"
    f"x = {NET}(z)\nadversary D(x) = {NET}[hidden = 5]\n",
    "a grid from a vector": f"{GRIDS}latent z : real[2]\np(z) = Normal(0, 1)\n"
    f"p(x | z, y) = Bernoulli({POSITIONS}[rank = 2, scale = 0.5](z, y))\nq(z | x, y) = Normal(mlp[4](x, y))\n",
    "a vector from a grid": f"{GRIDS}latent z : real[2]\np(z) = Normal(0, 1)\np(x | z, y) = Bernoulli(mlp[4](z, y))\n"
    f"q(z | x, y) = Normal({POSITIONS}[rank = 2](x, y))\n",
    "a sequence": f'observed x : real[5, 2] from "s.npz".x\nobserved c : real[3] from "s.npz".c\n'
    f"p(x | c) = Normal({POSITIONS}[rank = 1](c), 1)\n",
    "a past": 'observed x : categorical(3)[5] from "s.npz".x\nobserved c : real[5] from "s.npz".c\n'
    f"p(x[d] | x[<d], c) = Categorical({CAUSAL}[rank = 1, size = 3](x[<d], c[d], d, c))\n",
    "the past of a grid": f"{GRIDS}p(x[i, j] | x[<i, <j], y, order = zigzag) = "
    f"Bernoulli({CAUSAL}[rank = 1](x[<i, <j], y))\n",
    "an autoregressive flow": "observed x : real[2] from moons.point\n"
    f"p(x) = Normal(0, 1) >> 2 * (autoregressive[{CAUSAL}[rank = 1], affine] >> reverse)\n",
    "a mixture": f"{VECTORS}p(x | z) = mixture[3](Normal({NET}(z)))\nq(z | x) = Normal(mlp[4](x))\n",
}
ALLOWED = pipeline.Python(True)


def spec(body: str) -> Source:
    return Source("own.dgm", f"model own\n{body}")


@pytest.mark.parametrize("body", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("target", ["torch", "pyro"])
def test_it_stands_wherever_a_network_does(body: str, target: str) -> None:
    found = check(spec(body), python=ALLOWED)
    assert found.ok, [str(d) for d in found.errors]
    if target == "pyro" and ("E(" in body or "adversary" in body):
        with pytest.raises(SpecError, match="E310"):  # Pyro has neither energies nor games
            pipeline.build(found, target)
        return
    model = pipeline.build(found, target)
    own = [m for m in model.modules() if isinstance(m, dgmppl.runtime.UserNetwork)]
    assert own
    if target == "torch":
        verify_taught(found, model)


def verify_taught(found: Checked, model: dgmppl.runtime.GenerativeModel) -> None:
    """Every number of a user's networks has a gradient from some loss; another model with the same weights computes the
    same, and so does one that went through pickle."""
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    data = data_of(found, n=8)
    grads = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for player in model.players():
        model.zero_grad()
        player.loss(*data).backward()
        for name, p in model.named_parameters():
            grads[name] += 0 if p.grad is None else p.grad.abs()
    untaught = [name for name, g in grads.items() if ".network." in name and not g.any()]
    assert untaught in ([], ["energy_net.network.last.bias"])  # an energy's constant cancels
    other = pipeline.build(found)
    other.load_state_dict(model.state_dict())
    losses = []
    for one in (model, other, pickle.loads(pickle.dumps(model))):
        torch.manual_seed(0)
        losses.append([p.loss(*data).item() for p in one.players()])
    assert losses[0] == losses[1] == losses[2]


def test_of_a_past_it_is_what_the_same_network_of_the_catalogue_is() -> None:
    """A `gru`, with the weights of one: densities, and draws from the same noise."""
    text = 'observed x : categorical(3)[5] from "s.npz".x\nobserved c : real[5] from "s.npz".c\n'
    text += "p(x[d] | x[<d], c) = Categorical({net}(x[<d], c[d], c))\n"
    models = []
    for net in (f"{CAUSAL}[rank = 1, size = 6]", "gru[6]"):
        found = check(spec(text.format(net=net)), python=ALLOWED)
        assert found.ok, [str(d) for d in found.errors]
        models.append(pipeline.build(found))
    own, theirs = models
    network, other = own.p_x_net.network, theirs.p_x_net
    network.cell.load_state_dict(other.layers[0].state_dict())
    network.last.load_state_dict(other.last.state_dict())
    network.start.load_state_dict(other.context[0].state_dict())
    x, c = torch.randint(3, (20, 5)).float(), torch.randn(20, 5)
    torch.testing.assert_close(own.log_prob(x, c), theirs.log_prob(x, c))
    draws = []
    for model in models:
        torch.manual_seed(0)
        draws.append(model.sample(20, c=c))
    assert torch.equal(*draws)


def test_one_that_looks_ahead_reads_no_past(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "model own\nobserved x : real[2] from moons.point\np(x[d] | x[<d]) = Normal({net}(x[<d]))\n"
    (tmp_path / "own.dgm").write_text(text.format(net=f"{POSITIONS}[rank = 1]"))
    command = ["train", "--allow-python", str(tmp_path / "own.dgm"), "--out", str(tmp_path / "run")]
    assert main(command) == 1
    printed = capsys.readouterr().err
    assert printed.count("error[") == 1 and "error[E608]" in printed and "looks ahead" in printed, printed
    (error,) = check(spec(text.format(net=NET).removeprefix("model own\n")), python=ALLOWED).errors
    assert error.code == "E214" and "rank = 1" in error.help


def test_constructing_one_uses_up_no_random_number_and_leaves_statistics_as_they_are() -> None:
    class Noisy(torch.nn.Module):
        def __init__(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(*inputs)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(x) + torch.randn_like(x)

    torch.manual_seed(0)
    wanted = torch.randn(3)
    torch.manual_seed(0)
    made = dgmppl.runtime.UserNetwork(Noisy, (2,), (2,))
    assert torch.equal(torch.randn(3), wanted)
    assert made.network.norm.num_batches_tracked == 0 and made.network.training


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("body", PLACES.values(), ids=PLACES)
def test_without_the_flag_nothing_is_imported(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tests.contracts.own", raising=False)
    found = check(spec(body))
    assert not found.ok and {d.code for d in found.errors} == {"E225"}
    for d in found.errors:
        assert "tests.contracts.own" in d.headline and "--allow-python" in d.help
    with pytest.raises(SpecError):
        pipeline.emit(found)
    with pytest.raises(SpecError, match="E225"):
        dgmppl.compile(f"model own\n{body}")
    check(spec(body), python=ALLOWED)
    assert "tests.contracts.own" not in sys.modules


HOSTILE_NAMES = (
    "",
    "os",
    "os:",
    ":system",
    "os.path",
    "os:path:join",
    "os; import sys:Net",
    "os:Net)",
    "os:Net, print(1)",
    "os:Net as rt",
    "..os:Net",
    "os.:Net",
    ".:Net",
    "../nets:Net",
    "/tmp/nets:Net",
    "nets.py:Net.",
    "os :Net",
    "os:Net ",
    "os:Nét",
    "оs:Net",
    "class:Net",
    "os:lambda",
    "os.import:Net",
    "os:1Net",
    "{os}:Net",
    "os\\n:Net",
    "'os':Net",
    "os:*",
)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_what_is_no_dotted_name_is_refused_before_anything_is_imported(name: str) -> None:
    before = set(sys.modules)
    for python in (pipeline.Python(), ALLOWED):
        found = check(spec(PLACES["a factor and a posterior"].replace("tests.contracts.own:Net", name)), python=python)
        assert {d.code for d in found.errors} == {"E210"}, [d.headline for d in found.errors]
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    "option",
    ["inputs = 1", "outputs = 1", "context = 3", "self = 1", "class = 1", "lambda = 1", "8", "hidden = 1, hidden = 2",
     "rank = 3", "rank = true", 'hidden = "x"', "hidden = [1]", "hidden = mlp[4]", "rank = 0.5"],
)  # fmt: skip
def test_options_that_python_or_the_protocol_cannot_take(option: str) -> None:
    body = PLACES["a factor and a posterior"].replace("hidden = 4", option)
    found = check(spec(body), python=ALLOWED)
    assert not found.ok
    assert {d.code for d in found.errors} <= {"E101", "E103", "E107", "E209", "E210", "E217"}, found.errors


def test_before_another_network_it_needs_a_size() -> None:
    body = PLACES["by name, behind a network"].replace(f"mlp[6] >> {NET}", f"{NET} >> mlp[6]")
    (error, *_) = check(spec(body), python=ALLOWED).errors
    assert error.code == "E209" and "no hidden layer" in error.headline
    sized = body.replace(f"net f = {NET} >> mlp[6]\n", "").replace("Normal(f(z))", "Normal(mlp[6](h))")
    sized = sized.replace("Normal(f(x))", "Normal(mlp[6](x))") + error.help[error.help.index("let h") :].replace(
        "...", "z"
    )
    assert check(spec(sized), python=ALLOWED).ok


@pytest.mark.parametrize("name", ["torch", "rt", "x", "z", "Own", "print", "Tensor", "super"])
def test_an_imported_class_hides_nothing(name: str) -> None:
    body = PLACES["a factor and a posterior"].replace("own:Net", f"own:{name}")
    source = pipeline.emit(check(spec(body), python=ALLOWED)).text
    (line,) = re.findall(r"^from tests\.contracts\.own import .*$", source, re.MULTILINE)
    assert line == f"from tests.contracts.own import {name} as {name}_"
    assert f"rt.UserNetwork({name}_, (2,), (4,), hidden=4)" in source


def test_emitted_source_imports_the_class_in_plain_sight_and_quotes_texts() -> None:
    source = pipeline.emit(check(spec(PLACES["a factor and a posterior"]), python=ALLOWED)).text
    imports = [ast.unparse(n) for n in ast.parse(source).body if isinstance(n, (ast.Import, ast.ImportFrom))]
    assert "from tests.contracts.own import Net" in imports
    assert 'rt.UserNetwork(Net, (2,), (4,), activation="relu")' in source


MODULE = "from torch import nn\n\nclass Net(nn.Module):\n"
WRONG = {
    "missing": (None, "no module `{name}` in"),
    "failing": ("raise ValueError('not today')\n", "fails as it is imported: ValueError: not today"),
    "leaving": ("raise SystemExit(3)\n", "fails as it is imported: SystemExit: 3"),
    "unfinished": ("class Net(\n", "fails as it is imported: SyntaxError"),
    "without the class": ("class Other: pass\n", "`{name}` has no class `Net`"),
    "no module of torch": ("class Net: pass\n", "`Net` is no class that derives from torch.nn.Module"),
    "a function": ("def Net(*a, **k): raise SystemExit\n", "`Net` is no class that derives from torch.nn.Module"),
    "another signature": (
        f"{MODULE}    def __init__(self, inputs): super().__init__()\n",
        "does not take (inputs, outputs)",
    ),
    "a failing constructor": (
        f"{MODULE}    def __init__(self, inputs, outputs): raise ValueError('no')\n",
        "`Net` fails as it is built: ValueError: no",
    ),
    "no forward": (f"{MODULE}    def __init__(self, inputs, outputs): super().__init__()\n", "`Net` fails on an input"),
    "another shape": (
        f"{MODULE}    def __init__(self, inputs, outputs): super().__init__()\n    def forward(self, x): return x\n",
        "`Net` gives shape (2, 2), not (2, 4)",
    ),
    "no tensor": (
        f"{MODULE}    def __init__(self, inputs, outputs): super().__init__()\n    def forward(self, x): return 3\n",
        "`Net` gives int, not a tensor",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_class_is_said_once(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, said = WRONG[what]
    name = f"wrong_{what.replace(' ', '_')}"
    if content is not None:
        (tmp_path / f"{name}.py").write_text(content)
    text = f'model own\n{VECTORS}p(x | z) = Normal(python("{name}:Net")(z))\nq(z | x) = Normal(mlp[4](x))\n'
    (tmp_path / "own.dgm").write_text(text)
    assert main(["check", "--allow-python", str(tmp_path / "own.dgm")]) == 0
    command = ["train", "--allow-python", str(tmp_path / "own.dgm"), "--out", str(tmp_path / "run")]
    assert main(command) == 1
    printed = capsys.readouterr().err
    assert printed.count("error[") == 1 and "error[E608]" in printed, printed
    assert said.format(name=name) in printed.replace("\n", " "), printed
    assert "own.dgm:5:" in printed and "Traceback" not in printed
    assert not (tmp_path / "run").exists()


def test_a_second_module_of_one_name_is_not_taken_for_the_first(tmp_path: Path) -> None:
    text = f'model own\n{VECTORS}p(x | z) = Normal(python("twice:Net")(z))\nq(z | x) = Normal(mlp[4](x))\n'
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(Path(__file__).parent / "contracts" / "own.py", tmp_path / name / "twice.py")
        (tmp_path / name / "own.dgm").write_text(text)
    assert dgmppl.compile(tmp_path / "a" / "own.dgm", allow_python=True)
    assert dgmppl.compile(tmp_path / "a" / "own.dgm", allow_python=True)
    with pytest.raises(SpecError, match="another module of that name"):
        dgmppl.compile(tmp_path / "b" / "own.dgm", allow_python=True)
    assert str(tmp_path / "a") not in sys.path


# --- runs ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    marker = "from pathlib import Path\nPath(__file__).with_name('IMPORTED').touch()\n"
    own = (Path(__file__).parent / "contracts" / "own.py").read_text()
    (folder / "run_nets.py").write_text(own + marker)
    body = PLACES["a factor and a posterior"].replace("tests.contracts.own", "run_nets")
    (folder / "own.dgm").write_text(f"model own\n{body}train {{ epochs = 1 }}\n")
    command = ["train", str(folder / "own.dgm"), "--out", str(folder / "run")]
    assert main(command) == 1
    assert not (folder / "run").exists() and not (folder / "IMPORTED").exists()
    assert main([*command, "--allow-python"]) == 0
    (folder / "IMPORTED").unlink()
    return folder


ACTIONS: dict[str, Callable[[Path, bool], object]] = {
    "load": lambda run, allow: dgmppl.load(run, allow_python=allow),
    "sample": lambda run, allow: sample_run(run, 2, run / "s.npz", allow_python=allow),
    "evaluate": lambda run, allow: evaluate(run, importance=2, allow_python=allow),
    "report": lambda run, allow: report_run(run, allow_python=allow),
    "open": lambda run, allow: load_run(run, allow_python=allow),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_run_is_opened_with_the_flag_again_and_not_without(action: str, original: Path) -> None:
    run, loaded = original / "run", sys.modules.pop("run_nets", None)
    with pytest.raises(SpecError) as caught:
        ACTIONS[action](run, False)
    assert {d.code for d in caught.value.diagnostics} == {"E225"}
    assert str(original / "run_nets.py") in caught.value.diagnostics[0].headline
    assert "run_nets" not in sys.modules and not (original / "IMPORTED").exists()
    if loaded is not None:
        sys.modules["run_nets"] = loaded
    ACTIONS[action](run, True)


@pytest.mark.parametrize(
    "command",
    [
        ["check", "own.dgm"],
        ["explain", "own.dgm"],
        ["graph", "own.dgm", "-o", "g.dot"],
        ["compile", "own.dgm"],
        ["compile", "own.dgm", "--target", "pyro"],
        ["train", "own.dgm", "--out", "other"],
        ["train", "--resume", "run"],
        ["sample", "run", "-o", "s.npz"],
        ["evaluate", "run"],
        ["report", "run"],
        ["sweep", "own.dgm", "--over", "train.lr=1e-3..1e-2", "--trials", "1", "--out", "sweep"],
    ],
    ids=lambda c: " ".join(c[:1]),
)
def test_every_command_refuses_and_none_leaves_a_trace(
    command: list[str], original: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(original)
    monkeypatch.delitem(sys.modules, "run_nets", raising=False)
    before = {p.name for p in original.iterdir()}
    assert main(command) == 1
    printed = capsys.readouterr().err
    assert "error[E225]" in printed and "run_nets.py" in printed and "--allow-python" in printed
    assert {p.name for p in original.iterdir()} == before and "run_nets" not in sys.modules


def test_fmt_only_reads_the_text(original: Path) -> None:
    assert main(["fmt", "--check", str(original / "own.dgm")]) in (0, 1)
    assert not (original / "IMPORTED").exists()


def test_a_run_that_moved_with_its_folder_finds_its_module(original: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(original, tmp_path / "moved"))
    record = json.loads((moved / "run" / "run.json").read_text())
    assert record["python"]["classes"] == ["run_nets:Net"]
    with pytest.raises(SpecError) as caught:
        load_run(moved / "run")
    assert str(moved / "run_nets.py") in caught.value.diagnostics[0].headline


@pytest.mark.parametrize("value", [None, 1, "x", [1], {"classes": 3}, {"classes": [1], "folder": 3},
                                   {"classes": ["\0:N"], "folder": "\0", "folder_relative": "\0"}])  # fmt: skip
def test_a_record_of_any_content_is_data(value: object, original: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(original / "run", tmp_path / "run"))
    (run / "run_nets.py").write_text("from pathlib import Path\nPath(__file__).with_name('OWNED').touch()\n")
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "python": value}))
    with pytest.raises(SpecError) as caught:
        load_run(run)
    assert {d.code for d in caught.value.diagnostics} == {"E225"}
    assert not (run / "OWNED").exists()


def test_a_sweep_trains_with_it(original: Path, tmp_path: Path) -> None:
    command = ["sweep", str(original / "own.dgm"), "--over", "train.lr=1e-3..1e-2", "--trials", "1", "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path / "sweep"), "--allow-python"]) == 0
    record = json.loads((tmp_path / "sweep" / "trials" / "0000" / "run.json").read_text())
    assert np.isfinite(record["figures"]["test"]["elbo"]["mean"])
