"""The language reference: every example is checked, every word of the language is there."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from dgmppl import pipeline
from dgmppl.catalogue import training
from dgmppl.catalogue.bijections import BIJECTIONS
from dgmppl.catalogue.distributions import DISTRIBUTIONS
from dgmppl.catalogue.functions import AXES, FUNCTIONS
from dgmppl.catalogue.networks import ACTIVATIONS, NETWORKS
from dgmppl.catalogue.transforms import TRANSFORMS
from dgmppl.data.catalogue import DATASETS
from dgmppl.graph.scope import RESERVED
from dgmppl.plan.settings import TrainSettings
from dgmppl.supports import SUPPORTS
from dgmppl.syntax import tree
from tests.contracts.support import build, data_of, graph_of, samples_of, verify_support

from .reference import ARCHITECTURE, PATH, Example, examples, updated

REFERENCE = PATH.read_text(encoding="utf-8")
EXAMPLES = examples(REFERENCE)
GRAMMAR = (Path(__file__).parents[2] / "grammar" / "dgm.lark").read_text(encoding="utf-8")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"line {e.line}")
def test_example(example: Example) -> None:
    checked = pipeline.read(example.text)
    assert {d.code for d in checked.diagnostics} == set(example.codes), checked.diagnostics
    assert checked.ok == (not any(code.startswith("E") for code in example.codes))


@pytest.mark.parametrize("example", [e for e in EXAMPLES if not e.codes], ids=lambda e: f"line {e.line}")
def test_a_good_example_compiles_to_python(example: Example) -> None:
    compile(pipeline.emit(pipeline.read(example.text)).text, "example", "exec")


# What has an energy is drawn by a chain of many steps, which tests of energies run.
@pytest.mark.parametrize("example", [e for e in EXAMPLES if not e.codes and "E(" not in e.text], ids=lambda e: e.line)
def test_a_good_example_runs(example: Example) -> None:
    """Losses are numbers that differentiate, and draws have the types that are declared."""
    found = pipeline.read(example.text)
    model, data = build(found), data_of(found, 3)
    for player in model.players():
        loss = player.loss(*data)
        assert loss.shape == ()
        assert loss.isfinite()
        loss.backward()
    for name, values in samples_of(found, model, 3, data).items():
        verify_support(graph_of(found)[name].type, values, 3)


@pytest.mark.parametrize("path", [PATH, ARCHITECTURE], ids=lambda p: p.stem)
def test_tables_are_those_of_the_code(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert updated(page) == page, "write them with: python -m tests.docs"


def _fields() -> Iterator[str]:
    for name, data in DATASETS.items():
        yield from (f"{name}.{field}" for field in data.fields)


def _options() -> Iterator[str]:
    tables = (training.OBJECTIVES, training.OPTIMIZERS, training.GAMES, training.DECAYS, training.SPLITS)
    signatures = [s for table in tables for s in table.values()]
    signatures += [entry.signature for table in (NETWORKS, BIJECTIONS, DISTRIBUTIONS) for entry in table.values()]
    for signature in signatures:
        yield from signature.names


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=name)
        for name, words in {
            "distributions": DISTRIBUTIONS,
            "networks": NETWORKS,
            "activations": ACTIVATIONS,
            "bijections": BIJECTIONS,
            "functions": [*FUNCTIONS, *AXES],
            "transforms": TRANSFORMS,
            "supports": SUPPORTS,
            "data": list(_fields()),
            "settings": training.SETTINGS,
            "optimizers": training.OPTIMIZERS,
            "objectives": [*training.OBJECTIVES, *training.UNBUILT_OBJECTIVES],
            "games": training.GAMES,
            "options": list(_options()),
            "words": RESERVED,
        }.items()
    ],
)
def test_every_entry_of_the_catalogue_is_mentioned(words: list[str]) -> None:
    # In code, so that a word of the prose does not count.
    code = " ".join(re.findall(r"`([^`]+)`", REFERENCE.replace("```", "")))
    mentioned = set(re.findall(r"[A-Za-z][\w.]*", code))
    assert set(words) <= mentioned


def test_every_keyword_of_the_grammar_is_mentioned() -> None:
    keywords = set(re.findall(r'"([A-Za-z]+)"', GRAMMAR)) | {"observed", "latent", "partial"}
    assert {"model", "const", "schedule", "adversary"} <= keywords
    assert keywords - set(re.findall(r"[A-Za-z]+", " ".join(e.text for e in EXAMPLES))) == set()


def _classes(node: object) -> Iterator[type]:
    if isinstance(node, tree.Node):
        yield type(node)
        node = tuple(vars(node).values())
    if isinstance(node, tuple):
        for part in node:
            yield from _classes(part)


def test_every_form_of_the_syntax_tree_stands_in_an_example() -> None:
    used: set[type] = set()
    for example in EXAMPLES:
        used.update(_classes(pipeline.read(example.text).spec))
    assert isinstance(tree.Statement, types.UnionType)
    forms = {*get_args(tree.Statement), *get_args(tree.Expr), tree.Past, tree.Binding, tree.Family, tree.Range}
    assert forms - used == set()


@pytest.mark.parametrize("name", ["epochs", "patience", "batch", "adversary_steps", "seed"])
def test_defaults_of_settings(name: str) -> None:
    (row,) = re.findall(rf"^\| `{name}` \|[^|]*\| (\S+) \|$", REFERENCE, re.MULTILINE)
    assert int(row) == getattr(TrainSettings(), name)


def test_links_within_the_reference() -> None:
    links = set(re.findall(r"\]\(#([^)]*)\)", REFERENCE))
    anchors = {
        level: {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in found}
        for level, found in ((k, re.findall(rf"^{'#' * k} (.+)$", REFERENCE, re.MULTILINE)) for k in (2, 3))
    }
    assert anchors[2] <= links, "the contents have every chapter"
    assert links <= anchors[2] | anchors[3]
