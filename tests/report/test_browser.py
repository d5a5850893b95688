"""Pages in a browser: nothing is asked of any other machine, and nothing is complained about."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from dgmppl.report.compare import compare, write_comparison
from dgmppl.report.page import report_run

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--enable-logging=stderr",
    # What the browser asks for on its own goes nowhere.
    "--host-resolver-rules=MAP * ~NOTFOUND",
]

pytestmark = [pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no chromium"), pytest.mark.painted]


def open_page(page: Path, folder: Path) -> tuple[str, set[str], str]:
    """What the browser's console said, which addresses it asked for, and the document that it made of the page."""
    log = folder / "net.json"
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}", "--dump-dom"]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    console = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return console, asked_for(log.read_text(errors="replace")), done.stdout


def asked_for(log: str) -> set[str]:
    """The addresses that a page asked for; the browser's own requests come from no page and have no origin."""
    assert '"constants"' in log, "the browser kept no log of the network"
    begun = [line for line in log.splitlines() if '"initiator":' in line and '"initiator":"not an origin"' not in line]
    return {url for line in begun for url in re.findall(r'"url":"((?!file:|data:|about:)[^"]+)"', line)}


@pytest.mark.parametrize("name", ["vae", "gan", "flow"])
def test_a_report_fetches_nothing_and_has_no_errors(copy_of, tmp_path, name):
    page, _ = report_run(copy_of(name))
    console, asked, document = open_page(page, tmp_path)
    assert console == ""
    assert asked == set()
    assert "<h1>" in document


def test_a_comparison_too(run_of, tmp_path):
    page = tmp_path / "compared.html"
    write_comparison(compare([run_of("vae"), run_of("flow")]), page)
    console, asked, _ = open_page(page, tmp_path)
    assert (console, asked) == ("", set())


SMUGGLED = "<script>console.error('ran')</script><img src='http://127.0.0.1:9/x.png'>"


def test_what_is_listened_for_is_heard(tmp_path):
    page = tmp_path / "loud.html"
    page.write_text(f"<!DOCTYPE html><html><body>{SMUGGLED}</body></html>")
    console, asked, _ = open_page(page, tmp_path)
    assert "ran" in console
    assert asked == {"http://127.0.0.1:9/x.png"}


def test_the_policy_holds_even_where_the_page_would_not(copy_of, tmp_path):
    page, _ = report_run(copy_of("rbm"))
    page.write_text(page.read_text().replace("</main>", f"{SMUGGLED}</main>"))
    console, asked, _ = open_page(page, tmp_path)
    assert "Content Security Policy" in console
    assert '"ran"' not in console
    assert asked == set()
