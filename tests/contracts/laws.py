"""What must hold of every compiled spec, whoever wrote it: compositions, the library, random ones."""

from __future__ import annotations

import ast
import inspect
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

import torch
from scipy.stats import chi2_contingency, ks_2samp
from torch import Tensor

from dgmppl import pipeline
from dgmppl.graph.nodes import Variable
from dgmppl.pipeline import Checked
from dgmppl.plan.explain import explain_plan
from dgmppl.runtime import GenerativeModel
from dgmppl.supports import Type
from tests.contracts.oracles import FAINT, WIDE, Law, Space, verify_law
from tests.contracts.support import build, data_of, ended, graph_of, random_rows, samples_of, seed

SPREAD = 0.6
"""Noise on all weights, so that networks, mixtures and flows are far from where they start."""

SMALL = 6
"""A law over more elements is too wide for any of the oracles."""


# --- every parameter is taught -------------------------------------------------------------------


def untaught(found: Checked) -> set[int]:
    """Lines of the spec that a diagnostic names as not taught (W404)."""
    text = found.source.text
    spans = [s for d in found.diagnostics if d.code == "W404" for s in (d.span, *(n.span for n in d.notes)) if s]
    return {line for s in spans for line in range(text.count("\n", 0, s.start) + 1, text.count("\n", 0, s.end) + 2)}


def missed(found: Checked, steps: int = 6) -> tuple[str, ...]:
    """Parameters that no player's loss gives a gradient within a few steps, from near where they start or, as a hinge
    is straight there and the slopes of whole numbers may cancel, far from it."""
    missing = _missed(found, steps, 0.02)
    if missing:
        missing &= _missed(found, steps, 1.0)
    return tuple(sorted(missing))


def _missed(found: Checked, steps: int, scale: float) -> set[str]:
    model, data = build(found, scale=scale), data_of(found)
    players = [p for p in model.players() if p.parameters]
    optimizers = [torch.optim.Adam(p.parameters, lr=1e-2) for p in players]
    missing = dict(model.named_parameters())
    for _ in range(steps):
        for player, optimizer in zip(players, optimizers, strict=True):
            optimizer.zero_grad(set_to_none=True)
            loss = player.loss(*data)
            assert loss.isfinite(), f"the loss of the {player.name} is {float(loss)}"
            loss.backward()
            own = {id(p) for p in player.parameters}
            for name, p in list(missing.items()):
                if id(p) in own and p.grad is not None and bool((p.grad != 0).any()):
                    del missing[name]
            optimizer.step()
        if not missing:
            break
    return set(missing)


def unreached(found: Checked) -> list[str]:
    """Those of them that no diagnostic names."""
    missing, known = missed(found), untaught(found)
    if not known:
        return list(missing)
    emitted = pipeline.emit(found)
    lines = emitted.text.splitlines()

    def line(name: str) -> int | None:
        held = re.compile(rf"\s*self\.{re.escape(name.split('.')[0])} = ")
        return next((at for text, at in zip(lines, emitted.lines, strict=False) if held.match(text)), None)

    return sorted(name for name in missing if line(name) not in known)


# --- factors as laws -----------------------------------------------------------------------------


class Values:
    """Values of a model's variables by name, computed where they follow from others. What has rows is told apart."""

    def __init__(self, found: Checked, model: GenerativeModel, rows: dict[str, Tensor], n: int) -> None:
        self.graph, self.model, self.known, self.n = graph_of(found), model, dict(rows), n
        self.with_rows = {name for name in rows if self.graph[name].rows}

    def arguments(self, method: Callable[..., Any]) -> list[str]:
        """The variables that a method takes, by name."""
        by_ident = {v.ident: v.name for v in self.graph.variables}
        return [by_ident[name] for name in inspect.signature(method).parameters]

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.known:
            method = getattr(self.model, f"define_{self.graph[name].ident}")
            given = self.arguments(method)
            self.known[name] = method(*(self[g] for g in given))
            if any(g in self.with_rows for g in given):
                self.with_rows.add(name)
        return self.known[name]

    def distribution(self, side: str, head: str) -> tuple[Any, bool]:
        """A factor's distribution given what is known, and whether it has a row for each row."""
        factor = self.graph.factor(side, head)
        assert factor is not None
        method = getattr(self.model, factor.method)
        given = self.arguments(method)
        values = [self[g] for g in given]
        return method(*values), any(g in self.with_rows for g in given)

    def draw(self, side: str, head: str) -> None:
        law, rows = self.distribution(side, head)
        self.known[head] = law.sample() if rows or not self.graph[head].rows else law.sample((self.n,))
        self.with_rows |= {head} if self.graph[head].rows else set()


