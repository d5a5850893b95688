"""Commands on rows, of a run that was begun and not fitted: each gives answers that rows could be, or one refusal."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from dgmppl.apply import element_chains, imputing
from dgmppl.apply.answers import Answers
from dgmppl.apply.fitted import FittedRun
from dgmppl.data.load import load_data
from dgmppl.diagnostics import SpecError
from dgmppl.graph.nodes import Variable
from dgmppl.imputations import in_order
from dgmppl.pipeline import Checked
from dgmppl.plan.figures import likelihood_of
from dgmppl.plan.forecast import indices
from dgmppl.supports import Sphere
from dgmppl.train.densities import DensityUnits
from dgmppl.train.figures import evaluate_figures
from dgmppl.train.runs import Run
from tests.contracts.laws.files import Array, Rows, days_of, is_text, known, raw_rows, write_files
from tests.contracts.support import build, data_of, seed

MOST = 64
"""As many joint values of what is left out are enumerated."""
ROWS = 4
DRAWS = 600
"""Of a row, where what is drawn is compared with its law."""
FAILED = "E601"
"""That emitted code failed, which is no refusal."""


def verify_commands(found: Checked) -> dict[str, str]:
    """Gives what each command did: "" for answers, or how it refused."""
    if found.plan is None:
        return {}
    with _begun(found) as (fitted, rows):
        return {name: _tried(command, fitted, rows) for name, command in COMMANDS.items()}


def _tried(command: Callable[[FittedRun, Rows], str], fitted: FittedRun, rows: Rows) -> str:
    """What a command says; a refusal is one diagnostic that says why."""
    try:
        return command(fitted, rows)
    except SpecError as error:
        (one,) = error.diagnostics
        assert one.severity == "error" and one.code != FAILED, one.headline
        return f"refused: {one.headline}"


@contextmanager
def _begun(found: Checked) -> Iterator[tuple[FittedRun, Rows]]:
    """A run as it is begun, with noise on its weights, and rows in the units of its data."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        rows = raw_rows(found, data_of(found, 40, number=2))
        write_files(found, rows, Path(folder))
        splits = load_data(found, Path(folder))
        fields = {name: field.as_data() for name, field in splits.fields.items()}
        record = {"state": "finished", "data": {"fields": fields}, "data_folder": folder}
        for name, few in {"LEARNING": 3, "BURN_IN": 2, "PARTICLES": 20, "OF_PRIOR": 5, "ROUNDS": 3}.items():
            patch.setattr(imputing, name, few)
        patch.setattr(element_chains, "LEAPFROGS", 3)
        model = build(found, scale=0.05).eval()
        yield FittedRun(model, Run(Path(folder) / "run", found, record)), {n: v[:ROWS] for n, v in rows.items()}


# --- the commands ------------------------------------------------------------------------------------


def _score(fitted: FittedRun, rows: Rows) -> str:
    """The mean of what rows score is what `evaluate` tells, by as many draws."""
    found = fitted.score(split="train", unusual=0, samples=1)
    for name, values in found.items():
        assert not np.isnan(values).any(), name
    likelihood = likelihood_of(fitted.plan)
    if likelihood is not None and not fitted.graph.shared:
        give = DensityUnits(fitted.graph, fitted.plan, fitted.fields).give(fitted.model.figures)
        told = evaluate_figures(fitted.model, fitted.rows(split="train").examples(), give=give)[likelihood.name]
        assert np.mean(found[likelihood.name]) == pytest.approx(told.mean, rel=1e-4, abs=1e-4)
    return ""


def _encode(fitted: FittedRun, rows: Rows) -> str:
    found = fitted.encode(rows, draws=2, samples=3)
    lengths = {v.name for v in fitted.graph.variables if v.length}
    for name, values in found.items():
        assert len(values) == ROWS, name
        if name.removesuffix("_draws").removesuffix("_deviation").removesuffix("_probability") not in lengths:
            assert np.isfinite(values).all(), name
    for v in fitted.graph.latents:
        if v.name in found and not v.length:
            _verify_values(v, found[f"{v.name}_draws"].reshape(-1, *v.type.shape))
    for group in {v.group for v in fitted.graph.latents if v.group is not None and v.name in found}:
        assert len(fitted.encode(rows, per=group, samples=3)[group]) == fitted.graph[group].type.support.size
    found.frame()
    return ""


