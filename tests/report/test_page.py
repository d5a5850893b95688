"""The page of a run: what is on it for each kind of model, and that nothing on it comes from or goes anywhere else."""

from __future__ import annotations

import json
import re

import pytest

from dgmppl.cli import main
from dgmppl.diagnostics import SpecError
from dgmppl.report import page as page_module
from dgmppl.report.page import report_run
from dgmppl.report.style import POLICY

from .runs import SPECS, parse

pytestmark = pytest.mark.painted

ALWAYS = {"figures", "model", "objective", "curves", "samples", "data", "settings"}
HOSTILE = "\"'><script>alert(1)</script><img src=https://evil.example/x onerror=alert(2)><!-- ]]> &amp; \u202e"


def verify_harmless(found):
    """Nothing is fetched and nothing runs."""
    (policy,) = [e for e in found.all("meta") if e.attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policy.attributes["content"] == POLICY
    # A policy holds from where it stands: nothing that could fetch may come before it.
    tags = [e.tag for e in found.elements]
    assert set(tags[: found.elements.index(policy)]) <= {"html", "head", "meta"}
    for banned in (
        "script",
        "link",
        "iframe",
        "object",
        "embed",
        "form",
        "base",
        "video",
        "audio",
        "use",
        "foreignobject",
    ):
        assert banned not in tags
    for element in found.elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on")
            assert name not in ("srcset", "xlink:href", "background", "poster", "action", "formaction")
            if name == "src":
                assert value.startswith("data:image/")
            if name == "href":
                assert value.startswith("#")
            assert "url(" not in value
    assert all("url(" not in e.text and "@import" not in e.text for e in found.all("style"))


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("vae", {"reconstructions", "latents"}),
        ("flow", {"latents"}),
        ("gan", set()),
        ("rbm", {"reconstructions", "latents"}),
        ("hierarchy", {"reconstructions", "latents"}),
        ("partial", {"reconstructions", "latents"}),
        ("mean_field", {"reconstructions", "latents"}),
        ("shared", {"reconstructions", "latents", "common"}),
    ],
)
def test_what_is_there_for_each_kind_of_model(copy_of, name, more):
    run = copy_of(name)
    out, missing = report_run(run)
    assert out == run / "report.html"
    assert missing == ()
    found = parse(out)
    verify_harmless(found)
    assert found.ids == ALWAYS | more
    assert {a.attributes["href"] for a in found.all("a")} == {f"#{name}" for name in found.ids}
    assert SPECS[name].splitlines()[0].split()[1] in found.all("h1")[0].text
    assert found.all("math")
    assert "could not be made" not in found.text
    for image in (*found.all("img"), *(s for s in found.all("svg") if s.attributes.get("role") == "img")):
        assert image.attributes.get("alt") or image.attributes.get("aria-label")


def test_what_rows_have_in_common_is_told_once(copy_of):
    cells = [e.text for e in parse(report_run(copy_of("shared"))[0]).all("td")]
    assert [c for c in cells if c.startswith(("w[", "m["))] == [
        "w[0]",
        "w[1]",
        "m[0, 0]",
        "m[0, 1]",
        "m[1, 0]",
        "m[1, 1]",
    ]


def test_units_and_bits(copy_of):
    found = parse(report_run(copy_of("vae"))[0])
    units = {e.text for e in found.all("td")}
    assert {"nats", "bits per dimension"} <= units
    continuous = parse(report_run(copy_of("flow"))[0])
    assert "bits per dimension" not in {e.text for e in continuous.all("td")}
    measured = {e.text for e in parse(report_run(copy_of("gan"))[0]).all("td")}
    assert {"mmd2", "precision", "recall", "share of samples"} <= measured


def test_a_panel_for_each_number_of_an_epoch(copy_of):
    run = copy_of("vae")
    titles = {e.text for e in parse(report_run(run)[0]).all("h3")}
    assert {"loss", "term: log p(x | z)", "term: -KL(q(z | x) || p(z))", "validation: elbo"} <= titles
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for k, line in enumerate(lines):
        line["rates"]["model"] = 0.1 / (k + 1)
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "learning rate" in {e.text for e in parse(report_run(run)[0]).all("h3")}


def test_why_this_objective(copy_of):
    text = parse(report_run(copy_of("vae"))[0]).text
    assert "z is latent and no bijection of the data: it is drawn from q(z | x) (line 6)" in text
    assert "one reparameterised sample of z; KL in closed form" in text