def _wide(model: GenerativeModel) -> GenerativeModel:
    """In double precision, in which draws may lie beyond the numbers that data have."""
    model.check_rows = False
    return model.double()


def factors(found: Checked) -> list[tuple[str, str]]:
    """The factors that are small enough to be verified, as (side, head)."""
    graph = graph_of(found)
    return [(f.side, f.head) for f in graph.factors if graph[f.head].type.elements <= SMALL]


def given_values(found: Checked, n: int, number: int) -> dict[str, Tensor]:
    """One random value of every variable of the spec, in n rows; of what all rows have in common, by itself."""
    with seed(number):
        values = {v: random_rows(v.type, 1).to(WIDE) for v in graph_of(found).variables if v.role != "let"}
    rows = {v.name: value.expand(n, *v.type.shape) if v.rows else value[0] for v, value in values.items()}
    return ended(found, rows)


def existing(found: Checked, name: str, rows: dict[str, Tensor]) -> Type:
    """The type of those members of a variable that exist in a row."""
    v = graph_of(found)[name]
    if not v.length:
        return v.type
    return Type(v.type.support, (int(rows[v.length].flatten()[0]) - v.members.start + 1, *v.type.shape[1:]))


def filled(v: Variable, values: Tensor) -> Tensor:
    """Values of the members that exist with what stands for the others."""
    if not v.length:
        return values
    made = values.new_full((len(values), *v.type.shape), v.element.feasible)
    made[:, : values.shape[1]] = values
    return made


def factor_law(found: Checked, model: GenerativeModel, side: str, head: str, number: int = 5) -> Law:
    """The distribution that a factor's method gives, all that it reads at one random value."""
    graph = graph_of(found)
    # A q of what is missing reads what is seen.
    imputes = side == "q" and graph[head].elementwise
    given = {name: v for name, v in given_values(found, 1, number).items() if name != head or imputes}
    # What all rows share is computed for one: a feature of a large variable would not fit for each.
    one = Values(found, model, given, 1)
    features = [v.name for v in graph.variables if v.role == "let" and head not in graph.roots((v.name,))]

    def at(n: int) -> tuple[Any, bool]:
        wide = {name: v.expand(n, *v.shape[1:]).clone() if graph[name].rows else v for name, v in given.items()}
        values = Values(found, model, wide, n)
        for name in features:
            value = one[name]
            rows = name in one.with_rows
            values.known[name] = value.expand(n, *value.shape[1:]) if rows else value
            values.with_rows |= {name} if rows else set()
        return values.distribution(side, head)

    type_ = existing(found, head, given_values(found, 1, number))

    def log_prob(values: dict[str, Tensor]) -> Tensor:
        law, _ = at(len(values[head]))
        found = law.log_prob(filled(graph[head], values[head]))
        assert found.shape == (len(values[head]),), f"log_prob has the shape {tuple(found.shape)}"
        return found

    def sample(n: int) -> dict[str, Tensor]:
        law, rows = at(n)
        with torch.no_grad():
            drawn = law.sample() if rows else law.sample((n,))
        return {head: drawn[:, : type_.shape[0]] if graph[head].length else drawn}

    return Law({head: Space.of(type_)}, log_prob, sample)


def _spread_law(found: Checked, side: str, head: str, number: int) -> Law:
    """The law of a factor with weights that are spread, but not so far that all of it lies at the end of a range, or
    that a component of it is a needle, where no quadrature would find it."""
    for scale in (SPREAD, SPREAD / 4):
        law = factor_law(found, _wide(build(found, scale=scale).eval()), side, head, number)
        draws = law.sample(50)[head].double().reshape(50, -1).sort(0).values
        apart = (draws[3:] - draws[:-3]).min(0).values  # of many draws, three that are as close are no coincidence
        if graph_of(found)[head].type.support.discrete or (
            (draws.std(0) > 1e-4).all() and (apart > 1e-5 * (draws[37] - draws[12])).all()
        ):
            break
    return law


def verify_factors(found: Checked, number: int = 5) -> dict[str, str]:
    """Every factor's samples follow its density, and this is one."""
    told, wrong = {}, []
    for side, head in factors(found):
        try:
            with seed(number):
                told[f"{side}({head})"] = verify_law(_spread_law(found, side, head, number))
        except AssertionError as error:
            wrong.append(f"{side}({head}): {error}")
    assert not wrong, "\n".join(wrong)
    return told


