"""Terminals, pipes and locales that cannot show every character: commands say all they have to say, in ASCII."""

import io
import os
import subprocess
import sys

import pytest

from dgmppl.cli import main
from dgmppl.cli.streams import readable

from .specs import VAE

ENCODINGS = ("ascii", "latin-1", "cp437", "utf-8")


class Terminal:
    """Standard output and error with an encoding, as Python opens them: with no handler for what has no code."""

    def __init__(self, monkeypatch, encoding):
        self.encoding = encoding
        self.out, self.err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
        monkeypatch.setattr(sys, "stdout", self.out)
        monkeypatch.setattr(sys, "stderr", self.err)

    def run(self, *arguments):
        """The exit status, and all that was written."""
        status = main([str(a) for a in arguments])
        texts = []
        for stream in (self.out, self.err):
            stream.flush()
            texts.append(stream.buffer.getvalue().decode(self.encoding))
        return status, "".join(texts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A spec with letters of all kinds in its comments, and a run of it."""
    folder = tmp_path_factory.mktemp("terminals")
    (folder / "vae.dgm").write_text(VAE + "# π ± 漢\n", encoding="utf-8")
    (folder / "wrong.dgm").write_text(VAE.replace("Normal(0, 1)", "Normul(0, 1)  # π ± 漢"), encoding="utf-8")
    assert main(["train", str(folder / "vae.dgm"), "--out", str(folder / "run"), "--device", "cpu"]) == 0
    return folder


COMMANDS = {
    "train": (("train", "vae.dgm", "--out", "again", "--overwrite", "--device", "cpu"), "results in", 0),
    "evaluate": (("evaluate", "run"), "elbo", 0),
    "compare": (("compare", "run"), "best epoch", 0),
    "report": (("report", "run"), "report.html", 0),
    "explain": (("explain", "vae.dgm"), "ELBO", 0),
    "compile": (("compile", "vae.dgm"), "class ", 0),
    "check": (("check", "wrong.dgm"), "Normul", 1),
    "no file": (("check", "w\udcffrong\u6f22.dgm"), "E701", 2),
    "sweep": (("sweep", "vae.dgm", "--over", "train.batch=100|200", "--trials", "1", "--out", "sweep"), "1 done", 0),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_speak_ascii(name, folder, monkeypatch):
    arguments, said, expected = COMMANDS[name]
    monkeypatch.chdir(folder)
    terminal = Terminal(monkeypatch, "ascii")
    status, text = terminal.run(*arguments)
    assert (status, said in text) == (expected, True), text
    assert text.isascii()
    if name in ("train", "evaluate", "compare"):
        assert "+-" in text


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_figures_have_the_sign_that_the_encoding_has(encoding, folder, monkeypatch):
    status, text = Terminal(monkeypatch, encoding).run("evaluate", folder / "run")
    assert status == 0
    assert ("+-" if encoding == "ascii" else "±") in text


def test_a_handler_that_was_asked_for_is_kept(folder, monkeypatch):
    terminal = Terminal(monkeypatch, "ascii")
    terminal.out.reconfigure(errors="replace")
    assert " ? " in terminal.run("evaluate", folder / "run")[1]


@pytest.mark.parametrize(
    ("character", "expected"),
    [
        ("±", "+-"),
        ("−", "-"),
        ("━", "-"),
        ("│", "|"),
        ("⠋", "#"),
        ("π", "\\u03c0"),
        ("é", "\\xe9"),
        ("\udcff", "\\xff"),
    ],
)
def test_what_stands_for_a_character(character, expected):
    assert readable(character) == expected


def test_a_locale_without_letters(folder):
    """Neither what is printed nor what is read and written depends on the locale."""
    locale = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONIOENCODING"} | locale
    command = [sys.executable, "-X", "warn_default_encoding", "-m", "dgmppl.cli"]
    for arguments, said, expected in (COMMANDS["evaluate"], COMMANDS["check"]):
        done = subprocess.run(
            [*command, *arguments], cwd=folder, env=environment, capture_output=True, check=False, timeout=100
        )
        text = (done.stdout + done.stderr).decode("ascii")
        assert (done.returncode, said in text) == (expected, True), text
        assert "EncodingWarning" not in "".join(line for line in text.splitlines() if "dgmppl/" in line)
