"""Runs killed at random moments and gone on with come to the bits of one that was left alone.

A handful here; `pytest tests/train/test_kills.py --kills 100` for the whole of it.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

EPOCHS = 40
SPEC = """\
model small
observed x : real[2] from moons.point
latent   z : real[2]
p(z)     = Normal(0, 1)
p(x | z) = Normal(mlp[16](z))
q(z | x) = Normal(mlp[16](x))
train { epochs = 40, batch = 100, optimizer = adam(3e-3), warmup = 30, decay = cosine(to = 0.1), ema = 0.99, clip = 5 }
"""

PROCESSES = {"one process": (), "two processes": ("--devices", "2")}


def start(folder, out, flags):
    command = [sys.executable, "-m", "dgmppl.cli", "train", folder / "small.dgm", "--device", "cpu", *flags]
    command += ["--resume", out, "--checkpoint-every", "0.02"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    # A session of its own, so that a kill reaches all of its processes.
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, start_new_session=True, **pipes)


def epochs_of(run):
    """How many epochs a run has behind it; -1 when its folder is not there yet."""
    metrics = run / "metrics.jsonl"
    return len(metrics.read_text().splitlines()) if metrics.exists() else -1


def wait_for(process, run, epochs):
    while process.poll() is None and epochs_of(run) < epochs:
        time.sleep(0.002)


def outcome(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return (run / "weights.safetensors").read_bytes(), [{**line, "seconds": 0} for line in lines]


@pytest.fixture(scope="module", params=PROCESSES)
def alone(request, tmp_path_factory):
    """The folder of a run that was left alone, and its flags."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "small.dgm").write_text(SPEC)
    flags = PROCESSES[request.param]
    process = start(folder, folder / "run", flags)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return folder, flags


def test_killed_runs_end_as_if_they_had_been_left_alone(alone, request, tmp_path):
    folder, flags = alone
    kills = request.config.getoption("--kills")
    moments = random.Random(20)
    expected, reached = outcome(folder / "run"), []
    for k in range(kills):
        run = tmp_path / str(k)
        process = start(folder, run, flags)
        wait_for(process, run, moments.randrange(-1, EPOCHS))
        time.sleep(moments.uniform(0, 0.05))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        reached.append(epochs_of(run))
        process = start(folder, run, flags)
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        assert outcome(run) == expected, f"killed after {reached[-1]} epochs"
    print(f"epochs behind them when they were killed: {reached}")