def verify_whole(found: Checked) -> str:
    """An exact log-likelihood and `sample` are one model."""
    return verify_seen(found, ())


def verify_missing(found: Checked) -> str:
    """Where some elements are missing, the log-likelihood is that of the others, and what is drawn of these follows
    it."""
    if not any(v.elementwise for v in graph_of(found).data):
        return "nothing is missing"
    return "; ".join(verify_seen(found, every) for every in ((1, 2), (0, 3)))


def verify_seen(found: Checked, missing: tuple[int, ...]) -> str:
    """An exact log-likelihood and `sample` are one model of what is seen; element k is `missing` by the (remainder,
    divisor) of its number."""
    graph = graph_of(found)
    rowwise = [v for v in graph.partial if not v.elementwise]
    if found.plan is None or found.plan.criterion != "log_prob" or rowwise or graph.energy or graph.adversaries:
        return "no density"
    if any(v.length and v.length not in graph.conditions for v in graph.data):
        return "as many elements as are drawn"
    model = _wide(build(found, scale=SPREAD).eval())
    rows = given_values(found, 1, 5)
    kept = {}
    for v in graph.data:
        gone = v.elementwise and missing
        elements = range(existing(found, v.name, rows).elements)  # those of the first members
        kept[v.name] = [k for k in elements if not gone or k % missing[1] != missing[0]]
    modelled = [v for v in graph.data if v.name not in graph.conditions and kept[v.name]]
    if sum(len(kept[v.name]) for v in modelled) > SMALL:
        return "too many elements"

    def whole(v: Variable, values: Tensor) -> Tensor:
        if len(kept[v.name]) == v.type.elements:
            return values
        made = values.new_full((len(values), v.type.elements), v.element.feasible if v.length else torch.nan)
        made[:, kept[v.name]] = values.reshape(len(values), -1)
        return made.reshape(-1, *v.type.shape)

    def log_prob(values: dict[str, Tensor]) -> Tensor:
        n = len(next(iter(values.values())))
        data = [
            whole(v, values[v.name])
            if v.name in values
            else rows[v.name].expand(n, *v.type.shape) + (0.0 if kept[v.name] else torch.nan)
            for v in graph.data
        ]
        return model.log_prob(*data)

    def sample(n: int) -> dict[str, Tensor]:
        drawn = samples_of(found, model, n, [rows[v.name].expand(n, *v.type.shape) for v in graph.data])
        parts = {v.name: drawn[v.name].reshape(n, -1)[:, kept[v.name]] for v in modelled}
        return {v.name: parts[v.name].reshape(n, *space(v).shape) for v in modelled}

    def space(v: Variable) -> Space:
        elements = len(kept[v.name])
        return Space.of(v.type if elements == v.type.elements else Type(v.type.support, (elements,)))

    with seed(6):
        return verify_law(Law({v.name: space(v) for v in modelled}, log_prob, sample))


def verify_inferred(found: Checked) -> None:
    """`infer` gives a finite value of each variable that it names, and what was seen of one as it was."""
    if found.plan is None:
        return
    graph, model, data = graph_of(found), build(found, scale=0.1), data_of(found, 5)
    if "infer" not in type(model).__dict__:
        return
    for mean in (True, False):
        with seed(0):
            values = model.infer(*data, mean=mean)
        for name, value in values.items():
            assert value.isfinite().all(), name
            if not graph[name].shared:
                assert value.shape == (5, *graph[name].type.shape), name
        for v, rows in zip(graph.data, data, strict=True):
            if v.name in values:
                seen = ~rows.isnan()
                assert torch.equal(values[v.name][seen], rows[seen]), v.name


# --- the model as its factors say ----------------------------------------------------------------


def ancestral(found: Checked, model: GenerativeModel, n: int, given: dict[str, Tensor]) -> Values | None:
    """Every variable drawn after its parents by the factors' own methods; None where some have neither a factor nor a
    definition."""
    graph = graph_of(found)
    values = Values(found, model, given, n)
    pending = [v.name for v in graph.variables if v.role != "let" and v.name not in given]

    def ready(name: str) -> bool:
        factor, definition = graph.factor("p", name), graph.definition(name)
        reads = factor.parents if factor else tuple(_reads(values, name)) if definition else ()
        return all(r in values.known for r in graph.roots(reads) if r != name)

    while pending:
        name = next((p for p in pending if ready(p)), None)
        if name is None:
            return None
        pending.remove(name)
        if graph.factor("p", name) is not None:
            values.draw("p", name)
        elif graph.definition(name) is not None:
            values[name]
        else:
            return None
        space = Space.of(graph[name].type)
        if math.isfinite(space.low) and math.isfinite(space.high):  # what reaches beyond a bound is put back on it
            values.known[name] = values.known[name].clamp(space.low, space.high)
    return values


