"""Whatever a spec is changed into, it ends in a model or in diagnostics, never in a traceback.

500 mutations of good specs are tried; `pytest tests/test_mutations.py --mutations 20000` tries more. A seed is
a mutation: `mutate(random.Random(seed), corpus())` is the text again.
"""

from __future__ import annotations

import random
from functools import cache

import pytest

from dgmppl import pipeline
from dgmppl.diagnostics import Diagnostic, SpecError
from dgmppl.diagnostics.codes import CODES
from dgmppl.diagnostics.render import render
from dgmppl.pipeline import Checked, check, emit
from dgmppl.plan.rules.energy import NegativePhase
from dgmppl.source import Source
from tests.contracts.support import conditions_of, data_of
from tests.harmless import verify_harmless
from tests.mutations import corpus, mutate

GOOD = corpus()
CHUNKS = 10
MAX_WEIGHTS = 300_000
RUN = 3  # of every chunk's models, those that are built and run


@cache
def mutants(chunk: int, count: int) -> tuple[tuple[int, str], ...]:
    return tuple((seed, mutate(random.Random(seed), GOOD)) for seed in range(chunk, count, CHUNKS))


def verify(diagnostics: tuple[Diagnostic, ...], text: str) -> None:
    for d in diagnostics:
        assert d.code in CODES, d
        assert d.headline, d
        for span in [d.span, *(n.span for n in d.notes)]:
            assert span is None or 0 <= span.start <= span.end <= len(text), d


def verify_outcome(text: str) -> Checked:
    """A spec is either refused, with errors that have a place, or compiles."""
    found = check(Source("mutant.dgm", text))
    verify(found.diagnostics, text)
    assert found.ok != bool(found.errors), "a spec is refused exactly if it has errors"
    assert render(found.diagnostics, found.source) or found.ok
    if found.ok:
        verify_harmless(emit(found).text)
        try:
            verify_harmless(emit(found, "pyro").text)
        except SpecError as refused:
            verify(refused.diagnostics, text)
    return found


def test_the_specs_that_are_mutated_are_good() -> None:
    for text in GOOD:
        assert not check(Source("good.dgm", text)).errors, text


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_mutated_spec_compiles_or_is_refused(chunk: int, pytestconfig: pytest.Config) -> None:
    for seed, text in mutants(chunk, pytestconfig.getoption("mutations")):
        try:
            verify_outcome(text)
        except Exception as error:
            raise AssertionError(f"mutation {seed}:\n{text}") from error


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_mutated_spec_that_compiles_runs(chunk: int, pytestconfig: pytest.Config) -> None:
    done = 0
    for seed, text in mutants(chunk, pytestconfig.getoption("mutations")):
        if done == RUN:
            break
        found = check(Source("mutant.dgm", text))
        if text in GOOD or not _small(found):
            continue
        done += 1
        try:
            _run(found)
        except Exception as error:
            # Numbers that overflow are the spec's; they have a line there, and the words are torch's own.
            if not str(error).startswith("Expected ") or pipeline.locate(error, found) is None:
                raise AssertionError(f"mutation {seed}:\n{text}") from error


def _small(found: Checked) -> bool:
    plan, graph = found.plan, found.graph
    if plan is None or graph is None:
        return False
    chains = [t.chain for t in plan.terms if isinstance(t, NegativePhase)]
    short = all(chain.steps <= 20 and chain.chains <= 256 for chain in chains)
    gibbs = any(u.kind == "sites" for s in plan.samplers for u in s.updates)  # an element at a time: slow
    few = all(v.type.features <= 256 for v in graph.variables)
    return plan.structure.weights <= MAX_WEIGHTS and short and few and not gibbs


def _run(found: Checked) -> None:
    """A step of every player, the figures, and two samples."""
    model = pipeline.build(found)
    data = data_of(found, n=2)
    for player in model.players():
        loss = player.loss(*data)
        assert loss.shape == ()
        if loss.requires_grad:
            loss.backward()
    some = found.graph is not None and found.graph.partial  # figures of the rows that have one
    for figure in model.figures(*data).values():
        assert figure.shape == (2,) or (some and figure.dim() == 1)
    model.sample(2, **conditions_of(found, data))
