"""Runs killed at random moments and resumed come to the bits of one that was left alone.

A handful here; `pytest tests/train/test_kills.py --kills 100` for the whole of it.
"""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from dgmppl.cli import main
from tests.processes import Command

pytestmark = pytest.mark.painted

EPOCHS = 20
SPEC = """\
model small
observed x : real[2] from moons.point
latent   z : real[2]
p(z)     = Normal(0, 1)
p(x | z) = Normal(mlp[16](z))
q(z | x) = Normal(mlp[16](x))
train { epochs = 20, batch = 100, optimizer = adam(3e-3), warmup = 30, decay = cosine(to = 0.1), ema = 0.99, clip = 5 }
"""

PROCESSES = {"one process": (), "two processes": ("--devices", "2")}


def start(folder, out, *flags):
    flags = (*flags, "--device", "cpu", "--resume", out)
    return Command(folder, "train", "small.dgm", *flags)


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def epochs_of(run):
    """How many epochs a run has behind it; -1 when its folder is not there yet."""
    return (run / "metrics.jsonl").read_text(encoding="utf-8").count("\n") if (run / "metrics.jsonl").exists() else -1


def outcome(run):
    files = [(run / name).read_bytes() for name in ("weights.safetensors", "samples.png")]
    return files, [{**line, "seconds": 0} for line in metrics(run)]


@pytest.fixture(scope="module", params=PROCESSES)
def alone(request, tmp_path_factory):
    """The folder of a run that was left alone, and its flags."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "small.dgm").write_text(SPEC, encoding="utf-8")
    flags = PROCESSES[request.param]
    command = start(folder, "run", *flags)
    assert command.wait() == 0, command.err
    assert command.out.count("results in") == 1, "one process speaks for all"
    return folder, flags


def test_killed_runs_end_as_if_they_had_been_left_alone(alone, request):
    folder, flags = alone
    kills = request.config.getoption("--kills")
    # Processes that start others take seconds to do so.
    kills = max(1, kills // 3) if flags and kills < 10 else kills
    moments = random.Random(20)
    expected, reached = outcome(folder / "run"), []
    while len(reached) < kills:
        run = folder / str(moments.random())
        command = start(folder, run, *flags, "--checkpoint-every", 0.02)
        epochs = moments.randrange(-1, EPOCHS)
        command.wait_until(lambda run=run, epochs=epochs: epochs_of(run) >= epochs)
        time.sleep(moments.uniform(0, 0.05))
        if not command.kill():  # the fit was quicker
            assert command.wait() == 0, command.err
            continue
        reached.append(epochs_of(run))
        command = start(folder, run, *flags)
        assert command.wait() == 0, command.err
        assert outcome(run) == expected, f"killed after {reached[-1]} epochs"
    print(f"epochs behind them when they were killed: {reached}")


def test_processes_have_the_losses_of_one_with_as_many_microbatches(alone, tmp_path):
    """A loss with noise, averaged weights and clipping; see `test_shards` for one without noise."""
    folder, flags = alone
    if not flags:
        pytest.skip("one process is what is compared with")
    arguments = ["--set", "train.accumulate=2", "--out", str(tmp_path / "one"), "--device", "cpu"]
    assert main(["train", str(folder / "small.dgm"), *arguments]) == 0
    for apart, together in zip(metrics(tmp_path / "one"), metrics(folder / "run"), strict=True):
        for figures in ("losses", "terms", "validation"):
            assert together[figures] == pytest.approx(apart[figures], rel=1e-4, abs=1e-4)
    assert json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))["devices"] == 2


@pytest.mark.skipif(not Path("/proc").exists(), reason="the other process is found through /proc")
def test_a_signal_to_one_process_interrupts_all_and_is_resumed(alone):
    """Whichever process it reaches, and the exit status tells."""
    folder, flags = alone
    run = folder / "signalled"
    command = start(folder, run, *flags)
    command.wait_until(lambda: epochs_of(run) >= 1)
    reached = command.pid
    if flags:
        (other,) = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text(encoding="utf-8").split()
        reached = int(other)
    os.kill(reached, signal.SIGTERM)
    assert command.wait() == 128 + signal.SIGTERM, command.err
    assert "resumes it" in command.out
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["state"] == "interrupted"
    command = start(folder, run, *flags)
    assert command.wait() == 0, command.err
    assert outcome(run) == outcome(folder / "run")