def _reads(values: Values, name: str) -> Iterable[str]:
    return values.arguments(getattr(values.model, f"define_{values.graph[name].ident}"))


class Known:
    """A distribution that gives one value: in place of a q, for what rows have in common is the same all along then."""

    def __init__(self, value: Tensor) -> None:
        self.value = value

    def sample(self, count: tuple[int, ...] = ()) -> Tensor:
        return self.value


def in_common(found: Checked, model: GenerativeModel, rows: dict[str, Tensor]) -> dict[str, Tensor]:
    """Values of what rows have in common, by row where each group has one, that `sample` takes as well."""
    graph, values = graph_of(found), {}
    for v in graph.shared:
        if graph.factor("q", v.name) is None:
            continue  # it is computed
        if v.group is None:
            values[v.name] = value = random_rows(v.type, 1)[0]
        else:
            low, size = int(graph[v.group].type.support.low or 0), graph[v.group].type.support.size
            value = random_rows(v.type, size)
            values[v.name] = value[rows[v.group].long() - low]
        setattr(model, f"q_{v.ident}", lambda *given, value=value: Known(value))
    return values


def verify_samples(found: Checked, n: int = 1500) -> str:
    """`sample(n)` is n rows, and they are distributed as what the factors' methods give one after another."""
    graph = graph_of(found)
    if graph.energy is not None:
        return "an energy"
    model = build(found, scale=0.2).eval()
    rows = {name: v.float() for name, v in given_values(found, n, 5).items()}
    with seed(7), torch.no_grad():
        common = in_common(found, model, rows)
        drawn = samples_of(found, model, n, [rows[v.name] for v in graph.data])
        expected = ancestral(found, model, n, {c: rows[c] for c in graph.conditions} | common)
    if expected is None:
        return "no factors"
    for name, values in drawn.items():
        assert values.shape == (n, *graph[name].type.shape), f"{tuple(values.shape)} for {n} rows of {name}"
        a, b = values.reshape(n, -1).double(), expected[name].reshape(n, -1).double()
        space = Space.of(graph[name].type)
        if not space.whole:  # what overflows, in some rows of both, is compared by how often it does
            kept = [v[v.isfinite().all(1)] for v in (a, b)]
            assert abs(len(kept[0]) - len(kept[1])) <= 0.05 * n, (
                f"{name} overflows in {[n - len(k) for k in kept]} rows"
            )
            a, b = kept
        mixed = torch.linspace(1, 2, a.shape[1], dtype=torch.float64)
        for x, y in [*zip(a.T, b.T, strict=True), (a @ mixed, b @ mixed)]:
            found_p = _same(x, y, space.whole)
            assert found_p > FAINT, f"samples of {name} are not those of its factors: p = {found_p:.1e}"
    return "compared"


def _same(a: Tensor, b: Tensor, whole: bool) -> float:
    if not whole:
        return float(ks_2samp(a.numpy(), b.numpy()).pvalue)
    edges = torch.quantile(torch.cat([a, b]), torch.linspace(0, 1, 9, dtype=torch.float64)).unique()
    cells = [torch.bucketize(v.contiguous(), edges) for v in (a, b)]
    table = torch.stack([torch.bincount(c, minlength=len(edges) + 1) for c in cells])
    table = table[:, table.sum(0) > 0]
    return float(chi2_contingency(table.numpy()).pvalue) if table.shape[1] > 1 else 1.0


# --- a bound lies below what it bounds -----------------------------------------------------------