def _reconstruct(fitted: FittedRun, rows: Rows) -> str:
    _verify_rows(fitted, fitted.reconstruct(rows, draw=True), ROWS, missing=True)
    for name, values in fitted.reconstruct(rows).items():
        assert len(values) == ROWS, name
    return ""


def _interpolate(fitted: FittedRun, rows: Rows) -> str:
    _verify_rows(fitted, fitted.interpolate(rows, steps=3, draw=True), 3 * (ROWS // 2))
    return ""


def _sample(fitted: FittedRun, rows: Rows) -> str:
    if fitted.graph.asked:
        found = fitted.sample(2, {n: v for n, v in rows.items() if n in fitted.graph.conditions})
        _verify_rows(fitted, found, 2 * ROWS)
    else:
        _verify_rows(fitted, fitted.sample(3), 3)
    return ""


def _go_on(fitted: FittedRun, rows: Rows) -> str:
    """Sequences from their first members, where those are given."""
    if len(indices(fitted.graph)) != 1:
        return "no index"
    families = [v for v in fitted.graph.data if v.along in indices(fitted.graph)]
    start = max(v.members[0] for v in fitted.graph.variables if v.along is not None and v.role != "let")
    past = {}
    for v in fitted.graph.data:
        if v in families and v.name not in fitted.graph.conditions:
            past[v.name] = rows[v.name][:, : start - v.members.start + 1]
        elif v.name in fitted.graph.conditions:
            past[v.name] = rows[v.name]
    past = {n: v for n, v in past.items() if not any(w.length == n for w in fitted.graph.data)}
    found = fitted.sample(2, given=past)
    for name in (n for n in past if n in found):
        assert len(found[name]) == 2 * ROWS, name
        there = past[name]
        if fitted.fields[name].invertible and known(there).all():
            kept = found[name][:, : there.shape[1]] if there.ndim > 1 else found[name]
            _verify_kept(kept, there.repeat(2, 0), name)
    return ""


def _clamped(fitted: FittedRun, rows: Rows) -> str:
    """What is missing of rows is drawn by `sample` as by `impute`."""
    gaps = _gaps(fitted, rows)
    if not gaps:
        return "nothing"
    found = fitted.sample(2, given=_pierced(rows, gaps))
    for name, values in rows.items():
        if fitted.fields[name].invertible and name in found:
            there = known(_pierced(rows, gaps)[name])
            _verify_kept(found[name][::2][there], values[there], name)
    return ""


def _impute(fitted: FittedRun, rows: Rows) -> str:
    gaps = _gaps(fitted, rows)
    if not gaps:
        return "nothing"
    pierced = _pierced(rows, gaps)
    found, told = fitted.impute(pierced, draws=2), "not enumerated"
    for name, values in pierced.items():
        there = known(values)
        for k in range(2):
            if fitted.fields[name].invertible:
                _verify_kept(found[name][:, k][there], values[there], name)
        _verify_data(fitted, name, found[name].reshape(-1, *found[name].shape[2:]))
    for v in fitted.graph.data:
        if v.name in gaps and not v.length and (v.type.support.size or math.inf) ** gaps[v.name][0].sum() <= MOST:
            told = _verify_drawn(fitted, rows, v, gaps[v.name])
            if in_order(fitted.run.checked, [v.name]):  # what is last goes another way
                last = np.arange(v.type.elements).reshape(v.type.shape) >= -(-v.type.elements // 2)
                _verify_drawn(fitted, rows, v, np.broadcast_to(last, gaps[v.name].shape))
            break
    return "; ".join([*found.notes[-2:], told])


def _verify_drawn(fitted: FittedRun, rows: Rows, v: Variable, gap: Array) -> str:
    """What is drawn for the missing cells of a row has the law that the log-density of rows gives them."""
    likelihood, size = likelihood_of(fitted.plan), v.type.support.size or 0
    drawn_by_q = [s.variable for s in fitted.plan.steps if any(key[0] == "q" for key in s.comes_from)]
    if likelihood is None or not all(fitted.graph[n].shared for n in drawn_by_q) or not gap[0].any():
        return "no density"
    if likelihood.kind != "log_prob" and not drawn_by_q:
        return "no density"
    one = {n: r[:1] for n, r in rows.items()}
    if v.role == "partial" and not v.elementwise:  # a row that misses some of it misses all of it
        gap = gap | np.isnan(rows[v.name])
    found = fitted.impute(_pierced(one, {v.name: gap[:1]}), draws=DRAWS)
    if "by weights" in str(found.notes):
        return "of few particles"
    low = v.type.support.low or 0.0
    cells = torch.from_numpy(gap[0].reshape(-1) if v.type.shape else gap[0].reshape(1))
    cases = torch.tensor(list(itertools.product(range(size), repeat=int(cells.sum()))))
    given = _in_model(fitted, one)
    whole = given[v.name].reshape(1, -1).repeat(len(cases), 1)
    whole[:, cells] = cases.float() + low
    every = {n: r.expand(len(cases), *r.shape[1:]) for n, r in given.items()}
    every[v.name] = whole.reshape(-1, *v.type.shape)
    expected = torch.zeros(len(cases), dtype=torch.double)
    for k in range(100 if drawn_by_q else 1):  # all cases are given one draw of what rows have in common
        with torch.no_grad(), seed(k):
            log = fitted.model.figures(*(every[d.name] for d in fitted.graph.data))[likelihood.name].double()
        expected += log.softmax(0) / (100 if drawn_by_q else 1)
    drawn = torch.from_numpy(np.asarray(fitted.fields[v.name].apply(found[v.name][0]))).reshape(DRAWS, -1)[:, cells]
    share = (drawn.round()[:, None] - low == cases).all(-1).double().mean(0)
    assert (share - expected).abs().max() < 2.5 / math.sqrt(DRAWS / 4), (v.name, share, expected)
    return "as enumerated"


def _in_model(fitted: FittedRun, rows: Rows) -> dict[str, torch.Tensor]:
    numbers = {n: days_of(r) if is_text(r) else r for n, r in rows.items()}
    return {n: torch.from_numpy(np.asarray(fitted.fields[n].apply(r), np.float32)) for n, r in numbers.items()}


def _gaps(fitted: FittedRun, rows: Rows) -> dict[str, Array]:
    """Which cells go: every other one of what has elements, all of one variable in two."""
    lengths = {v.length for v in fitted.graph.data}
    made = {}
    modelled = [v for v in fitted.graph.data if v.name not in {*fitted.graph.conditions, *lengths} and v.name in rows]
    for k, v in enumerate(modelled):
        shape = rows[v.name].shape
        of_rows = np.arange(ROWS).reshape(-1, *[1] * (len(shape) - 1))
        of_cells = np.arange(rows[v.name].size).reshape(shape)
        number = of_cells if v.type.shape and not v.type.support.event_rank else of_rows
        made[v.name] = np.broadcast_to((number + k) % 2 == 0, shape)
    return made


def _pierced(rows: Rows, gaps: dict[str, Array]) -> Rows:
    return {n: np.where(gaps[n], None if is_text(v) else np.nan, v) if n in gaps else v for n, v in rows.items()}


def _verify_kept(found: Array, expected: Array, name: str) -> None:
    """Values that were given are as they were; times to the second."""
    if is_text(expected):
        np.testing.assert_array_equal(found.astype("datetime64[s]"), expected.astype("datetime64[s]"), name)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4, err_msg=name)


def _predict(fitted: FittedRun, rows: Rows) -> str:
    told = []
    modelled = [v for v in fitted.graph.data if v.name not in fitted.graph.conditions]
    if len(fitted.fields) == 1:
        modelled = []
    for v in modelled:
        whole = {n: r for n, r in rows.items() if n != v.name}
        told.append(_tried(lambda f, r, v=v: _predict_one(f, r, v), fitted, whole))
        told.append(
            _tried(lambda f, r, v=v: _predict_one(f, r, v, False), fitted, _pierced(whole, _gaps(fitted, whole)))
        )
    return " | ".join(told)


def _predict_one(fitted: FittedRun, rows: Rows, v: Variable, whole: bool = True) -> str:
    found = fitted.predict(rows, draws=6)
    values = found[v.name]
    assert len(values) == ROWS
    within = _within(fitted, rows, v, values)
    np.testing.assert_array_equal(known(values), within)
    if f"{v.name}_probability" in found:
        p = found[f"{v.name}_probability"]
        within = within.reshape(p.shape[:-1])  # values may have another shape in the data, as behind flatten
        assert np.isnan(p[~within]).all() and (p[within] >= 0).all() and np.isfinite(p[within]).all(), p
        np.testing.assert_allclose(p[within].sum(-1), 1, atol=1e-4)
        _verify_data(fitted, v.name, values)
    else:
        deviation = found[f"{v.name}_deviation"]
        assert np.isnan(deviation[~within]).all() and (deviation[within] >= 0).all()
    if whole and "exactly" in found.notes[0]:
        _verify_enumerated(fitted, rows, v, found)
    return "; ".join(found.notes)


def _within(fitted: FittedRun, rows: Rows, v: Variable, values: Array) -> Array:
    """What of a variable a row has: all of it, or as many members as its sequence has."""
    if not v.length:
        return np.ones(values.shape, dtype=bool)
    ends = _in_model(fitted, {v.length: rows[v.length]})[v.length].numpy()
    inside = np.array(v.members) <= ends[:, None]
    return np.broadcast_to(inside.reshape(*inside.shape, *[1] * (values.ndim - 2)), values.shape)


def _verify_enumerated(fitted: FittedRun, rows: Rows, v: Variable, found: Answers) -> None:
    """An exact answer is what the log-density of rows with each value says."""
    likelihood = likelihood_of(fitted.plan)
    size = v.type.support.size
    if likelihood is None or likelihood.kind != "log_prob" or size is None or size**v.type.elements > MOST:
        return
    low = v.type.support.low or 0.0
    given = _in_model(fitted, rows)
    cases = torch.tensor(list(itertools.product(range(size), repeat=v.type.elements)))
    logs = []
    with torch.no_grad():
        for case in cases:
            whole = {**given, v.name: (case.float() + low).reshape(1, *v.type.shape).expand(ROWS, *v.type.shape)}
            logs.append(fitted.model.figures(*(whole[d.name] for d in fitted.graph.data))["log_prob"].double())
    joint = torch.stack(logs, -1).softmax(-1)
    expected = torch.stack([joint @ (cases == k).double() for k in range(size)], -1)
    p = found[f"{v.name}_probability"].reshape(ROWS, v.type.elements, size)
    there = np.isfinite(p)
    np.testing.assert_allclose(p[there], expected.numpy()[there], atol=1e-3)


def _compress(fitted: FittedRun, rows: Rows) -> str:
    """Rows come back bit for bit, behind a transform without an inverse as the model has them."""
    found = fitted.compress(rows)
    again = fitted.decompress(bytes(found))
    for name, values in rows.items():
        field = fitted.fields[name]
        expected = values if field.invertible else field.apply(values)
        v = fitted.graph[name]
        if v.length:  # nothing stands beyond an end
            within = _within(fitted, rows, v, again[name])
            np.testing.assert_array_equal(known(again[name])[within], True, name)
            expected = np.where(within, expected, np.nan)
        np.testing.assert_array_equal(again[name], expected, name)
    return found.notes[0]


COMMANDS: dict[str, Callable[[FittedRun, Rows], str]] = {
    "score": _score,
    "encode": _encode,
    "reconstruct": _reconstruct,
    "interpolate": _interpolate,
    "sample": _sample,
    "goes on": _go_on,
    "clamped": _clamped,
    "impute": _impute,
    "predict": _predict,
    "compress": _compress,
}


# --- what answers are --------------------------------------------------------------------------------


def _verify_rows(fitted: FittedRun, found: Answers, n: int, missing: bool = False) -> None:
    for name in found:
        if name in fitted.fields:
            assert len(found[name]) == n, name
            _verify_data(fitted, name, found[name], missing)
    found.frame()


def _verify_data(fitted: FittedRun, name: str, values: Array, missing: bool = False) -> None:
    """Values in the units of the data are some that the model could have been given."""
    v, field = fitted.graph[name], fitted.fields[name]
    there = known(values.reshape(len(values), -1)).all(1)
    if not v.length and not (v.role == "partial" and missing):
        assert there.all(), name
    values = days_of(values[there]) if is_text(values) else values[there]
    made = field.apply(values) if field.invertible else values
    _verify_values(v, made)


def _verify_values(v: Variable, values: Array) -> None:
    support = v.type.support
    assert np.isfinite(values).all(), (v.name, values)
    if support.discrete:
        np.testing.assert_allclose(values, np.round(values), atol=1e-3)
        values = np.round(values)
    if support.event_rank:
        power = 2 if type(support) is Sphere else 1
        np.testing.assert_allclose((values**power).sum(-1), 1, atol=1e-4)
        return
    low = -math.inf if support.low is None else support.low
    high = math.inf if support.high is None else support.high
    assert (values >= low - 1e-4).all() and (values <= high + 1e-4).all(), (v.name, values)
