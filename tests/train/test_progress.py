"""Progress: what is said of steps and epochs, and how often."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.live import Live

from dgmppl.train import progress
from dgmppl.train.history import Epoch
from dgmppl.train.progress import clock_text, show_progress


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def epoch(number, seconds=1.0, **changes):
    known = {
        "step": number,
        "losses": {"model": 2.5},
        "terms": {"log p(x | z)": -2.0, "-KL(z)": -0.5},
        "rates": {"model": 1e-3},
        "validation": {"elbo": -3.25},
        "best": number == 1,
    }
    return Epoch(number, seconds=seconds, **{**known, **changes})


def test_lines_say_losses_terms_and_figures(capsys):
    with show_progress(40) as told:
        told(epoch(1))
        told.on_epoch(epoch(2))
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("epoch    1  loss 2.5  log p(x | z) -2  -KL(z) -0.5  validation elbo -3.25")
    assert first.endswith("  0:39 left at most  *")
    assert not second.endswith("*")


def test_players_are_named_and_a_single_term_is_not_repeated(capsys):
    with show_progress(2) as told:
        told(epoch(1, losses={"adversary": 1.0, "model": 2.0}, terms={"log p(x)": -2.0}, validation={}, best=True))
    assert capsys.readouterr().err == "epoch    1  adversary loss 1  loss 2\n"


def test_later_epochs_have_a_line_now_and_then(capsys):
    with show_progress(27) as told:
        for number in range(1, 28):
            told(epoch(number))
    numbers = [int(line.split()[1]) for line in capsys.readouterr().err.splitlines()]
    assert numbers == [1, 2, 3, 4, 5, 10, 20, 27]


def test_a_long_epoch_has_lines_of_its_own(capsys):
    clock = Clock()
    told = progress._Lines(10, clock)
    for step in range(1, 101):
        clock.now += 1.0
        told.on_step(step, 1000, 1)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[-2] for line in lines] == [f"step {k} of 1000" for k in (30, 60, 90)]
    assert lines[0].endswith("1 steps/s")
    told.on_epoch(epoch(1, seconds=1000.0))
    clock.now += 31.0
    told.on_step(500, 1000, 2)
    # Nine epochs are left, of which half of one is done.
    assert "2:21:40 left at most" in capsys.readouterr().err.splitlines()[-1]


def test_steps_are_looked_at_ten_times_a_second_at_most():
    clock = Clock()

    class Counting(progress.Progress):
        shown = 0

        def show_step(self, step, steps, epoch, seconds):
            self.shown += 1

    told = Counting(1, clock)
    for step in range(1000):
        clock.now += 0.001
        told.on_step(step + 1, 1000, 1)
    assert 8 <= told.shown <= 10
    assert told.rate == pytest.approx(1000, rel=0.01)


def test_a_terminal_sees_bars_and_the_numbers_of_the_last_epoch():
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100)
    with Live(console=console, auto_refresh=False) as live:
        told = progress._Bars(30, live)
        told.on_epoch(epoch(1, terms={"log p(z[3])": -2.0}))
        live.refresh()
        told.epoch_started -= 10.0
        told._looked -= 1.0
        told.on_step(3, 50, 2)
        live.refresh()
    shown = file.getvalue()
    assert "1/30" in shown
    assert "3/50" in shown
    assert "log p(z[3])" in shown
    assert "left at most" in shown
    assert "best in epoch 1" in shown


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (6.2, "0:07"), (750, "12:30"), (11100, "3:05:00")])
def test_times(seconds, text):
    assert clock_text(seconds) == text