def verify_bound(found: Checked, draws: int = 20_000) -> str:
    """E[elbo] <= log p(x), the latter by draws of the latents from their prior: log E_{p(z)} p(x | z). Both are equal
    where latents are summed or integrated out."""
    graph, plan = graph_of(found), found.plan
    if plan is None or graph.energy or graph.adversaries or graph.partial:
        return "no bound"
    exact = plan.criterion == "log_prob" and bool(graph.latents)
    if plan.criterion != "elbo" and not exact:
        return "no bound"
    if any(graph.definition(v.name) is not None for v in graph.data):
        return "inverted"
    if graph.shared:
        return verify_bound_of_all(found)
    model = build(found, scale=0.1).eval()
    modelled = [v.name for v in graph.data if v.name not in graph.conditions]
    with seed(8), torch.no_grad():
        # Rows of the model itself, so that prior draws come near them.
        conditions = {name: v.float() for name, v in given_values(found, 3, 5).items() if name in graph.conditions}
        rows = samples_of(found, model, 3, [conditions.get(v.name, torch.zeros(3)) for v in graph.data])
        told = []
        for k in range(3):
            row = {**{name: v[k : k + 1] for name, v in {**conditions, **rows}.items()}}
            wide = {name: v.expand(draws, *v.shape[1:]) for name, v in row.items()}
            log_w = _prior_weights(found, model, wide, modelled, draws)
            if log_w is None:
                return "no factors"
            w = (log_w - log_w.max()).exp()
            relative = float(w.std() / w.mean()) / math.sqrt(draws)
            if not math.isfinite(relative) or relative > 0.1:
                continue
            evidence = float(log_w.double().logsumexp(0)) - math.log(draws)
            figure = model.log_prob if exact else model.elbo
            bounds = figure(*(wide[v.name][:2000] for v in graph.data))
            error = float(bounds.std()) / math.sqrt(2000)
            if not math.isfinite(error):  # a density of a draw is 0 in single precision: the bound is -inf
                continue
            assert float(bounds.mean()) <= evidence + 5 * (error + relative) + 1e-3, (
                f"a bound of {float(bounds.mean()):.3f} +- {error:.3f} on log p(x) = {evidence:.3f} +- {relative:.3f}"
            )
            assert not exact or float(bounds.mean()) >= evidence - 5 * relative - 1e-3, (
                f"an exact log p(x) of {float(bounds.mean()):.3f} where it is {evidence:.3f} +- {relative:.3f}"
            )
            told.append(k)
    return "bounded" if told else "too wide to be told"


def verify_bound_of_all(found: Checked, draws: int = 1500, rows: int = 2) -> str:
    """E[sum of the rows' elbo] <= log p(all rows), where rows have latents in common: what these are is drawn from
    p, and the likelihoods of all rows given one draw are multiplied."""
    graph = graph_of(found)
    model = build(found, scale=0.1).eval()
    modelled = [v.name for v in graph.data if v.name not in graph.conditions]
    with seed(8), torch.no_grad():
        given = {name: v.float() for name, v in given_values(found, rows, 5).items() if name in graph.conditions}
        data = given | samples_of(found, model, rows, [given.get(v.name, torch.zeros(rows)) for v in graph.data])
        weights = []
        for _ in range(draws):
            log_w = _prior_weights(found, model, data, modelled, rows)
            if log_w is None:
                return "no factors"
            weights.append(log_w.sum())
        log_w = torch.stack(weights).double()
        w = (log_w - log_w.max()).exp()
        relative = float(w.std() / w.mean()) / math.sqrt(draws)
        if not math.isfinite(relative) or relative > 0.15:
            return "too wide to be told"
        evidence = float(log_w.logsumexp(0)) - math.log(draws)
        bounds = torch.stack([model.elbo(*(data[v.name] for v in graph.data)).sum() for _ in range(300)])
    error = float(bounds.std()) / math.sqrt(len(bounds))
    assert float(bounds.mean()) <= evidence + 5 * (error + relative) + 1e-3, (
        f"a bound of {float(bounds.mean()):.3f} +- {error:.3f} on log p(x) = {evidence:.3f} +- {relative:.3f}"
    )
    return "bounded"


def _prior_weights(
    found: Checked, model: GenerativeModel, given: dict[str, Tensor], modelled: Sequence[str], n: int
) -> Tensor | None:
    """log p(data | latents) at n draws of the latents: data that stands above a latent takes part as it is."""
    graph = graph_of(found)
    values = Values(found, model, given, n)
    pending = [v.name for v in graph.latents]
    while pending:
        for name in pending:
            factor, definition = graph.factor("p", name), graph.definition(name)
            reads = factor.parents if factor else _reads(values, name) if definition else None
            if reads is not None and all(r in values.known for r in graph.roots(reads)):
                break
        else:
            return None
        pending.remove(name)
        if graph.factor("p", name) is not None:
            values.draw("p", name)
        else:
            values[name]
    total = torch.zeros(n)
    for name in modelled:
        law, _ = values.distribution("p", name)
        total = total + law.log_prob(given[name])
    return total