def hostile(value):
    """The same record with hostile texts for all texts and in all names, where opening the run allows it."""
    if isinstance(value, dict):
        return {f"{key}{HOSTILE}": hostile(v) for key, v in value.items()} | {k: hostile(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(v) for v in value]
    return HOSTILE if isinstance(value, (str, float)) else value


def test_a_hostile_folder_is_shown_and_does_nothing(copy_of):
    run = copy_of("vae")
    record = json.loads((run / "run.json").read_text())
    kept = ("kind", "format", "overrides", "state", "spec_digest")
    changed = {key: value if key in kept else hostile(value) for key, value in record.items()}
    changed["data_folder"] = HOSTILE
    kept_field = record["data"]["fields"]["x"]
    changed["data"]["fields"] = {"x": {**kept_field, "columns": [HOSTILE]}}
    del changed["spec_digest"]
    changed["figures"] = {f"test{HOSTILE}": {HOSTILE: {"mean": 1.0, "standard_error": 0.1, "rows": 3}}}
    (run / "run.json").write_text(json.dumps(changed))
    line = {"number": 1, "seconds": 1, "losses": {HOSTILE: 1.0}, "terms": {HOSTILE: 2.0}, "best": HOSTILE}
    (run / "metrics.jsonl").write_text((json.dumps(line) + "\n") * 2)
    spec = f"# {HOSTILE.replace(chr(0x202E), '')} </pre></code>\n" + (run / "spec.dgm").read_text()
    (run / "spec.dgm").write_text(spec)
    (run / "graph.svg").write_text("<svg onload='alert(3)'><script>alert(3)</script></svg>")
    page, missing = report_run(run)
    assert not any("digits" in what for what in missing)
    found = parse(page)
    verify_harmless(found)
    assert found.text.count("<script>alert(1)</script>") > 10
    assert found.ids == ALWAYS | {"reconstructions", "latents"}


@pytest.mark.parametrize("value", [None, 1, "x", [1], {"a": 1}, {"test": {"elbo": 3}}, True, 1e400, 10**400])
@pytest.mark.parametrize("entry", ["figures", "settings", "versions", "data", "best_epoch", "seconds", "weights"])
@pytest.mark.painted(False)
def test_a_record_of_any_content_makes_a_page(copy_of, entry, value):
    run = copy_of("rbm")
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, entry: value}))
    verify_harmless(parse(report_run(run)[0]))


def test_metrics_that_are_none(copy_of):
    run = copy_of("rbm")
    for text in ("[]\n", "{}\n", '{"number": 1, "losses": 3}\n', "\x00\n", "[" * 10000 + "\n"):
        (run / "metrics.jsonl").write_text(text)
        with pytest.raises(SpecError, match=r"E651: line 1 of .*metrics\.jsonl"):
            report_run(run)
    (run / "metrics.jsonl").write_bytes(b"\xff\xff\n")
    with pytest.raises(SpecError, match="E651"):
        report_run(run)
    (run / "metrics.jsonl").unlink()
    assert "curves" not in parse(report_run(run)[0]).ids


def test_a_line_that_was_cut_off_is_left_out(copy_of):
    run = copy_of("rbm")
    whole = (run / "metrics.jsonl").read_text()
    (run / "metrics.jsonl").write_text(whole + whole.splitlines()[-1][:20])
    assert "curves" in parse(report_run(run)[0]).ids


def test_a_run_without_weights_or_data_has_what_there_is(copy_of, tmp_path, capsys):
    run = copy_of("vae")
    for file in run.glob("*.safetensors"):
        file.unlink()
    record = json.loads((run / "run.json").read_text())
    changes = {"state": "running", "figures": {}, "spec_digest": None}
    (run / "run.json").write_text(json.dumps({**record, **changes}))
    spec = (
        (run / "spec.dgm").read_text().replace("threshold(digits.image, 8)", 'threshold(flatten("nowhere.npz".x), 8)')
    )
    (run / "spec.dgm").write_text(spec)
    capsys.readouterr()
    assert main(["report", str(run)]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{run / 'report.html'}\n"
    assert "left out: " in printed.err
    assert "nowhere.npz" in printed.err
    found = parse(run / "report.html")
    verify_harmless(found)
    assert {"model", "objective", "curves", "settings"} <= found.ids
    assert not {"latents", "reconstructions"} & found.ids
    assert "The figures come with the end of the run." in found.text


def test_the_same_run_gives_the_same_page(copy_of):
    run = copy_of("hierarchy")
    pages = [report_run(run)[0].read_bytes() for _ in range(2)]
    assert pages[0] == pages[1]


def test_a_page_that_cannot_be_written_leaves_the_old_one(copy_of, monkeypatch):
    run = copy_of("rbm")
    before = report_run(run)[0].read_bytes()

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(page_module.os, "replace", full)
    with pytest.raises(SpecError, match=r"E607: cannot write .*No space left"):
        report_run(run)
    assert (run / "report.html").read_bytes() == before
    assert not list(run.glob(".report*"))


def test_a_section_that_fails_leaves_the_others(copy_of, monkeypatch):
    def broken(report):
        raise ValueError("<no> luck")

    sections = (*page_module.SECTIONS[:-1], page_module.Section("settings", "Settings", broken))
    monkeypatch.setattr(page_module, "SECTIONS", sections)
    monkeypatch.delenv("DGMPPL_DEBUG", raising=False)
    found = parse(report_run(copy_of("rbm"))[0])
    assert found.ids == ALWAYS | {"reconstructions", "latents"}
    assert "This could not be made: <no> luck" in found.text
    monkeypatch.setenv("DGMPPL_DEBUG", "1")
    with pytest.raises(ValueError, match="luck"):
        report_run(copy_of("flow"))


def test_what_is_no_run(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 1
    assert "E602" in capsys.readouterr().err


def test_every_colour_has_a_style():
    from dgmppl.report.style import COLOURS, STYLE

    assert [int(k) for k in re.findall(r"\.s(\d) \{", STYLE)] == list(range(COLOURS))