# --- the order of statements ---------------------------------------------------------------------


def statements_of(found: Checked) -> tuple[str, list[str]]:
    """The first line of a spec, `model NAME`, and the texts of its statements."""
    assert found.spec is not None
    text = found.source.text
    return f"model {found.spec.name}", [text[s.span.start : s.span.end] for s in found.spec.statements]


def in_another_order(found: Checked, number: int) -> str:
    """The spec with its statements shuffled. Features without a type keep their place before all that may read them."""
    head, statements = statements_of(found)
    first = [s for s in statements if re.match(r"let\s+\w+\s*=", s)]
    rest = [s for s in statements if s not in first]
    Random(number).shuffle(rest)
    return "\n".join([head, *first, *rest]) + "\n"


# Places in the spec; and under which of its uses a network with a name is listed, which is the first.
_SPANS = frozenset({"line", "span", "source", "because", "reasons", "of"})


def normal_plan(found: Checked) -> Any:
    """What a plan says, without lines, and with lists as sets: words are sorted within texts too."""
    assert found.plan is not None

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in sorted(value.items()) if k not in _SPANS}
        if isinstance(value, list):
            return sorted((plain(v) for v in value), key=lambda v: json.dumps(v, sort_keys=True))
        if isinstance(value, str):
            return " ".join(sorted(re.findall(r"[\w.\[\]<]+", value)))
        return value

    return plain(json.loads(explain_plan(found.plan, "json")))


def verify_order(found: Checked, number: int) -> None:
    """The statements in another order: the same plan, the same weights, the same loss; or the same codes."""
    text = in_another_order(found, number)
    other = pipeline.read(text, found.overrides, found.python.allowed)
    codes = [sorted({d.code for d in f.diagnostics}) for f in (found, other)]
    assert codes[0] == codes[1], f"{codes[0]} in one order and {codes[1]} in this:\n{text}"
    if not found.ok:
        return
    for key in (a := normal_plan(found)).keys() | (b := normal_plan(other)).keys():
        assert a.get(key) == b.get(key), f"another {key}:\n{a.get(key)}\n{b.get(key)}\n{text}"
    ours, theirs = build(found, scale=0.1).eval(), build(other).eval()
    shapes = [{n: tuple(p.shape) for n, p in m.state_dict().items()} for m in (ours, theirs)]
    assert shapes[0] == shapes[1], f"other weights:\n{shapes[0]}\n{shapes[1]}\n{text}"
    theirs.load_state_dict(ours.state_dict())
    if ours.criterion == "log_prob" and not graph_of(found).energy:
        rows = dict(zip(ours.data, data_of(found, 6), strict=True))
        with torch.no_grad():
            a, b = (m.log_prob(*(rows[name] for name in m.data)) for m in (ours, theirs))
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-4), text


# --- the source itself ---


def verify_source(found: Checked, target: str = "torch") -> None:
    """No method of the emitted class is written twice, where the second would take the place of the first."""
    (cls,) = [n for n in ast.parse(pipeline.emit(found, target).text).body if isinstance(n, ast.ClassDef)]
    names = [n.name for n in cls.body if isinstance(n, ast.FunctionDef)]
    assert len(names) == len(set(names)), sorted(n for n in set(names) if names.count(n) > 1)


# --- precision -----------------------------------------------------------------------------------


def verify_precision(found: Checked) -> None:
    """Densities in float32 and in float64 agree to 1e-3."""
    narrow, wide = build(found, scale=SPREAD).eval(), _wide(build(found, scale=SPREAD).eval())
    if not any(True for _ in wide.parameters()):
        return  # without weights a model is of torch's default precision
    rows = given_values(found, 4, 9)
    for side, head in [(f.side, f.head) for f in graph_of(found).factors]:
        results = []
        for model, dtype in ((narrow, torch.float32), (wide, WIDE)):
            values = {name: v.to(dtype) for name, v in rows.items()}
            with torch.no_grad():
                law, _ = Values(found, model, values, 4).distribution(side, head)
                results.append(law.log_prob(values[head]))
        assert results[1].dtype == WIDE, f"{side}({head}) is {results[1].dtype} with float64 weights"
        a, b = results[0].double(), results[1]
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-3), f"{side}({head}): {a.tolist()} and {b.tolist()}"
